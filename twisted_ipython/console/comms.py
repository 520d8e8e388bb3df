"""
Comms: the messages between a frontend's widgets and objects in the application.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from threading import get_ident

from .streams import Stream

# Where the comm package and ipykernel log what did not fit, and what failed in the
# user's functions.
_LOGGERS = ("Comm", "ipykernel.comm")

_PLAIN = logging.Formatter()


@contextmanager
def complaints_to(stream: Stream) -> Iterator[None]:
    """
    What is complained of a comm's message in here is shown under that message, and is
    not in the application's log.

    Thread:
        Reactor thread.
    """
    here = get_ident()

    def show(record: logging.LogRecord) -> bool:
        if get_ident() != here:
            return True
        if record.levelno >= logging.WARNING:
            stream.write(_PLAIN.format(record) + "\n")
        return False

    loggers = [logging.getLogger(name) for name in _LOGGERS]
    for logger in loggers:
        logger.addFilter(show)
    try:
        yield
    finally:
        for logger in loggers:
            logger.removeFilter(show)
