"""
A reactor in a thread of its own, for as long as the process lives.
"""

from __future__ import annotations

import atexit
import sys
import threading
from asyncio import AbstractEventLoop
from contextlib import suppress
from contextvars import Context
from queue import SimpleQueue
from typing import Any

from .executor import ReactorThreads
from .internals.twisted import asyncio_loop
from .output.log_claims import begin_logging
from .shared_reactor import SharedReactor


def run_in_thread(reactor: Any) -> SharedReactor:
    """
    Run ``reactor``, which nobody runs yet; gives it when it is running.

    Thread:
        Shell thread.
    """
    # Deferreds' worker threads would keep the process alive while they work.
    reactor.getThreadPool().threadFactory = _daemon_thread
    loop = asyncio_loop(reactor)
    if loop is not None:
        loop.set_default_executor(ReactorThreads(reactor))
    started: SimpleQueue[None] = SimpleQueue()
    reactor.callWhenRunning(started.put, None)
    thread = threading.Thread(
        # The name under which crochet's users know it.
        target=_serve,
        args=(reactor, loop),
        name="CrochetReactor",
        daemon=True,
    )
    thread.start()
    started.get()
    assert thread.ident is not None
    shared = SharedReactor(reactor, thread.ident, thread)
    atexit.register(shared.end)
    begin_logging()
    # Not in the context of the cell that loads us: it goes on for ever.
    Context().run(reactor.callFromThread, _settle, reactor)
    return shared


def _serve(reactor: Any, loop: AbstractEventLoop | None) -> None:
    """Reactor thread: run until the process ends, whatever is raised in it."""
    begun = False
    while True:
        # asyncio lets these two out of its loop, from any callback or task. They
        # were meant for what raised them.
        with suppress(KeyboardInterrupt, SystemExit):
            if not begun:
                begun = True
                # By the class: the reactor itself refuses run().
                type(reactor).run(reactor, installSignalHandlers=False)
            while reactor.running:
                (reactor.mainLoop if loop is None else loop.run_forever)()
            return


def _settle(reactor: Any) -> None:
    """Reactor thread: what else crochet.setup() would have done."""
    if sys.platform != "win32":
        from twisted.internet.process import reapAllProcesses
        from twisted.internet.task import LoopingCall

        # Without signal handlers, nobody else hears that a process has ended.
        reap = LoopingCall(reapAllProcesses)
        reap.clock = reactor
        reap.start(0.1, now=False)


def _daemon_thread(*args: Any, **kwargs: Any) -> threading.Thread:
    return threading.Thread(*args, **kwargs, daemon=True)
