"""
From the kernel's thread to the reactor thread, and back.
"""

from __future__ import annotations

import asyncio
from asyncio import AbstractEventLoop
from collections.abc import Callable
from contextvars import Context, copy_context
from typing import Any, TypeVar

from .places import Places
from .requests import REQUEST

T = TypeVar("T")


class ReactorSide:
    """
    Attributes:
        thread_id: The reactor thread's number.
        reactor: The reactor.

    Thread:
        The kernel's.
    """

    def __init__(self, reactor: Any, thread_id: int, loop: AbstractEventLoop) -> None:
        self.reactor = reactor
        self.thread_id = thread_id
        self._loop = loop

    def call(self, function: Callable[..., object], *args: Any) -> None:
        """Have ``function`` called there."""
        self.reactor.callFromThread(function, *args)

    async def ask(
        self, places: Places, seconds: float, question: Callable[[], T], otherwise: T
    ) -> T:
        """
        What ``question`` gives, called there as the code of a cell is.

        Args:
            seconds: After which it is dropped, if it was not begun.
            otherwise: What is given then.

        Raises:
            Exception: What ``question`` raised.
        """
        answer: asyncio.Future[T] = self._loop.create_future()
        context = copy_context()
        begun: list[None] = []
        dropped: list[None] = []

        def begin() -> None:
            begun.append(None)
            if not dropped:
                context.run(self._answer, places, question, answer)

        self.call(begin)
        await asyncio.wait([answer], timeout=seconds)
        if not answer.done() and not begun:
            dropped.append(None)
            return otherwise
        return await answer

    def _answer(
        self, places: Places, question: Callable[[], T], answer: asyncio.Future[T]
    ) -> None:
        request = REQUEST.get()
        before = places.enter(request)
        try:
            result = question()
        except BaseException as error:  # whatever the user's code raises
            failed = (
                error if isinstance(error, Exception) else RuntimeError(repr(error))
            )
            self._tell(answer, lambda: answer.set_exception(failed))
        else:
            self._tell(answer, lambda: answer.set_result(result))
        finally:
            places.leave(before)

    def _tell(self, answer: asyncio.Future[Any], tell: Callable[[], object]) -> None:
        def tell_now() -> None:
            if not answer.done():
                tell()

        tell_from(self._loop, tell_now)


def tell_from(loop: AbstractEventLoop, tell: Callable[[], object]) -> None:
    """Have ``tell`` called on ``loop``, unless that has closed. Any thread."""
    try:
        loop.call_soon_threadsafe(tell, context=Context())
    except RuntimeError:  # the console has closed meanwhile
        pass
