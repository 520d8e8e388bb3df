"""
The source of a cell, made into a function.

First the rules, one by one; then laws that hold for any cell, with Python's own
treatment of the same statements as the reference.
"""

from __future__ import annotations
import __future__

import ast
import builtins
import codeop
import inspect
import keyword
import linecache
import re
import sys
import textwrap
import traceback
import types
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from twisted_ipython.cells import cell_function, is_bindable

FILENAME = "<the cell>"

# None, to whoever looks at it, and to Python once it has normalised the letters.
DISGUISED = "\N{MATHEMATICAL BOLD CAPITAL N}one"

python_3_11 = pytest.mark.skipif(sys.version_info < (3, 11), reason="new in 3.11")
python_3_12 = pytest.mark.skipif(sys.version_info < (3, 12), reason="new in 3.12")


def finished(coroutine: Any) -> Any:
    """The result of a coroutine that waits for nothing."""
    try:
        coroutine.send(None)
    except StopIteration as stop:
        return stop.value
    raise AssertionError("the coroutine waits for something")


def run(source: str, namespace: dict | None = None, **options: Any) -> Any:
    """The result of a cell."""
    namespace = {} if namespace is None else namespace
    function = cell_function(source, FILENAME, namespace, **options)
    result = function()
    return finished(result) if inspect.iscoroutinefunction(function) else result


def bound(source: str, **given: Any) -> dict[str, Any]:
    """What a cell adds to, or changes in, the names it is given."""
    given["__builtins__"] = builtins
    namespace = dict(given)
    run(source, namespace)
    return {
        name: value
        for name, value in namespace.items()
        if name not in given or given[name] is not value
    }


def refusal(source: str, **options: Any) -> SyntaxError:
    """The error of a cell that can't be made a function; it changes nothing."""
    namespace: dict[str, Any] = {}
    with pytest.raises(SyntaxError) as caught:
        cell_function(source, FILENAME, namespace, **options)
    assert namespace == {}
    assert caught.value.filename == FILENAME
    return caught.value


def failing_lines(source: str, **options: Any) -> list[int]:
    """The lines of the cell that are in the traceback of its error, outermost first."""
    try:
        run(source, **options)
    except Exception as error:
        frames = traceback.extract_tb(error.__traceback__)
        return [frame.lineno for frame in frames if frame.filename == FILENAME]
    raise AssertionError("the cell does not fail")


async def later(value: Any = None) -> Any:
    return value


class Stream:
    """What ``async for`` and ``async with`` take."""

    async def __aiter__(self) -> Any:
        for number in range(2):
            yield number

    async def __aenter__(self) -> str:
        return "entered"

    async def __aexit__(self, *exc_info: object) -> None:
        pass


# The result.


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("1 + 1", 2),
        ("x = 2\nx * 3", 6),
        ("x = 2\nx * 3;", 6),
        ("return 7", 7),
        ("return 7\n8", 7),
        ("if 0:\n    return 'early'\n'last'", "last"),
        ("if 1:\n    return 'early'\n'last'", "early"),
        ("for i in range(9):\n    if i == 4:\n        return i", 4),
        ("try:\n    return 1\nfinally:\n    x = 2", 1),
        ("return", None),
        ("x = 1", None),
        ("if 1:\n    2", None),
        ("def f():\n    return 1", None),
    ],
)
def test_result(source: str, expected: object) -> None:
    """A ``return`` gives the result, else an expression that stands last."""
    assert run(source) == expected


@pytest.mark.parametrize(
    "source", ["", " ", "\n\n", "# nothing", "\t\n  # a\n\n", "pass"]
)
def test_nothing(source: str) -> None:
    """A cell that does nothing gives None."""
    assert run(source) is None


@pytest.mark.parametrize(
    ("source", "expected"),
    [("'abc'", "abc"), ("'abc'\n", "abc"), ("'abc'\n1", 1), ("'abc'\nx = 1", None)],
)
def test_no_docstring(source: str, expected: object) -> None:
    """A string that opens a cell is an expression like any other."""
    function = cell_function(source, FILENAME, {})

    assert function.__doc__ is None
    assert function() == expected


# The function.


def test_no_arguments() -> None:
    """The function takes no arguments, whatever the cell does."""
    function = cell_function("from math import *\npi", FILENAME, {})

    assert not inspect.signature(function).parameters


def test_nothing_runs_early() -> None:
    """Making the function runs nothing of the cell and touches no names."""
    namespace: dict[str, Any] = {}

    cell_function("from math import *\nimport sys\nx = 1", FILENAME, namespace)

    assert namespace == {}


def test_runs_again() -> None:
    """The function can be called more than once."""
    namespace = {"n": 0}
    function = cell_function("n += 1\nn", FILENAME, namespace)

    assert [function(), function()] == [1, 2]


def test_live_namespace() -> None:
    """What a cell defines sees what later cells bind."""
    namespace: dict[str, Any] = {}
    run("def f():\n    return later_name", namespace)

    assert run("later_name = 5\nf()", namespace) == 5


def test_shown_as_plain_cell() -> None:
    """A frame of the cell has the name that a plain cell's has."""
    assert cell_function("1", FILENAME, {}).__code__.co_name == "<module>"


def test_names_of_what_is_inside() -> None:
    """What the cell defines is called as in a plain cell, so it can be pickled."""
    source = "class A:\n    class B: pass\ndef f(): pass\nA, A.B, f"

    made = run(source, {"__name__": "somewhere"})

    assert [each.__qualname__ for each in made] == ["A", "A.B", "f"]
    assert {each.__module__ for each in made} == {"somewhere"}


# What awaits.


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("await later(1)", 1),
        ("x = [await later(2)]\nx", [2]),
        ("return await later(3)", 3),
        ("f'{await later(4)}'", "4"),
        ("async for i in Stream(): pass\ni", 1),
        ("async with Stream() as s: pass\ns", "entered"),
        ("[i async for i in Stream()]", [0, 1]),
        ("{i: 0 async for i in Stream()}", {0: 0, 1: 0}),
        ("[await later(i) for i in 'ab']", ["a", "b"]),
        ("[j for i in 'ab' if await later(i) for j in i]", ["a", "b"]),
        ("list(i for i in await later('ab'))", ["a", "b"]),
        ("def f(x=await later(5)): return x\nf()", 5),
        ("(lambda x=await later(6): x)()", 6),
        ("class A(await later(dict)): pass\nA()", {}),
        ("@(await later(repr))\nclass A: pass\ntype(A)", str),
        ("if 0: await later()\n7", 7),
    ],
)
def test_awaits(source: str, expected: object) -> None:
    """A cell that awaits at its own level is a coroutine function."""
    namespace = {"later": later, "Stream": Stream}

    assert inspect.iscoroutinefunction(cell_function(source, FILENAME, namespace))
    assert run(source, namespace) == expected


@pytest.mark.parametrize(
    "source",
    [
        "1",
        "async def f(): await later()",
        "later()",
        "async def f():\n    async with Stream(): pass",
        "(i async for i in Stream())",
        "(await later(i) for i in 'ab')",
        pytest.param(
            "([j async for j in Stream()] for i in 'ab')",
            marks=python_3_11,  # before, Python refuses it anywhere
        ),
        "class A:\n    async def f(self): return await later()",
    ],
)
def test_awaits_not(source: str) -> None:
    """What a nested function or a generator awaits is not awaited by the cell."""
    function = cell_function(source, FILENAME, {"later": later, "Stream": Stream})

    assert not inspect.iscoroutinefunction(function)


# What is bound.

BINDINGS = [
    ("a = b = 1", "a b"),
    ("a, (b, *c) = 1, [2, 3]", "a b c"),
    ("[a, b] = 1, 2", "a b"),
    ("a = 1\na += 1", "a"),
    ("a: int = 1", "a"),
    ("(a): int = 1", "a"),
    ("for a, b in [(1, 2)]: c = 1\nelse: d = 1", "a b c d"),
    ("while True:\n    a = 1\n    break", "a"),
    ("if 0: pass\nelif 1: a = 1", "a"),
    ("with open('/dev/null') as a, open('/dev/null') as b: c = 1", "a b c"),
    ("try: 1 / 0\nexcept Exception as e: a = 1\nfinally: b = 1", "a b"),
    ("try: a = 1\nexcept Exception: pass\nelse: b = 1", "a b"),
    ("import sys", "sys"),
    ("import xml.dom.minidom", "xml"),
    ("import xml.dom.minidom as a, sys as b", "a b"),
    ("from math import pi, e as a", "pi a"),
    ("def f(x, y=0): z = x\nf(1)", "f"),
    ("async def f(x): z = x", "f"),
    ("class A:\n    x = 1\n    def f(self): y = 2", "A"),
    ("(a := 1)", "a"),
    ("[a := i for i in range(2)]", "a"),
    ("list(a := i for i in range(2))", "a"),
    ("{i: [b := j for j in 'x'] for i in range(2) if (a := i) or 1}", "a b"),
    ("f = lambda x, y=(a := 1): (z := x)\nf(1)", "f a"),
    ("[f := lambda x=(a := i): x for i in range(2)]", "f a"),
    ("def f(x=(a := 1), *, y=(b := 2)): pass", "f a b"),
    ("def f(x: (a := int)) -> (b := int): pass", "f a b"),
    ("@(a := staticmethod)\ndef f(): pass", "a f"),
    ("class A((a := dict), metaclass=(b := type)): pass", "A a b"),
    ("match [1, 2, 3]:\n    case [a, *b] as c: pass", "a b c"),
    ("match {'k': 1, 'l': 2}:\n    case {'k': a, **b}: pass", "a b"),
    ("match 1:\n    case int(a) | str(a): pass", "a"),
    ("match 1:\n    case [*_]: pass\n    case _: a = 1", "a"),
    ("global a\na = 1", "a"),
    ("def f():\n    global a\n    a = 1\nf()", "f a"),
    ("a = {}\na['k'] = 1\nclass B: pass\nB.x = 1", "a B"),
    ("[x for x in 'ab' for y in x]\n{x: y for x, y in ['ab']}", ""),
    ("a = 1\ndel a", ""),
    ("a: int", ""),
    ("été = 1\nﬁ = 2", "été fi"),
    ("_ = match = case = type = 1", "_ match case type"),
    ("__class__ = 1", "__class__"),
]


@pytest.mark.parametrize(("source", "names"), BINDINGS)
def test_binds(source: str, names: str) -> None:
    """What a cell binds at its own level lands in the namespace, and only that."""
    assert set(bound(source)) == set(names.split())


@pytest.mark.parametrize(("source", "names"), BINDINGS)
def test_binds_locally(source: str, names: str) -> None:
    """With ``local``, only what is declared global lands in the namespace."""
    namespace: dict[str, Any] = {}

    run(source, namespace, local=True)

    assert set(namespace) == ({"a"} if "global" in source else set())


@python_3_11
def test_binds_in_except_star() -> None:
    """``except*`` binds as ``except`` does."""
    source = "try: 1 / 0\nexcept* ZeroDivisionError as e: a = len(e.exceptions)"

    assert bound(source) == {"a": 1}


@python_3_12
@pytest.mark.parametrize(
    ("source", "names"),
    [
        ("type A = list[A]", "A"),
        ("type A[T] = list[T]\nA.__value__", "A"),
        ("def f[T: int](x: T) -> T: return x\nf(1)", "f"),
        ("class A[T]:\n    x: T\n    def f[U](self, y: U): z = y\nA().f(1)", "A"),
        ("@(a := staticmethod)\ndef f[T](x=(b := 1)): pass", "a b f"),
    ],
)
def test_binds_with_type_parameters(source: str, names: str) -> None:
    """Generic definitions and ``type`` bind their own name."""
    made = bound(source)

    assert set(made) == set(names.split())
    assert all(made[name].__name__ == name for name in {"f", "A"} & set(made))


def test_deletes() -> None:
    """``del`` removes a name from the namespace."""
    namespace = {"a": 1, "b": 2}

    run("del a", namespace)

    assert namespace == {"b": 2}


def test_reads_and_changes() -> None:
    """A name from an earlier cell can be read and then bound again."""
    assert bound("a += 1\nb = a", a=1) == {"a": 2, "b": 2}


def test_nested_functions_see_globals() -> None:
    """A nested function reads the cell's names in the namespace."""
    namespace: dict[str, Any] = {}
    run("a = 1\ndef f(): return a\nclass B:\n    b = a\n    a = 2", namespace)
    namespace["a"] = 3

    assert namespace["f"]() == 3
    assert (namespace["B"].a, namespace["B"].b) == (2, 1)


@pytest.mark.parametrize("local", [False, True])
@pytest.mark.parametrize(
    "source",
    [
        "x = [a for a in [5]]\n[a for b in [0]]",
        "x = [a for b in [0]]\n[a for a in [5]]\nx",
        "x = {a: 0 for a in [5]}\nb = [a for c in [0]]\nb",
        "[[a for a in [5]] for b in [0]]\n[a for b in [0]]",
        "x = [lambda: a for a in [5]]\n[a for b in [0]]",
        "x = [a for a in [5]]\n[f() for f in [lambda: a]]",
    ],
)
def test_variables_of_comprehensions(source: str, local: bool) -> None:
    """A comprehension has variables of its own; another one reads the global."""
    namespace: dict[str, Any] = {"a": 1}
    if local and (3, 12) <= sys.version_info < (3, 12, 4):
        pytest.skip("Python 3.12.0 to 3.12.3 do it wrong in functions")

    assert run(source, namespace, local=local) == [1]
    assert namespace["a"] == 1


def test_local_closure() -> None:
    """With ``local``, nested functions share the cell's variables."""
    source = "a = 1\ndef f():\n    nonlocal a\n    a += 1\nf()\na"

    assert run(source, local=True) == 2


@pytest.mark.parametrize("local", [False, True])
def test_annotations(local: bool) -> None:
    """An annotation of a variable is neither evaluated nor stored."""
    namespace: dict[str, Any] = {}
    source = "a: undefined = 1\nb: undefined\nfor i in '1':\n    c: undefined = a\na, c"

    assert run(source, namespace, local=local) == (1, 1)
    assert set(namespace) == (set() if local else {"a", "c", "i"})


def test_annotated_attribute() -> None:
    """An annotated target that is no name is assigned to."""
    assert run("a = {}\na['k']: int = 1\na") == {"k": 1}


# Imports of a special kind.


@pytest.fixture
def modules(tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A package to import from."""
    package = tmp_path / "cell_package"
    package.mkdir()
    (package / "__init__.py").write_text("")
    (package / "listed.py").write_text("a = 1\n_b = 2\nc = 3\n__all__ = ['a', '_b']")
    (package / "plain.py").write_text("a = 4\n_b = 5")
    (package / "wrong.py").write_text("__all__ = ['absent']")
    monkeypatch.syspath_prepend(str(tmp_path))
    yield
    for name in [name for name in sys.modules if name.startswith("cell_package")]:
        del sys.modules[name]


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("from cell_package.listed import *", {"a": 1, "_b": 2}),
        ("from cell_package.plain import *", {"a": 4}),
        ("a = 0\nfrom cell_package.plain import *", {"a": 4}),
        ("from cell_package.plain import *\na = 0", {"a": 0}),
        ("if 0: pass\nelse:\n    from cell_package.plain import *", {"a": 4}),
        ("for i in 'x': from cell_package.plain import *", {"i": "x", "a": 4}),
        (
            "from cell_package.plain import *; from cell_package.listed import *\n"
            "from cell_package.plain import *",
            {"a": 4, "_b": 2},
        ),
        (
            "async def f(): return a\nfrom cell_package.plain import *\nb = await f()\ndel f",
            {"a": 4, "b": 4},
        ),
    ],
)
@pytest.mark.usefixtures("modules")
def test_star_import(source: str, expected: dict) -> None:
    """``from m import *`` binds what it binds in a plain cell, when its turn comes."""
    assert bound(source) == expected


@pytest.mark.usefixtures("modules")
def test_relative_star_import() -> None:
    """A relative ``from .m import *`` starts at the namespace's own package."""
    assert bound("from .plain import *", __package__="cell_package") == {"a": 4}


@pytest.mark.usefixtures("modules")
def test_star_import_result() -> None:
    """``from m import *`` is no expression: a cell that ends in it gives None."""
    assert run("from cell_package.plain import *") is None


@pytest.mark.parametrize("module", ["cell_package.absent", "cell_package.wrong"])
@pytest.mark.usefixtures("modules")
def test_star_import_fails(module: str) -> None:
    """``from m import *`` that fails does so at its line."""
    source = f"a = 1\nfrom {module} import *"

    assert set(failing_lines(source, first_line=2)) == {3}


@pytest.mark.parametrize(
    ("source", "local"),
    [
        ("from math import *", True),
        ("def f():\n    from math import *", False),
        ("class A:\n    from math import *", False),
    ],
)
def test_star_import_refused(source: str, local: bool) -> None:
    """In functions ``from m import *`` stays what it is, an error."""
    error = refusal(source, local=local)

    assert error.msg == "import * only allowed at module level"
    assert error.lineno == source.count("\n") + 1


ANNOTATED = "def f(x: undefined): pass\nf.__annotations__"


def test_future_import() -> None:
    """``from __future__`` at the top acts on its cell, and on no other."""
    namespace: dict[str, Any] = {}
    source = f"'''A string.'''\n# and a comment\nfrom __future__ import annotations\n{ANNOTATED}"

    assert run(source, namespace) == {"x": "undefined"}
    assert set(namespace) == {"f"}
    with pytest.raises(NameError):
        run(ANNOTATED, namespace)


def test_future_imports_only() -> None:
    """A cell of nothing but future imports gives None."""
    assert run("from __future__ import annotations, division") is None


def test_future_flags() -> None:
    """Future imports of earlier cells are handed over as flags."""
    flags = __future__.annotations.compiler_flag

    assert run(ANNOTATED, flags=flags) == {"x": "undefined"}


def test_other_flags() -> None:
    """Of the flags that a shell compiles with, only future imports count."""
    flags = ast.PyCF_ONLY_AST | ast.PyCF_TYPE_COMMENTS | codeop.PyCF_DONT_IMPLY_DEDENT

    assert run("if 1:\n  x = 1 # type: int", flags=flags) is None


# What is refused.

REFUSED = [
    # What is wrong, where it begins, and what is said.
    ("é = = 1", "= 1", "invalid syntax"),
    ("é = (1", "(1", "'(' was never closed"),
    ("é = 'a", "'a", "unterminated string literal"),
    ("é = 1; f() = 2", "f() = 2", "cannot assign to function call"),
    ("é = 1; break", "break", "'break' outside loop"),
    ("é = 1; continue", "continue", "'continue' not properly in loop"),
    ("é = 1; yield", "yield", "'yield' outside function"),
    ("é = 1; é = [(yield é)]", "yield é", "'yield' outside function"),
    ("é = 1; é = yield from é", "yield from é", "'yield"),
    ("é = list(x for x in (yield))", "yield", "'yield' outside function"),
    ("é = [(yield x) for x in é]", "yield x", "'yield' outside function"),
    (
        "é = list((yield x) for x in é)",
        "yield x",
        "'yield' inside generator expression",
    ),
    ("é = lambda x=(yield): x", "yield", "'yield' outside function"),
    ("é = 1; nonlocal é", "nonlocal é", "nonlocal declaration not allowed at module"),
    ("é = 1; global é", "global é", "assigned to before global declaration"),
    ("é = lambda: await é", "await é", "'await' outside"),
    ("é = [x := 1 for x in é]", "x := 1", "cannot rebind comprehension iteration"),
    ("é = 1; __debug__ = é", "__debug__ = é", "cannot assign to __debug__"),
    ("class é: return 1", "return 1", "'return' outside function"),
    ("class é: await é", "await é", "'await' outside"),
]


@pytest.mark.parametrize(("source", "rest", "message"), REFUSED)
@pytest.mark.parametrize("local", [False, True])
@pytest.mark.parametrize("before", ["", "é = '''\n\f\x1c\u2028'''\r\n# ö\rpass\n"])
def test_refused(
    source: str, rest: str, message: str, local: bool, before: str
) -> None:
    """A SyntaxError of any kind comes at once, and shows the very place."""
    error = refusal(f"{before}{source}\n\n", first_line=4, local=local)

    assert message in error.msg
    assert error.lineno == 4 + (4 if before else 0)
    assert error.text is not None and error.text.rstrip("\n") == source
    assert source[error.offset - 1 :].startswith(rest.rstrip(")] "))
    assert error.end_lineno in (None, error.lineno)


@pytest.mark.parametrize(
    "source", ["def f(): await x", "def f():\n  [x async for x in y]"]
)
def test_await_in_plain_function(source: str) -> None:
    """A cell that awaits gives no licence to a plain function inside it."""
    assert "outside" in refusal(f"await a\n{source}").msg


def test_lines_in_messages() -> None:
    """Lines that a message speaks of are the user's own too."""
    error = refusal("x = 1\nif x:\npass", first_line=10)

    assert "'if' statement on line 11" in error.msg
    assert error.lineno == 12


@pytest.mark.parametrize("bad", ["\0", "\ud800"])
def test_unreadable(bad: str) -> None:
    """A character that no source may hold is shown in its place."""
    error = refusal(f"é = 1\nö = '{bad}'", first_line=3)

    assert (error.lineno, error.offset, error.text) == (4, 6, f"ö = '{bad}'")


def test_keyword_in_disguise() -> None:
    """None in letters that look different is still not a name."""
    assert "None" in refusal(f"{DISGUISED} = 1").msg


def test_late_future_import() -> None:
    """A future import that does not come first is refused."""
    error = refusal("x = 1\nfrom __future__ import annotations", first_line=2)

    assert error.msg.startswith("from __future__ imports must occur at the beginning")
    assert error.lineno == 3


def test_unknown_future_import() -> None:
    """A future import that Python does not know is refused."""
    assert refusal("\nfrom __future__ import braces").lineno == 2


def test_first_misplaced_comes_first() -> None:
    """Of several things that are wrong alike, the first is shown."""
    assert refusal("x = 1\nyield 1\nnonlocal x\nyield 2").lineno == 2


def test_kind_of_error() -> None:
    """Errors of the parser keep their class."""
    with pytest.raises(TabError):
        cell_function("if 1:\n\tx\n        y", FILENAME, {})


def test_warning() -> None:
    """What the compiler warns of is said once, at the user's line."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        cell_function("x = 1\nx is 1\nfor i in x: pass", FILENAME, {}, first_line=5)

    [warning] = caught
    assert warning.category is SyntaxWarning
    assert (warning.filename, warning.lineno) == (FILENAME, 6)


def test_warning_as_error() -> None:
    """A warning that is made an error is refused like one."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert refusal("x = 1\nx is 1", first_line=5).lineno == 6


# The text.


def test_traceback() -> None:
    """A traceback holds the user's lines, of the cell and of what it defines."""
    source = "def f():\n    return [\n        1,\n        1 / 0,\n    ]\n\nf()"

    assert failing_lines(source, first_line=2) == [8, 5]


def test_source_of_function() -> None:
    """What the cell defines can be found by ``inspect``."""
    cell = "%%run_in_reactor\n@staticmethod\ndef f():\n    '''a\n  b'''\nf\n"
    linecache.cache[FILENAME] = (len(cell), None, cell.splitlines(True), FILENAME)
    namespace: dict[str, Any] = {}
    try:
        function = run(cell.split("\n", 1)[1], namespace, first_line=2).__func__
        assert inspect.getsource(function) == "".join(cell.splitlines(True)[1:5])
    finally:
        del linecache.cache[FILENAME]


def test_first_line_of_code() -> None:
    """The code begins at the top of the user's cell, as that of a plain cell does."""
    code = cell_function("\n\n1", FILENAME, {}, first_line=7).__code__

    assert code.co_firstlineno == 1


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("if 1:\n\tx = '''\n\ta\n  b\n'''\nx", "\n\ta\n  b\n"),
        ("if 1:\r\n  x = '''a\r\nb'''\r\nx", "a\nb"),
        ("\f\nif 1:\n    x = '\f'\n\f\nx", "\f"),
        ("# -*- coding: latin-1 -*-\n'é€𝄞'", "é€𝄞"),
        ("'a' \\\n  'b'", "ab"),
        ("x = 1; '''\\\n\\n'''", "\n"),
        ("f'''{\n1}\n'''", "1\n"),
    ],
)
@pytest.mark.parametrize("first_line", [1, 2, 30])
def test_text(source: str, expected: str, first_line: int) -> None:
    """The text is taken as Python takes it: nothing is indented or stripped."""
    assert run(source, first_line=first_line) == expected


def test_deep_tree() -> None:
    """A tree that Python can compile is not too deep for us."""
    assert run("x = " + " + ".join(["1"] * 900) + "\nx") == 900


def test_too_deep_tree() -> None:
    """An exhausted stack is no error of the user's syntax."""
    with pytest.raises((RecursionError, MemoryError)):
        cell_function("-" * 100_000 + "1", FILENAME, {})


# The shell's transformers.


def test_transform() -> None:
    """The tree is changed before it is looked at, and has the user's places."""
    places = []

    class Renamer(ast.NodeTransformer):
        def visit_Name(self, node: ast.Name) -> ast.Name:
            places.append((node.lineno, node.col_offset))
            return ast.copy_location(ast.Name("b", node.ctx), node)

    namespace: dict[str, Any] = {}
    run("if 1:\n    a = 1", namespace, first_line=3, transform=Renamer().visit)

    assert namespace == {"b": 1}
    assert places == [(4, 4)]


def test_transform_fails() -> None:
    """An error of a transformer is passed on as it is."""

    def transform(tree: ast.Module) -> ast.Module:
        raise ValueError("rejected")

    with pytest.raises(ValueError, match="rejected"):
        cell_function("1", FILENAME, {}, transform=transform)


# Names.


@pytest.mark.parametrize(
    "name", ["x", "_", "été", "match", "case", "type", "ﬁ", "print"]
)
def test_bindable(name: str) -> None:
    """Identifiers can be bound; soft keywords and builtins too."""
    assert is_bindable(name)


@pytest.mark.parametrize(
    "name",
    [
        "",
        " ",
        "x ",
        "1x",
        "a.b",
        "a b",
        "*",
        "__debug__",
        "x\n",
        DISGUISED,
        *keyword.kwlist,
    ],
)
def test_not_bindable(name: str) -> None:
    """Keywords can't be bound, nor can what is no identifier."""
    assert not is_bindable(name)


# Laws.

law = settings(
    deadline=None, max_examples=150, suppress_health_check=[HealthCheck.too_slow]
)


class World:
    """
    What the programs of the laws find in their namespace, the same for each run.

    Attributes:
        notes: What they noted, in order.
        given: The namespace as they get it.
    """

    def __init__(self) -> None:
        self.notes: list[object] = []
        self.turns = 3
        self.given: dict[str, Any] = {
            "__name__": "world",
            "a": 1,
            "b": [2, 3],
            "c": "text",
            "d": {"k": 4},
            "f": lambda x=0, *, k=5: [x, k],
            "g": lambda x: x,
            "note": self.note,
            "tick": self.tick,
            "context": self.context,
            "later": later,
            "Stream": Stream,
        }

    def note(self, value: object) -> object:
        self.notes.append(described(value))
        return value

    def tick(self) -> bool:
        self.turns -= 1
        return self.turns >= 0

    @contextmanager
    def context(self) -> Iterator[int]:
        self.notes.append("in")
        yield 4
        self.notes.append("out")


def described(value: object, depth: int = 4) -> object:
    """A value as something that can be compared with that of another run."""
    if isinstance(value, (list, tuple)):
        return [described(each, depth - 1) for each in value] if depth else "…"
    if isinstance(value, dict):
        return described(list(value.items()), depth)
    if isinstance(value, (type, types.FunctionType)):
        return type(value).__name__, value.__name__
    if isinstance(value, (str, int, float, BaseException, type(None))):
        # Without addresses, and without the names of the functions around.
        return re.sub("0x[0-9a-f]+|(reference|<module>).<locals>.", "", repr(value))
    return type(value).__name__


def outcome(run_it: Callable[[dict], Any]) -> dict[str, object]:
    """All that can be observed of a program that runs in a namespace."""
    world = World()
    namespace = dict(world.given)
    ended: object
    try:
        ended = "returned", described(run_it(namespace))
    except SyntaxError as error:
        ended = "refused", error.msg
    except Exception as error:
        ended = "raised", described(error)
    namespace.pop("__builtins__", None)
    names = {name: described(value) for name, value in namespace.items()}
    return {"ended": ended, "notes": world.notes, "names": names}


# Programs. In their forms, a word in capitals stands for what is drawn for it.

EXPRESSIONS = """
NAME | NAME | INT | 'NAME' | (EXPR + EXPR) | (EXPR - EXPR) | (EXPR < EXPR)
(EXPR if EXPR else EXPR) | [EXPR, EXPR] | {'k': EXPR} | f'{NAME} {NAME!r}'
(NAME := EXPR) | note(EXPR) | sum(EXPR for NAME in range(3))
[EXPR for NAME in range(2)] | [EXPR for NAME, NAME in [(EXPR, EXPR)] if EXPR]
{NAME: EXPR for NAME in 'xy'} | [[EXPR for NAME in 'x'] for NAME in [EXPR]]
[(NAME := EXPR) for NAME in [1, 2]] | list((NAME := EXPR) for NAME in [EXPR])
(lambda NAME, *, k=EXPR: INNER)(EXPR) | (lambda NAME=EXPR: [INNER for NAME in 'x'])()
"""
CALLS = "FUNC() | FUNC(EXPR) | FUNC(EXPR, k=EXPR) | FUNC().NAME"
AWAITS = """
(await later(EXPR)) | [EXPR async for NAME in Stream()]
[await later(EXPR) for NAME in range(2)] | list(EXPR for NAME in await later([EXPR]))
type(EXPR async for NAME in Stream()) | type(await later(EXPR) for NAME in 'x')
type([EXPR async for NAME in Stream()] for NAME in [EXPR])
[[EXPR async for NAME in Stream()] for NAME in [EXPR]]
"""
STATEMENTS = """
EXPR | EXPR | NAME = EXPR | NAME = EXPR | NAME = NAME = EXPR | NAME += EXPR | pass
NAME, *NAME = [EXPR, EXPR] | [NAME, (NAME, NAME)] = EXPR, (EXPR, EXPR) | del NAME
note(EXPR) | assert EXPR | raise ValueError(EXPR) | import math as NAME | from math import pi as NAME, e
"""
ANNOTATIONS = "NAME: int = EXPR | NAME: int"
RETURNS = "return EXPR | return EXPR | return | global NAME"
BLOCKS = """
if EXPR:
    BLOCK
---
if EXPR:
    BLOCK
elif EXPR:
    BLOCK
else:
    BLOCK
---
for NAME in range(2):
    BLOCK
else:
    BLOCK
---
for NAME, NAME in [(EXPR, EXPR), (EXPR, EXPR)]:
    BLOCK
    if EXPR: break
---
while tick():
    BLOCK
    if EXPR: continue
    BLOCK
---
try:
    BLOCK
except Exception as NAME:
    BLOCK
else:
    BLOCK
finally:
    BLOCK
---
try:
    BLOCK
except (NameError, TypeError):
    BLOCK
---
with context() as NAME:
    BLOCK
---
match EXPR:
    case int(NAME):
        BLOCK
    case [NAME, *_] | [NAME, _]:
        BLOCK
    case {'k': NAME, **NAME}:
        BLOCK
    case _ as NAME:
        BLOCK
---
def FUNC(NAME=EXPR, *, k=EXPR):
    FUNCTION
---
class NAME:
    CLASS
---
class NAME(type(EXPR)):
    CLASS
"""
AWAITING_BLOCKS = """
async for NAME in Stream():
    BLOCK
---
async with Stream() as NAME:
    BLOCK
"""


def forms(*tables: str) -> list[str]:
    """The forms of one line in these tables."""
    return [form for table in tables for form in re.split(r" \| |\n", table.strip())]


def block_forms(*tables: str) -> list[str]:
    """The forms of several lines in these tables."""
    return [form for table in tables for form in table.strip().split("\n---\n")]


@dataclass(frozen=True)
class Scope:
    """
    Where a piece of a program stands.

    Attributes:
        kind: "cell", "function" or "class".
        awaits: Whether it may await.
        returns: Whether it may return.
        depth: How many pieces may be inside each other there.
    """

    kind: str = "cell"
    awaits: bool = False
    returns: bool = True
    depth: int = 2

    def inside(self) -> Scope:
        return replace(self, depth=self.depth - 1)

    def nested(self, kind: str) -> Scope:
        return Scope(kind, returns=kind == "function", depth=self.depth - 1)

    def expression_forms(self) -> list[str]:
        if self.depth <= 0:
            return ["NAME", "INT"]
        # Functions call none, lest one calls itself for ever.
        calls = [CALLS] if self.kind == "cell" else []
        return forms(EXPRESSIONS, *calls, *([AWAITS] if self.awaits else []))

    def statement_forms(self) -> list[str]:
        tables = [STATEMENTS, RETURNS] if self.returns else [STATEMENTS]
        blocks = [BLOCKS, AWAITING_BLOCKS] if self.awaits else [BLOCKS]
        tables += [ANNOTATIONS] if self.kind == "cell" else []
        return forms(*tables) + (block_forms(*blocks) if self.depth > 0 else [])


def filled(draw: Any, line: str, scope: Scope) -> str:
    """A line of a form, with something drawn for each word in capitals."""

    def drawn(word: re.Match) -> str:
        if word[0] == "NAME":
            return draw(st.sampled_from("abcd"))
        if word[0] == "FUNC":
            return draw(st.sampled_from("fg"))
        if word[0] == "INT":
            return str(draw(st.integers(0, 9)))
        inner = scope.inside() if word[0] == "EXPR" else scope.nested("function")
        return filled(draw, draw(st.sampled_from(inner.expression_forms())), inner)

    return re.sub(r"\b(NAME|FUNC|INT|EXPR|INNER)\b", drawn, line)


def block(draw: Any, scope: Scope) -> list[str]:
    """The lines of one to three statements."""
    lines = []
    for _ in range(draw(st.integers(1, 3))):
        for line in draw(st.sampled_from(scope.statement_forms())).split("\n"):
            word = line.lstrip()
            indent = line[: len(line) - len(word)]
            if word == "BLOCK":
                lines += [indent + each for each in block(draw, scope.inside())]
            elif word in ("FUNCTION", "CLASS"):
                nested = scope.nested(word.lower())
                lines += [indent + each for each in block(draw, nested)]
            else:
                lines.append(filled(draw, line, scope))
    return lines


@st.composite
def programs(draw: Any, returns: bool = True) -> str:
    """Programs of a few statements, which may or may not go well."""
    scope = Scope(awaits=draw(st.booleans()), returns=returns)
    return "\n".join(block(draw, scope))


def reference(source: str, local: bool) -> types.CodeType:
    """The same statements, indented, in a function named ``reference``."""
    lines = source.split("\n")
    last = ast.parse(source).body[-1]
    if isinstance(last, ast.Expr):
        lines[last.lineno - 1] = "return " + lines[last.lineno - 1]
    if not local:
        # What is declared global can't be annotated.
        lines = [re.sub(r"^( *\w+): int =", r"\1 =", line) for line in lines]
        lines = [re.sub(r"^( *)\w+: int$", r"\1pass", line) for line in lines]
        lines.insert(0, "global a, b, c, d, e, f, g, math, pi")
    text = "def reference():\n" + textwrap.indent("\n".join(lines), "    ")
    try:
        return compile(text, FILENAME, "exec", dont_inherit=True)
    except SyntaxError:
        return compile("async " + text, FILENAME, "exec", dont_inherit=True)


def called(function: types.FunctionType) -> tuple[bool, object]:
    """Whether the function awaits, and its result."""
    awaits = inspect.iscoroutinefunction(function)
    return awaits, finished(function()) if awaits else function()


def run_reference(source: str, namespace: dict, local: bool) -> object:
    scratch: dict[str, Any] = {}
    exec(reference(source, local), namespace, scratch)
    return called(scratch["reference"])


@law
@given(source=programs(), local=st.booleans())
def test_same_as_function(source: str, local: bool) -> None:
    """
    A cell does what the same statements do in the body of a function, with the names
    that it binds declared global; or not declared, with ``local``.
    """
    expected = outcome(lambda namespace: run_reference(source, namespace, local))

    assert expected == outcome(
        lambda namespace: called(
            cell_function(source, FILENAME, namespace, local=local)
        )
    )


def run_plain(source: str, namespace: dict) -> None:
    flags = ast.PyCF_ALLOW_TOP_LEVEL_AWAIT
    code = compile(source, FILENAME, "exec", flags, dont_inherit=True)
    try:
        coroutine = eval(code, namespace)
        if coroutine is not None:
            finished(coroutine)
    finally:
        for name in ("__annotations__", "__doc__"):  # which no function stores
            namespace.pop(name, None)


@law
@given(source=programs(returns=False))
def test_same_as_plain_cell(source: str) -> None:
    """A cell that does not return binds what it binds as a plain cell."""
    expected = outcome(lambda namespace: run_plain(source, namespace))

    # The last expression has a value here that the plain cell drops.
    assert expected == outcome(lambda namespace: run(source + "\npass", namespace))


@law
@given(source=programs(), data=st.data())
def test_comments_change_nothing(source: str, data: st.DataObject) -> None:
    """Comments and blank lines, wherever they stand, change nothing."""
    text = st.text(st.characters(exclude_categories=["Cc", "Cs"]), max_size=9)
    gap = st.text(" \t\f", max_size=3)
    between = gap | st.builds("{}#{}".format, gap, text)
    lines = [data.draw(between)]
    for line in source.split("\n"):
        lines += [line, *data.draw(st.lists(between, max_size=2))]

    expected = outcome(lambda namespace: run(source, namespace))

    assert expected == outcome(lambda namespace: run("\n".join(lines), namespace))


FILLERS = [
    "x = 1",
    "",
    "# a comment",
    "'''text\nover\n\n  lines'''",
    "def f(x: int = 1):\n\n    return x",
    "if 1:\n\ty = (1,\n\n2)",
    "class A:\n  'é'; x: int = 1",
    "z: int = 'ü'; # \u2028",
    "for i in range(2):\n  pass\nelse: pass",
    "\f",
    "from math import *",
    "x = f'{1}' '''\x1c\n'''",
    "await later()",
    "[i := j for j in 'ab']",
]
fillers = st.lists(st.sampled_from(FILLERS), max_size=6)
first_lines = st.integers(1, 40)

FAILURES = [
    # What fails, and where: each frame's line, counted from 0.
    ("1 / 0", [0]),
    ("\n\n1 / 0", [2]),
    ("if 1:\n    x = [\n\n        1 / 0]", [3]),
    ("def g():\n\n    1 / 0\ng()", [3, 2]),
    ("class A:\n    x = 1\n    y = 1 / 0", [0, 2]),
    ("x: int = \\\n  1 / 0", [1]),
    ("async def g():\n    1 / 0\nawait g()", [2, 1]),
    ("for i in '1':\n    return 1 / 0", [1]),
]


@law
@given(fillers, st.sampled_from(FAILURES), fillers, first_lines)
def test_line_of_exception(
    before: list[str], failure: tuple, after: list[str], first_line: int
) -> None:
    """An exception is reported at the lines that the user typed."""
    text, lines = failure
    source = "\n".join([*before, text, *after])
    above = first_line + sum(filler.count("\n") + 1 for filler in before)

    reported = failing_lines(source, namespace={"later": later}, first_line=first_line)

    assert reported == [above + line for line in lines]


@law
@given(fillers, st.sampled_from(REFUSED), fillers, first_lines)
def test_line_of_syntax_error(
    before: list[str], refused: tuple, after: list[str], first_line: int
) -> None:
    """A SyntaxError of any kind is reported at the line that the user typed."""
    text = refused[0]
    if text == "é = (1":
        after = []  # which the parser would take for the rest of the expression
    above = first_line + sum(filler.count("\n") + 1 for filler in before)

    error = refusal("\n".join([*before, text, *after]), first_line=first_line)

    assert error.lineno == above
    assert error.text.rstrip("\n") == text


readable = st.characters(exclude_categories=["Cs"], exclude_characters='\0\r\\"')


@law
@given(st.text(readable), first_lines)
def test_text_survives(text: str, first_line: int) -> None:
    """A string over several lines is what stands between its quotes."""
    source = f'if 1:\n\tx = """{text}"""\nx'

    assert run(source, first_line=first_line) == text


identifiers = st.text(
    st.characters(categories=["L", "Nl", "Mn", "Nd", "Pc"]), max_size=4
)
lookalikes = st.sampled_from(
    [
        DISGUISED,
        "\N{MATHEMATICAL BOLD SMALL D}ef",
        "__\N{FULLWIDTH LATIN SMALL LETTER D}ebug__",
        "\N{LATIN SMALL LIGATURE FI}",
        "\N{FULLWIDTH DIGIT ONE}",
        "a\N{FULLWIDTH DIGIT ONE}",
        "\N{MIDDLE DOT}a",
        "a\N{MIDDLE DOT}",
    ]
)


@law
@given(identifiers | lookalikes | st.sampled_from(keyword.kwlist + keyword.softkwlist))
def test_bindable_as_python_says(name: str) -> None:
    """A name can be bound if Python compiles an assignment to it, by way of a tree."""
    try:
        compile(ast.parse(f"{name} = 1"), FILENAME, "exec", dont_inherit=True)
    except (SyntaxError, ValueError):
        assert not is_bindable(name)
    else:
        assert is_bindable(name)
