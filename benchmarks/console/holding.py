"""
The parent's hold on an application.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from .. import web_client
from ..workers import Program
from .hosts import Host

ANSWER_WITHIN = 60.0  # seconds: it is stuck, not slow

WARM_UP = 120  # requests

# Seconds between two looks at whether something is there. Each look takes a little
# of the processor that the application runs on, too.
LOOK_EACH = 0.001


@dataclass(frozen=True)
class Footprint:
    """
    What the operating system says of a process.

    Attributes:
        memory: Resident, in bytes / 1,000,000.
        threads: All there are, not only Python's.
        descriptors: Open ones.
    """

    memory: float
    threads: int
    descriptors: int


class Application(Program):
    """``application``, as a process."""

    ANSWER_WITHIN = ANSWER_WITHIN

    def __init__(self, host: Host) -> None:
        super().__init__(host.label, "benchmarks.console.application", str(host))
        self.host = host

    @property
    def pid(self) -> int:
        return self._process.pid

    def wait_for_start(self) -> None:
        """Its reactor answers, and has nothing else to do."""
        self.port = int(self.ask("port"))
        self.ask("collect")

    def longest_gap(self, work: Callable[[], object]) -> float:
        """Do ``work``; gives the seconds between two ticks meanwhile, at the most."""
        self.ask("watch")
        try:
            work()
        finally:
            gap = float(self.ask("longest"))
        return gap

    def footprint(self) -> Footprint | None:
        """What it holds now; None where there is no ``/proc``."""
        self.ask("collect")
        process = Path("/proc", str(self.pid))
        if not process.exists():
            return None
        import resource

        pages = int((process / "statm").read_text().split()[1])
        return Footprint(
            pages * resource.getpagesize() / 1e6,
            len(list((process / "task").iterdir())),
            len(list((process / "fd").iterdir())),
        )

    def load(self, requests: int) -> tuple[float, float]:
        """
        Ask its server for a page, over and over.

        Gives the seconds of CPU time that it took for each, and requests per second.
        """
        self.ask("collect")  # so that these requests don't pay for what was before
        web_client.load(self.port, WARM_UP, True)
        before = self.ask("cpu")
        done = web_client.load(self.port, max(requests, web_client.AT_ONCE), True)
        cpu = self.ask("cpu") - before
        return cpu / done["requests"], done["requests"] / done["seconds"]


def look_until(found: Callable[[], bool], what: str) -> None:
    """
    Look until ``found``.

    Raises:
        TimeoutError: It was not.
    """
    deadline = time.monotonic() + ANSWER_WITHIN
    while not found():
        if time.monotonic() > deadline:
            raise TimeoutError(f"after {ANSWER_WITHIN:g} s still no {what}")
        time.sleep(LOOK_EACH)


def idle(seconds: float) -> None:
    """Look as ``look_until`` does, at nothing, for so long."""
    deadline = time.monotonic() + seconds
    here = Path(sys.executable)
    while time.monotonic() < deadline and here.exists():
        time.sleep(LOOK_EACH)
