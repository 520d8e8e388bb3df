"""``%%run_in_reactor``: any cell, in the reactor thread, in a real kernel."""

from __future__ import annotations

import sys
from collections.abc import Callable

import pytest

from checks import (
    begun,
    cell_frames_only,
    everything_printed,
    keeps_frames,
    no_more_than_said,
)
from kernels import Cell, Kernel, plain


def run(kernel: Kernel, body: str, name: str = "er") -> Cell:
    """Run the body under the magic; the cell has to succeed."""
    return kernel.ok(f"%%run_in_reactor {name}".rstrip() + f"\n{body}")


def result(kernel: Kernel, body: str, name: str = "er") -> object:
    """Run the body under the magic and wait for its result, a literal."""
    run(kernel, body, name)
    # Waited for in a cell, so that an error is shown with its traceback.
    cell = kernel.ok("waited = er.wait(10)")
    assert cell.status == "ok"
    return kernel.value("waited")


# What it gives


def test_gives_an_eventual_result(kernel: Kernel) -> None:
    """NAME is bound to a crochet EventualResult."""
    run(kernel, "return 1", "named")
    assert kernel.value("isinstance(named, crochet.EventualResult)")
    assert kernel.ok("named.wait(5)").result == "1"


def test_shows_it(kernel: Kernel) -> None:
    """The EventualResult is the cell's ``Out``, without an address."""
    cell = run(kernel, "return 1", "named")
    assert cell.result is not None and "EventualResult" in cell.result
    assert "0x" not in cell.result
    assert kernel.value(f"Out[{cell.execution_count}] is named")


def test_without_a_name(kernel: Kernel) -> None:
    """Without NAME it is IPython's own ``_``."""
    cell = run(kernel, "return 'anonymous'", "")
    assert "EventualResult" in str(cell.result)
    assert kernel.ok("_.wait(5)").result == "'anonymous'"


def test_underscore_goes_on(kernel: Kernel) -> None:
    """``_`` is the last result after the next cell too, as ever."""
    run(kernel, "return 1", "")
    kernel.ok("6 * 7")
    assert kernel.value("_") == 42
    kernel.ok("await sleep(0.01, 43)")
    assert kernel.value("(_, __)") == (43, 42)


def test_name_leaves_underscore_to_ipython(kernel: Kernel) -> None:
    """With NAME, ``_`` is what was shown: the same EventualResult."""
    run(kernel, "return 1", "named")
    assert kernel.value("_ is named")


def test_replaces_the_name(kernel: Kernel) -> None:
    """NAME that was bound before is bound anew."""
    run(kernel, "return 1", "er")
    assert result(kernel, "return 2") == 2


def test_runs_in_the_reactor_thread(kernel: Kernel) -> None:
    """The cell's code runs in the reactor thread; the magic itself returns at once."""
    kernel.ok("from twisted.python.threadable import isInIOThread")
    assert result(kernel, "return isInIOThread()") is True


def test_does_not_wait(kernel: Kernel) -> None:
    """The cell ends while its work goes on."""
    run(kernel, "return pending()", "held")
    kernel.ok("%%run_in_reactor er\nreturn 'meanwhile'")
    assert kernel.ok("er.wait(5)").result == "'meanwhile'"
    kernel.ok("held.cancel()")
    kernel.wait_for_value("cancelled", ["pending"])


def test_without_autoawait(fresh_kernel: Callable[..., Kernel]) -> None:
    """It needs no ``%autoawait twisted``."""
    kernel = fresh_kernel(await_twisted=False)
    assert result(kernel, "x = await sleep(0.01, 5)\nreturn x") == 5


def test_awaited(kernel: Kernel) -> None:
    """The EventualResult can be awaited in the next cell."""
    run(kernel, "return sleep(0.05, 'awaited')")
    assert kernel.ok("await er").result == "'awaited'"


def test_output_lands_in_the_cell(kernel: Kernel) -> None:
    """What it prints is the output of that cell, also what it prints later."""
    cell = run(kernel, "print('now')\nawait sleep(0.1)\nprint('later')")
    kernel.ok("other = 1")
    cell.wait_for_output("later\n")
    assert cell.stdout == "now\nlater\n"


# The result


def test_return(kernel: Kernel) -> None:
    """``return`` at the top of the cell gives the result."""
    assert result(kernel, "x = 1\nreturn x + 1") == 2


def test_return_early(kernel: Kernel) -> None:
    """``return`` ends the cell wherever it is."""
    body = "seen = []\nfor i in range(5):\n    seen.append(i)\n    if i == 2:\n        return seen\n99"
    assert result(kernel, body) == [0, 1, 2]


def test_return_nothing(kernel: Kernel) -> None:
    """A bare ``return`` gives None, whatever expression follows."""
    assert result(kernel, "if True:\n    return\n5") is None


def test_last_expression(kernel: Kernel) -> None:
    """Without ``return``, the last expression is the result."""
    assert result(kernel, "x = 20\nx + 1") == 21


def test_return_deeper_does_not_count(kernel: Kernel) -> None:
    """``return`` in a nested function is that function's; the last expression still counts."""
    assert result(kernel, "def f():\n    return 1\nf() + 1") == 2


def test_return_here_and_an_expression_last(kernel: Kernel) -> None:
    """With a ``return`` not taken, the last expression is still the result."""
    assert result(kernel, "if False:\n    return 1\n'last'") in ("last",)


def test_last_statement_that_is_none(kernel: Kernel) -> None:
    """A cell whose last statement is no expression gives None."""
    assert result(kernel, "x = 5") is None


def test_deferred(kernel: Kernel) -> None:
    """A Deferred, returned or last, is waited for."""
    assert result(kernel, "return sleep(0.01, 'returned')") == "returned"
    assert result(kernel, "sleep(0.01, 'last')") == "last"


def test_semicolon(kernel: Kernel) -> None:
    """A semicolon at the end of ``return`` is harmless."""
    assert result(kernel, "return 5;") == 5


def test_await(kernel: Kernel) -> None:
    """``await`` is allowed, of Deferreds and of asyncio."""
    assert (
        result(
            kernel, "x = await sleep(0.01, 1)\ny = await asyncio.sleep(0.01, 2)\nx + y"
        )
        == 3
    )


def test_async_for_and_with(kernel: Kernel) -> None:
    """``async for``, ``async with`` and asynchronous comprehensions are allowed."""
    kernel.ok(
        "async def count(n):\n    for i in range(n):\n        yield await sleep(0, i)"
    )
    body = (
        "seen = []\n"
        "async with asyncio.Lock():\n"
        "    async for i in count(2):\n"
        "        seen.append(i)\n"
        "seen + [i async for i in count(2)] + [await sleep(0, 9)]"
    )
    assert result(kernel, body) == [0, 1, 0, 1, 9]


def test_example_of_the_first_readme(kernel: Kernel) -> None:
    """The cell that the first README showed."""
    body = (
        "\n# This runs this non-awaiting code in the correct thread\n"
        "# and allows access to the returned value via crochet's\n# EventualResult\n\n"
        "d = sleep(0.01)\n\nd.addCallback(lambda _: 'We did it!')\n\nreturn d\n"
    )
    assert result(kernel, body) == "We did it!"


# Names


BINDING = {
    "assignment": ("a = 1", {"a": 1}),
    "several": ("a, (b, *c) = 1, (2, 3, 4)", {"a": 1, "b": 2, "c": [3, 4]}),
    "augmented": ("total += 1", {"total": 1}),
    "annotated": ("n: int = 3", {"n": 3}),
    "function": ("def f(x):\n    return x + 1", {"f(1)": 2}),
    "async function": (
        "async def f(x):\n    return x\nis_there = True",
        {"is_there": True},
    ),
    "class": (
        "class C:\n    x = 5\n    def m(self):\n        return self.x",
        {"C().m()": 5},
    ),
    "class with super": (
        "class A:\n    def m(self):\n        return 1\n"
        "class B(A):\n    def m(self):\n        return super().m() + 1",
        {"B().m()": 2},
    ),
    "import": ("import math", {"math.floor(1.5)": 1}),
    "import as": ("import os.path as p", {"p.basename('a/b')": "b"}),
    "import dotted": ("import xml.sax", {"xml.sax.__name__": "xml.sax"}),
    "from import": ("from math import floor as down", {"down(1.5)": 1}),
    "import star": ("from math import *", {"floor(1.5)": 1}),
    "for": ("for i in range(3):\n    j = i", {"i": 2, "j": 2}),
    "for and else": ("for i in []:\n    pass\nelse:\n    e = 1", {"e": 1}),
    "with": (
        "with open('/dev/null') as f:\n    g = f.name",
        {"g": "/dev/null", "f.closed": True},
    ),
    "walrus": ("if (w := 5) > 3:\n    pass", {"w": 5}),
    "walrus in a comprehension": ("[last := x for x in 'abc']", {"last": "c"}),
    "try": ("try:\n    t = 1\nfinally:\n    u = 2", {"t": 1, "u": 2}),
    "global": ("global g\ng = 7", {"g": 7}),
    "match": (
        "match [1, 2]:\n    case [m, *rest]:\n        pass",
        {"m": 1, "rest": [2]},
    ),
    "decorated": (
        "import functools\n@functools.lru_cache\ndef f(n):\n"
        "    return n if n < 2 else f(n-1) + f(n-2)",
        {"f(20)": 6765},
    ),
    "mutual recursion": (
        "def even(n):\n    return n == 0 or odd(n - 1)\n"
        "def odd(n):\n    return n != 0 and even(n - 1)",
        {"even(10)": True},
    ),
    "lambda": ("double = lambda x: 2 * x", {"double(4)": 8}),
    "unicode": ("größe = 3", {"größe": 3}),
    "after an await": ("x = await sleep(0.01, 1)\ny = x + 1", {"x": 1, "y": 2}),
    "await in for": (
        "async def c():\n    yield 1\nasync for k in c():\n    pass",
        {"k": 1},
    ),
}


@pytest.mark.parametrize("name", BINDING)
def test_binds(fresh_kernel_names: Kernel, name: str) -> None:
    """What the cell binds lands in the user's namespace."""
    body, expected = BINDING[name]
    kernel = fresh_kernel_names
    run(kernel, body)
    kernel.ok("waited = er.wait(10)")
    assert {expression: kernel.value(expression) for expression in expected} == expected


@pytest.fixture
def fresh_kernel_names(kernel: Kernel) -> Kernel:
    """The kernel, with what these cells count on."""
    kernel.ok("total = 0")
    return kernel


def test_nothing_else_lands(kernel: Kernel) -> None:
    """No name that the cell does not bind appears: no helper, nothing from inside."""
    names = "sorted(n for n in globals() if not n.startswith('_'))"
    hidden = (
        "sorted(n for n in globals() if n.startswith('_')"
        " and not __import__('re').fullmatch('_+|_[0-9]+|_i+|_i[0-9]+|_[iod]h', n))"
    )
    run(kernel, "return 0")
    before, before_hidden = kernel.value(names), kernel.value(hidden)
    body = (
        "bound = [inside for inside in range(3)]\n"
        "def function(argument):\n"
        "    local = argument\n"
        "    return local\n"
        "try:\n"
        "    1 / 0\n"
        "except ZeroDivisionError as problem:\n"
        "    pass\n"
        "await sleep(0.01)\n"
        "annotated: int = 1\n"
        "return function(1)\n"
    )
    run(kernel, body)
    kernel.ok("er.wait(5);")
    assert sorted(set(kernel.value(names)) - set(before)) == [
        "annotated",
        "bound",
        "function",
    ]
    assert (
        sorted(set(kernel.value(hidden)) - set(before_hidden) - {"__annotations__"})
        == []
    )
    kernel.ok("del bound, function, annotated")


def test_shell_namespace_is_the_cells(kernel: Kernel) -> None:
    """``globals()`` in the cell is the user's namespace, and ``__name__`` is ``__main__``."""
    assert result(kernel, "return globals() is get_ipython().user_ns, __name__") == (
        True,
        "__main__",
    )


def test_rebinds(kernel: Kernel) -> None:
    """A name of the user's can be read and bound anew in one statement."""
    kernel.ok("LOG = [1]")
    run(kernel, "LOG = LOG + [2]")
    kernel.ok("er.wait(5)")
    assert kernel.value("LOG") == [1, 2]


def test_deletes(kernel: Kernel) -> None:
    """``del`` deletes in the user's namespace."""
    kernel.ok("doomed = 1")
    run(kernel, "del doomed")
    kernel.ok("er.wait(5)")
    assert kernel.value("'doomed' in globals()") is False


def test_bound_at_once(kernel: Kernel) -> None:
    """A name is there when its line has run, before the cell's work is done."""
    run(kernel, "early = 1\nawait pending()\nlate = 2", "held")
    kernel.wait_for_value("'early' in globals()")
    assert kernel.value("'late' in globals()") is False
    kernel.ok("held.cancel()\ndel early")


def test_bound_before_an_error(kernel: Kernel) -> None:
    """What was bound before an error stays bound, as in a plain cell."""
    run(kernel, "before_error = 1\n1 / 0")
    kernel.run("er.wait(5)")
    assert kernel.value("before_error") == 1


def test_functions_see_later_changes(kernel: Kernel) -> None:
    """A function defined there reads the user's names, as they are when it runs."""
    run(kernel, "setting = 1\ndef read():\n    return setting")
    kernel.ok("er.wait(5)")
    kernel.ok("setting = 2")
    assert kernel.value("read()") == 2


def test_functions_may_write(kernel: Kernel) -> None:
    """``global`` in a function defined there means the user's namespace."""
    run(
        kernel,
        "counter = 0\ndef count():\n    global counter\n    counter += 1\ncount()\ncount()",
    )
    kernel.ok("er.wait(5)")
    assert kernel.value("counter") == 2


def test_nonlocal(kernel: Kernel) -> None:
    """Closures within the cell's functions work as ever."""
    body = (
        "def make():\n"
        "    n = 0\n"
        "    def more():\n"
        "        nonlocal n\n"
        "        n += 1\n"
        "        return n\n"
        "    return more\n"
        "more = make()\nmore()\nreturn more()"
    )
    assert result(kernel, body) == 2


def test_local(kernel: Kernel) -> None:
    """``--local`` keeps what the cell binds to the cell."""
    kernel.ok("outside = 'unchanged'")
    body = (
        "outside = 'changed'\ninside = 1\nimport math as inner_module\n"
        "def inner():\n    return inside\nreturn inner()"
    )
    assert result(kernel, body, "--local er") == 1
    assert kernel.value("outside") == "unchanged"
    assert (
        kernel.value(
            "[n for n in ('inside', 'inner_module', 'inner') if n in globals()]"
        )
        == []
    )


def test_local_after_the_name(kernel: Kernel) -> None:
    """``--local`` may follow NAME."""
    assert result(kernel, "kept_in = 1\nkept_in", "er --local") == 1
    assert kernel.value("'kept_in' in globals()") is False


def test_local_without_a_name(kernel: Kernel) -> None:
    """``--local`` goes without NAME too."""
    run(kernel, "kept_in = 1\nreturn kept_in", "--local")
    assert kernel.ok("_.wait(5)").result == "1"


def test_local_with_await(kernel: Kernel) -> None:
    """``--local`` and ``await`` together; ``global`` still means the user's namespace."""
    body = "global shared\nshared = await sleep(0.01, 3)\nown = 1\nreturn own"
    assert result(kernel, body, "--local er") == 1
    assert kernel.value("(shared, 'own' in globals())") == (3, False)


# Any cell


ANY_CELL = {
    "comments only": ("# nothing\n\n# at all", None),
    "blank lines": ("\n\n   \n", None),
    "leading blank lines": ("\n\n\n7", 7),
    "tabs": ("def f(n):\n\tif n:\n\t\treturn 'tab'\nf(1)", "tab"),
    "deep nesting": (
        "class A:\n    class B:\n        def m(self):\n            def n():\n"
        "                return [x for x in (1, 2) if x]\n            return n()\nA.B().m()",
        [1, 2],
    ),
    "multi-line string": ('s = """a\n    b\n\tc\n\n  d"""\ns', "a\n    b\n\tc\n\n  d"),
    "string like a magic": (
        's = """\n%pwd\n!ls\n?x\n%%time\n"""\ns',
        "\n%pwd\n!ls\n?x\n%%time\n",
    ),
    "f-string over lines": ('n = 2\ns = f"""\n  {n}\n"""\ns', "\n  2\n"),
    "raw string": (r"s = r'\n\t'" + "\ns", r"\n\t"),
    "line continuation": ("x = 1 + \\\n    2\nx", 3),
    "string continuation": ("s = 'a\\\nb'\ns", "ab"),
    "trailing spaces in a string": ("s = '''a  \nb '''\ns", "a  \nb "),
    "unusual spaces in a string": ("s = '\xa0\u2003'\ns", "\xa0\u2003"),
    "two statements": ("a = 1; b = 2; a + b", 3),
    "if at the end": ("if True:\n    5", None),
    "docstring alone": ("'text'", "text"),
    "ellipsis": ("...\n1", 1),
    "starred": ("*a, b = 1, 2, 3\na", [1, 2]),
    "dictionary over lines": ("{\n    'a': 1,\n\n    'b': 2,\n}", {"a": 1, "b": 2}),
    "comment after": ("5  # five", 5),
    "comment below": ("5\n# that was five\n", 5),
    "conditional def": (
        "if True:\n    def f():\n        return 1\nelse:\n    f = None\nf()",
        1,
    ),
    "yield in a function": ("def g():\n    yield 1\n    yield 2\nlist(g())", [1, 2]),
    "return in a string": ("s = 'return 5'\ns", "return 5"),
    "future import": ("from __future__ import annotations\n5", 5),
    "await in a nested function": (
        "async def f():\n    return await sleep(0.01, 4)\nreturn f()",
        4,
    ),
    "global in the middle": ("def f():\n    global gg\n    gg = 1\nf()\ngg", 1),
    "names of ours": (
        "def cell(): return 1\n_cell = 2\nreactor_result = cell() + _cell\nreactor_result",
        3,
    ),
}


@pytest.mark.parametrize("name", ANY_CELL)
def test_any_cell(kernel: Kernel, name: str) -> None:
    """Whatever a notebook may hold behaves as in a plain cell."""
    body, expected = ANY_CELL[name]
    assert result(kernel, body) == expected


@pytest.mark.parametrize("body", ["", "\n", "\n\n"])
def test_empty(kernel: Kernel, body: str) -> None:
    """An empty cell gives None."""
    kernel.ok(f"%%run_in_reactor er\n{body}")
    assert kernel.ok("er.wait(5) is None").result == "True"


def test_nothing_below_the_magic(kernel: Kernel) -> None:
    """A cell that is the magic's line alone, without a newline, is an empty cell."""
    kernel.ok("%%run_in_reactor er")
    assert kernel.ok("er.wait(5) is None").result == "True"


def test_windows_line_ends(kernel: Kernel) -> None:
    """A cell with CRLF line ends runs."""
    kernel.ok("%%run_in_reactor er\r\ndef f():\r\n    return 5\r\nf()")
    assert kernel.ok("er.wait(5)").result == "5"


def test_line_magic(kernel: Kernel) -> None:
    """A line magic as a statement, in an assignment, and as the last expression."""
    kernel.ok("here = %pwd")
    assert result(kernel, "%pwd") == kernel.value("here")
    assert result(kernel, "there = %pwd\nreturn there") == kernel.value("here")
    assert result(kernel, "if True:\n    again = %pwd\nagain") == kernel.value("here")


def test_system_command(kernel: Kernel) -> None:
    """``!command`` runs and prints in that cell; ``x = !command`` is its lines."""
    cell = run(
        kernel, "!echo from the system\nlines = !echo captured\nreturn list(lines)"
    )
    assert kernel.ok("er.wait(10)").result == "['captured']"
    cell.wait_for_output("from the system")


def test_help_syntax(kernel: Kernel) -> None:
    """``name?`` in the cell does not keep it from running."""
    kernel.run("%%run_in_reactor er\nlen?\nreturn 5")
    assert kernel.ok("er.wait(5)").result == "5"


def test_tabs_and_strings_byte_for_byte(kernel: Kernel) -> None:
    """A string of every kind of white space is the same under the magic and without."""
    body = 'text = """\n\tone\n \t two\n\n    three\n\x0c four \n"""'
    kernel.ok(body)
    plain = kernel.value("text")
    run(kernel, body)
    kernel.ok("er.wait(5)")
    assert kernel.value("text") == plain


def test_source_of_a_function(kernel: Kernel) -> None:
    """``inspect.getsource`` finds a function that was defined there."""
    run(kernel, "x = 1\n\ndef sourced(a):\n    # a comment\n    return a")
    kernel.ok("er.wait(5)\nimport inspect")
    assert kernel.value("inspect.getsource(sourced)") == (
        "def sourced(a):\n    # a comment\n    return a\n"
    )


@pytest.mark.skipif(
    sys.version_info < (3, 12), reason="type statements came with Python 3.12"
)
def test_type_statement(kernel: Kernel) -> None:
    """A ``type`` statement and a generic function bind as well."""
    run(
        kernel,
        "type Pair[T] = tuple[T, T]\ndef first[T](p: Pair[T]) -> T:\n    return p[0]",
    )
    kernel.ok("er.wait(5)")
    assert kernel.value("(Pair.__name__, first((1, 2)))") == ("Pair", 1)


# Lines in errors


@keeps_frames
def test_line_of_an_error(kernel: Kernel) -> None:
    """The line in an error is the cell's own as a frontend numbers it, shown with its text."""
    cell = run(kernel, "a = 1\n\nb = 2\nraise ValueError('here')")
    error = kernel.run("er.wait(5)").only_error
    assert error.lines == [(1, "er.wait(5)"), (5, "raise ValueError('here')")]
    assert error.frames[-1].startswith(f"Cell In[{cell.execution_count}]"), (
        error.traceback
    )
    cell_frames_only(error)


@keeps_frames
def test_line_in_a_function(kernel: Kernel) -> None:
    """The same in a function that the cell defines, after strings of several lines."""
    body = (
        '"""\nseveral\nlines\n"""\n\n%time\n'
        'def broken():\n    # comment\n    return {}["x"]\n\nbroken()'
    )
    run(kernel, body)
    error = kernel.run("er.wait(5)").only_error
    assert error.lines[1:] == [(12, "broken()"), (10, 'return {}["x"]')], (
        error.traceback
    )


@keeps_frames
def test_line_after_an_await(kernel: Kernel) -> None:
    """The same in a cell that awaits."""
    run(kernel, "await sleep(0.01)\n\nawait sleep(0.01)\n1 / 0\n")
    error = kernel.run("await er").only_error
    assert error.lines[-1] == (5, "1 / 0")
    cell_frames_only(error)


@keeps_frames
def test_line_with_leading_blank_lines(kernel: Kernel) -> None:
    """The same after blank lines and comments at the start."""
    run(kernel, "\n\n# comment\n1 / 0\n")
    error = kernel.run("er.wait(5)").only_error
    assert error.lines[-1] == (5, "1 / 0")


def test_line_of_a_late_call(kernel: Kernel) -> None:
    """A function defined there and called from a later cell points at its own line."""
    definition = run(kernel, "x = 1\ndef late():\n    raise KeyError('late')")
    kernel.ok("er.wait(5)")
    error = kernel.run("late()").only_error
    assert error.lines == [(1, "late()"), (4, "raise KeyError('late')")]
    assert f"Cell In[{definition.execution_count}]" in error.frames[-1]


# Cells that can't run


CANNOT_RUN = {
    "syntax error": "ran.append(1)\nx = = 1",
    "unclosed": "ran.append(1)\nf(",
    "indentation": "ran.append(1)\n  x = 1",
    "break outside a loop": "ran.append(1)\nbreak",
    "yield at the top": "ran.append(1)\nyield 1",
    "yield from at the top": "ran.append(1)\nyield from ()",
    "nonlocal at the top": "ran.append(1)\nnonlocal x",
    "await in a plain function": "ran.append(1)\ndef f():\n    await x",
    "return in a class": "ran.append(1)\nclass C:\n    return 1",
    "assignment to a call": "ran.append(1)\nf() = 1",
    "null byte": "ran.append(1)\nx = '\x00'",
}


@pytest.mark.parametrize("name", CANNOT_RUN)
def test_cell_that_cannot_run(kernel: Kernel, name: str) -> None:
    """It fails before any of it ran, as one error of that cell."""
    kernel.ok("ran, er = [], 'old'")
    cell = kernel.run(f"%%run_in_reactor er\n{CANNOT_RUN[name]}")
    assert cell.status == "error", cell.output
    assert len(cell.errors) + ("UsageError" in cell.stderr) == 1, cell.output
    assert cell.results == []
    kernel.ok("await sleep(0.01)")
    assert kernel.value("(ran, er)") == ([], "old")


def test_line_of_a_syntax_error(kernel: Kernel) -> None:
    """A SyntaxError says the cell's own line and shows its text."""
    error = kernel.run("%%run_in_reactor er\na = 1\nb = = 2").only_error
    assert error.ename == "SyntaxError"
    assert "b = = 2" in error.traceback and "line 3" in error.traceback, error.traceback
    assert "twisted_ipython" not in error.traceback, error.traceback


WRONG_NAMES = [
    "1bad",
    "class",
    "a.b",
    "x;print()",
    "a b",
    "None",
    "a-b",
    "x[0]",
    "--nonsense",
    "__debug__",
]


@pytest.mark.parametrize("name", WRONG_NAMES)
def test_name_that_cannot_be_bound(kernel: Kernel, name: str) -> None:
    """NAME that is none fails before any of the cell ran, as one error that names it."""
    kernel.ok("ran = []")
    cell = kernel.run(f"%%run_in_reactor {name}\nran.append(1)\nreturn 1")
    assert cell.status == "error", cell.output
    assert len(cell.errors) + ("UsageError" in cell.stderr) == 1, cell.output
    assert name.split()[-1].lstrip("-") in cell.output
    assert "Traceback" not in cell.stderr
    kernel.ok("await sleep(0.01)")
    assert kernel.value("ran") == []


def test_unicode_name(kernel: Kernel) -> None:
    """Any identifier of Python's is a NAME."""
    run(kernel, "return 1", "größe")
    assert kernel.ok("größe.wait(5)").result == "1"


def test_runs_in_shell_thread_never(kernel: Kernel) -> None:
    """An error while the cell runs is the result's, not the cell's: the cell succeeds."""
    cell = kernel.run("%%run_in_reactor er\nraise KeyError('in the reactor')")
    assert cell.status == "ok" and cell.errors == []
    assert kernel.run("er.wait(5)").only_error.ename == "KeyError"


# In, Out and the count


def test_execution_count(kernel: Kernel) -> None:
    """It counts as one cell; ``In`` has one entry more and ``Out`` the EventualResult."""
    first = kernel.ok("0")
    entries = kernel.value("len(In)")
    cell = run(kernel, "x = 1\nreturn x")
    assert cell.execution_count == first.execution_count + 1
    assert kernel.value("len(In)") == entries + 1
    assert "return x" in kernel.value("In[-1]")
    assert kernel.value(f"sorted(Out)[-1] == {cell.execution_count}")
    assert kernel.ok("_i").result == repr(cell.source)


def test_count_after_a_cell_that_cannot_run(kernel: Kernel) -> None:
    """One that can't run counts as one cell, too, and has no ``Out``."""
    first = kernel.ok("0")
    cell = kernel.run("%%run_in_reactor er\nx = = 1")
    assert cell.execution_count == first.execution_count + 1
    assert kernel.value(f"{cell.execution_count} in Out") is False
    assert kernel.ok("0").execution_count == cell.execution_count + 1


def test_history(kernel: Kernel) -> None:
    """``%history`` shows the cell as it was typed."""
    run(kernel, "typed = 1\nreturn typed")
    assert (
        "%%run_in_reactor er\ntyped = 1\nreturn typed"
        in kernel.ok("%history -l 2").stdout
    )


# Failures that nobody waited for


def test_failure_is_reported(kernel: Kernel) -> None:
    """A failure that was never waited for is reported with its cell, while nothing else runs."""
    cell = run(kernel, "x = 1\nraise KeyError('nobody waits')")

    def reported() -> bool:
        everything = plain(everything_printed(kernel))
        return "nobody waits" in cell.output or (
            "nobody waits" in everything and f"[{cell.execution_count}]" in everything
        )

    kernel.wait_until(reported, 10, "the report of the failure")


def test_failure_is_reported_once(kernel: Kernel) -> None:
    """It is reported once, also when its result is thrown away."""
    cell = run(kernel, "raise KeyError('only once')", "")
    kernel.wait_until(lambda: "only once" in cell.output, 10)
    kernel.ok("del _\nOut.clear()\nimport gc\ngc.collect();")

    def said() -> str:
        failed = "".join(c.output for c in kernel.cells if c.errors)
        return plain(everything_printed(kernel)) + failed

    kernel.wait_until(lambda: "KeyError: 'only once'" in said(), 10, "the report")
    kernel.ok("await sleep(1)")
    assert said().count("KeyError: 'only once'") == 1, said()


def test_late_failure_is_reported(kernel: Kernel) -> None:
    """So is one that comes later, while another cell runs, with its own cell."""
    cell = run(kernel, "await sleep(0.2)\nraise KeyError('later')")
    other = kernel.ok("await sleep(0.1)")
    cell.wait_for_output("later", 10)
    assert "later" not in other.output


def test_failure_that_is_waited_for(kernel: Kernel) -> None:
    """One that a cell waits for is that cell's one error, and is not reported beside it."""
    cell = run(kernel, "await sleep(0.1)\nraise KeyError('awaited')")
    waiting = kernel.run("er.wait(5)")
    assert waiting.only_error.ename == "KeyError"
    kernel.ok("await sleep(0.6)")
    assert "awaited" not in cell.output
    no_more_than_said(kernel)


def test_failure_that_is_awaited(kernel: Kernel) -> None:
    """The same for one that a cell awaits."""
    cell = run(kernel, "await sleep(0.1)\nraise KeyError('awaited')")
    assert kernel.run("await er").only_error.ename == "KeyError"
    kernel.ok("await sleep(0.6)")
    assert "awaited" not in cell.output


def test_cancelled_is_no_failure(kernel: Kernel) -> None:
    """A result that the user cancelled is not reported as a failure."""
    cell = run(kernel, "return pending()", "held")
    kernel.ok("held.cancel()")
    kernel.wait_for_value("cancelled", ["pending"])
    kernel.ok("await sleep(0.6)")
    assert "Traceback" not in cell.output


# Interrupts, and the magic in an awaiting cell


def test_cancel(kernel: Kernel) -> None:
    """``er.cancel()`` cancels what the cell awaits; its ``finally`` runs."""
    cell = run(
        kernel,
        "try:\n    print('begun')\n    await pending('held')\nfinally:\n    print('finally')",
        "held",
    )
    cell.wait_for_output("begun")
    kernel.ok("held.cancel()")
    kernel.wait_for_value("cancelled", ["held"])
    cell.wait_for_output("finally")


def test_interrupt_of_another_cell(kernel: Kernel) -> None:
    """An interrupt of an awaiting cell leaves the work of ``%%run_in_reactor`` alone."""
    run(kernel, "return sleep(0.5, 'kept')", "kept")
    cell = begun(kernel, "print('begun')\nawait pending()")
    kernel.interrupt()
    cell.wait()
    assert kernel.ok("kept.wait(5)").result == "'kept'"
