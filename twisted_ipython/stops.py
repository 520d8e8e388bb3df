"""
What ends a cell: an exception, thrown into it or raised where its code runs.
"""

from __future__ import annotations

import asyncio


class CellStop(asyncio.CancelledError):
    """
    Thrown into a cell to end it.

    A ``CancelledError``, so that clean-up written for asyncio runs, and not
    an ``Exception``, so that ``except Exception`` does not keep a cell alive.
    """

    @property
    def unwanted(self) -> bool:
        """Whether the user was told already how the cell ended."""
        return False

    def shown(self) -> BaseException:
        """What the user is shown in its place."""
        return self


class CellInterrupted(KeyboardInterrupt, CellStop):
    """Thrown into a cell that was interrupted, and shown as it is."""


# What a person reads is the name of the built-in exception: that is what was
# asked for, and what `except KeyboardInterrupt` in a cell catches.
CellInterrupted.__name__ = CellInterrupted.__qualname__ = "KeyboardInterrupt"


class LeftoverInterrupted(CellStop):
    """
    Thrown into what a cell has left behind, where that holds the reactor.

    No KeyboardInterrupt: asyncio would end its loop with it.
    """

    def __str__(self) -> str:
        return "what a cell had left held the reactor, and was interrupted"
