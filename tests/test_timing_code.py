"""Code that may await at its top level, without IPython."""

from __future__ import annotations

import ast
import itertools
from typing import Any

import pytest

from twisted_ipython.timing.code import AWAIT_ALLOWED, awaits, loop_function, run_code


def finish(coro: Any) -> Any:
    """The result of a coroutine that waits for nothing."""
    with pytest.raises(StopIteration) as ended:
        coro.send(None)
    return ended.value.value


@pytest.mark.parametrize(
    "source, expected",
    {
        "await f()": True,
        "x = [await f() for f in fs]": True,
        "async for a in b: pass": True,
        "async with a: pass": True,
        b"# coding: latin-1\nawait f('\xf6')": True,
        "f()": False,
        "awaited = 'await f()'": False,
        "async def f(): await g()": False,
        "await f(": False,
        "await f()\n\0": False,
        "return await f()": False,
        "": False,
    }.items(),
)
def test_awaits(source: str | bytes, expected: bool) -> None:
    """Code awaits if it does so outside of functions, and is Python."""
    assert awaits(source) is expected


async def double(value: int) -> int:
    return 2 * value


@pytest.mark.parametrize("source", ["double(4)", "await double(4)"])
def test_run_code(source: str) -> None:
    """Code is awaited if it is to be; its value is given as it is."""
    code = compile(source, "<cell>", "eval", AWAIT_ALLOWED)
    value = finish(run_code(code, {"double": double}))
    assert (finish(value) if not source.startswith("await") else value) == 8


def test_loop_function() -> None:
    """The setup runs once, the statement for each item; only the latter is timed."""
    ticks = itertools.count(0, 10)
    seen: list[Any] = []
    tree = loop_function(
        ast.parse("seen.append(next(ticks)); n = await double(2)"),
        ast.parse("seen.append(await double(n))\nnext(ticks)"),
    )
    found: dict[str, Any] = {}
    code = compile(tree, "<loop>", "exec")
    exec(code, {"double": double, "seen": seen, "ticks": ticks}, found)

    took = finish(found["inner"](range(3), lambda: next(ticks)))

    assert seen == [0, 8, 8, 8]
    assert took == 40  # of the clock: from 10, three more ticks and the last
