"""
The numbers of a run: series of rounds, the rows of the table, their targets.

No formatted text, and nothing that measures. Times are in seconds.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from statistics import median, quantiles
from typing import Literal

Unit = Literal["seconds", "bytes", "megabytes", "blocks", "number", "per second"]


@dataclass(frozen=True)
class Series:
    """
    One number for each round, in the order of the rounds.

    What is compared was measured in turns, so it is put together round by round:
    ``ours / floor`` is the series of the ratios, whose spread is that of the ratio,
    and not of the machine's mood.
    """

    values: tuple[float, ...]

    @property
    def median(self) -> float:
        return median(self.values)

    @property
    def quartiles(self) -> tuple[float, float]:
        """A quarter of the rounds was below the first, a quarter above the second."""
        if len(self.values) < 2:
            return self.values[0], self.values[0]
        first, _, third = quantiles(self.values, n=4, method="inclusive")
        return first, third

    def first(self, rounds: int) -> Series:
        """Those of the first rounds alone."""
        return Series(self.values[:rounds])

    def by_medians_of(self, rounds: int) -> Series:
        """In the place of each value the median of the ``rounds`` that it is among."""
        sets = (
            self.values[start : start + rounds]
            for start in range(0, len(self.values), rounds)
        )
        return Series(tuple(median(each) for each in sets for _ in each))

    def __add__(self, other: Series) -> Series:
        return self._with(other, operator.add)

    def __sub__(self, other: Series) -> Series:
        return self._with(other, operator.sub)

    def __truediv__(self, other: Series) -> Series:
        return self._with(other, operator.truediv)

    def _with(self, other: Series, combine: Callable[[float, float], float]) -> Series:
        pairs = zip(self.values, other.values, strict=True)
        return Series(tuple(combine(*pair) for pair in pairs))


def series(values: Iterable[float]) -> Series:
    return Series(tuple(values))


@dataclass(frozen=True)
class Row:
    """
    One line of the table.

    Attributes:
        name: What was measured.
        measured: None where it could not be; ``missing`` says why, unless ``instead``
            does, which is shown in its place.
        unit: Of ``measured``.
        ratio: ``measured`` over something else, round by round.
        over: What that is.
        at_most: The target: of ``ratio`` where there is one, else of ``measured``.
    """

    name: str
    measured: Series | None
    unit: Unit = "seconds"
    ratio: Series | None = None
    over: str = ""
    at_most: float | None = None
    missing: str = ""
    instead: str = "missing"

    @property
    def met(self) -> bool | None:
        """
        Whether the median reaches the target; None where that can't be said,
        because the target lies between the quartiles of the rounds, and the median
        is worse.
        """
        judged = self.ratio or self.measured
        assert judged is not None and self.at_most is not None
        if self.ratio is not None:  # as precise as it is shown
            reached = round(judged.median, 2) <= self.at_most
        else:
            reached = judged.median <= self.at_most
        return (
            True if reached else None if judged.quartiles[0] <= self.at_most else False
        )


@dataclass(frozen=True)
class Group:
    """
    Rows that belong together.

    Attributes:
        notes: What the rows mean, as exactly as somebody needs who doubts them.
    """

    title: str
    rows: tuple[Row, ...]
    notes: tuple[str, ...] = ()
