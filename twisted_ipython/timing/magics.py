"""
``%time``, ``%timeit``, ``%prun`` and ``%run`` for code that awaits.

They have the options and the output of IPython's own, which still do all that does
not await. What they measure runs in the reactor thread, within the cell: neither the
way there nor the way back is in their times.
"""

from __future__ import annotations

import ast
import io
import sys
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from types import CodeType, SimpleNamespace
from typing import Any

from IPython.core import page
from IPython.core.displayhook import DisplayHook
from IPython.core.error import UsageError
from IPython.core.magic import (
    Magics,
    line_cell_magic,
    line_magic,
    magics_class,
    needs_local_scope,
    no_var_expand,
)
from IPython.core.magic_arguments import parse_argstring
from IPython.utils.timing import clock

from ..internals.ipython import format_time
from .clocks import enough_loops, profile_of, seconds_of, spent_on
from .code import AWAIT_ALLOWED, awaits, loop_function, run_code
from .files import AwaitingFiles
from .lines import with_awaitable_magics

# From Python 3.12 on, its profiler sees every thread.
_WHO = "all threads" if sys.version_info >= (3, 12) else "the reactor thread"
PROFILED = f"*** The profile is of all that {_WHO} did while this code was awaited."

# How often %timeit measures.
REPEAT = 7

# Seconds from which on %time and %timeit say what parsing and compiling took.
WORTH_TELLING = 0.1

RUN_OPTIONS = "nidtN:b:pD:l:rs:T:em:G"  # of IPython 8.18 to 9.18


@dataclass(frozen=True)
class Asked:
    """What the line and the cell of a magic say."""

    options: Any
    code: str
    setup: str = "pass"


@magics_class
class AwaitingMagics(Magics):
    """
    Each gives a coroutine, for the cell to await.

    Thread:
        Reactor thread; the coroutines, too.
    """

    shell: Any

    def __init__(self, shell: Any, runner: Any) -> None:
        super().__init__(shell)
        self._runner = runner
        self._files = AwaitingFiles(shell, runner, self._is_on)

    def switch_on(self) -> Callable[[], None]:
        """Have them called where code awaits; gives what undoes it. Shell thread."""

        def await_magics(lines: list[str]) -> list[str]:
            return (
                with_awaitable_magics(
                    lines, self._is_wanted, in_reactor=self._runner.takes_plain_cells
                )
                if self._is_on()
                else lines
            )

        undo = ExitStack()
        self.shell.input_transformers_post.append(await_magics)
        undo.callback(self.shell.input_transformers_post.remove, await_magics)
        undo.callback(self._files.switch_on())
        return undo.close

    def _is_on(self) -> bool:
        return self.shell.loop_runner is self._runner and self.shell.autoawait

    # -- The magics --------------------------------------------------------

    @no_var_expand
    @needs_local_scope
    @line_cell_magic
    async def awaiting_time(
        self, line: str = "", cell: str | None = None, local_ns: Any = None
    ) -> Any:
        """``%time`` and ``%%time`` of code that awaits. See ``%time?``."""
        asked = self._asked("time", line, cell)
        began = clock()
        tree = self.shell.compile.ast_parse(self.shell.transform_cell(asked.code))
        parsing = clock() - began
        tree = self.shell.transform_ast(tree)
        began = clock()
        codes = self._codes_of(tree)
        compiling = clock() - began

        async def run() -> Any:
            value = None
            for code in codes:
                value = await run_code(code, self.shell.user_ns, local_ns)
            return value

        spent = await spent_on(run)
        total = format_time(spent.user + spent.system)
        if sys.platform == "win32":  # there, all is user time
            print(f"CPU times: total: {total}")
        else:
            user, system = format_time(spent.user), format_time(spent.system)
            print(f"CPU times: user {user}, sys: {system}, total: {total}")
        print(f"Wall time: {format_time(spent.wall)}")
        for name, seconds in (("Compiler ", compiling), ("Parser   ", parsing)):
            if seconds > WORTH_TELLING:
                print(f"{name}: {format_time(seconds)}")
        if spent.error is not None:
            if isinstance(spent.error, Exception) and asked.options.no_raise_error:
                return None
            raise spent.error
        if DisplayHook.semicolon_at_end_of_expression(asked.code):
            return None
        return spent.value

    def _codes_of(self, tree: ast.Module) -> list[CodeType]:
        """A tree, compiled, so that its last expression has a value."""
        body = tree.body
        parts: list[tuple[ast.mod, str]] = []
        if body and isinstance(last := body[-1], ast.Expr):
            parts = [(ast.Expression(last.value), "eval")]
            body = body[:-1]
        if body:
            parts = [(ast.Module(body, []), "exec"), *parts]
        name = "<timed exec>" if body else "<timed eval>"
        with self.shell.compile.extra_flags(AWAIT_ALLOWED):
            return [self.shell.compile(part, name, mode) for part, mode in parts]

    @no_var_expand
    @needs_local_scope
    @line_cell_magic
    async def awaiting_timeit(
        self, line: str = "", cell: str | None = None, local_ns: Any = None
    ) -> Any:
        """``%timeit`` and ``%%timeit`` of code that awaits. See ``%timeit?``."""
        from IPython.core.magics.execution import TimeitResult  # made when first used

        asked = self._asked("timeit", line, cell)
        options = asked.options
        timer = time.perf_counter  # as timeit's
        if "t" in options:
            timer = time.time
        if "c" in options:
            timer = clock
        variables = self.shell.user_ns
        if cell is None and local_ns is not None and local_ns is not variables:
            variables = {**variables, **local_ns}
        began = clock()
        code = self._loop_of(asked.setup, asked.code)
        compiling = clock() - began
        found: dict[str, Any] = {}
        exec(code, variables, found)
        inner = found["inner"]

        number = int(options.get("n", 0)) or await enough_loops(inner, timer)
        repeat = int(options.get("r", REPEAT))
        runs = [await seconds_of(inner, number, timer) for _ in range(repeat)]
        best, worst = min(runs) / number, max(runs) / number
        result = TimeitResult(
            number, repeat, best, worst, runs, compiling, int(options.get("p", 3))
        )
        if "q" not in options:
            if worst > 4 * best > 0 and worst > 1e-6:
                print(
                    f"The slowest run took {worst / best:0.2f} times longer than the "
                    "fastest. This could mean that an intermediate result "
                    "is being cached."
                )
            print(result)
            if compiling > WORTH_TELLING:
                print(f"Compiler time: {compiling:.2f} s")
        if "v" in options:
            self.shell.user_ns[options["v"]] = result
        return result if "o" in options else None

    def _loop_of(self, setup: str, statement: str) -> CodeType:
        trees = []
        with self.shell.compile.extra_flags(AWAIT_ALLOWED):
            for name, source in (("setup", setup), ("stmt", statement)):
                tree = self.shell.compile.ast_parse(self.shell.transform_cell(source))
                trees.append(self.shell.transform_ast(tree))
                # In the function, what is no code of its own could become some.
                self.shell.compile(trees[-1], f"<magic-timeit-{name}>", "exec")
        code: CodeType = self.shell.compile(
            loop_function(*trees), "<magic-timeit>", "exec"
        )
        return code

    @no_var_expand
    @line_cell_magic
    async def awaiting_prun(self, line: str = "", cell: str | None = None) -> Any:
        """``%prun`` and ``%%prun`` of code that awaits. See ``%prun?``."""
        asked = self._asked("prun", line, cell)
        options = asked.options
        source = self.shell.transform_cell(asked.code)
        code = compile(source, "<string>", "exec", AWAIT_ALLOWED, dont_inherit=True)
        import pstats  # which only this magic needs

        profile, left = await profile_of(code, self.shell.user_ns)

        text = io.StringIO()
        stats = pstats.Stats(profile, stream=text)
        stats.strip_dirs().sort_stats(*options.get("s", ["time"]))
        stats.print_stats(*map(_limit, options.get("l", [])))
        stats.stream = sys.stdout  # type: ignore[attr-defined]
        output = text.getvalue().rstrip()
        if "q" not in options:
            page.page(output)
        ending = (
            "*** SystemExit exception caught in code being profiled." if left else ""
        )
        print(PROFILED, ending)
        for file in filter(None, options.get("D", [])):
            profile.dump_stats(file)
            print(f"\n*** Profile stats marshalled to file {file!r}.{ending}")
        for file in filter(None, options.get("T", [])):
            Path(file).write_text(output, encoding="utf-8")
            print(f"\n*** Profile printout saved to text file {file!r}.{ending}")
        return stats if "r" in options else None

    @line_magic
    async def awaiting_run(self, line: str) -> Any:
        """``%run`` in a cell that awaits besides. See ``%run?``."""
        options, _ = self.parse_options(line, RUN_OPTIONS, mode="list", list_all=True)
        return await self._files.run(line, timed="t" in options)

    # -- What they are asked -----------------------------------------------

    def _asked(self, magic: str, line: str, cell: str | None) -> Asked:
        """
        Raises:
            UsageError: There is something wrong with the options.
        """
        if magic == "time":
            stock = self.shell.find_line_magic("time")
            options = SimpleNamespace(no_raise_error=False)
            if hasattr(stock, "parser") and "--" in line:  # from IPython 9 on
                options, words = parse_argstring(stock, line, partial=True)
                line = " ".join(words)
            if line.strip() and cell:
                raise UsageError("Can't use statement directly after '%%time'!")
            return Asked(options, cell or line)
        if magic == "timeit":
            options, code = self.parse_options(
                line, "n:r:tcp:qov:", posix=False, strict=False, preserve_non_opts=True
            )
            return Asked(options, code) if cell is None else Asked(options, cell, code)
        options, code = self.parse_options(
            line, "D:l:rs:T:q", list_all=True, posix=False
        )
        return Asked(options, code if cell is None else f"{code}\n{cell}")

    def _is_wanted(self, magic: str, line: str, cell: str | None) -> bool:
        """Whether the stock magic could not do it, since its code awaits."""
        if not self._is_stock(magic, "line" if cell is None else "cell"):
            return False
        if magic == "run":
            return True
        try:
            asked = self._asked(magic, line, cell)
            codes = (asked.setup, asked.code)
            return any(awaits(self.shell.transform_cell(one)) for one in codes)
        except Exception:  # the stock magic will say so
            return False

    def _is_stock(self, magic: str, kind: str) -> bool:
        from IPython.core.magics.execution import (
            ExecutionMagics,
        )  # made when first used

        found = self.shell.find_magic(magic, kind)
        return isinstance(getattr(found, "__self__", None), ExecutionMagics)


def _limit(text: str) -> int | float | str:
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            pass
    return text
