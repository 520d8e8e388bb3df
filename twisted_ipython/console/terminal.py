"""
A prompt in the terminal, on a console that is open.

The frontend is jupyter_console's. It leaves the kernel alone: nothing that is typed
or pressed here shuts it down, and Ctrl-C interrupts the user's own cell.
"""

from __future__ import annotations

import os
import signal
import sys
import time
from pathlib import Path
from typing import Any

from traitlets.config import Config

from ..internals.jupyter_console import Client, NoKernel, Shell, preferences
from . import directory
from .directory import Application
from .errors import CannotAttach
from .finding import harmless, label
from .others import shown

_LOOK = 0.25  # seconds for which what was seen of the application is believed


def run(
    connection_file: Path, application: Application | None, *, timeout: float
) -> int:
    """
    Attach to the console, and return when the user has left or it is gone.

    Args:
        application: Whose console it is; None if that is not known.
        timeout: Seconds to wait for the kernel.

    Returns:
        The exit status: 0 if the user left, 1 if the console went away.

    Raises:
        CannotAttach: No kernel answers.

    Thread:
        The main thread, since it handles SIGINT and SIGQUIT meanwhile.
    """
    presence = Presence(connection_file, application)
    client = Client(connection_file=str(connection_file))
    client.load_connection_file()
    if application is not None:
        client.is_there = presence
    client.start_channels()
    before = {n: signal.getsignal(n) for n in (signal.SIGINT, signal.SIGQUIT)}
    try:
        shell = _shell(client, presence, timeout)
        signal.signal(signal.SIGINT, shell.handle_sigint)
        signal.signal(signal.SIGQUIT, shell.handle_sigquit)
        shell.show_banner()
        shell.mainloop()
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        client.stop_channels()
    if shell.gone:
        shell.end_line()
        print(f"twisted-ipython: {harmless(presence.farewell())}", file=sys.stderr)
        return 1
    print(harmless(f"left {presence.name}; it goes on"))
    return 0


def _shell(client: Client, presence: Presence, timeout: float) -> Shell:
    def make(config: Config) -> Shell:
        return Shell(
            client,
            show_banner=lambda info: print(harmless_lines(banner(presence, info))),
            others=shown,
            kernel_timeout=timeout,
            config=config,
        )

    try:
        try:
            return make(preferences())
        except NoKernel:
            raise
        except Exception as error:
            print(
                "twisted-ipython: left out your configuration of jupyter console: "
                f"{harmless(str(error))}",
                file=sys.stderr,
            )
            return make(Config())
    except NoKernel as error:
        if not presence():
            raise CannotAttach(presence.farewell()) from error
        raise CannotAttach(
            f"no kernel has answered at {presence.file} within {timeout:g} s: it may "
            "be stuck, or the file has been left by a program that is gone"
        ) from error


def banner(presence: Presence, info: dict[str, Any]) -> str:
    """The first lines; ``info`` is the content of the ``kernel_info_reply``."""
    python = info.get("language_info", {}).get("version", "")
    if presence.application is None:
        return f"Attached to {presence.name}. exit leaves, the kernel goes on."
    return (
        f"Live console of {presence.name}, Python {python}\n"
        "Cells run in its reactor thread; await works; exit leaves, the application "
        "goes on.\n"
        "%%thread runs a cell in a thread instead, also while the reactor is stuck; "
        "alone, it shows where."
    )


def harmless_lines(text: str) -> str:
    """``harmless``, line by line."""
    return "\n".join(harmless(line) for line in text.split("\n"))


class Presence:
    """
    Whether the console is still there; call it to know.

    Its connection file is the first thing to go when it closes. What was seen is
    believed for a quarter of a second.
    """

    def __init__(self, file: Path, application: Application | None) -> None:
        self.file = file
        self.application = application
        self.name = label(application) if application else str(file)
        self._identity = _identity(file)
        self._there = True
        self._looked = 0.0

    def __call__(self) -> bool:
        now = time.monotonic()
        if self._there and now - self._looked >= _LOOK:
            self._looked = now
            self._there = _identity(self.file) == self._identity and self._runs()
        return self._there

    def _runs(self) -> bool:
        return self.application is None or directory.is_alive(self.application)

    def farewell(self) -> str:
        """Why it is gone; waits a moment for a process that is just ending."""
        if self.application is None:
            return f"the kernel of {self.name} does not answer any more; left it"
        deadline = time.monotonic() + 0.5
        while self._runs() and time.monotonic() < deadline:
            time.sleep(0.01)
        if not self._runs():
            return f"{self.name} has ended; its own log may say why"
        pid = self.application.pid
        return (
            f"{self.name} has closed its console (it may be stopping); "
            f"`twisted-ipython attach {pid}` opens it again"
        )


def _identity(file: Path) -> tuple[int, int] | None:
    try:
        found = os.lstat(file)
    except OSError:
        return None
    return found.st_ino, found.st_mtime_ns
