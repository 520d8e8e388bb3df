"""
Who is attached: the sessions that have spoken, and the processes behind them.
"""

from __future__ import annotations

import socket
import struct
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import zmq


@dataclass(frozen=True)
class Client:
    """
    One frontend.

    Attributes:
        session: Of its messages' headers.
        user: Who it says that it is.
        pid, uid: Its process and user, as the operating system says; None where
            that can't be told.
    """

    session: str
    user: str
    pid: int | None
    uid: int | None


class Clients:
    """
    Args:
        attached, detached: Called with a client that is new, or gone.

    Thread:
        The kernel's.
    """

    def __init__(
        self,
        attached: Callable[[Client], object],
        detached: Callable[[Client], object],
    ) -> None:
        self._attached = attached
        self._detached = detached
        self._clients: dict[str, Client] = {}
        self._sessions: dict[int, set[str]] = {}  # by the descriptor of its socket

    def __len__(self) -> int:
        return len(self._clients)

    def seen(self, frames: list[Any], header: dict[str, Any]) -> Client:
        """The client that a message comes from; a new one, if it was not known."""
        session = str(header.get("session", ""))
        descriptor, pid, uid = peer_of(frames)
        if descriptor is not None:
            self._sessions.setdefault(descriptor, set()).add(session)
        client = self._clients.get(session)
        if client is None:
            client = Client(session, str(header.get("username", "")), pid, uid)
            self._clients[session] = client
            self._attached(client)
        return client

    def find(self, header: dict[str, Any]) -> Client | None:
        """The client of a session that was seen, if it is still there."""
        return self._clients.get(str(header.get("session", "")))

    def disconnected(self, descriptor: int) -> None:
        """The socket with that descriptor was closed."""
        for session in self._sessions.pop(descriptor, ()):
            if not any(session in others for others in self._sessions.values()):
                self.forget(session)

    def forget(self, session: str) -> None:
        """It has left, or said so."""
        client = self._clients.pop(session, None)
        if client is not None:
            self._detached(client)

    def forget_all(self) -> None:
        """The console closes."""
        for session in list(self._clients):
            self.forget(session)
        self._sessions.clear()


_CREDENTIALS = struct.Struct("3i")


def peer_of(frames: list[Any]) -> tuple[int | None, int | None, int | None]:
    """
    The descriptor, the PID and the uid at the other end of a message's socket.

    None for each that is not known.

    Source:
        ``ZMQ_SRCFD``, zmq_msg_get(3); ``SO_PEERCRED``, unix(7).
    """
    try:
        descriptor = frames[0].get(zmq.SRCFD)
    except (AttributeError, IndexError, zmq.ZMQError, ValueError):
        return None, None, None
    if not hasattr(socket, "SO_PEERCRED"):
        return descriptor, None, None
    try:
        # A copy of the descriptor: closing the object closes only that.
        with socket.fromfd(descriptor, socket.AF_UNIX, socket.SOCK_STREAM) as end:
            packed = end.getsockopt(
                socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size
            )
    except OSError:
        return descriptor, None, None
    pid, uid, _ = _CREDENTIALS.unpack(packed)
    if pid <= 0:  # of another PID namespace: all of them would seem to be one process
        return descriptor, None, uid if uid >= 0 else None
    return descriptor, pid, uid
