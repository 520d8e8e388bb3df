"""
The reactor as cells see it: contexts kept, and safe from a plain cell.

On the instance, and not in a subclass: there are programs, Scrapy for one, that
want a reactor of exactly the type that they know.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack

from .contexts import pool_methods, reactor_methods
from .forwarding import METHODS, Forwarding
from .replaced import replace
from .shared_reactor import SharedReactor


def switch_on(shared: SharedReactor, threads: Callable[[], str]) -> Callable[[], None]:
    """
    Replace the methods that cells call; gives what undoes it.

    Args:
        threads: Gives the setting of that name.

    Thread:
        Shell thread.
    """
    reactor, pool = shared.reactor, shared.reactor.getThreadPool()
    forwarding = Forwarding(shared, threads)
    methods = {
        name: forwarding.method(name, getattr(reactor, name))
        for name in METHODS
        if hasattr(reactor, name)
    }
    methods.update(
        reactor_methods(
            reactor, shared.loop, shared.host.thread_id, forwarding.elsewhere
        )
    )
    undo = ExitStack()
    undo.callback(replace(reactor, methods))
    undo.callback(replace(pool, pool_methods(pool)))
    return undo.close
