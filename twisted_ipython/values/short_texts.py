"""
Any object in one short line that is the same each time: no address, no line break,
no control character.

Whatever an object's own methods do, there is a text: if need be, its type's name.
"""

from __future__ import annotations

import re
import sys
import traceback
from collections.abc import Callable, Iterator, Mapping
from io import StringIO
from types import TracebackType
from typing import Any

from IPython.lib.pretty import RepresentationPrinter

from ..stops import CellStop
from ..tracebacks import is_machinery

LENGTH = 100
"""Characters of a line; what is longer is cut."""

_SEQUENCE = 20  # members of a container that are looked at
_LOOKED_AT = 4 * LENGTH  # characters, since addresses and the like are taken out
_TRACEBACK_LINES = 200
_TRACEBACK_WIDTH = 500

_LINE_BREAK = re.compile(r"\s*[\n\r\v\f\x1c-\x1e\x85\u2028\u2029]\s*")
_ADDRESS = re.compile(r" at 0x[0-9a-fA-F]*")
_FILE = re.compile(
    r'File "([^"\n]*)", line (\d+)(?:, in <(?:module|cell line: \d+)>)?(?=,|$)',
    re.MULTILINE,
)

_get_name = type.__dict__["__name__"].__get__  # whatever the metaclass says


def type_name(value: object) -> str:
    """The name of its class; it is asked neither, nor is its metaclass. Any thread."""
    return shortened(str(_get_name(type(value))))


def one_line(
    value: object,
    special: Mapping[type, Callable[[Any], str]] | None = None,
    length: int = LENGTH,
) -> str:
    """
    What ``repr`` says of a value, as one short line.

    Args:
        special: Texts for objects of these classes, also inside of containers.

    Raises:
        CellStop: This was going on when somebody stopped the cell.

    Thread:
        Any; the one where ``repr`` of the value may be called.
    """
    printer = _Line(special or {})
    try:
        printer.pretty(value)
    except _Enough:
        pass
    return shortened("".join(printer.parts), length)


def error_line(error: object) -> str:
    """``ValueError: bad``, as one short line. Any thread."""
    name = type_name(error)
    try:
        said = shortened(str.__str__(str(error)))
    except CellStop:
        raise
    except BaseException:
        return name
    return shortened(f"{name}: {said}" if said else name)


def shortened(text: str, length: int = LENGTH) -> str:
    """One line of a text that may hold anything."""
    text = _harmless(_LINE_BREAK.sub(" ", text[:_LOOKED_AT].strip()))
    while _ADDRESS.search(text):  # taken out of one, the rest may be another
        text = _ADDRESS.sub("", text)
    return text if len(text) <= length else text[: length - 3] + "..."


def _harmless(text: str) -> str:
    """With a control character, as one that begins a colour, as ``\\x1b``."""
    if text.isprintable():
        return text
    return "".join(
        each if each.isprintable() else each.encode("unicode_escape").decode("ascii")
        for each in text
    )


class _Enough(BaseException):
    """The line is full."""


class _Line(RepresentationPrinter):
    """IPython's printer of values, that begins no second line and stops early."""

    def __init__(self, special: Mapping[type, Callable[[Any], str]]) -> None:
        super().__init__(StringIO(), max_width=sys.maxsize, max_seq_length=_SEQUENCE)
        self.parts: list[str] = []
        self._left = _LOOKED_AT
        for kind, text in special.items():
            self.type_pprinters[kind] = self._printer(text)

    def _printer(self, text: Callable[[Any], str]) -> Callable[..., None]:
        return lambda value, printer, cycle: self.text(text(value))

    def pretty(self, obj: object) -> None:
        before, left = len(self.parts), self._left
        try:
            super().pretty(obj)
        except (_Enough, CellStop):
            raise
        except BaseException:  # also SystemExit: a repr has no business to raise that
            del self.parts[before:]
            self._left = left
            self.text(type_name(obj))

    def text(self, obj: str) -> None:
        part = str.__str__(obj[: self._left])  # plain, if it is of a subclass
        self.parts.append(part)
        self._left -= len(part)
        if self._left <= 0:
            raise _Enough

    def breakable(self, sep: str = " ") -> None:
        self.text(sep)

    def break_(self) -> None:
        self.text(" ")

    def flush(self) -> None:
        pass


def user_traceback(
    error: BaseException,
    tb: Any,
    cell_name: Callable[[str], str | None] = lambda filename: None,
) -> str:
    """
    The traceback of an exception and of what it came from: the user's frames.

    Changes neither the exception nor its traceback.

    Args:
        tb: Its traceback, also one of Twisted's imitations.
        cell_name: ``Cell In[3]`` for the file that holds a cell's code.

    Returns:
        Lines of a harmless text; "" if no frame is known.

    Thread:
        Any.
    """
    try:
        return _user_traceback(error, tb, cell_name)
    except CellStop:
        raise
    except BaseException:  # its ``__str__``, or that of what it came from
        return ""


def _user_traceback(
    error: BaseException, tb: Any, cell_name: Callable[[str], str | None]
) -> str:
    real = tb if isinstance(tb, TracebackType) else None
    report = traceback.TracebackException(type(error), error, real)
    if real is None:
        report.stack = traceback.StackSummary.from_list(list(_imitated(tb)))
    reports = list(_with_origins(report))
    if not any(each.stack for each in reports):
        return ""
    for each in reports:
        kept = [one for one in each.stack if not is_machinery(one.filename)]
        each.stack = traceback.StackSummary.from_list(
            # Without the columns, so that no Python underlines anything.
            [
                (one.filename, one.lineno or 0, one.name, one.line)
                for one in kept or each.stack
            ]
        )

    def named(found: re.Match[str]) -> str:
        name = cell_name(found[1])
        return found[0] if name is None else f"{name}, line {found[2]}"

    lines = [
        _ADDRESS.sub("", _harmless(line[:_TRACEBACK_WIDTH]))
        for line in _FILE.sub(named, "".join(report.format())).splitlines()
    ]
    if len(lines) > _TRACEBACK_LINES:
        half = _TRACEBACK_LINES // 2
        lines[half:-half] = [f"... and {len(lines) - 2 * half} lines more"]
    return "\n".join(lines)


def _imitated(tb: Any) -> Iterator[tuple[str, int, str, None]]:
    while tb is not None:
        code = tb.tb_frame.f_code
        yield code.co_filename, tb.tb_lineno, code.co_name, None
        tb = tb.tb_next


def _with_origins(
    report: traceback.TracebackException,
) -> Iterator[traceback.TracebackException]:
    """It comes as a tree: what was seen before has no report a second time."""
    ahead: list[traceback.TracebackException | None] = [report]
    while ahead:
        one = ahead.pop()
        if one is not None:
            yield one
            ahead += [one.__cause__, one.__context__]
            ahead += getattr(one, "exceptions", None) or []
