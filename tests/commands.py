"""
Applications with a live console for tests, and the ``twisted-ipython`` command.

Both run as programs, with a runtime directory of the test's own.
"""

from __future__ import annotations

import contextlib
import os
import select
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from kernels import DEADLINE, clean_environment
from twisted_ipython.console.directory import Application, read_application

FAKE = Path(__file__).with_name("fake_application.py")


@dataclass(frozen=True)
class Done:
    """A command that has ended."""

    status: int
    stdout: str
    stderr: str
    seconds: float

    def sentence(self) -> str:
        """The one line that it said before it failed."""
        assert self.status == 1, self
        assert self.stdout == "", self
        lines = self.stderr.splitlines()
        assert len(lines) == 1 and lines[0].startswith("twisted-ipython: "), self
        assert "Traceback" not in self.stderr, self
        return lines[0].removeprefix("twisted-ipython: ")


class FakeApplication:
    """``fake_application.py``, running; ``HOW`` it answers is told there."""

    def __init__(self, runtime: Runtime, name: str, how: str) -> None:
        self.directory = runtime.path
        self._log = tempfile.TemporaryFile("w+")
        self.process = subprocess.Popen(
            [sys.executable, str(FAKE), name, how],
            env=runtime.environment(),
            stdout=subprocess.PIPE,
            stderr=self._log,
            stdin=subprocess.DEVNULL,
        )
        assert self.process.stdout is not None
        ready, _, _ = select.select([self.process.stdout], [], [], DEADLINE)
        line = self.process.stdout.readline() if ready else b""
        assert line == b"ready %d\n" % self.pid, f"{line!r}\n{self.report()}"

    @property
    def pid(self) -> int:
        return self.process.pid

    @property
    def place(self) -> Path:
        return self.directory / "twisted_ipython" / str(self.pid)

    @property
    def lives(self) -> bool:
        return self.process.poll() is None

    def says(self) -> Application:
        """What its ``app.json`` says."""
        return read_application(self.place)

    def signal(self, number: int) -> None:
        self.process.send_signal(number)

    def report(self) -> str:
        self._log.seek(0)
        return f"--- the application, {self.process.poll()}\n{self._log.read()}"

    def kill(self) -> None:
        """End it with no chance to tidy up. Safe twice."""
        self.process.kill()
        self.process.wait()
        if self.process.stdout is not None:
            self.process.stdout.close()

    def close(self) -> None:
        self.kill()
        self._log.close()


class Runtime:
    """
    A runtime directory with a short path, as sockets need, and what runs in it.
    """

    def __init__(self) -> None:
        self.path = Path(os.path.realpath(tempfile.mkdtemp(prefix="ti")))
        self._running: list[FakeApplication] = []

    def environment(self, **more: str) -> dict[str, str]:
        return clean_environment(
            self.path, JUPYTER_RUNTIME_DIR=str(self.path), TERM="xterm", **more
        )

    def application(self, name: str = "web", how: str = "opens") -> FakeApplication:
        self._running.append(FakeApplication(self, name, how))
        return self._running[-1]

    def command(self, *arguments: str, within: float = DEADLINE) -> Done:
        """Run ``twisted-ipython`` to its end."""
        return self.program("-m", "twisted_ipython", *arguments, within=within)

    def program(self, *arguments: str, within: float = DEADLINE) -> Done:
        """Run Python with these arguments to its end."""
        began = time.monotonic()
        done = subprocess.run(
            [sys.executable, *arguments],
            env=self.environment(),
            capture_output=True,
            stdin=subprocess.DEVNULL,
            text=True,
            timeout=within,
        )
        seconds = time.monotonic() - began
        return Done(done.returncode, done.stdout, done.stderr, seconds)

    def close(self) -> None:
        for each in self._running:
            if each.lives:
                with contextlib.suppress(ProcessLookupError):
                    each.signal(signal.SIGCONT)
            each.close()
        shutil.rmtree(self.path, ignore_errors=True)


def wait_until(
    condition: Callable[[], object], within: float = DEADLINE, what: str = ""
) -> None:
    """Look until the condition holds. Raises AssertionError."""
    deadline = time.monotonic() + within
    while not condition():
        assert time.monotonic() < deadline, f"after {within:g} s still not: {what}"
        time.sleep(0.01)
