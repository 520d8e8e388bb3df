"""
A cell that is run again finds its own port in use: what is done about that.

Known again is a cell by its frontend's id or, without one, by its text. A cell
that was edited where there are no ids, at a terminal, is known only when its
listen fails: so what is done then concerns every cell's ports.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

from twisted.internet.error import CannotListenError

from ..advice import add_listen_advice
from ..crossing import ask
from ..origins import ORIGIN, Origin, begin
from .collector import Background
from .ports import port_text

# Seconds that a cell waits for the ports of its earlier run.
STOP_WITHIN = 2.0

# The methods of a reactor that listen, and on what.
LISTENS = {
    "listenTCP": "TCP",
    "listenSSL": "TCP",
    "listenUNIX": "UNIX",
    "listenUNIXDatagram": "UNIX",
    "listenUDP": "UDP",
    "listenMulticast": "UDP",
}

STOP_ALWAYS = "%twisted_config rerun stop"


class Reruns:
    """
    Args:
        mode: Gives the setting ``rerun``: offer, stop or keep.

    Thread:
        As each method says.
    """

    def __init__(self, background: Background, mode: Callable[[], str]) -> None:
        self._background = background
        self._ports = background.ports
        self._shared = background.shared
        self._mode = mode

    @contextmanager
    def running(self, origin: Origin) -> Iterator[None]:
        """While a cell runs. Shell thread."""
        with begin(origin):
            if self._mode() != "keep":
                with suppress(Exception):  # nothing here may cost the cell its run
                    self._look_for_earlier_run(origin)
            yield

    def _look_for_earlier_run(self, origin: Origin) -> None:
        # Without a crossing to the reactor thread, which may be busy: it is
        # done before each cell.
        ports = []
        origins = set()
        for port in self._ports.listening():
            earlier = self._ports.origin(port)
            if earlier is not None and is_same_cell(earlier, origin):
                ports.append(port)
                origins.add(earlier)
        if ports and self._mode() == "stop":
            self._stop_earlier(ports)
        elif ports:
            print(_offer(origins, ports), file=sys.stderr)

    def _stop_earlier(self, ports: list[Any]) -> None:
        """Shell thread: stop them, and wait until others can listen there."""

        def question(answer: Callable[[dict[str, str]], None]) -> None:
            chosen = [self._ports.port(port) for port in ports if port.connected]
            self._background.stop(chosen, answer, STOP_WITHIN)

        try:
            left = ask(self._shared, question, within=STOP_WITHIN + 0.5)
        except TimeoutError:
            print(
                "the ports of this cell's earlier run were not stopped: the reactor "
                "thread is busy",
                file=sys.stderr,
            )
            return
        for name, why in left.items():
            print(f"{name}, of this cell's earlier run, {why}", file=sys.stderr)

    def listening(self, name: str, direct: Callable[..., Any]) -> Callable[..., Any]:
        """
        ``direct``, a method of the reactor that listens, with what is done where
        the address is in use by a cell.
        """

        def listen(*args: Any, **kwargs: Any) -> Any:
            try:
                return direct(*args, **kwargs)
            except CannotListenError as error:
                if not self._make_way(error, LISTENS[name]):
                    raise
            return direct(*args, **kwargs)

        return listen

    def _make_way(self, error: CannotListenError, transport: str) -> bool:
        """
        Stop the ports that are in the way, or add to ``error`` how to.

        Thread:
            Reactor thread; with the setting ``threads`` off, any.
        """
        mode = self._mode()
        if mode == "keep":
            return False
        holders = self._ports.holders(error.interface, error.port, transport)
        found = (self._ports.origin(port) for port in holders)
        origins = {origin for origin in found if origin is not None}
        if not holders:
            return False
        this_one = ORIGIN.get()
        # A run that listens twice on one port has made a mistake.
        is_ours_to_stop = this_one not in origins and self._shared.in_reactor_thread()
        if mode == "stop" and is_ours_to_stop:
            for port in holders:
                text = port_text(port)
                cell = self._ports.origin(port)
                self._ports.close_now(port)
                print(f"stopped {text} ({cell}), which was in the way", file=sys.stderr)
            return True
        add_listen_advice(error, _advice(origins, this_one))
        return False


def is_same_cell(earlier: Origin, later: Origin) -> bool:
    """Whether ``later`` is the same cell, run again."""
    if earlier is later or earlier.shell is not later.shell:
        return False
    if earlier.cell_id and later.cell_id:
        return earlier.cell_id == later.cell_id
    text = _normal(later.raw_cell)
    return bool(text) and text == _normal(earlier.raw_cell)


def _normal(raw_cell: str) -> str:
    """Without white space at the ends of lines."""
    return "\n".join(line.rstrip() for line in raw_cell.strip().splitlines())


def _offer(origins: set[Origin], ports: list[Any]) -> str:
    listening = " and ".join(port_text(port) for port in ports)
    return (
        f"an earlier run of this cell ({_names(origins)}) still listens on "
        f"{listening}. {_how_to_stop(origins)}"
    )


def _advice(origins: set[Origin], this_one: Origin | None) -> str:
    if this_one in origins:
        return "this very cell listens there already"
    return f"{_names(origins)} listens there. {_how_to_stop(origins)}"


def _sorted(origins: set[Origin]) -> list[Origin]:
    return sorted(origins, key=lambda each: each.started)


def _names(origins: set[Origin]) -> str:
    return " and ".join(str(each) for each in _sorted(origins))


def _how_to_stop(origins: set[Origin]) -> str:
    numbers = [each.number for each in _sorted(origins)]
    if None in numbers:
        command = "%background stop, with the ids that %background shows"
    else:
        command = " ".join(["%background stop", *(f"In[{n}]" for n in numbers)])
    return (
        f"To stop that: {command}; to have it done whenever a cell is run again: "
        f"{STOP_ALWAYS}"
    )
