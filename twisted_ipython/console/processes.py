"""
Which process it is: a PID is used again, a PID with its start time is not.

Standard library alone; for the application and for who attaches to it.
"""

from __future__ import annotations

import functools
import os
import subprocess
import time
from pathlib import Path

_PROC = Path("/proc")


def start_of(pid: int) -> str | None:
    """
    What tells process ``pid`` from all others that had its number or will.

    Returns:
        Text to compare; None if there is no such process, or it has ended and
        was not waited for yet.

    Source:
        On Linux fields 3 and 22 of ``/proc/PID/stat``, proc(5); the boot, since
        the latter counts from it. Elsewhere what ``ps`` says.
    """
    if _PROC.joinpath("self", "stat").exists():
        try:
            text = _PROC.joinpath(str(pid), "stat").read_text(errors="replace")
        except OSError:
            return None
        fields = text.rpartition(")")[2].split()  # the name may hold anything
        state, ticks = fields[0], fields[19]
        return None if state in "ZX" else f"{ticks}@{_boot()}"
    try:
        said = subprocess.run(
            ["ps", "-o", "lstart=", "-p", str(pid)], capture_output=True, text=True
        )
    except OSError:
        return None
    return said.stdout.strip() or None


def started_at(pid: int) -> float | None:
    """
    When process ``pid`` began, as ``time.time()``; None if that is not known.

    Source:
        Field 22 of ``/proc/PID/stat`` and ``/proc/uptime``, proc(5).
    """
    try:
        text = _PROC.joinpath(str(pid), "stat").read_text(errors="replace")
        up = float(_PROC.joinpath("uptime").read_text().split()[0])
    except OSError:
        return None
    ticks = int(text.rpartition(")")[2].split()[19])
    return time.time() - up + ticks / os.sysconf("SC_CLK_TCK")


@functools.cache
def _boot() -> str:
    try:
        return _PROC.joinpath("sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        return ""


def is_stopped(pid: int) -> bool:
    """
    Whether process ``pid`` is stopped, by Ctrl-Z or a debugger; False if that is
    not known.

    Source:
        Field 3 of ``/proc/PID/stat``, proc(5).
    """
    try:
        text = _PROC.joinpath(str(pid), "stat").read_text(errors="replace")
    except OSError:
        return False
    return text.rpartition(")")[2].split()[0] in "Tt"


def user_of(pid: int) -> int | None:
    """The effective uid of process ``pid``; None if it is not known."""
    try:
        return _PROC.joinpath(str(pid)).stat().st_uid
    except OSError:
        return None


def exists(pid: int) -> bool:
    """Whether there is a process ``pid``, whoever it belongs to."""
    if pid <= 0:
        return False
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except (PermissionError, OverflowError):
        return not isinstance(pid, int) or pid < 2**31
    return True


def handles(pid: int, signal_number: int) -> bool | None:
    """
    Whether process ``pid`` has a handler for the signal; None if it can't be known.

    Without one, most signals end a process.

    Source:
        ``SigCgt`` in ``/proc/PID/status``, proc(5).
    """
    try:
        status = _PROC.joinpath(str(pid), "status").read_text(errors="replace")
    except OSError:
        return None
    for line in status.splitlines():
        if line.startswith("SigCgt:"):
            return bool(int(line.split()[1], 16) >> (signal_number - 1) & 1)
    return None
