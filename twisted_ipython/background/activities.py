"""
What cells have going, as plain values, and how that is shown.

A collector makes these (``background``). Nothing here holds anything alive.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from typing import Any

# What it can be, and what its id begins with.
AWAITING = "awaiting"
PORT = "port"
CONNECTION = "connection"
LOOPING_CALL = "looping call"
DELAYED_CALL = "delayed call"
PROCESS = "process"
ID_WORDS = {
    AWAITING: "task",
    PORT: "port",
    CONNECTION: "connection",
    LOOPING_CALL: "loop",
    DELAYED_CALL: "call",
    PROCESS: "process",
}

NOTHING = "nothing is going on that a cell started"

HEADINGS = ("id", "cell", "kind", "what", "since")


@dataclass(frozen=True)
class Activity:
    """
    Something that a cell started and that goes on.

    Attributes:
        id: Its name in this session: ``port-1``.
        kind: One of the words above.
        text: What it is, for a person.
        cell: The ``n`` of ``In [n]`` of the cell that started it; None for one
            without a number.
        since: When it began, as ``time.time()``.
    """

    id: str
    kind: str
    text: str
    cell: int | None
    since: float


def cell_text(number: int | None) -> str:
    """``In [3]``, as at the prompt."""
    return "a cell" if number is None else f"In [{number}]"


def age_text(seconds: float) -> str:
    """``4 min``: in the largest unit that is full once."""
    for unit, length in (("d", 86400), ("h", 3600), ("min", 60)):
        if seconds >= length:
            return f"{seconds // length:.0f} {unit}"
    return f"{max(int(seconds), 0)} s"


def since_text(since: float, now: float) -> str:
    """``12:03:10 (4 min)``: on the clock of this place, and how long ago."""
    clock = time.strftime("%H:%M:%S", time.localtime(since))
    return f"{clock} ({age_text(now - since)})"


def rows(activities: Sequence[Activity], now: float) -> list[tuple[str, ...]]:
    """The cells of the table, without its headings."""
    return [
        (
            each.id,
            cell_text(each.cell),
            each.kind,
            each.text,
            since_text(each.since, now),
        )
        for each in activities
    ]


def as_text(activities: Sequence[Activity], now: float) -> str:
    """The table in plain text; a sentence if there is nothing."""
    if not activities:
        return NOTHING
    # A name may hold a line's end, a table's line may not.
    lines = [
        tuple(" ".join(word.split()) for word in row)
        for row in [HEADINGS, *rows(activities, now)]
    ]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    return "\n".join(
        "  ".join(
            word.ljust(width) for word, width in zip(line, widths, strict=True)
        ).rstrip()
        for line in lines
    )


def as_html(activities: Sequence[Activity], now: float) -> str:
    """The table in HTML; a sentence if there is nothing."""
    if not activities:
        return f"<p>{escape(NOTHING)}</p>"

    def line(tag: str, words: Sequence[str]) -> str:
        cells = (
            f'<{tag} style="text-align: left">{escape(word)}</{tag}>' for word in words
        )
        return f"<tr>{''.join(cells)}</tr>"

    body = "".join(line("td", row) for row in rows(activities, now))
    return f"<table><thead>{line('th', HEADINGS)}</thead><tbody>{body}</tbody></table>"


class Table:
    """Activities as IPython displays them."""

    def __init__(self, activities: Sequence[Activity], now: float) -> None:
        self._activities = tuple(activities)
        self._now = now

    def __repr__(self) -> str:
        return as_text(self._activities, self._now)

    def _repr_pretty_(self, printer: Any, cycle: bool) -> None:
        printer.text(repr(self))

    def _repr_html_(self) -> str:
        return as_html(self._activities, self._now)
