"""
``input()`` and ``getpass()`` of cells: the client's user is asked.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
from collections.abc import Callable
from typing import Any

from twisted.internet.defer import Deferred
from twisted.python.failure import Failure

from .requests import Request

# The name of ``ainput`` in cells whose ``input`` is awaited for them: no application
# has it for something else.
AINPUT = "__twisted_ipython_ainput__"


class NoInput(RuntimeError):
    """A cell can't read here; the text says what to do."""


IN_REACTOR_THREAD = (
    "input() would stop the application while it waits: at the top level of a cell it "
    "is awaited; in a function, write `await ainput(prompt)` in an `async def`, or run "
    "the cell with %%thread"
)
NO_GETPASS = (
    "getpass() would stop the application while it waits: write "
    "`await ainput(prompt, secret=True)`, or run the cell with %%thread"
)
NO_STDIN = (
    "the standard input is the application's, and a cell can't read it: call "
    "input(prompt)"
)
NOT_IN_THREAD = "ainput() is for the reactor thread; in a %%thread cell, call input()"
NO_CELL = "ainput() asks the user of a cell, and none runs here"
GONE = "the client has gone, and nobody can answer"
NOT_ALLOWED = "this frontend does not take input: pass the value in the code"


class Reading:
    """
    Args:
        session: Signs messages and checks them.
        stream: The stdin channel.
        is_here: Whether a client with that session is attached.

    Thread:
        The kernel's; ``read`` in the thread of a ``%%thread`` cell, ``awaited`` in the
        reactor thread.
    """

    def __init__(
        self, session: Any, stream: Any, loop: Any, is_here: Callable[[str], bool]
    ) -> None:
        self._session = session
        self._stream = stream
        self._loop = loop
        self._is_here = is_here
        self._ended = False
        # By the frame that leads to the client: whom it is asked in its turn, and
        # what it is asked now.
        self._turns: dict[bytes, asyncio.Lock] = {}
        self._waiting: dict[bytes, tuple[str, asyncio.Future[str]]] = {}
        stream.on_recv(self._received, copy=False)

    async def ask(self, request: Request, prompt: str, secret: bool) -> str:
        """
        What the client's user answers.

        Raises:
            NoInput: The frontend has none to ask.
            EOFError: The user has ended the input, or the client has gone.
        """
        if not request.allows_input:
            raise NoInput(NOT_ALLOWED)
        who = b"".join(request.idents[:1])
        async with self._turns.setdefault(who, asyncio.Lock()):
            if self._ended or not self._is_here(request.session):
                raise EOFError(GONE)
            request.flush()
            answer: asyncio.Future[str] = self._loop.create_future()
            self._waiting[who] = request.session, answer
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
                del self._waiting[who]
        if value == "\x04":
            raise EOFError
        return value

    def read(self, request: Request, prompt: str, secret: bool) -> str:
        """The same, for a thread that can wait."""
        self._see_that_it_can_be_asked(request)
        asked = asyncio.run_coroutine_threadsafe(
            self.ask(request, prompt, secret), self._loop
        )
        try:
            while not asked.done():  # in slices, so that an interrupt is heard
                concurrent.futures.wait([asked], 0.1)
                if self._ended and self._loop.is_closed():
                    raise EOFError(GONE)
            error = asked.exception()
            if error is not None:
                raise error.with_traceback(None)  # the frames are not the user's
            return asked.result()
        finally:
            asked.cancel()

    def awaited(
        self, request: Request, prompt: str, secret: bool, reactor: Any
    ) -> Deferred[str]:
        """
        The same, for code that must not wait. To cancel it frees the frontend's
        input.
        """
        self._see_that_it_can_be_asked(request)
        asked = asyncio.run_coroutine_threadsafe(
            self.ask(request, prompt, secret), self._loop
        )

        def cancel(answered: Deferred[str]) -> None:
            asked.cancel()

        answered: Deferred[str] = Deferred(cancel)

        def fire() -> None:
            if answered.called:
                return
            error = EOFError(GONE) if asked.cancelled() else asked.exception()
            if error is None:
                answered.callback(asked.result())
            else:  # without the frames, which are not the user's
                answered.errback(Failure(error.with_traceback(None)))

        asked.add_done_callback(lambda _: reactor.callFromThread(fire))
        return answered

    def _see_that_it_can_be_asked(self, request: Request) -> None:
        # Before there is a coroutine, which a loop that has closed would not run:
        # Python would warn of it in the application's stderr.
        if not request.allows_input:
            raise NoInput(NOT_ALLOWED)
        if self._ended:
            raise EOFError(GONE)

    def gone(self, session: str) -> None:
        """Nobody is there any more who could answer."""
        for asked, answer in list(self._waiting.values()):
            if asked == session and not answer.done():
                answer.set_exception(EOFError(GONE))

    def end(self) -> None:
        """The console closes."""
        self._ended = True
        for asked, _ in list(self._waiting.values()):
            self.gone(asked)

    def _received(self, frames: list[Any]) -> None:
        try:
            idents, parts = self._session.feed_identities(frames, copy=False)
            message = self._session.deserialize(parts, content=True, copy=False)
            value = str(message["content"]["value"])
        except Exception:  # whatever somebody has sent
            return
        who = bytes(idents[0]) if idents else b""
        _, answer = self._waiting.get(who, (None, None))
        if answer is not None and not answer.done():
            answer.set_result(value)
