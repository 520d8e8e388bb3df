"""
What keeps the reactor thread busy, and how to get it out of there.
"""

from __future__ import annotations

import linecache
import os
import sys
import sysconfig
from collections.abc import Iterator
from types import FrameType

from .internals.cpython import set_async_exc
from .stops import CellInterrupted
from .tracebacks import is_machinery

_LIBRARY = tuple(
    path + os.sep
    for path in {sysconfig.get_path("stdlib"), sysconfig.get_path("platstdlib")}
)


def break_in(thread_id: int) -> None:
    """
    Raise KeyboardInterrupt in the code of the user's that ``thread_id`` runs.

    Does nothing if there is none on its stack: then the thread waits, or is in
    the reactor's own code, and an exception would only do harm there.

    Thread:
        Any but that one.
    """
    if next(_user_frames(thread_id), None) is not None:
        set_async_exc(thread_id, CellInterrupted)


def where_busy(thread_id: int) -> str:
    """`` (Cell In[3], line 2: time.sleep(60))``, or nothing if not known."""
    frame = next(_user_frames(thread_id), None)
    if frame is None:
        return ""
    name, line = frame.f_code.co_filename, frame.f_lineno
    source = linecache.getline(name, line).strip()
    return f" ({display_name(name)}, line {line}: {source})"


def display_name(filename: str) -> str:
    """How IPython calls the file: a cell by its number, else by its name."""
    from IPython.core.getipython import get_ipython

    shell = get_ipython()
    if shell is not None:
        found = shell.compile.format_code_name(filename)
        if found is not None:
            return " ".join(found)
    return os.path.basename(filename)


def _user_frames(thread_id: int) -> Iterator[FrameType]:
    """The frames of the user's code, the innermost first."""
    frame = sys._current_frames().get(thread_id)
    while frame is not None:
        if not is_library(frame.f_code.co_filename):
            yield frame
        frame = frame.f_back


def is_library(filename: str) -> bool:
    """Whether it is no code of the user's: Python's, Twisted's, the shell's, ours."""
    if is_machinery(filename) or filename.startswith("<frozen"):
        return True
    if os.sep + "site-packages" + os.sep in filename:
        return any(each in filename for each in _LIBRARIES)
    return filename.startswith(_LIBRARY)


# ipykernel 6 calls what each thread runs from a function of its own.
_LIBRARIES = [
    f"{os.sep}site-packages{os.sep}{each}{os.sep}"
    for each in ("twisted", "IPython", "ipykernel")
]
