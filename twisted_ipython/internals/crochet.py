"""
Private names of crochet: the state of an EventualResult.

Tried with crochet 2.0.0 to 2.1.1.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

from crochet import EventualResult
from twisted.internet.defer import Deferred
from twisted.python.failure import Failure

from ..replaced import replace


def is_done(result: EventualResult) -> bool:
    """Whether there is a value or a Failure. Any thread."""
    return bool(result._result_set.is_set())


def outcome(result: EventualResult) -> Any:
    """The value or the Failure; None while there is none. Any thread."""
    return result._value


def was_retrieved(result: EventualResult) -> bool:
    """Whether somebody got the result or its error. Any thread."""
    return bool(result._result_retrieved)


def mark_retrieved(result: EventualResult) -> None:
    """Make crochet say nothing about an error that we have dealt with."""
    result._result_retrieved = True


def deferred_of(result: EventualResult) -> Deferred[Any] | None:
    """What it is the result of; None before the reactor has begun it."""
    return result._deferred  # type: ignore[no-any-return]


def watch_failures(note: Callable[[EventualResult], object]) -> Callable[[], None]:
    """
    Call ``note`` with each result that fails; gives what undoes it.

    Thread:
        ``note`` is called in the reactor thread.
    """
    set_result = EventualResult._set_result

    def _set_result(self: EventualResult, result: Any) -> None:
        is_news = isinstance(result, Failure) and not is_done(self)
        set_result(self, result)
        if is_news:
            note(self)

    return replace(EventualResult, {"_set_result": _set_result})


def watch_results(note: Callable[[EventualResult, Any], object]) -> Callable[[], None]:
    """
    Call ``note`` with each result, and the function that it is of, as it begins.

    Gives what undoes it.

    Thread:
        ``note`` is called in the reactor thread.
    """
    connect = EventualResult._connect_deferred

    def _connect_deferred(self: EventualResult, deferred: Deferred[Any]) -> None:
        # Its caller, in crochet, has the function under that name.
        note(self, sys._getframe(1).f_locals.get("wrapped"))
        connect(self, deferred)

    return replace(EventualResult, {"_connect_deferred": _connect_deferred})
