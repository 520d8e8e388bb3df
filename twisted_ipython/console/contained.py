"""
What cells leave on asyncio's loop does not end it.

asyncio ends its loop, and with it the application, when a task or a callback raises
SystemExit or KeyboardInterrupt. In what a cell has left there, they are errors like
others.
"""

from __future__ import annotations

import asyncio
from asyncio import AbstractEventLoop
from collections.abc import Callable
from contextvars import Context
from functools import partial
from typing import Any

from ..bridge import Bridged
from .requests import REQUEST

_ABSENT = object()

# The loop's methods that take a callback, and how many arguments come before it.
# (``call_later`` calls ``call_at``.)
_SCHEDULING = {"call_soon": 0, "call_soon_threadsafe": 0, "call_at": 1}


class Containment:
    """
    While the code of a cell runs, or what a cell has left: what is given to ``loop``.

    What others give it meanwhile, in contexts of their own, is theirs.

    Args:
        loop: None where the reactor does not run on asyncio; then nothing is done.
        reactor: It has one timer of asyncio's for all of its delayed calls. That is
            the application's, whoever sets it.
        context: The application's, for that.

    Thread:
        Reactor thread.
    """

    def __init__(
        self,
        loop: AbstractEventLoop | None,
        reactor: Any,
        context: Context,
    ) -> None:
        self._loop = loop
        self._reactor = reactor
        self._context = context

    def enter(self) -> Any:
        """Begin; gives what ``leave`` needs to know."""
        loop = self._loop
        if loop is None:
            return None
        factory = loop.get_task_factory()
        if getattr(factory, "func", None) == self._make_task:
            return None  # below this on the stack, it is done already
        loop.set_task_factory(partial(self._make_task, factory))
        kept = getattr(loop, "__dict__", None)
        if kept is None:  # a loop that is not written in Python
            return factory, None
        before = {name: kept.get(name, _ABSENT) for name in _SCHEDULING}
        for name, at in _SCHEDULING.items():
            setattr(loop, name, partial(self._schedule, getattr(loop, name), at))
        return factory, before

    def leave(self, entered: Any) -> None:
        """The reverse of ``enter``."""
        loop = self._loop
        if loop is None or entered is None:
            return
        factory, before = entered
        loop.set_task_factory(factory)
        for name, method in (before or {}).items():
            if method is _ABSENT:
                delattr(loop, name)
            else:
                setattr(loop, name, method)

    def outside(self, function: Callable[..., Any], *args: Any) -> Any:
        """Call ``function`` as the application does, while a cell runs."""
        return self._context.copy().run(function, *args)

    def _make_task(
        self, before: Any, loop: AbstractEventLoop, coro: Any, **options: Any
    ) -> Any:
        task = ContainedTask(self, coro, loop, context=options.get("context"))
        if before is None:
            return asyncio.Task(task, loop=loop, **options)
        return before(loop, task, **options)

    def _schedule(
        self,
        schedule: Callable[..., Any],
        at: int,
        *args: Any,
        context: Context | None = None,
    ) -> Any:
        of_cell = REQUEST.get(None) if context is None else context.get(REQUEST)
        if getattr(args[at], "__self__", None) is self._reactor:
            context = self._context.copy()
        elif of_cell is not None:
            callback = partial(self._call, args[at])
            args = (*args[:at], callback, *args[at + 1 :])
        return schedule(*args, context=context)

    def _call(self, callback: Callable[..., Any], *args: Any) -> Any:
        return self.run("a callback", callback, *args)

    def run(self, what: str, function: Callable[..., Any], *args: Any) -> Any:
        """
        Call ``function``, with what it gives to the loop contained, too.

        Raises:
            RuntimeError: In place of what would end the loop.
        """
        entered = self.enter()
        try:
            return function(*args)
        except (SystemExit, KeyboardInterrupt) as error:
            raise RuntimeError(
                f"{type(error).__name__} in {what} that a cell has started; it ends "
                "that, and not the application"
            ) from error
        finally:
            self.leave(entered)


class ContainedTask(Bridged):
    """A task of a cell's, which may await Deferreds."""

    def __init__(self, containment: Containment, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self._containment = containment

    def resume(self, resume: Callable[[Any], Any], value: Any) -> Any:
        return self._containment.run("a task", super().resume, resume, value)
