"""
What is compared: an application with one of the consoles, or with none.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from ..others import VERSIONS


@dataclass(frozen=True)
class Host:
    """
    Attributes:
        console: The one that the application has; ``stock`` is no application, but an
            ipykernel in a process of its own.
        reactor: Which one the application runs.
    """

    console: Literal["none", "live", "manhole", "aiomonitor", "stock"]
    reactor: Literal["default", "asyncio", ""] = "default"

    def __str__(self) -> str:
        return f"{self.console}-{self.reactor}"

    @classmethod
    def of(cls, name: str) -> Host:
        console, _, reactor = name.partition("-")
        return cls(console, reactor)  # type: ignore[arg-type]

    @property
    def label(self) -> str:
        names = {"none": "no console", "live": "ours", "stock": "stock ipykernel"}
        if self.can_be_missing:
            return f"{self.console} {VERSIONS[self.console]}"
        name = names[self.console]
        return f"{name}, {self.reactor} reactor" if self.reactor else name

    @property
    def can_be_missing(self) -> bool:
        return self.console in VERSIONS


STOCK = Host("stock", "")
MANHOLE = Host("manhole")
AIOMONITOR = Host("aiomonitor", "asyncio")  # which needs an asyncio loop
LIVE = (Host("live", "default"), Host("live", "asyncio"))
OTHERS = (MANHOLE, AIOMONITOR)
WITH_CONSOLE = (*LIVE, *OTHERS)
BARE = {kind: Host("none", kind) for kind in ("default", "asyncio")}  # type: ignore[arg-type]
