"""
The consoles that send and receive lines of text: python-manhole's and aiomonitor's.
"""

from __future__ import annotations

import os
import re
import signal
import socket
from time import perf_counter
from typing import Any

from ..workers import WorkerFailed
from .holding import ANSWER_WITHIN, Application, look_until
from .prompts import ANSWER, SUM, Opened


class LinePrompt:
    """What the consoles have in common that send and receive lines of text."""

    can_close = True
    PROMPT = b">>> "

    def __init__(self) -> None:
        self._socket: Any = None
        self._received = b""

    def _connect(self, family: socket.AddressFamily, address: Any) -> bool:
        self._socket = socket.socket(family, socket.SOCK_STREAM)
        self._socket.settimeout(ANSWER_WITHIN)
        self._received = b""
        try:
            self._socket.connect(address)
        except OSError:
            self._socket.close()
            return False
        return True

    def _read_until(self, end: bytes) -> None:
        """Read on to ``end``, a regular expression; what came before is dropped."""
        while not (found := re.search(end, self._received)):
            received = self._socket.recv(65536)
            if not received:
                raise WorkerFailed(
                    f"{self._received!r}, then the connection was closed"
                )
            self._received += received
            self._handle(received)
        self._received = self._received[found.end() :]

    def _handle(self, received: bytes) -> None:
        """Answer what is no text."""

    def _send(self, line: str) -> None:
        self._socket.sendall(line.encode() + b"\n")

    def leave(self) -> None:
        self._socket.close()


class ManholePrompt(LinePrompt):
    """python-manhole's: a thread, whose console runs in another one."""

    can_close = False

    def __init__(self, application: Application) -> None:
        super().__init__()
        self._pid = application.pid
        self._is_active = False

    def open(self) -> Opened:
        began = perf_counter()
        if not self._is_active:  # a second signal would raise an error there
            os.kill(self._pid, signal.SIGUSR1)
            self._is_active = True
        path = f"/tmp/manhole-{self._pid}"
        look_until(lambda: self._connect(socket.AF_UNIX, path), path)
        self._read_until(self.PROMPT)
        prompt = perf_counter() - began
        self.time(SUM)
        return Opened(prompt, perf_counter() - began)

    def time(self, cell: str) -> float:
        began = perf_counter()
        self._send(cell)
        self._read_until(ANSWER.encode() + b"\n" + self.PROMPT)
        return perf_counter() - began

    def close(self) -> float:
        raise NotImplementedError("a manhole stays open")


class AiomonitorPrompt(LinePrompt):
    """aiomonitor's: a telnet server in a thread, a console in the reactor thread."""

    MONITOR = b"monitor >>> "

    def __init__(self, application: Application) -> None:
        super().__init__()
        self._application = application
        names = ("port", "webui_port", "console_port")
        self.ports = dict(zip(names, free_ports(len(names)), strict=True))

    def open(self) -> Opened:
        began = perf_counter()
        self._application.ask("open", self.ports)
        address = ("127.0.0.1", self.ports["port"])
        look_until(lambda: self._connect(socket.AF_INET, address), "monitor")
        self._socket.sendall(TERMINAL_TYPE)
        self._read_until(self.MONITOR)
        self._send("console")
        self._read_until(b"---\r\n" + DRAWN + self.PROMPT)  # the end of the banner
        prompt = perf_counter() - began
        self.time(SUM)
        return Opened(prompt, perf_counter() - began)

    def _send(self, line: str) -> None:
        self._socket.sendall(line.encode() + b"\r")

    def leave(self) -> None:
        """
        Leave the console, then the monitor.

        ``Monitor.close`` would wait for ever for a console that has a client.
        """
        self._socket.sendall(END)
        self._read_until(b"The console session is closed.")
        self._read_until(self.MONITOR)
        self._socket.sendall(END)
        while self._socket.recv(65536):
            pass
        self._socket.close()

    def _handle(self, received: bytes) -> None:
        for _ in CURSOR_WANTED.findall(received):
            self._socket.sendall(CURSOR)

    def time(self, cell: str) -> float:
        began = perf_counter()
        self._send(cell)
        self._read_until(ANSWER.encode() + b"\r\n" + DRAWN + self.PROMPT)
        return perf_counter() - began

    def close(self) -> float:
        began = perf_counter()
        self._application.ask("close")
        return perf_counter() - began


# Telnet: the answer to what the server asks first. (RFC 1091.)
TERMINAL_TYPE = b"\xff\xfa\x18\x00xterm\xff\xf0"

END = b"\x04"  # Ctrl-D

# What prompt_toolkit can draw between two lines of output.
DRAWN = rb"(?:\x1b\[[0-9;?]*[A-Za-z]|[ \b\r\n])*"

# Where the cursor is, as a terminal is asked, and answers.
CURSOR_WANTED, CURSOR = re.compile(rb"\x1b\[6n"), b"\x1b[40;1R"


def free_ports(number: int) -> list[int]:
    """Ports that nobody listens on."""
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(number)]
    ports = [each.getsockname()[1] for each in sockets]
    for each in sockets:
        each.close()
    return ports
