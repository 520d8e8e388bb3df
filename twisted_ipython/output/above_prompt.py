"""
Late output above the prompt, also where somebody has kept a stream.

While IPython waits at its prompt, prompt_toolkit puts a stream of its own in the
place of ``sys.stdout`` that prints above what is being typed. But who took
``sys.stdout`` in a cell, as ``log.startLogging(sys.stdout)`` does, has kept the
terminal itself, and writes into the middle of the line.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from contextlib import ExitStack
from typing import Any


class AbovePrompt:
    """
    ``sys.stdout`` or ``sys.stderr`` of a terminal, for cells to take.

    Thread:
        Any.
    """

    def __init__(self, name: str, stream: Any) -> None:
        # Imported here: only a terminal has loaded it, and it is large.
        from prompt_toolkit.patch_stdout import StdoutProxy

        self._name = name
        self._stream = stream
        self._proxy = StdoutProxy

    def _current(self) -> Any:
        """What prompt_toolkit has put there, while there is a prompt."""
        there = getattr(sys, self._name)
        return there if isinstance(there, self._proxy) else self._stream

    # Methods, and not left to __getattr__: IPython puts one of its own over
    # ``write`` for the time of a cell, which calls what it found.
    def write(self, text: str) -> Any:
        return self._current().write(text)

    def flush(self) -> None:
        self._current().flush()

    def __getattr__(self, name: str) -> Any:
        if name == "_stream":  # of one that is being copied
            raise AttributeError(name)
        return getattr(self._stream, name)


def switch_on() -> Callable[[], None]:
    """
    Let what takes the streams of a terminal print above its prompt; gives the undo.

    Thread:
        Shell thread.
    """
    undo = ExitStack()
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        ours = AbovePrompt(name, stream)
        setattr(sys, name, ours)
        undo.callback(_put_back, name, ours, stream)
    return undo.close


def _put_back(name: str, ours: AbovePrompt, stream: Any) -> None:
    if getattr(sys, name) is ours:
        setattr(sys, name, stream)
