"""
Private names of asyncio: a task's error, its context, and who waits for it.

Tried with CPython 3.10 to 3.13.
"""

from __future__ import annotations

import asyncio
from asyncio import AbstractEventLoop
from collections.abc import Sequence
from contextvars import Context
from typing import Any


def unretrieved(task: asyncio.Task[Any]) -> BaseException | None:
    """What ``task`` failed with, if nobody has asked for it. Reactor thread."""
    if not task._log_traceback:  # type: ignore[attr-defined]
        return None
    error: BaseException | None = task._exception  # type: ignore[attr-defined]
    return error


def mark_retrieved(task: asyncio.Task[Any]) -> None:
    """Make asyncio say nothing about an error that we have dealt with."""
    task._log_traceback = False  # type: ignore[attr-defined]


def context_of(details: dict[str, Any]) -> Context | None:
    """
    The context of the callback that a loop's exception handler is called for.

    From Python 3.12 on, the handler itself is called in it.
    """
    context: Context | None = getattr(details.get("handle"), "_context", None)
    return context


def context_of_task(task: asyncio.Task[Any]) -> Context | None:
    """The context that ``task`` runs in; before Python 3.12 it does not say."""
    context: Context | None = (
        task.get_context() if hasattr(task, "get_context") else None
    )
    return context


def running_task(loop: AbstractEventLoop) -> asyncio.Task[Any] | None:
    """The task that is on the stack of this thread, which is the loop's."""
    return asyncio.current_task(loop)


def callbacks_of(future: Any) -> list[tuple[Any, Sequence[Any]]]:
    """What a future or a task calls when it is done, with further arguments."""
    return [(callback, ()) for callback, _ in getattr(future, "_callbacks", None) or ()]


def is_wakeup(callback: Any) -> bool:
    """Whether that is how a task hears of what it awaits."""
    return isinstance(getattr(callback, "__self__", None), asyncio.Task) and (
        "wakeup" in getattr(callback, "__name__", type(callback).__name__).lower()
    )


def is_task_group(thing: Any) -> bool:
    """Whether it is one, whose tasks somebody waits for."""
    return isinstance(thing, getattr(asyncio, "TaskGroup", ()))
