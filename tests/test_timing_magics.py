"""``%time``, ``%timeit``, ``%prun`` and ``%run`` of code that awaits, in a real kernel."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest

from checks import (
    INTERRUPTS,
    a_sentence,
    awaits,
    begun,
    interrupt,
    timed_out,
    was_interrupted,
)
from kernels import Cell, Kernel
from terminals import Terminal

# What IPython itself prints.
TIMES = re.compile(
    r"CPU times: user [\d.e+-]+ \w+, sys: [\d.e+-]+ \w+, total: [\d.e+-]+ \w+\n"
    r"Wall time: (?P<wall>[\d.e+-]+) (?P<unit>\w+)\n"
)
PER_LOOP = re.compile(
    r"[\d.e+-]+ \w+ ± [\d.e+-]+ \w+ per loop "
    r"\(mean ± std\. dev\. of (?P<runs>\d+) runs?, (?P<loops>[\d,]+) loops? each\)\n"
)
IN_SECONDS = {"s": 1, "ms": 1e-3, "μs": 1e-6, "\xb5s": 1e-6, "us": 1e-6, "ns": 1e-9}


def wall_times(cell: Cell) -> list[float]:
    """The seconds of each ``Wall time`` that was printed."""
    found = TIMES.finditer(cell.stdout)
    return [float(one["wall"]) * IN_SECONDS[one["unit"]] for one in found]


def times(cell: Cell) -> str:
    """What the cell printed, without the one pair of times that is in it."""
    assert len(wall_times(cell)) == 1, cell.output
    return TIMES.sub("", cell.stdout)


def write(kernel: Kernel, name: str, text: str) -> None:
    (kernel.directory / name).write_text(text, encoding="utf-8")


# %time


def test_time(kernel: Kernel) -> None:
    """``%time`` shows the value, and as much time as the Deferred took."""
    cell = kernel.ok("%time await sleep(0.05, 'later')")
    assert cell.result == "'later'"
    assert times(cell) == ""
    assert wall_times(cell)[0] > 0.049


def test_time_of_asyncio(kernel: Kernel) -> None:
    """What is awaited may be asyncio's."""
    cell = kernel.ok("%time await asyncio.sleep(0.01, 'later')")
    assert cell.result == "'later'"
    assert times(cell) == ""


def test_time_runs_in_the_reactor_thread(kernel: Kernel) -> None:
    """As any code that awaits."""
    source = "%time await sleep(0, threading.current_thread().name)"
    assert kernel.ok(source).result == "'CrochetReactor'"


def test_time_binds(kernel: Kernel) -> None:
    """Names that are bound in the code, and that the value is bound to, are the user's."""
    kernel.ok("%time inside = await sleep(0.01, 1)")
    kernel.ok("outside = %time await sleep(0.01, 2)")
    assert kernel.value("[inside, outside]") == [1, 2]


def test_time_of_a_cell(kernel: Kernel) -> None:
    """``%%time`` runs all lines; the value of the last one is shown."""
    cell = kernel.ok(
        "%%time\na = await sleep(0.01, 3)\nb = await sleep(0.01, 4)\na + b"
    )
    assert cell.result == "7"
    assert kernel.value("[a, b]") == [3, 4]
    assert times(cell) == ""
    assert wall_times(cell)[0] > 0.019


def test_time_beside_other_awaits(kernel: Kernel) -> None:
    """In a cell that awaits, in blocks, loops and coroutine functions."""
    cell = kernel.ok(
        "async def inner(n):\n"
        "    result = %time await sleep(0.01, n)\n"
        "    return result\n"
        "for n in range(2):\n"
        "    %time await sleep(0.01)\n"
        "    print(await inner(n))\n"
        "await sleep(0, 'end')"
    )
    assert cell.result == "'end'"
    assert TIMES.sub("time\n", cell.stdout) == "time\ntime\n0\n" + "time\ntime\n1\n"


def test_time_silenced(kernel: Kernel) -> None:
    """A semicolon keeps the value to itself."""
    cell = kernel.ok("%time await succeed('shown'.upper());")
    assert cell.results == []
    assert times(cell) == ""


def test_time_of_an_error(kernel: Kernel) -> None:
    """An error comes after the times, once, with the user's lines."""
    cell = kernel.run("%%time\nx = 1\nawait fail(KeyError('lost'))\nx")
    assert times(cell) == ""
    error = cell.only_error
    assert (error.ename, error.evalue) == ("KeyError", "'lost'")
    assert [frame.split(",")[0].split()[0] for frame in error.frames] == [
        "Cell",
        "File",
    ]
    assert "<timed exec>" in error.frames[1]


def test_time_of_an_error_that_is_caught(kernel: Kernel) -> None:
    """The error can be caught around the magic."""
    cell = kernel.ok(
        "try:\n    %time await fail(KeyError(1))\nexcept KeyError:\n    print('caught')"
    )
    assert times(cell) == "caught\n"


def test_time_without_errors(kernel: Kernel) -> None:
    """``--no-raise-error``, where IPython has it, leaves the error out."""
    if not kernel.value("hasattr(get_ipython().find_line_magic('time'), 'parser')"):
        pytest.skip("this IPython has no --no-raise-error")
    cell = kernel.ok("%time --no-raise-error await fail(KeyError(1))")
    assert times(cell) == ""


def test_time_of_what_does_not_await(kernel: Kernel) -> None:
    """Plain code is timed by IPython's own magic, where plain cells run."""
    cell = kernel.ok("%time threading.current_thread() is threading.main_thread()")
    assert cell.result == "True"
    assert times(cell) == ""


def test_time_in_a_plain_function(kernel: Kernel) -> None:
    """A function that can't await waits."""
    kernel.ok("def f():\n    result = %time await sleep(0.01, 5)\n    return result")
    cell = kernel.ok("f()")
    assert cell.result == "5"
    assert times(cell) == ""


def test_time_in_a_plain_function_in_the_reactor_thread(kernel: Kernel) -> None:
    """There, waiting would be for ever; the error says what to do."""
    cell = kernel.run("def f():\n    %time await sleep(0.01, 5)\nawait sleep(0)\nf()")
    assert "async def" in cell.only_error.evalue
    awaits(kernel)


def test_time_in_run_in_reactor(kernel: Kernel) -> None:
    """In ``%%run_in_reactor``, too."""
    kernel.ok("%%run_in_reactor er\nresult = %time await sleep(0.01, 6)\nreturn result")
    assert kernel.ok("await er").result == "6"


def test_usage_errors_are_ipythons(kernel: Kernel) -> None:
    """A magic that is used wrongly says so as ever."""
    said = a_sentence(kernel.run("%%time await sleep(0)\n1"))
    assert "Can't use statement directly after '%%time'!" in said


def test_without_the_runner(fresh_kernel: Callable[..., Kernel]) -> None:
    """While cells don't await Twisted, magics are left as they are."""
    kernel = fresh_kernel(await_twisted=False)
    before = kernel.run("%time await succeed(1)").only_error
    assert before.ename == "SyntaxError"
    kernel.ok("%autoawait twisted")
    assert kernel.ok("%time await succeed(1)").result == "1"


def test_a_magic_of_the_users(fresh_kernel: Callable[..., Kernel]) -> None:
    """A magic of that name that is not IPython's is left alone."""
    kernel = fresh_kernel()
    kernel.ok(
        "get_ipython().register_magic_function(lambda line: line, 'line', 'time')"
    )
    assert kernel.ok("%time await succeed(1)").result == "'await succeed(1)'"


# %timeit


def test_timeit(kernel: Kernel) -> None:
    """``%timeit`` runs the code in loops that are long enough, and prints its summary."""
    cell = kernel.ok("%timeit await sleep(0.2)")
    summary = PER_LOOP.search(cell.stdout)
    assert summary and (summary["runs"], summary["loops"]) == ("7", "1"), cell.output
    assert cell.result is None


def test_timeit_finds_the_number_of_loops(kernel: Kernel) -> None:
    """What is quick is run more often."""
    summary = PER_LOOP.search(kernel.ok("%timeit -r 1 await succeed(1)").stdout)
    assert summary
    assert int(summary["loops"].replace(",", "")) >= 1000


def test_timeit_options(kernel: Kernel) -> None:
    """``-n``, ``-r``, ``-q`` and ``-o`` do what they do."""
    kernel.ok(
        "count = 0\nasync def f():\n    global count\n    count += 1\n    await sleep(0)"
    )
    kernel.ok("result = %timeit -q -o -n 3 -r 2 await f()")
    assert kernel.value("[count, result.loops, result.repeat, len(result.all_runs)]") == [
        6, 3, 2, 2,
    ]  # fmt: skip
    cell = kernel.ok("%timeit -n1 -r1 -p1 -t -c await f()")
    assert PER_LOOP.search(cell.stdout), cell.output
    kernel.ok("%timeit -n1 -r1 -q -v kept await f()")
    assert kernel.value("kept.loops") == 1


def test_timeit_of_a_cell(kernel: Kernel) -> None:
    """``%%timeit``: the first line is run before each loop, and may await as well."""
    source = (
        "%%timeit -n 2 -r 3 seen.append('set up'); n = await sleep(0, 5)\n"
        "await sleep(0)\nseen.append(n)"
    )
    kernel.ok("seen = []")
    assert PER_LOOP.search(kernel.ok(source).stdout)
    assert kernel.value("seen") == 3 * ["set up", 5, 5]


def test_timeit_of_a_setup_alone_that_awaits(kernel: Kernel) -> None:
    """Only the first line awaits."""
    kernel.ok("seen = []")
    kernel.ok("%%timeit -n 1 -r 1 n = await sleep(0, 5)\nseen.append(n)")
    assert kernel.value("seen") == [5]


def test_timeit_sees_local_variables(kernel: Kernel) -> None:
    """In a coroutine function it has the function's variables."""
    kernel.ok(
        "async def f(local):\n    %timeit -n1 -r1 seen.append(await sleep(0, local))\n"
        "seen = []\nawait f(7)"
    )
    assert kernel.value("seen") == [7]


def test_timeit_of_an_error(kernel: Kernel) -> None:
    """An error ends it, once."""
    error = kernel.run("%timeit await fail(KeyError('lost'))").only_error
    assert (error.ename, error.evalue) == ("KeyError", "'lost'")
    assert kernel.value("__import__('gc').isenabled()")


# %prun


def test_prun(kernel: Kernel) -> None:
    """``%prun`` shows the functions that were called, and says what it covers."""
    kernel.ok("async def mine():\n    helper()\n    return await sleep(0.01)")
    kernel.ok("def helper():\n    pass")
    cell = kernel.ok("%prun -s cumulative await mine()")
    assert "(mine)" in cell.page and "(helper)" in cell.page
    assert "Ordered by: cumulative time" in cell.page
    assert re.fullmatch(r"\*\*\* The profile is of all that .*\n", cell.stdout)


def test_prun_of_a_cell(kernel: Kernel) -> None:
    """``%%prun`` with ``-l``, ``-q`` and ``-r``; names that are bound are the user's."""
    cell = kernel.ok("%%prun -q -r -l 2\nprofiled = await sleep(0.01, 5)")
    assert cell.page == ""
    assert cell.result is not None and "pstats.Stats" in cell.result
    assert kernel.value("profiled") == 5


def test_prun_to_files(kernel: Kernel) -> None:
    """``-T`` and ``-D`` write files, and say so."""
    cell = kernel.ok("%prun -q -T profile.txt -D profile.prof await sleep(0)")
    assert "printout saved to text file 'profile.txt'" in cell.stdout
    assert "stats marshalled to file 'profile.prof'" in cell.stdout
    assert "function calls" in (kernel.directory / "profile.txt").read_text()
    kernel.ok("import pstats; pstats.Stats('profile.prof')")


def test_prun_of_an_error(kernel: Kernel) -> None:
    """An error ends it; the next profile works."""
    error = kernel.run("%prun await fail(KeyError('lost'))").only_error
    assert (error.ename, error.evalue) == ("KeyError", "'lost'")
    kernel.ok("%prun -q await sleep(0)")


def test_prun_of_an_exit(kernel: Kernel) -> None:
    """``sys.exit()`` ends the code, not the kernel."""
    cell = kernel.ok("%prun -q __import__('sys').exit(await sleep(0, 3))")
    assert "SystemExit exception caught" in cell.stdout


# %run

FILE = """\
import sys, threading
from twisted.internet import reactor, task

def later(value):
    return task.deferLater(reactor, 0.01, lambda: value)

if __name__ == "__main__":
    ran_as_main = await later("yes")
told = await later([__name__, sys.argv, __file__])
where = threading.current_thread().name
main_is_mine = sys.modules["__main__"].__dict__.get("later") is later
"""

each_cell = pytest.mark.parametrize(
    "before", ["", "await sleep(0)\n"], ids=["plain cell", "cell that awaits"]
)


@each_cell
def test_run(kernel: Kernel, before: str) -> None:
    """``%run file.py``: in its own namespace as ``__main__``, and then it's the user's."""
    write(kernel, "program.py", FILE)
    kernel.ok("args = 'two words'; main = __import__('sys').modules['__main__']")
    kernel.ok(f"{before}%run program.py one '{{args}}'\nhere = told")
    told = kernel.value("[here, where, ran_as_main, main_is_mine]")
    [name, argv, file], where, as_main, main = told
    assert name == "__main__" and argv == ["program.py", "one", "two words"]
    assert Path(file).name == "program.py"
    assert (where, as_main, main) == ("CrochetReactor", "yes", True)
    assert kernel.value("__name__") == "__main__"
    assert kernel.value("__import__('sys').argv") != argv
    assert kernel.value("__import__('sys').modules['__main__'] is main")
    assert kernel.value("'__file__' in globals()") is False
    kernel.ok("del told, where, ran_as_main")


@each_cell
def test_run_not_as_main(kernel: Kernel, before: str) -> None:
    """``-n``: it is not ``__main__``."""
    write(kernel, "program.py", FILE)
    kernel.ok(f"{before}%run -n program.py")
    assert kernel.value("told[0]") == "program"
    assert kernel.value("'ran_as_main' in globals()") is False
    assert kernel.value("'program' in __import__('sys').modules") is False
    kernel.ok("del told")


@each_cell
def test_run_in_the_users_namespace(kernel: Kernel, before: str) -> None:
    """``-i``: it sees the user's names."""
    write(kernel, "inside.py", "seen = await sleep(0, (mine, __name__))")
    kernel.ok(f"mine = 5\n{before}%run -i inside.py")
    assert kernel.value("seen") == (5, "__main__")
    assert kernel.value("__name__") == "__main__"


@each_cell
def test_run_of_an_error(kernel: Kernel, before: str) -> None:
    """An error is shown once, with the file's lines; what was bound before it is there."""
    write(
        kernel, "fails.py", "import asyncio\nkept = 1\nawait asyncio.sleep(0)\n1 / 0\n"
    )
    cell = kernel.run(f"{before}%run fails.py")
    error = cell.only_error
    assert error.ename == "ZeroDivisionError"
    assert error.lines == [(4, "1 / 0")]
    assert kernel.value("kept") == 1
    kernel.ok("del kept")


@each_cell
@pytest.mark.parametrize("option, errors", [("", 1), ("-e", 0)])
def test_run_of_an_exit(kernel: Kernel, before: str, option: str, errors: int) -> None:
    """``sys.exit()`` ends the file alone, and is silent with ``-e``."""
    write(
        kernel, "exits.py", "import asyncio, sys\nsys.exit(await asyncio.sleep(0, 3))"
    )
    cell = kernel.run(f"{before}%run {option} exits.py")
    assert [error.ename for error in cell.errors] == errors * ["SystemExit"]
    awaits(kernel)


def test_run_timed(kernel: Kernel) -> None:
    """``-t`` prints IPython's timings; where it can't, a sentence says so."""
    write(kernel, "program.py", FILE)
    cell = kernel.ok("%run -t -N2 program.py")
    assert "Total runs performed: 2" in cell.stdout and "Wall time" in cell.stdout
    said = a_sentence(kernel.run("await sleep(0)\n%run -t program.py"))
    assert "awaits at its top level" in said and "cell of its own" in said


@each_cell
@pytest.mark.parametrize(
    "options, word",
    [
        ("-p program.py", "%prun"),
        ("-d program.py", "breakpoint()"),
        ("-m program", "%run "),
    ],
)
def test_run_refuses(kernel: Kernel, before: str, options: str, word: str) -> None:
    """What can't be done is said in a sentence, and the file is not run."""
    write(kernel, "program.py", FILE + "print('has run')")
    cell = kernel.run(f"{before}%run {options}")
    assert len(cell.errors) <= 1
    assert "awaits at its top level" in cell.output and word in cell.output
    assert "has run" not in cell.output
    assert kernel.value("__name__") == "__main__"


@each_cell
def test_run_of_what_does_not_await(kernel: Kernel, before: str) -> None:
    """A plain file is run as ever, in the thread of the cell."""
    write(kernel, "plain.py", "import threading\nwhere = threading.current_thread()")
    kernel.ok(f"{before}%run plain.py")
    in_main = kernel.value("where is __import__('threading').main_thread()")
    assert in_main is (before == "")


def test_run_of_ipython_syntax(kernel: Kernel) -> None:
    """A file ``.ipy`` may use the magics."""
    write(kernel, "file.ipy", "%time seen = await sleep(0.01, 8)")
    times(kernel.ok("%run -i file.ipy"))
    assert kernel.value("seen") == 8


# Stopping them

STUCK = {
    "%time": "%time await stuck()",
    "%%time": "%%time\nawait stuck()",
    "%timeit": "%timeit await stuck()",
    "%prun": "%prun await stuck()",
    "%run beside": "await sleep(0)\n%run -i stuck.py",
    "function": "def f():\n    %time await stuck()\nf()",
}
each_stuck = pytest.mark.parametrize("source", STUCK.values(), ids=STUCK)


@pytest.fixture
def stuck(kernel: Kernel) -> Kernel:
    """A kernel with ``stuck()``, a coroutine function, and a file that awaits it."""
    # Printed by the reactor, so that the cell awaits when it is to be read.
    kernel.ok(
        "async def stuck():\n    reactor.callLater(0, print, 'begun')\n"
        "    await pending('stuck')"
    )
    write(kernel, "stuck.py", "await stuck()")
    return kernel


@each_stuck
@pytest.mark.parametrize("by", INTERRUPTS)
def test_interrupt(stuck: Kernel, source: str, by: str) -> None:
    """An interrupt ends it with one KeyboardInterrupt; what it awaited is cancelled."""
    cell = begun(stuck, source)
    interrupt(cell, by)
    was_interrupted(cell, "await pending('stuck')")
    assert stuck.value("cancelled") == ["stuck"]
    awaits(stuck)
    stuck.ok("%prun -q await sleep(0)")  # the profiler is free again
    assert stuck.value("[__name__, __import__('gc').isenabled()]") == ["__main__", True]


@each_stuck
def test_timeout(stuck: Kernel, source: str) -> None:
    """The timeout holds for it as for any cell that awaits."""
    stuck.ok("%crochet_config timeout 0.2")
    timed_out(stuck.run(source), "0.2", "await pending('stuck')")
    stuck.ok("%crochet_config timeout 60")
    awaits(stuck)


def test_stop_run(stuck: Kernel) -> None:
    """
    The same for ``%run`` in a plain cell, which goes through IPython's own magic:
    the frames of that are shown by IPython 8.
    """
    cell = begun(stuck, "%run -i stuck.py\nprint('went on')")
    interrupt(cell)
    stuck.ok("%crochet_config timeout 0.2")
    late = stuck.run("%run -i stuck.py\nprint('went on')")
    for each, kind in ((cell, "KeyboardInterrupt"), (late, "CellTimeout")):
        assert each.only_error.ename == kind
        assert each.only_error.lines[-1] == (3, "await pending('stuck')")
        assert each.stdout == "begun\n"
    assert stuck.value("cancelled") == ["stuck", "stuck"]
    assert stuck.value("__name__") == "__main__"
    stuck.ok("%crochet_config timeout 60")
    awaits(stuck)


def test_timeout_names_the_magic(stuck: Kernel) -> None:
    """It says what took so long as the user has typed it."""
    stuck.ok("%crochet_config timeout 0.2")
    error = stuck.run("x = 1\nx = %time await stuck()").only_error
    assert "from x = %time await stuck();" in error.evalue


def test_on_a_reactor_without_asyncio(fresh_kernel: Callable[..., Kernel]) -> None:
    """All of it works on Deferreds alone, too."""
    kernel = fresh_kernel("--TwistedIPython.reactor=select")
    assert kernel.ok("%time await sleep(0.01, 5)").result == "5"
    assert PER_LOOP.search(kernel.ok("%timeit -n2 -r2 await sleep(0)").stdout)
    assert "function calls" in kernel.ok("%prun await sleep(0.01)").page
    write(kernel, "file.py", "seen = await sleep(0.01, 6)")
    kernel.ok("%run -i file.py")
    assert kernel.value("seen") == 6
    write(kernel, "file.py", "seen = await sleep(0.01, 7)")
    kernel.ok("await sleep(0)\n%run -i file.py")
    assert kernel.value("seen") == 7


# One in another


def test_capture_of_time(kernel: Kernel) -> None:
    """``%%capture`` over a body with ``%time await``."""
    cell = kernel.ok("%%capture out\n%time await sleep(0.01)\nprint('after')")
    assert cell.output == ""
    assert TIMES.sub("", kernel.value("out.stdout")) == "after\n"


def test_capture_of_a_cell_that_is_timed(kernel: Kernel) -> None:
    """``%%capture`` over ``%%time``: times, value and all."""
    cell = kernel.ok("%%capture out\n%%time\nprint('in')\nawait sleep(0.01, 5)")
    assert cell.output == ""
    assert TIMES.sub("", kernel.value("out.stdout")) == "in\n"
    assert kernel.value("len(out.outputs)") == 1


def test_time_of_capture(kernel: Kernel) -> None:
    """``%%time`` over ``%%capture`` over an await: the time is that of the await."""
    cell = kernel.ok("%%time\n%%capture out\nprint('in')\nawait sleep(0.05)")
    assert times(cell) == ""
    assert wall_times(cell)[0] > 0.049
    assert kernel.value("out.stdout") == "in\n"


def test_time_of_run_in_reactor(kernel: Kernel) -> None:
    """``%%time`` over ``%%run_in_reactor`` times the start, and shows the result to be."""
    cell = kernel.ok("%%time\n%%run_in_reactor er\nreturn await sleep(0.01, 5)")
    assert times(cell) == ""
    assert [each["text/plain"] for each in cell.displays] == [
        "<EventualResult: pending>"
    ]
    assert kernel.ok("await er").result == "5"


def test_capture_of_run_in_reactor(kernel: Kernel) -> None:
    """``%%capture`` over ``%%run_in_reactor`` captures that it was shown."""
    cell = kernel.ok("%%capture out\n%%run_in_reactor er\nreturn await sleep(0.01, 5)")
    assert cell.output == ""
    shown = kernel.value("[each.data['text/plain'] for each in out.outputs]")
    assert shown == ["<EventualResult: pending>"]
    assert kernel.ok("await er").result == "5"


# On and off


def test_unload_gives_the_stock_magics_back(
    fresh_kernel: Callable[..., Kernel],
) -> None:
    """After ``%unload_ext`` there is nothing left of ours."""
    kernel = fresh_kernel()
    kernel.ok("%time await sleep(0.01)")
    kernel.ok("%unload_ext twisted_ipython")
    assert kernel.value("get_ipython().input_transformers_post") == []
    names = kernel.value(
        "[n for t in get_ipython().magics_manager.magics.values() for n in t]"
    )
    assert not [name for name in names if name.startswith("awaiting")]
    for name in ("safe_execfile", "safe_run_module"):
        assert kernel.value(f"{name!r} in vars(get_ipython())") is False
    assert kernel.run("%time await succeed(1)").only_error.ename == "SyntaxError"
    assert kernel.ok("%time 1 + 1").result == "2"


def test_before_ipythons_magics_were_used(fresh_kernel: Callable[..., Kernel]) -> None:
    """IPython makes its magics when they are first used; that may be by us."""
    kernel = fresh_kernel()
    assert kernel.ok("%%time\nawait sleep(0, 5)").result == "5"
    kernel.ok("%unload_ext twisted_ipython\n%load_ext twisted_ipython")
    assert kernel.ok("%time await sleep(0, 6)").result == "6"


# At a terminal


def test_terminal(awaiting_terminal: Callable[..., Terminal], tmp_path: Path) -> None:
    """The same on a terminal: value, times, profile, file."""
    terminal = awaiting_terminal()
    terminal.run("from twisted.internet import reactor, task")
    terminal.run("sleep = lambda s, r=None: task.deferLater(reactor, s, lambda: r)")
    said = terminal.run("%time await sleep(0.01, 'timed'.upper())")
    assert "'TIMED'" in said and "Wall time" in said
    assert "per loop" in terminal.run("%timeit -n1 -r1 await sleep(0.01)")
    said = terminal.run("%prun -l 2 await sleep(0.01)")
    assert "function calls" in said and "The profile is of all" in said
    (tmp_path / "file.py").write_text(
        "import asyncio\nasked = await asyncio.sleep(0, 5)"
    )
    terminal.run(f"%run {tmp_path / 'file.py'}")
    assert "50" in terminal.run("asked * 10")


def test_terminal_interrupt(awaiting_terminal: Callable[..., Terminal]) -> None:
    """Ctrl-C ends ``%time await``; the prompt is back and awaits."""
    terminal = awaiting_terminal()
    terminal.run("from twisted.internet import defer, reactor")
    # Printed by the reactor, so that the cell awaits when it is to be read.
    terminal.start(
        "%time reactor.callLater(0, print, 'beg' 'un'), await defer.Deferred()"
    )
    terminal.wait_for("begun")
    terminal.interrupt()
    assert "KeyboardInterrupt" in terminal.wait_for_prompt()
    assert "'AWAITED'" in terminal.run("await defer.succeed('awaited'.upper())")
