"""
Private names of Twisted.

Tried with Twisted 22.10.0, 24.11.0 and 26.10.0.
"""

from __future__ import annotations

from asyncio import AbstractEventLoop
from collections.abc import Callable
from typing import Any

from twisted.internet import defer
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


def is_registered(reactor: Any, selectable: Any) -> bool:
    """
    Whether an asyncio reactor reads from it or writes to it. Reactor thread.

    ``getReaders`` says so as well, but makes a list of all.
    """
    return selectable in reactor._readers or selectable in reactor._writers


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
