"""
The runner that ``%autoawait twisted`` names: one awaiting cell, start to end.

IPython calls it in the shell thread with the coroutine of a cell. It hands the
coroutine to the reactor thread, and waits for messages: that the cell has
ended, that it is to be stopped, or that its time is up.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextvars import Context, copy_context
from queue import Empty, SimpleQueue
from time import monotonic
from typing import Any

from . import waiting
from .awaiting_cell import Cell, Message
from .errors import (
    CannotAwait,
    CellTimedOut,
    CellTimeout,
    shown,
)
from .internals.ipython import is_capture
from .interrupts import Inbox, Interrupts
from .settings import TwistedIPython
from .shared_reactor import STOPPED, SharedReactor
from .stops import CellInterrupted, CellStop
from .stuck import break_in, where_busy

# What is done for a cell that is to stop and does not, in seconds after it was
# asked to: raise in the reactor thread where other code holds that up; no longer
# wait for what the cell awaits; interrupt its clean-up; give the prompt back.
BREAK_IN_AFTER = 0.4
LET_GO_AFTER = 1.2
INSIST_AFTER = 2.0
ABANDON_AFTER = 2.5


class Runner:
    """
    IPython's ``loop_runner`` for Twisted.

    Thread:
        Called in a shell thread: the main one, or a subshell's.
    """

    def __init__(
        self,
        shell: Any,
        settings: TwistedIPython,
        shared: SharedReactor,
        interrupts: Interrupts,
    ) -> None:
        self._shell = shell
        self._settings = settings
        self._shared = shared
        self._interrupts = interrupts
        self._local = threading.local()

    def __str__(self) -> str:
        return "twisted"  # what %autoawait shows

    @property
    def takes_plain_cells(self) -> bool:
        """Whether those run in the reactor thread, too. Any thread."""
        return bool(self._settings.cells == "reactor")

    def takes(self, transformed_cell: str, awaits: bool) -> bool:
        """
        Whether a cell is for the reactor thread: those that await, and all
        where the setting ``cells`` says so.

        Thread:
            The shell thread, just before it calls this runner or does not.
        """
        self._local.plain = False
        if (
            awaits
            or not self.takes_plain_cells
            or self._shell.loop_runner is not self
            or self._shared.in_reactor_thread()
            # What it captures may await, which nothing can in the reactor thread
            # that is not a cell itself.
            or is_capture(transformed_cell)
        ):
            return awaits
        self._local.plain = True
        return True

    def __call__(self, coro: Any) -> Any:
        """
        Run ``coro`` in the reactor thread; gives its result.

        Raises:
            CannotAwait: It did not begin: the reactor has stopped, or this is
                the reactor thread.
            KeyboardInterrupt, CellTimeout: It was stopped, and ``coro`` itself
                did not show that as its own error.
        """
        cell = None
        try:
            self._shared.check()
            inbox: Inbox = SimpleQueue()
            context = copy_context()
            handling = self._interrupts.enter(inbox)
            try:
                cell = Cell(coro, context, self._shared.host, inbox.put)
                Waiting(cell, inbox, self._timeout(), self._shared).wait()
            finally:
                self._interrupts.leave(inbox, handling)
        finally:
            if cell is None:
                coro.close()
        carry_over(cell.context)
        return result_of(cell)

    def _timeout(self) -> float | None:
        # A person in the debugger (%pdb) takes the time that it takes.
        # And a plain cell waits for nothing.
        plain = getattr(self._local, "plain", False)
        self._local.plain = False
        return None if plain or self._shell.call_pdb else self._settings.timeout


class Waiting:
    """
    The shell thread's side of one cell.

    Thread:
        Shell thread.
    """

    def __init__(
        self, cell: Cell, inbox: Inbox, timeout: float | None, shared: SharedReactor
    ) -> None:
        self._cell = cell
        self._inbox = inbox
        self._timeout = timeout
        self._shared = shared

    def wait(self) -> None:
        """
        Start the cell and wait until it has ended, or is given up.

        Raises:
            KeyboardInterrupt, CellTimeout, CannotAwait: It was given up.
        """

        def reactor_stopped() -> None:
            self._inbox.put(Message.REACTOR_STOPPED)

        self._shared.when_stopped.add(reactor_stopped)
        try:
            self._cell.start()
            try:
                message = self._next(self._timeout)
            except BaseException:  # of a signal handler of the user's
                self._end(Message.INTERRUPT)
                raise
            if message is not Message.DONE:
                self._end(message)
        finally:
            self._shared.when_stopped.discard(reactor_stopped)

    def _next(self, seconds: float | None) -> Message | None:
        """The next message; None if none comes in time."""
        try:
            return waiting.get(self._inbox, seconds)
        except Empty:
            return None
        except KeyboardInterrupt:  # from a SIGINT handler that is not ours
            return Message.INTERRUPT

    def _end(self, message: Message | None) -> None:
        """Stop the cell, the harder the longer it takes."""
        reason: type[CellStop] = CellInterrupted
        if message is None:
            assert self._timeout is not None
            reason = CellTimedOut.after(self._timeout)
        began = monotonic()
        heard = False
        patient = True  # the cell has had the time to show its error

        def break_in_unless_heard() -> None:
            if not heard:
                self._break_in()

        steps: list[tuple[float, Callable[[], object]]] = [
            (BREAK_IN_AFTER, break_in_unless_heard),
            (LET_GO_AFTER, self._cell.let_go),
            (INSIST_AFTER, lambda: self._cell.stop(reason, insist=patient)),
            (ABANDON_AFTER, lambda: self._abandon(reason)),
        ]
        if message is not Message.REACTOR_STOPPED:
            self._cell.stop(reason)
        for after, step in steps:
            while True:
                if message is Message.DONE:
                    return
                if message is Message.REACTOR_STOPPED:
                    self._lose()
                if message is Message.SHUTDOWN:
                    patient = False
                    began = min(began, monotonic() - INSIST_AFTER)
                message = self._next(began + after - monotonic())
                if message is None:
                    break
                if message is Message.HEARD:
                    heard = True
                elif message is Message.INTERRUPT:
                    self._cell.stop(reason)
            step()

    def _break_in(self) -> None:
        # Not into a cell that somebody waits for, and stops.
        running = self._shared.host.running
        if running is None or running.abandoned is not None:
            break_in(self._shared.host.thread_id)

    def _abandon(self, reason: type[CellStop]) -> None:
        """Give the prompt back while the cell goes on."""
        cell, began = self._cell, monotonic()

        def ended() -> None:
            # Reactor thread, in the cell's context.
            print(
                "the cell that could not be stopped has ended, "
                f"{monotonic() - began + ABANDON_AFTER:.0f} s after it was told to"
            )

        where = where_busy(self._shared.host.thread_id)
        note = not_begun_text(where) if not cell.begun else stuck_text(cell, where)
        cell.abandoned = ended if cell.begun else (lambda: None)
        if cell.done:  # just now
            cell.abandoned = None
            return
        if issubclass(reason, CellTimedOut):
            raise CellTimeout(reason.seconds, stuck=note)
        raise CellInterrupted(note)

    def _lose(self) -> None:
        # Nobody will resume it. Closing it here would run its `finally` blocks in
        # this thread; let it rest, since the garbage collector would do the same.
        lost_cells.append(self._cell)
        raise CannotAwait(STOPPED)


lost_cells: list[Cell] = []


def result_of(cell: Cell) -> Any:
    """
    What IPython gets from the cell: mostly an ``ExecutionResult``, in which a
    cell that was cancelled for its time says so.
    """
    if cell.error is not None:
        raise shown(cell.error)
    error = getattr(cell.outcome, "error_in_exec", None)
    if error is not None:
        cell.outcome.error_in_exec = shown(error)
    return cell.outcome


def carry_over(after: Context) -> None:
    """Set the context variables here that the cell has set."""
    before = copy_context()
    missing = object()
    for variable, value in after.items():
        if before.get(variable, missing) is not value:
            variable.set(value)


def not_begun_text(where: str) -> str:
    return (
        f"the cell was not begun, and won't be: the reactor thread is busy{where}; "
        "cells that await have to wait until it is free"
    )


def stuck_text(cell: Cell, where: str) -> str:
    if cell.running:
        return (
            "the cell could not be stopped yet: it is in a call that Python can't "
            f"interrupt{where}. It ends when that call returns, and says so; until "
            "then the reactor is held up, and no cell can await. (A call that waits for "
            "the reactor itself never returns: then, restart.)"
        )
    if where:
        return (
            f"the cell could not be stopped yet: other code has the reactor{where}. "
            "It ends when that returns, and says so; until then no cell can await"
        )
    return (
        "the cell was told to stop and goes on, catching what should end it; it "
        "says so when it has ended"
    )
