"""
What the application's side of a live console decides, for it to be opened by.
"""

from __future__ import annotations

from collections.abc import Callable
from contextvars import Context
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .clients import Client
    from .requests import Request


@dataclass
class Plan:
    """
    Attributes:
        directory: Where the connection file goes.
        reactor: The application's.
        thread_id: The number of the thread that runs it.
        context: The application's own context variables.
        names: The dictionary that cells read and write.
        banner: What a frontend shows first.
        send_signal: How to have ``interrupted`` of the console called in the reactor
            thread; None where that is not the main thread.
        attached, detached: Called with a client, in the kernel's thread.
        cell_ended: Called with a request, how it ended and its seconds, there too.
        is_ending: Whether the application shuts down. Any thread.
    """

    directory: Path
    reactor: Any
    thread_id: int
    context: Context
    names: dict[str, Any]
    banner: str
    send_signal: Callable[[], object] | None
    attached: Callable[[Client], object]
    detached: Callable[[Client], object]
    cell_ended: Callable[[Request, str, float], object]
    is_ending: Callable[[], bool]
