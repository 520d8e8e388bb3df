"""
The directory of an application with a live console, and what lies in it.

    jupyter_runtime_dir()/twisted_ipython/PID/
        app.json      the application, from when the console is installed
        kernel.json   Jupyter's connection file, while the console is open
        kernel-*     the kernel's sockets, while it is open
        asked.json    where the reactor thread was when a signal asked to open,
                      until the reactor answers

Standard library alone; for the application and for who attaches to it. Both
check the owner and the mode of all that they read, and follow no symbolic links.
"""

from __future__ import annotations

import errno
import json
import os
import shutil
import socket
import stat
import sys
import time
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from .errors import Refused
from .processes import start_of

APP_FILE = "app.json"
KERNEL_FILE = "kernel.json"
ASKED_FILE = "asked.json"

# The states of a console.
DORMANT, OPENING, OPEN, CLOSING = "dormant", "opening", "open", "closing"


@dataclass(frozen=True)
class Application:
    """
    What ``app.json`` says of an application.

    Attributes:
        pid: Its process.
        start: What ``processes.start_of(pid)`` gives for that process.
        started: When the process began, or the console was installed where that
            is not known; as ``time.time()``.
        uid: The effective user.
        host: The machine's name: a home directory can be on several.
        name: For people, and for ``attach NAME``.
        arguments: The command line.
        reactor: The qualified name of the reactor's class.
        signal: The number of the signal that asks the console to open; 0 if none does.
        state: One of the four above.
        since: When that began, as ``time.time()``.
        clients: How many are attached.
        error: Why the console did not open the last time, or "".
    """

    pid: int
    start: str
    started: float
    uid: int
    host: str
    name: str
    arguments: tuple[str, ...]
    reactor: str
    signal: int
    state: str = DORMANT
    since: float = 0.0
    clients: int = 0
    error: str = ""


def runtime_directory() -> Path:
    """
    ``jupyter_runtime_dir()/twisted_ipython``, where all applications of this user
    are.

    Source:
        ``jupyter_core.paths``, whose answer this is without its import: an
        application with a dormant console does not need jupyter_core.
    """
    return _jupyter_runtime_dir() / "twisted_ipython"


def _jupyter_runtime_dir() -> Path:
    if os.environ.get("JUPYTER_RUNTIME_DIR"):
        return Path(os.environ["JUPYTER_RUNTIME_DIR"])
    if "jupyter_core.paths" in sys.modules or _platform_dirs_wanted():
        from jupyter_core.paths import jupyter_runtime_dir

        return Path(jupyter_runtime_dir())
    if os.environ.get("JUPYTER_DATA_DIR"):
        return Path(os.environ["JUPYTER_DATA_DIR"], "runtime")
    home = Path(os.path.realpath(os.path.expanduser("~")))
    if sys.platform == "darwin":
        return home / "Library" / "Jupyter" / "runtime"
    data = os.environ.get("XDG_DATA_HOME") or home / ".local" / "share"
    return Path(data, "jupyter", "runtime")


def _platform_dirs_wanted() -> bool:
    wanted = os.environ.get("JUPYTER_PLATFORM_DIRS", "").lower()
    return wanted not in ("", "no", "n", "false", "off", "0", "0.0")


# -- What both sides check -----------------------------------------------------


def check(path: Path, *, directory: bool) -> None:
    """
    See that ``path`` belongs to this user, and that nobody else can change it, nor
    read it unless it is a directory.

    Raises:
        Refused: It does not; or it is a symbolic link.
        FileNotFoundError: There is none.
    """
    found = os.lstat(path)
    kind, wanted = ("directory", 0o700) if directory else ("file", 0o600)
    if stat.S_ISLNK(found.st_mode):
        raise Refused(f"{path} is a symbolic link; a live console follows none")
    if not (stat.S_ISDIR if directory else stat.S_ISREG)(found.st_mode):
        raise Refused(f"{path} is not a {kind}")
    if found.st_uid != os.geteuid():
        raise Refused(
            f"{path} belongs to {user_name(found.st_uid)}, and this is "
            f"{user_name(os.geteuid())}"
        )
    mode = stat.S_IMODE(found.st_mode)
    if mode & 0o077:
        raise Refused(
            f"{path} is open to others (mode {mode:04o}); if that is a mistake: "
            f"chmod {wanted:o} {path}"
        )


def check_above(path: Path) -> None:
    """
    See that nobody else can put another directory in the place of ``path``.

    Raises:
        Refused: Somebody can.
    """
    above = path.parent
    found = os.stat(above)
    if found.st_uid not in (0, os.geteuid()):
        raise Refused(
            f"{above} belongs to {user_name(found.st_uid)}, who could replace {path}"
        )
    if found.st_mode & 0o022 and not found.st_mode & stat.S_ISVTX:
        raise Refused(
            f"{above} can be written by others (mode "
            f"{stat.S_IMODE(found.st_mode):04o}), who could replace {path}: "
            f"chmod go-w {above}"
        )


def user_name(uid: int) -> str:
    """``alice``, or ``user 1000`` where it has no name."""
    try:
        import pwd

        return pwd.getpwuid(uid).pw_name
    except (ImportError, KeyError):
        return f"user {uid}"


# -- Writing: the application --------------------------------------------------


def make_directory(pid: int) -> Path:
    """
    Make the directory of this process, empty, with those above it.

    What a dead process of the same number has left there is removed.

    Raises:
        Refused: What is there can't be trusted.
        OSError: It can't be made.
    """
    root = runtime_directory()
    for above in reversed(root.parents):
        # Each by itself: with parents=True, the umask alone would decide who may
        # write to those above, and a daemon's is often 0.
        if not above.exists():
            above.mkdir(mode=0o700, exist_ok=True)
    check_above(root)
    for path in (root, root / str(pid)):
        try:
            os.mkdir(path, 0o700)
        except FileExistsError:
            check(path, directory=True)
    remove_contents(root / str(pid))
    return root / str(pid)


def write_json(path: Path, content: Any) -> None:
    """
    Write the file so that it appears whole, mode 0600.

    Raises:
        OSError: It can't be written; what was there before still is.
    """
    part = path.with_name(f".{path.name}.{os.urandom(4).hex()}")
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_NOFOLLOW", 0)
    try:
        with os.fdopen(os.open(part, flags, 0o600), "w", encoding="utf-8") as file:
            json.dump(content, file, indent=1)
        os.replace(part, path)
    except BaseException:
        part.unlink(missing_ok=True)
        raise


def write_application(directory: Path, application: Application) -> None:
    """Write ``app.json``. Raises OSError."""
    write_json(directory / APP_FILE, asdict(application))


def remove_contents(directory: Path) -> None:
    """Remove what is in ``directory``; never fails."""
    try:
        entries = list(os.scandir(directory))
    except OSError:
        return
    for entry in entries:
        try:
            if entry.is_dir(follow_symlinks=False):
                shutil.rmtree(entry.path, ignore_errors=True)
            else:
                os.unlink(entry.path)
        except OSError:
            pass


def remove_directory(directory: Path) -> None:
    """Remove the directory of an application with all in it; never fails."""
    remove_contents(directory)
    try:
        directory.rmdir()
    except OSError:
        pass


# -- Reading: who attaches -----------------------------------------------------


def read_json(path: Path) -> Any:
    """
    What the file holds, once it is checked.

    Raises:
        Refused: It can't be trusted, or does not hold JSON.
        FileNotFoundError: There is none.
    """
    check(path, directory=False)
    flags = os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0)
    try:
        with os.fdopen(os.open(path, flags), encoding="utf-8") as file:
            return json.load(file)
    except ValueError as error:
        raise Refused(f"{path} does not hold JSON: {error}") from error
    except OSError as error:
        if error.errno == errno.ELOOP:
            raise Refused(
                f"{path} is a symbolic link; a live console follows none"
            ) from error
        raise


def read_application(directory: Path) -> Application:
    """
    What ``app.json`` in ``directory`` says.

    Raises:
        Refused: It, or a directory above it, can't be trusted.
        FileNotFoundError: There is none.
    """
    root = directory.parent
    check_above(root)
    check(root, directory=True)
    check(directory, directory=True)
    content = read_json(directory / APP_FILE)
    try:
        known = {each.name: content[each.name] for each in fields(Application)}
        known["arguments"] = tuple(known["arguments"])
        for each in fields(Application):
            if not isinstance(known[each.name], _TYPES[str(each.type)]):
                raise TypeError(each.name)
        application = Application(**known)
    except (KeyError, TypeError) as error:
        raise Refused(
            f"{directory / APP_FILE} is not of this version of twisted_ipython: {error}"
        ) from error
    if str(application.pid) != directory.name:
        raise Refused(f"{directory / APP_FILE} speaks of process {application.pid}")
    return application


_TYPES: dict[str, Any] = {
    "int": int,
    "float": (int, float),
    "str": str,
    "tuple[str, ...]": tuple,
}


def is_alive(application: Application) -> bool:
    """Whether its process, and not another of the same number, runs."""
    return start_of(application.pid) == application.start


def applications() -> list[Application]:
    """
    The applications of this user on this machine, by PID.

    What dead ones have left is removed; what can't be trusted is left out.
    """
    try:
        entries = sorted(os.listdir(runtime_directory()))
    except OSError:
        return []
    found = []
    for entry in entries:
        directory = runtime_directory() / entry
        if not entry.isdecimal():
            continue
        try:
            application = read_application(directory)
        except FileNotFoundError:
            _remove_if_dead(directory, int(entry))
            continue
        except (Refused, OSError):
            continue
        if application.host != socket.gethostname():
            continue
        if is_alive(application):
            found.append(application)
        else:
            remove_directory(directory)
    return sorted(found, key=lambda each: each.pid)


def _remove_if_dead(directory: Path, pid: int) -> None:
    # Without app.json: a process that is just beginning or ending, or died then.
    try:
        check(directory, directory=True)
        old = time.time() - directory.stat().st_mtime > 60
    except (Refused, OSError):
        return
    if old and start_of(pid) is None:
        remove_directory(directory)
