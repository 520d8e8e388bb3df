"""
From the kernel's thread to the reactor thread, and back.
"""

from __future__ import annotations

import asyncio
from asyncio import AbstractEventLoop
from collections.abc import Callable
from contextvars import copy_context
from types import FrameType
from typing import Any, TypeVar

from ..stops import CellStop
from .places import Places
from .requests import REQUEST, Request
from .telling import tell_from

T = TypeVar("T")

# How often a question is broken off until it ends, and the seconds between.
BREAK_OFF_TIMES = 100
BREAK_OFF_EACH = 0.03


class ReactorSide:
    """
    Attributes:
        thread_id: The reactor thread's number.
        reactor: The reactor.

    Thread:
        The kernel's.
    """

    def __init__(
        self,
        reactor: Any,
        thread_id: int,
        loop: AbstractEventLoop,
        send_signal: Callable[[], object] | None,
    ) -> None:
        self.reactor = reactor
        self.thread_id = thread_id
        self._loop = loop
        self._send_signal = send_signal
        self._answering: Request | None = None  # whose question; reactor thread
        self._unwanted: Request | None = None  # whose question is to be broken off

    def call(self, function: Callable[..., object], *args: Any) -> None:
        """Have ``function`` called there."""
        self.reactor.callFromThread(function, *args)

    async def ask(
        self, places: Places, seconds: float, question: Callable[[], T], otherwise: T
    ) -> T:
        """
        What ``question`` gives, called there as the code of a cell is.

        Args:
            seconds: After which it is dropped, or broken off if it was begun.
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
                context.run(self.answer, places, question, answer)

        self.call(begin)
        await asyncio.wait([answer], timeout=seconds)
        if not answer.done() and begun:
            # It looks at a value whose own code does not come to an end.
            # Again and again, since IPython takes an error for an answer, and goes on.
            for _ in range(BREAK_OFF_TIMES):
                self.break_off(REQUEST.get())
                await asyncio.wait([answer], timeout=BREAK_OFF_EACH)
                if answer.done():
                    break
        if not answer.done():
            dropped.append(None)
            return otherwise
        try:
            return await answer
        except CellStop:
            return otherwise

    def break_off(self, request: Request) -> None:
        """
        Interrupt what is called for that question, if it is on the stack.

        Not where signals don't reach the reactor thread: it could be elsewhere by then.
        """
        if self._send_signal is not None and self._answering is request:
            self._unwanted = request
            self._send_signal()

    @property
    def answering(self) -> Request | None:
        """Whose question is on the stack of the reactor thread. Any thread."""
        return self._answering

    def signalled(self, frame: FrameType | None) -> None:
        """
        Raises:
            CellStop: ``frame`` is of what is called for an unwanted question.

        Thread:
            Reactor thread, in the handler of the signal.
        """
        unwanted, self._unwanted = self._unwanted, None
        if unwanted is None or self._answering is not unwanted:
            return
        while frame is not None:
            below = frame.f_back
            if below is not None and below.f_code is ReactorSide.answer.__code__:
                if frame.f_code.co_name == "<lambda>":  # the question
                    raise CellStop
                return
            frame = below

    def answer(
        self, places: Places, question: Callable[[], T], answer: asyncio.Future[T]
    ) -> None:
        """What ``ask`` has called. Reactor thread."""
        request = REQUEST.get()
        before = places.enter(request)
        self._answering = request
        try:
            result = question()
        except BaseException as error:  # whatever the user's code raises
            failed = (
                error
                if isinstance(error, (Exception, CellStop))
                else RuntimeError(repr(error))
            )
            self._tell(answer, lambda: answer.set_exception(failed))
        else:
            self._tell(answer, lambda: answer.set_result(result))
        finally:
            self._answering = None
            places.leave(before)

    def _tell(self, answer: asyncio.Future[Any], tell: Callable[[], object]) -> None:
        def tell_now() -> None:
            if not answer.done():
                tell()

        tell_from(self._loop, tell_now)
