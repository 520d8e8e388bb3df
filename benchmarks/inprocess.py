"""
What one cell costs through ``InteractiveShell.run_cell``, with no frontend.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from .cases import CELLS, MAGIC_CELL, PLAIN_CELL, WAITING_CELL
from .figures import Group, Row
from .sides import BARE, OURS, STOCK, UPSTREAM_SIDE
from .turns import Measurements, Plan

KINDS = ("default", "asyncio")


@dataclass(frozen=True)
class Suite:
    """
    Attributes:
        plan: What to measure: repetitions by side and case.
        group: The rows of the table, from what was measured.
    """

    plan: Plan
    group: Callable[[Measurements], Group]


def _awaiting(found: Measurements) -> Group:
    rows = []
    floors = {}
    cell = CELLS["fired"]
    for kind, ours in zip(KINDS, OURS, strict=True):
        bare = BARE[kind]
        ipython, hop = found(bare, "fired"), found(bare, "hop in place")
        floors[kind] = floor = ipython + hop
        fired, only_hops = found(ours, "fired"), found(bare, "hop runner")
        rows += [
            Row(
                f"IPython's part of an awaited cell, {kind} reactor beside it", ipython
            ),
            Row(f"a thread hop, {kind} reactor", hop),
            Row(f"a thread hop among hops, {kind} reactor", found(bare, "hop")),
            Row(f"floor, {kind} reactor: IPython's part and a hop", floor),
            Row(
                f"a runner that only hops, {kind} reactor: `{cell}`",
                only_hops,
                ratio=only_hops / floor,
                over="floor",
            ),
            *(
                Row(
                    f"{ours.label}: `{cell}`",
                    fired,
                    ratio=fired / least,
                    over=over,
                    at_most=1.15,
                )
                for over, least in (("floor", floor), ("the one that hops", only_hops))
            ),
            found.row(f"{ours.label}: `{CELLS['later']}`", ours, "later"),
        ]
    upstream = found.row(f"{UPSTREAM_SIDE.label}: `{cell}`", UPSTREAM_SIDE, "fired")
    if upstream.measured is not None:
        ratio = upstream.measured / floors["default"]
        upstream = replace(upstream, ratio=ratio, over="floor")
    rows += [
        upstream,
        found.row(f"{UPSTREAM_SIDE.label}: `{CELLS['later']}`", UPSTREAM_SIDE, "later"),
        found.row(f"{STOCK.label}: `{CELLS['sleep']}`", STOCK, "sleep"),
        found.row(f"{STOCK.label}: `{CELLS['pass']}`", STOCK, "pass"),
    ]
    return Group("One cell, in process", tuple(rows), _FLOOR_NOTES)


_FLOOR_NOTES = (
    "IPython's part is `await succeed(None)` in IPython without an extension, through "
    "`_pseudo_sync_runner`, which sends `None` into the cell's coroutine in the same "
    "thread, and nothing else: what an awaited cell costs before anybody waits for "
    "anything.",
    "A thread hop is `reactor.callFromThread(lock.release)` and `lock.acquire()`, on a "
    "reactor of the same kind that runs in a thread and does nothing else. It is timed "
    "alone, each time after a cell has run, because then the processor's caches are as "
    "a runner finds them; among hops, in a loop, it is shorter. The floor is the sum of "
    "the two, round by round; both are measured in the same process.",
    "The runner that only hops brings the cell's coroutine to the reactor thread by "
    "`callFromThread`, drives it there as `_pseudo_sync_runner` does, and releases a "
    "lock: IPython's part and a hop, in one piece. It knows no second await, no error, "
    "no interrupt and no timeout. That it costs more than the floor is not explained by "
    "either part alone; going on in another thread with cold caches is the likely "
    "reason. So the ratio is given over both, and the target held against both: over "
    "the floor it says what a cell that awaits costs, over the runner that only hops "
    "what this package adds.",
)


def _magic(found: Measurements) -> Group:
    rows = []
    for side in (*OURS, UPSTREAM_SIDE):
        target = 2.0 if side in OURS else None
        for case, plain, what in (
            ("magic", "plain", "nothing shown"),
            ("magic shown", "plain shown", "result shown"),
        ):
            over = ("the plain cell", side, plain)
            name = f"{side.label}: `%%run_in_reactor`, {what}"
            rows.append(found.row(name, side, case, over=over, at_most=target))
            rows.append(found.row(f"{side.label}: plain cell, {what}", side, plain))
        name = f"{side.label}: `{WAITING_CELL}` in a plain cell"
        rows.append(found.row(name, side, "plain waits"))

    def code(text: str) -> str:
        return " / ".join(f"`{line}`" for line in text.strip().splitlines())

    return Group(
        "A `%%run_in_reactor` cell",
        tuple(rows),
        (
            f"The magic cell is {code(MAGIC_CELL)}, the plain one {code(PLAIN_CELL)} with "
            "`call = crochet.run_in_reactor(lambda: 1)` made before: the same call to "
            "crochet, the same name bound to the same kind of result, the same result "
            "shown. Each is timed from `run_cell` until `result.wait(5)` has returned.",
            "Both are run as a frontend does (`result shown`), and with `silent=True` "
            "(`nothing shown`), where showing, which is the same work for both, is left "
            "out: the stricter of the two. Upstream runs a second cell inside of its "
            "magic, which shows the result in any case.",
        ),
    )


def _gather(found: Measurements) -> Group:
    over = ("upstream", UPSTREAM_SIDE, "gather")
    rows = [
        found.row(
            side.label,
            side,
            "gather",
            over=over if found.has(UPSTREAM_SIDE) else None,
            at_most=1.0 if found.has(UPSTREAM_SIDE) else None,
        )
        for side in OURS
    ]
    rows.append(found.row(UPSTREAM_SIDE.label, UPSTREAM_SIDE, "gather"))
    return Group("One cell that gathers 10,000 fired Deferreds", tuple(rows))


def _many(found: Measurements) -> Group:
    rows = [
        found.row(f"{side.label}: {what}", side, case)
        for case, what, sides in (
            ("1000 fired", "1000 x `await succeed(None)`", (*OURS, UPSTREAM_SIDE)),
            (
                "1000 later",
                "1000 x `await deferLater(reactor, 0)`",
                (*OURS, UPSTREAM_SIDE),
            ),
            ("1000 sleeps", "`asyncio.gather` of 1000 x `sleep(0)`", (OURS[1], STOCK)),
        )
        for side in sides
    ]
    return Group(
        "Many awaits in one cell",
        tuple(rows),
        (
            "For information. The last two show what it costs that a task may await "
            "Deferreds: the same cell on the same kind of loop, with and without.",
        ),
    )


SUITES = {
    "awaiting": Suite(
        {
            **{
                BARE[kind]: {
                    "fired": 150,
                    "hop": 500,
                    "hop in place": 150,
                    "hop runner": 150,
                }
                for kind in KINDS
            },
            **{side: {"fired": 150, "later": 100} for side in (*OURS, UPSTREAM_SIDE)},
            STOCK: {"sleep": 100, "pass": 100},
        },
        _awaiting,
    ),
    "magic": Suite(
        {
            side: dict.fromkeys(
                ("magic", "plain", "magic shown", "plain shown", "plain waits"), 40
            )
            for side in (*OURS, UPSTREAM_SIDE)
        },
        _magic,
    ),
    "gather": Suite(
        {side: {"gather": 8} for side in (*OURS, UPSTREAM_SIDE)},
        _gather,
    ),
    "many": Suite(
        {
            OURS[0]: {"1000 fired": 6, "1000 later": 6},
            OURS[1]: {"1000 fired": 6, "1000 later": 6, "1000 sleeps": 6},
            UPSTREAM_SIDE: {"1000 fired": 6, "1000 later": 6},
            STOCK: {"1000 sleeps": 6},
        },
        _many,
    ),
}


def merged(names: list[str]) -> Plan:
    """One plan for several suites, so that they share processes and rounds."""
    plan: dict = {}
    for name in names:
        for side, cases in SUITES[name].plan.items():
            plan.setdefault(side, {}).update(cases)
    return plan
