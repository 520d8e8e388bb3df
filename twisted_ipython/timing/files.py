"""
``%run`` of a file that awaits at its top level.

The stock ``%run`` does all but run the file: for that it asks the shell, and there
the files that await go to the runner. So options, arguments, ``__main__`` and
``__file__`` are IPython's own.
"""

from __future__ import annotations

import bdb
import builtins
import cProfile
import importlib.util
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

from IPython.core.error import UsageError
from IPython.utils.contexts import preserve_keys
from IPython.utils.syspathcontext import prepended_to_syspath

from ..errors import CannotAwait, CellTimeout
from ..internals import ipython
from .code import AWAIT_ALLOWED, awaits, run_code

NOT_A_MODULE = (
    "%run -m can't run {name}, which awaits at its top level; run its file instead: "
    "%run {path}"
)
NOT_PROFILED = (
    "%run -p can't profile {name}, which awaits at its top level, in the reactor thread; "
    "%run it with its code in an `async def main()`, and then %prun await main()"
)
NOT_DEBUGGED = (
    "%run -d can't step through {name}, which awaits at its top level, in the reactor "
    "thread; put a breakpoint() into it, and %run it without -d"
)
NOT_TIMED = (
    "%run -t can't time {name}, which awaits at its top level, in a cell that awaits "
    "besides; give it a cell of its own"
)


class AwaitingFiles:
    """
    Thread:
        Shell thread, and reactor thread for what a cell that awaits runs.
    """

    def __init__(
        self, shell: Any, runner: Callable[[Any], Any], is_on: Callable[[], bool]
    ) -> None:
        self._shell = shell
        self._runner = runner
        self._is_on = is_on

    def switch_on(self) -> Callable[[], None]:
        """Run files that await by the runner; gives what undoes it."""
        return ipython.run_files_by(self._shell, self._execfile, self._run_module)

    def _execfile(
        self,
        stock: Callable[..., Any],
        filename: Any,
        *where: Any,
        exit_ignore: bool = False,
        raise_exceptions: bool = False,
        shell_futures: bool = False,
    ) -> None:
        """In place of the shell's ``safe_execfile``, which is ``stock``."""
        options = {"exit_ignore": exit_ignore, "raise_exceptions": raise_exceptions}
        if not self._is_on() or not file_awaits(filename):
            stock(filename, *where, shell_futures=shell_futures, **options)
            return
        if _is_profiled():
            raise UsageError(NOT_PROFILED.format(name=filename))
        if _is_debugged():  # an error would be shown with pdb's own frames
            print(NOT_DEBUGGED.format(name=filename), file=sys.stderr)
            return
        with self._as_a_script(filename, **options):
            self._runner(execute(filename, *where))

    def _run_module(self, stock: Callable[..., Any], name: str, where: Any) -> Any:
        """In place of the shell's ``safe_run_module``, which is ``stock``."""
        if self._is_on():
            spec = importlib.util.find_spec(name)
            if spec is not None and spec.has_location and file_awaits(spec.origin):
                raise UsageError(NOT_A_MODULE.format(name=name, path=spec.origin))
        return stock(name, where)

    async def run(self, line: str, *, timed: bool) -> Any:
        """
        ``%run`` in a cell that awaits.

        The stock ``%run`` prepares what the file needs, and puts it away again as
        it would after the file; then the file is awaited.

        Args:
            timed: Whether ``line`` has the option ``-t``.
        """
        run = self._shell.find_line_magic("run")
        prepared: list[Program] = []

        def prepare(filename: str, *where: dict[str, Any], exit_ignore: bool) -> None:
            if not file_awaits(filename):
                now = run.__self__.default_runner or self._shell.safe_execfile
                now(filename, *where, exit_ignore=exit_ignore)
            elif timed:
                raise UsageError(NOT_TIMED.format(name=filename))
            else:
                name = where[0]["__name__"]
                main = sys.modules[name]
                prepared.append(
                    Program(filename, where[0], name, main, sys.argv, exit_ignore)
                )

        result = run(line, runner=prepare)
        for program in prepared:
            with (
                self._started(program),
                self._as_a_script(program.filename, exit_ignore=program.exit_ignore),
            ):
                await execute(program.filename, program.variables)
        return result

    @contextmanager
    def _as_a_script(
        self, filename: Any, *, exit_ignore: bool, raise_exceptions: bool = False
    ) -> Iterator[None]:
        """What ``safe_execfile`` does around a file, and with its errors."""
        folder = str(Path(filename).expanduser().resolve().parent)
        with prepended_to_syspath(folder), self._shell.builtin_trap:
            try:
                yield
            except SystemExit as status:
                if status.code and raise_exceptions:
                    raise
                if status.code and not exit_ignore:
                    self._shell.showtraceback(exception_only=True)
            except (CannotAwait, CellTimeout):  # of the cell, not of the file
                raise
            except Exception:
                if raise_exceptions:
                    raise
                self._shell.showtraceback(tb_offset=0)

    @contextmanager
    def _started(self, program: Program) -> Iterator[None]:
        """What ``%run`` does around the file, once more."""
        variables, user_ns = program.variables, self._shell.user_ns
        name, argv = user_ns["__name__"], sys.argv
        before = sys.modules.get(program.name)
        variables["__name__"] = program.name
        sys.argv, sys.modules[program.name] = program.argv, program.module
        try:
            yield
            if variables is user_ns:
                user_ns["__name__"] = name
            else:
                variables.pop("__name__", None)
                with preserve_keys(user_ns, "__file__"):
                    user_ns.update(variables)
        finally:
            user_ns["__builtins__"] = builtins
            sys.argv = argv
            if before is None:
                sys.modules.pop(program.name, None)
            else:
                sys.modules[program.name] = before


@dataclass(frozen=True)
class Program:
    """
    A file that is to run, as ``%run`` has prepared it.

    Attributes:
        variables: Its global variables.
        name: Its ``__name__``.
        module: What is to be in ``sys.modules`` under that name.
    """

    filename: str
    variables: dict[str, Any]
    name: str
    module: ModuleType
    argv: list[str]
    exit_ignore: bool


def file_awaits(filename: Any) -> bool:
    """Whether it is a file of Python that awaits at its top level."""
    try:
        source = Path(filename).expanduser().read_bytes()
    except OSError:  # whoever runs it will say so
        return False
    return (b"await" in source or b"async" in source) and awaits(source)


async def execute(
    filename: Any, variables: dict[str, Any], local: dict[str, Any] | None = None
) -> None:
    """Run a file in these namespaces."""
    path = str(Path(filename).expanduser().resolve())
    source = Path(path).read_bytes()
    code = compile(source, path, "exec", AWAIT_ALLOWED, dont_inherit=True)
    await run_code(code, variables, local)


def _is_profiled() -> bool:
    """Whether cProfile, as of ``%run -p``, is at work in this thread."""
    if sys.version_info >= (3, 12):
        return sys.monitoring.get_tool(sys.monitoring.PROFILER_ID) == "cProfile"
    return isinstance(sys.getprofile(), cProfile.Profile)


def _is_debugged() -> bool:
    """Whether pdb, as of ``%run -d``, is at work in this thread."""
    return isinstance(getattr(sys.gettrace(), "__self__", None), bdb.Bdb)
