"""
The garbage collector, while much is imported.
"""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def no_full_collection() -> Iterator[None]:
    """
    While many objects are made that stay, don't look through all that there are.

    A full collection takes 30 ms in a small application and a second in a large
    one, and whatever thread it runs in, the reactor waits for it. Imports make
    the collector think that one is due.

    Thread:
        Any; it concerns all. What the application sets meanwhile, stays.
    """
    before = gc.get_threshold()
    meanwhile = (*before[:2], 1_000_000)
    gc.set_threshold(*meanwhile)
    try:
        yield
    finally:
        if gc.get_threshold() == meanwhile:
            gc.set_threshold(*before)
