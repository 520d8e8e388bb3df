"""
Tells what a cell starts which cell it is: an ``Origin`` for each run of a cell.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, ExitStack, nullcontext, suppress
from contextvars import copy_context
from typing import Any

from ..internals import ipykernel, ipython
from ..origins import ORIGIN, Origin, begin, is_shell_thread


def follow_cells(
    shell: Any,
    running: Callable[[Origin], AbstractContextManager[object]] = begin,
) -> Callable[[], None]:
    """
    Let what the shell's cells start know its cell; gives what undoes it.

    Args:
        running: Entered for as long as a cell runs; does what ``begin`` does.

    Thread:
        Shell thread.
    """
    tell_streams = ipykernel.tell_streams()

    def around(
        raw_cell: str, has_number: bool, cell_id: str | None
    ) -> AbstractContextManager[object]:
        outer = ORIGIN.get()
        if outer is not None and (outer.running or not is_shell_thread()):
            return nullcontext()  # a cell that a cell runs, as %%capture does
        number = shell.execution_count if has_number else None
        origin = Origin(shell, number, cell_id, raw_cell)
        if origin.parent is not None:
            with suppress(Exception):  # nothing here may cost the cell its run
                tell_streams(origin.parent)
        return running(origin)

    undo = ExitStack()
    undo.callback(ipython.around_cells(shell, around))
    number = ipython.running_cell_number(shell)
    if number is not None and ORIGIN.get() is None:
        _follow_this_cell(shell, Origin(shell, number))
    if hasattr(shell, "kernel"):
        undo.callback(ipykernel.address_displays(shell, _parent_of_origin))
    return undo.close


def _follow_this_cell(shell: Any, origin: Origin) -> None:
    """The cell that loads the extension has begun before we were asked."""
    ORIGIN.set(origin)
    origin.context = copy_context()
    origin.running = True

    def leave(*args: object) -> None:
        shell.events.unregister("post_run_cell", leave)
        origin.running = False
        ORIGIN.set(None)

    shell.events.register("post_run_cell", leave)


def _parent_of_origin() -> Any:
    origin = ORIGIN.get()
    return None if origin is None else origin.parent
