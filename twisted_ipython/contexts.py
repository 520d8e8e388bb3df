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
from contextvars import Context, copy_context
from dataclasses import dataclass
from functools import partial
from time import time
from typing import Any
from weakref import ReferenceType, WeakKeyDictionary, ref

from twisted.internet.base import DelayedCall
from twisted.internet.interfaces import IListeningPort
from twisted.internet.task import LoopingCall
from twisted.logger import Logger

from .internals.twisted import is_registered
from .origins import ORIGIN, note_context

Methods = dict[str, Callable[..., Any]]


class InContext:
    """
    A function, and the context to call it in: by default, a copy of this one.

    Looks like the function to what shows a delayed call.
    """

    __slots__ = ("__wrapped__", "_context")

    def __init__(
        self, function: Callable[..., Any], context: Context | None = None
    ) -> None:
        self.__wrapped__ = function
        self._context = copy_context() if context is None else context

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        try:
            return self._context.run(self.__wrapped__, *args, **kwargs)
        except BaseException as error:
            note_context(error, self._context)  # who logs it is outside
            raise

    def __getattr__(self, name: str) -> Any:
        return getattr(self.__wrapped__, name)

    def __repr__(self) -> str:
        return repr(self.__wrapped__)

    @property
    def context(self) -> Context:
        """The context that it is called in."""
        return self._context


class LoggedInContext(InContext):
    """
    A call of a loop's, which logs what it raises: in its context, too.

    So whoever observes the log prints under the cell.
    """

    __slots__ = ("_as",)

    def __init__(self, function: Callable[..., Any], logged_as: str) -> None:
        super().__init__(function)
        self._as = logged_as

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        try:
            return self._context.run(self.__wrapped__, *args, **kwargs)
        except BaseException:
            self._context.run(_log.failure, self._as)


# Twisted's own, where it logs them.
_log = Logger("twisted.internet.base")


@dataclass(frozen=True)
class Spawned:
    """
    Attributes:
        context: Of the cell that spawned a process.
        command: As far as it is known.
        since: When, as ``time.time()``.
    """

    context: Context
    command: str
    since: float


class Selectables:
    """
    The readers and writers that cells have opened, each with its context.

    Attributes:
        contexts: Of each.
        since: When it was first seen, as ``time.time()``.
        ports: Those that listen, or did.
        processes: What cells have spawned.
        loops: LoopingCalls, and their cell's context. While one waits for its
            function, it has no delayed call to be found by.

    Thread:
        Reactor thread. ``ports``, a list that is replaced as a whole, is read in
        any.
    """

    def __init__(self, reactor: Any) -> None:
        self._reactor = reactor
        self.contexts: WeakKeyDictionary[Any, Context] = WeakKeyDictionary()
        self.since: WeakKeyDictionary[Any, float] = WeakKeyDictionary()
        self.ports: list[ReferenceType[Any]] = []
        self.processes: WeakKeyDictionary[Any, Spawned] = WeakKeyDictionary()
        self.loops: WeakKeyDictionary[LoopingCall, tuple[Context, float]] = (
            WeakKeyDictionary()
        )

    def adding(self, add: Callable[[Any], Any]) -> Callable[[Any], Any]:
        """``addReader`` or ``addWriter`` in the context that the selectable has."""

        def add_in_context(selectable: Any) -> Any:
            context = self.contexts.get(selectable)
            if context is None:
                if ORIGIN.get() is None:
                    return add(selectable)
                # One that was there before is not the cell's that writes to it.
                was_there = is_registered(self._reactor, selectable)
                context = Context() if was_there else copy_context()
                self.contexts[selectable] = context
                if not was_there:
                    self._note(selectable)
            return context.run(add, selectable)

        return add_in_context

    def _note(self, selectable: Any) -> None:
        self.since[selectable] = time()
        if IListeningPort.providedBy(selectable):
            alive = [port for port in self.ports if port() is not None]
            self.ports = [*alive, ref(selectable)]


def reactor_methods(
    reactor: Any, loop: AbstractEventLoop | None, selectables: Selectables
) -> Methods:
    """
    The methods of ``reactor`` that keep contexts, for code that a cell started.

    All but callFromThread are for the reactor thread.

    Args:
        loop: The asyncio loop under it. Without one, readers and writers are
            noted, but not called in their context: what a protocol prints goes
            where it would without us.
    """
    methods = {
        "callLater": _call_later(reactor, selectables, neutral=loop is not None),
        "callFromThread": _call_from_thread(reactor, loop),
        "spawnProcess": _spawn_process(reactor, selectables),
    }
    for name in ("addReader", "addWriter"):
        if hasattr(reactor, name):  # not on Windows' own reactor
            methods[name] = selectables.adding(getattr(reactor, name))
    return {name: method for name, method in methods.items() if hasattr(reactor, name)}


def _call_later(
    reactor: Any, selectables: Selectables, *, neutral: bool
) -> Callable[..., Any]:
    base = reactor.callLater

    def callLater(delay: float, callable: Any, *args: Any, **kw: Any) -> Any:
        if isinstance(callable, LoopingCall) and callable not in selectables.loops:
            selectables.loops[callable] = (copy_context(), time())
        if not builtins.callable(callable):
            pass  # Twisted says what it thinks of that
        elif DelayedCall.debug:  # it adds to the log where the call was made
            callable = InContext(callable)
        else:
            callable = LoggedInContext(callable, "while handling timed call")
        if neutral:  # asyncio's timer is for all calls, and has a context itself
            return Context().run(base, delay, callable, *args, **kw)
        return base(delay, callable, *args, **kw)

    return callLater


def _call_from_thread(
    reactor: Any, loop: AbstractEventLoop | None
) -> Callable[..., Any]:
    base = reactor.callFromThread

    def callFromThread(callable: Any, *args: Any, **kwargs: Any) -> None:
        if ORIGIN.get() is not None:
            callable = LoggedInContext(callable, "while handling thread call")
        base(callable, *args, **kwargs)

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
        _log.failure("while handling thread call")


def _spawn_process(reactor: Any, selectables: Selectables) -> Callable[..., Any]:
    base = getattr(reactor, "spawnProcess", None)

    def spawnProcess(*args: Any, **kwargs: Any) -> Any:
        process = base(*args, **kwargs)  # type: ignore[misc]
        if hasattr(process, "reapProcess"):
            # Called by what looks after all processes, when this one has ended.
            process.reapProcess = InContext(process.reapProcess)
        if ORIGIN.get() is not None:
            command = _command(*args[1:], **kwargs)
            selectables.processes[process] = Spawned(copy_context(), command, time())
        return process

    return spawnProcess


def _command(executable: Any = "", args: Any = (), *_: Any, **__: Any) -> str:
    """As a person would type it: the arguments of ``spawnProcess``."""
    words = [executable, *(args or ())[1:]]
    return " ".join(
        word.decode(errors="replace") if isinstance(word, bytes) else str(word)
        for word in words
    )


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
