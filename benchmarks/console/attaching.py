"""
The commands that attach, at a terminal: how long until one can type.
"""

from __future__ import annotations

import fcntl
import importlib.util
import os
import pty
import re
import select
import struct
import subprocess
import sys
import termios
import time
from dataclasses import dataclass
from time import perf_counter

from ..sides import TOP
from ..workers import WorkerFailed
from .holding import ANSWER_WITHIN, Application
from .line_prompts import CURSOR, CURSOR_WANTED, AiomonitorPrompt

# As one types them.
COMMANDS = {
    "live": "twisted-ipython attach PID",
    "manhole": "manhole-cli -USR1 PID",
    "aiomonitor": "python -m aiomonitor.cli",
}


@dataclass(frozen=True)
class Command:
    """
    Attributes:
        arguments: For Python.
        prompt: What it shows when one can type.
    """

    arguments: tuple[str, ...]
    prompt: bytes


def command_of(application: Application) -> Command:
    """What attaches to that application, which is ready for it."""
    pid = str(application.pid)
    console = application.host.console
    if console == "manhole":
        run = _other("manhole.cli", "-USR1", pid)
        return Command(run, b">>> ")
    if console == "aiomonitor":
        ports = AiomonitorPrompt(application).ports
        application.ask("open", ports)
        run = _other("aiomonitor.cli", "--port", str(ports["port"]))
        return Command(run, AiomonitorPrompt.MONITOR)
    return Command(("-m", "twisted_ipython", "attach", pid), b"In [")


def _other(module: str, *arguments: str) -> tuple[str, ...]:
    run = (
        "import sys; from benchmarks import others; others.let_import(); "
        f"from {module} import main; main()"
    )
    return ("-c", run, *arguments)


def why_missing() -> str:
    """Why this package's own command can't be measured here, or ""."""
    if importlib.util.find_spec("twisted_ipython.__main__") is None:
        return "this checkout has no twisted-ipython attach"
    if importlib.util.find_spec("jupyter_console") is None:
        return "twisted-ipython attach needs jupyter-console, which is not installed"
    return ""


def time_attach(application: Application) -> float:
    """
    Seconds from starting the console's command until its prompt is there.

    Raises:
        WorkerFailed: It did not come; the text is what the command said.
    """
    command = command_of(application)
    master, slave = pty.openpty()
    fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("4H", 40, 100, 0, 0))
    began = perf_counter()
    process = subprocess.Popen(
        [sys.executable, *command.arguments],
        cwd=TOP,
        env={**os.environ, "TERM": "xterm"},
        stdin=slave,
        stdout=slave,
        stderr=slave,
        start_new_session=True,
    )
    os.close(slave)
    try:
        _read_until(master, command)
        return perf_counter() - began
    finally:
        process.kill()
        process.wait()
        os.close(master)


def _read_until(master: int, command: Command) -> None:
    said = b""
    deadline = time.monotonic() + ANSWER_WITHIN
    while command.prompt not in said:
        left = deadline - time.monotonic()
        if left < 0 or not select.select([master], [], [], left)[0]:
            raise WorkerFailed(f"no prompt of {command.arguments}, but {said!r}")
        try:
            received = os.read(master, 65536)
        except OSError:  # the other end was closed
            received = b""
        if not received:
            raise WorkerFailed(f"{command.arguments} ended, and said {said!r}")
        for _ in re.findall(CURSOR_WANTED, received):
            os.write(master, CURSOR)
        said += received
