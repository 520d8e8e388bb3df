"""Magics whose code awaits become awaited, in text alone."""

from __future__ import annotations

import ast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from twisted_ipython.timing.code import awaits
from twisted_ipython.timing.lines import as_typed, with_awaitable_magics


def is_wanted(magic: str, line: str, cell: str | None) -> bool:
    """As the extension asks, but that no option comes before the code."""
    return magic == "run" or awaits(line if cell is None else cell)


def rewritten(source: str) -> str:
    lines = source.splitlines(keepends=True)
    return "".join(with_awaitable_magics(lines, is_wanted))


def line_magic(name: str, line: str) -> str:
    """What IPython makes of ``%name line``."""
    return f"get_ipython().run_line_magic({name!r}, {line!r})"


def cell_magic(name: str, line: str, cell: str) -> str:
    return f"get_ipython().run_cell_magic({name!r}, {line!r}, {cell!r})"


TIME = line_magic("time", "await f()")
AWAITED = f"await {line_magic('awaiting_time', 'await f()')}"
RUN = line_magic("run", "file.py")
RUN_AWAITED = f"await {line_magic('awaiting_run', 'file.py')}"

CASES = {
    "alone": (TIME, AWAITED),
    "assigned": (f"x = {TIME}", f"x = {AWAITED}"),
    "assigned twice": (f"x = y = {TIME}", f"x = y = {AWAITED}"),
    "annotated": (f"x: int = {TIME}", f"x: int = {AWAITED}"),
    "after letters of two bytes": (f"größe = {TIME}", f"größe = {AWAITED}"),
    "with letters of two bytes": (
        line_magic("time", "await ö()"),
        "await " + line_magic("awaiting_time", "await ö()"),
    ),
    "two in a line": (f"{TIME}; {TIME}", f"{AWAITED}; {AWAITED}"),
    "whole cell": (
        cell_magic("time", "", "await f()\n"),
        "await " + cell_magic("awaiting_time", "", "await f()\n"),
    ),
    "block": (
        f"if 1:\n    for i in j:\n        {TIME}",
        f"if 1:\n    for i in j:\n        {AWAITED}",
    ),
    "try": (
        f"try:\n    {TIME}\nexcept E:\n    {TIME}\nfinally:\n    {TIME}",
        f"try:\n    {AWAITED}\nexcept E:\n    {AWAITED}\nfinally:\n    {AWAITED}",
    ),
    "match": (
        f"match x:\n    case 1:\n        {TIME}",
        f"match x:\n    case 1:\n        {AWAITED}",
    ),
    "async def": (f"async def g():\n    {TIME}", f"async def g():\n    {AWAITED}"),
    "def": (
        f"def g():\n    x = {TIME}",
        f"def g():\n    x = get_ipython().loop_runner({AWAITED.removeprefix('await ')})",
    ),
    "class": (
        f"class A:\n    {TIME}",
        f"class A:\n    get_ipython().loop_runner({AWAITED.removeprefix('await ')})",
    ),
    "async def in def": (
        f"def g():\n    async def h():\n        {TIME}",
        f"def g():\n    async def h():\n        {AWAITED}",
    ),
    "line ends of others": (
        f"s = '''\x0c\x1c'''\r\n{TIME}",
        f"s = '''\x0c\x1c'''\r\n{AWAITED}",
    ),
    "run beside an await": (f"await f()\n{RUN}", f"await f()\n{RUN_AWAITED}"),
    "run beside a magic": (f"{TIME}\n{RUN}", f"{AWAITED}\n{RUN_AWAITED}"),
    "run in async def": (
        f"async def g():\n    {RUN}",
        f"async def g():\n    {RUN_AWAITED}",
    ),
}


@pytest.mark.parametrize("source, expected", CASES.values(), ids=CASES)
def test_is_awaited(source: str, expected: str) -> None:
    """A magic whose code awaits is awaited where that can be."""
    assert rewritten(source) == expected


SAME = {
    "does not await": line_magic("time", "f()"),
    "awaits in a function": cell_magic("time", "", "async def f():\n    await g()\n"),
    "another magic": line_magic("timer", "await f()"),
    "another cell magic": cell_magic("capture", "", "await f()\n"),
    "in an expression": f"print({TIME})",
    "in a string": f'x = """\n{TIME}\n"""',
    "no constant": "get_ipython().run_line_magic('time', code)",
    "another shell": "shell.run_line_magic('time', 'await f()')",
    "no code": "get_ipython().run_line_magic('time')",
    "run alone": RUN,
    "run beside plain code": f"x = 1\n{RUN}",
    "run in def": f"await f()\ndef g():\n    {RUN}",
    "broken": f"{TIME}\nx = = 1",
    "null": f"{TIME}\n\0",
    "no magic": "await f()",
}


@pytest.mark.parametrize("source", SAME.values(), ids=SAME)
def test_stays(source: str) -> None:
    """All else stays as it is."""
    assert rewritten(source) == source


# Cells of statements and blocks, in which some statements are magics.

statements = st.sampled_from(
    [
        "x = 1",
        "größe = 'ö'",
        "s = '''a\nb'''",
        "await f()",
        line_magic("time", "1"),
        TIME,
        f"x = {line_magic('timeit', 'await f(b)')}",
        f"x = 1; {TIME}; y = 2",
        RUN,
    ]
)
heads = st.sampled_from(
    ["if x:", "for x in y:", "with x:", "def g():", "async def h():", "class A:"]
)


def block(head: str, body: list[str]) -> str:
    """Indented, but for the lines within strings."""
    return "\n".join([head, *("    " + line for line in body)])


cells = st.recursive(
    st.lists(statements, min_size=1, max_size=4),
    lambda inner: st.lists(
        st.builds(
            lambda head, body: block(head, "\n".join(body).split("\n")), heads, inner
        ),
        min_size=1,
        max_size=3,
    ),
    max_leaves=8,
).map(lambda lines: "\n".join(lines) + "\n")


def stock_calls(source: str) -> list[str]:
    """Stock magics that are left, without those that don't await, and %run."""
    found = [
        node.args
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.Call) and len(node.args) == 2
    ]
    texts = [tuple(ast.literal_eval(one) for one in args) for args in found]
    return [name for name, line in texts if name in ("time", "timeit") and awaits(line)]


@given(cells)
def test_laws(source: str) -> None:
    """
    No magic that awaits is left to IPython; lines keep their number, and those
    without a magic their text; what was Python is; twice is once; a cell awaits
    afterwards if it did before, and only through what is awaited in it.
    """
    after = rewritten(source)

    assert stock_calls(after) == []
    before_lines, after_lines = source.split("\n"), after.split("\n")
    assert len(before_lines) == len(after_lines)
    for one, other in zip(before_lines, after_lines, strict=True):
        assert one == other or "get_ipython()" in one
    assert rewritten(after) == after
    if awaits(source):
        assert awaits(after)
    if "'awaiting_" not in after:
        assert after == source


@pytest.mark.parametrize(
    "typed, line",
    {
        "%time await f()": AWAITED,
        "x = %time await f()": f"x = {AWAITED}",
        "%%time await f()": "await " + cell_magic("awaiting_time", "", "await f()"),
        "%%timeit -n1 x\nawait f()": "await "
        + cell_magic("awaiting_timeit", "-n1", "x\nawait f()"),
        "await f()": "await f()",
        TIME: TIME,
    }.items(),
)
def test_as_typed(typed: str, line: str) -> None:
    """What is shown of a cell has its magics as they were typed."""
    assert as_typed(line).split() == typed.split()
