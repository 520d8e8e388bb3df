"""
The consoles from outside: how each is asked for, used and left.

What all have in common, and this package's; ``line_prompts`` has the others.
"""

from __future__ import annotations

import os
import signal
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter
from typing import Any, Protocol

from ..kernels import time_cell, time_interrupt
from ..workers import WorkerFailed
from .holding import ANSWER_WITHIN, Application, look_until

SUM, ANSWER = "1+1", "2"  # what is asked first


@dataclass(frozen=True)
class Opened:
    """
    Seconds from when somebody asked for a console.

    Attributes:
        prompt: Until it was there: its prompt, or the kernel's answer to
            ``kernel_info_request``.
        answer: Until the sum was there.
    """

    prompt: float
    answer: float


class Prompt(Protocol):
    """
    A console of an application, and one client.

    Attributes:
        can_close: Whether the console can be closed.
    """

    can_close: bool

    def open(self) -> Opened:
        """Ask for the console, attach, and run the sum."""

    def time(self, cell: str) -> float:
        """Seconds from sending a line until its answer is here."""

    def leave(self) -> None:
        """The client goes."""

    def close(self) -> float:
        """Close the console, once the client has gone; gives the seconds."""


class LivePrompt:
    """This package's, through Jupyter's blocking client."""

    can_close = True

    def __init__(self, application: Application) -> None:
        from jupyter_core.paths import jupyter_runtime_dir

        self._application = application
        place = Path(jupyter_runtime_dir(), "twisted_ipython", str(application.pid))
        self._connection_file = place / "kernel.json"
        self._client: Any = None

    def open(self) -> Opened:
        from jupyter_client.blocking import BlockingKernelClient

        began = perf_counter()
        os.kill(self._application.pid, signal.SIGUSR2)
        try:
            look_until(self._connection_file.exists, str(self._connection_file))
        except TimeoutError as error:
            raise WorkerFailed(f"{error}; {self._state()}") from error
        self._client = BlockingKernelClient(connection_file=str(self._connection_file))
        self._client.load_connection_file()
        self._client.start_channels()
        self._client.kernel_info(reply=True, timeout=ANSWER_WITHIN)
        prompt = perf_counter() - began
        reply = self._client.execute(
            SUM, store_history=False, reply=True, timeout=ANSWER_WITHIN
        )
        answer = perf_counter() - began
        if reply["content"]["status"] != "ok":
            raise WorkerFailed(f"{SUM} in a live console: {reply['content']}")
        self._settle()
        return Opened(prompt, answer)

    def _state(self) -> str:
        """What the application says of its console."""
        try:
            return self._connection_file.with_name("app.json").read_text()
        except OSError as error:
            return str(error)

    def _settle(self) -> None:
        """
        The client hears what the kernel publishes, and has read all of it.

        A subscription takes its time; what came before is lost.
        """
        from queue import Empty

        heard = False
        while not heard:
            self._client.kernel_info(reply=True, timeout=ANSWER_WITHIN)
            try:
                while True:
                    message = self._client.get_iopub_msg(timeout=0.02)
                    heard = heard or message["msg_type"] == "status"
            except Empty:
                pass

    def time(self, cell: str) -> float:
        return time_cell(self._client, cell)

    def time_interrupt(self) -> float:
        """See ``kernels.time_interrupt``; by a message, as a client does it."""
        client = self._client

        def interrupt() -> None:
            message = client.session.msg("interrupt_request", {})
            client.control_channel.send(message)

        seconds = time_interrupt(client, interrupt)
        client.get_control_msg(timeout=ANSWER_WITHIN)
        return seconds

    def leave(self) -> None:
        client, self._client = self._client, None
        client.stop_channels()

    def close(self) -> float:
        began = perf_counter()
        self._application.ask("close")
        return perf_counter() - began
