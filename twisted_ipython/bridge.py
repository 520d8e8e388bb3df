"""
Deferreds in asyncio tasks.

An asyncio task can wait for asyncio futures only: a coroutine that awaits a
pending Deferred ends with "Task got bad yield". ``Bridged`` stands between the
two, and gives the task a future in place of each Deferred. As a task factory it
does so in every task of a loop, at any depth.

Everything here runs in the reactor thread.
"""

from __future__ import annotations

from asyncio import AbstractEventLoop, CancelledError, Future, Task
from collections.abc import Callable, Coroutine, Generator
from contextlib import suppress
from contextvars import Context
from time import time
from typing import Any

from twisted.internet.defer import Deferred
from twisted.python.failure import Failure

from .advice import add_advice
from .internals.twisted import holds, mark_handled, result_put_back
from .origins import ORIGIN


class Wait:
    """One wait of a task for a Deferred."""

    def __init__(self, deferred: Deferred[Any], loop: AbstractEventLoop) -> None:
        self.deferred = deferred
        self.fired = False
        self._result: Any = None
        self.cancelled: BaseException | None = None  # what the task was told
        self._loop = loop
        self._future: Future[None] | None = None
        deferred.addBoth(self._fire)

    def future(self) -> Any:
        """A future that is done when the Deferred has fired."""
        self._future = self._loop.create_future()
        # Taken from the future's own iterator: a task accepts only a future
        # that somebody awaits, and the iterator marks it so.
        return next(self._future.__await__())

    def resume(self, inner: Any) -> Any:
        """
        Go on with the result that the Deferred had when the task's turn came among
        its callbacks; gives what ``inner`` awaits next.
        """
        return resume_with(self._result, self.deferred, inner)

    def _fire(self, result: Any) -> Any:
        self.fired = True
        self._result = result
        if self._future is not None and not self._future.done():
            self._future.set_result(None)
        return result  # for who awaits it once more


def resume_with(result: Any, deferred: Deferred[Any], coro: Any) -> Any:
    """
    Let ``coro``, which awaits ``deferred``, have ``result``; gives what it awaits
    next.

    Where Twisted drives a coroutine, that happens among the callbacks. Here it is a
    turn later: those that came after may have changed what the Deferred holds,
    which is what its ``__await__`` reads.

    Thread:
        Reactor thread.
    """
    if isinstance(result, Failure):
        mark_handled(deferred, result)
        return result.throwExceptionIntoGenerator(coro)
    if holds(deferred, result):
        return coro.send(None)
    with result_put_back(deferred, result):
        return coro.send(None)


class Bridged(Coroutine[Any, Any, Any]):
    """
    A coroutine that yields futures where the one inside yields Deferreds.

    Cancelling the task cancels the Deferred, and waits until that has fired, as
    asyncio waits for a child that it cancelled. Cancelled a second time, the
    task lets go of a Deferred that does not fire.

    Attributes:
        origin: The cell that made the task; None if none did.
        made: When, as ``time.time()``.
    """

    def __init__(
        self,
        inner: Any,
        loop: AbstractEventLoop,
        failed: Callable[[], object] = lambda: None,
        context: Context | None = None,
    ) -> None:
        self._inner = inner
        self.origin = ORIGIN.get() if context is None else context.get(ORIGIN)
        self.made = time()
        self._loop = loop
        self._failed = failed  # called when the task is about to fail
        self._wait: Wait | None = None
        self.__name__ = getattr(inner, "__name__", type(inner).__name__)
        self.__qualname__ = getattr(inner, "__qualname__", self.__name__)

    @property
    def inner(self) -> Any:
        """The coroutine inside."""
        return self._inner

    # What tools read off a coroutine, as asyncio's own Task.get_stack does.
    cr_await = property(lambda self: getattr(self._inner, "cr_await", None))
    cr_code = property(lambda self: getattr(self._inner, "cr_code", None))
    cr_frame = property(lambda self: getattr(self._inner, "cr_frame", None))
    cr_running = property(lambda self: getattr(self._inner, "cr_running", False))

    def __await__(self) -> Generator[Any, Any, Any]:
        raise RuntimeError("a bridged coroutine is driven by its task alone")

    def send(self, value: Any) -> Any:
        wait = self._wait
        if wait is None:
            return self.resume(self._inner.send, value)
        if wait.cancelled is not None:
            return self._give_up(wait, wait.cancelled)
        self._wait = None
        return self.resume(wait.resume, self._inner)

    def throw(self, kind: Any, value: Any = None, traceback: Any = None) -> Any:
        error = kind if isinstance(kind, BaseException) else (value or kind())
        wait = self._wait
        if wait is None:
            return self.resume(self._inner.throw, error)
        if isinstance(error, CancelledError) and wait.cancelled is None:
            wait.cancelled = error
            try:
                wait.deferred.cancel()
            except BaseException as failed:  # a canceller that is broken
                error = failed
            else:
                if not wait.fired:
                    return wait.future()
        return self._give_up(wait, error)

    def close(self) -> None:
        self._inner.close()

    def resume(self, resume: Callable[[Any], Any], value: Any) -> Any:
        """
        Go on inside, up to the next await; gives what the task is to wait for.
        """
        try:
            awaited = resume(value)
        except (StopIteration, CancelledError):
            raise
        except BaseException:
            self._failed()
            raise
        if not isinstance(awaited, Deferred):
            return awaited
        self._wait = Wait(awaited, self._loop)
        return self._wait.future()

    def _give_up(self, wait: Wait, error: BaseException) -> Any:
        self._wait = None
        # Nobody else will ask how the cancelled Deferred ended.
        wait.deferred.addErrback(lambda failure: None)
        return self.resume(self._inner.throw, error)


class AdvisingFuture(Future[Any]):
    """
    A future that, awaited where Twisted drives the coroutine, says what to do.
    """

    def __await__(self) -> Generator[Any, None, Any]:
        try:
            return (yield from super().__await__())
        except RuntimeError as error:
            add_advice(error, with_asyncio=True)
            raise

    __iter__ = __await__


def bridge(loop: AbstractEventLoop, failed: Callable[[], object]) -> Callable[[], None]:
    """
    Let all tasks of ``loop`` await Deferreds; gives what undoes it.

    Args:
        failed: Called in a task that is about to fail.

    Thread:
        Any: each step is one assignment, and acts on tasks made afterwards.
    """
    previous = loop.get_task_factory()

    def make_task(loop: AbstractEventLoop, coro: Any, **options: Any) -> Any:
        bridged = Bridged(coro, loop, failed, options.get("context"))
        if previous is None:
            return Task(bridged, loop=loop, **options)
        return previous(loop, bridged, **options)

    def create_future() -> Future[Any]:
        return AdvisingFuture(loop=loop)

    loop.set_task_factory(make_task)
    with suppress(AttributeError):  # a loop that is not written in Python
        loop.create_future = create_future  # type: ignore[method-assign]

    def undo() -> None:
        if loop.get_task_factory() is make_task:
            loop.set_task_factory(previous)
        if loop.__dict__.get("create_future") is create_future:
            del loop.create_future  # type: ignore[method-assign]

    return undo
