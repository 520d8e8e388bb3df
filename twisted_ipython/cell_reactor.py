"""
The reactor as cells see it: contexts kept, and safe from a plain cell.

On the instance, and not in a subclass: there are programs, Scrapy for one, that
want a reactor of exactly the type that they know.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from contextvars import copy_context
from time import time
from typing import Any

from twisted.internet.task import LoopingCall

from .background.collector import background_of
from .background.reruns import LISTENS, Reruns
from .contexts import pool_methods
from .forwarding import METHODS, Forwarding
from .opened import Seen
from .origins import ORIGIN
from .reactor_methods import reactor_methods
from .replaced import replace
from .shared_reactor import SharedReactor


def switch_on(
    shared: SharedReactor, threads: Callable[[], str], rerun: Callable[[], str]
) -> Callable[[], None]:
    """
    Replace the methods that cells call; gives what undoes it.

    Args:
        threads, rerun: Give the settings of these names.

    Thread:
        Shell thread.
    """
    reactor, pool = shared.reactor, shared.reactor.getThreadPool()
    background = background_of(shared)
    reruns = Reruns(background, rerun)
    forwarding = Forwarding(shared, threads)
    methods = {}
    for name in METHODS:
        method = getattr(reactor, name, None)
        if method is not None:
            if name in LISTENS:
                method = reruns.listening(name, method)
            methods[name] = forwarding.method(name, method)
    methods.update(
        reactor_methods(
            reactor,
            shared.loop,
            background.opened,
            shared.host.thread_id,
            forwarding.elsewhere,
        )
    )
    start_loop = LoopingCall.start

    def start(self: LoopingCall, *args: Any, **kwargs: Any) -> Any:
        if ORIGIN.get() is not None:
            background.opened.loops[self] = Seen(copy_context(), time())
        return start_loop(self, *args, **kwargs)

    undo = ExitStack()
    undo.callback(replace(LoopingCall, {"start": start}))
    undo.callback(replace(reactor, methods))
    undo.callback(replace(pool, pool_methods(pool)))
    return undo.close
