"""
Contexts across the reactor: each call runs in that of the code which asked for it.

Twisted's reactors carry no context from ``callLater`` to the call, from a cell
that listens to the connections it accepts, from a thread to another. These are
the methods of a reactor, and of its thread pool, that do. What no cell started
goes past them.

asyncio's timers and readers have contexts of their own, but Twisted has one timer
for all delayed calls, and takes readers off and puts them back on where it
suits: so each delayed call gets its context here, and each reader and writer
keeps that in which it was first seen.
"""

from __future__ import annotations

import builtins
from asyncio import AbstractEventLoop
from collections.abc import Callable
from contextlib import suppress
from contextvars import Context, copy_context
from functools import partial
from threading import get_ident
from typing import Any

from twisted.internet.base import DelayedCall
from twisted.logger import Logger

from .internals.twisted import registered, timer_method
from .origins import ORIGIN, note_context

Methods = dict[str, Callable[..., Any]]
Elsewhere = Callable[[str, Callable[..., Any], Any, Any], Any]


class InContext:
    """
    A function, and the context to call it in: by default, a copy of this one.

    Looks like the function to what shows a delayed call.
    """

    __slots__ = ("__wrapped__", "_run")

    def __init__(
        self, function: Callable[..., Any], context: Context | None = None
    ) -> None:
        self.__wrapped__ = function
        self._run = (copy_context() if context is None else context).run

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        try:
            return self._run(self.__wrapped__, *args, **kwargs)
        except BaseException as error:
            note_context(error, self.context)  # who logs it is outside
            raise

    def __getattr__(self, name: str) -> Any:
        return getattr(self.__wrapped__, name)

    def __repr__(self) -> str:
        return repr(self.__wrapped__)

    @property
    def context(self) -> Context:
        """The context that it is called in."""
        context: Context = self._run.__self__  # type: ignore[attr-defined]
        return context


class TimedCall(InContext):
    """
    A call of the loop's, which logs what it raises: in its context, too.

    So whoever observes the log prints under the cell.
    """

    __slots__ = ()
    logged_as = "while handling timed call"  # Twisted's own words

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        try:
            return self._run(self.__wrapped__, *args, **kwargs)
        except BaseException:
            self._run(_log.failure, self.logged_as)


class ThreadCall(TimedCall):
    """The same for a call from a thread."""

    __slots__ = ()
    logged_as = "while handling thread call"


# Twisted's own, where it logs them.
_log = Logger("twisted.internet.base")


# On a reader or writer: the context that it has. An attribute, since it is looked
# up several times for each request that a server answers.
_CONTEXT = "_twisted_ipython_context"


def context_of_selectable(selectable: Any) -> Context | None:
    """The context in which a cell opened it; None if no cell did. Any thread."""
    context: Context | None = getattr(selectable, _CONTEXT, None)
    return context


def reactor_methods(
    reactor: Any, loop: AbstractEventLoop | None, thread: int, elsewhere: Elsewhere
) -> Methods:
    """
    The methods of ``reactor`` that keep contexts.

    Args:
        loop: The asyncio loop under it. Without one, readers and writers keep
            no context: what a protocol prints goes where it would without us.
        thread: The reactor thread.
        elsewhere: Called as ``elsewhere(name, method, args, kwargs)`` where a
            method is called in another thread.
    """
    methods = {
        "callLater": _call_later(reactor, thread, elsewhere),
        "callFromThread": _call_from_thread(reactor, loop),
    }
    if hasattr(reactor, "spawnProcess"):
        methods["spawnProcess"] = _spawn_process(reactor, thread, elsewhere)
    if loop is not None:
        for name in ("addReader", "addWriter"):
            methods[name] = _add(reactor, name, thread, elsewhere)
        # asyncio's timer is for all delayed calls, and has a context itself.
        name, set_timer = timer_method(reactor)
        methods[name] = lambda: Context().run(set_timer)
    return methods


def _call_later(reactor: Any, thread: int, elsewhere: Elsewhere) -> Callable[..., Any]:
    base = reactor.callLater

    def in_context(delay: float, callable: Any, *args: Any, **kw: Any) -> Any:
        if not builtins.callable(callable):
            pass  # Twisted says what it thinks of that
        elif DelayedCall.debug:  # it adds to the log where the call was made
            callable = InContext(callable)
        else:
            callable = TimedCall(callable)
        return base(delay, callable, *args, **kw)

    # In one piece, and without an empty tuple and dictionary: of all methods, it
    # is called the most.
    def callLater(delay: float, callable: Any, *args: Any, **kw: Any) -> Any:
        if get_ident() != thread:
            return elsewhere("callLater", in_context, (delay, callable, *args), kw)
        if ORIGIN.get() is not None:
            return in_context(delay, callable, *args, **kw)
        if args or kw:
            return base(delay, callable, *args, **kw)
        return base(delay, callable)

    return callLater


def _call_from_thread(
    reactor: Any, loop: AbstractEventLoop | None
) -> Callable[..., Any]:
    base = reactor.callFromThread

    def callFromThread(callable: Any, *args: Any, **kwargs: Any) -> None:
        if ORIGIN.get() is not None:
            callable = ThreadCall(callable)
        if args or kwargs:
            base(callable, *args, **kwargs)
        else:
            base(callable)

    def call_from_thread(callable: Any, *args: Any, **kwargs: Any) -> None:
        # asyncio copies the context; Twisted would make a delayed call of it.
        asyncio_loop.call_soon_threadsafe(_call, callable, args, kwargs)

    if loop is None:
        return callFromThread
    asyncio_loop = loop
    call_from_thread.__name__ = "callFromThread"
    return call_from_thread


def _call(function: Any, args: Any, kwargs: Any) -> None:
    """Reactor thread: as Twisted calls it, with what is raised in its log."""
    try:
        function(*args, **kwargs)
    except BaseException:
        _log.failure(ThreadCall.logged_as)


def _spawn_process(
    reactor: Any, thread: int, elsewhere: Elsewhere
) -> Callable[..., Any]:
    base = reactor.spawnProcess

    def in_context(*args: Any, **kwargs: Any) -> Any:
        process = base(*args, **kwargs)
        if ORIGIN.get() is not None and hasattr(process, "reapProcess"):
            # Called by what looks after all processes, when this one has ended.
            process.reapProcess = InContext(process.reapProcess)
        return process

    def spawnProcess(*args: Any, **kwargs: Any) -> Any:
        if get_ident() != thread:
            return elsewhere("spawnProcess", in_context, args, kwargs)
        return in_context(*args, **kwargs)

    return spawnProcess


def _add(
    reactor: Any, name: str, thread: int, elsewhere: Elsewhere
) -> Callable[[Any], Any]:
    """``addReader`` or ``addWriter`` in the context that the selectable has."""
    base = getattr(reactor, name)
    there = registered(reactor)[name]

    def in_context(selectable: Any) -> Any:
        context = getattr(selectable, _CONTEXT, None)
        if context is None:
            if ORIGIN.get() is None:
                return base(selectable)
            # One that was there before is not the cell's that writes to it.
            was_there = any(selectable in each for each in registered(reactor).values())
            context = Context() if was_there else copy_context()
            with suppress(AttributeError):  # of an object with __slots__
                setattr(selectable, _CONTEXT, context)
        return context.run(base, selectable)

    def add(selectable: Any) -> Any:
        if get_ident() != thread:
            return elsewhere(name, in_context, (selectable,), {})
        if selectable not in there:  # mostly, it is
            return in_context(selectable)

    add.__name__ = name
    return add


def pool_methods(pool: Any) -> Methods:
    """
    The methods of a Twisted thread pool that keep contexts.

    Thread:
        Called in any thread; what they call runs in the pool's threads.
    """
    base = pool.callInThreadWithCallback

    def callInThreadWithCallback(
        onResult: Any, func: Any, *args: Any, **kw: Any
    ) -> None:
        if ORIGIN.get() is None:
            base(onResult, func, *args, **kw)
            return
        context = copy_context()
        if onResult is not None:
            onResult = InContext(onResult, context)
        # A thread that the pool starts for it serves others, too.
        work = partial(base, onResult, InContext(func, context), *args, **kw)
        Context().run(work)

    return {"callInThreadWithCallback": callInThreadWithCallback}
