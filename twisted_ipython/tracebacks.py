"""
Tracebacks that hold the user's frames.

Between two frames of the user's there are often five of machinery: of this
package, crochet, and what of Twisted carries a failure from place to place.
They are taken out of the chain of traceback objects, so that whatever shows or
walks it (IPython, %debug, the traceback module) sees what the user wrote.
"""

from __future__ import annotations

import builtins
import inspect
import linecache
import os
import textwrap
import threading
from collections.abc import Iterator
from importlib.util import find_spec
from types import TracebackType

from .timing.lines import as_typed

_GROUP = getattr(builtins, "BaseExceptionGroup", ())  # from Python 3.11 on
_HERE = os.path.dirname(__file__) + os.sep


def _folder(package: str) -> str:
    spec = find_spec(package)
    if spec is None or spec.origin is None:
        return os.devnull
    return os.path.dirname(spec.origin) + os.sep


_TWISTED = _folder("twisted")
_MACHINERY = (
    threading.__file__,  # what EventualResult.wait() waits in
    _HERE,
    _folder("crochet"),
    _folder("wrapt"),
    _TWISTED + os.path.join("_threads", ""),
    _TWISTED + os.path.join("internet", "asyncioreactor.py"),
    _TWISTED + os.path.join("internet", "base.py"),
    _TWISTED + os.path.join("internet", "defer.py"),
    _TWISTED + os.path.join("internet", "threads.py"),
    _TWISTED + os.path.join("python", "context.py"),
    _TWISTED + os.path.join("python", "failure.py"),
    _TWISTED + os.path.join("python", "log.py"),
    _TWISTED + os.path.join("python", "threadpool.py"),
)


# What calls a user's code out of an event loop.
_CALLERS = (*_MACHINERY, _TWISTED, _folder("asyncio"))


def users_part(head: TracebackType | None) -> TracebackType | None:
    """Where a traceback leaves the loop's code for the user's; None if it does not."""
    for tb in _chain(head):
        if not tb.tb_frame.f_code.co_filename.startswith(_CALLERS):
            return tb
    return None


def is_machinery(filename: str) -> bool:
    """Whether code of that file stands between the user's frames only."""
    return filename.startswith(_MACHINERY)


def cell_line(tb: TracebackType | None) -> str:
    """The text of the line where a traceback enters the cell; "" if unknown."""
    for one in _chain(tb):
        if not _hidden(one) and not _is_shell(one):
            line = linecache.getline(one.tb_frame.f_code.co_filename, one.tb_lineno)
            return textwrap.shorten(as_typed(line.strip()), 60, placeholder=" ...")
    return ""


class HiddenFrames:
    """
    Takes machinery out of an exception's tracebacks, and puts it back.

    Keeps what was taken out for the last exception alone, as Python keeps
    ``sys.last_value``.

    Thread:
        Where exceptions are shown: shell thread and reactor thread, one at a
        time, since a shell runs one cell at a time in each.
    """

    def __init__(self) -> None:
        self._of: BaseException | None = None
        self._heads: list[tuple[BaseException, TracebackType]] = []
        self._links: list[tuple[TracebackType, TracebackType | None]] = []

    def hide(self, error: BaseException) -> None:
        """Take the machinery out of ``error`` and what it came from."""
        if self._of is not error:
            self._of, self._heads, self._links = error, [], []
        for one in with_origins(error):
            head = one.__traceback__
            if head is None:
                continue
            kept = [tb for tb in _chain(head) if not _hidden(tb)]
            if not kept or len(kept) == sum(1 for _ in _chain(head)):
                continue
            self._heads.append((one, head))
            self._links += [(tb, tb.tb_next) for tb in _chain(head)]
            for tb, following in zip(kept, [*kept[1:], None], strict=True):
                tb.tb_next = following
            one.with_traceback(kept[0])

    def show(self, error: BaseException) -> None:
        """Put back what ``hide`` took out of ``error``."""
        if self._of is not error:
            return
        for tb, following in reversed(self._links):
            tb.tb_next = following
        for one, head in reversed(self._heads):
            one.with_traceback(head)
        self._heads, self._links = [], []


def _hidden(tb: TracebackType) -> bool:
    return is_machinery(tb.tb_frame.f_code.co_filename)


def _is_shell(tb: TracebackType) -> bool:
    return str(tb.tb_frame.f_globals.get("__name__")).startswith("IPython.")


def _chain(head: TracebackType | None) -> Iterator[TracebackType]:
    while head is not None:
        yield head
        head = head.tb_next


def with_origins(error: BaseException) -> list[BaseException]:
    """``error``, its causes, contexts and the members of groups, each once."""
    found: dict[int, BaseException] = {}
    ahead: list[BaseException | None] = [error]
    while ahead:
        one = ahead.pop()
        if one is not None and id(one) not in found:
            found[id(one)] = one
            ahead += [one.__cause__, one.__context__]
            ahead += members(one)
    return list(found.values())


def was_suspended(error: BaseException) -> bool:
    """Whether it was raised in a coroutine, as what closes one is."""
    code = [tb.tb_frame.f_code for tb in _chain(error.__traceback__)][-1:]
    return any(each.co_flags & inspect.CO_COROUTINE for each in code)


def raised_in(error: BaseException, filename: str) -> bool:
    """Whether it was raised in the code of that file."""
    files = [tb.tb_frame.f_code.co_filename for tb in _chain(error.__traceback__)]
    return files[-1:] == [filename]


def members(error: BaseException) -> list[BaseException]:
    """The exceptions in an exception group; of others, none."""
    if isinstance(error, _GROUP):
        return list(error.exceptions)  # type: ignore[attr-defined]
    return []
