"""
``%%run_in_reactor``: a cell that runs in the reactor thread, beside the others.

The text of the cell becomes a function (``cells``), which crochet's
``run_in_reactor`` decorates and calls: the result is an EventualResult.
"""

from __future__ import annotations

import asyncio
import itertools
import unicodedata
from collections.abc import Callable
from inspect import iscoroutine
from typing import Any

import crochet
from IPython.core.error import UsageError
from twisted.internet.defer import Deferred

from .cells import cell_function, is_bindable
from .hosts import Host
from .internals.ipython import running_cell_number


def run_in_reactor(
    shell: Any,
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
    result = crochet.run_in_reactor(_begin)(function, host)
    if name is not None:
        shell.user_ns[unicodedata.normalize("NFKC", name)] = result  # as Python
    return result


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
