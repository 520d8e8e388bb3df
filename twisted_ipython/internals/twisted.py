"""
Private names of Twisted.

Tried with Twisted 22.10.0, 24.11.0 and 26.10.0.
"""

from __future__ import annotations

from asyncio import AbstractEventLoop
from typing import Any

from twisted.logger import globalLogBeginner


def asyncio_loop(reactor: Any) -> AbstractEventLoop | None:
    """The loop under an asyncio reactor; None for every other reactor."""
    loop: AbstractEventLoop | None = getattr(reactor, "_asyncioEventloop", None)
    return loop


def has_run(reactor: Any) -> bool:
    """Whether it was stopped after a run: it can't be run a second time."""
    return bool(reactor._startedBefore)


def logging_has_begun() -> bool:
    """Whether somebody chose already where Twisted's log goes."""
    return globalLogBeginner._temporaryObserver is None
