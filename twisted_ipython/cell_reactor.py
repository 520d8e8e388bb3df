"""
The reactor as cells see it: contexts kept, and safe from a plain cell.

On the instance, and not in a subclass: there are programs, Scrapy for one, that
want a reactor of exactly the type that they know.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack

from .background import background_of
from .contexts import Selectables, pool_methods, reactor_methods
from .forwarding import METHODS, Forwarding
from .replaced import replace
from .reruns import LISTENS, Reruns
from .shared_reactor import SharedReactor


def switch_on(
    shared: SharedReactor,
    threads: Callable[[], str],
    rerun: Callable[[], str],
) -> tuple[Selectables, Callable[[], None]]:
    """
    Replace the methods that cells call; gives what they opened, and the undo.

    Args:
        threads, rerun: Give the settings of these names.

    Thread:
        Shell thread.
    """
    reactor = shared.reactor
    background = background_of(shared)
    selectables = background.selectables
    reruns = Reruns(background, rerun)
    forwarding = Forwarding(shared, threads)
    methods = reactor_methods(reactor, shared.loop, selectables)
    for name in METHODS:
        base = getattr(reactor, name, None)
        if base is not None:
            of_cell = methods.get(name, base)
            if name in LISTENS:
                of_cell = reruns.listening(name, of_cell)
            keeps = name in ("addReader", "addWriter")  # also what a cell has opened
            methods[name] = forwarding.method(name, of_cell if keeps else base, of_cell)
    pool = reactor.getThreadPool()
    undo = ExitStack()
    undo.callback(replace(reactor, methods))
    undo.callback(replace(pool, pool_methods(pool)))
    return selectables, undo.close
