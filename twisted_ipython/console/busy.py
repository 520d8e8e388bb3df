"""
What to say of an application whose reactor does not answer.
"""

from __future__ import annotations

from pathlib import Path

from . import directory, processes
from .directory import Application
from .errors import NoAnswer, Refused
from .finding import label


def asked(connection_file: Path) -> tuple[str, tuple[str, ...]]:
    """
    Where the reactor thread was when the signal came: the line, and its stack.

    ``"", ()`` if the application has not noted it.
    """
    try:
        content = directory.read_json(connection_file.with_name(directory.ASKED_FILE))
        return str(content["where"]), tuple(str(each) for each in content["stack"])
    except (OSError, Refused, KeyError, TypeError):
        return "", ()


def _place(application: Application, where: str) -> str:
    if where:
        return f"it is at {where}"
    if processes.is_stopped(application.pid):
        return (
            "it is stopped, by Ctrl-Z or a debugger "
            f"(`kill -CONT {application.pid}` lets it go on)"
        )
    return (
        "it has not noted the signal either, so its main thread is inside a call in C, "
        "or something has replaced its handler"
    )


def sentence(application: Application, connection_file: Path, waited: float) -> str:
    """What to say while the reactor of the application does not answer."""
    where = _place(application, asked(connection_file)[0])
    return (
        f"{label(application)} is busy: its reactor has not answered for "
        f"{waited:.1f} s; {where}"
    )


def no_answer(
    application: Application, connection_file: Path, waited: float
) -> NoAnswer:
    """The error that the console is not open after so many seconds."""
    longer = f"`--timeout {max(60, round(waited * 6))}` waits longer"
    if application.state == directory.OPENING:
        return NoAnswer(
            f"{label(application)} has not opened its console within {waited:.1f} s: "
            f"its kernel is still starting; {longer}",
            waited,
        )
    where, stack = asked(connection_file)
    return NoAnswer(
        f"{label(application)} has not opened its console within {waited:.1f} s: its "
        f"reactor does not answer; {_place(application, where)}; the console opens "
        f"once it answers, and {longer}",
        waited,
        where,
        stack,
    )
