"""
The reactor's methods, safe from a plain cell.

Twisted's methods are for the reactor thread. In another one they corrupt what
the reactor is reading, and wake nothing: a delayed call waits for the next
event. From a plain cell they are passed to the reactor thread instead, and the
cell waits for what they give.
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable
from contextlib import nullcontext
from queue import SimpleQueue
from threading import get_ident
from typing import Any

from IPython import get_ipython

from . import waiting
from .origins import ORIGIN, Origin, begin, is_shell_thread
from .shared_reactor import SharedReactor

# What cells call on a reactor. Not those that are made for any thread:
# callFromThread, callInThread, wakeUp.
METHODS = (
    "callLater",
    "getDelayedCalls",
    "callWhenRunning",
    "addSystemEventTrigger",
    "removeSystemEventTrigger",
    "listenTCP",
    "connectTCP",
    "listenSSL",
    "connectSSL",
    "listenUNIX",
    "connectUNIX",
    "listenUNIXDatagram",
    "connectUNIXDatagram",
    "listenUDP",
    "listenMulticast",
    "adoptStreamPort",
    "adoptStreamConnection",
    "adoptDatagramPort",
    "spawnProcess",
    "addReader",
    "addWriter",
    "removeReader",
    "removeWriter",
    "removeAll",
    "getReaders",
    "getWriters",
    "resolve",
    "installNameResolver",
    "installResolver",
    "suggestThreadPoolSize",
)


class Forwarding:
    """
    Passes calls from shell threads to the reactor thread.

    Args:
        shared: The reactor.
        mode: Gives what the setting ``threads`` is: forward, warn or off.

    Thread:
        Its methods are called in any thread. Only shell threads wait: others, as
        the reactor's pool, may be what the reactor thread waits for.
    """

    def __init__(self, shared: SharedReactor, mode: Callable[[], str]) -> None:
        self._shared = shared
        self._mode = mode
        self._warned: set[tuple[Origin | None, str]] = set()

    def method(
        self, name: str, base: Callable[..., Any], of_cell: Callable[..., Any]
    ) -> Callable[..., Any]:
        """
        A method of the reactor, as it is to be for all threads.

        Args:
            base: What code calls that no cell started.
            of_cell: What other code calls; it is for the reactor thread, as well.
        """
        reactor_thread = self._shared.host.thread_id

        def method(*args: Any, **kwargs: Any) -> Any:
            direct = base if ORIGIN.get() is None else of_cell
            if get_ident() == reactor_thread or not is_shell_thread():
                return direct(*args, **kwargs)
            mode = self._mode()
            if mode == "forward" and not self._shared.stopped:
                return self._forward(of_cell, args, kwargs)
            if mode == "warn":
                self._warn(name)
            return direct(*args, **kwargs)

        method.__name__ = method.__qualname__ = name
        method.__doc__ = base.__doc__
        return method

    def _forward(self, direct: Callable[..., Any], args: Any, kwargs: Any) -> Any:
        """Shell thread: call it there; gives, or raises, what comes of it."""
        answers: SimpleQueue[Callable[[], Any]] = SimpleQueue()
        wanted = True

        def run() -> None:
            if not wanted:  # interrupted: nobody wants it any more
                return
            try:
                value = direct(*args, **kwargs)
            except BaseException as error:
                answers.put(_raising(error))
            else:
                answers.put(lambda: value)

        def reactor_stopped() -> None:
            answers.put(lambda: direct(*args, **kwargs))  # what Twisted says then

        cell = ORIGIN.get()
        # Between cells: where a widget calls back, or a hook of the shell's.
        starter = nullcontext() if cell else begin(Origin(get_ipython()))
        self._shared.when_stopped.add(reactor_stopped)
        try:
            with starter:
                self._shared.host.call(run)
            answer = waiting.get(answers)
        finally:
            wanted = False
            self._shared.when_stopped.discard(reactor_stopped)
        return answer()

    def _warn(self, name: str) -> None:
        """Once for each method and cell."""
        key = (ORIGIN.get(), name)
        if key not in self._warned:
            self._warned = {one for one in self._warned if one[0] is key[0]} | {key}
            print(
                f"reactor.{name}() was called in {threading.current_thread().name}, "
                "and not in the reactor thread: that is not safe, and wakes nothing; "
                "use %%run_in_reactor, or %twisted_config threads forward",
                file=sys.stderr,
            )


def _raising(error: BaseException) -> Callable[[], Any]:
    def answer() -> Any:
        raise error

    return answer
