"""
The reactor as cells see it: contexts kept, and safe from a plain cell.

On the instance, and not in a subclass: there are programs, Scrapy for one, that
want a reactor of exactly the type that they know.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack

from .contexts import Selectables, pool_methods, reactor_methods
from .forwarding import METHODS, Forwarding
from .replaced import replace
from .shared_reactor import SharedReactor


def switch_on(
    shared: SharedReactor,
    threads: Callable[[], str],
) -> tuple[Selectables, Callable[[], None]]:
    """
    Replace the methods that cells call; gives what they opened, and the undo.

    Args:
        threads: Gives the setting of that name.

    Thread:
        Shell thread.
    """
    reactor = shared.reactor
    selectables = Selectables(reactor)
    forwarding = Forwarding(shared, threads)
    methods = reactor_methods(reactor, shared.loop, selectables)
    for name in METHODS:
        base = getattr(reactor, name, None)
        if base is not None:
            of_cell = methods.get(name, base)
            keeps = name in ("addReader", "addWriter")  # also what a cell has opened
            methods[name] = forwarding.method(name, of_cell if keeps else base, of_cell)
    pool = reactor.getThreadPool()
    undo = ExitStack()
    undo.callback(replace(reactor, methods))
    undo.callback(replace(pool, pool_methods(pool)))
    return selectables, undo.close
