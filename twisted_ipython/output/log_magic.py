"""
``%twisted_log``: Twisted's log, each event under the cell that caused it.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from IPython.core.error import UsageError
from IPython.core.magic import Magics, line_magic, magics_class
from twisted.logger import InvalidLogLevelError, LogLevel

from ..internals.twisted import failure_of, message_of, was_collected
from ..origins import context_of
from .log_claims import claim_events

LEVELS = tuple(level.name for level in LogLevel.iterconstants())


@dataclass(frozen=True)
class Filter:
    """
    Which events are shown.

    Attributes:
        level: The least serious ones.
        namespace: Where they come from: this dotted name, or below it. "" for
            everywhere.
    """

    level: Any = LogLevel.info
    namespace: str = ""

    def takes(self, event: dict[str, Any]) -> bool:
        """Whether ``event`` is shown."""
        level = event.get("log_level") or LogLevel.info
        namespace = str(event.get("log_namespace", ""))
        return level >= self.level and f"{namespace}.".startswith(
            f"{self.namespace}." if self.namespace else ""
        )

    def __str__(self) -> str:
        where = f" of {self.namespace}" if self.namespace else ""
        return f"{self.level.name} and above{where}"


def read_words(words: list[str]) -> Filter | None:
    """
    What was typed after ``%twisted_log``: a filter, or None for ``off``.

    Raises:
        UsageError: It says neither.
    """
    if words == ["off"]:
        return None
    rest = words[1:] if words[:1] == ["on"] else words
    level = LogLevel.info
    with suppress(InvalidLogLevelError, IndexError):
        level = LogLevel.levelWithName(rest[0].lower())
        rest = rest[1:]
    namespace = rest[0] if rest else ""
    # A bare word is more likely a level that is none than a name.
    is_name = all(part.isidentifier() for part in namespace.split("."))
    typed_on = words[:1] == ["on"]
    if len(rest) > 1 or (
        namespace and not (is_name and (typed_on or "." in namespace))
    ):
        raise UsageError(
            "%twisted_log takes: on [LEVEL] [NAMESPACE], or off; LEVEL is one of "
            f"{', '.join(LEVELS)}, NAMESPACE a dotted name as twisted.web; "
            f"not {' '.join(words)!r}; nothing was changed"
        )
    return Filter(level, namespace)


def text(event: dict[str, Any]) -> str:
    """
    One event as text, without the time: ``[twisted.web#info] Starting``.

    The failure in it, if there is one, is reported on its own.
    """
    level = event.get("log_level") or LogLevel.info
    message = message_of(event)
    failure = failure_of(event)
    if not message and failure is not None:
        message = str(failure.value)
    return f"[{event.get('log_namespace', '-')}#{level.name}] {message}"


@magics_class
class TwistedLogMagics(Magics):
    """
    Thread:
        The magic where cells run; events are printed in the thread that logs.
    """

    def __init__(self, shell: Any) -> None:
        super().__init__(shell)
        self._filter: Filter | None = None
        self._undo: Callable[[], None] = lambda: None

    @line_magic
    def twisted_log(self, line: str) -> None:
        """
        Show Twisted's log, each event under the cell that caused it::

            %twisted_log on [LEVEL] [NAMESPACE]
            %twisted_log off
            %twisted_log

        LEVEL is debug, info (the default), warn, error or critical: less serious
        events are not shown. NAMESPACE is where they come from: twisted.web is
        that module and those below it. With nothing, it says what is shown.

        Off by default: Twisted's log is Python's logger ``twisted`` then.
        """
        if line.strip():
            self._filter = read_words(line.split())
            self._undo()
            if self._filter is None:
                self._undo = lambda: None
            else:
                self._undo = claim_events(self._claim)
        shown = "off" if self._filter is None else f"on: {self._filter}"
        print(f"Twisted's log is {shown}")

    def _claim(self, event: dict[str, Any]) -> bool:
        """Any thread: print it, if a cell caused it and it is to be shown."""
        failure = failure_of(event)
        context = context_of(getattr(failure, "value", None))
        chosen = self._filter
        if (
            context is None
            or chosen is None
            or was_collected(event)
            or "log_io" in event  # printed, where Twisted's log has the streams
            or not chosen.takes(event)
        ):
            return False
        context.copy().run(print, text(event), file=sys.stderr)
        return failure is None

    def switch_off(self) -> None:
        """Show nothing any more. Shell thread."""
        self._undo()
