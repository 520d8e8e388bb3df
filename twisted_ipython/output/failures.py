"""
What failed and nobody looked at: reported once, under the cell that started it.

Twisted says so when a failed Deferred is collected as garbage, which is an hour
later, or never while a variable has it. Here each failure is noted as it
happens, and looked at again a moment later: what nothing has handled by then is
reported.
"""

from __future__ import annotations

import asyncio
from asyncio import AbstractEventLoop
from collections import Counter, deque
from collections.abc import Callable
from contextlib import ExitStack
from contextvars import Context, copy_context
from time import monotonic
from typing import Any

import crochet
from crochet import EventualResult
from twisted.internet.defer import CancelledError, FirstError
from twisted.logger import LogLevel

from ..internals import asyncio as asyncio_internals
from ..internals import crochet as crochet_internals
from ..internals import twisted as twisted_internals
from ..origins import ORIGIN, Origin, context_of
from ..shared_reactor import SharedReactor
from ..values.short_texts import type_name
from .failed import Failed, FailedCall, FailedDeferred, FailedResult, FailedTask
from .log_claims import claim_events
from .reports import exception_of, report, report_more, was_shown

# Seconds that a failure has to be handled, and between two looks.
REPORT_AFTER = 0.5
LOOK_EVERY = 0.25

# Tracebacks that one cell gets in so many seconds; the others are counted. Making
# one takes 50 ms of the reactor thread.
AT_ONCE = 20
IN_SECONDS = 10.0

_CANCELLED = (
    CancelledError,
    asyncio.CancelledError,
    crochet.ReactorStopped,
    GeneratorExit,
)


def _is_cancelled(error: BaseException | None) -> bool:
    while isinstance(error, FirstError):  # gatherResults' name for it
        error = error.subFailure.value
    return isinstance(error, _CANCELLED)


class Failures:
    """
    Thread:
        ``note`` in any; all else in the reactor thread.
    """

    def __init__(self, shared: SharedReactor) -> None:
        self._shared = shared
        self._noted: deque[tuple[float, Context, Failed]] = deque()
        self._looking = False
        self._reported: Counter[Origin | None] = Counter()
        self._since = monotonic()

    def note(self, failed: Failed, context: Context | None = None) -> None:
        """
        Report ``failed`` soon, unless it is handled by then.

        Nothing, where no cell started it: that is Twisted's.
        """
        if context is None:
            context = copy_context()
        if context.get(ORIGIN) is None:
            return
        self._noted.append((monotonic(), context, failed))
        if not self._looking:
            self._looking = True
            Context().run(self._shared.host.call, self._look_later)

    def note_task(self) -> None:
        """The task that runs now is about to fail."""
        task = asyncio.current_task()
        if task is not None:
            self.note(FailedTask(task))

    def forget(self) -> None:
        """Leave what was noted and not reported to Twisted. Any thread."""
        self._noted.clear()
        self._reported = Counter()

    def _look_later(self) -> None:
        if self._noted:
            self._shared.reactor.callLater(LOOK_EVERY, self._look)
        else:
            self._looking = False
            if self._noted:  # noted in another thread, just now
                self._looking = True
                self._look_later()

    def _look(self) -> None:
        try:
            if monotonic() - self._since > IN_SECONDS:
                self._reported, self._since = Counter(), monotonic()
            counts = self._reported
            more: Counter[tuple[Origin | None, str]] = Counter()
            contexts: dict[Origin | None, Context] = {}
            while self._noted and self._noted[0][0] <= monotonic() - REPORT_AFTER:
                _, context, failed = self._noted.popleft()
                failure = failed.failure()
                if failure is None:
                    continue
                failed.settle()
                error = exception_of(failure)
                if _is_cancelled(error) or was_shown(error):
                    continue
                origin = context.get(ORIGIN)
                counts[origin] += 1
                if counts[origin] <= AT_ONCE:
                    heading = failed.heading(str(origin or "no cell"))
                    context.copy().run(report, heading, failure, failed.made_at())
                else:
                    more[origin, type_name(error)] += 1
                    contexts[origin] = context
            for (origin, name), count in more.items():
                contexts[origin].copy().run(report_more, name, count)
        finally:
            self._look_later()


def watch(
    shared: SharedReactor, cell_of: Callable[[EventualResult], Origin | None]
) -> tuple[Failures, Callable[[], None]]:
    """
    Report what fails and is not handled; gives what does, and its undo.

    Args:
        cell_of: Gives the cell that asked for a result, which may be another's
            than that which makes it fail.

    Thread:
        Shell thread.
    """
    failures = Failures(shared)

    def note_event(event: dict[str, Any]) -> bool:
        failure = twisted_internals.failure_of(event)
        if (
            failure is None
            or event.get("log_level") not in (LogLevel.error, LogLevel.critical)
            or twisted_internals.was_collected(event)
        ):
            return False
        context = context_of(failure.value)
        if context is None:
            return False
        by_loop = str(event.get("log_namespace")).startswith("twisted.internet.")
        logged = None if by_loop else twisted_internals.message_of(event)
        failures.note(FailedCall(failure, logged), context)
        return True

    def note_result(result: EventualResult) -> None:
        if isinstance(crochet_internals.outcome(result).value, crochet.ReactorStopped):
            crochet_internals.mark_retrieved(result)  # the process ends
        else:
            cell = cell_of(result)
            context = None if cell is None else cell.context.copy()
            failures.note(FailedResult(result), context)

    undo = ExitStack()
    undo.callback(failures.forget)
    undo.callback(
        twisted_internals.watch_failures(
            lambda info: failures.note(
                FailedDeferred(info), twisted_internals.context_of_coroutine()
            )
        )
    )
    undo.callback(crochet_internals.watch_failures(note_result))
    undo.callback(claim_events(note_event))
    if shared.loop is not None:
        undo.callback(_watch_loop(shared.loop, failures))
    return failures, undo.close


def _watch_loop(loop: AbstractEventLoop, failures: Failures) -> Callable[[], None]:
    """What asyncio calls its exception handler with."""
    before = loop.get_exception_handler()

    def handle(loop: AbstractEventLoop, details: dict[str, Any]) -> None:
        error = details.get("exception")
        if isinstance(error, _CANCELLED):
            return
        context = asyncio_internals.context_of(details)
        if context is None and not {"future", "task"} & details.keys():
            context = context_of(error)  # else: collected, in whatever context
        if error is not None and context is not None and ORIGIN in context:
            failures.note(FailedCall(error), context)
        elif before is not None:
            before(loop, details)
        else:
            loop.default_exception_handler(details)

    loop.set_exception_handler(handle)

    def undo() -> None:
        if loop.get_exception_handler() is handle:
            loop.set_exception_handler(before)

    return undo
