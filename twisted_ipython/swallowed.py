"""
An exception that must not be lost in a callback.

What is raised in a cell's code may come up in a callback that the cell called.
Deferreds, and tasks that begin at once, put aside whatever a callback raises, and
the cell would go on as if nothing had been.
"""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable
from types import CodeType, FrameType
from typing import Any

from twisted.internet import defer
from twisted.python.failure import Failure

from . import bridge
from .internals.cpython import show_returning
from .internals.twisted import deferred_failing_in, mark_handled
from .stops import CellStop

# Of code whose frames "return", for a tracer, at each await or yield.
_SUSPENDS = inspect.CO_COROUTINE | inspect.CO_GENERATOR | inspect.CO_ASYNC_GENERATOR

# Their code catches everything that the code it calls raises.
_CATCHING = {defer.__file__, bridge.__file__}


def raise_again(
    error: Callable[[], BaseException], bottom: CodeType
) -> Callable[[], None]:
    """
    Raise ``error()`` at the next line of the cell's code, or where that returns, if what
    is raised now comes up where it would be put aside; else, do nothing.

    Args:
        bottom: The code of the driver's frame, below the cell's.

    Returns:
        What calls that off.

    Thread:
        Reactor thread, while the exception that is raised now is being made.
    """
    frames = _frames_above(bottom)
    catching = next(
        (n for n, each in enumerate(frames) if each.f_code.co_filename in _CATCHING),
        None,
    )
    if catching is None:
        return lambda: None
    own = [each for each in frames[:catching] if not _is_shell(each)]
    found = [deferred_failing_in(each) for each in frames[catching:]]
    failing = [deferred for deferred in found if deferred is not None]

    def trace(frame: FrameType, event: str, argument: Any) -> Any:
        returns = event == "return" and not frame.f_code.co_flags & _SUSPENDS
        if event != "line" and not returns:
            return trace
        call_off()
        for deferred in failing:  # it is put aside there no more
            result = getattr(deferred, "result", None)
            if isinstance(result, Failure) and isinstance(result.value, CellStop):
                mark_handled(deferred, result)
        raised = error()
        if returns:
            show_returning(frame, raised)
        raise raised

    before = sys.gettrace()

    def call_off() -> None:
        for each in own:
            each.f_trace = None
        sys.settrace(before)

    sys.settrace(lambda frame, event, argument: None)  # frames ask for their own
    for each in own:
        each.f_trace = trace
    return call_off


def _frames_above(bottom: CodeType) -> list[FrameType]:
    """This thread's frames above that of ``bottom``, the outermost first."""
    found: list[FrameType] = []
    frame: FrameType | None = sys._getframe(1)
    while frame is not None:
        if frame.f_code is bottom:
            return found[::-1]
        found.append(frame)
        frame = frame.f_back
    return []


def _is_shell(frame: FrameType) -> bool:
    return str(frame.f_globals.get("__name__")).startswith("IPython.")
