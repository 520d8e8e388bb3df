"""
The methods of a reactor that keep contexts, and note what cells open.

Twisted's reactors carry no context from ``callLater`` to the call, from a cell
that listens to the connections it accepts, from a thread to another. asyncio's
timers and readers have contexts of their own, but Twisted has one timer for all
delayed calls, and takes readers off and puts them back on where it suits: so
each delayed call gets its context here, and each reader and writer keeps that
in which it was first seen. What no cell started goes past them.
"""

from __future__ import annotations

import builtins
from asyncio import AbstractEventLoop
from collections.abc import Callable, Container
from contextvars import Context, copy_context
from threading import get_ident
from time import time
from typing import Any

from twisted.internet.base import DelayedCall
from twisted.internet.task import LoopingCall

from .contexts import LOOP_LOG, InContext, Methods, ThreadCall, TimedCall
from .internals.twisted import (
    delayed_call,
    insert_delayed_call,
    is_registered,
    registered,
    timer_method,
)
from .opened import Opened, Seen, context_of, give_context
from .origins import ORIGIN

Elsewhere = Callable[..., Any]


def reactor_methods(
    reactor: Any,
    loop: AbstractEventLoop | None,
    opened: Opened,
    thread: int,
    elsewhere: Elsewhere,
) -> Methods:
    """
    The methods of ``reactor`` that keep contexts.

    Args:
        loop: The asyncio loop under it. Without one, readers and writers are
            noted, but not called in their context: what a protocol prints goes
            where it would without us.
        opened: Is told what cells open.
        thread: The reactor thread.
        elsewhere: See ``Forwarding.elsewhere``.
    """
    methods = {
        "callLater": _call_later(reactor, opened, thread, elsewhere),
        "callFromThread": _call_from_thread(reactor, loop),
    }
    if hasattr(reactor, "spawnProcess"):
        methods["spawnProcess"] = _spawn_process(reactor, opened, thread, elsewhere)
    for name in ("addReader", "addWriter"):
        if hasattr(reactor, name):  # not on Windows' own reactor
            there: Container[Any] = () if loop is None else registered(reactor)[name]
            methods[name] = _add(
                reactor,
                name,
                opened,
                there,
                thread,
                elsewhere,
                in_context=loop is not None,
            )
    if loop is not None:
        # asyncio's timer is for all delayed calls, and has a context itself.
        name, set_timer = timer_method(reactor)
        methods[name] = lambda: Context().run(set_timer)
    return methods


# Seconds that the reactor leaves to the code in another thread that has asked it
# for something. It may be a library's, in the middle of what it does: a protocol
# that has sent its question and is about to note that it waits for the answer.
GRACE = 0.002


def call_soon(reactor: Any, function: Callable[..., object], *args: Any) -> None:
    """
    Call ``function`` in the reactor thread, a little later; don't wait.

    Thread:
        Any but the reactor thread.
    """
    reactor.callFromThread(reactor.callLater, GRACE, function, *args)


def _call_later(
    reactor: Any, opened: Opened, thread: int, elsewhere: Elsewhere
) -> Callable[..., Any]:
    base = reactor.callLater

    def kept(function: Any) -> Any:
        if isinstance(function, LoopingCall):
            # Rescheduled where a Deferred has fired: in any cell's context.
            seen = opened.loops.get(function)
            return TimedCall(function, seen and seen.context.copy())
        if not builtins.callable(function):
            return function  # Twisted says what it thinks of that
        if DelayedCall.debug:  # it adds to the log where the call was made
            return InContext(function)
        return TimedCall(function)

    def in_context(delay: float, callable: Any, *args: Any, **kw: Any) -> Any:
        return base(delay, kept(callable), *args, **kw)

    def from_thread(delay: float, callable: Any, *args: Any, **kw: Any) -> Any:
        if 0 <= delay < GRACE:  # of less than 0, Twisted says what it thinks
            delay = GRACE
        call = delayed_call(reactor, delay, kept(callable), args, kw)
        # At once: what asks for the reactor's delayed calls next is to see it.
        reactor.callFromThread(insert_delayed_call, reactor, call)
        return call

    # Without an empty tuple and dictionary: of all methods, it is called the most.
    def callLater(delay: float, callable: Any, *args: Any, **kw: Any) -> Any:
        if get_ident() != thread:
            given = (delay, callable, *args)
            return elsewhere("callLater", in_context, given, kw, from_thread)
        if ORIGIN.get() is not None:
            callable = kept(callable)
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
        LOOP_LOG.failure(ThreadCall.logged_as)


def _spawn_process(
    reactor: Any, opened: Opened, thread: int, elsewhere: Elsewhere
) -> Callable[..., Any]:
    base = reactor.spawnProcess

    def in_context(*args: Any, **kwargs: Any) -> Any:
        process = base(*args, **kwargs)
        if ORIGIN.get() is not None:
            if hasattr(process, "reapProcess"):
                # Called by what looks after all processes, when this one has ended.
                process.reapProcess = InContext(process.reapProcess)
            command = _command(*args[1:], **kwargs)
            opened.processes[process] = Seen(copy_context(), time(), command)
        return process

    def spawnProcess(*args: Any, **kwargs: Any) -> Any:
        if get_ident() != thread:
            return elsewhere("spawnProcess", in_context, args, kwargs)
        return in_context(*args, **kwargs)

    return spawnProcess


def _command(executable: Any = "", args: Any = (), *_: Any, **__: Any) -> str:
    """As a person would type it: the arguments of ``spawnProcess``."""
    words = [executable, *(args or ())[1:]]
    return " ".join(
        word.decode(errors="replace") if isinstance(word, bytes) else str(word)
        for word in words
    )


def _add(
    reactor: Any,
    name: str,
    opened: Opened,
    there: Container[Any],
    thread: int,
    elsewhere: Elsewhere,
    *,
    in_context: bool,
) -> Callable[[Any], Any]:
    """
    ``addReader`` or ``addWriter`` of what has, or gets, a context.

    Args:
        there: What was added already; may be empty where that is not known.
        in_context: Whether asyncio calls them, in the context of the call here.
    """
    base = getattr(reactor, name)

    def add_here(selectable: Any) -> Any:
        context = context_of(selectable)
        if context is None:
            if ORIGIN.get() is None:
                return base(selectable)
            # One that was there before is not the cell's that writes to it.
            if is_registered(reactor, selectable):
                context = Context()
            else:
                context = copy_context()
                opened.note(selectable)
            give_context(selectable, context)
        return context.run(base, selectable) if in_context else base(selectable)

    def add_there(selectable: Any) -> None:
        if selectable.fileno() != -1:  # else, it was closed meanwhile
            add_here(selectable)

    def from_thread(selectable: Any) -> None:
        call_soon(reactor, add_there, selectable)

    def add(selectable: Any) -> Any:
        if get_ident() != thread:
            return elsewhere(name, add_here, (selectable,), {}, from_thread)
        if selectable not in there:  # mostly, it is
            return add_here(selectable)

    add.__name__ = name
    return add
