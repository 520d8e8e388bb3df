"""
Real kernels for tests: start one, run cells, and see all that it said.

A :class:`Kernel` is a process with a configuration of its own; nothing of the
user's takes part. Messages are read only while a test waits, in the test's own
thread, and kept for good, so output that arrives late is found under the cell
that it names as its parent.

Nothing here sleeps to wait: :meth:`Kernel.wait_until` waits for a condition
with a deadline, and a deadline that passes prints everything the kernel said.
"""

from __future__ import annotations

import ast
import contextlib
import os
import re
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import zmq
from jupyter_client.kernelspec import KernelSpecManager
from jupyter_client.manager import KernelManager

DEADLINE = 30.0
"""Seconds a test waits for something that should take less than one."""

_ROUTINE = ("status", "execute_input")
_ANSI = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")
_FRAME = re.compile(r"^(Cell In\s?\[\d+\]|Input In \[\d+\]|File )")
_ARROW = re.compile(r"^-+> *(\d+)(?: (.*))?$")


def plain(text: str) -> str:
    """The text without colours."""
    return _ANSI.sub("", text)


def clean_environment(directory: Path, **more: str) -> dict[str, str]:
    """
    The environment of a program that knows nothing of the user's configuration.

    Args:
        directory: Holds what the program would look for in the user's home.
        more: Variables to add.
    """
    environment = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("IPYTHON", "JUPYTER", "JPY_", "PYTEST_", "COV_CORE"))
        and name not in ("PYTHONSTARTUP", "PYTHONBREAKPOINT", "MPLBACKEND", "NO_COLOR")
    }
    environment.update(
        IPYTHONDIR=str(directory / "ipython"),
        JUPYTER_CONFIG_DIR=str(directory / "jupyter-config"),
        JUPYTER_DATA_DIR=str(directory / "jupyter-data"),
        JUPYTER_RUNTIME_DIR=str(directory / "jupyter-runtime"),
        JUPYTER_NO_CONFIG="1",
        JUPYTER_PLATFORM_DIRS="1",
        PYTHONUNBUFFERED="1",
        PYDEVD_DISABLE_FILE_VALIDATION="1",
    )
    environment.update(more)
    return environment


@dataclass(frozen=True)
class ShownError:
    """
    An error as a frontend shows it.

    Attributes:
        traceback: What the user reads, without colours.
    """

    ename: str
    evalue: str
    traceback: str

    @property
    def frames(self) -> list[str]:
        """The heads of the frames, outermost first: ``Cell In[3], line 2``."""
        return [line for line in self.traceback.splitlines() if _FRAME.match(line)]

    @property
    def lines(self) -> list[tuple[int, str]]:
        """Number and text of each line that an arrow points at, outermost first."""
        found = (_ARROW.match(line) for line in self.traceback.splitlines())
        return [(int(m.group(1)), (m.group(2) or "").strip()) for m in found if m]


@dataclass
class Message:
    """One message of the kernel, and when this process read it."""

    channel: str
    at: float
    header: dict[str, Any]
    parent: dict[str, Any]
    content: dict[str, Any]

    @property
    def type(self) -> str:
        return str(self.header["msg_type"])


@dataclass(eq=False)
class Cell:
    """
    A cell that was sent, and whatever came back for it, whenever it came.

    Every property reads what has arrived so far.
    """

    kernel: Kernel
    id: str
    source: str
    started_at: float = field(default_factory=time.monotonic)

    def _messages(self, *types: str) -> list[Message]:
        return [
            message
            for message in self.kernel.messages
            if message.parent.get("msg_id") == self.id and message.type in types
        ]

    def _stream(self, name: str) -> str:
        return plain(
            "".join(
                message.content["text"]
                for message in self._messages("stream")
                if message.content["name"] == name
            )
        )

    @property
    def stdout(self) -> str:
        return self._stream("stdout")

    @property
    def stderr(self) -> str:
        return self._stream("stderr")

    @property
    def errors(self) -> list[ShownError]:
        return [
            ShownError(
                message.content["ename"],
                plain(message.content["evalue"]),
                plain("\n".join(message.content["traceback"])),
            )
            for message in self._messages("error")
        ]

    @property
    def results(self) -> list[dict[str, Any]]:
        """The data of each ``Out``; there should be no more than one."""
        return [message.content["data"] for message in self._messages("execute_result")]

    @property
    def result(self) -> str | None:
        """The text of the cell's ``Out``."""
        results = self.results
        assert len(results) < 2, f"{len(results)} results of one cell: {results}"
        return plain(results[0]["text/plain"]) if results else None

    @property
    def displays(self) -> list[dict[str, Any]]:
        return [message.content["data"] for message in self._messages("display_data")]

    @property
    def display_ids(self) -> list[str | None]:
        """The id of each of the ``displays``."""
        return [
            message.content.get("transient", {}).get("display_id")
            for message in self._messages("display_data")
        ]

    @property
    def updates(self) -> list[dict[str, Any]]:
        """The data of each update of the cell's displays, whatever cell it names."""
        return [
            message.content["data"]
            for message in self.kernel.messages
            if message.type == "update_display_data"
            and message.content["transient"]["display_id"] in self.display_ids
        ]

    @property
    def own_updates(self) -> list[dict[str, Any]]:
        """The data of each update that names this cell as its parent."""
        return [
            message.content["data"] for message in self._messages("update_display_data")
        ]

    @property
    def output(self) -> str:
        """All that the user reads under the cell, in order, without colours."""
        parts = []
        for message in self._messages(
            "stream", "error", "execute_result", "display_data"
        ):
            content = message.content
            if message.type == "stream":
                parts.append(content["text"])
            elif message.type == "error":
                parts.append("\n".join([*content["traceback"], ""]))
            else:
                parts.append(content["data"].get("text/plain", "") + "\n")
        return plain("".join(parts))

    @property
    def input_seen(self) -> bool:
        """Whether the kernel has announced that it runs the cell."""
        return bool(self._messages("execute_input"))

    @property
    def idle(self) -> bool:
        states = [
            message.content["execution_state"] for message in self._messages("status")
        ]
        return "idle" in states

    @property
    def reply(self) -> dict[str, Any] | None:
        replies = self._messages("execute_reply")
        return replies[0].content if replies else None

    @property
    def replied_at(self) -> float:
        """When the reply was read, on the clock of ``time.monotonic``."""
        return self._messages("execute_reply")[0].at

    @property
    def status(self) -> str | None:
        return self.reply["status"] if self.reply else None

    @property
    def execution_count(self) -> int | None:
        return self.reply["execution_count"] if self.reply else None

    @property
    def done(self) -> bool:
        return self.idle and self.reply is not None

    @property
    def page(self) -> str:
        """What a pager would show: the answer to ``name?``."""
        payload = (self.reply or {}).get("payload", [])
        return plain(
            "\n".join(
                part["data"]["text/plain"]
                for part in payload
                if part["source"] == "page"
            )
        )

    @property
    def only_error(self) -> ShownError:
        """The one error of the cell; anything but one is a failure."""
        errors = self.errors
        assert len(errors) == 1, (
            f"{len(errors)} errors instead of one, of\n{self.source}\n\n{self.kernel.report()}"
        )
        return errors[0]

    def wait(self, within: float = DEADLINE) -> Cell:
        """Wait until the cell has ended."""
        self.kernel.wait_until(
            lambda: self.done, within, f"the end of the cell\n{self.source}"
        )
        return self

    def wait_for_output(self, text: str, within: float = DEADLINE) -> Cell:
        """Wait until the cell's output contains the text, before or after its end."""
        self.kernel.wait_until(
            lambda: text in self.output,
            within,
            f"{text!r} in the output of\n{self.source}",
        )
        return self

    def wait_until_running(self, within: float = DEADLINE) -> Cell:
        """Wait until the kernel has announced that it runs the cell."""
        self.kernel.wait_until(
            lambda: self.input_seen, within, f"the start of\n{self.source}"
        )
        return self

    def succeeded(self) -> Cell:
        """Fail unless the cell has ended well, with no word on stderr."""
        assert self.status == "ok" and not self.errors and not self.stderr, (
            f"this cell was to succeed:\n{self.source}\n\n{self.kernel.report()}"
        )
        return self


class Kernel:
    """
    An IPython kernel in a process of its own.

    Args:
        arguments: Added to the kernel's command line, such as
            ``--TwistedIPython.autoawait=True``.
        environment: Added to the kernel's environment.
        config: Text of an ``ipython_config.py``.
    """

    def __init__(
        self,
        *arguments: str,
        environment: dict[str, str] | None = None,
        config: str = "",
    ) -> None:
        # A unix socket's path has to be short: not below pytest's own directory.
        self.directory = Path(tempfile.mkdtemp(prefix="kernel-"))
        self.messages: list[Message] = []
        self.cells: list[Cell] = []
        self._asides: set[str] = set()
        self._log_from = 0
        self._began = time.monotonic()
        if config:
            profile = self.directory / "ipython" / "profile_default"
            profile.mkdir(parents=True)
            (profile / "ipython_config.py").write_text(config)
        specs = KernelSpecManager(kernel_dirs=[])
        self.manager = KernelManager(
            kernel_name="python3",
            kernel_spec_manager=specs,
            connection_file=str(self.directory / "kernel.json"),
            transport="ipc",
        )
        self._log = (self.directory / "log").open("w+b")
        self.manager.start_kernel(
            extra_arguments=["--HistoryManager.hist_file=:memory:", *arguments],
            env=clean_environment(self.directory, **(environment or {})),
            stdout=self._log,
            stderr=self._log,
            cwd=str(self.directory),
        )
        self.process = self.manager.provisioner.process
        self.client = self.manager.client()
        self.client.start_channels(hb=False)
        self.session = self.client.session
        self._channels = {
            "shell": self.client.shell_channel.socket,
            "iopub": self.client.iopub_channel.socket,
            "control": self.client.control_channel.socket,
            "stdin": self.client.stdin_channel.socket,
        }
        self._poller = zmq.Poller()
        for socket in self._channels.values():
            self._poller.register(socket, zmq.POLLIN)
        self._wait_until_ready()
        # What a cell prints is sent off at once, not five times a second.
        self.value("setattr(__import__('sys').stdout, 'flush_interval', 0.02)")

    def _wait_until_ready(self) -> None:
        """A kernel is ready when its answer and what it publishes both arrive."""

        def attempt() -> bool:
            request = self.request("kernel_info_request", {})
            self._asides.add(request)
            with contextlib.suppress(AssertionError):
                self.wait_until(lambda: self._is_idle(request), 0.2, "kernel info")
            return self._is_idle(request)

        for _ in range(int(DEADLINE / 0.2)):
            if attempt():
                return
            assert self.alive, self.report()
        raise AssertionError("the kernel did not start\n" + self.report())

    def _is_idle(self, request: str) -> bool:
        return any(
            message.parent.get("msg_id") == request
            and message.type == "status"
            and message.content["execution_state"] == "idle"
            for message in self.messages
        )

    # Reading

    def pump(self, seconds: float) -> None:
        """Read what has arrived; wait for at most so long for something to arrive."""
        ready = dict(self._poller.poll(max(0, int(seconds * 1000))))
        for name, socket in self._channels.items():
            if socket not in ready:
                continue
            while socket.getsockopt(zmq.EVENTS) & zmq.POLLIN:
                _, message = self.session.recv(socket, mode=zmq.NOBLOCK)
                if message is None:
                    break
                self.messages.append(
                    Message(
                        name,
                        time.monotonic(),
                        message["header"],
                        message["parent_header"] or {},
                        message["content"],
                    )
                )

    def wait_until(
        self,
        condition: Callable[[], object],
        within: float = DEADLINE,
        what: str = "the condition",
    ) -> None:
        """
        Read messages until the condition holds.

        Raises:
            AssertionError: It did not hold within so many seconds, or the
                kernel's process ended; holds everything the kernel said.
        """
        deadline = time.monotonic() + within
        while not condition():
            left = deadline - time.monotonic()
            if left <= 0:
                raise AssertionError(
                    f"after {within:g} s still not: {what}\n\n{self.report()}"
                )
            if not self.alive:
                self.pump(0)
                if condition():
                    return
                raise AssertionError(
                    f"the kernel has ended before: {what}\n\n{self.report()}"
                )
            self.pump(min(left, 0.05))

    def report(self) -> str:
        """
        Everything the kernel said, in order, with the cell each message belongs to.

        Without what only the harness asked, and the routine of cells that have ended.
        """
        numbers = {cell.id: number for number, cell in enumerate(self.cells, 1)}
        rows = ["--- cells sent"]
        for number, cell in enumerate(self.cells, 1):
            rows.append(f"[{number}] at {cell.started_at - self._began:.3f} s")
            rows += [f"      {line}" for line in cell.source.splitlines()]
        ended = {cell.id for cell in self.cells if cell.done}
        rows.append("--- messages: seconds, channel, [cell], type, content")
        for message in self.messages:
            parent = message.parent.get("msg_id", "")
            if parent in self._asides or (parent in ended and message.type in _ROUTINE):
                continue
            number = numbers.get(parent, "-")
            content = dict(message.content)
            if "traceback" in content:
                content["traceback"] = "…"
            if message.type == "execute_input":
                content = {}
            rows.append(
                f"{message.at - self._began:8.3f} {message.channel:7} [{number}] "
                f"{message.type} {plain(str(content))[:2000]}"
            )
            if message.type == "error":
                text = plain("\n".join(message.content["traceback"]))
                rows += [f"          {line}" for line in text.splitlines()]
        rows.append(
            f"--- process: {'alive' if self.alive else self.process.poll()}; its own log"
        )
        rows.append(self.log)
        return "\n".join(rows)

    def forget(self) -> None:
        """Forget what was said until now, so that a report begins here."""
        self.pump(0)
        self.messages.clear()
        self.cells.clear()
        self._asides.clear()
        self._log_from = (self.directory / "log").stat().st_size

    @property
    def log(self) -> str:
        """What the process wrote where no frontend sees it."""
        return (
            (self.directory / "log")
            .read_bytes()[self._log_from :]
            .decode(errors="replace")
        )

    @property
    def alive(self) -> bool:
        return self.process.poll() is None

    # Asking

    def request(
        self,
        type: str,
        content: dict[str, Any],
        channel: str = "shell",
        subshell: str | None = None,
        metadata: dict[str, Any] | None = None,
    ) -> str:
        """Send a message; returns its id."""
        message = self.session.msg(type, content, metadata=metadata)
        if subshell is not None:
            message["header"]["subshell_id"] = subshell
        self.session.send(self._channels[channel], message)
        return str(message["header"]["msg_id"])

    def ask(
        self,
        type: str,
        content: dict[str, Any],
        channel: str = "shell",
        within: float = DEADLINE,
    ) -> dict[str, Any]:
        """Send a message and wait for its reply; returns the reply's content."""
        request = self.request(type, content, channel)
        self._asides.add(request)

        def replies() -> list[Message]:
            return [
                message
                for message in self.messages
                if message.parent.get("msg_id") == request
                and message.channel == channel
            ]

        self.wait_until(replies, within, f"the reply to {type}")
        return replies()[0].content

    # Running cells

    def start(
        self,
        source: str,
        *,
        subshell: str | None = None,
        allow_stdin: bool = False,
        store_history: bool = True,
        cell_id: str | None = None,
    ) -> Cell:
        """
        Send a cell and do not wait.

        Args:
            cell_id: The frontend's name of it, as JupyterLab sends one.
        """
        content = {
            "code": source,
            "silent": False,
            "store_history": store_history,
            "user_expressions": {},
            "allow_stdin": allow_stdin,
            # A cell that fails must not take the next one with it.
            "stop_on_error": False,
        }
        request = self.request(
            "execute_request",
            content,
            subshell=subshell,
            metadata={} if cell_id is None else {"cellId": cell_id},
        )
        cell = Cell(self, request, source)
        self.cells.append(cell)
        return cell

    def run(self, source: str, *, within: float = DEADLINE, **options: Any) -> Cell:
        """Send a cell and wait until it has ended, well or not."""
        return self.start(source, **options).wait(within)

    def ok(self, source: str, *, within: float = DEADLINE, **options: Any) -> Cell:
        """Run a cell that has to succeed."""
        return self.run(source, within=within, **options).succeeded()

    def value(self, expression: str, within: float = DEADLINE) -> Any:
        """
        The value of an expression in the user's namespace, a literal.

        Evaluated in the shell thread, as no cell: counts, history and ``_`` stay.
        """
        content = {
            "code": "",
            "silent": False,
            "store_history": False,
            "user_expressions": {"it": f"repr({expression})"},
            "allow_stdin": False,
            "stop_on_error": False,
        }
        reply = self.ask("execute_request", content, within=within)
        answer = reply["user_expressions"]["it"]
        assert answer["status"] == "ok", f"{expression}: {answer}\n\n{self.report()}"
        return ast.literal_eval(ast.literal_eval(answer["data"]["text/plain"]))

    def wait_for_value(
        self, expression: str, wanted: object = True, within: float = DEADLINE
    ) -> None:
        """Wait until an expression of the user's namespace has the wanted value."""
        deadline = time.monotonic() + within
        while (value := self.value(expression)) != wanted:
            assert time.monotonic() < deadline, (
                f"after {within:g} s {expression} is {value!r}, not {wanted!r}\n\n{self.report()}"
            )
            self.pump(0.02)

    def complete(self, source: str) -> list[str]:
        """What Tab offers at the end of the source."""
        reply = self.ask(
            "complete_request", {"code": source, "cursor_pos": len(source)}
        )
        assert reply["status"] == "ok", reply
        return list(reply["matches"])

    def input_requests(self, cell: Cell) -> list[str]:
        """The prompts of the questions a cell has asked so far."""
        return [
            message.content["prompt"]
            for message in self.messages
            if message.type == "input_request"
            and message.parent.get("msg_id") == cell.id
        ]

    def answer(self, cell: Cell, text: str, question: int = 1) -> None:
        """Answer a cell's nth question once it is asked."""
        self.wait_until(
            lambda: len(self.input_requests(cell)) >= question,
            what=f"question {question}",
        )
        self.request("input_reply", {"value": text}, channel="stdin")

    # Interrupts, subshells, the end

    def interrupt(self) -> float:
        """Interrupt as a frontend's stop button does, by a signal; returns when."""
        at = time.monotonic()
        self.manager.interrupt_kernel()
        return at

    def interrupt_by_message(self) -> float:
        """Interrupt by a message on the control channel, without waiting; returns when."""
        at = time.monotonic()
        self.request("interrupt_request", {}, channel="control")
        return at

    @property
    def has_subshells(self) -> bool:
        info = self.ask("kernel_info_request", {})
        return "kernel subshells" in info.get("supported_features", [])

    def new_subshell(self) -> str:
        """Create a subshell; returns the id that :meth:`start` takes."""
        reply = self.ask("create_subshell_request", {}, channel="control")
        assert reply["status"] == "ok", reply
        return str(reply["subshell_id"])

    def shutdown(self, *, interrupt_first: bool = False, within: float = 20) -> float:
        """
        Shut down over the control channel.

        Args:
            interrupt_first: As Jupyter's own managers do.

        Returns:
            Seconds until the process had ended.

        Raises:
            AssertionError: It had not ended in time; it is killed then.
        """
        began = time.monotonic()
        if interrupt_first:
            self.manager.interrupt_kernel()
        self.request("shutdown_request", {"restart": False}, channel="control")
        while self.alive:
            if time.monotonic() - began > within:
                raise AssertionError(f"no end within {within:g} s\n\n{self.report()}")
            self.pump(0.01)
        seconds = time.monotonic() - began
        self.pump(0)
        return seconds

    def kill(self) -> None:
        """End the process, whatever it does, and give everything back. Safe twice."""
        if self.alive:
            self.manager.shutdown_kernel(now=True)
        self.client.stop_channels()
        with contextlib.suppress(Exception):
            self.manager.cleanup_resources()
        self._log.close()
        shutil.rmtree(self.directory, ignore_errors=True)

    def __enter__(self) -> Kernel:
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()


HELPERS = '''\
import asyncio, threading, time
import crochet
from twisted.internet import defer, reactor, task, threads
from twisted.internet.defer import Deferred, ensureDeferred, inlineCallbacks, succeed, fail

def sleep(seconds, result=None):
    """A Deferred that fires after so many seconds; its call is cancelled with it."""
    return task.deferLater(reactor, seconds, lambda: result)

def pending(name="pending"):
    """A Deferred that never fires; notes its cancellation in ``cancelled``."""
    return Deferred(lambda _: cancelled.append(name))

cancelled = []
'''
"""What most cells of these tests use."""


def with_extension(
    kernel: Kernel, *, await_twisted: bool = True, helpers: bool = True
) -> Kernel:
    """Load the extension by hand, as a notebook does, and define the helpers."""
    kernel.ok("%load_ext twisted_ipython")
    if await_twisted:
        kernel.ok("%autoawait twisted")
    if helpers:
        kernel.ok(HELPERS)
    return kernel


@contextlib.contextmanager
def running_kernel(*arguments: str, **options: Any) -> Iterator[Kernel]:
    """A kernel for the length of a ``with``."""
    with Kernel(*arguments, **options) as kernel:
        yield kernel


if __name__ == "__main__":
    with running_kernel() as demonstration:
        print(demonstration.run(sys.argv[1] if len(sys.argv) > 1 else "1 + 1").output)
