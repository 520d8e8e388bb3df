"""
Context variables across delayed calls.

Twisted's reactors carry no context from ``callLater`` to the call. asyncio's
timers do, but Twisted has one timer for all delayed calls: every call that is
due runs in the context of whichever set the timer.
"""

from __future__ import annotations

import builtins
from collections.abc import Callable
from contextvars import Context, copy_context
from typing import Any


class InContext:
    """
    A function, and the context to call it in.

    Looks like the function to what shows a delayed call.
    """

    __slots__ = ("__wrapped__", "_context")

    def __init__(self, function: Callable[..., Any]) -> None:
        self.__wrapped__ = function
        self._context = copy_context()

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return self._context.run(self.__wrapped__, *args, **kwargs)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.__wrapped__, name)

    def __repr__(self) -> str:
        return repr(self.__wrapped__)


def call_later_in_context(reactor: Any) -> Callable[..., Any]:
    """
    ``reactor.callLater`` where each call runs in the context it was made in.

    Thread:
        Reactor thread, as callLater itself.
    """
    call_later = type(reactor).callLater

    def callLater(delay: float, callable: Any, *args: Any, **kw: Any) -> Any:
        if builtins.callable(callable):  # else, Twisted says what it thinks of it
            callable = InContext(callable)
        # The timer is set outside of any context, since it is for all calls.
        return Context().run(call_later, reactor, delay, callable, *args, **kw)

    return callLater
