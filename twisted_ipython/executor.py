"""
asyncio's worker threads, taken from the reactor.

Python waits at exit for the threads of every executor; those of the cells'
reactor don't hold up the exit. And a program on both has one pool, not two.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any


class ReactorThreads(ThreadPoolExecutor):
    """
    Submits to the reactor's thread pool; starts no thread of its own.

    A ``ThreadPoolExecutor``, since ``loop.set_default_executor`` accepts only
    those.

    Thread:
        Reactor thread.
    """

    def __init__(self, reactor: Any) -> None:
        super().__init__(max_workers=1)
        self._reactor = reactor

    def submit(  # type: ignore[override]
        self, function: Callable[..., Any], /, *args: Any, **kwargs: Any
    ) -> Future[Any]:
        future: Future[Any] = Future()

        def work() -> None:
            if not future.set_running_or_notify_cancel():
                return
            try:
                result = function(*args, **kwargs)
            except BaseException as error:
                future.set_exception(error)
            else:
                future.set_result(result)

        self._reactor.callInThread(work)
        return future
