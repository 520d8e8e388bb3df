"""
Private names of IPython.

Tried with IPython 8.18.1, 8.39.0 and 9.18.1.
"""

from __future__ import annotations

import sys
from collections import defaultdict
from collections.abc import Callable
from contextlib import AbstractContextManager, ExitStack
from types import FrameType
from typing import Any

from wrapt import FunctionWrapper


def watch_exceptions(
    shell: Any,
    prepare: Callable[[BaseException], BaseException],
    is_wanted: Callable[[BaseException], bool],
    showing: Callable[[], AbstractContextManager[object]],
) -> Callable[[], None]:
    """
    Let ``prepare`` see, and replace, each exception that the shell shows.

    Gives what undoes it. Everything that shows an exception, or remembers it
    for ``%tb`` and ``%debug``, asks ``_get_exc_info`` for it. One that is not
    wanted is not shown; ``showing`` is entered while one is.

    Thread:
        Called in the shell thread; the others are called where the shell shows
        exceptions: in the shell threads and the reactor thread.
    """

    def get_exc_info(wrapped: Any, instance: Any, args: Any, kwargs: Any) -> Any:
        kind, error, traceback = wrapped(*args, **kwargs)
        if not isinstance(error, BaseException):
            return kind, error, traceback
        try:
            shown = prepare(error)
        except Exception:  # an error that can't be looked at is shown as it is
            return kind, error, traceback
        return wrapped((type(shown), shown, shown.__traceback__))

    def showtraceback(wrapped: Any, instance: Any, args: Any, kwargs: Any) -> Any:
        error = sys.exc_info()[1]
        with showing():
            if error is None or is_wanted(error):
                wrapped(*args, **kwargs)

    def format_for_storage(wrapped: Any, instance: Any, args: Any, kwargs: Any) -> Any:
        with showing():
            return wrapped(*args, **kwargs)

    undo = ExitStack()
    undo.callback(_wrap(shell, "_get_exc_info", get_exc_info))
    undo.callback(_wrap(shell, "showtraceback", showtraceback))
    if hasattr(shell, "_format_exception_for_storage"):  # IPython 9, for the history
        undo.callback(_wrap(shell, "_format_exception_for_storage", format_for_storage))
    return undo.close


def correct_lines(shell: Any) -> Callable[[], None]:
    """
    Let tracebacks point at the line that failed; gives what undoes it.

    For frames whose file is not on disk, as a notebook's cells, IPython 9.18 asks
    the frame for its line: that is where it is by now, as in a ``finally``. The
    traceback knows where it was.
    """

    def get_records(wrapped: Any, instance: Any, args: Any, kwargs: Any) -> Any:
        records = wrapped(*args, **kwargs)
        lines = defaultdict(list)
        tb = args[0]
        while tb is not None:
            lines[tb.tb_frame].append(tb.tb_lineno)
            tb = tb.tb_next
        for record in records:
            if record._sd is None and lines[record.frame]:
                record.lineno = lines[record.frame].pop(0)
        return records

    return _wrap(shell.InteractiveTB, "get_records", get_records)


def _wrap(owner: Any, name: str, wrapper: Callable[..., Any]) -> Callable[[], None]:
    """Wrap a method of this one object; gives what undoes it."""
    method = FunctionWrapper(getattr(owner, name), wrapper)
    setattr(owner, name, method)

    def undo() -> None:
        if owner.__dict__.get(name) is method:
            delattr(owner, name)

    return undo


def before_exit(shell: Any, end: Callable[[], object]) -> Callable[[], None]:
    """
    Call ``end`` before the shell, at its exit, empties the user's namespace.

    Gives what undoes it. At a terminal that is before the functions of
    ``atexit`` are called.
    """

    def _atexit_once(wrapped: Any, instance: Any, args: Any, kwargs: Any) -> Any:
        end()
        return wrapped(*args, **kwargs)

    return _wrap(shell, "_atexit_once", _atexit_once)


def around_cells(
    shell: Any,
    around: Callable[[str, bool, str | None], AbstractContextManager[object]],
) -> Callable[[], None]:
    """
    Enter ``around(raw_cell, has_number, cell_id)`` for as long as a cell runs.

    Gives what undoes it. IPython's events are sent where the cell runs: for one
    that awaits, that is not the thread that its frontend waits in.

    Thread:
        ``around`` is called in the shell thread.
    """

    def run_cell(wrapped: Any, instance: Any, args: Any, kwargs: Any) -> Any:
        def argument(position: int, name: str) -> Any:
            return args[position] if len(args) > position else kwargs.get(name)

        silent = argument(2, "silent")
        has_number = bool(argument(1, "store_history")) and not silent
        with around(argument(0, "raw_cell"), has_number, argument(4, "cell_id")):
            return wrapped(*args, **kwargs)

    return _wrap(shell, "run_cell", run_cell)


def choose_runner(
    shell: Any, is_for_runner: Callable[[str, bool], bool]
) -> Callable[[], None]:
    """
    Let ``is_for_runner(transformed_cell, awaits)`` say which cells the shell's
    runner gets; gives what undoes it. By default, it gets those that await.

    Thread:
        ``is_for_runner`` is called in the thread that ``run_cell`` is called in,
        just before the runner.
    """

    def should_run_async(wrapped: Any, instance: Any, args: Any, kwargs: Any) -> Any:
        awaits = wrapped(*args, **kwargs)
        return is_for_runner(kwargs.get("transformed_cell") or "", awaits)

    return _wrap(shell, "should_run_async", should_run_async)


def is_capture(transformed_cell: str) -> bool:
    """Whether it is a ``%%capture`` cell, which runs its body as another cell."""
    return transformed_cell.startswith("get_ipython().run_cell_magic('capture'")


def allow_empty_body(shell: Any, magic: str) -> Callable[[], None]:
    """
    Let a cell magic have nothing below its first line; gives what undoes it.

    IPython refuses that before it calls the magic.
    """

    def run_cell_magic(wrapped: Any, instance: Any, args: Any, kwargs: Any) -> Any:
        if args and args[0] == magic and args[-1] == "":
            args = (*args[:-1], "\n")
        return wrapped(*args, **kwargs)

    return _wrap(shell, "run_cell_magic", run_cell_magic)


def run_files_by(
    shell: Any, execfile: Callable[..., Any], run_module: Callable[..., Any]
) -> Callable[[], None]:
    """
    Run the files and modules of ``%run`` by these; gives what undoes it.

    They take the shell's own ``safe_execfile`` or ``safe_run_module``, and then
    what that takes.
    """

    def safe_execfile(wrapped: Any, instance: Any, args: Any, kwargs: Any) -> Any:
        return execfile(wrapped, *args, **kwargs)

    def safe_run_module(wrapped: Any, instance: Any, args: Any, kwargs: Any) -> Any:
        return run_module(wrapped, *args, **kwargs)

    undo = ExitStack()
    undo.callback(_wrap(shell, "safe_execfile", safe_execfile))
    undo.callback(_wrap(shell, "safe_run_module", safe_run_module))
    return undo.close


def format_time(seconds: float) -> str:
    """``1.23 s``, as ``%time`` writes it."""
    from IPython.core.magics.execution import _format_time  # made when first used

    return str(_format_time(seconds))


def running_cell_number(shell: Any) -> int | None:
    """
    The ``n`` of ``In [n]`` of the cell that is running in this thread.

    Not ``execution_count``: IPython 8 counts it up after the cell, 9 before.
    """
    number: int | None = None
    frame: FrameType | None = sys._getframe()
    while frame is not None:
        number = shell.compile._filename_map.get(frame.f_code.co_filename, number)
        frame = frame.f_back
    return number


def cell_number(shell: Any, filename: str) -> int | None:
    """The ``n`` of ``In [n]`` of the cell that was compiled as that file."""
    number: int | None = shell.compile._filename_map.get(filename)
    return number
