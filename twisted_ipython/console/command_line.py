"""
``twisted-ipython``: list the applications with a live console, and attach to one.

Parses, calls one function, prints. What ``list`` needs is of the standard library, so
that it answers at once.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import os
import sys
import time
from collections.abc import Sequence

from .. import __version__
from . import attaching, directory, finding
from .directory import Application
from .errors import ConsoleError, NoAnswer
from .finding import harmless

_DESCRIPTION = "Open an IPython console inside a Twisted application that is running."
_EXAMPLES = """\
An application can be attached to if its code has called one of

  LiveConsole(globals()).setServiceParent(application)
  install_live_console(globals())

(both from twisted_ipython), and if it runs as the same user.

examples:
  twisted-ipython list                 applications that can be attached to
  twisted-ipython attach 4711          a prompt in process 4711
  twisted-ipython attach web           ... in the application of this name
  sudo -u alice twisted-ipython attach 4711
                                       ... in a process of the user alice
"""
_ATTACH = """\
At the prompt, cells run in the reactor thread of the application, and await works.
Ctrl-C interrupts your cell, and nothing else. exit, quit and Ctrl-D leave, Ctrl-\\
also while a cell runs; the application goes on.

examples:
  twisted-ipython attach 4711
  twisted-ipython attach web --timeout 60
  twisted-ipython attach ~/.local/share/jupyter/runtime/kernel-1.json
"""
_NO_FRONTEND = (
    "attaching needs jupyter-console in this environment: "
    "python -m pip install 'twisted_ipython[console]'"
)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; returns its exit status."""
    options = _parser().parse_args(arguments)
    try:
        status = int(options.run(options))
        sys.stdout.flush()
        return status
    except BrokenPipeError:  # who reads it has enough, as grep -q
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except ConsoleError as error:
        _say(str(error))
        if isinstance(error, NoAnswer):
            _say_where(error)
        return 1
    except KeyboardInterrupt:
        return 130


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="twisted-ipython",
        description=_DESCRIPTION,
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "--version", action="version", version=f"twisted-ipython {__version__}"
    )
    commands = parser.add_subparsers(metavar="COMMAND", required=True)

    listing = commands.add_parser(
        "list",
        help="show the applications that can be attached to",
        description="Show the applications of this user that can be attached to.",
    )
    listing.add_argument(
        "--json",
        action="store_true",
        help="as a list of objects with the keys pid, name, age (in seconds), state "
        "and clients",
    )
    listing.set_defaults(run=_list)

    attach = commands.add_parser(
        "attach",
        help="open a prompt inside an application",
        description="Open a prompt inside an application.",
        epilog=_ATTACH,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    attach.add_argument(
        "target",
        metavar="PID|NAME|FILE",
        help="the application's PID or name (see `list`), or a kernel's connection file",
    )
    attach.add_argument(
        "--timeout",
        metavar="SECONDS",
        type=_seconds,
        default=attaching.TIMEOUT,
        help="how long to wait for an application that is busy (default: %(default)g)",
    )
    attach.set_defaults(run=_attach)
    return parser


def _seconds(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = -1.0
    if not 0 < seconds < float("inf"):
        raise argparse.ArgumentTypeError(f"{text} is not a number of seconds above 0")
    return seconds


def _say(text: str) -> None:
    print(f"twisted-ipython: {harmless(text)}", file=sys.stderr, flush=True)


def _say_where(error: NoAnswer) -> None:
    if error.stack:
        print("The stack of its reactor thread, outermost first:", file=sys.stderr)
    for text in error.stack:
        for line in text.splitlines():
            print(f"  {harmless(line)}", file=sys.stderr)
    if error.where:
        print(
            "Once a client is attached, %%thread runs cells while the reactor is stuck.",
            file=sys.stderr,
        )


# -- list ----------------------------------------------------------------------


def _list(options: argparse.Namespace) -> int:
    applications = directory.applications()
    for reason in finding.refusals():
        _say(f"left out: {reason}")
    if options.json:
        print(json.dumps([_row(each) for each in applications], indent=1))
    elif applications:
        print(table(applications))
    else:
        _say(
            "no application of this user can be attached to; one opts in by "
            "`twisted_ipython.install_live_console(globals())`"
        )
    return 0


def _row(application: Application) -> dict[str, object]:
    return {
        "pid": application.pid,
        "name": application.name,
        "age": _age(application),
        "state": application.state,
        "clients": application.clients,
    }


def _age(application: Application) -> float:
    return round(max(0.0, time.time() - application.started), 3)


def age_text(seconds: float) -> str:
    """``12 s``, ``5 min``, ``3 h`` or ``2 d``: whole ones that have passed."""
    for unit, length in (("d", 86400), ("h", 3600), ("min", 60)):
        if seconds >= length:
            return f"{seconds // length:.0f} {unit}"
    return f"{seconds // 1:.0f} s"


def table(applications: Sequence[Application]) -> str:
    """The applications in columns, for people."""
    rows = [("PID", "NAME", "AGE", "STATE", "CLIENTS")]
    for each in applications:
        name = harmless(each.name)
        rows.append(
            (
                str(each.pid),
                name if len(name) <= 60 else name[:59] + "…",
                age_text(_age(each)),
                harmless(each.state),
                str(each.clients),
            )
        )
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return "\n".join(
        "  ".join(
            cell.ljust(width) for cell, width in zip(row, widths, strict=True)
        ).rstrip()
        for row in rows
    )


# -- attach --------------------------------------------------------------------


def _attach(options: argparse.Namespace) -> int:
    if importlib.util.find_spec("jupyter_console") is None:
        _say(_NO_FRONTEND)
        return 1
    opening = attaching.ask(options.target)
    # While the application opens its console: these imports take longer than that.
    from . import terminal

    connection_file = opening.wait(options.timeout, on_busy=_say)
    return terminal.run(connection_file, opening.application, timeout=options.timeout)
