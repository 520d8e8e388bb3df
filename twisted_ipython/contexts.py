"""
A function with the context that it is to be called in.

So what a cell starts runs in a copy of the cell's context, however late, and
whoever calls it.
"""

from __future__ import annotations

from collections.abc import Callable
from contextvars import Context, copy_context
from functools import partial
from typing import Any

from twisted.logger import Logger

from .internals.twisted import ToldFunction
from .origins import ORIGIN, note_context

Methods = dict[str, Callable[..., Any]]


class InContext:
    """
    A function, and the context to call it in: by default, a copy of this one.

    Looks like the function to what shows a delayed call.
    """

    __slots__ = ("__wrapped__", "_run")

    def __init__(
        self, function: Callable[..., Any], context: Context | None = None
    ) -> None:
        self.__wrapped__ = function
        self._run = (copy_context() if context is None else context).run

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        try:
            return self._run(self.__wrapped__, *args, **kwargs)
        except BaseException as error:
            note_context(error, self.context)  # who logs it is outside
            raise

    def __getattr__(self, name: str) -> Any:
        if name in InContext.__slots__:  # of one that is being copied
            raise AttributeError(name)
        return getattr(self.__wrapped__, name)

    def __repr__(self) -> str:
        return repr(self.__wrapped__)

    @property
    def context(self) -> Context:
        """The context that it is called in."""
        context: Context = self._run.__self__  # type: ignore[attr-defined]
        return context


class TimedCall(InContext):
    """
    A call of the loop's, which logs what it raises: in its context, too.

    So whoever observes the log prints under the cell.
    """

    __slots__ = ()
    logged_as = "while handling timed call"  # Twisted's own words

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        try:
            return self._run(self.__wrapped__, *args, **kwargs)
        except BaseException:
            self._run(LOOP_LOG.failure, self.logged_as)


class ThreadCall(TimedCall):
    """The same for a call from a thread."""

    __slots__ = ()
    logged_as = "while handling thread call"


# Twisted's own, where it logs them.
LOOP_LOG = Logger("twisted.internet.base")


def bare(function: Any) -> Any:
    """
    The function itself, without what was put around it here and by ``partial``.

    By its type: an object may be wrong about its class. Any thread.
    """
    while issubclass(type(function), (partial, InContext, ToldFunction)):
        is_partial = issubclass(type(function), partial)
        function = function.func if is_partial else function.__wrapped__
    return function


def pool_methods(pool: Any) -> Methods:
    """
    The methods of a Twisted thread pool that keep contexts.

    Thread:
        Called in any thread; what they call runs in the pool's threads.
    """
    base = pool.callInThreadWithCallback

    def callInThreadWithCallback(
        onResult: Any, func: Any, *args: Any, **kw: Any
    ) -> None:
        if ORIGIN.get() is None:
            base(onResult, func, *args, **kw)
            return
        context = copy_context()
        if onResult is not None:
            onResult = InContext(onResult, context)
        # A thread that the pool starts for it serves others, too.
        work = partial(base, onResult, InContext(func, context), *args, **kw)
        Context().run(work)

    return {"callInThreadWithCallback": callInThreadWithCallback}
