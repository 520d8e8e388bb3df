"""
What is known of a Deferred, EventualResult, Failure or delayed call; as a text and
in HTML.

Holds no live object, and calls nothing of the user's.
"""

from __future__ import annotations

from dataclasses import dataclass
from html import escape
from typing import Literal


@dataclass(frozen=True)
class State:
    """
    One of them, as it was when somebody looked.

    Attributes:
        kind: The name of its class.
        state: None for a Failure, which is what it is.
        of: What a delayed call is to call.
        outcome: The result, or the failure, in one line; "" for None.
        waits_on: What a pending one waits on, what that waits on, and so on.
        traceback: Of a failure; "" if not known, or not asked for.
    """

    kind: str
    state: Literal["pending", "paused", "done", "failed", "called", "cancelled"] | None
    of: str = ""
    outcome: str = ""
    waits_on: tuple[str, ...] = ()
    traceback: str = ""

    @property
    def may_change(self) -> bool:
        """Whether it is still to fire or to be called."""
        return self.state in ("pending", "paused")


def text(state: State) -> str:
    """``<Deferred: failed, ValueError: bad>``: one line, the same each time."""
    said = [state.state or "", state.outcome]
    if state.state == "paused":
        said[0] = "pending, paused"
    if state.waits_on:
        said.append("waiting on " + " that waits on ".join(state.waits_on))
    words = ", ".join(filter(None, said))
    name = f"{state.kind} of {state.of}" if state.of else state.kind
    return f"<{name}: {words}>" if words else f"<{name}>"


def html(state: State) -> str:
    """The same line, with the traceback folded under it if there is one."""
    line = escape(text(state))
    if not state.traceback:
        return f'<samp style="white-space: pre-wrap">{line}</samp>'
    return (
        f'<details><summary style="cursor: pointer"><samp>{line}</samp></summary>'
        f"<pre>{escape(state.traceback)}</pre></details>"
    )
