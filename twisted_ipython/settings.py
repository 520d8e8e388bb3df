"""
The settings of the extension, once: names, values, defaults and help.

Both magics that show and change them, the command line and configuration
files work on these traits.
"""

from __future__ import annotations

import math
from typing import Any

from traitlets import Bool, Enum, TraitError, TraitType, Unicode
from traitlets.config import Configurable


def seconds_text(value: float | None) -> str:
    """
    ``60.0`` as ``60``, ``0.5`` as ``0.5``, ``None`` (no limit) as ``none``.
    """
    if value is None:
        return "none"
    return str(int(value)) if value.is_integer() and value < 1e15 else repr(value)


class Seconds(TraitType):  # type: ignore[type-arg]
    """A positive number of seconds, or ``None`` for no limit."""

    info_text = "a positive number of seconds, or none"

    def validate(self, obj: Any, value: Any) -> float | None:
        if value is None:
            return None
        if isinstance(value, bool) or not isinstance(value, (int, float)):
            self.error(obj, value)
        if value > 0 and not math.isnan(value):
            return None if math.isinf(value) else float(value)
        self.error(obj, value)

    def from_string(self, s: str) -> float | None:
        """Read what a person typed. ``INFINITY`` is the name of old."""
        if s.lower() in ("none", "infinity", "inf"):
            return None
        try:
            number = float(s)
        except ValueError:
            raise TraitError(f"{s!r} is not {self.info_text}") from None
        # float() takes what is hardly meant: 1_000, or digits of other scripts.
        if "_" in s or not s.isascii():
            raise TraitError(f"{s!r} is not {self.info_text}")
        return number


class Choice(Enum):  # type: ignore[type-arg]
    """One of a few words."""

    def info(self, as_rst: bool = False) -> str:
        *others, last = self.values or ()
        return f"{', '.join(others)} or {last}"

    def from_string(self, s: str) -> str:
        """Read what a person typed, in whatever case."""
        return s.lower()


class TwistedIPython(Configurable):
    """Awaiting Twisted in IPython."""

    def text(self, name: str) -> str:
        """The value of a setting as a person types it."""
        value = getattr(self, name)
        is_word = isinstance(value, str)
        return value if is_word else seconds_text(value)

    def words(self, name: str) -> tuple[str, ...]:
        """The words that can be typed for a setting, apart from numbers."""
        trait = self.traits()[name]
        return tuple(trait.values or ()) if isinstance(trait, Choice) else ("none",)

    autoawait = Bool(
        False,
        help="Whether loading the extension also does %autoawait twisted. "
        "Applies when the extension is loaded.",
    ).tag(config=True)

    reactor = Unicode(
        "asyncio",
        help="The reactor to install where none is installed yet: asyncio (cells "
        "can await Deferreds and asyncio), default (Twisted's own choice for "
        "the platform), or a name that twist --reactor knows. Applies when "
        "the extension is loaded for the first time.",
    ).tag(config=True)

    timeout = Seconds(
        60.0,
        allow_none=True,
        help="How long a cell that awaits may take before it is cancelled, in "
        "seconds: a positive number, or none to wait for ever (INFINITY, too). "
        "Default 60. Applies from the next cell.",
    ).tag(config=True, live=True)

    threads = Choice(
        ("forward", "warn", "off"),
        "forward",
        help="What reactor.callLater, listenTCP and their kin do in a plain cell, "
        "which is not in the reactor thread: forward (pass the call to the reactor "
        "thread, and wait for what it gives), warn (call it here, and say that this "
        "is not safe) or off (call it here). Default forward.",
    ).tag(config=True, live=True)

    cells = Choice(
        ("shell", "reactor"),
        "shell",
        help="Where plain cells run: shell (the shell thread) or reactor (the "
        "reactor thread, as cells that await; the reactor does nothing else "
        "meanwhile). Default shell. Applies from the next cell.",
    ).tag(config=True, live=True)

    rerun = Choice(
        ("offer", "stop", "keep"),
        "offer",
        help="What is done about a port that an earlier run of the same cell still "
        "listens on, or that another cell's listen finds in use: offer (say how to "
        "stop it), stop (stop it, with the connections that it has accepted, and go "
        "on) or keep (nothing). Default offer. Applies from the next cell.",
    ).tag(config=True, live=True)
