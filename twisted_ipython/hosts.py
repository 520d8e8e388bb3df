"""
What runs a cell's coroutine in the reactor thread: asyncio, or Deferreds alone.
"""

from __future__ import annotations

import asyncio
import sys
from asyncio import AbstractEventLoop
from collections.abc import Callable, Coroutine
from contextvars import copy_context
from typing import Any, Protocol

from twisted.internet.defer import Deferred
from twisted.python.failure import Failure

from .bridge import Bridged, resume_with


class Host(Protocol):
    """
    What runs coroutines in the reactor thread.

    Attributes:
        thread_id: The reactor thread's.
        running: What has its code on the stack there now, or None.

    Thread:
        Attributes and ``call``: any thread. ``running`` is written in the
        reactor thread. All else: reactor thread.
    """

    thread_id: int
    running: Any

    def call(self, function: Callable[[], object]) -> None:
        """Call ``function`` in the reactor thread."""

    def start(self, coro: Any) -> Callable[[], object]:
        """Begin to drive ``coro``; gives what cancels that which it awaits."""

    def deferred(self, coro: Any) -> Deferred[Any]:
        """Drive ``coro``, for those who want a Deferred of its result."""


def discard(awaited: Any) -> None:
    """Cancel a Deferred or a future, whose end nobody waits for any more."""
    if isinstance(awaited, Deferred):
        awaited.addErrback(lambda failure: None)
    if hasattr(awaited, "cancel"):
        awaited.cancel()


class AsyncioHost:
    """Each coroutine is a task of the loop under the reactor."""

    def __init__(self, loop: AbstractEventLoop, thread_id: int) -> None:
        self.thread_id = thread_id
        self.running: Any = None
        self._loop = loop

    def call(self, function: Callable[[], object]) -> None:
        self._loop.call_soon_threadsafe(function)

    def start(self, coro: Coroutine[Any, Any, Any]) -> Callable[[], object]:
        bridged = Bridged(coro, self._loop)
        if sys.version_info >= (3, 12):
            # At once, and not in the loop's next turn.
            task = asyncio.Task(bridged, loop=self._loop, eager_start=True)
        else:
            task = asyncio.Task(bridged, loop=self._loop)
        return task.cancel

    def deferred(self, coro: Coroutine[Any, Any, Any]) -> Deferred[Any]:
        return Deferred.fromFuture(asyncio.ensure_future(coro, loop=self._loop))


class DeferredHost:
    """Each coroutine is driven by the Deferreds that it awaits."""

    def __init__(self, reactor: Any, thread_id: int) -> None:
        self.thread_id = thread_id
        self.running: Any = None
        self._reactor = reactor

    def call(self, function: Callable[[], object]) -> None:
        self._reactor.callFromThread(function)

    def start(self, coro: Coroutine[Any, Any, Any]) -> Callable[[], object]:
        drive = DeferredDrive(coro, self._reactor)
        drive.step(coro.send)
        return drive.cancel

    def deferred(self, coro: Coroutine[Any, Any, Any]) -> Deferred[Any]:
        return Deferred.fromCoroutine(coro)


class DeferredDrive:
    """
    Drives one coroutine over Deferreds, in the context it was made in.

    Not ``Deferred.fromCoroutine``, which can't let go of a Deferred that was
    cancelled and does not fire, and takes the result off those that it awaits.
    """

    def __init__(self, coro: Coroutine[Any, Any, Any], reactor: Any) -> None:
        self._coro = coro
        self._reactor = reactor
        self._context = copy_context()
        self._waiting_on: Deferred[Any] | None = None
        self._cancelled = False

    def step(self, resume: Callable[..., Any], value: Any = None) -> None:
        """Run it up to its next await."""
        self._waiting_on, self._cancelled = None, False
        try:
            awaited = self._context.run(resume, value)
        except StopIteration:
            return
        if isinstance(awaited, Deferred):
            self._waiting_on = awaited
            awaited.addBoth(self._fired, awaited)
        elif awaited is None:  # "let others run": asyncio.sleep(0), for one
            self._reactor.callLater(0, self.step, self._coro.send)
        else:
            self.step(self._coro.throw, _not_a_deferred(awaited))

    def cancel(self) -> None:
        """Cancel what it awaits; the second time, no longer wait for that."""
        awaited = self._waiting_on
        if awaited is None:
            return
        if self._cancelled:
            self.step(self._coro.throw, asyncio.CancelledError())
            return
        self._cancelled = True
        try:
            discard(awaited)
        except BaseException as failed:  # a canceller that is broken
            self.step(self._coro.throw, failed)

    def _fired(self, result: Any, awaited: Deferred[Any]) -> Any:
        if self._waiting_on is awaited:
            if isinstance(result, Failure):
                # Once the Deferred has it: until then, Twisted would note that
                # nobody has handled it.
                self._reactor.callLater(0, self._resume, awaited, result)
            else:
                self._resume(awaited, result)
        return result

    def _resume(self, awaited: Deferred[Any], result: Any) -> None:
        if self._waiting_on is awaited:
            self.step(lambda coro: resume_with(result, awaited, coro), self._coro)


def _not_a_deferred(awaited: Any) -> Exception:
    from .advice import ASYNCIO_NEEDS_ITS_REACTOR

    return RuntimeError(
        f"a cell can't await {type(awaited).__name__} objects on this reactor: "
        + ASYNCIO_NEEDS_ITS_REACTOR
    )
