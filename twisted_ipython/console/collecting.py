"""
The garbage collector, while much is imported, and when much is no longer used.
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


# So many objects are looked through in some 30 ms.
FEW = 200_000


def collect_if_quick() -> None:
    """
    Have what was used by a console that has closed collected, unless that would take
    long: IPython's objects refer to each other in circles. In a large application that
    is left to Python, and is the smaller part of its memory.

    Thread:
        Any; all others wait for it.
    """
    if len(gc.get_objects()) < FEW:
        gc.collect()
