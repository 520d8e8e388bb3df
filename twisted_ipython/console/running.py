"""
One cell of a live console, on its way through the reactor thread.

Driven as the extension drives a cell that awaits (``awaiting_cell``), a turn at a
time. Around each turn the places in the process that are a cell's while it runs
(``places``) are set and put back, so that between two turns the application has all
that it had.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import Context
from functools import partial
from time import monotonic
from types import FrameType
from typing import Any

from ..awaiting_cell import Cell, Message
from ..hosts import Host
from ..internals.cpython import (
    end_child,
    get_signal_handler,
    set_signal_handler,
    wait_for_no_children,
)
from ..stops import CellInterrupted, CellStop
from .contained import Containment
from .places import Places
from .requests import Request

# What ends the application, as a service manager or a terminal sends it.
_ENDING = (signal.SIGTERM, signal.SIGINT)


class ConsoleCell(Cell):
    """
    Attributes:
        request: Who asked for it, and what it needs.
        since: When its code came onto the stack the last time, as
            ``time.monotonic()``; read while ``running``.
        turns: How many turns it has had; a name for the one that runs.

    Thread:
        Made, started, stopped and dropped in the kernel's thread; driven in the
        reactor thread.
    """

    def __init__(
        self,
        coro: Any,
        request: Request,
        context: Context,
        host: Host,
        places: Places,
        containment: Containment,
        tell: Callable[[Message], object],
        interruptible: Callable[[FrameType | None], bool],
        ending: Callable[[], object],
    ) -> None:
        super().__init__(coro, context, host, tell)
        self.request = request
        self.since = 0.0
        self.turns = 0
        self._places = places
        self._containment = containment
        self._interruptible = interruptible
        self._on_end = ending
        self._changed: dict[Any, Any] = {}
        self._excepthook: Any = None  # as the cell left it at its last await
        self._excepthook_before: Any = None  # as it was when the cell began
        # Who has it decides what becomes of a cell that the reactor has not reached:
        # the reactor thread, which begins it, or the kernel's, which drops it.
        self._taken = threading.Lock()
        if self.send_signal is None:  # a signal's handler can see where the cell is
            request.whole = self.whole

    @contextmanager
    def whole(self) -> Iterator[None]:
        """
        Around what its code does and is not broken off in the midst of: an interrupt
        that comes meanwhile is raised at the end.

        Raises:
            CellStop: Its code goes on with that.
        """
        here = threading.get_ident() == self._host.thread_id and self.running
        if not here or self._unstoppable:
            yield
            return
        with self.unstoppable():
            yield
        if self._cancel_due and self._stop is not None and not self._stopped:
            self._cancel_due = False
            raise self._stop()

    def may_be_hit(self) -> bool:
        # As in the handler of a signal. The thread goes on after the look, but hardly
        # before what follows it: it would have to be given the interpreter in between.
        return self._interruptible(sys._current_frames().get(self._host.thread_id))

    def drop(self) -> bool:
        """See that it never begins; False if it has."""
        if not self._taken.acquire(blocking=False):
            return False
        self._coro.close()  # it has not begun: no code of anybody's runs
        return True

    def begin(self) -> None:
        if self._taken.acquire(blocking=False):
            super().begin()

    def signalled_at(self, frame: FrameType | None) -> None:
        """
        Raise what is to end it, if ``frame`` belongs to the cell's own code.

        Raises:
            CellStop: It does.

        Thread:
            Reactor thread, in the handler of the signal.
        """
        if self._interruptible(frame):
            wait_for_no_children(frame)
            self.signalled()

    async def _run(self) -> None:
        await super()._run()
        error = self.error
        if isinstance(error, CellStop) or self._coro.cr_frame is None:
            return
        if isinstance(error, (SystemExit, KeyboardInterrupt)):
            # It has not come out of the cell: a handler of the application's has raised
            # it, between two turns.
            self._pass_on(error)

    def step(self, resume: Callable[[Any], Any], value: Any) -> Any:
        # Around all else: what a handler of the application's raises meanwhile would
        # leave places as they are.
        handlers = self._watch_for_end()
        try:
            return self._step(resume, value)
        finally:
            self._stop_watching(handlers)

    def _step(self, resume: Callable[[Any], Any], value: Any) -> Any:
        before = self._places.enter(self.request)
        self._places.put_back(self._changed)
        excepthook = sys.excepthook
        if self._excepthook is None:
            self._excepthook_before = excepthook
        else:
            sys.excepthook = self._excepthook
        contained = self._containment.enter()
        self.turns += 1
        self.since = monotonic()
        process = os.getpid()
        try:
            return super().step(resume, value)
        finally:
            if os.getpid() != process:
                # A child that the cell has forked. It has the reactor's descriptors,
                # and would take what is meant for the application.
                end_child(0)
            self._containment.leave(contained)
            ended = self._coro.cr_frame is None
            self._excepthook = sys.excepthook
            if not ended or self._excepthook is self._excepthook_before:
                sys.excepthook = excepthook
            self._changed = self._places.leave(before)
            if ended:
                self._places.keep(self._changed)
            self.request.flush()

    # -- The end of the application ----------------------------------------

    def _watch_for_end(self) -> dict[int, tuple[Any, Any]]:
        """
        While the cell's code runs, a signal that ends the application ends the cell.

        The reactor could not take notice before. The application's own handler is
        called first.
        """
        if self.send_signal is None:
            return {}
        handlers = {}
        for number in _ENDING:
            theirs = get_signal_handler(number)
            if not callable(theirs) or theirs is signal.default_int_handler:
                continue
            ours = self._ending(theirs)
            set_signal_handler(number, ours)
            handlers[int(number)] = theirs, ours
        return handlers

    def _ending(self, theirs: Any) -> Any:
        def end(number: int, frame: FrameType | None) -> None:
            # Else the kernel's thread, which this wakes, could stop it in here.
            before, self._unstoppable = self._unstoppable, True
            self._raised_at = monotonic()
            try:
                with self._places.outside():
                    self._containment.outside(theirs, number, frame)
            except BaseException as error:
                self._pass_on(error)
            try:
                self._on_end()
            finally:
                self._unstoppable = before
            if self.abandoned is None:
                # No time for a traceback: the first takes long to be formatted.
                self.abandoned = lambda: None
            self._stopped, self._raised = False, True
            self._stop = self._marking(CellInterrupted)
            self.signalled_at(frame)

        return end

    def _pass_on(self, error: BaseException) -> None:
        """Raise it in the application's own thread, which it was meant for."""
        self._containment.outside(self._host.call, partial(_raise, error))

    def _stop_watching(self, handlers: dict[int, tuple[Any, Any]]) -> None:
        for number, (theirs, ours) in handlers.items():
            if get_signal_handler(number) is ours:  # not set by the cell
                set_signal_handler(number, theirs)


def _raise(error: BaseException) -> None:
    raise error
