"""
The application's log, told by the side of the console that imports next to nothing.
"""

from __future__ import annotations

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
