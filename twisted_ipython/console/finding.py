"""
Which application somebody means, and whether it is the one that opted in.

Everything is checked before a signal is thought of. Standard library alone.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Iterable
from pathlib import Path

from . import directory, processes
from .directory import Application
from .errors import CannotAttach, Refused

LIST = "twisted-ipython list"


def label(application: Application) -> str:
    """``web (4711)``, as messages call an application."""
    return f"{application.name} ({application.pid})"


def harmless(text: str) -> str:
    """
    ``text`` without what a terminal would obey: a name is the application's to
    choose, and may hold anything.
    """
    return "".join(
        each if each.isprintable() else repr(each)[1:-1].replace("'", "\\'")
        for each in text
    )


def find(target: str) -> Application | Path:
    """
    The application with this PID or name, or the connection file of this path.

    What looks like a path and is there is one, before it is a name. An application
    has opted in, is the process that it says, and belongs to this user.

    Raises:
        CannotAttach: There is none, or it can't be attached to; the text says what
            to do.
        Refused: What it has written can't be trusted.
    """
    if target.isdecimal() and target.isascii():
        return by_pid(int(target))
    is_path = os.sep in target or target.endswith(".json")
    if is_path and os.path.lexists(target):
        return connection_file(target)
    named = [each for each in directory.applications() if each.name == target]
    if len(named) == 1:
        return named[0]
    if named:
        pids = ", ".join(str(each.pid) for each in named)
        raise CannotAttach(
            f"{len(named)} applications have the name {target}: attach by PID, "
            f"one of {pids}"
        )
    if is_path:
        return connection_file(target)
    raise CannotAttach(
        f"no application of this user has the name {target}; "
        + _there_are(directory.applications())
        + "".join(f"; left out: {reason}" for reason in refusals())
    )


def _there_are(applications: Iterable[Application]) -> str:
    labels = [label(each) for each in applications]
    if not labels:
        return "there is none that can be attached to (see `twisted-ipython attach -h`)"
    return f"there are: {', '.join(labels)}"


def by_pid(pid: int) -> Application:
    """
    The application that is process ``pid``.

    Raises:
        CannotAttach: There is none, or it can't be attached to.
        Refused: What it has written can't be trusted.
    """
    if not processes.exists(pid):
        raise CannotAttach(
            f"there is no process {pid}; `{LIST}` shows the applications that can be "
            "attached to"
        )
    owner = processes.user_of(pid)
    if owner not in (None, os.geteuid()):
        raise another_users(pid, owner)
    place = directory.runtime_directory() / str(pid)
    try:
        application = directory.read_application(place)
    except FileNotFoundError:
        if owner is None and not _may_signal(pid):
            raise another_users(pid, None) from None
        raise CannotAttach(
            f"process {pid} has no live console (there is no "
            f"{place / directory.APP_FILE}): it has to opt in, by "
            "`twisted_ipython.install_live_console(globals())` in its own code"
        ) from None
    except PermissionError as error:
        raise CannotAttach(
            f"no permission to read {error.filename}: attach as the user whose it is"
        ) from error
    if application.host != socket.gethostname():
        raise CannotAttach(
            f"{label(application)} runs on the machine {application.host}, and this is "
            f"{socket.gethostname()}: attach there"
        )
    if not directory.is_alive(application):
        another = f", and process {pid} is another one"
        raise CannotAttach(
            f"{label(application)} has ended"
            f"{another if processes.start_of(pid) else ''}; "
            f"`{LIST}` shows the applications that can be attached to"
        )
    return application


def another_users(pid: int, owner: int | None) -> CannotAttach:
    """The error that process ``pid`` belongs to somebody else; None if not known."""
    if owner is None:
        return CannotAttach(
            f"process {pid} belongs to another user: as that user, "
            f"`twisted-ipython attach {pid}`"
        )
    name = directory.user_name(owner)
    account = f"'#{owner}'" if name.startswith("user ") else name
    return CannotAttach(
        f"process {pid} belongs to {name}, and this is "
        f"{directory.user_name(os.geteuid())}: "
        f"`sudo -u {account} twisted-ipython attach {pid}`"
    )


def _may_signal(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except OSError:
        return False
    return True


def connection_file(target: str) -> Path:
    """
    The connection file of this path, or name in Jupyter's runtime directory.

    Raises:
        CannotAttach: There is none.
        Refused: It can't be trusted.
    """
    path = Path(target).expanduser()
    if not path.exists() and os.sep not in target:
        path = directory.runtime_directory().parent / target
    path = Path(os.path.abspath(path))
    try:
        check_connection_file(path)
    except FileNotFoundError as error:
        raise CannotAttach(
            f"there is no connection file {path}; `{LIST}` shows the applications "
            "that can be attached to"
        ) from error
    return path


def check_connection_file(path: Path) -> None:
    """
    See that a client could use the file.

    Raises:
        FileNotFoundError: There is none.
        CannotAttach: It may not be read.
        Refused: It can't be trusted, or is no connection file.
    """
    try:
        content = directory.read_json(path)
    except PermissionError as error:
        raise CannotAttach(
            f"no permission to read {path}: attach as the user whose it is"
        ) from error
    wanted = {"transport", "ip", "key", "shell_port", "iopub_port", "control_port"}
    missing = wanted - set(content if isinstance(content, dict) else ())
    if missing:
        raise Refused(
            f"{path} is not a connection file: it lacks {', '.join(sorted(missing))}"
        )


def application_of(path: Path) -> Application | None:
    """The application whose ``kernel.json`` this is; None if it is no such file."""
    if path.name != directory.KERNEL_FILE:
        return None
    if path.parent.parent != Path(os.path.abspath(directory.runtime_directory())):
        return None
    try:
        return directory.read_application(path.parent)
    except (Refused, OSError):
        return None


def refusals() -> list[str]:
    """Why what lies in the runtime directory can't be trusted, where it can't."""
    root = directory.runtime_directory()
    try:
        entries = sorted(each for each in os.listdir(root) if each.isdecimal())
    except FileNotFoundError:
        return []
    except OSError as error:
        return [str(error)]
    found: dict[str, None] = {}
    for entry in entries:
        try:
            directory.read_application(root / entry)
        except Refused as reason:
            found[str(reason)] = None
        except OSError:
            pass
    return list(found)
