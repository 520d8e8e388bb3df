"""
What it costs that output stays with the cell that started it, and that calls of
plain cells are passed to the reactor thread.
"""

from __future__ import annotations

from collections.abc import Callable

from .callbacks import (
    BATCH,
    CALLBACKS,
    CALLERS,
    FORWARDED,
    ROUND_TRIPS,
    THREADS,
    callback_case,
    forwarding_case,
)
from .figures import Group, Row, Unit
from .sides import OURS, STOCK, Side
from .turns import Effort, Measurements, in_turns, measure_in_turns
from .web_client import AT_ONCE
from .workers import Worker

Say = Callable[[str], object]

SERVER = Side("ours", "asyncio")

# Requests in a round, by whether connections are kept alive; and rounds for each
# round of other parts: so few percent are only seen in many short ones.
REQUESTS = {True: 600, False: 300}
MORE_ROUNDS = 4
LOADS = {True: "keep-alive", False: "new connections"}
STATES = {True: "routing on", False: "routing off"}


def routing(effort: Effort, found: Measurements, say: Say) -> Group:
    """An HTTP server under load, and single callbacks."""
    for start in range(effort.starts):
        say(f"HTTP server, set {start + 1} of {effort.starts}")
        _serve(effort, found)
    rows = _web_rows(found)
    plan = {
        callback_case(method, caller): 20 if method == "deferToThread" else 50
        for method in CALLBACKS
        for caller in CALLERS
    }
    measure_in_turns(dict.fromkeys(OURS, plan), effort, found, say)
    rows += [
        row
        for side in OURS
        for method in CALLBACKS
        for row in _callback_rows(found, side, method)
    ]
    return Group("Output stays with its cell", tuple(rows), _ROUTING_NOTES)


def _serve(effort: Effort, found: Measurements) -> None:
    """One server process and one client, in rounds with routing on and off."""
    with Worker(SERVER) as server, Worker(STOCK) as client:
        server.ask("set up")
        rounds = effort.rounds * MORE_ROUNDS
        for number, states in enumerate(in_turns(list(STATES), rounds + 1)):
            for routed in states:
                measured = _load(server, client, routed, effort)
                if number:  # the first is to warm up
                    for case, value in measured.items():
                        found.add(SERVER, case, value)


def _load(
    server: Worker, client: Worker, routed: bool, effort: Effort
) -> dict[str, float]:
    """What each request took, for both kinds of connections."""
    measured = {}
    port = server.ask("serve", routed)
    if client.ask("whose", port) != "True" and routed:
        raise RuntimeError("a request is not handled in the context of the cell")
    for keep_alive, requests in REQUESTS.items():
        requests = effort.times(requests)
        client.ask("request", port, max(requests // 5, AT_ONCE), keep_alive)
        before = server.ask("cpu")
        load = client.ask("request", port, max(requests, AT_ONCE), keep_alive)
        cpu = server.ask("cpu") - before
        for what, value in (
            ("server", cpu / load["requests"]),
            ("client", load["cpu"] / load["requests"]),
            ("rate", load["requests"] / load["seconds"]),
        ):
            measured[_web_case(keep_alive, routed, what)] = value
    server.ask("stop")
    return measured


def _web_case(keep_alive: bool, routed: bool, what: str) -> str:
    return f"{LOADS[keep_alive]}, {STATES[routed]}: {what}"


def _web_rows(found: Measurements) -> list[Row]:
    rows = []
    for keep_alive, label in LOADS.items():
        for what, text, target in (
            ("server", "CPU time of the server for a request", 1.03),
            ("rate", "requests", None),
        ):
            on, off = (_web_case(keep_alive, routed, what) for routed in (True, False))
            unit: Unit = "per second" if what == "rate" else "seconds"
            over = (STATES[False], SERVER, off)
            name = f"HTTP, {label}: {text}"
            rows += [
                found.row(f"{name}, {STATES[False]}", SERVER, off, unit=unit),
                found.row(
                    f"{name}, {STATES[True]}",
                    SERVER,
                    on,
                    over=over,
                    at_most=target,
                    unit=unit,
                ),
            ]
        client = found(SERVER, _web_case(keep_alive, True, "client"))
        rows.append(Row(f"HTTP, {label}: CPU time of the client for a request", client))
    return rows


def _callback_rows(found: Measurements, side: Side, method: str) -> list[Row]:
    stock, no_cell, cell = (callback_case(method, caller) for caller in CALLERS)
    name = f"{side.reactor} reactor: `{method}`"
    return [
        found.row(f"{name}, extension unloaded", side, stock),
        found.row(
            f"{name}, by code that no cell started",
            side,
            no_cell,
            over=("unloaded", side, stock),
            at_most=1.05,
        ),
        Row(
            f"{name}, by code that a cell started: added",
            found(side, cell) - found(side, stock),
            at_most=1e-6,
        ),
    ]


_ROUTING_NOTES = (
    "The HTTP server is a `twisted.web` Site with a page of 6 bytes, on the asyncio "
    "reactor, started by a cell; the client is another process on the same CPU, which "
    f"asks on {AT_ONCE} connections at once by raw sockets. Routing off is the same "
    "cell in the same process after `%unload_ext twisted_ipython`, on and off in turns, "
    "each time with another port and new connections. The first request is asked "
    "whether it is handled in the context of the server's cell, as it must be with "
    "routing on. The target "
    "is held against the CPU time, user and system, of the whole server process: the "
    "rate also has the client's part in it, and what else the machine does.",
    "A callback is timed in the reactor thread as CPU time of the process, from asking "
    f"for it until it has run: {BATCH} of `callLater(0, f)` or `callFromThread(f)` at "
    f"once, or {ROUND_TRIPS} of `await deferToThread(f)` one after the other. The same "
    "function does it with the extension unloaded; loaded, and called by code that no "
    "cell started; loaded, and called in a cell, whose context is seen to arrive. All "
    "three in each round, in one process.",
)


def forwarding(effort: Effort, found: Measurements, say: Say) -> Group:
    """Methods of the reactor called in a plain cell."""
    plan = {
        forwarding_case(method, threads): 50
        for method in FORWARDED
        for threads in THREADS
    }
    measure_in_turns(dict.fromkeys(OURS, plan), effort, found, say)
    calls = {"callLater": "callLater(100, f)", "listenTCP": "listenTCP(0, factory)"}
    rows = []
    for side in OURS:
        for method in FORWARDED:
            passed, direct = (
                found(side, forwarding_case(method, threads)) for threads in THREADS
            )
            name = f"{side.reactor} reactor: `{calls[method]}`"
            rows += [
                Row(f"{name}, called directly", direct),
                Row(f"{name}, passed on", passed),
                Row(f"{name}, passed on: added", passed - direct, at_most=1e-3),
            ]
    return Group("The reactor's methods in a plain cell", tuple(rows), _FORWARD_NOTES)


_FORWARD_NOTES = (
    "From the call in a plain cell until it has given the delayed call, or the port. "
    "Directly is with `%twisted_config threads off`, in the cell's own thread, which "
    "is not safe; passed on is to the reactor thread, which has nothing else to do. "
    "What was made is taken back outside of the time that counts.",
)
