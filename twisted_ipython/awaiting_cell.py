"""
One awaiting cell, on its way through the reactor thread.

The shell thread makes a ``Cell`` and starts it; the reactor thread drives its
coroutine; the shell thread hears of it by messages. To be able to stop it at
any moment, the driver says whether the cell's own code is on the stack of the
reactor thread (then an exception can be raised right there), or waits for
something (then that is cancelled).
"""

from __future__ import annotations

import asyncio
import sys
import types
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from contextvars import Context, copy_context
from enum import Enum, auto
from threading import RLock
from time import monotonic
from typing import Any
from weakref import WeakSet

from .hosts import Host, discard
from .internals.cpython import let_come_up, set_async_exc
from .stops import CellInterrupted, CellStop
from .swallowed import raise_again

# A cell that is being stopped and still runs is not hit again for this many
# seconds: it may be in a `finally` that is worth its time.
PATIENCE = 0.5


class Message(Enum):
    """What the shell thread can be told while it waits for a cell."""

    DONE = auto()  # the cell has ended
    HEARD = auto()  # the reactor thread got the order to stop it
    INTERRUPT = auto()  # Ctrl-C, or a kernel's interrupt
    SHUTDOWN = auto()  # the kernel wants to end
    REACTOR_STOPPED = auto()  # nothing will come any more


class Cell:
    """
    Attributes:
        outcome: What the coroutine returned, once it has ended.
        error: What it raised instead.
        context: The context variables as they were when it ended.
        begun: Whether its code was reached.
        done: Whether it has ended.
        abandoned: Set by who no longer waits for it; called when it ends.

    Thread:
        Made, started and stopped in the shell thread; driven in the reactor
        thread. Attributes are written in the reactor thread alone, but for
        ``_stop`` and ``_raised``, which the shell thread writes before it acts.
    """

    # How to have ``signalled`` called in the reactor thread, where that is the one
    # that signals reach; None where it is not. A signal also breaks off what waits
    # in the operating system.
    send_signal: Callable[[], object] | None = None

    def __init__(
        self, coro: Any, context: Context, host: Host, tell: Callable[[Message], object]
    ) -> None:
        self.outcome: Any = None
        self.error: BaseException | None = None
        self.context = context
        self.begun = False
        self.done = False
        self.abandoned: Callable[[], object] | None = None
        self._coro = coro
        self._host = host
        self._tell = tell
        self._cancel_wait: Callable[[], object] = lambda: None
        self._stop: type[CellStop] | None = None  # what is to end it
        self._stopped = False  # whether that was raised in it
        self._raised = False  # whether it may be pending in the reactor thread
        self._raised_at = 0.0
        self._cancel_due = False
        self._unstoppable = False
        self._call_off: Callable[[], None] = lambda: None  # of raising it again
        # Whether its code may be hit, and hitting it. Nothing else is called under it;
        # taken again by the handler of a Ctrl-C that comes meanwhile.
        self._lock = RLock()

    @property
    def coroutine(self) -> Any:
        """What IPython runs: the whole of the cell."""
        return self._coro

    @property
    def running(self) -> bool:
        """Whether its code is on the stack of the reactor thread. Any thread."""
        return self._host.running is self

    # -- Shell thread ------------------------------------------------------

    def start(self) -> None:
        """Hand it over to the reactor thread."""
        self._host.call(lambda: self.context.run(self.begin))

    def stop(self, reason: type[CellStop], *, insist: bool = False) -> None:
        """
        End it with ``reason``: raised where its code runs, or in place of what
        it awaits, which is cancelled.

        Again for a cell that caught the first one. ``HEARD`` tells that the
        reactor thread has carried it out; it does not while other code has it.

        Args:
            insist: Also while its error is shown, and right after the last one.
        """
        stop = self._marking(reason)
        if self.done or (
            self.running and monotonic() - self._raised_at < PATIENCE and not insist
        ):
            return
        if insist:
            self._unstoppable = False
        self._stopped = False
        self._stop = stop
        send_signal = self.send_signal
        if send_signal is not None and self.running and not self._unstoppable:
            self._raised = True
            self._raised_at = monotonic()
            send_signal()
        elif not self.hit(stop):
            self._call_cancel()

    def hit(self, stop: type[CellStop]) -> bool:
        """Have it raised where its code runs; False if that does not, or may not end."""
        with self._lock:
            hits = (
                self._host.running is self
                and not self._unstoppable
                and not self._stopped
                and self.send_signal is None
                and self.may_be_hit()
            )
            if hits:
                self._raised = True
                set_async_exc(self._host.thread_id, stop)
        if hits:
            self._raised_at = monotonic()
        return hits

    def may_be_hit(self) -> bool:
        """Whether an exception that is raised where its code is now ends it."""
        return True

    def remind(self) -> None:
        """Try again, if the exception could not be raised yet and its code runs."""
        reason = self._stop
        if reason is None or self._stopped:
            return
        if self.send_signal is not None:
            if self._raised:
                self.send_signal()
        elif self._cancel_due and self.running:
            self.stop(reason.__bases__[0])  # as it was asked for

    def let_go(self) -> None:
        """End it without waiting for what it awaits, which does not end."""
        if not self._stopped:
            self._call_cancel()

    def _call_cancel(self) -> None:
        self._cancel_due = True
        self._host.call(self._cancel)

    def _marking(self, reason: type[CellStop]) -> type[CellStop]:
        # A class of its own, since what is raised in another thread is a class:
        # the instance, made when it is raised, is how we know that it was.
        cell = self

        def __init__(self: BaseException, *args: object) -> None:
            cell._stopped = True
            cell._call_off()
            cell._call_off = raise_again(stop, cell._advance.__code__)

        body = {
            "__init__": __init__,
            "__module__": reason.__module__,
            "unwanted": property(lambda self: cell.abandoned is not None),
        }
        stop = type(reason.__name__, (reason,), body)
        return stop

    # -- Reactor thread ----------------------------------------------------

    def signalled(self) -> None:
        """
        Raise what is to end it, if that is still to be done.

        Raises:
            CellStop: Its code is on the stack, and goes on with this.

        Thread:
            Reactor thread, in the handler of the signal.
        """
        stop = self._stop
        if self._raised and not self._stopped and not self._unstoppable:
            if self._host.running is self and stop is not None:
                raise stop()

    def interrupt(self) -> None:
        """Stop it as Ctrl-C does, it alone."""
        if self.abandoned is None:
            self._tell(Message.INTERRUPT)
        else:  # nobody listens
            self.stop(CellInterrupted)

    def begin(self) -> None:
        awaiting_cells.add(self)
        self._cancel_wait = self._host.start(self._run())

    async def _run(self) -> None:
        try:
            self.outcome = await self._drive()
        except BaseException as error:
            self.error = error
        self.context = copy_context()
        self._host.running = None
        self.done = True
        awaiting_cells.discard(self)
        self._tell(Message.DONE)
        if self.abandoned is not None:
            self.abandoned()

    @types.coroutine
    def _drive(self) -> Generator[Any, Any, Any]:
        self.begun = True
        if self._stop is not None:
            self._coro.close()
            raise self._stop()
        resume, value = self._coro.send, None
        while True:
            try:
                awaited = self.step(resume, value)
            except StopIteration as finished:
                return finished.value
            try:
                resume, value = self._coro.send, (yield awaited)
            except GeneratorExit:
                self._coro.close()
                raise
            except BaseException as error:
                resume, value = self._coro.throw, error
            if self._stop is not None and not self._stopped:
                resume, value = self._coro.throw, self._stop()
                _forget_cancellation()

    def step(self, resume: Callable[[Any], Any], value: Any) -> Any:
        """Run the cell's code up to its next await."""
        return self._advance(resume, value)

    def _advance(self, resume: Callable[[Any], Any], value: Any) -> Any:
        """
        Run the cell's code up to its next await, known to be running.

        The exception that the shell thread raises here can come out at any line
        of this method, until ``_leave`` has let it come up. Then it goes the way
        it was to go: into the cell.
        """
        awaited = None
        try:
            self._host.running = self
            awaited = resume(value)
            self._leave()
            return awaited
        except CellStop as stop:
            self._leave()
            if self._coro.cr_frame is None:  # it came out of the cell: the end
                raise
            discard(awaited)
            return self._advance(self._coro.throw, stop.with_traceback(None))
        except BaseException:
            self._leave()
            raise

    def _leave(self) -> None:
        self._host.running = None
        self._call_off()
        self._take_back()

    def _take_back(self) -> None:
        """What was raised here and did not come out, is done by cancelling."""
        with self._lock:
            raised, self._raised = self._raised, False
        if raised and not self._stopped:
            if self.send_signal is None:
                try:
                    let_come_up()
                except CellStop:
                    self._call_off()
                    self._stopped, self._raised_at = False, 0.0
            self._call_cancel()

    @contextmanager
    def unstoppable(self) -> Iterator[None]:
        """Around what may not be interrupted while the cell's code runs."""
        try:
            with self._lock:
                self._unstoppable = True
            self._call_off()
            self._take_back()
            yield
        finally:
            self._unstoppable = False

    def _cancel(self) -> None:
        self._tell(Message.HEARD)
        due, self._cancel_due = self._cancel_due, False
        if due and self.begun and not self.done and not self._stopped:
            self._cancel_wait()

    # By which the coroutine that drives a cell is known.
    driver_code = _run.__code__


# The cells that have begun and not ended. Reactor thread.
awaiting_cells: WeakSet[Cell] = WeakSet()


def _forget_cancellation() -> None:
    """
    Tell the task that its cancellation was dealt with.

    Else asyncio's own timeouts and task groups, in the `finally` blocks that
    run now, would take it for theirs.
    """
    if sys.version_info >= (3, 11):
        try:
            task = asyncio.current_task()
        except RuntimeError:  # not on an asyncio loop
            return
        while task is not None and task.cancelling():
            task.uncancel()
