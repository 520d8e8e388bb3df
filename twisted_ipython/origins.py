"""
Which cell started it: known to all code that a cell causes, however late.

A context variable holds the cell. Contexts are copied from call to call
(``contexts``), and so is the answer; nothing is guessed from threads.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from contextvars import Context, ContextVar, copy_context
from threading import get_ident, main_thread
from typing import Any


class Origin:
    """
    One run of one cell, as that which started something.

    Attributes:
        shell: The shell that ran it.
        number: The ``n`` of ``In [n]``; None for what has no number.
        cell_id: The frontend's name of the cell, the same when it is run again;
            None where the frontend gives none.
        raw_cell: Its text.
        started: When it began, as ``time.time()``.
        parent: The message that asked a kernel for it; None at a terminal.
        context: Its context as it began, to say something under the cell.
        running: Whether it still runs; what it started may go on.

    Thread:
        Made in a shell thread, read in any.
    """

    def __init__(
        self,
        shell: Any,
        number: int | None = None,
        cell_id: str | None = None,
        raw_cell: str = "",
    ) -> None:
        self.shell = shell
        self.number = number
        self.cell_id = cell_id
        self.raw_cell = raw_cell
        self.started = time.time()
        self.parent = shell.get_parent() if hasattr(shell, "get_parent") else None
        self.context = Context()
        self.running = False

    def __str__(self) -> str:
        return "a cell" if self.number is None else f"In [{self.number}]"


ORIGIN: ContextVar[Origin | None] = ContextVar("twisted_ipython_origin", default=None)


@contextmanager
def begin(origin: Origin) -> Iterator[None]:
    """
    While ``origin`` runs, what is started is its.

    Thread:
        Shell thread; also one of no cell, as where a widget calls back.
    """
    token = ORIGIN.set(origin)
    origin.context = copy_context()
    origin.running = True
    thread = get_ident()
    _shell_threads.add(thread)
    try:
        yield
    finally:
        origin.running = False
        _shell_threads.discard(thread)
        ORIGIN.reset(token)


# The threads that run a cell now: added and taken off in the thread itself.
_shell_threads: set[int] = set()


def is_shell_thread() -> bool:
    """Whether this thread runs plain cells: the main one, or a subshell's."""
    return get_ident() == main_thread().ident or get_ident() in _shell_threads


# On an exception: the context that it was raised in, for those who hear of it
# outside of that.
_CONTEXT = "_twisted_ipython_context"


class Kept:
    """A context on an exception, which goes where it is copied or pickled: empty."""

    def __init__(self, context: Context | None = None) -> None:
        self.context = context

    def __reduce__(self) -> Any:
        return object, ()


def note_context(error: BaseException, context: Context) -> None:
    """Remember where ``error`` was raised, if nobody did so before."""
    with suppress(Exception):  # of an exception with a will of its own
        if not hasattr(error, _CONTEXT):
            setattr(error, _CONTEXT, Kept(context))


def context_of(error: BaseException | None) -> Context | None:
    """
    The context of the cell's that ``error`` was raised in, or the current one;
    None where no cell started it.
    """
    context: Context | None = None
    with suppress(Exception):
        context = getattr(error, _CONTEXT).context
    if context is None and ORIGIN.get() is not None:
        context = copy_context()
    return context
