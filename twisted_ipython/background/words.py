"""
The words of ``%background``: read, and offered. Pure.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from .activities import ID_WORDS, Activity

_CELL = re.compile(r"(?:In)?\[(\d+)\]|(\d+)")
_ID = re.compile(rf"(?:{'|'.join(ID_WORDS.values())})-\d+")

USAGE = (
    "%background shows what cells have going; %background stop takes ids as it "
    "shows them (port-1), cells (In[3]), or all"
)


class WrongWords(ValueError):
    """The line can't be read, for the reason in the text."""


@dataclass(frozen=True)
class Stop:
    """
    What is to be stopped.

    Attributes:
        everything: All that there is.
        ids: By id.
        cells: By the number of the cell that started it.
    """

    everything: bool = False
    ids: tuple[str, ...] = ()
    cells: tuple[int, ...] = ()

    def choose(self, activities: Sequence[Activity]) -> list[Activity]:
        """
        Raises:
            WrongWords: One of the words names nothing that goes on.
        """
        known = {each.id for each in activities}
        for id in self.ids:
            if id not in known:
                raise WrongWords(
                    f"%background stop: there is no {id}, or no longer; %background "
                    "shows what there is; nothing was stopped"
                )
        busy = {each.cell for each in activities}
        for number in self.cells:
            if number not in busy:
                raise WrongWords(
                    f"%background stop: nothing goes on that In [{number}] started; "
                    "%background shows what does; nothing was stopped"
                )
        return [
            each
            for each in activities
            if self.everything or each.id in self.ids or each.cell in self.cells
        ]


def parse(line: str) -> Stop | None:
    """
    What to stop; None if the line is empty, which shows what there is.

    Raises:
        WrongWords: It is neither.
    """
    # In [3], as the prompt writes it, is one word.
    words = re.sub(r"\bIn\s*\[\s*(\d+)\s*\]", r"In[\1]", line).split()
    if not words:
        return None
    command, *names = words
    if command != "stop" or not names:
        raise WrongWords(f"{USAGE}; not {line.strip()!r}; nothing was stopped")
    if names == ["all"]:
        return Stop(everything=True)
    ids, cells = [], []
    for name in names:
        if cell := _CELL.fullmatch(name):
            cells.append(int(cell[1] or cell[2]))
        elif _ID.fullmatch(name):
            ids.append(name)
        else:
            raise WrongWords(
                f"%background stop: {name!r} is neither an id, as port-1, nor a "
                "cell, as In[3], nor all by itself; nothing was stopped"
            )
    return Stop(ids=tuple(ids), cells=tuple(cells))


def offered(activities: Sequence[Activity], words: Sequence[str]) -> list[str]:
    """
    What can stand after ``words``, which were typed after ``%background``.
    """
    if not words:
        return ["stop"]
    if words[0] != "stop":
        return []
    cells = sorted({each.cell for each in activities if each.cell is not None})
    names = [each.id for each in activities] + [f"In[{number}]" for number in cells]
    if len(words) == 1 and activities:
        names.append("all")
    return [name for name in names if name not in words]
