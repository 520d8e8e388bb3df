"""
What can fail and be looked at by nobody, each with its own way to tell.

Thread:
    Reactor thread.
"""

from __future__ import annotations

import asyncio
from typing import Any, Protocol

from crochet import EventualResult
from twisted.internet.defer import DebugInfo
from twisted.python.failure import Failure

from ..internals import asyncio as asyncio_internals
from ..internals import crochet as crochet_internals
from ..internals import twisted as twisted_internals


class Failed(Protocol):
    """Something that has failed."""

    def heading(self, cell: str) -> str:
        """What has happened in ``cell``, for a person."""

    def failure(self) -> Failure | BaseException | None:
        """What it failed with; None if that was handled since."""

    def settle(self) -> None:
        """Dealt with: nobody else is to report it."""

    def made_at(self) -> list[str]:
        """The stack that made it, as text, if that is known."""


class FailedDeferred:
    """A Deferred, known by the ``DebugInfo`` that it keeps its failure in."""

    def __init__(self, info: DebugInfo) -> None:
        self._info = info

    def heading(self, cell: str) -> str:
        return f"a Deferred of {cell} failed, and nothing has handled that"

    def failure(self) -> Failure | None:
        return self._info.failResult

    def settle(self) -> None:
        self._info.failResult = None

    def made_at(self) -> list[str]:
        return twisted_internals.creation_of(self._info)


class FailedResult:
    """An EventualResult that nobody has asked."""

    def __init__(self, result: EventualResult) -> None:
        self._result = result

    def heading(self, cell: str) -> str:
        return (
            f"an EventualResult of {cell} failed, and nothing has asked for its result"
        )

    def failure(self) -> Failure | None:
        if crochet_internals.was_retrieved(self._result):
            return None
        outcome: Failure = crochet_internals.outcome(self._result)
        return outcome

    def settle(self) -> None:
        crochet_internals.mark_retrieved(self._result)

    def made_at(self) -> list[str]:
        return []


class FailedTask:
    """An asyncio task that nobody has awaited."""

    def __init__(self, task: asyncio.Task[Any]) -> None:
        self._task = task

    def heading(self, cell: str) -> str:
        name = getattr(self._task.get_coro(), "__qualname__", "")
        task = f"the task {name}()" if name else "a task"
        return f"{task} of {cell} failed, and nothing has awaited it"

    def failure(self) -> BaseException | None:
        return asyncio_internals.unretrieved(self._task)

    def settle(self) -> None:
        asyncio_internals.mark_retrieved(self._task)

    def made_at(self) -> list[str]:
        return []


class FailedCall:
    """
    A call that raised into a loop, which can only log it.

    Args:
        logged: What somebody else than the loop has logged it with.
    """

    def __init__(
        self, failure: Failure | BaseException, logged: str | None = None
    ) -> None:
        self._failure = failure
        self._logged = logged

    def heading(self, cell: str) -> str:
        if self._logged is not None:
            logged = f" ({self._logged})" if self._logged else ""
            return f"{cell} has logged an error{logged}"
        return f"a call of {cell} failed, and nothing has handled that"

    def failure(self) -> Failure | BaseException:
        return self._failure

    def settle(self) -> None:
        pass

    def made_at(self) -> list[str]:
        return []
