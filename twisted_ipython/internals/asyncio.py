"""
Private names of asyncio: whether a task's error was looked at.

Tried with CPython 3.10 to 3.13.
"""

from __future__ import annotations

import asyncio
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
