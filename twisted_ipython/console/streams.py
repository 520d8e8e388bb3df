"""
What a cell prints, on its way to the client.
"""

from __future__ import annotations

import io
import threading
from collections.abc import Callable
from typing import Any

# Characters after which what was printed is sent in the midst of a turn.
FULL = 64 * 1024


class Stream(io.TextIOBase):
    """
    ``stdout`` or ``stderr`` of one request.

    What is written is gathered, and sent as one message by ``flush``: by whom is
    asked to remember (``wake``), at the end of each turn and of the cell.

    Args:
        send: Called with the text. Any thread.
        wake: Called when there is something to send, once until it was. Any thread.

    Thread:
        Any.
    """

    encoding = "UTF-8"
    errors = "replace"

    def __init__(
        self,
        name: str,
        send: Callable[[str], object],
        wake: Callable[[Stream], object],
    ) -> None:
        super().__init__()
        self.name = name
        self._send = send
        self._wake = wake
        self._parts: list[str] = []
        self._size = 0
        # Sending is what it guards: else, of two threads that flush, the later part
        # could be sent first. Nothing of the user's is called under it.
        self._lock = threading.RLock()

    def write(self, text: str) -> int:
        if not isinstance(text, str):
            raise TypeError(f"write() argument must be str, not {type(text).__name__}")
        if not text:
            return 0
        with self._lock:
            first = not self._parts
            self._parts.append(text)
            self._size += len(text)
            full = self._size >= FULL
        if full:
            self.flush()
        elif first:
            self._wake(self)
        return len(text)

    def flush(self) -> None:
        with self._lock:
            parts, self._parts, self._size = self._parts, [], 0
            if parts:
                self._send("".join(parts))

    def writable(self) -> bool:
        return True

    def isatty(self) -> bool:
        return False

    def fileno(self) -> int:
        raise io.UnsupportedOperation("what a cell prints has no file descriptor")

    def close(self) -> None:
        """Of no effect: the request owns it."""


class Unreadable(io.TextIOBase):
    """
    ``sys.stdin`` of a cell: the application's own must not be read.

    Args:
        why: The error that each attempt to read raises.
    """

    encoding = "UTF-8"
    errors = "strict"
    name = "<stdin>"

    def __init__(self, why: Callable[[], BaseException]) -> None:
        super().__init__()
        self._why = why

    def _refuse(self, *args: Any) -> Any:
        raise self._why()

    read = readline = readlines = __next__ = _refuse

    def readable(self) -> bool:
        return True

    def fileno(self) -> int:
        raise io.UnsupportedOperation("a cell has no standard input of its own")

    def close(self) -> None:
        """Of no effect."""
