"""
What concerns a process as a whole: loading, ending, memory.
"""

from __future__ import annotations

from collections.abc import Callable

from .cases import CELLS
from .figures import Group, Row, Unit
from .sides import BARE, OURS, STOCK, UPSTREAM_SIDE, Side
from .turns import Effort, Measurements, in_turns
from .workers import Worker, WorkerFailed

Say = Callable[[str], object]

# Growth for each cell, beyond IPython's own, that still counts as none: caches fill,
# and resident memory moves in pages. One object that stays is 32 bytes, and a block.
FLAT: dict[Unit, float] = {"bytes": 24.0, "blocks": 0.1}


def _each_fresh(
    sides: list[Side],
    rounds: int,
    found: Measurements,
    measure: Callable[[Worker], dict[str, float]],
) -> None:
    """``measure`` in processes that are used once."""
    warm_up = 1 if rounds > 1 else 0
    for number, turn in enumerate(in_turns(sides, rounds + warm_up)):
        for side in filter(found.has, turn):
            try:
                with Worker(side) as worker:
                    measured = measure(worker)
            except WorkerFailed as failed:
                found.tolerate(side, failed)
                continue
            if number >= warm_up:
                for case, value in measured.items():
                    found.add(side, case, value)


def load(effort: Effort, found: Measurements, say: Say) -> Group:
    """``%load_ext``, against importing what it can't do without."""
    say(f"loading, {effort.processes} rounds")
    sides = [BARE["default"], BARE["asyncio"], *OURS, UPSTREAM_SIDE]

    def measure(worker: Worker) -> dict[str, float]:
        order = "import" if worker.side.package == "bare" else "load"
        return {"load": worker.ask(order)}

    _each_fresh(sides, effort.processes, found, measure)
    rows = []
    for side in (*OURS, UPSTREAM_SIDE):
        bare = BARE[side.reactor]
        target = 1.15 if side in OURS else None
        over = ("the imports", bare, "load")
        if side in OURS:
            name = f"import crochet and the {side.reactor} reactor"
            rows.append(found.row(name, bare, "load"))
        name = f"{side.label}: `%load_ext`"
        rows.append(found.row(name, side, "load", over=over, at_most=target))
    return Group(
        "Loading",
        tuple(rows),
        (
            "Each in a fresh process in which IPython is up and nothing of Twisted is "
            "imported. The imports are `import crochet` and `from twisted.internet import "
            "reactor`, with `asyncioreactor.install(...)` between them for the asyncio "
            "reactor. Nothing is started there; `%load_ext` also starts the reactor. All of it "
            "is compiled to bytecode before.",
        ),
    )


def leave(effort: Effort, found: Measurements, say: Say) -> Group:
    """From the last statement of a program to its end."""
    say(f"process exit, {effort.processes} rounds")

    def measure(worker: Worker) -> dict[str, float]:
        worker.ask("set up")
        worker.ask("measure", "sleep" if worker.side == STOCK else "fired", 1)
        return {"exit": worker.end()}

    _each_fresh([STOCK, *OURS, UPSTREAM_SIDE], effort.processes, found, measure)
    own = found(STOCK, "exit")
    rows = [found.row(f"{STOCK.label}: process exit", STOCK, "exit")]
    for side in (*OURS, UPSTREAM_SIDE):
        row = found.row(f"{side.label}: added to that", side, "exit")
        if row.measured is not None:
            target = 0.1 if side in OURS else None
            row = Row(row.name, row.measured - own, at_most=target)
        rows.append(row)
    return Group(
        "Process exit",
        tuple(rows),
        (
            "From the last statement until the parent was told that the process has "
            "ended, after one cell that awaited; stock IPython's has awaited "
            "`asyncio.sleep(0)`, and has imported nothing of Twisted.",
        ),
    )


def memory(effort: Effort, found: Measurements, say: Say) -> Group:
    """Whether anything stays behind of cells that awaited."""
    rounds = max(1, effort.processes // 5)
    say(f"memory over {effort.cells} cells, {rounds} rounds")
    bare = BARE["default"]

    def measure(worker: Worker) -> dict[str, float]:
        worker.ask("set up")
        worker.ask("grow", "fired", max(1, effort.cells // 10))
        grown = worker.ask("grow", "fired", effort.cells)
        return {
            unit: value / effort.cells
            for unit, value in grown.items()
            if value is not None
        }

    for side in (bare, *OURS, UPSTREAM_SIDE):
        # Nothing that could disturb another: no turns, and no round to warm up.
        for _ in range(rounds if found.has(side) else 0):
            try:
                with Worker(side) as worker:
                    for unit, value in measure(worker).items():
                        found.add(side, unit, value)
            except WorkerFailed as failed:
                found.tolerate(side, failed)
                break
    rows = []
    for side in (bare, *OURS, UPSTREAM_SIDE):
        label = "IPython alone" if side == bare else side.label
        for unit, what in (("bytes", "resident memory"), ("blocks", "blocks")):
            own = found(bare, unit)
            if not own.values:
                continue  # resident memory, on a platform that does not say
            target = own.median + FLAT[unit] if side in OURS else None  # type: ignore
            name = f"{label}: {what} for each cell"
            rows.append(found.row(name, side, unit, at_most=target, unit=unit))  # type: ignore
    return Group(
        f"Memory over {effort.cells:,} awaited cells",
        tuple(rows),
        (
            f"What the process grew by, for each of {effort.cells:,} cells "
            f"`{CELLS['fired']}` after {max(1, effort.cells // 10):,} to warm up. Blocks are "
            "those of Python's allocator. IPython alone runs the same cells through "
            "`_pseudo_sync_runner`. Flat means: beyond what IPython alone grows by, less "
            "than the smallest object for each cell, so at most "
            f"{FLAT['bytes']:g} bytes and {FLAT['blocks']:g} blocks.",
        ),
    )
