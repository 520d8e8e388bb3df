"""
The ports and connections that cells have opened: what they are, and their end.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

from twisted.internet import tcp
from twisted.internet.error import ConnectionDone
from twisted.internet.interfaces import IListeningPort
from twisted.internet.process import ProcessReader, ProcessWriter
from twisted.logger import Logger
from twisted.python.failure import Failure

from ..internals.twisted import is_registered, unwrapped
from ..opened import Opened, context_of
from ..origins import ORIGIN, Origin
from .activities import CONNECTION, PORT
from .going import Going

_log = Logger("twisted_ipython.ports")

_ANY = ("", "0.0.0.0", "::")


class Ports:
    """
    Thread:
        Reactor thread; ``listening`` and ``origin`` in any.
    """

    def __init__(self, reactor: Any, opened: Opened) -> None:
        self._reactor = reactor
        self._opened = opened

    def origin(self, selectable: Any) -> Origin | None:
        """The cell that opened it."""
        context = context_of(selectable)
        return None if context is None else context.get(ORIGIN)

    def listening(self) -> list[Any]:
        """The ports of cells that listen now."""
        ports = (reference() for reference in self._opened.ports)
        return [
            port
            for port in ports
            if port is not None and port.connected and self.origin(port) is not None
        ]

    def accepted(self, port: Any) -> list[Any]:
        """The connections that a port has accepted and that are open."""
        return [each for each in self._connected() if _server(each) is port]

    def going(self) -> Iterator[Going]:
        """Ports, and connections that no such port stands for."""
        ports = self.listening()
        connections = self._connected()
        counts = Counter(id(_server(each)) for each in connections)
        for port in ports:
            yield self.port(port, counts[id(port)])
        listed = {id(port) for port in ports}
        for connection in connections:
            origin = self.origin(connection)
            if origin is not None and id(_server(connection)) not in listed:
                yield Going(
                    connection,
                    CONNECTION,
                    _connection_text(connection),
                    origin,
                    self._since(connection, origin),
                    partial(_abort, connection),
                    partial(_is_closed, self._reactor, connection),
                )

    def port(self, port: Any, connections: int = 0) -> Going:
        """One that listens."""
        origin = self.origin(port)
        assert origin is not None
        return Going(
            port,
            PORT,
            port_text(port, connections),
            origin,
            self._since(port, origin),
            partial(self._stop, port),
            lambda: not port.connected,
        )

    def holders(self, interface: str, port: Any, transport: str) -> list[Any]:
        """
        The ports of cells that keep others from listening there.

        Args:
            port: A number, or the path of a UNIX socket.
            transport: ``TCP``, ``UDP`` or ``UNIX``.
        """
        return [
            each
            for each in self.listening()
            if _holds(each.getHost(), interface or "", port, transport)
        ]

    def close_now(self, port: Any) -> None:
        """
        Stop it before this returns: its own ``stopListening`` does in a later turn.
        """
        for connection in self.accepted(port):
            _abort(connection)
        port.stopReading()
        port.disconnecting = True
        try:
            port.connectionLost(Failure(ConnectionDone()))
        except Exception:  # of the factory, which is told last
            _log.failure("while closing a port")

    def _stop(self, port: Any) -> None:
        for connection in self.accepted(port):
            _abort(connection)
        closed = port.stopListening()
        if closed is not None:
            closed.addErrback(lambda failure: None)  # seen by ``is_over``

    def _connected(self) -> list[Any]:
        """All connections, of cells or not."""
        seen = {
            id(each): each
            for source in (
                list(self._opened.since),
                self._reactor.getReaders(),
                self._reactor.getWriters(),
            )
            for each in source
            if _is_connection(each) and not _is_closed(self._reactor, each)
        }
        return list(seen.values())

    def _since(self, selectable: Any, origin: Origin) -> float:
        return self._opened.since.get(selectable, origin.started)


def _is_connection(selectable: Any) -> bool:
    return (
        hasattr(selectable, "loseConnection")
        and not IListeningPort.providedBy(selectable)
        # A process is told as one, and not as its three pipes.
        and not isinstance(selectable, (ProcessReader, ProcessWriter))
        and not hasattr(selectable, "signalProcess")
    )


def _is_closed(reactor: Any, connection: Any) -> bool:
    # One that is being made is not connected yet, but waited for.
    return not (
        getattr(connection, "connected", False) or is_registered(reactor, connection)
    )


def _server(connection: Any) -> Any:
    """The port that accepted it, or None."""
    return connection.server if isinstance(connection, tcp.Server) else None


def _abort(connection: Any) -> None:
    stop: Callable[[], object] = getattr(
        connection, "abortConnection", connection.loseConnection
    )
    stop()


def address_text(address: Any) -> str:
    """``TCP *:8080``, ``UNIX /run/socket``."""
    name = getattr(address, "name", None)
    if name is not None:
        return f"UNIX {_decoded(name)}"
    host = getattr(address, "host", None)
    if host is None:
        return str(address)
    shown = "*" if host in _ANY else f"[{host}]" if ":" in host else host
    return f"{address.type} {shown}:{address.port}"


def _decoded(name: Any) -> str:
    return name.decode(errors="replace") if isinstance(name, bytes) else str(name)


def port_text(port: Any, connections: int = 0) -> str:
    """``TCP *:8080, Site, 2 connections``."""
    served = getattr(port, "factory", None) or getattr(port, "protocol", None)
    words = [address_text(port.getHost()), type(unwrapped(served)).__name__]
    if connections:
        words.append(f"{connections} connection{'s' * (connections > 1)}")
    return ", ".join(words)


def _connection_text(connection: Any) -> str:
    """``TCP 127.0.0.1:8080, EchoClient``."""
    words = []
    for name in ("getPeer", "getDestination", "getHost"):
        try:
            words.append(address_text(getattr(connection, name)()))
            break
        except Exception:  # not connected yet, or no such thing as an address
            continue
    protocol = getattr(connection, "protocol", None)
    served = connection if protocol is None else unwrapped(protocol)
    words.append(type(served).__name__)
    return ", ".join(words)


def _holds(address: Any, interface: str, port: Any, transport: str) -> bool:
    name = getattr(address, "name", None)
    if transport == "UNIX":
        return name is not None and _decoded(name) == _decoded(port)
    host = getattr(address, "host", None)
    if host is None or (address.type, address.port) != (transport, port):
        return False
    return host == interface or host in _ANY or interface in _ANY
