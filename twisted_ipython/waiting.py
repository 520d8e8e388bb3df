"""
Waiting for a queue so that Ctrl-C is heard.
"""

from __future__ import annotations

import threading
from queue import Empty, SimpleQueue
from time import monotonic
from typing import TypeVar

T = TypeVar("T")

# Seconds of one wait. Python looks for signals before it goes to sleep, but not at
# the last moment: one that comes right there is heard when the sleep has ended.
SLICE = 0.25


def get(queue: SimpleQueue[T], seconds: float | None = None) -> T:
    """
    The next thing from ``queue``.

    Args:
        seconds: How long to wait; None for as long as it takes.

    Raises:
        Empty: Nothing came in that time.
        KeyboardInterrupt: Of a signal handler; whatever else it raises, too.

    Thread:
        Any; in the main one, signal handlers are called meanwhile.
    """
    if seconds is None:
        seconds = threading.TIMEOUT_MAX
    end = monotonic() + seconds
    while True:
        left = end - monotonic()
        try:
            return queue.get(timeout=max(0.0, min(SLICE, left)))
        except Empty:
            if left <= SLICE:
                raise
