"""
Contexts across threads that cells start: ``threading`` and its executors.

A thread begins with an empty context, so that what it prints would land under
whichever cell runs. One that a cell starts begins with the cell's, as every
thread does in the free-threaded Python 3.14; a job of an executor has that of
the code which submitted it. Threads that no cell starts are left alone.
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from contextvars import Context, copy_context
from functools import partial
from threading import Thread
from typing import Any

from .contexts import InContext
from .origins import ORIGIN
from .replaced import replace


def keep_contexts() -> Callable[[], None]:
    """
    Let threads and jobs keep the context of the cell that starts them.

    Gives what undoes it: both methods are replaced on their classes.

    Thread:
        Any.
    """
    start_thread, submit_job = Thread.start, ThreadPoolExecutor.submit

    def start(self: Thread) -> None:
        if ORIGIN.get() is not None:
            context, run = copy_context(), self.run

            def run_in_context() -> None:
                vars(self).pop("run", None)
                try:
                    context.run(run)
                except BaseException:  # as threading does, but in the context
                    args = (*sys.exc_info(), self)
                    context.run(threading.excepthook, threading.ExceptHookArgs(args))

            self.run = run_in_context  # type: ignore[method-assign]
        start_thread(self)

    def submit(self: ThreadPoolExecutor, fn: Any, /, *args: Any, **kwargs: Any) -> Any:
        if ORIGIN.get() is None:
            return submit_job(self, fn, *args, **kwargs)
        job = partial(submit_job, self, InContext(fn), *args, **kwargs)
        return Context().run(job)  # a thread that it starts serves others, too

    undo = ExitStack()
    undo.callback(replace(Thread, {"start": start}))
    undo.callback(replace(ThreadPoolExecutor, {"submit": submit}))
    return undo.close
