"""
What clients are told while they wait: that a cell has the reactor thread for long, or that
the reactor does not come to it.
"""

from __future__ import annotations

import time
from asyncio import AbstractEventLoop
from collections.abc import Callable

from .running import ConsoleCell
from .unfinished import Unfinished

# Seconds after which a cell that has the reactor thread says so, and one that the
# reactor has not come to; and between two looks.
LONG_TURN = 1.0
LONG_WAIT = 2.0
LOOK_EACH = 0.2


class Watch:
    """
    Args:
        cells: Those that have not ended.
        tell: Shows a text under a cell.
        why_not: Gives, for a sentence, what the reactor thread does instead.

    Thread:
        The kernel's.
    """

    def __init__(
        self,
        cells: list[Unfinished],
        loop: AbstractEventLoop,
        tell: Callable[[Unfinished, str], object],
        why_not: Callable[[], str],
    ) -> None:
        self._cells = cells
        self._loop = loop
        self._tell = tell
        self._why_not = why_not
        self._looks = False  # whether ``_look`` will be called

    def begin(self) -> None:
        """There is a cell; look at them until there is none."""
        if not self._looks:
            self._looks = True
            self._loop.call_later(LOOK_EACH, self._look)

    def _look(self) -> None:
        for unfinished in self._cells:
            cell = unfinished.cell
            if isinstance(cell, ConsoleCell):
                if not cell.begun:
                    self._look_at_waiting(unfinished)
                elif cell.running:
                    self._look_at_running(unfinished, cell)
        self._looks = False
        if self._cells:
            self.begin()

    def _look_at_running(self, unfinished: Unfinished, cell: ConsoleCell) -> None:
        turn, held = cell.turns, time.monotonic() - cell.since
        if held > LONG_TURN and turn != unfinished.told_of_turn:
            unfinished.told_of_turn = turn
            self._tell(
                unfinished,
                f"this cell has had the reactor thread for {held:.0f} s: the "
                "application waits for it. Ctrl-C interrupts it.\n",
            )

    def _look_at_waiting(self, unfinished: Unfinished) -> None:
        if self._loop.time() - unfinished.made < LONG_WAIT or unfinished.told_of_wait:
            return
        unfinished.told_of_wait = True
        self._tell(
            unfinished,
            f"the reactor has not come to this cell yet{self._why_not()}\n"
            "Ctrl-C drops it; a %%thread cell runs all the same.\n",
        )
