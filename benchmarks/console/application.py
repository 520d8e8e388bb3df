"""
An application with a console, or with none: an HTTP server that obeys orders.

Started by ``holding``, with the name of a host. One order a line, and one line of
JSON for each answer, all of it in the reactor thread: there is no thread but those
of the console.
"""

from __future__ import annotations

import gc
import json
import os
import sys
import time
from collections.abc import Callable
from typing import Any

from .. import others
from ..sides import import_reactor
from .hosts import Host

# Seconds between the ticks by which it is seen how long the reactor is held.
TICK = 0.002


def main(host: Host) -> None:
    answers = os.dup(1)
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 1)
    os.close(nowhere)

    reactor = import_reactor(host.reactor)

    from twisted.internet.stdio import StandardIO
    from twisted.web.resource import Resource
    from twisted.web.server import Site

    from ..web_client import HELLO
    from ..web_server import Hello

    root: Any = Resource()
    root.putChild(HELLO.encode(), Hello())
    port = reactor.listenTCP(0, Site(root), interface="127.0.0.1")
    ticks = Ticks()
    orders: dict[str, Callable[..., Any]] = {
        "port": lambda: port.getHost().port,
        "cpu": time.process_time,
        "collect": gc.collect,
        "watch": ticks.begin,
        "longest": ticks.end,
        **console_orders(host, reactor),
    }
    StandardIO(order_protocol(orders, reactor), stdout=answers)
    reactor.run()


def console_orders(host: Host, reactor: Any) -> dict[str, Callable[..., Any]]:
    """Install the console; gives how to open and close it, where no signal does."""
    names = names_of_cells(reactor)
    if host.console == "live":
        from twisted_ipython import install_live_console

        console = install_live_console(names, name="benchmark")
        return {"close": lambda: console.close().addCallback(lambda none: None)}
    if host.console == "manhole":
        others.let_import()
        import manhole

        manhole.install(
            verbose=False, activate_on="USR1", locals=names, daemon_connection=True
        )
    if host.console == "aiomonitor":
        others.let_import()
        import aiomonitor

        monitors = []

        def start(ports: dict[str, int]) -> None:
            loop = reactor._asyncioEventloop
            monitors.append(aiomonitor.start_monitor(loop, locals=names, **ports))

        return {"open": start, "close": lambda: monitors.pop().close()}
    return {}


def names_of_cells(reactor: Any) -> dict[str, Any]:
    """What the cells of all consoles can use."""
    import asyncio

    from twisted.internet.task import deferLater

    return {"reactor": reactor, "deferLater": deferLater, "asyncio": asyncio}


class Ticks:
    """How long the reactor is held, seen by a call that is to come all the time."""

    def __init__(self) -> None:
        from twisted.internet.task import LoopingCall

        self._call = LoopingCall(self._tick)
        self._last = self._longest = 0.0

    def begin(self) -> None:
        self._last, self._longest = time.perf_counter(), 0.0
        self._call.start(TICK)

    def _tick(self) -> None:
        now = time.perf_counter()
        self._longest = max(self._longest, now - self._last)
        self._last = now

    def end(self) -> float:
        """Seconds between two ticks, at the most."""
        self._tick()
        self._call.stop()
        return self._longest


def order_protocol(orders: dict[str, Callable[..., Any]], reactor: Any) -> Any:
    from twisted.internet.defer import maybeDeferred
    from twisted.protocols.basic import LineOnlyReceiver

    class Orders(LineOnlyReceiver):
        delimiter = b"\n"

        def lineReceived(self, line: bytes) -> None:
            order, *arguments = json.loads(line)
            done = maybeDeferred(orders[order], *arguments)
            done.addCallbacks(
                lambda answer: {"answer": answer},
                lambda failure: {"failed": failure.getTraceback()},
            )
            done.addCallback(lambda said: self.sendLine(json.dumps(said).encode()))

        def connectionLost(self, reason: Any = None) -> None:
            reactor.stop()  # the parent has closed the other end

    return Orders()


if __name__ == "__main__":
    main(Host.of(sys.argv[1]))
