"""
Measuring in turns: what is compared is measured round by round, one side at a time.

A machine gets slower and faster within seconds, and processes differ by where their
memory happens to lie. So no side is measured in one go: rounds go round the sides,
and the processes are replaced several times.
"""

from __future__ import annotations

import sys
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from statistics import median
from typing import Protocol, TypeVar

from .figures import Row, Series, Unit, series
from .sides import Side
from .workers import Worker, WorkerFailed

Case = str
Turn = TypeVar("Turn")


@dataclass(frozen=True)
class Effort:
    """
    How much is done.

    Attributes:
        starts: How often the processes are replaced.
        rounds: Rounds for each set of processes.
        share: Of the repetitions in each round, 1 being all.
        processes: Rounds where each needs fresh processes.
        cells: To run when it is about memory.
    """

    starts: int
    rounds: int
    share: float
    processes: int
    cells: int

    def times(self, times: int) -> int:
        return max(2, round(times * self.share))


FULL = Effort(starts=3, rounds=5, share=1, processes=11, cells=10_000)
QUICK = Effort(starts=1, rounds=2, share=0.1, processes=1, cells=500)


class Measured(Protocol):
    """
    What is compared: a ``Side``, or another one that can be hashed.

    Attributes:
        label: What the table calls it.
        can_be_missing: Whether it only is there to be compared with.
    """

    @property
    def label(self) -> str: ...

    @property
    def can_be_missing(self) -> bool: ...


class Measurements:
    """
    Series by side and case, and why some are missing.

    Args:
        missing: Why a side can't be had. Only those may be missing that somebody else
            has made: the others are what this is about.
    """

    def __init__(self, missing: Mapping[Measured, str] | None = None) -> None:
        self._values: dict[tuple[Measured, Case], list[float]] = defaultdict(list)
        self._missing = {side: why for side, why in (missing or {}).items() if why}

    def has(self, side: Measured) -> bool:
        return side not in self._missing

    def add(self, side: Measured, case: Case, value: float) -> None:
        self._values[side, case].append(value)

    def __call__(self, side: Measured, case: Case) -> Series:
        return series(self._values[side, case])

    def row(
        self,
        name: str,
        side: Measured,
        case: Case,
        *,
        over: tuple[str, Measured, Case] | None = None,
        at_most: float | None = None,
        unit: Unit = "seconds",
    ) -> Row:
        """A row for ``case``, by itself or over another measurement."""
        for needed in (side,) if over is None else (side, over[1]):
            if not self.has(needed):
                return Row(name, None, missing=self._missing[needed])
        measured = self(side, case)
        if over is None:
            return Row(name, measured, unit, at_most=at_most)
        ratio = measured / self(over[1], over[2])
        return Row(name, measured, unit, ratio, over[0], at_most)

    def tolerate(self, side: Measured, failed: Exception) -> None:
        """Go on without ``side``, if it can be missing; else raise ``failed``."""
        if not side.can_be_missing:
            raise failed
        print(failed, file=sys.stderr)
        lines = str(failed).strip().splitlines() or [type(failed).__name__]
        self._missing[side] = f"{side.label} failed: {lines[-1]}"


def in_turns(sides: list[Turn], rounds: int) -> Iterator[list[Turn]]:
    """The sides, or whatever takes turns, each time beginning with another one."""
    for number in range(rounds):
        first = number % len(sides)
        yield sides[first:] + sides[:first]


Plan = Mapping[Side, Mapping[Case, int]]


def measure_in_turns(
    plan: Plan, effort: Effort, found: Measurements, say: Callable[[str], object]
) -> None:
    """
    Carry out ``plan``, the cases of each side with their repetitions in a round.

    A round's number is the median of its repetitions.
    """
    for start in range(effort.starts):
        say(f"in process, set {start + 1} of {effort.starts}")
        with ExitStack() as stack:
            workers = {}
            for side in filter(found.has, plan):
                worker = stack.enter_context(Worker(side))
                try:
                    worker.ask("set up")
                    for case, times in plan[side].items():  # to warm up
                        worker.ask("measure", case, min(effort.times(times), 20))
                except WorkerFailed as failed:
                    found.tolerate(side, failed)
                else:
                    workers[side] = worker
            for sides in in_turns(list(workers), effort.rounds):
                for side in sides:
                    for case, times in plan[side].items():
                        seconds = workers[side].ask(
                            "measure", case, effort.times(times)
                        )
                        found.add(side, case, median(seconds))
