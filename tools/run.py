"""
Open IPython with Twisted awaitable at the first prompt: ``make run``.

When standard input is not a terminal, all of it is run as one cell, and the
exit status says whether that worked. The cell's output goes to standard output
and errors go to standard error. The user's own IPython profile applies.
"""

from __future__ import annotations

import contextlib
import sys
import warnings
from typing import Any

from IPython.terminal.interactiveshell import TerminalInteractiveShell
from IPython.terminal.ipapp import TerminalIPythonApp

EXTENSION = "twisted_ipython"
OPTIONS = ["--ext", EXTENSION, "--TwistedIPython.autoawait=True"]

INTERRUPTED = 130
"""The exit status of what Ctrl-C ended, as in a shell: 128 and SIGINT."""


class PipedShell(TerminalInteractiveShell):
    """A shell whose errors go to standard error."""

    def _showtraceback(
        self, etype: type[BaseException], evalue: BaseException, stb: Any
    ) -> None:
        if issubclass(etype, SystemExit):
            return  # run_cell below makes it the exit status
        sys.stdout.flush()
        with contextlib.redirect_stdout(sys.stderr):
            super()._showtraceback(etype, evalue, stb)


def read_cell() -> str:
    """
    All of standard input.

    Raises:
        SystemExit: It is not UTF-8.
    """
    if sys.stdin is None:  # closed
        return ""
    try:
        text = sys.stdin.buffer.read().decode("utf-8-sig")
    except UnicodeDecodeError as problem:
        sys.exit(f"standard input is not UTF-8 text: {problem}; nothing was run")
    return text.replace("\r\n", "\n")


def run_cell(source: str, arguments: list[str]) -> int | str:
    """
    Run the source as one cell of a new shell.

    Returns:
        What ``sys.exit`` takes: 0 if it worked.
    """
    if not source.strip():
        print("standard input is empty; nothing was run", file=sys.stderr)
        return 0
    arguments = ["--HistoryManager.hist_file=:memory:", *arguments]
    if not sys.stderr.isatty():
        arguments = ["--colors=nocolor", *arguments]
    app = TerminalIPythonApp.instance(
        interact=False, interactive_shell_class=PipedShell
    )
    app.initialize(arguments)
    shell = app.shell
    if shell is None or EXTENSION not in shell.extension_manager.loaded:
        return f"{EXTENSION} did not load, see above; nothing was run"
    # SystemExit is how a cell ends the program here, no mistake to be warned of.
    warnings.filterwarnings("ignore", "To exit: use", UserWarning)
    result = shell.run_cell(source, store_history=True)
    error = result.error_before_exec or result.error_in_exec
    if isinstance(error, SystemExit):
        return error.code or 0
    if isinstance(error, KeyboardInterrupt):
        return INTERRUPTED
    return 1 if error else 0


def main() -> int | str:
    sys.path[0] = ""  # cells import from where they are run, not from tools/
    arguments = [*OPTIONS, *sys.argv[1:]]
    if sys.stdin is not None and sys.stdin.isatty():
        TerminalIPythonApp.launch_instance(arguments)
        return 0
    try:
        return run_cell(read_cell(), arguments)
    except KeyboardInterrupt:
        return INTERRUPTED


if __name__ == "__main__":
    sys.exit(main())
