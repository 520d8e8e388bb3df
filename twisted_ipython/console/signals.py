"""
The one signal handler of a live console.
"""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable
from types import FrameType
from typing import Any

from .errors import CannotInstall


class ActivationSignal:
    """
    Handles a signal: from outside it asks the console to open, from the console itself
    it interrupts a cell.

    The handler that was there before is kept, and still called for what comes from
    outside.

    Args:
        number: Of the signal.
        asked: Called with the interrupted frame when the signal has come from outside.
        interrupted: Called so when the console has sent it; may raise.

    Thread:
        Main thread, but for ``send``.
    """

    def __init__(
        self,
        number: int,
        asked: Callable[[FrameType | None], object],
        interrupted: Callable[[FrameType | None], object],
    ) -> None:
        self.number = number
        self._asked = asked
        self._interrupted = interrupted
        self._pid = os.getpid()
        self._sent = False  # by us, and not yet handled
        self._handler = self._handle  # one object, to know it again
        self._before: Any = None
        self._installed = False
        # Held while it is sent or taken away: sent after that, it could end the
        # process. The handler, which can come at any line, does not take it.
        self._lock = threading.Lock()

    def install(self) -> None:
        """
        Raises:
            CannotInstall: There is no such signal, or it can't be handled.
        """
        try:
            self._before = signal.signal(self.number, self._handler)
        except (ValueError, OSError) as error:
            raise CannotInstall(
                f"signal {self.number} can't be used to open the live console: {error}"
            ) from error
        self._installed = True

    def uninstall(self) -> None:
        """Put back what was there before, unless somebody has put another over it."""
        if threading.current_thread() is not threading.main_thread():
            return  # the handler stays, and does nothing any more
        if os.getpid() != self._pid:  # forked, perhaps while it was held
            self._lock = threading.Lock()
        with self._lock:
            if self._installed and signal.getsignal(self.number) is self._handler:
                before = signal.SIG_DFL if self._before is None else self._before
                signal.signal(self.number, before)

    def adopt(self) -> None:
        """This process has forked from the one that has installed it, to go on as it."""
        self._pid = os.getpid()

    def send(self) -> None:
        """
        Have ``interrupted`` called in the main thread, soon. The kernel's thread.

        Does nothing if the application has put another handler over ours, or none:
        the signal could end it.
        """
        ident = threading.main_thread().ident
        assert ident is not None
        with self._lock:
            if signal.getsignal(self.number) is self._handler:
                self._sent = True
                signal.pthread_kill(ident, self.number)

    def _handle(self, number: int, frame: FrameType | None) -> None:
        if os.getpid() == self._pid:
            if self._sent:
                self._sent = False
                self._interrupted(frame)
                return
            self._asked(frame)
        if callable(self._before):
            self._before(number, frame)
