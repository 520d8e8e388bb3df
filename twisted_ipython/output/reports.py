"""
How a failure that nobody handled is reported: on stderr, under its cell.
"""

from __future__ import annotations

import linecache
import re
import sys
from contextlib import suppress
from typing import Any

from IPython import get_ipython
from twisted.internet.defer import FirstError
from twisted.python.failure import Failure

from ..internals.ipython import cell_number
from ..origins import ORIGIN
from ..tracebacks import HiddenFrames, is_machinery, users_part, with_origins

_SHOWN = "_twisted_ipython_shown"


def exception_of(failure: Failure | BaseException) -> BaseException:
    """The exception itself."""
    error = failure.value if isinstance(failure, Failure) else failure
    assert error is not None  # only of a Failure that was never filled
    return error


def mark_shown(error: BaseException) -> None:
    """
    Remember that the user was shown ``error``, and what it came from.

    Thread:
        Any.
    """
    for one in with_origins(error):
        shown = [one]
        if isinstance(one, FirstError) and one.subFailure.value is not None:
            shown.append(one.subFailure.value)
        for each in shown:
            with suppress(Exception):  # of an exception with a will of its own
                setattr(each, _SHOWN, True)


def was_shown(error: BaseException | None) -> bool:
    """Whether the user has seen it, in a cell or in a report. Any thread."""
    with suppress(Exception):  # of an exception with a will of its own
        return hasattr(error, _SHOWN)
    return False


def report(heading: str, failure: Failure | BaseException, made_at: list[str]) -> None:
    """
    Print what failed, with the user's part of its traceback.

    Args:
        heading: What has happened, for a person.
        made_at: The stack that made it, as text, outermost first; or empty.

    Thread:
        Reactor thread, in the context of what failed.
    """
    origin = ORIGIN.get()
    error = exception_of(failure)
    shell = get_ipython() if origin is None else origin.shell
    lines = [f"{heading}:"]
    place = _made_at(shell, made_at)
    if place:
        lines.append(f"made at {place}")
    lines.append(_traceback(shell, failure, error))
    _say("\n".join(lines))
    mark_shown(error)


def report_more(name: str, count: int) -> None:
    """
    Print that so many more failed with exceptions of that name.

    Thread:
        Reactor thread, in the context of one of them.
    """
    _say(f"{count} more of {ORIGIN.get()} failed with {name} at the same time")


def _traceback(
    shell: Any, failure: Failure | BaseException, error: BaseException
) -> str:
    if error.__traceback__ is None and isinstance(failure, Failure) and failure.frames:
        return _of_frames(shell, failure)  # an older Twisted keeps them as text
    hidden, whole = HiddenFrames(), error.__traceback__
    error.__traceback__ = users_part(whole)
    hidden.hide(error)
    try:
        tb = shell.InteractiveTB
        return str(
            tb.stb2text(
                tb.structured_traceback(
                    type(error), error, error.__traceback__, tb_offset=0
                )
            )
        )
    except Exception:  # of an exception that can't be shown
        return f"{type(error).__name__} (which can't be shown: its own code fails)"
    finally:
        hidden.show(error)
        error.__traceback__ = whole


def _of_frames(shell: Any, failure: Failure) -> str:
    lines = ["Traceback (most recent call last)"]
    for name, filename, number, *_ in failure.frames:
        if not is_machinery(filename):
            lines.append(f"  {_place(shell, filename, number)}, in {name}")
            lines.append(f"    {linecache.getline(filename, number).strip()}")
    return "\n".join(
        [*lines, f"{type(failure.value).__name__}: {failure.getErrorMessage()}"]
    )


def _place(shell: Any, filename: str, number: int) -> str:
    cell = cell_number(shell, filename)
    if cell is None:
        return f"File {filename}:{number}"
    return f"Cell In[{cell}], line {number}"


_STACK_LINE = re.compile(r'\s*File "(?P<file>.*)", line (?P<number>\d+)')


def _made_at(shell: Any, stack: list[str]) -> str:
    """The innermost line of a cell, or else of the user's; "" if there is none."""
    place = ""
    for entry in stack:
        match = _STACK_LINE.match(entry)
        if match is None or is_machinery(match["file"]):
            continue
        in_cell = cell_number(shell, match["file"]) is not None
        if in_cell or not place.startswith("Cell"):
            place = _place(shell, match["file"], int(match["number"]))
            place += ": " + entry.strip().splitlines()[-1].strip()
    return place


def _say(text: str) -> None:
    print(text, file=sys.stderr)
