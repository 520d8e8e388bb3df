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
from threading import get_ident
from typing import Any

from IPython import get_ipython

from .crossing import ask
from .origins import ORIGIN, Origin, begin, is_shell_thread
from .reactor_methods import call_soon
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


_OF_SELECTABLES = {"addReader", "addWriter", "removeReader", "removeWriter"}


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
        self._local = threading.local()
        self._warned: set[tuple[Origin | None, str]] = set()

    def method(self, name: str, base: Callable[..., Any]) -> Callable[..., Any]:
        """``base``, a method of the reactor, as it is to be for all threads."""
        thread, elsewhere = self._shared.host.thread_id, self.elsewhere

        def later(selectable: Any) -> None:
            call_soon(self._shared.reactor, base, selectable)

        def of_selectable(selectable: Any) -> Any:
            if get_ident() != thread:
                return elsewhere(name, base, (selectable,), {}, later)
            return base(selectable)

        def method(*args: Any, **kwargs: Any) -> Any:
            if get_ident() != thread:
                return elsewhere(name, base, args, kwargs)
            return base(*args, **kwargs)

        # Several times for each request that a server answers: without a tuple and
        # a dictionary.
        made = of_selectable if name in _OF_SELECTABLES else method
        made.__name__ = made.__qualname__ = name
        made.__doc__ = base.__doc__
        return made

    def elsewhere(
        self,
        name: str,
        method: Callable[..., Any],
        args: Any,
        kwargs: Any,
        from_thread: Callable[..., Any] | None = None,
    ) -> Any:
        """
        A method is called in another thread than the reactor's: this one.

        Args:
            from_thread: The same for any thread, without waiting, if there is such:
                while the cell waits, the reactor goes on, and libraries are not
                written for that. A transport that writes would get its answer before
                its protocol has finished asking.
        """
        mode = self._mode() if is_shell_thread() else "off"
        if mode == "forward" and not self._shared.stopped:
            # Between cells: where a widget calls back, or a hook of the shell's.
            with nullcontext() if ORIGIN.get() else begin(Origin(get_ipython())):
                if from_thread is not None:
                    return from_thread(*args, **kwargs)
                return ask(self._shared, lambda answer: answer(method(*args, **kwargs)))
        if mode == "warn" and not getattr(self._local, "inside", False):
            self._warn(name)
            return self._call_inside(method, args, kwargs)
        return method(*args, **kwargs)

    def _call_inside(self, direct: Callable[..., Any], args: Any, kwargs: Any) -> Any:
        """Call it here; what it calls itself is not the user's doing."""
        self._local.inside = True
        try:
            return direct(*args, **kwargs)
        finally:
            self._local.inside = False

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
