"""
Interrupts: which cell one is meant for, and what there is besides cells to end.
"""

from __future__ import annotations

import asyncio
from asyncio import AbstractEventLoop
from collections.abc import Callable
from datetime import datetime, timezone
from typing import Any

from .lanes import Lane, Lanes
from .reactor_side import ReactorSide
from .requests import Request
from .telling import tell_from
from .unfinished import Unfinished

# Seconds that the reactor has to answer after an interrupt, before what the client's
# cells have left there is interrupted.
FREE_AFTER = 0.08


class Interrupts:
    """
    Args:
        cells: Those that have not ended.
        why_not: Gives, for a sentence, what the reactor thread does instead.
        break_in: Interrupts what cells have left that holds the reactor; takes the
            names of their files.

    Thread:
        The kernel's.
    """

    def __init__(
        self,
        cells: list[Unfinished],
        lanes: Lanes,
        reactor_side: ReactorSide,
        loop: AbstractEventLoop,
        why_not: Callable[[], str],
        break_in: Callable[[set[str]], object],
    ) -> None:
        self._cells = cells
        self._lanes = lanes
        self._reactor_side = reactor_side
        self._loop = loop
        self._why_not = why_not
        self._break_in = break_in

    def stop(self, request: Request) -> None:
        """Stop the cell that an interrupt is meant for, if there is one."""
        cell = self._meant_by(request)
        if cell is None:
            return
        asked, interrupted = date_of(cell.request.header), date_of(request.header)
        if asked is not None and interrupted is not None and interrupted < asked:
            return  # it was sent before the cell was
        cell.interrupt(self._why_not)

    def stop_all_of(self, session: str) -> None:
        """Stop every cell of that client's."""
        for cell in list(self._cells):
            if cell.request.session == session:
                cell.interrupt(self._why_not)

    def _meant_by(self, request: Request) -> Unfinished | None:
        """
        The client's own; for a session that never sent a cell, as the one of a Jupyter
        server's manager, the newest that came from the same process.
        """
        session = request.session
        if self._lanes.has(session):
            own = [cell for cell in self._cells if cell.request.session == session]
            return own[0] if own else None
        pid = request.peer[1]
        if pid is None:
            return None
        same = [
            cell
            for cell in self._cells
            if cell.request.client is not None and cell.request.client.pid == pid
        ]
        return same[-1] if same else None

    async def free_reactor(self, request: Request) -> None:
        """If what a client's cells have left holds the reactor, interrupt that."""
        if not self._lanes.has(request.session):
            return
        lane = self._lanes.of(request.session)
        if lane.freeing:
            return
        lane.freeing = True
        try:
            if not await self._answers():
                self._free_from(lane)
        finally:
            lane.freeing = False

    async def _answers(self) -> bool:
        """Whether the reactor does, in time."""
        answered = asyncio.Event()
        self._reactor_side.call(tell_from, self._loop, answered.set)
        try:
            await asyncio.wait_for(answered.wait(), FREE_AFTER)
        except asyncio.TimeoutError:
            return False
        return True

    def _free_from(self, lane: Lane) -> None:
        question = self._reactor_side.answering
        if question is None:
            self._break_in(lane.files)
        elif self._lanes.has(question.session):
            if self._lanes.of(question.session) is lane:
                self._reactor_side.break_off(question)


def date_of(header: dict[str, Any]) -> datetime | None:
    """When a message was sent; None if it does not say."""
    date = header.get("date")
    if isinstance(date, str):
        try:
            date = datetime.fromisoformat(date.replace("Z", "+00:00"))
        except ValueError:
            return None
    if not isinstance(date, datetime):
        return None
    return date if date.tzinfo else date.replace(tzinfo=timezone.utc)
