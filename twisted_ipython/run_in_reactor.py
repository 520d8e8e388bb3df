"""
``%%run_in_reactor``: a cell that runs in the reactor thread, beside the others.

The text of the cell becomes a function (``cells``), which crochet's
``run_in_reactor`` decorates and calls: the result is an EventualResult.
"""

from __future__ import annotations

import asyncio
import itertools
import sys
import unicodedata
from asyncio import CancelledError as AsyncioCancelledError
from collections.abc import Callable
from contextvars import copy_context
from inspect import iscoroutine
from typing import Any

import crochet
from IPython.core.error import UsageError
from twisted.internet.defer import CancelledError, Deferred
from twisted.python.failure import Failure

from .cells import cell_function, is_bindable
from .hosts import Host
from .internals import crochet as internals
from .internals.ipython import running_cell_number
from .tracebacks import HiddenFrames

# Seconds after a failure until it is reported, if nobody asks for it before.
REPORT_AFTER = 0.5


def run_in_reactor(
    shell: Any,
    reactor: Any,
    host: Host,
    body: str,
    *,
    raw_cell: str,
    name: str | None,
    local: bool,
) -> crochet.EventualResult:
    """
    Run ``body`` in the reactor thread; gives its result to be.

    Args:
        body: The cell below its first line, in IPython's syntax.
        raw_cell: The whole cell as the user sees it, for the line numbers.
        name: A variable to bind to the result, or None.
        local: Whether what the cell binds stays local to it.

    Raises:
        UsageError: ``name`` can't be bound. Nothing ran.
        SyntaxError: At the user's line. Nothing ran.

    Thread:
        Shell thread; or reactor thread, in a cell that awaits besides.
    """
    if name is not None and not is_bindable(name):
        raise UsageError(
            f"%%run_in_reactor: {name!r} can't be bound to the result: give one plain "
            "variable name, as in %%run_in_reactor result; nothing was run"
        )
    number = running_cell_number(shell)
    above, body = _split(raw_cell, body)
    source = shell.transform_cell(body)
    filename = shell.compile.cache(above + source, number or 0, raw_code=raw_cell)
    function = cell_function(
        source,
        filename,
        shell.user_global_ns,
        first_line=above.count("\n") + 1,
        local=local,
        flags=shell.compile.flags,
        transform=shell.transform_ast,
    )
    context = copy_context()
    watch = Watch(
        reactor,
        function=lambda: context.run(_begin, function, host),
        report=lambda: context.copy().run(_report, shell, number, watch.result),
    )
    watch.result = crochet.run_in_reactor(watch.call)()
    if name is not None:
        shell.user_ns[unicodedata.normalize("NFKC", name)] = watch.result  # as Python
    return watch.result


def _split(raw_cell: str, body: str) -> tuple[str, str]:
    """
    What stands above the code in the cell, and the code.

    Above it is the line of the magic, at least, and empty lines, which IPython
    takes away from the top of what it transforms.
    """
    at = raw_cell.rfind(body) if body else len(raw_cell)
    above = raw_cell[: max(at, 0)]
    if not above.endswith("\n"):
        above = "%%run_in_reactor\n"
    lines = body.splitlines(keepends=True)
    empty = list(itertools.takewhile(str.isspace, lines))
    return above + "".join(empty), "".join(lines[len(empty) :])


def _begin(function: Callable[[], Any], host: Host) -> Any:
    """Reactor thread: call the cell; a Deferred where it awaits."""
    value = function()
    if isinstance(value, Deferred) or not _is_eventual(value):
        return value
    return host.deferred(_settled(value))


async def _settled(value: Any) -> Any:
    """The result of an awaitable, also where that is an awaitable once more."""
    while isinstance(value, Deferred) or _is_eventual(value):
        value = await value
    return value


def _is_eventual(value: Any) -> bool:
    return iscoroutine(value) or asyncio.isfuture(value)


class Watch:
    """
    Calls a function, and reports a failure of it that nobody asks for.

    Attributes:
        result: What somebody is to ask.

    Thread:
        Made in the shell thread, all else in the reactor thread.
    """

    result: crochet.EventualResult

    def __init__(
        self, reactor: Any, function: Callable[[], Any], report: Callable[[], object]
    ) -> None:
        self._reactor = reactor
        self._function = function
        self._report = report

    def call(self) -> Any:
        """Call the function; gives what it does, Deferred or not."""
        try:
            value = self._function()
        except BaseException as error:
            self._check_later(error)
            raise
        if isinstance(value, Deferred):
            value.addErrback(self._failed)
        return value

    def _failed(self, failure: Failure) -> Failure:
        self._check_later(failure.value)
        return failure

    def _check_later(self, error: BaseException | None) -> None:
        if not isinstance(error, (CancelledError, AsyncioCancelledError)):
            self._reactor.callLater(REPORT_AFTER, self._check)

    def _check(self) -> None:
        if not internals.was_retrieved(self.result):
            internals.mark_retrieved(self.result)  # or crochet would log it, too
            self._report()


def _report(shell: Any, number: int | None, result: crochet.EventualResult) -> None:
    """Reactor thread, in the context of the cell: say that it failed."""
    error = internals.outcome(result).value
    HiddenFrames().hide(error)
    text = shell.InteractiveTB.stb2text(
        shell.InteractiveTB.structured_traceback(
            type(error), error, error.__traceback__, tb_offset=0
        )
    )
    cell = "a cell" if number is None else f"In [{number}]"
    print(
        f"%%run_in_reactor in {cell} failed, and nothing has asked for its result:\n"
        f"{text}",
        file=sys.stderr,
    )
