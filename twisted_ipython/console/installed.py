"""
What there is of a live console while nobody uses it: ``app.json`` in a directory of this
process, and the handler of a signal.
"""

from __future__ import annotations

import os
import socket
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

from . import directory as files
from .directory import DORMANT, Application
from .errors import CannotInstall, Refused
from .processes import start_of, started_at
from .signals import ActivationSignal
from .telling import tell_log


class Installed:
    """
    Args:
        left: Called in a process that has forked from the application and is not it.

    Attributes:
        title: The application's name.
        directory: This process' own; None where the console is not installed.
        reactor: The application's.

    Thread:
        Installed and taken out in the main thread, if there is a signal; updated in the
        reactor thread. The handler of the signal reads ``directory``.
    """

    def __init__(self, title: str, left: Callable[[], object]) -> None:
        self.directory: Path | None = None
        self.reactor: Any = None
        self.title = title
        self._left = left
        self._application: Application | None = None
        self._signal: ActivationSignal | None = None
        self._opens = False
        self._pid = 0

    @property
    def is_here(self) -> bool:
        """Whether it is installed, in this very process."""
        return self.directory is not None and self._pid == os.getpid()

    @property
    def send_signal(self) -> Callable[[], None] | None:
        """How to send the console's own signal to the main thread, if there is one."""
        return None if self._signal is None else self._signal.send

    def install(
        self, reactor: Any, signal: ActivationSignal | None, opens: bool
    ) -> None:
        """
        Args:
            opens: Whether the console opens at the signal.

        Raises:
            CannotInstall: The text says why; nothing was changed.
        """
        global _in_this_process
        other = _in_this_process
        if other is not None and other.is_here:
            raise CannotInstall(
                f"this process has a live console already, {other.title!r}"
            )
        self.reactor, self._opens, self._pid = reactor, opens, os.getpid()
        try:
            self.directory = files.make_directory(self._pid)
        except (Refused, OSError) as error:
            raise CannotInstall(f"no live console: {error}") from error
        # The handler first: who finds the file sends the signal.
        self._signal = signal
        try:
            if signal is not None:
                signal.install()
            self._write(self._new_application())
        except CannotInstall:
            self.take_out()
            raise
        except OSError as error:  # a full disk, for one
            self.take_out()
            raise CannotInstall(f"no live console: {error}") from error
        _in_this_process = self
        _clean_up_in_children()

    def take_out(self) -> None:
        """The reverse of ``install``."""
        global _in_this_process
        # The file first, then the handler: without one, the signal ends the process.
        directory, self.directory = self.directory, None
        signal, self._signal = self._signal, None
        if directory is not None:
            with suppress(OSError):
                (directory / files.APP_FILE).unlink()
        if signal is not None:
            signal.uninstall()
        if directory is not None:
            files.remove_directory(directory)
        if _in_this_process is self:
            _in_this_process = None

    def update(self, **changes: Any) -> None:
        """Change what ``app.json`` says. Does nothing where it is not installed."""
        if self._application is None or self.directory is None:
            return
        if "state" in changes:
            changes["since"] = time.time()
        if all(getattr(self._application, each) == changes[each] for each in changes):
            return
        try:
            self._write(replace(self._application, **changes))
        except OSError as error:
            tell_log("warn", "live console: {error}", error=error)

    def _new_application(self) -> Application:
        kind = type(self.reactor)
        now = time.time()
        signal = self._signal if self._opens else None
        return Application(
            pid=os.getpid(),
            start=start_of(os.getpid()) or "",
            started=started_at(os.getpid()) or now,
            uid=os.geteuid(),
            host=socket.gethostname(),
            name=self.title,
            arguments=tuple(sys.argv),
            reactor=f"{kind.__module__}.{kind.__qualname__}",
            signal=0 if signal is None else signal.number,
            state=DORMANT,
            since=now,
        )

    def _write(self, application: Application) -> None:
        assert self.directory is not None
        self._application = application
        files.write_application(self.directory, application)

    # -- Where the process has forked --------------------------------------

    def settle(self) -> None:
        """The reactor runs, in the process that it will run in: be there."""
        if self.directory is None or self._pid == os.getpid():
            return
        assert self._application is not None
        left, before = self.directory, self._application.pid
        self._pid = os.getpid()
        if self._signal is not None:
            self._signal.adopt()
        try:
            self.directory = files.make_directory(self._pid)
            self._write(self._new_application())
        except (Refused, OSError) as error:
            self.directory = None  # the other process' may still be in use
            tell_log("error", "no live console in this process: {error}", error=error)
        if start_of(before) is None:
            files.remove_directory(left)

    def left_behind(self) -> bool:
        """
        This process has forked from the application: it has no console.

        Before the reactor runs, the child may be the application, become a daemon. So
        it keeps the handler, and settles when the reactor runs in it.
        """
        if not getattr(self.reactor, "running", False):
            return False
        signal, self._signal = self._signal, None
        if signal is not None:
            signal.uninstall()
        self.directory = None
        self._left()
        return True


# The one of this process. Written in the thread that installs it.
_in_this_process: Installed | None = None
_hooked = False


def _clean_up_in_children() -> None:
    """See that a process which forks from this one does not take it for its own."""
    global _hooked
    if not _hooked and hasattr(os, "register_at_fork"):
        _hooked = True
        os.register_at_fork(after_in_child=_after_fork)


def _after_fork() -> None:
    global _in_this_process
    if _in_this_process is not None and _in_this_process.left_behind():
        _in_this_process = None
