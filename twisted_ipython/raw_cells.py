"""
The text of the cell that is running, as the user typed it.

A magic is given its own lines only, without those above it; the numbers of
lines that a frontend shows count from the top of the cell.
"""

from __future__ import annotations

import threading
from typing import Any


class RawCells:
    """
    Thread:
        Any: each thread has its own cell (shell threads and reactor thread).
    """

    def __init__(self) -> None:
        self._local = threading.local()

    def note(self, info: Any) -> None:
        """IPython's event ``pre_run_cell``."""
        self._local.cell = info.raw_cell

    def current(self) -> str | None:
        """The cell that is running in this thread, if there was one."""
        return getattr(self._local, "cell", None)
