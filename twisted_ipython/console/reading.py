"""
``input()`` and ``getpass()`` of cells: the client's user is asked.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
from typing import Any

from .requests import Request


class NoInput(RuntimeError):
    """A cell can't read here; the text says what to do."""


IN_REACTOR_THREAD = (
    "input() would stop the application while it waits: at the top level of a cell it "
    "is awaited; in a function, write `await ainput(prompt)` in an `async def`, or run "
    "the cell with %%thread"
)
NOT_ALLOWED = "this frontend does not take input: pass the value in the code"


class Reading:
    """
    Args:
        session: Signs messages and checks them.
        stream: The stdin channel.

    Thread:
        The kernel's; ``read`` in the thread of a ``%%thread`` cell.
    """

    def __init__(self, session: Any, stream: Any, loop: Any) -> None:
        self._session = session
        self._stream = stream
        self._loop = loop
        self._waiting: dict[bytes, asyncio.Future[str]] = {}
        stream.on_recv(self._received, copy=False)

    async def ask(self, request: Request, prompt: str, secret: bool) -> str:
        """
        What the client's user answers.

        Raises:
            NoInput: The frontend has none to ask.
            EOFError: The user has ended the input.
        """
        if not request.allows_input:
            raise NoInput(NOT_ALLOWED)
        request.flush()
        who = b"".join(request.idents[:1])
        before = self._waiting.pop(who, None)
        if before is not None and not before.done():
            before.cancel()
        answer: asyncio.Future[str] = self._loop.create_future()
        self._waiting[who] = answer
        self._session.send(
            self._stream,
            "input_request",
            {"prompt": prompt, "password": secret},
            parent=request.parent,
            ident=request.idents,
        )
        try:
            value = await answer
        finally:
            if self._waiting.get(who) is answer:
                del self._waiting[who]
        if value == "\x04":
            raise EOFError
        return value

    def read(self, request: Request, prompt: str, secret: bool) -> str:
        """The same, for a thread that can wait."""
        asked = asyncio.run_coroutine_threadsafe(
            self.ask(request, prompt, secret), self._loop
        )
        try:
            while True:  # in slices, so that an interrupt is heard
                try:
                    return asked.result(0.1)
                except concurrent.futures.TimeoutError:
                    if asked.done():
                        raise
        finally:
            asked.cancel()

    def _received(self, frames: list[Any]) -> None:
        try:
            idents, parts = self._session.feed_identities(frames, copy=False)
            message = self._session.deserialize(parts, content=True, copy=False)
            value = str(message["content"]["value"])
        except Exception:  # whatever somebody has sent
            return
        answer = self._waiting.get(bytes(idents[0]) if idents else b"")
        if answer is not None and not answer.done():
            answer.set_result(value)
