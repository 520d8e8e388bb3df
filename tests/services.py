"""
Applications under ``twistd``, for tests.
"""

from __future__ import annotations

import os
import signal as signals
import subprocess
import time
from pathlib import Path
from typing import Any

from applications import RunningApplication
from kernels import DEADLINE
from twisted_ipython.console.processes import start_of

_TWISTD = """\
import sys
from twisted.scripts.twistd import run
sys.argv = {arguments!r}
run()
"""


class Service(RunningApplication):
    """
    An application under ``twistd``: its own log is what it says.

    Args:
        source: A ``.tac`` file's text, that sets ``application``.
        daemon: Whether it becomes a daemon.
        options: Of ``RunningApplication``.
    """

    def __init__(
        self,
        source: str,
        *,
        daemon: bool = False,
        installs: bool = True,
        **options: Any,
    ) -> None:
        pid_file, log = "twistd.pid", "twistd.log"
        arguments = ["twistd", "--logfile", log, "--pidfile", pid_file]
        arguments += [] if daemon else ["--nodaemon"]
        # The folder is known when the script runs.
        begin = (
            f"from pathlib import Path; Path('service.tac').write_text({source!r})\n"
        )
        script = begin + _TWISTD.format(arguments=[*arguments, "-y", "service.tac"])
        super().__init__(script, installs=installs and not daemon, **options)
        if not daemon:
            return
        try:
            self._find_daemon(self.directory / pid_file)
            if installs:
                self.wait_until(
                    (self.console_directory / "app.json").exists, what="app.json"
                )
        except BaseException:
            self.kill()
            raise

    def _find_daemon(self, pid_file: Path) -> None:
        parent = self.process
        assert parent.wait(DEADLINE) == 0, self.report()
        pid = int(pid_file.read_text())
        assert pid != parent.pid
        self.launched_as = parent.pid
        self.process = Daemon(pid)  # type: ignore[assignment]
        self.console_directory = self.console_directory.with_name(str(pid))

    @property
    def log(self) -> str:
        """All that ``twistd`` has logged."""
        path = self.directory / "twistd.log"
        return path.read_text(errors="replace") if path.exists() else ""

    @property
    def said(self) -> str:
        return f"{super().said}--- its log\n{self.log}"


class Daemon:
    """A process that is nobody's child, as a ``subprocess.Popen``."""

    def __init__(self, pid: int) -> None:
        self.pid = pid
        self._start = start_of(pid)

    def poll(self) -> int | None:
        """None while it runs; how it ended is not known."""
        same = self._start is not None and start_of(self.pid) == self._start
        return None if same else 0

    def send_signal(self, number: int) -> None:
        if self.poll() is None:
            os.kill(self.pid, number)

    def terminate(self) -> None:
        self.send_signal(signals.SIGTERM)

    def kill(self) -> None:
        self.send_signal(signals.SIGKILL)

    def wait(self, timeout: float = DEADLINE) -> int:
        deadline = time.monotonic() + timeout
        while self.poll() is None:
            if time.monotonic() > deadline:
                raise subprocess.TimeoutExpired(f"process {self.pid}", timeout)
            time.sleep(0.005)
        return 0
