"""
Private names of Twisted.

Tried with Twisted 22.10.0, 24.11.0 and 26.10.0.
"""

from __future__ import annotations

import asyncio
import gc
import sys
import weakref
from asyncio import AbstractEventLoop
from collections.abc import Callable, Container, Iterator, Sequence
from contextlib import contextmanager, suppress
from contextvars import Context
from dataclasses import dataclass
from itertools import chain
from types import FrameType
from typing import Any, Literal

from twisted.internet import defer
from twisted.internet.base import DelayedCall
from twisted.internet.defer import Deferred, DeferredList, _CancellationStatus
from twisted.internet.task import deferLater
from twisted.logger import formatEvent, globalLogBeginner
from twisted.python.failure import Failure


def asyncio_loop(reactor: Any) -> AbstractEventLoop | None:
    """The loop under an asyncio reactor; None for every other reactor."""
    loop: AbstractEventLoop | None = getattr(reactor, "_asyncioEventloop", None)
    return loop


def has_run(reactor: Any) -> bool:
    """Whether it was stopped after a run: it can't be run a second time."""
    return bool(reactor._startedBefore)


def logging_has_begun() -> bool:
    """Whether somebody chose already where Twisted's log goes."""
    return globalLogBeginner._temporaryObserver is None


def registered(reactor: Any) -> dict[str, Container[Any]]:
    """
    What an asyncio reactor reads from and writes to, by the method that adds it.

    ``getReaders`` says so as well, but makes a list of all. Reactor thread.
    """
    return {"addReader": reactor._readers, "addWriter": reactor._writers}


def timer_method(reactor: Any) -> tuple[str, Callable[[], object]]:
    """
    The method of an asyncio reactor that sets asyncio's timer, and its name.
    """
    return "_reschedule", reactor._reschedule


def delayed_call(
    reactor: Any, delay: float, function: Any, args: Any, kwargs: Any
) -> DelayedCall:
    """
    What ``reactor.callLater`` would give, not known to the reactor yet. Any thread.
    """
    assert callable(function), f"{function} is not callable"
    assert delay >= 0, f"{delay} is not greater than or equal to 0 seconds"
    return DelayedCall(
        reactor.seconds() + delay,
        function,
        args,
        kwargs,
        reactor._cancelCallLater,
        reactor._moveCallLaterSooner,
        seconds=reactor.seconds,
    )


def insert_delayed_call(reactor: Any, call: DelayedCall) -> None:
    """Make a ``delayed_call`` known to the reactor. Reactor thread."""
    reactor._newTimedCalls.append(call)
    if asyncio_loop(reactor) is not None:
        reactor._reschedule()


def is_registered(reactor: Any, selectable: Any) -> bool:
    """
    Whether the reactor reads from it or writes to it. Reactor thread.

    ``getReaders`` says so as well, but makes a list of all; an asyncio reactor
    can do without.
    """
    if asyncio_loop(reactor) is not None:
        return selectable in reactor._readers or selectable in reactor._writers
    return selectable in reactor.getReaders() or selectable in reactor.getWriters()


def watch_failures(note: Callable[[defer.DebugInfo], object]) -> Callable[[], None]:
    """
    Call ``note`` where a Deferred has failed and nothing has handled that yet.

    Gives what undoes it. A Deferred keeps a ``DebugInfo`` for that case, with the
    Failure as ``failResult``; handled, it is None again. What remains is logged
    when the Deferred is collected as garbage: never, while a variable has it.

    Thread:
        ``note`` is called in the thread in which the Deferred fires.
    """
    before = defer.DebugInfo

    class DebugInfo(before):  # type: ignore[misc,valid-type]
        _failure: Failure | None = None

        @property
        def failResult(self) -> Failure | None:
            return self._failure

        @failResult.setter
        def failResult(self, failure: Failure | None) -> None:
            self._failure = failure
            if failure is not None:
                note(self)

    defer.DebugInfo = DebugInfo  # type: ignore[misc]

    def undo() -> None:
        if defer.DebugInfo is DebugInfo:
            defer.DebugInfo = before  # type: ignore[misc]

    return undo


def context_of_coroutine() -> Context | None:
    """
    The context of the coroutine whose Deferred is being fired right now.

    Twisted runs a coroutine in its own context, but fires its Deferred in that of
    whatever has resumed it.
    """
    frame: FrameType | None = sys._getframe()
    for _ in range(_DEEP):
        if frame is None:
            return None
        if frame.f_code is _DRIVER:
            values = frame.f_locals
            found = values.get("context", values.get("current_context"))
            return found if isinstance(found, Context) else None
        frame = frame.f_back
    return None


_DRIVER = defer._inlineCallbacks.__code__
_DEEP = 8  # frames between it and a Deferred that takes its failure


def creation_of(info: defer.DebugInfo) -> list[str]:
    """
    The stack that made the Deferred, outermost first, as text; empty unless
    ``defer.setDebugging(True)``.
    """
    return info.creator or []


def failure_of(event: dict[str, Any]) -> Failure | None:
    """The failure that a log event is about; older Twisteds have another name."""
    failure: Failure | None = event.get("log_failure", event.get("failure"))
    return failure


def message_of(event: dict[str, Any]) -> str:
    """What a log event says, without the traceback of its failure."""
    if failure_of(event) is not None and event.get("isError"):  # of log.err()
        return str(event.get("why") or "")
    return formatEvent(event)


def was_collected(event: dict[str, Any]) -> bool:
    """Whether a Deferred logs it that was collected, in whatever context."""
    return "debugInfo" in event


def chained_to(deferred: Deferred[Any]) -> Deferred[Any] | None:
    """The Deferred whose result this one waits for; None if there is none."""
    return deferred._chainedTo


def coroutine_of(deferred: Deferred[Any]) -> Any:
    """
    The coroutine, or generator of inlineCallbacks, that is to fire it; or None.

    Any thread. None, too, while the coroutine is on the stack.

    Source:
        ``_cancellableInlineCallbacks``: the canceller knows the status, which knows
        what the coroutine waits on; among the callbacks of that is one for the
        status, which knows the coroutine. ``Deferred.fromFuture``: the canceller
        knows the future, which may be a task.
    """
    known = _known_to(deferred._canceller)
    # Up to Twisted 23, what knows the status is a function that the canceller knows.
    for each in [*known, *chain.from_iterable(map(_known_to, known))]:
        if isinstance(each, asyncio.Task):
            return each.get_coro()
        if isinstance(each, _CancellationStatus) and each.waitingOn is not None:
            return _coroutine_with(each, each.waitingOn)
    return None


def _coroutine_with(status: Any, awaited: Deferred[Any]) -> Any:
    for function, arguments in callbacks_of(awaited):
        values = _resumption(function, arguments)
        if values is not None and values[1] is status:
            return values[0]
    return None


def _known_to(function: Any) -> list[Any]:
    """The variables of the functions around a function."""
    found = []
    for cell in getattr(function, "__closure__", None) or ():
        with suppress(ValueError):  # one that has no value yet
            found.append(cell.cell_contents)
    return found


def is_delayed(deferred: Deferred[Any]) -> bool:
    """Whether ``task.deferLater`` made it, so that a delayed call is to fire it."""
    code = getattr(deferred._canceller, "__code__", None)
    return any(each is code for each in deferLater.__code__.co_consts if code)


def unfinished(deferred: Deferred[Any]) -> tuple[int, int] | None:
    """Of a DeferredList: how many have not fired, and of how many."""
    if not isinstance(deferred, DeferredList):  # type: ignore[arg-type]
        return None
    listed: Any = deferred
    everything = len(listed.resultList)
    return everything - listed.finishedCount, everything


class ToldFunction:
    """
    The function of a delayed call, and what to tell when it was called.

    Looks like the function to what shows a delayed call.
    """

    __slots__ = ("__wrapped__", "_tell")

    def __init__(
        self, function: Callable[..., Any], tell: Callable[[], object]
    ) -> None:
        self.__wrapped__ = function
        self._tell = tell

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        try:
            return self.__wrapped__(*args, **kwargs)
        finally:
            self._tell()

    def __getattr__(self, name: str) -> Any:
        return getattr(self.__wrapped__, name)

    def __repr__(self) -> str:
        return repr(self.__wrapped__)


def tell_end(
    call: DelayedCall, tell: Callable[[Literal["called", "cancelled"]], object]
) -> None:
    """
    Have ``tell`` called when a delayed call was called, or is being cancelled.

    It must not raise. The call itself is not kept alive by this.

    Thread:
        Reactor thread.
    """
    if not call.active():
        tell("cancelled" if call.cancelled else "called")
        return
    function, canceller = call.func, call.canceller
    this = weakref.ref(call)

    def told_cancel(call: DelayedCall) -> None:
        canceller(call)
        call.canceller = canceller
        tell("cancelled")

    def told_call() -> None:
        call = this()
        if call is not None and call.func is told:
            call.func, call.canceller = function, canceller
        tell("called")

    told = ToldFunction(function, told_call)
    call.func, call.canceller = told, told_cancel


@dataclass(frozen=True)
class Driven:
    """
    A coroutine, or generator, that Deferreds drive, while it waits.

    Attributes:
        deferred: Fires when it has ended; cancelling it cancels what it awaits.
        context: Its context variables.
    """

    coroutine: Any
    deferred: defer.Deferred[Any]
    context: Context


def driven_coroutines() -> Iterator[Driven]:
    """
    All those of ``ensureDeferred``, ``Deferred.fromCoroutine``, ``inlineCallbacks``.

    Each has a ``_CancellationStatus``; the Deferred that it waits for holds, among
    its callbacks, the rest.

    Thread:
        Reactor thread. Looks at every object that the garbage collector knows.
    """
    kind = defer._CancellationStatus
    for status in [each for each in gc.get_objects() if type(each) is kind]:
        if status.waitingOn is None or status.deferred.called:
            continue  # it runs now, or has ended
        for function, arguments in callbacks_of(status.waitingOn):
            values = _resumption(function, arguments)
            if values is not None and values[1] is status:
                coroutine, _, context = values
                yield Driven(coroutine, status.deferred, context)


def _resumption(function: Any, arguments: Sequence[Any]) -> Any:
    """Coroutine, status and context, where that is what goes on with one."""
    if function is getattr(defer, "_gotResultInlineCallbacks", ()):
        return arguments[1:]
    # Before Twisted 23.8, a function in a function.
    code = getattr(function, "__code__", None)
    if code is None or code.co_name != "gotResult":
        return None
    cells = dict(zip(code.co_freevars, function.__closure__ or (), strict=True))
    if not {"gen", "status", "context"} <= cells.keys():
        return None
    return [cells[name].cell_contents for name in ("gen", "status", "context")]


def drives_coroutine(thing: Any) -> bool:
    """Whether it is what ``driven_coroutines`` looks for."""
    return isinstance(thing, defer._CancellationStatus)


def callbacks_of(deferred: defer.Deferred[Any]) -> list[tuple[Any, Sequence[Any]]]:
    """
    What is called when it fires, with further arguments.

    A Deferred that waits for this one, since a callback has returned this one, is
    an argument, too.
    """
    # Public until Twisted 24.
    pairs: Any = getattr(deferred, "_callbacks", None)
    if pairs is None:
        pairs = deferred.callbacks
    return [(function, arguments) for pair in pairs for function, arguments, _ in pair]


def unwrapped(served: Any) -> Any:
    """The protocol or factory that a wrapper, an endpoint's or TLS's, is about."""
    names = (
        "_wrappedProtocol",
        "wrappedProtocol",
        "_wrappedFactory",
        "wrappedFactory",
    )
    for name in names:
        served = getattr(served, name, served)
    return served


def deferred_failing_in(frame: FrameType) -> Deferred[Any] | None:
    """The Deferred that will hold what is raised above ``frame``, which is running."""
    if frame.f_code is Deferred._runCallbacks.__code__:
        return frame.f_locals.get("current")
    if frame.f_code is defer._inlineCallbacks.__code__:
        return getattr(frame.f_locals.get("status"), "deferred", None)
    return None


def mark_handled(deferred: Deferred[Any], failure: Failure) -> None:
    """Tell Twisted that somebody has got ``failure``, if it holds that still."""
    info = deferred._debugInfo
    if info is not None and info.failResult is failure:
        info.failResult = None


def holds(deferred: Deferred[Any], result: Any) -> bool:
    """Whether that is what awaiting it gives now. Reactor thread."""
    return getattr(deferred, "result", None) is result and not deferred.paused


@contextmanager
def result_put_back(deferred: Deferred[Any], result: Any) -> Iterator[None]:
    """
    Within, ``deferred`` is one that has fired with ``result``, for ``__await__`` to
    read; afterwards it is what it was, if nobody has changed it meanwhile.
    """
    held, paused = getattr(deferred, "result", None), deferred.paused
    deferred.result, deferred.paused = result, 0
    try:
        yield
    finally:
        if deferred.result is result and not deferred.paused:
            deferred.result, deferred.paused = held, paused
