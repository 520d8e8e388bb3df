"""
Telling another side, light to import: the application's log, and the kernel's thread.
"""

from __future__ import annotations

from asyncio import AbstractEventLoop
from collections.abc import Callable
from contextvars import Context
from typing import Any


def tell_log(level: str, text: str, **details: Any) -> None:
    """Log ``text`` for the live console. Any thread."""
    from twisted.logger import Logger

    getattr(Logger("twisted_ipython.console"), level)(text, **details)


def tell_log_of_failure(text: str, failed: BaseException, **details: Any) -> None:
    """The same, with the traceback of ``failed``."""
    from twisted.logger import Logger
    from twisted.python.failure import Failure

    Logger("twisted_ipython.console").failure(text, Failure(failed), **details)


def tell_from(loop: AbstractEventLoop, tell: Callable[[], object]) -> None:
    """Have ``tell`` called on ``loop``, unless that has closed. Any thread."""
    try:
        loop.call_soon_threadsafe(tell, context=Context())
    except RuntimeError:  # the console has closed meanwhile
        pass
