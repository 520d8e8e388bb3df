"""
How a failure that nobody handled is reported: on stderr, under its cell.
"""

from __future__ import annotations

import linecache
import re
import sys
import traceback
from contextlib import suppress
from typing import Any

from IPython import get_ipython
from twisted.internet.defer import FirstError
from twisted.python.failure import Failure

from ..internals.ipython import cell_number
from ..origins import ORIGIN
from ..tracebacks import HiddenFrames, is_machinery, members, users_part, with_origins
from ..values.short_texts import type_name

_SHOWN = "_twisted_ipython_shown"


def exception_of(failure: Failure | BaseException) -> Any:
    """The exception itself; of a Failure from elsewhere, maybe its text alone."""
    return failure.value if isinstance(failure, Failure) else failure


def mark_shown(error: Any) -> None:
    """
    Remember that the user was shown ``error``, and what it came from.

    Thread:
        Any.
    """
    for one in with_origins(error) if isinstance(error, BaseException) else ():
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


def _traceback(shell: Any, failure: Failure | BaseException, error: Any) -> str:
    """What a person reads of it, whatever the exception's own code does."""
    try:
        if not isinstance(error, BaseException):  # of a Failure from elsewhere
            return str(failure)
        if isinstance(failure, Failure) and error.__traceback__ is None:
            return _of_frames(shell, failure)  # an older Twisted keeps them as text
        if members(error):
            return "".join(traceback.format_exception(error))
        return _of_exception(shell, error)
    except BaseException:
        return f"{type_name(error)} (its own code fails when it is shown)"


def _of_exception(shell: Any, error: BaseException) -> str:
    hidden, whole = HiddenFrames(), error.__traceback__
    printer = shell.InteractiveTB
    tb = getattr(printer, "tb", None)  # what %debug goes by: of what a cell has shown
    error.with_traceback(users_part(whole))
    hidden.hide(error)
    try:
        lines = printer.structured_traceback(
            type(error), error, error.__traceback__, tb_offset=0
        )
        return str(printer.stb2text(lines))
    finally:
        hidden.show(error)
        error.with_traceback(whole)
        if tb is not None:
            printer.tb = tb


def _of_frames(shell: Any, failure: Failure) -> str:
    lines = ["Traceback (most recent call last)"]
    for name, filename, number, *_ in failure.frames:
        if not is_machinery(filename):
            lines.append(f"  {_place(shell, filename, number)}, in {name}")
            lines.append(f"    {linecache.getline(filename, number).strip()}")
    return "\n".join(
        [*lines, f"{type_name(failure.value)}: {failure.getErrorMessage()}"]
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
