"""
Open the console of an application from outside, and wait until it answers.

A signal asks for it. SIGUSR2 ends a process that has no handler for it, so it is sent
only to a process that opted in, is still the same one, and has a handler. Standard
library alone.
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable
from pathlib import Path

from . import busy, directory, finding, processes
from .directory import Application
from .errors import CannotAttach
from .finding import label

TIMEOUT = 10.0
"""Seconds to wait for a console by default."""

BUSY_AFTER = 1.5
"""Seconds after which an application whose reactor does not answer is said to be busy."""

_POLL = 0.01


def open_application(target: str, timeout: float = TIMEOUT) -> Path:
    """
    Open the console of an application; for programs.

    Args:
        target: Its PID, its name, or the path of a connection file.
        timeout: Seconds to wait for the console.

    Returns:
        The connection file of a kernel that answered, for any Jupyter client.

    Raises:
        CannotAttach: It can't be opened; the text says why and what to do.
        Refused: What the application has written can't be trusted.
    """
    return ask(target).wait(timeout)


def ask(target: str) -> Opening:
    """
    Ask the application to open its console, unless it is open; do not wait.

    Raises:
        CannotAttach, Refused: As ``open_application``.
    """
    found = finding.find(target)
    if isinstance(found, Path):
        return Opening(_of_file(found), found, ready=True)
    place = directory.runtime_directory() / str(found.pid)
    opening = Opening(found, place / directory.KERNEL_FILE)
    opening.poll()
    return opening


def _of_file(connection_file: Path) -> Application | None:
    application = finding.application_of(connection_file)
    if application is not None and not directory.is_alive(application):
        raise CannotAttach(
            f"{label(application)} has ended, and left {connection_file}; "
            f"`{finding.LIST}` shows the applications that can be attached to"
        )
    return application


class Opening:
    """
    A console that is being opened.

    Attributes:
        application: As it was when last looked at; None if only a connection file
            is known.
        connection_file: Where it is, or will be.
        sent: Whether a signal was sent.
    """

    def __init__(
        self,
        application: Application | None,
        connection_file: Path,
        *,
        ready: bool = False,
    ) -> None:
        self.application = application
        self.connection_file = connection_file
        self.sent = False
        self._ready = ready
        self._since = application.since if application else 0.0
        self._sent_at = 0.0  # the ``since`` of the state that the signal was sent in
        self._began = time.monotonic()

    def wait(
        self, timeout: float = TIMEOUT, on_busy: Callable[[str], object] | None = None
    ) -> Path:
        """
        Wait until the console is open, and so many seconds since it was asked.

        Args:
            on_busy: Gets a sentence, once, if the reactor does not answer.

        Returns:
            The connection file.

        Raises:
            NoAnswer: It was not open in time.
            CannotAttach, Refused: As ``open_application``.
        """
        while not self.poll():
            assert self.application is not None
            waited = time.monotonic() - self._began
            if waited >= timeout:
                raise busy.no_answer(self.application, self.connection_file, waited)
            if on_busy is not None and waited >= BUSY_AFTER:
                if self.application.state != directory.OPENING:
                    on_busy(
                        busy.sentence(self.application, self.connection_file, waited)
                    )
                    on_busy = None
            time.sleep(_POLL)
        return self.connection_file

    def poll(self) -> bool:
        """
        Whether the console is open; sends the signal where that is needed.

        Raises:
            CannotAttach, Refused: It will not be.
        """
        if self._ready or self.application is None:
            return True
        now = self.application = _look(self.application, self.connection_file.parent)
        # The file is there once the kernel answers, whatever the reactor does.
        if now.state in (directory.OPEN, directory.OPENING):
            try:
                finding.check_connection_file(self.connection_file)
            except FileNotFoundError:
                pass  # it is the first thing to go on closing
            else:
                self._ready = True
                return True
        if now.state == directory.DORMANT and now.error and now.since != self._since:
            raise CannotAttach(f"{label(now)} could not open its console: {now.error}")
        # Again, where it was asked as it closed: that signal and another's may have
        # come as one, before it was asked to close.
        lost = now.state == directory.DORMANT and now.since != self._sent_at
        if now.state != directory.OPENING and (lost or not self.sent):
            send_signal(now)
            self.sent, self._sent_at = True, now.since
        return False


def _look(before: Application, place: Path) -> Application:
    """What its ``app.json`` says now."""
    try:
        now = directory.read_application(place)
    except FileNotFoundError as error:
        if directory.is_alive(before):
            raise CannotAttach(
                f"{label(before)} has taken its console away (it may be stopping); "
                f"`{finding.LIST}` shows the applications that can be attached to"
            ) from error
        now = before
    except PermissionError as error:
        raise CannotAttach(
            f"no permission to read {error.filename}: attach as the user whose it is"
        ) from error
    if now.start != before.start or not directory.is_alive(now):
        raise CannotAttach(
            f"{label(before)} ended before its console was open; its own log may say why"
        )
    return now


def send_signal(application: Application) -> None:
    """
    Send the signal that asks the application to open its console.

    The process is held while it is checked (``pidfd_open``, where there is one), so
    that the signal can't go to another one that gets its number meanwhile.

    Raises:
        CannotAttach: Nothing was sent.
    """
    pid, number = application.pid, application.signal
    if not number:
        raise CannotAttach(
            f"no signal opens the console of {label(application)}: it opens where the "
            'application calls open() (activation="manual"), and can be attached to then'
        )
    held = _hold(pid)
    try:
        if not directory.is_alive(application):
            raise ProcessLookupError
        if processes.handles(pid, number) is False:
            raise CannotAttach(
                f"{label(application)} has no handler for {_name(number)} any more, so "
                "nothing was sent (it could end the process): something in the "
                "application has replaced the handler of its console; "
                "LiveConsole(..., signal=) chooses another signal"
            )
        if held is None:
            os.kill(pid, number)
        else:
            signal.pidfd_send_signal(held, number)
    except ProcessLookupError as error:
        raise CannotAttach(
            f"{label(application)} has just ended; its own log may say why"
        ) from error
    except PermissionError as error:
        raise CannotAttach(
            f"no permission to send {_name(number)} to {label(application)}: attach as "
            "the user that it runs as, `sudo -u USER twisted-ipython attach "
            f"{pid}`"
        ) from error
    finally:
        if held is not None:
            os.close(held)


def _hold(pid: int) -> int | None:
    """A descriptor of this process; None where the system has no such thing."""
    if not hasattr(os, "pidfd_open") or not hasattr(signal, "pidfd_send_signal"):
        return None
    try:
        return os.pidfd_open(pid)
    except OSError:  # an old kernel, or one that forbids it; or no such process
        return None


def _name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"
