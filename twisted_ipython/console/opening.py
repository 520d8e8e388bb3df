"""
Opening and closing: the state of a live console, and who waits for the next.

    dormant -> opening -> open -> closing -> dormant

Thread:
    All of it is the reactor thread, but for ``_run_kernel``, which is the kernel's thread
    as a whole, and for what says otherwise.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .collecting import collect_if_quick
from .directory import CLOSING, DORMANT, KERNEL_FILE, OPEN, OPENING
from .errors import CannotOpen
from .installed import Installed
from .telling import tell_log, tell_log_of_failure

if TYPE_CHECKING:
    from twisted.internet.defer import Deferred

    from .serving import Serving

# Seconds that the end of the process waits for the kernel's thread.
JOIN_WITHIN = 1.0


class Opening:
    """
    Args:
        installed: What says in ``app.json`` how it stands.
        title: The application's name.
        linger: Seconds without use after which it closes, where a signal has opened
            it; None for never.
        new_serving: Makes what is served while it is open; called in the kernel's
            thread. Raises what keeps the console from opening.

    Attributes:
        state: One of the four. Read in any thread.
        serving: What is served, from when it is made until it has ended. Any thread.
        ending: Whether the reactor shuts down. Any thread.
    """

    def __init__(
        self,
        installed: Installed,
        title: str,
        linger: float | None,
        new_serving: Callable[[], Serving],
    ) -> None:
        self.state = DORMANT
        self.serving: Serving | None = None
        self.ending = False
        self._installed = installed
        self._title = title
        self._linger = linger
        self._new_serving = new_serving
        self._thread: threading.Thread | None = None
        self._by_signal = False
        self._again = False  # open once it has closed
        self._to_open: list[Deferred[Path]] = []
        self._to_close: list[Deferred[None]] = []
        self._lingering: Any = None

    def _is_now(self, state: str, **changes: Any) -> None:
        self.state = state
        self._installed.update(state=state, **changes)

    # -- Opening -----------------------------------------------------------

    def open(self, done: Deferred[Path], *, by_signal: bool = False) -> None:
        """
        Open it, if it is not; ``done`` fires with the connection file.

        Asked while it closes, it opens again.
        """
        directory = self._installed.directory
        if by_signal and self.state in (DORMANT, CLOSING):
            self._by_signal = True
        if directory is None:
            done.errback(CannotOpen("the live console is not installed"))
        elif self.ending:
            done.errback(CannotOpen("the application is shutting down"))
        elif self.state == OPEN:
            done.callback(directory / KERNEL_FILE)
        else:
            self._to_open.append(done)
            self._again = self.state == CLOSING
            if self.state == DORMANT:
                self._begin()

    def _begin(self) -> None:
        self._is_now(OPENING, error="")
        thread = threading.Thread(
            target=self._run_kernel, name="twisted_ipython console", daemon=True
        )
        try:
            thread.start()
        except RuntimeError as error:  # the system has no more of them for us
            self._has_failed(CannotOpen(str(error)), False)
        else:
            self._thread = thread

    def _run_kernel(self) -> None:
        """The kernel's thread, whole."""
        call = self._installed.reactor.callFromThread
        opened = False

        def has_opened() -> None:
            nonlocal opened
            opened = True
            call(self._has_opened)

        try:
            self.serving = serving = self._new_serving()
            if self.state == CLOSING:  # before there was anything to stop
                serving.stop()
            serving.run(has_opened)
        except BaseException as error:
            call(self._has_failed, error, opened)
        else:
            if not self.ending:
                self.serving = None
                del serving
                collect_if_quick()
            call(self._has_closed)

    def _has_opened(self) -> None:
        directory = self._installed.directory
        if self.state != OPENING or directory is None:  # told to close meanwhile
            return
        self._is_now(OPEN)
        tell_log("info", "live console of {name} opened", name=self._title)
        self.note_use()
        waiting, self._to_open = self._to_open, []
        for done in waiting:
            done.callback(directory / KERNEL_FILE)

    def _has_failed(self, error: BaseException, opened: bool) -> None:
        text = str(error) or type(error).__name__
        if isinstance(error, CannotOpen):
            tell_log("error", "live console: {error}", error=text)
        else:
            tell_log_of_failure("live console: {error}", error, error=text)
        self._now_dormant(f"it failed: {text}" if opened else text)

    # -- Closing -----------------------------------------------------------

    def close(self, done: Deferred[None]) -> None:
        """Close it, if it is not; ``done`` fires when all is given back."""
        self._again = False
        if self.state == DORMANT:
            done.callback(None)
            return
        self._to_close.append(done)
        self._begin_closing("the live console was closed meanwhile")

    def _begin_closing(self, why: str) -> None:
        directory = self._installed.directory
        if self.state == CLOSING or directory is None:
            return
        with suppress(OSError):
            (directory / KERNEL_FILE).unlink()
        self._is_now(CLOSING)
        self._stop_lingering()
        self._refuse(why)
        serving = self.serving
        if serving is not None:
            serving.stop()

    def _refuse(self, why: str) -> None:
        """Tell who waits for it to open that it does not."""
        waiting, self._to_open = self._to_open, []
        for done in waiting:
            done.errback(CannotOpen(why))

    def _has_closed(self) -> None:
        tell_log("info", "live console of {name} closed", name=self._title)
        self._now_dormant("")

    def _now_dormant(self, error: str) -> None:
        thread, self._thread = self._thread, None
        self.serving = None
        self._stop_lingering()
        if thread is not None:
            thread.join(JOIN_WITHIN)  # it has told, and ends
        self._is_now(DORMANT, error=error, clients=0)
        # Whoever is told may give the next order at once: what it finds is settled.
        closing, self._to_close = self._to_close, []
        again, self._again = self._again, False
        opens = again and not self.ending and self._installed.directory is not None
        refused: list[Deferred[Path]] = []
        if opens:
            self._begin()
        else:
            self._by_signal = False
            refused, self._to_open = self._to_open, []
        for closed in closing:
            closed.callback(None)
        for done in refused:
            done.errback(CannotOpen(error or "the live console was closed meanwhile"))

    # -- Use ---------------------------------------------------------------

    def note_use(self) -> None:
        """Somebody came or went, or a cell has ended."""
        serving = self.serving
        if serving is None or self.state != OPEN:
            return
        self._installed.update(clients=serving.clients)
        self._stop_lingering()
        if self._by_signal and self._linger is not None and not serving.is_used:
            reactor = self._installed.reactor
            self._lingering = reactor.callLater(self._linger, self._is_unused)

    def _is_unused(self) -> None:
        self._lingering = None
        serving = self.serving
        if serving is not None and self.state == OPEN and not serving.is_used:
            self._again = False
            self._begin_closing("")

    def _stop_lingering(self) -> None:
        call, self._lingering = self._lingering, None
        if call is not None and call.active():
            call.cancel()

    # -- The end of the application ----------------------------------------

    def shut_down(self) -> None:
        """The reactor stops: begin to close, and don't hold it up."""
        self.ending = True
        if self.state != DORMANT:
            self._refuse("the application is shutting down")
            self._begin_closing("")

    def wait_for_end(self) -> None:
        """The reactor has stopped: nothing will be told any more."""
        thread = self._thread
        if thread is not None:
            thread.join(JOIN_WITHIN)
        waiting, self._to_close = self._to_close, []
        for closed in waiting:
            closed.callback(None)
