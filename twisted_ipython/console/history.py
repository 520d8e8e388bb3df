"""
What was asked, by number.
"""

from __future__ import annotations

import threading
from typing import Any

from IPython.core.history import HistoryManager


class LiveHistory(HistoryManager):
    """
    IPython's, in which ``In[n]`` is the cell with the number n.

    IPython appends each cell to ``In``, which is right where each has the next number
    and is kept. Here a cell may begin before one with a lower number, another is
    dropped and never begins, and after ``exit``, which is not kept, others go on.

    Thread:
        That of a cell which begins: the reactor thread, or a ``%%thread`` cell's.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self._storing = threading.Lock()  # nothing of the user's is called under it
        super().__init__(*args, **kwargs)

    def store_inputs(
        self, line_num: int, source: str, source_raw: str | None = None
    ) -> None:
        with self._storing:
            inputs: list[list[str]] = [self.input_hist_parsed, self.input_hist_raw]
            later = [each[line_num + 1 :] for each in inputs]
            for each in inputs:
                del each[line_num:]
                each.extend([""] * (line_num - len(each)))
            super().store_inputs(line_num, source, source_raw)
            for each, rest in zip(inputs, later, strict=True):
                each.extend([""] * (line_num + 1 - len(each)))
                each.extend(rest)
