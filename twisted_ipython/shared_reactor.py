"""
The reactor that all cells of this process share: asked, guarded, ended.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext, suppress
from functools import partial
from typing import Any

from twisted.internet.error import ReactorNotRunning
from twisted.logger import Logger

from .errors import CannotAwait, RunRefused, StopRefused
from .hosts import AsyncioHost, DeferredHost, Host
from .internals.twisted import asyncio_loop
from .replaced import replace
from .stops import CellInterrupted
from .stuck import break_in

# Seconds that the end of the process waits for the reactor to shut down, and
# after which it interrupts what the reactor is busy with.
END_WITHIN = 1.5
INTERRUPT_AFTER = 0.3

STOPPED = (
    "the reactor has stopped, and Twisted can't start one a second time: restart "
    "the kernel (or IPython) to await again"
)


class SharedReactor:
    """
    The reactor that all cells await on.

    Attributes:
        reactor: Twisted's reactor.
        loop: The asyncio loop under it, or None.
        host: What runs coroutines on it.
        ours: Whether we run it, in a thread of ours.

    Thread:
        Made in the shell thread; read in any.
    """

    def __init__(
        self, reactor: Any, thread_id: int, thread: threading.Thread | None = None
    ) -> None:
        self.reactor = reactor
        self.ours = thread is not None
        self._thread = thread
        self._ending = False
        self.loop = asyncio_loop(reactor)
        self.host: Host = (
            DeferredHost(reactor, thread_id)
            if self.loop is None
            else AsyncioHost(self.loop, thread_id)
        )
        self.stopped = False
        self.when_stopped: set[Callable[[], object]] = set()
        if hasattr(os, "register_at_fork"):  # there is no reactor thread in a child
            os.register_at_fork(after_in_child=self._has_stopped)
        reactor.callFromThread(
            reactor.addSystemEventTrigger, "after", "shutdown", self._has_stopped
        )

    def check(self) -> None:
        """
        Raises:
            CannotAwait: No cell can be awaited, for the reason in the text.
        """
        if self.stopped or not self.reactor.running:
            raise CannotAwait(STOPPED)
        if self.in_reactor_thread():
            raise CannotAwait(
                "this code runs in the reactor thread, and would wait there for "
                "itself; await it in the cell itself or in an `async def`, without "
                "run_cell and without a plain function in between"
            )

    def in_reactor_thread(self) -> bool:
        """Whether this code runs there. Any thread."""
        return threading.get_ident() == self.host.thread_id

    def runs_abandoned(self) -> bool:
        """Whether this code is of a cell that nobody waits for any more."""
        cell = self.host.running if self.in_reactor_thread() else None
        return cell is not None and cell.abandoned is not None

    def showing_error(self) -> AbstractContextManager[object]:
        """
        While a cell's error is shown, it is not stopped: it has ended.

        Any thread; concerns the cell that runs in the reactor thread.
        """
        cell = self.host.running if self.in_reactor_thread() else None
        return nullcontext() if cell is None else cell.unstoppable()

    def take_over(self) -> Callable[[], None]:
        """
        Let our own reactor refuse what would end it; gives what undoes that.

        Thread:
            Shell thread.
        """
        if not self.ours:
            return lambda: None
        methods: dict[str, Callable[..., Any]] = {
            "run": _refuse_run,
            "stop": partial(self._refuse_stop, "stop"),
            "crash": partial(self._refuse_stop, "crash"),
        }
        return replace(self.reactor, methods)

    def _refuse_stop(self, method: str) -> None:
        refused = StopRefused(method)
        if self.in_reactor_thread() and self.host.running is None:
            # From a callback, where the error itself may be noticed by nobody.
            Logger().warn("{refused}", refused=refused)
        raise refused

    def end(self) -> None:
        """
        Shut our own reactor down, but don't wait for long: the process ends.

        Thread:
            Main thread.
        """
        if self._thread is None or not self._thread.is_alive() or self._ending:
            return
        self._ending = True
        self.reactor.callFromThread(self._stop)
        self._thread.join(INTERRUPT_AFTER)
        if self._thread.is_alive():
            running = self.host.running
            if running is None:
                break_in(self.host.thread_id)
            else:
                running.stop(CellInterrupted)
            self._thread.join(END_WITHIN - INTERRUPT_AFTER)

    def _stop(self) -> None:
        with suppress(ReactorNotRunning):
            type(self.reactor).stop(self.reactor)

    def _has_stopped(self) -> None:
        self.stopped = True
        for tell in list(self.when_stopped):
            tell()


def _refuse_run(*args: object, **kwargs: object) -> None:
    raise RunRefused()
