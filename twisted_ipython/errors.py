"""
Every exception that this package raises on purpose.

Each text says what happened, to what, and what to do next; the values that it
was made of stay as attributes.
"""

from __future__ import annotations

from types import TracebackType

import crochet
from twisted.internet.defer import FirstError
from twisted.internet.error import ReactorAlreadyRunning, ReactorNotRunning

from .settings import seconds_text
from .stops import CellStop
from .tracebacks import cell_line, members


class TwistedIPythonError(Exception):
    """What all errors of this package have in common."""


class CannotLoad(TwistedIPythonError):
    """The installed reactor can't be used from here; nothing was changed."""


class CannotAwait(TwistedIPythonError):
    """A cell that awaits can't run, and did not."""


class RunRefused(TwistedIPythonError, ReactorAlreadyRunning):
    """``reactor.run()`` on the reactor that the cells share."""

    def __str__(self) -> str:
        return (
            "the reactor is already running, in a thread of its own, and goes on "
            "between cells: leave reactor.run() out, and await the Deferred instead"
        )


class StopRefused(TwistedIPythonError, ReactorNotRunning):
    """
    ``reactor.stop()`` or ``reactor.crash()`` on the reactor that the cells share.

    A ``ReactorNotRunning``, because libraries that stop the reactor when they
    have finished expect that one, and go on.

    Attributes:
        method: The name of the method that was called.
    """

    def __init__(self, method: str) -> None:
        super().__init__(method)
        self.method = method

    def __str__(self) -> str:
        return (
            "the reactor serves the whole session and could not be started again, "
            f"so it goes on: leave reactor.{self.method}() out; to stop listening: "
            "await port.stopListening()"
        )


class CellTimeout(TwistedIPythonError, TimeoutError, crochet.TimeoutError):
    """
    A cell took longer than the setting ``timeout``; its work was cancelled.

    Attributes:
        seconds: How long the cell was allowed to take.
        waiting_on: The line of the cell that was running, or "".
        stuck: Why the cell could not be stopped, or "".
    """

    def __init__(self, seconds: float, waiting_on: str = "", stuck: str = "") -> None:
        super().__init__(seconds, waiting_on, stuck)
        self.seconds = seconds
        self.waiting_on = waiting_on
        self.stuck = stuck

    def __str__(self) -> str:
        waited = f"no result after {seconds_text(self.seconds)} s"
        if self.waiting_on:
            waited += f" from {self.waiting_on}"
        if self.stuck:
            return f"{waited} (%crochet_config timeout), and {self.stuck}"
        longer = seconds_text(self.seconds * 2)
        return (
            f"{waited}; it was cancelled. "
            f"To wait longer: %crochet_config timeout {longer}"
        )


class CellTimedOut(CellStop):
    """
    Thrown into a cell whose time is up; shown as ``CellTimeout``.

    Attributes:
        seconds: How long the cell was allowed to take.
    """

    seconds = 0.0
    _shown: CellTimeout | None = None

    @classmethod
    def after(cls, seconds: float) -> type[CellTimedOut]:
        """The class to throw: what is raised in another thread is a class."""
        return type(cls.__name__, (cls,), {"seconds": seconds})

    def shown(self) -> CellTimeout:
        if self._shown is None:
            self._shown = CellTimeout(self.seconds, cell_line(self.__traceback__))
        return self._shown.with_traceback(self.__traceback__)


# What a person reads is the name of the built-in exception.
CellTimedOut.__name__ = CellTimedOut.__qualname__ = "CancelledError"


def shown(error: BaseException) -> BaseException:
    """
    What the user is shown in place of ``error``, mostly ``error`` itself.

    A task group in a cell that is ended, and Twisted's gatherResults, wrap what
    ended it: neither takes it for a cancellation.
    """
    if isinstance(error, CellStop):
        return error.shown()
    inner = members(error)
    if isinstance(error, FirstError) and error.subFailure.value is not None:
        inner = [error.subFailure.value]
    ends = [shown(one) for one in inner]
    if ends and all(isinstance(one, (CellStop, CellTimeout)) for one in ends):
        return ends[0].with_traceback(_below(error, ends[0]))
    return error


def _below(outer: BaseException, inner: BaseException) -> TracebackType | None:
    """The traceback of ``inner``, below where that of ``outer`` begins."""
    head = outer.__traceback__
    if head is None or inner.__traceback__ is None:
        return head
    return TracebackType(
        inner.__traceback__, head.tb_frame, head.tb_lasti, head.tb_lineno
    )
