"""
Cells that were asked for and have not ended: starting them, and stopping them.
"""

from __future__ import annotations

import asyncio
from asyncio import AbstractEventLoop
from collections.abc import Callable
from typing import Any

from ..awaiting_cell import Message
from ..stops import CellInterrupted
from .executing import Order, text_of
from .requests import Request
from .running import ConsoleCell
from .telling import tell_from
from .thread_cells import ThreadCell

# Seconds after which an interrupted cell that awaits lets go of what it awaits, and
# after which it is not waited for any more. The prompt is to be back in 0.3 s.
LET_GO_AFTER = 0.12
GIVE_UP_AFTER = 0.22

# The same for a cell in a thread of its own, which has no reactor to come to it.
GIVE_UP_THREAD_AFTER = 1.0

# The same, after that, for one that is showing what has ended it.
LAST_AFTER = 1.0

# Seconds between two looks whether the signal has reached the cell's own code, and
# how many looks.
REMIND_EACH = 0.05
REMINDERS = 40

IN_A_CALL = ": its thread is in a call that Python can't interrupt, and ends after that"


class Unfinished:
    """
    One cell, as the kernel's thread sees it.

    Attributes:
        request: Who asked for it.
        order: What they asked for.
        reply: The content of the reply, when there is one.

    Thread:
        The kernel's.
    """

    def __init__(
        self,
        request: Request,
        order: Order,
        loop: AbstractEventLoop,
        show_error: Callable[[Request, dict[str, Any]], object],
    ) -> None:
        self.request = request
        self.order = order
        self.reply: asyncio.Future[dict[str, Any]] = loop.create_future()
        self.cell: ConsoleCell | ThreadCell | None = None
        self.made = loop.time()
        self.told_of_wait = False  # the client, that the reactor does not come to it
        self.told_of_turn = 0  # the turn of which the client was told that it is long
        self._loop = loop
        self._show_error = show_error
        self._interrupting: asyncio.Task[None] | None = None

    # -- Its end -----------------------------------------------------------

    def told(self, message: Message) -> None:
        """What the reactor thread tells. Reactor thread."""
        if message is Message.DONE:
            tell_from(self._loop, self.ended)

    def ended(self) -> None:
        """The cell has ended by itself."""
        cell = self.cell
        assert cell is not None
        if self.reply.done():
            return
        if isinstance(cell, ConsoleCell) and cell.abandoned is not None:
            self._fail(CellInterrupted("the application ends"))
        elif cell.error is None:
            assert cell.outcome is not None
            self.reply.set_result(cell.outcome)
        else:
            self._fail(cell.error)

    def _fail(self, error: BaseException) -> None:
        """End it with an error that its own code has not shown."""
        if not self.reply.done():
            content = self._reply_with(error)
            if self.request.claim_end():
                self._show_error(self.request, content)

    def _reply_with(self, error: BaseException) -> dict[str, Any]:
        """Reply with ``error``, if there is no reply; gives its content."""
        name, text = type(error).__name__, text_of(error)
        content = {
            "ename": name,
            "evalue": text,
            "traceback": [f"{name}: {text}" if text else name],
        }
        if not self.reply.done():
            self.reply.set_result(
                {
                    "status": "error",
                    **content,
                    "execution_count": self.request.number,
                    "user_expressions": {},
                    "payload": [],
                }
            )
        return content

    # -- Stopping it -------------------------------------------------------

    def interrupt(self, why_not: Callable[[], str]) -> None:
        """
        End it with a KeyboardInterrupt.

        Args:
            why_not: Gives what the reactor thread does instead of reaching it.
        """
        if self.reply.done() or self.cell is None:
            return
        if isinstance(self.cell, ThreadCell):
            if self.cell.stop():
                wait = GIVE_UP_THREAD_AFTER
                self._loop.call_later(wait, self._see_to_thread, self.cell)
            else:
                self._loop.call_later(REMIND_EACH, self.interrupt, why_not)
        elif self.cell.drop():
            self._fail(
                CellInterrupted(
                    "the cell was dropped, and has not run: the reactor did not "
                    f"come to it{why_not()}"
                )
            )
        else:
            self.cell.stop(CellInterrupted)
            if self._interrupting is None or self._interrupting.done():
                self._interrupting = self._loop.create_task(
                    self._see_to_it(self.cell, why_not)
                )

    def _see_to_thread(self, cell: ThreadCell) -> None:
        if cell.running:  # else its error is being shown
            self.give_up(IN_A_CALL)

    async def _see_to_it(self, cell: ConsoleCell, why_not: Callable[[], str]) -> None:
        began = self._loop.time()
        let_go = ran = False
        for _ in range(REMINDERS):
            await asyncio.wait([self.reply], timeout=REMIND_EACH)
            if self.reply.done():
                return
            runs = cell.running
            if runs:
                cell.remind()
            if runs or ran or cell.done:
                # From when it runs no more: it may have ended just now, and the news
                # be on its way.
                began, ran = self._loop.time(), runs
                continue
            waited = self._loop.time() - began
            if waited > LET_GO_AFTER and not let_go:
                let_go = True
                cell.let_go()
            if waited > GIVE_UP_AFTER:
                self.give_up(why_not())
                return

    def give_up(self, why: str) -> None:
        """
        Reply now, if there is none; the cell ends when the reactor comes to it.

        Not while the cell itself is showing what has ended it: its reply follows.
        """
        if self.reply.done():
            return
        error = CellInterrupted(
            "the cell was told to stop, and has not done so yet; it is not "
            f"waited for any more{why}"
        )
        if not self.request.claim_end():
            self._loop.call_later(LAST_AFTER, self._reply_with, error)
            return
        self.request.abandoned = True
        if isinstance(self.cell, ConsoleCell):
            self.cell.abandoned = lambda: None
        self._show_error(self.request, self._reply_with(error))
