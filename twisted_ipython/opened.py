"""
What cells have opened on a reactor: noted as it happens, for who looks later.
"""

from __future__ import annotations

from contextvars import Context
from time import time
from typing import Any, NamedTuple
from weakref import ReferenceType, WeakKeyDictionary, ref

from twisted.internet.interfaces import IListeningPort
from twisted.internet.task import LoopingCall
from twisted.internet.tcp import Server


class Seen(NamedTuple):
    """
    Attributes:
        context: Of the cell that started it.
        since: When, as ``time.time()``.
        command: Of a process, as far as it is known.
    """

    context: Context
    since: float
    command: str = ""


# On a reader or writer: the context that it has. An attribute, since it is looked
# up several times for each request that a server answers.
_CONTEXT = "_twisted_ipython_context"


def context_of(selectable: Any) -> Context | None:
    """The context of a reader or writer; None if it has none of ours. Any thread."""
    context: Context | None = getattr(selectable, _CONTEXT, None)
    return context


def give_context(selectable: Any, context: Context) -> None:
    """Let a reader or writer have that context from now on. Reactor thread."""
    try:
        setattr(selectable, _CONTEXT, context)
    except AttributeError:  # of an object with __slots__: it has each caller's
        pass


class Opened:
    """
    Keeps nothing alive.

    Attributes:
        since: When readers and writers were opened, as ``time.time()``; not of
            connections that a port has accepted, which the reactor knows.
        ports: Those that listen, or did.
        processes: What cells have spawned.
        loops: LoopingCalls. While one waits for its function, it has no delayed call
            to be found by.

    Thread:
        Reactor thread. ``ports``, a list that is replaced as a whole, is read in any.
    """

    def __init__(self) -> None:
        self.since: WeakKeyDictionary[Any, float] = WeakKeyDictionary()
        self.ports: list[ReferenceType[Any]] = []
        self.processes: WeakKeyDictionary[Any, Seen] = WeakKeyDictionary()
        self.loops: WeakKeyDictionary[LoopingCall, Seen] = WeakKeyDictionary()

    def note(self, selectable: Any) -> None:
        """A cell opens a reader or writer."""
        if isinstance(selectable, Server):
            return
        try:
            self.since[selectable] = time()
        except TypeError:  # of an object with __slots__
            return
        if IListeningPort.providedBy(selectable):
            alive = [port for port in self.ports if port() is not None]
            self.ports = [*alive, ref(selectable)]
