"""
Magics whose code awaits, made awaitable in the text of a cell.

IPython has turned ``%time await f()`` into a call by now. The stock magic could not
run that code: so the call is made one of our magic, which gives a coroutine, and
the cell awaits it::

    get_ipython().run_line_magic('time', 'await f()')
    await get_ipython().run_line_magic('awaiting_time', 'await f()')

The cell then is one that awaits, as if there were no magic in it. In a plain function,
which can't await, the cell's runner waits for the coroutine instead::

    get_ipython().loop_runner(get_ipython().run_line_magic('awaiting_time', …))

Pure: text in, text out, and no line more or less.
"""

from __future__ import annotations

import ast
import io
import re
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum, auto

from .code import awaits

PREFIX = "awaiting_"

# Those that run the code in their line or cell; and %run, which runs a file.
CODE_MAGICS = ("time", "timeit", "prun")
MAGICS = (*CODE_MAGICS, "run")

_MADE = re.compile(
    rf"await get_ipython\(\)\.run_(line|cell)_magic\((?P<given>'{PREFIX}.*)\)$"
)

# Whether a magic, called with this line and this cell, is to be made awaitable.
IsWanted = Callable[[str, str, "str | None"], bool]


def with_awaitable_magics(
    lines: list[str], is_wanted: IsWanted, *, in_reactor: bool = False
) -> list[str]:
    """
    The lines of a cell in which the magics that are wanted are awaited.

    ``%run`` is so only where awaiting changes nothing else: in a cell that awaits
    anyhow, and in an ``async def``.

    Args:
        lines: What IPython has made of a cell.
        is_wanted: Is asked about each call of one of ``MAGICS``.
        in_reactor: Whether the cell runs as one that awaits in any case.
    """
    source = "".join(lines)
    if "().run_" not in source or not any(f"'{name}'" in source for name in MAGICS):
        return lines
    try:
        calls = _calls(ast.parse(source))
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return lines  # whoever runs it will say so
    wanted = [call for call in calls if is_wanted(call.magic, call.line, call.cell)]

    def edited(*places_of_run: _Place) -> str:
        return _edited(
            source,
            [c for c in wanted if c.magic in CODE_MAGICS or c.place in places_of_run],
        )

    text = edited(_Place.ASYNC_FUNCTION)
    if in_reactor or awaits(text):
        text = edited(_Place.ASYNC_FUNCTION, _Place.CELL)
    return text.splitlines(keepends=True)


def as_typed(line: str) -> str:
    """A line of a cell, with what was made of a magic as the user has typed it."""
    made = _MADE.search(line)
    if made is None:
        return line
    try:
        magic, text, *cell = ast.literal_eval(f"[{made['given']}]")
    except (SyntaxError, ValueError):
        return line
    typed = f"{'%%' if cell else '%'}{magic.removeprefix(PREFIX)} {text}"
    return line[: made.start()] + " ".join([typed.rstrip(), *cell])


class _Place(Enum):
    """What a statement stands in, innermost."""

    CELL = auto()
    ASYNC_FUNCTION = auto()
    FUNCTION = auto()  # or a class


@dataclass(frozen=True)
class _Call:
    magic: str
    line: str
    cell: str | None
    node: ast.Call
    place: _Place


def _calls(tree: ast.Module) -> list[_Call]:
    """The calls of magics that are statements, or are assigned."""
    found: list[_Call] = []

    def visit(node: ast.AST, place: _Place) -> None:
        for child in ast.iter_child_nodes(node):
            if isinstance(child, ast.expr):
                continue
            if isinstance(child, ast.AsyncFunctionDef):
                visit(child, _Place.ASYNC_FUNCTION)
            elif isinstance(child, (ast.FunctionDef, ast.ClassDef)):
                visit(child, _Place.FUNCTION)
            else:
                if isinstance(child, ast.stmt):
                    found.extend(_call(getattr(child, "value", None), place))
                visit(child, place)

    visit(tree, _Place.CELL)
    return found


def _call(node: ast.AST | None, place: _Place) -> list[_Call]:
    """The call of a magic that an expression is, if it is one, as IPython spells it."""
    match node:
        case ast.Call(
            func=ast.Attribute(
                value=ast.Call(func=ast.Name(id="get_ipython"), args=[], keywords=[]),
                attr="run_line_magic" | "run_cell_magic" as method,
            ),
            args=[ast.Constant(value=str() as magic), *others],
            keywords=[],
        ) if magic in MAGICS:
            name, given = node.args[0], _texts(others)
            cells = 0 if method == "run_line_magic" else 1
            if (
                len(given) == len(others) == 1 + cells
                and name.lineno == name.end_lineno
            ):
                cell = given[1] if cells else None
                return [_Call(magic, given[0], cell, node, place)]
    return []


def _texts(nodes: list[ast.expr]) -> list[str]:
    """The constants among them that are text."""
    constants = [node.value for node in nodes if isinstance(node, ast.Constant)]
    return [value for value in constants if isinstance(value, str)]


def _edited(source: str, calls: list[_Call]) -> str:
    """The source in which these calls are awaited."""
    edits: list[tuple[int, int, int, str]] = []  # line, from and to in bytes, text
    for call in calls:
        node, name = call.node, call.node.args[0]
        assert node.end_lineno and node.end_col_offset and name.end_col_offset
        plain = call.place is _Place.FUNCTION
        before, after = ("get_ipython().loop_runner(", ")") if plain else ("await ", "")
        edits += [
            (node.lineno, node.col_offset, node.col_offset, before),
            (
                name.lineno,
                name.col_offset,
                name.end_col_offset,
                repr(PREFIX + call.magic),
            ),
            (node.end_lineno, node.end_col_offset, node.end_col_offset, after),
        ]
    # As Python counts lines; str.splitlines knows more line ends.
    lines = [line.encode() for line in io.StringIO(source, newline="")]
    for number, start, end, text in sorted(edits, reverse=True):
        line = lines[number - 1]
        lines[number - 1] = line[:start] + text.encode() + line[end:]
    return b"".join(lines).decode()
