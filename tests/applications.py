"""
Running applications with a live console, for tests: start one, attach, and see all
that it said.

A :class:`RunningApplication` is a script in a process of its own, with directories of
its own. :meth:`RunningApplication.client` attaches a stock client of Jupyter's, and
:func:`run` has it run a cell. A client has its conversation beside it
(:class:`Attached`): every message it has got is kept, and a deadline that passes
prints them, with all that the application has printed.

Nothing here sleeps to wait.
"""

from __future__ import annotations

import json
import shutil
import signal as signals
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import zmq
from jupyter_client import BlockingKernelClient

from kernels import DEADLINE, Cell, Kernel, clean_environment

REACTORS = ("default", "asyncio")
"""The reactors that an application can be started with."""

APPLICATION = """\
from twisted.internet import defer, reactor, task
from twisted.internet.task import deferLater
from twisted_ipython import install_live_console

t = 0
hello = lambda x: x ** 2

def tick():
    global t
    t += 1

def sleep(seconds, result=None):
    return deferLater(reactor, seconds, lambda: result)

ticking = task.LoopingCall(tick)
ticking.start(0.02)
console = install_live_console(globals())
reactor.run()
print("the reactor has ended")
"""
"""An application that counts in ``t``; what it prints comes from its end alone."""

QUIET_APPLICATION = (
    """\
import logging
import sys

from twisted.logger import STDLibLogObserver, globalLogBeginner

# Whatever is logged anywhere lands on stderr; only the console's own notes do not.
logging.basicConfig(level=logging.DEBUG)
logging.getLogger("asyncio").setLevel(logging.INFO)
noted = []

def observe(event):
    if event.get("log_namespace") == "twisted_ipython.console":
        noted.append(event)
    else:
        to_logging(event)

to_logging = STDLibLogObserver()
globalLogBeginner.beginLoggingTo([observe], redirectStandardIO=False)
"""
    + APPLICATION
)
"""
The same, which logs everything, and notes what the console says of its use.
"""

_FIRST_LINE = {
    "default": "",
    "asyncio": "from twisted.internet import asyncioreactor; asyncioreactor.install()",
}


class RunningApplication:
    """
    An application in a process of its own.

    Args:
        source: Its text, a script. One line, which chooses the reactor, is put above.
        reactor: One of ``REACTORS``.
        arguments: Of its command line.
        environment: Added to its environment.
        installs: Whether to wait until it has installed its console.
        python: The interpreter.

    Attributes:
        process: The ``subprocess.Popen``.
        directory: Of this application alone: its script, its streams, its home.
        console_directory: Where its console has its files.
    """

    def __init__(
        self,
        source: str = APPLICATION,
        *,
        reactor: str = "default",
        arguments: tuple[str, ...] = (),
        environment: dict[str, str] | None = None,
        installs: bool = True,
        python: str = sys.executable,
    ) -> None:
        # A unix socket's path has to be short: not below pytest's own directory.
        self.directory = Path(tempfile.mkdtemp(prefix="ti"))
        self.began = time.monotonic()
        script = self.directory / "application.py"
        script.write_text(f"{_FIRST_LINE[reactor]}\n{source}")
        self.environment = clean_environment(self.directory, **(environment or {}))
        self._attached: list[Attached] = []
        self._stdout = (self.directory / "stdout").open("wb")
        self._stderr = (self.directory / "stderr").open("wb")
        try:
            self.process = subprocess.Popen(
                [python, str(script), *arguments],
                cwd=self.directory,
                env=self.environment,
                stdin=subprocess.DEVNULL,
                stdout=self._stdout,
                stderr=self._stderr,
            )
        except BaseException:
            shutil.rmtree(self.directory, ignore_errors=True)
            raise
        self.console_directory = (
            Path(self.environment["JUPYTER_RUNTIME_DIR"])
            / "twisted_ipython"
            / str(self.process.pid)
        )
        if installs:
            try:
                self.wait_until(
                    (self.console_directory / "app.json").exists, what="app.json"
                )
            except BaseException:
                self.kill()
                raise

    # -- What it says ------------------------------------------------------

    @property
    def pid(self) -> int:
        return self.process.pid

    @property
    def alive(self) -> bool:
        return self.process.poll() is None

    @property
    def stdout(self) -> str:
        """All that it has printed."""
        return (self.directory / "stdout").read_text(errors="replace")

    @property
    def stderr(self) -> str:
        """All that it has printed to its standard error."""
        return (self.directory / "stderr").read_text(errors="replace")

    @property
    def said(self) -> str:
        """Both, for people."""
        return f"{self.stdout}--- its stderr\n{self.stderr}"

    @property
    def app_json(self) -> dict[str, Any]:
        """What it says of itself."""
        content: dict[str, Any] = json.loads(
            (self.console_directory / "app.json").read_text()
        )
        return content

    @property
    def connection_file(self) -> Path:
        """Where the connection file is while the console is open."""
        return self.console_directory / "kernel.json"

    def report(self) -> str:
        """All that it said, and each client with what it got."""
        rows = [f"--- application {self.pid}: {self.process.poll()}", self.said]
        for path in sorted(self.console_directory.glob("*.json")):
            if path.name != "kernel.json":  # it holds the key
                rows.append(f"--- {path.name}\n{path.read_text()}")
        for attached in self._attached:
            rows.append(f"--- client {attached.session.session}")
            rows.append(attached.conversation())
        return "\n".join(rows)

    def wait_until(
        self,
        condition: Callable[[], object],
        within: float = DEADLINE,
        what: str = "the condition",
    ) -> None:
        """
        Wait until the condition holds, which is looked at every few milliseconds.

        Raises:
            AssertionError: It did not within so many seconds, or the application
                ended before; holds all that it said.
        """
        deadline = time.monotonic() + within
        while not condition():
            ended = not self.alive
            if ended and not condition():
                raise AssertionError(f"it ended before: {what}\n\n{self.report()}")
            if time.monotonic() > deadline:
                raise AssertionError(
                    f"after {within:g} s still not: {what}\n\n{self.report()}"
                )
            for attached in self._attached:
                attached.pump(0)
            time.sleep(0.005)

    # -- Attaching ---------------------------------------------------------

    def signal(self, number: int = signals.SIGUSR2) -> None:
        """Send it a signal."""
        self.process.send_signal(number)

    def open(self, within: float = DEADLINE) -> Path:
        """Ask its console to open, if it isn't; gives the connection file."""
        if not self.connection_file.exists():
            self.signal()
        self.wait_until(self.connection_file.exists, within, "kernel.json")
        return self.connection_file

    def client(self, *, opens: bool = True, ready: bool = True) -> BlockingKernelClient:
        """
        A client of its console, which is opened first, that is ready.

        Args:
            opens: Whether to send the signal if there is no connection file.
            ready: Whether to wait until the kernel has answered.
        """
        if opens:
            self.open()
        client = BlockingKernelClient(connection_file=str(self.connection_file))
        client.load_connection_file()
        client.start_channels(hb=False)
        attached = Attached(self, client)
        client.attached = attached
        self._attached.append(attached)
        if ready:
            attached.wait_until_ready()
        return client

    def leave(self, client: BlockingKernelClient) -> None:
        """Disconnect a client, if it isn't."""
        if client.attached in self._attached:
            client.attached.pump(0)
            self._attached.remove(client.attached)
            disconnect(client)

    # -- Ending it ---------------------------------------------------------

    def end(self, number: int = signals.SIGTERM, within: float = DEADLINE) -> int:
        """Have it end by a signal; gives its exit status."""
        if self.alive:
            self.signal(number)
        try:
            return self.process.wait(within)
        except subprocess.TimeoutExpired:
            raise AssertionError(
                f"it did not end within {within:g} s\n\n{self.report()}"
            ) from None

    def kill(self) -> None:
        """End it and remove what it made, whatever it does."""
        for attached in self._attached:
            disconnect(attached.client)
        self._attached.clear()
        if self.alive:
            self.process.kill()
        self.process.wait()
        self._stdout.close()
        self._stderr.close()
        shutil.rmtree(self.directory, ignore_errors=True)

    def __enter__(self) -> RunningApplication:
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()


class Attached(Kernel):
    """
    The application's kernel, as one of its clients knows it.

    Has what ``kernels.Kernel`` has to ask it and to run cells.
    """

    def __init__(
        self, application: RunningApplication, client: BlockingKernelClient
    ) -> None:
        self.application = application
        self.directory = application.directory
        self.process = application.process
        self.client = client
        self.session = client.session
        self.messages = []
        self.cells = []
        self._asides = set()
        self._began = application.began
        self._channels = {
            "shell": client.shell_channel.socket,
            "iopub": client.iopub_channel.socket,
            "control": client.control_channel.socket,
            "stdin": client.stdin_channel.socket,
        }
        self._poller = zmq.Poller()
        for socket in self._channels.values():
            self._poller.register(socket, zmq.POLLIN)

    def wait_until_ready(self) -> None:
        """Wait until the kernel answers, and what it publishes arrives."""
        self._wait_until_ready()

    def report(self) -> str:
        return self.application.report()

    def conversation(self) -> str:
        """What this client has sent and got, in order."""
        return super().report()

    @property
    def log(self) -> str:
        return "(above)"

    def forget(self) -> None:
        """Forget what was said until now, so that a report begins here."""
        self.pump(0)
        self.messages.clear()
        self.cells.clear()
        self._asides.clear()

    def interrupt(self) -> float:
        """Interrupt as an attached frontend does; returns when."""
        at = time.monotonic()
        request = self.request("interrupt_request", {}, channel="control")
        self._asides.add(request)
        return at

    def kill(self) -> None:
        """Disconnect; the application goes on."""
        self.application.leave(self.client)


def disconnect(client: BlockingKernelClient) -> None:
    """Close what it has open; its own ``stop_channels`` leaves the context."""
    client.stop_channels()
    client.context.destroy(linger=0)


def start(client: BlockingKernelClient, code: str, **options: Any) -> Cell:
    """Send a cell and do not wait; for the options see ``Kernel.start``."""
    cell: Cell = client.attached.start(code, **options)
    return cell


def begun(client: BlockingKernelClient, code: str, **options: Any) -> Cell:
    """Send a cell and wait until its code runs: the kernel announces it before that."""
    return start(client, f"print('begun')\n{code}", **options).wait_for_output("begun")


def run(
    client: BlockingKernelClient,
    code: str,
    *,
    within: float = DEADLINE,
    **options: Any,
) -> Cell:
    """
    Send a cell and wait until it has ended, well or not.

    Gives the reply (``reply``, ``status``) and its outputs by kind (``stdout``,
    ``stderr``, ``result``, ``displays``, ``errors``).
    """
    return start(client, code, **options).wait(within)


def ok(client: BlockingKernelClient, code: str, **options: Any) -> Cell:
    """Run a cell that has to succeed."""
    return run(client, code, **options).succeeded()


def interrupt(client: BlockingKernelClient) -> float:
    """
    Send an ``interrupt_request`` of this client's, over the control channel; gives when.
    """
    at: float = client.attached.interrupt()
    return at
