"""
Code that may await at its top level: does it, run it, run it in a loop.

Pure: knows neither IPython nor Twisted.
"""

from __future__ import annotations

import ast
from collections.abc import Mapping
from inspect import CO_COROUTINE
from types import CodeType
from typing import Any

AWAIT_ALLOWED = ast.PyCF_ALLOW_TOP_LEVEL_AWAIT

_LOOP = """
async def inner(_it, _timer):
    setup
    _t0 = _timer()
    for _i in _it:
        stmt
    _t1 = _timer()
    return _t1 - _t0
"""


def awaits(source: str | bytes) -> bool:
    """Whether it is Python that awaits outside of functions."""
    try:
        code = compile(source, "<cell>", "exec", AWAIT_ALLOWED, dont_inherit=True)
    except Exception:  # whoever runs it will say so
        return False
    return is_coroutine(code)


def is_coroutine(code: CodeType) -> bool:
    """Whether what comes of running it is to be awaited."""
    return bool(code.co_flags & CO_COROUTINE)


async def run_code(
    code: CodeType, variables: dict[str, Any], local: Mapping[str, Any] | None = None
) -> Any:
    """Run code in these namespaces; gives its value if it was compiled to have one."""
    value = eval(code, variables, local)
    return await value if is_coroutine(code) else value


def loop_function(setup: ast.Module, statement: ast.Module) -> ast.Module:
    """
    The source of ``inner(_it, _timer)``, a coroutine function: it runs ``setup``,
    then ``statement`` for each item of ``_it``, and gives what that took.

    The same as in ``timeit``, but that it may await.
    """
    tree = ast.parse(_LOOP)
    [function] = tree.body
    assert isinstance(function, ast.AsyncFunctionDef)
    loop = function.body[2]
    assert isinstance(loop, ast.For)
    loop.body = statement.body
    function.body[:1] = setup.body
    return ast.fix_missing_locations(tree)
