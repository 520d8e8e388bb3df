"""
A worker as an HTTP server: a cell starts it, with the extension loaded or not.

Imported when there is a reactor, and not before.
"""

from __future__ import annotations

import gc
from typing import TYPE_CHECKING, Any

from twisted.internet.threads import blockingCallFromThread
from twisted.web.resource import Resource
from twisted.web.server import Site

from .sides import IN_CELL, in_cell, switch
from .web_client import BODY, HELLO, WHOSE

if TYPE_CHECKING:
    from IPython.core.interactiveshell import InteractiveShell


class Hello(Resource):
    def render_GET(self, request: Any) -> bytes:
        return BODY


class Whose(Resource):
    """Says whether the request is handled in the context of the server's cell."""

    def render_GET(self, request: Any) -> bytes:
        return str(IN_CELL.get()).encode() + BODY


class WebServer:
    """
    One server at a time, each on a port of its own.

    Thread:
        Main thread.
    """

    def __init__(self, shell: InteractiveShell) -> None:
        self._shell = shell
        self._reactor = shell.user_ns["reactor"]
        self._ports: list[Any] = []

    def serve(self, routed: bool) -> int:
        """Load the extension, or unload it, and start a server; gives its port."""
        switch(self._shell, routed)
        gc.collect()
        port = in_cell(
            self._shell, lambda: blockingCallFromThread(self._reactor, self._listen)
        )
        self._ports.append(port)
        number: int = port.getHost().port
        return number

    def _listen(self) -> Any:
        root: Any = Resource()
        root.putChild(HELLO.encode(), Hello())
        root.putChild(WHOSE.encode(), Whose())
        return self._reactor.listenTCP(0, Site(root), interface="127.0.0.1")

    def stop(self) -> None:
        """Stop the server. What is still connected has been closed by the client."""
        blockingCallFromThread(self._reactor, self._ports.pop().stopListening)
        switch(self._shell, True)
