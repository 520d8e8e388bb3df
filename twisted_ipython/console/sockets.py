"""
The kernel's sockets: unix sockets in a directory that only their user can enter.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import zmq
from ipykernel.heartbeat import Heartbeat
from tornado.ioloop import IOLoop
from zmq.eventloop.zmqstream import ZMQStream
from zmq.utils.monitor import parse_monitor_message

from ..internals import ipykernel_parts as internals
from ..internals.cpython import no_signals

_CHANNELS = ("shell", "iopub", "stdin", "control", "hb")

# What a unix socket's path can hold, with the zero at its end: sockaddr_un has 108
# bytes on Linux, 104 elsewhere.
_LONGEST = 103

# Milliseconds that a socket which is closed may take for what it has still to send.
_LINGER = 100


class Sockets:
    """
    Args:
        directory: Where they go, if its path is short enough.

    Thread:
        The kernel's.
    """

    def __init__(self, directory: Path, session: Any, io_loop: IOLoop) -> None:
        self._temporary: str | None = None
        # Other names each time: a client of a console that has closed would connect
        # to the next by itself, whose messages it can't read.
        name = f"kernel-{os.urandom(3).hex()}"
        prefix = directory / name
        if len(os.fsencode(prefix)) + len("-5") > _LONGEST:
            self._temporary = tempfile.mkdtemp(prefix="twisted_ipython-")  # mode 0700
            prefix = Path(self._temporary, name)
        self._prefix = str(prefix)
        self._context = zmq.Context()
        self._heartbeat_context: Any = None
        self._streams: list[ZMQStream] = []
        self._monitors: list[tuple[Any, Any]] = []
        self.ports = {name: n for n, name in enumerate(_CHANNELS, 1)}
        try:
            self._make(session, io_loop)
        except BaseException:
            self.close()
            raise

    def _make(self, session: Any, io_loop: IOLoop) -> None:
        self.shell = self._stream(zmq.ROUTER, "shell", io_loop)
        self.control = self._stream(zmq.ROUTER, "control", io_loop)
        self.stdin = self._stream(zmq.ROUTER, "stdin", io_loop)
        self.iopub_thread = internals.iopub_thread(
            lambda kind: self._bound(kind, "iopub"), session
        )
        self.iopub = self.iopub_thread.background_socket
        # ipykernel gives it a context of its own, so that it beats whatever holds
        # the others up.
        self._heartbeat_context = zmq.Context()
        self._heartbeat = Heartbeat(
            self._heartbeat_context, ("ipc", self._prefix, self.ports["hb"])
        )
        self._heartbeat.start()

    def _bound(self, kind: int, channel: str) -> Any:
        socket = self._context.socket(kind)
        socket.linger = _LINGER
        if kind == zmq.ROUTER:
            socket.router_handover = 1  # a client that connects again is the same one
        path = f"{self._prefix}-{self.ports[channel]}"
        if os.path.lexists(path):
            os.unlink(path)
        socket.bind(f"ipc://{path}")
        return socket

    def _stream(self, kind: int, channel: str, io_loop: IOLoop) -> ZMQStream:
        stream = ZMQStream(self._bound(kind, channel), io_loop)
        self._streams.append(stream)
        return stream

    def watch(self, stream: ZMQStream, disconnected: Callable[[int], object]) -> None:
        """Call ``disconnected`` with the descriptor of each connection that ends."""
        monitor = stream.socket.get_monitor_socket(zmq.EVENT_DISCONNECTED)
        events = ZMQStream(monitor, stream.io_loop)

        def received(frames: list[bytes]) -> None:
            disconnected(parse_monitor_message(frames)["value"])

        events.on_recv(received)
        self._monitors.append((stream.socket, events))

    @property
    def is_beating(self) -> bool:
        """Whether the last of them, the heartbeat's, is there."""
        return os.path.exists(f"{self._prefix}-{self.ports['hb']}")

    def connection(self, key: bytes) -> dict[str, Any]:
        """What the connection file holds."""
        ports = {f"{name}_port": number for name, number in self.ports.items()}
        return {
            "transport": "ipc",
            "ip": self._prefix,
            "key": key.decode(),
            "signature_scheme": "hmac-sha256",
            "kernel_name": "",
            **ports,
        }

    def close(self) -> None:
        """Give everything back. Waits for the threads, each a moment."""
        for socket, events in self._monitors:
            events.on_recv(None)
            socket.disable_monitor()
            events.close(linger=0)
        for stream in self._streams:
            stream.close(linger=_LINGER)
        if hasattr(self, "iopub_thread"):
            internals.close_iopub(self.iopub_thread)
        # pyzmq takes a context for ended whose ending a signal has interrupted, and one
        # of its threads would stay.
        with no_signals():
            if self._heartbeat_context is not None:
                self._heartbeat_context.term()
                if hasattr(self, "_heartbeat"):
                    self._heartbeat.join(1)
            self._context.term()
        for number in self.ports.values():
            path = f"{self._prefix}-{number}"
            if os.path.lexists(path):
                os.unlink(path)
        if self._temporary is not None:
            shutil.rmtree(self._temporary, ignore_errors=True)
