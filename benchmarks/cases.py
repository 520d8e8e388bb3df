"""
What a worker can measure in one IPython, by name.

Each case gives the seconds of each of its repetitions.
"""

from __future__ import annotations

import gc
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING, Any

from . import callbacks
from .sides import hop_runner

if TYPE_CHECKING:
    from IPython.core.interactiveshell import InteractiveShell

# Names that the cells use. It imports nothing big that is not there already.
PREPARE = """
import asyncio, sys
if "twisted.internet.reactor" in sys.modules:
    from twisted.internet import reactor
    from twisted.internet.defer import gatherResults, succeed
    from twisted.internet.task import deferLater
if "crochet" in sys.modules:
    import crochet
    call = crochet.run_in_reactor(lambda: 1)
"""

CELLS = {
    "pass": "pass",
    "fired": "await succeed(None)",
    "later": "await deferLater(reactor, 0)",
    "sleep": "await asyncio.sleep(0)",
    "gather": "await gatherResults([succeed(i) for i in range(10000)])\nNone",
    "1000 fired": "for _ in range(1000): await succeed(None)",
    "1000 later": "for _ in range(1000): await deferLater(reactor, 0)",
    "1000 sleeps": "await asyncio.gather(*(asyncio.sleep(0) for _ in range(1000)))\nNone",
}

# Both bind `result` to an EventualResult, and end with it. (Upstream needs `return`.)
MAGIC_CELL = "%%run_in_reactor result\nreturn 1\n"
PLAIN_CELL = "result = call()\nresult"
WAITING_CELL = "call().wait(5)"


class Failed(Exception):
    """A cell that was to be measured ended with an error."""


def measure(shell: InteractiveShell, case: str, times: int) -> list[float]:
    """
    Measure ``case``, ``times`` in a row.

    Raises:
        Failed: It did not do what it was to do.
    """
    gc.collect()
    if case in CELLS:
        return time_cell(shell, CELLS[case], times)
    return _OTHERS[case](shell, times)


def time_cell(
    shell: InteractiveShell,
    cell: str,
    times: int,
    *,
    silent: bool = False,
    then: Callable[[], object] = lambda: None,
) -> list[float]:
    """``run_cell``, from the call until ``then`` has returned."""
    seconds = []
    for _ in range(times):
        began = perf_counter()
        result = shell.run_cell(cell, silent=silent)
        then()
        seconds.append(perf_counter() - began)
        if not result.success:
            raise Failed(
                f"{cell!r}: {result.error_before_exec or result.error_in_exec!r}"
            )
    return seconds


def _time_eventual(cell: str, *, silent: bool) -> Callable[..., list[float]]:
    def run(shell: InteractiveShell, times: int) -> list[float]:
        def wait() -> None:
            if shell.user_ns.pop("result").wait(5) != 1:
                raise Failed(f"{cell!r} gave another result")

        return time_cell(shell, cell, times, silent=silent, then=wait)

    return run


def _hop(shell: InteractiveShell, times: int) -> list[float]:
    """To the reactor thread and back, by Twisted's own door and a lock."""
    return _time_hop(shell.user_ns["reactor"].callFromThread, times)


def _hop_in_place(shell: InteractiveShell, times: int) -> list[float]:
    """The same, each time after a cell, so that it finds the caches as a cell does."""

    def cell() -> None:
        shell.run_cell(CELLS["fired"])

    return _time_hop(shell.user_ns["reactor"].callFromThread, times, before=cell)


def _time_hop(
    call: Callable[[Callable[[], object]], object],
    times: int,
    before: Callable[[], object] = lambda: None,
) -> list[float]:
    lock = threading.Lock()
    lock.acquire()
    seconds = []
    for _ in range(times):
        before()
        began = perf_counter()
        call(lock.release)
        lock.acquire()
        seconds.append(perf_counter() - began)
    return seconds


def _hop_runner(shell: InteractiveShell, times: int) -> list[float]:
    before = shell.loop_runner
    shell.loop_runner = hop_runner(shell.user_ns["reactor"])
    try:
        return time_cell(shell, CELLS["fired"], times)
    finally:
        shell.loop_runner = before


def _waiting(shell: InteractiveShell, times: int) -> list[float]:
    return time_cell(shell, WAITING_CELL, times, silent=True)


_OTHERS: dict[str, Callable[..., list[float]]] = {
    "hop": _hop,
    "hop in place": _hop_in_place,
    "hop runner": _hop_runner,
    "magic": _time_eventual(MAGIC_CELL, silent=True),
    "plain": _time_eventual(PLAIN_CELL, silent=True),
    "magic shown": _time_eventual(MAGIC_CELL, silent=False),
    "plain shown": _time_eventual(PLAIN_CELL, silent=False),
    "plain waits": _waiting,
    **callbacks.CASES,
}


def memory() -> dict[str, int | None]:
    """What the process holds now: resident bytes (Linux), and Python's blocks."""
    gc.collect()
    resident = None
    statm = Path("/proc/self/statm")
    if statm.exists():
        import resource

        resident = int(statm.read_text().split()[1]) * resource.getpagesize()
    return {"bytes": resident, "blocks": sys.getallocatedblocks()}


def run_cells(shell: InteractiveShell, cell: str, times: int) -> dict[str, Any]:
    """Run a cell that leaves nothing behind; gives what the process grew by."""
    before = memory()
    for _ in range(times):
        if not shell.run_cell(cell).success:
            raise Failed(repr(cell))
    after = memory()
    return {
        key: None if before[key] is None else after[key] - before[key]  # type: ignore
        for key in before
    }
