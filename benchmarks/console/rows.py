"""
The rows of the table, from what was measured.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace

from ..figures import Group, Row, Unit
from ..others import VERSIONS
from ..turns import Measurements
from . import attaching
from .application import TICK
from .hosts import (
    AIOMONITOR,
    BARE,
    LIVE,
    MANHOLE,
    OTHERS,
    STOCK,
    WITH_CONSOLE,
    Host,
)

SUM_CASE, AWAIT, INTERRUPT = "sum", "await", "interrupt"

# How often a console is opened, left and closed, to see what stays behind. (Leaving
# aiomonitor's takes it a second.)
CYCLES = {**dict.fromkeys((*LIVE, MANHOLE), 50), AIOMONITOR: 5}

# What the issue that describes the live console asks for.
IMPORT_WITHIN = 5e-3
HELD_AT_MOST = 50e-3
ATTACH_WITHIN = 1.0
INTERRUPT_WITHIN = 0.3
GROWTH_AT_MOST = 5.0  # megabytes
LOAD_AT_MOST = {"open": 1.02, "closed": 1.0}


def rows_of(found: Measurements, cycles: Mapping[Host, int], rounds: int) -> Group:
    """
    The group.

    Args:
        cycles: How many were gone through, by host.
        rounds: Of requests, with each set of processes.
    """
    rows = (
        *_imports(found),
        *_openings(found),
        *_attaching(found),
        *_cells(found),
        *_loads(found, rounds),
        *_memory_alone(found),
        *(row for host in WITH_CONSOLE for row in _left_behind(found, host, cycles)),
    )
    names = " and ".join(f"{name} {version}" for name, version in VERSIONS.items())
    return Group(f"A live console, beside {names}", rows, _notes())


def _imports(found: Measurements) -> Iterator[Row]:
    case = "import: the application's"
    yield found.row("`import twisted.application.service`", LIVE[0], case)
    name = "ours: `from twisted_ipython import LiveConsole`: added"
    yield found.row(name, LIVE[0], "import", at_most=IMPORT_WITHIN)
    for host in OTHERS:
        name = f"{host.label}: `import {host.console}`: added"
        yield found.row(name, host, "import")


def _openings(found: Measurements) -> Iterator[Row]:
    for kind, host in BARE.items():
        yield found.row(f"no console, {kind} reactor: held at the most", host, "gap")
    for host in WITH_CONSOLE:
        held = None if host.can_be_missing else HELD_AT_MOST
        for case, when in (("first", "opening"), ("again", "opening again")):
            name = f"{host.label}: {when}"
            if case == "first":
                yield found.row(f"{name}, to the prompt", host, "first: prompt")
            yield found.row(f"{name}, to the answer of `1+1`", host, f"{case}: answer")
            gap = f"{case}: gap"
            yield found.row(
                f"{name}, reactor held at the most", host, gap, at_most=held
            )
        if host == MANHOLE:
            yield _not_there(f"{host.label}: closing")
        else:
            yield found.row(f"{host.label}: closing", host, "closing")


def _attaching(found: Measurements) -> Iterator[Row]:
    for host in (LIVE[0], *OTHERS):
        name = f"{host.label}: `{attaching.COMMANDS[host.console]}` to its prompt"
        why = "" if host in OTHERS else attaching.why_missing()
        if why:
            yield Row(name, None, missing=why)
        else:
            target = None if host in OTHERS else ATTACH_WITHIN
            yield found.row(name, host, "attach", at_most=target)


_AWAITED = {
    "live": "await deferLater(reactor, 0, ...)",
    "stock": "await asyncio.sleep(0, ...)",
    "aiomonitor": "await asyncio.sleep(0, ...)",
}


def _cells(found: Measurements) -> Iterator[Row]:
    for case in (SUM_CASE, AWAIT, INTERRUPT):
        for host in (STOCK, *WITH_CONSOLE):
            cell = "1+1"
            if case == AWAIT:
                cell = _AWAITED.get(host.console, _AWAITED["live"])
            name = f"{host.label}: `{cell}`"
            if case == INTERRUPT:
                name = f"{host.label}: interrupt of `while True: pass`"
            if (case == AWAIT and host == MANHOLE) or (
                case == INTERRUPT and host in OTHERS
            ):
                yield _not_there(name)
                continue
            over = None if host == STOCK else ("stock ipykernel", STOCK, case)
            if case == INTERRUPT:
                target = INTERRUPT_WITHIN if host in LIVE else None
                yield found.row(name, host, case, at_most=target)
            else:
                yield found.row(name, host, case, over=over)


def _loads(found: Measurements, rounds: int) -> Iterator[Row]:
    for kind, bare in BARE.items():
        live = LIVE[list(BARE).index(kind)]
        other = MANHOLE if kind == "default" else AIOMONITOR
        cpu, rate = "CPU time for a request", "requests"
        yield found.row(f"HTTP, {bare.label}: {cpu}", bare, "beside: cpu")
        over = ("no console", bare, "dormant: cpu")
        name = f"HTTP, {live.label}, dormant: {cpu}"
        yield found.row(name, live, "dormant: cpu", over=over)
        for host, case, state in (
            (live, "open", "open and idle"),
            (live, "closed", "closed again"),
            (other, "open", "open and idle"),
        ):
            row = found.row(f"HTTP, {host.label}, {state}: {cpu}", host, f"{case}: cpu")
            target = LOAD_AT_MOST[case] if host == live else None
            yield _over_none(found, row, bare, host, case, "cpu", rounds, target)
        over = ("closed again", live, "closed: cpu")
        name = f"HTTP, {live.label}, open and idle: {cpu}"
        target = LOAD_AT_MOST["open"]
        yield found.row(name, live, "open: cpu", over=over, at_most=target)

        unit: Unit = "per second"
        yield found.row(f"HTTP, {bare.label}: {rate}", bare, "beside: rate", unit=unit)
        for host in (live, other):
            name = f"HTTP, {host.label}, open and idle: {rate}"
            row = found.row(name, host, "open: rate", unit=unit)
            yield _over_none(found, row, bare, host, "open", "rate", rounds, None)


def _over_none(
    found: Measurements,
    row: Row,
    bare: Host,
    host: Host,
    case: str,
    what: str,
    rounds: int,
    at_most: float | None,
) -> Row:
    """``row`` with its ratio to no console, less what the processes differed by."""
    if row.measured is None:
        return row
    before = found(host, f"dormant: {what}") / found(bare, f"dormant: {what}")
    ratio = row.measured / found(bare, f"beside: {what}")
    ratio = ratio / before.by_medians_of(rounds)
    return replace(row, ratio=ratio, over="no console", at_most=at_most)


_KINDS: tuple[tuple[str, str, Unit], ...] = (
    ("memory", "resident memory", "megabytes"),
    ("threads", "threads", "number"),
    ("descriptors", "descriptors", "number"),
)


def _memory_alone(found: Measurements) -> Iterator[Row]:
    for host in BARE.values():
        if found(host, "memory, dormant").values:
            name = f"{host.label}: resident memory"
            yield found.row(name, host, "memory, dormant", unit="megabytes")


def _left_behind(
    found: Measurements, host: Host, cycles: Mapping[Host, int]
) -> Iterator[Row]:
    closed = "client gone" if host == MANHOLE else "closed"
    again = "attached again" if host == MANHOLE else "opened again"
    for what, text, unit in _KINDS:
        if found.has(host) and not found(host, f"{what}, dormant").values:
            continue  # on a platform that does not say
        for when, state in (
            ("dormant", "dormant"),
            ("open", "open"),
            ("closed", f"{closed} after the first opening"),
        ):
            name = f"{host.label}: {text}, {state}"
            yield found.row(name, host, f"{what}, {when}", unit=unit)
        name = f"{host.label}: {text}, {again} {cycles[host]} times: added"
        if not found.has(host):
            yield found.row(name, host, "")
            continue
        # Those before the cycles, in the sets of processes that had them.
        before, after = (
            found(host, f"{what}, {when}") for when in ("closed", "cycled")
        )
        target = None
        if host in LIVE:
            target = GROWTH_AT_MOST if what == "memory" else 0.0
        yield Row(name, after - before.first(len(after.values)), unit, at_most=target)


def _not_there(name: str) -> Row:
    return Row(name, None, instead="n/a")


def _notes() -> tuple[str, ...]:
    return (
        "Each application is an HTTP server in a process of its own, all of them up at "
        "once, on one CPU with the client; each part is measured in turns. Opening is "
        "from SIGUSR2 (python-manhole: SIGUSR1) until the client has its prompt, or the "
        "kernel's first answer; aiomonitor knows no signal, so the application is told "
        "to call `start_monitor`, whose import was before, then the client asks for its "
        "`console`, and answers what it asks of a terminal. Opening again is the same "
        "after closing; python-manhole does not close, so there it is another client.",
        f"How long the reactor is held is seen by a call that is to come each "
        f"{TICK * 1000:g} ms, from before the signal until after the answer. No "
        "console is an application that is left alone.",
        "A cell is from sending it until its reply, or the answer and the next prompt, "
        "is there. python-manhole knows no `await`, and nothing there stops a cell; in "
        "aiomonitor, whose cells run in the reactor thread as ours do, no client can.",
        "HTTP is a page of 6 bytes, on connections that are kept alive. Open has one "
        "client attached, which sends nothing. No console is another process, which "
        "never had one. Two processes differ by some percent whatever they do; by how "
        "much these do is measured at first, when none had a console that was opened, "
        "and taken out of the ratios that follow. The other row for open compares with "
        "the same process when its console is closed again. At most 2 % fewer requests "
        "are what is asked for; the target is held against the CPU time of the server, "
        "which is the stricter, because the client is on the same CPU.",
        "Memory is what is resident, threads and descriptors are the operating "
        "system's, after a garbage collection; dormant includes the console's own "
        "imports, and for aiomonitor no monitor runs yet.",
    )
