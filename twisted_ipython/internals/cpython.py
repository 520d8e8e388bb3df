"""
CPython's way to raise an exception in another thread, signals in a hurry, and
warnings' filters.

Tried with CPython 3.10 to 3.13.

Source:
    ``PyThreadState_SetAsyncExc`` in the C API reference, "Initialization,
    Finalization, and Threads".
"""

from __future__ import annotations

# The functions of the module signal without their conversion of handlers to
# enumerations and back, which takes longer than all else that is done for a cell.
import _signal  # type: ignore[import-not-found]  # nobody's stubs have it
import ctypes
import os
import signal
import subprocess
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from threading import get_ident
from types import FrameType, TracebackType
from typing import Any

get_signal_handler = _signal.getsignal
set_signal_handler = _signal.signal

# Ends this process and nothing else: a forked child runs none of its parent's clean-up.
end_child = os._exit

# Called as set_async_exc(thread id, exception class), it makes that thread raise
# at its next bytecode. It keeps the interpreter lock: nothing else runs between
# a test made just before the call and the call's effect, as long as there is no
# Python function in between. So callers use this object, not a wrapper of it.
set_async_exc = ctypes.pythonapi.PyThreadState_SetAsyncExc
set_async_exc.argtypes = (ctypes.c_ulong, ctypes.py_object)
set_async_exc.restype = ctypes.c_int


def let_come_up() -> None:
    """
    Return when there is no exception any more that was set for this thread: one that is
    pending comes up here.

    Taken back instead, with NULL, it would leave a mark in the interpreter, which then
    looks for it for ever, in all threads; CPython 3.11 hangs in a profiler by that.

    Raises:
        BaseException: The one that was set.
    """
    for _ in range(100):  # it is looked for at each turn of a loop
        pass


# A traceback does not have the frame at whose "return" a trace function has raised. Until
# 3.11.4 (GH-102818) what called the trace function entered it; from 3.12 on, what evaluates
# the frame does, as it always did at a "line".
_LEAVES_OUT_RETURNING = (3, 11, 4) <= sys.version_info < (3, 12)


@contextmanager
def no_signals() -> Iterator[None]:
    """
    No signal interrupts what this thread waits for in C; other threads get them.

    Thread:
        Any but the main thread.
    """
    before = signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


@contextmanager
def no_filters_added() -> Iterator[None]:
    """
    Leave out the filters that this thread adds to ``warnings.filters``, as imports
    do. Those of other threads are added.

    Thread:
        Any, one at a time.
    """
    thread, before = get_ident(), warnings._add_filter  # type: ignore[attr-defined]

    def add(*args: Any, **kwargs: Any) -> None:
        if get_ident() != thread:
            before(*args, **kwargs)

    warnings._add_filter = add  # type: ignore[attr-defined]
    try:
        yield
    finally:
        warnings._add_filter = before  # type: ignore[attr-defined]


def show_returning(frame: FrameType, error: BaseException) -> None:
    """
    Have ``frame`` in the traceback of what a trace function raises now, at its "return".
    """
    if _LEAVES_OUT_RETURNING:
        error.with_traceback(TracebackType(None, frame, frame.f_lasti, frame.f_lineno))


def wait_for_no_children(frame: FrameType | None) -> None:
    """
    Let a KeyboardInterrupt that is raised at ``frame`` go through at once.

    ``subprocess`` would wait a quarter of a second for the child, which gets a Ctrl-C,
    too, where one comes from a terminal.
    """
    while frame is not None:
        if frame.f_code.co_filename == subprocess.__file__:
            process = frame.f_locals.get("self")
            if isinstance(process, subprocess.Popen):
                process._sigint_wait_secs = 0
        frame = frame.f_back
