"""
Private names of Twisted.

Tried with Twisted 22.10.0, 24.11.0 and 26.10.0.
"""

from __future__ import annotations

import gc
from asyncio import AbstractEventLoop
from collections.abc import Callable, Iterator, Sequence
from contextvars import Context
from dataclasses import dataclass
from typing import Any

from twisted.internet import defer
from twisted.logger import globalLogBeginner
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


def creation_of(info: defer.DebugInfo) -> list[str]:
    """
    The stack that made the Deferred, outermost first, as text; empty unless
    ``defer.setDebugging(True)``.
    """
    return info.creator or []


def was_collected(event: dict[str, Any]) -> bool:
    """Whether a Deferred logs it that was collected, in whatever context."""
    return "debugInfo" in event


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
