"""
What to do next, added to errors of other libraries that don't say it.

Pure functions over an exception. They add to its text, and leave its type and
traceback alone.
"""

from __future__ import annotations

from typing import Any

ASYNCIO_NEEDS_ITS_REACTOR = (
    "to await asyncio next to Deferreds, let the extension install its asyncio "
    "reactor: c.TwistedIPython.reactor = 'asyncio' (the default), loaded before "
    "anything imports twisted.internet.reactor"
)
_DRIVEN_BY_TWISTED = (
    "Twisted drives this coroutine, and knows Deferreds only: here, write "
    "`await Deferred.fromFuture(asyncio.ensure_future(...))`"
)
_WAIT_IN_REACTOR = (
    "in a cell that awaits, write `await result` instead of result.wait()"
)
_RUNNER_TOO_LATE = (
    "this cell began before Twisted awaiting was on; do `%autoawait twisted` in a "
    "cell of its own, and run this one again"
)

_TASK_OF_ITS_OWN = (
    "this task was made past the loop's task factory, and can't await Deferreds: "
    "here, write `await deferred.asFuture(asyncio.get_running_loop())`"
)
_NOT_ASYNC = (
    "Python can't compile this cell as one that awaits; is there a `return` or "
    "`yield` at its top level?"
)

_ADVISED = "_twisted_ipython_advised"

# What the message begins with, and what helps: on a reactor with asyncio, and
# on one without.
_ADVICE = (
    ("await wasn't used with future", _DRIVEN_BY_TWISTED, ASYNCIO_NEEDS_ITS_REACTOR),
    ("Timeout should be used inside a task", _DRIVEN_BY_TWISTED, None),
    ("Timeout context manager should be used", _DRIVEN_BY_TWISTED, None),
    ("no running event loop", None, ASYNCIO_NEEDS_ITS_REACTOR),
    ("There is no current event loop", None, ASYNCIO_NEEDS_ITS_REACTOR),
    (
        "'NoneType' object has no attribute 'create_future'",
        _DRIVEN_BY_TWISTED,
        ASYNCIO_NEEDS_ITS_REACTOR,
    ),
    ("Task got bad yield: <Deferred", _TASK_OF_ITS_OWN, ASYNCIO_NEEDS_ITS_REACTOR),
    ("EventualResult.wait() must not be run", _WAIT_IN_REACTOR, _WAIT_IN_REACTOR),
)


def add_advice(error: BaseException, *, with_asyncio: bool) -> None:
    """
    Add to the text of ``error`` what to do, if it is one that needs it.

    Args:
        with_asyncio: Whether the cells' reactor runs on asyncio.

    Thread:
        Any; ``error`` is one that was raised in the reactor thread.
    """
    for beginning, on_asyncio, on_others in _ADVICE:
        _add(error, beginning, on_asyncio if with_asyncio else on_others)


def add_runner_advice(error: BaseException) -> None:
    """The same for errors of IPython's own runners. Any thread."""
    _add(error, "Task got bad yield: <Deferred", _RUNNER_TOO_LATE)
    _add(error, "'run_cell_async' needs a real async loop", _NOT_ASYNC)


def add_listen_advice(error: Any, advice: str) -> None:
    """
    Add to a CannotListenError, whose text is made of the system's error.

    That error's type and number stay, for those who look at them. Any thread.
    """
    cause = error.socketError
    if hasattr(error, _ADVISED):
        return
    setattr(error, _ADVISED, True)
    if isinstance(cause, OSError) and cause.errno is not None:
        advised: Any = type(cause)(cause.errno, f"{cause.strerror}: {advice}")
        advised.__traceback__ = cause.__traceback__
    else:
        advised = f"{cause}: {advice}"
    error.socketError = advised
    error.args = (*error.args[:2], advised)


def _add(error: BaseException, beginning: str, advice: str | None) -> None:
    if advice is None or type(error) not in (RuntimeError, AttributeError):
        return
    text = str(error)
    if text.startswith(beginning) and not hasattr(error, _ADVISED):
        setattr(error, _ADVISED, True)
        error.args = (f"{text.rstrip('.')}: {advice}",)
