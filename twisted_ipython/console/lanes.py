"""
Lanes: the cells of one client follow one another, those of others go on meanwhile.
"""

from __future__ import annotations

import asyncio


class Lane:
    """
    The cells of one client.

    Attributes:
        lock: Held by the one that runs.
        dropped: Those that came before this number are not run: one before them has
            failed.
        files: The names that they were compiled under.
        freeing: Whether it is being seen whether what they have left holds the reactor.
    """

    def __init__(self) -> None:
        self.lock = asyncio.Lock()
        self.dropped = 0
        self.files: set[str] = set()
        self.freeing = False


class Lanes:
    """
    The lanes, by the client's session.

    Thread:
        The kernel's.
    """

    def __init__(self) -> None:
        self._lanes: dict[str, Lane] = {}

    def has(self, session: str) -> bool:
        """Whether that client has sent a cell."""
        return session in self._lanes

    def of(self, session: str) -> Lane:
        """The lane of that client, which has one from now on."""
        return self._lanes.setdefault(session, Lane())

    def forget(self, session: str) -> None:
        """That client is gone."""
        self._lanes.pop(session, None)
