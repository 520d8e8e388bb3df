"""
The request that code runs for: who asked, and what belongs to that alone.

IPython and ipykernel keep such things on the shell, which is right where one cell runs
at a time. Here several are under way, and each has its own: a context variable names
it.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from contextvars import ContextVar
from typing import Any

from IPython.core.payload import PayloadManager

from .streams import Stream


class Request:
    """
    One request of a client's, as ipykernel and IPython see it.

    Attributes:
        parent: The message; what is sent because of it names its header.
        idents: The frames that lead back to the client.
        client: Who asked; None for what nobody did.
        number: The number of the cell; 0 for what is not a cell.
        count: What IPython has as its ``execution_count`` here: the number of the
            cell, then of the next.
        raw_cell, cell: Its text, and that as Python.
        stdout, stderr: Where it prints.
        payloads: What the frontend is to do (page, exit, ...).
        last_traceback: Of its error, as lines.
        failed_in_display: Whether that came up while a value was formatted.
        result: IPython's ``ExecutionResult`` that the display hook fills in.
        result_message: The message with the value that it shows now.
        allows_input: Whether the frontend can ask its user.
        abandoned: Whether the client was told that it is not waited for any more.
        awaits_input: Whether the next tree is that of the cell itself, where
            ``input`` can be awaited.
        peer: Descriptor, PID and uid of the other end of its socket, for interrupts.
        whole: Gives what is put around the sending of a message, which an interrupt
            must not break off.

    Thread:
        Made in the kernel's thread; used where its code runs, and after that in
        the kernel's thread again.
    """

    def __init__(
        self,
        parent: dict[str, Any],
        idents: list[bytes],
        client: Any,
        stdout: Stream,
        stderr: Stream,
    ) -> None:
        self.parent = parent
        self.idents = idents
        self.client = client
        self.stdout = stdout
        self.stderr = stderr
        self.number = 0
        self.count: int | None = None
        self.raw_cell = ""
        self.cell = ""
        self.payloads = PayloadManager()
        self.last_traceback: list[str] | None = None
        self.failed_in_display = False
        self.result: Any = None
        self.result_message: Any = None
        self.allows_input = False
        self.abandoned = False
        self._end = threading.Lock()  # taken by who tells, and not given back
        self.awaits_input = False
        self.peer: tuple[int | None, int | None, int | None] = (None, None, None)
        self.whole: Callable[[], AbstractContextManager[object]] = nullcontext

    @property
    def header(self) -> dict[str, Any]:
        """The header of the message."""
        header: dict[str, Any] = self.parent.get("header", {})
        return header

    @property
    def session(self) -> str:
        """The client's session."""
        return str(self.header.get("session", ""))

    def claim_end(self) -> bool:
        """
        Whether it is for the caller to tell how the request was ended before its
        time: True once, for the first. Any thread.
        """
        return self._end.acquire(blocking=False)

    def flush(self) -> None:
        """Send what it has printed."""
        self.stdout.flush()
        self.stderr.flush()


REQUEST: ContextVar[Request] = ContextVar("twisted_ipython_request")


def current() -> Request | None:
    """The request that this code runs for, if any."""
    return REQUEST.get(None)
