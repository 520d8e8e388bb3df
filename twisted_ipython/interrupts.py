"""
Where Ctrl-C goes while cells wait for the reactor.

A waiting cell has an inbox, a queue that the shell thread sleeps on. While one
waits, SIGINT puts a message there instead of raising KeyboardInterrupt wherever
the main thread happens to be: so there is no moment at which an interrupt can
tear the hand-over apart.

One interrupt stops every cell that awaits: the kernel's own, and those in its
subshells, which have threads that no signal reaches.
"""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable
from contextlib import ExitStack
from queue import SimpleQueue
from types import FrameType
from typing import Any

from .awaiting_cell import Message
from .internals import ipykernel
from .internals.cpython import get_signal_handler, set_signal_handler

Inbox = SimpleQueue[Message]

# Seconds that a kernel which shuts down may wait for each of its streams.
FLUSH_WITHIN = 0.3

# Seconds from the order to shut down to the end of the process, at the latest.
EXIT_WITHIN = 2.7


class Interrupts:
    """
    The inboxes of the cells that wait, of one shell.

    There is one for each shell, also when the extension is loaded again: a cell
    may be waiting while it is.

    Thread:
        ``enter`` and ``leave`` in the waiting cell's shell thread, ``tell`` in
        any, and in a signal handler: a SimpleQueue is made for that.
    """

    def __init__(self, shell: Any, in_reactor_thread: Callable[[], bool]) -> None:
        self._shell = shell
        self._in_reactor_thread = in_reactor_thread
        self._inboxes: set[Inbox] = set()
        self._handler = self._on_sigint  # one object, to know it again
        self._main_waits = False  # main thread: it is in a runner
        self._early = False  # main thread: interrupted before the cell began

    def tell(self, message: Message) -> None:
        """Put ``message`` into every inbox."""
        for inbox in list(self._inboxes):
            inbox.put(message)

    def enter(self, inbox: Inbox) -> Any:
        """
        Send interrupts to ``inbox``; gives what ``leave`` needs to know.

        A handler for SIGINT that is neither Python's nor ours is somebody's
        wish, and stays. What it raises reaches the waiting thread.
        """
        self._inboxes.add(inbox)
        if threading.current_thread() is not threading.main_thread():
            return None
        self._main_waits = True
        if self._early:
            self._early = False
            inbox.put(Message.INTERRUPT)
        before = get_signal_handler(signal.SIGINT)
        if before is signal.default_int_handler:
            set_signal_handler(signal.SIGINT, self._handler)
        return before

    def leave(self, inbox: Inbox, before: Any) -> None:
        """The reverse of ``enter``."""
        self._inboxes.discard(inbox)
        if threading.current_thread() is threading.main_thread():
            self._main_waits = False
            if before is signal.default_int_handler:
                set_signal_handler(signal.SIGINT, before)

    def switch_on(self) -> Callable[[], None]:
        """
        Hear, in a kernel, of every interrupt and of its shutdown; gives what
        undoes it.

        Thread:
            Shell thread.
        """
        undo = ExitStack()
        self._shell.observe(self._on_exit, names="exit_now")
        undo.callback(self._shell.unobserve, self._on_exit, names="exit_now")
        if hasattr(self._shell, "kernel"):
            undo.callback(
                ipykernel.handle_sigint(
                    self._shell.kernel,
                    before_request=self._before_request,
                    handler=self._handler,
                )
            )
        return undo.close

    def _before_request(self) -> None:
        self._early = False

    def _on_sigint(self, number: int, frame: FrameType | None) -> None:
        """
        Main thread: SIGINT, while a cell awaits or a kernel answers a request.
        """
        self.tell(Message.INTERRUPT)
        if self._main_waits:
            return
        if ipykernel.may_interrupt(frame):
            raise KeyboardInterrupt
        # A KeyboardInterrupt between the kernel's receipt of a cell and the cell
        # itself, or while its error is shown, would leave the frontend without
        # an answer. Before the cell, it is meant for the cell.
        self._early = True

    def _on_exit(self, change: Any) -> None:
        # In ipykernel's control thread. Or in the thread of a cell that calls
        # exit(), which goes on to its end: it may take its time.
        by_a_cell = (
            threading.current_thread() is threading.main_thread()
            or self._in_reactor_thread()
        )
        if change["new"] and not by_a_cell:
            ipykernel.flush_quickly(FLUSH_WITHIN)
            ipykernel.exit_within(EXIT_WITHIN)
            self.tell(Message.SHUTDOWN)
