"""
The State of a live Deferred, EventualResult, Failure or delayed call.

Looks only: nothing is changed, no error counts as seen by somebody.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from crochet import EventualResult
from twisted.internet.base import DelayedCall
from twisted.internet.defer import Deferred
from twisted.python.failure import Failure

from ..contexts import bare
from ..internals import crochet as crochet_internals
from ..internals import twisted as internals
from ..stops import CellStop
from ..tracebacks import is_machinery
from .short_texts import error_line, one_line, shortened, type_name, user_traceback
from .states import State, text

KINDS = (Deferred, EventualResult, Failure, DelayedCall)

_DEPTH = 3  # how far to follow what waits on what, and what is inside of what
_ARGUMENTS = 40  # characters of what a delayed call is called with

CellName = Callable[[str], "str | None"]


def state_of(value: Any, cell_name: CellName | None = None, depth: int = 0) -> State:
    """
    What is to be said of a value of one of the ``KINDS``; of others, their type.

    Args:
        cell_name: See ``user_traceback``; None if no traceback is wanted.
        depth: Inside of how many others of these it is shown.

    Raises:
        CellStop: This was going on when somebody stopped the cell.

    Thread:
        Any.
    """
    # Not isinstance: that asks the value, which may be wrong about its class.
    kind = next((each for each in KINDS if issubclass(type(value), each)), None)
    try:
        if kind is Deferred:
            return _deferred(value, cell_name, depth)
        if kind is EventualResult:
            return _eventual_result(value, cell_name, depth)
        if kind is Failure:
            return _failed(type_name(value), None, value, cell_name)
        if kind is DelayedCall:
            return _delayed_call(value, depth)
    except CellStop:
        raise
    except BaseException:  # of a subclass that is up to something
        pass
    return State(type_name(value), None)


def ended(
    kind: str, result: Any, cell_name: CellName | None = None, depth: int = 0
) -> State:
    """The State of one that has fired with this. Any thread."""
    if issubclass(type(result), Failure):
        return _failed(kind, "failed", result, cell_name)
    outcome = "" if result is None else _in_one_line(result, depth)
    return State(kind, "done", outcome=outcome)


def _failed(
    kind: str, state: Any, failure: Failure, cell_name: CellName | None
) -> State:
    error: Any = failure.value
    traceback = ""
    if cell_name is not None and issubclass(type(error), BaseException):
        tb = failure.getTracebackObject() or error.__traceback__
        traceback = user_traceback(error, tb, cell_name)
    return State(kind, state, outcome=error_line(error), traceback=traceback)


def _deferred(value: Deferred[Any], cell_name: CellName | None, depth: int) -> State:
    kind = type_name(value)
    if _is_pending(value):
        return State(kind, "pending", waits_on=_waits_on(value))
    if value.paused:
        return State(kind, "paused")
    return ended(kind, value.result, cell_name, depth)


def _is_pending(deferred: Deferred[Any]) -> bool:
    chained = internals.chained_to(deferred) is not None
    return chained or not deferred.called or not hasattr(deferred, "result")


def _waits_on(deferred: Deferred[Any]) -> tuple[str, ...]:
    found: list[str] = []
    while len(found) < _DEPTH:
        chained = internals.chained_to(deferred)
        if chained is None:
            return (*found, *_origin(deferred))
        found.append(f"a {type_name(chained)}")
        deferred = chained
    return (*found, "...")


def _origin(deferred: Deferred[Any]) -> list[str]:
    """What is to fire a Deferred that waits for no other; none if not known."""
    unfinished = internals.unfinished(deferred)
    if unfinished is not None:
        return ["{} of {} Deferreds".format(*unfinished)]
    if internals.is_delayed(deferred):
        return ["a delayed call"]
    coroutine = internals.coroutine_of(deferred)
    code = getattr(coroutine, "cr_code", None) or getattr(coroutine, "gi_code", None)
    if code is None or is_machinery(code.co_filename):
        return []
    return [shortened(coroutine.__qualname__.rpartition("<locals>.")[2]) + "()"]


def _eventual_result(
    value: EventualResult, cell_name: CellName | None, depth: int
) -> State:
    kind = type_name(value)
    if crochet_internals.is_done(value):
        return ended(kind, crochet_internals.outcome(value), cell_name, depth)
    origin = crochet_internals.deferred_of(value)
    waits_on = () if origin is None else _waits_on(origin)
    return State(kind, "pending", waits_on=waits_on)


def _delayed_call(value: DelayedCall, depth: int) -> State:
    state: Any = "pending"
    if value.called or value.cancelled:
        state = "called" if value.called else "cancelled"
    if not hasattr(value, "func"):  # Twisted forgets it with the cancellation
        return State(type_name(value), state)
    words = [_in_one_line(each, depth) for each in value.args]
    words += [f"{name}={_in_one_line(each, depth)}" for name, each in value.kw.items()]
    arguments = shortened(", ".join(words), _ARGUMENTS)
    return State(type_name(value), state, of=f"{_name(value.func)}({arguments})")


def _name(function: Any) -> str:
    """``module.qualname`` of what is called; no module for a cell's own."""
    function = bare(function)
    name = getattr(function, "__qualname__", None)
    if not isinstance(name, str):  # an object that can be called
        function = type(function)
        name = str(function.__qualname__)
    module = getattr(function, "__module__", None)
    if isinstance(module, str) and module not in ("__main__", "builtins"):
        name = f"{module}.{name}"
    return shortened(name)


def _in_one_line(value: Any, depth: int) -> str:
    """With those of the ``KINDS`` that are in it as they are shown alone."""
    if depth >= _DEPTH:
        return "..."
    inner = lambda each: text(state_of(each, depth=depth + 1))  # noqa: E731
    return one_line(value, dict.fromkeys(KINDS, inner))
