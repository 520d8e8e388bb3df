"""
Something that a cell started and that goes on, while it is looked at.

Live objects: made, used and dropped in one turn of the reactor, or until what
was to stop has stopped.
"""

from __future__ import annotations

import inspect
import types
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from ..contexts import bare
from ..internals.ipython import cell_number
from ..origins import Origin


def _nothing() -> None:
    pass


@dataclass
class Going:
    """
    Attributes:
        thing: What it is known by: hashable, and can be referred to weakly.
        kind: As in ``activities``.
        text: What it is, for a person.
        origin: The cell that started it.
        since: When it began, as ``time.time()``.
        stop: Stops it, or tells it to.
        is_over: Whether it has stopped.
        insist: The same as ``stop``, by force, for what does not stop.

    Thread:
        Reactor thread.
    """

    thing: Any
    kind: str
    text: str
    origin: Origin
    since: float
    stop: Callable[[], object]
    is_over: Callable[[], bool]
    insist: Callable[[], object] = _nothing


def function_name(function: Any, origin: Origin | None = None) -> str:
    """
    ``poll()``, for a person who looks for it; of one without a name, that which
    ``origin`` knows of its place, too.
    """
    function = bare(function)
    name = getattr(function, "__qualname__", None) or type(function).__qualname__
    short = name.rpartition("<locals>.")[2]
    if not short.endswith(">"):
        return f"{short}()"
    code = getattr(function, "__code__", None)
    if origin is None or code is None:
        return short
    return short + _line_text(origin, code.co_filename, code.co_firstlineno)


def chain(coroutine: Any) -> Iterator[Any]:
    """A coroutine or generator, what it awaits, what that awaits, ..."""
    seen = set()  # a broken __await__ must not hold the reactor
    while coroutine is not None and id(coroutine) not in seen:
        seen.add(id(coroutine))
        yield coroutine
        coroutine = getattr(
            coroutine, "cr_await", getattr(coroutine, "gi_yieldfrom", None)
        )


def frame_of(coroutine: Any) -> types.FrameType | None:
    """The frame of a suspended coroutine or generator."""
    frame = getattr(coroutine, "cr_frame", getattr(coroutine, "gi_frame", None))
    return frame if inspect.isframe(frame) else None


def place_text(coroutine: Any, origin: Origin) -> str:
    """
    `` at Cell In[3], line 4``: the innermost line of a cell that it is at; where
    it is in none, the line that it is at itself; empty if that is not known.
    """
    frames = [frame for each in chain(coroutine) if (frame := frame_of(each))]
    for frame in reversed(frames):
        if cell_number(origin.shell, frame.f_code.co_filename) is not None:
            return _line_text(origin, frame.f_code.co_filename, frame.f_lineno)
    if not frames:
        return ""
    return _line_text(origin, frames[0].f_code.co_filename, frames[0].f_lineno)


def _line_text(origin: Origin, filename: str, line: int) -> str:
    number = cell_number(origin.shell, filename)
    if number is None:
        return f" at {filename}:{line}"
    return f" at Cell In[{number}], line {line}"
