"""
crochet's EventualResult, as a notebook needs it: awaitable.
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from typing import Any

from crochet import EventualResult
from twisted.internet.defer import Deferred
from twisted.python.failure import Failure

from .internals import crochet as internals


def make_awaitable(reactor: Any) -> Callable[[], None]:
    """
    Let ``await result`` work; gives what undoes it.

    EventualResult has no ``__await__`` of its own, and an object can be awaited
    only if its class has one.

    Thread:
        Shell thread.
    """

    def __await__(self: EventualResult) -> Generator[Any, Any, Any]:
        return _deferred(self, reactor).__await__()

    name = "__await__"
    setattr(EventualResult, name, __await__)

    def undo() -> None:
        if vars(EventualResult).get(name) is __await__:
            delattr(EventualResult, name)

    return undo


def _deferred(result: EventualResult, reactor: Any) -> Deferred[Any]:
    """
    A Deferred of the same value or Failure; cancelling it cancels the work.

    Thread:
        Reactor thread.
    """

    def cancel(deferred: Deferred[Any]) -> None:
        origin = internals.deferred_of(result)
        if origin is not None:
            origin.cancel()

    def fire(value: object = None) -> Any:
        internals.mark_retrieved(result)
        if not ours.called:
            outcome = internals.outcome(result)
            if isinstance(outcome, Failure):
                ours.errback(outcome)
            else:
                ours.callback(outcome)
        return value

    def connect() -> None:
        origin = internals.deferred_of(result)
        if internals.is_done(result):
            fire()
        elif origin is None:  # made in this turn, begun in the next
            reactor.callLater(0, connect)
        else:
            # crochet's own callback came first, and has put the value aside.
            origin.addBoth(fire)

    ours: Deferred[Any] = Deferred(cancel)
    connect()
    return ours
