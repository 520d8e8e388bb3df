"""
Twisted's log events, offered to those who say something about them themselves.

What is claimed does not go to Python's ``logging`` as well, unless that keeps it
in a file or the like: a log is a log.
"""

from __future__ import annotations

import logging
import sys
import threading
import warnings
from collections.abc import Callable
from typing import Any

from twisted.logger import (
    ILogObserver,
    LoggingFile,
    STDLibLogObserver,
    globalLogBeginner,
    globalLogPublisher,
)
from zope.interface import implementer

from ..internals.twisted import failure_of, logging_has_begun
from ..stops import CellStop

Event = dict[str, Any]
Claim = Callable[[Event], bool]

# Assigned whole, read in whatever thread logs.
_claims: tuple[Claim, ...] = ()
_local = threading.local()
_to_logging: Callable[[Event], object] | None = None  # once we have begun


def begin_logging() -> None:
    """
    Send Twisted's log to ``logging.getLogger("twisted")``, if nobody chose yet.

    Thread:
        Shell thread, as ``claim_events``, so that one comes after the other.
    """
    global _to_logging
    if logging_has_begun():
        return
    _to_logging = STDLibLogObserver("twisted")
    show = warnings.showwarning
    globalLogBeginner.beginLoggingTo([_log], redirectStandardIO=False)
    warnings.showwarning = show  # Python's warnings stay Python's


def claim_events(claim: Claim) -> Callable[[], None]:
    """
    Offer each event to ``claim``, which says whether it takes it; gives the undo.

    Thread:
        Shell thread. ``claim`` is called in the thread and the context that log.
    """
    global _claims
    _claims = (*_claims, claim)
    if _to_logging is None and len(_claims) == 1:
        globalLogPublisher.addObserver(_offer)

    def undo() -> None:
        global _claims
        _claims = tuple(each for each in _claims if each is not claim)
        if not _claims:
            globalLogPublisher.removeObserver(_offer)  # also if it is not there

    return undo


@implementer(ILogObserver)
def _log(event: Event) -> None:
    # What ended a cell has been shown, with the cell. (Not by Failure.check,
    # which knows subclasses of Exception only.)
    if isinstance(getattr(failure_of(event), "value", None), CellStop):
        return
    claimed = _claimed(event)
    logger = logging.getLogger("twisted")
    if claimed and not _is_kept(logger):
        return
    if isinstance(sys.stderr, LoggingFile) and not logger.hasHandlers():
        return  # it would be printed there, which is Twisted's log again
    if not getattr(_local, "logging", False):  # a handler may print there, too
        assert _to_logging is not None
        _local.logging = True
        try:
            _to_logging(event)
        finally:
            _local.logging = False


def _is_kept(logger: logging.Logger | None) -> bool:
    """Whether a handler has it somewhere else than on the screen, as in a file."""
    while logger is not None:
        for handler in logger.handlers:
            stream = getattr(handler, "stream", None)
            if stream is None or isinstance(handler, logging.FileHandler):
                return True
        logger = logger.parent if logger.propagate else None
    return False


@implementer(ILogObserver)
def _offer(event: Event) -> None:
    """The observer where somebody else has begun Twisted's logging."""
    _claimed(event)


def _claimed(event: Event) -> bool:
    claimed = [claim(event) for claim in _claims]  # each is to hear of it
    return any(claimed)
