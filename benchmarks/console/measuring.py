"""
A run: applications with each of the consoles, all up at once, in turns.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Iterable
from contextlib import ExitStack
from dataclasses import asdict
from pathlib import Path
from statistics import median
from typing import Any

from .. import others
from ..figures import Group
from ..kernels import Kernel
from ..sides import STOCK as STOCK_SIDE
from ..sides import TOP
from ..turns import Effort, Measurements, in_turns
from ..workers import WorkerFailed
from . import attaching
from .holding import Application, idle
from .hosts import BARE, LIVE, OTHERS, STOCK, WITH_CONSOLE, Host
from .line_prompts import AiomonitorPrompt, ManholePrompt
from .prompts import LivePrompt, Opened, Prompt
from .rows import AWAIT, CYCLES, INTERRUPT, SUM_CASE, rows_of

Say = Callable[[str], object]

# Of each in a round.
REQUESTS = 600
CELLS = {SUM_CASE: 10, AWAIT: 10, INTERRUPT: 2}

# Seconds that the reactor is watched in an application to which nobody attaches.
WATCHED = 0.6

# What a cell with an await is in each console; all show the same result.
AWAITS = {
    "live": "await deferLater(reactor, 0, lambda: 2)",
    "stock": "await asyncio.sleep(0, 2)",
    "aiomonitor": "await asyncio.sleep(0, 2)",
}


def run(effort: Effort, folder: Path, say: Say) -> Group:
    """Measure all of it; takes a minute, or less than half of one when it is quick."""
    found = Measurements({host: others.fetch(host.console) for host in OTHERS})
    say("consoles: imports")
    _imports(effort, found)
    if effort.starts > 1:
        _warm_up(found)
    sets = max(1, effort.processes // 3)
    for number in range(sets):
        say(f"consoles, set {number + 1} of {sets}")
        with Applications(effort, found, folder) as applications:
            applications.measure(cycles=number == 0)
    say("consoles: attaching")
    _attaching(effort, found)
    cycles = {host: _cycles(host, effort) for host in CYCLES}
    return rows_of(found, cycles, rounds=effort.rounds)


def _cycles(host: Host, effort: Effort) -> int:
    return effort.times(CYCLES[host])


def _imports(effort: Effort, found: Measurements) -> None:
    """What having a console adds to an application's imports; in fresh processes."""
    rounds = effort.processes // 2 + 2
    for number, turn in enumerate(in_turns([LIVE[0], *OTHERS], rounds)):
        for host in filter(found.has, turn):
            command = [sys.executable, "-m", "benchmarks.console.importing"]
            done = subprocess.run(
                [*command, host.console], cwd=TOP, capture_output=True, text=True
            )
            if done.returncode:
                found.tolerate(host, WorkerFailed(done.stderr))
            elif number:  # the first compiles
                own, added = json.loads(done.stdout)
                found.add(host, "import: the application's", own)
                found.add(host, "import", added)


def _warm_up(found: Measurements) -> None:
    """Open each once, so that all of it is compiled and in the machine's memory."""
    for host in filter(found.has, WITH_CONSOLE):
        try:
            with Application(host) as application:
                application.wait_for_start()
                prompt = prompt_of(application)
                prompt.open()
                prompt.leave()
        except (WorkerFailed, OSError) as failed:
            found.tolerate(host, failed)


def _attaching(effort: Effort, found: Measurements) -> None:
    """The commands, each to an application to which nobody has attached."""
    hosts = [LIVE[0], *OTHERS]
    warm_up = 1 if effort.starts > 1 else 0  # what is not compiled is slow
    for number, turn in enumerate(in_turns(hosts, effort.starts + warm_up)):
        for host in filter(found.has, turn):
            if host == LIVE[0] and attaching.why_missing():
                continue
            try:
                with Application(host) as application:
                    application.wait_for_start()
                    seconds = attaching.time_attach(application)
            except (WorkerFailed, OSError) as failed:
                found.tolerate(host, failed)
            else:
                if number >= warm_up:
                    found.add(host, "attach", seconds)


def prompt_of(application: Application) -> Prompt:
    """The console of an application that has one."""
    if application.host.console == "manhole":
        return ManholePrompt(application)
    if application.host.console == "aiomonitor":
        return AiomonitorPrompt(application)
    return LivePrompt(application)


class Running:
    """An application, and what is measured of its console."""

    def __init__(self, host: Host, found: Measurements) -> None:
        self.host = host
        self.application = Application(host)
        self._found = found
        self._is_open = False
        self._prompt: Prompt | None = None

    @property
    def prompt(self) -> Prompt:
        if self._prompt is None:
            self._prompt = prompt_of(self.application)
        return self._prompt

    def add(self, case: str, value: float) -> None:
        self._found.add(self.host, case, value)

    def open(self, case: str) -> None:
        """Open and attach, if it is not; with how long the reactor is held by it."""
        if self._is_open:
            return
        opened: list[Opened] = []
        gap = self.application.longest_gap(lambda: opened.append(self.prompt.open()))
        self._is_open = True
        for what, seconds in asdict(opened[0]).items():
            self.add(f"{case}: {what}", seconds)
        self.add(f"{case}: gap", gap)

    def close(self) -> None:
        """The client leaves; then the console closes, where it can."""
        if not self._is_open:
            return
        self.prompt.leave()
        self._is_open = False
        if self.prompt.can_close:
            self.add("closing", self.prompt.close())

    def note_footprint(self, when: str) -> None:
        footprint = self.application.footprint()
        if footprint is not None:
            for what, value in asdict(footprint).items():
                self.add(f"{what}, {when}", value)

    def load(self, case: str, requests: int, *, counts: bool) -> None:
        """Ask its server for pages."""
        cpu, rate = self.application.load(requests)
        if counts:
            self.add(f"{case}: cpu", cpu)
            self.add(f"{case}: rate", rate)


class Applications:
    """
    One set of processes: the applications, and a stock kernel.

    What somebody else has made and fails is left out from then on.
    """

    def __init__(self, effort: Effort, found: Measurements, folder: Path) -> None:
        self._effort = effort
        self._found = found
        self._folder = folder
        self._stack = ExitStack()
        self._all: dict[Host, Running] = {}

    def __enter__(self) -> Applications:
        with ExitStack() as stack:
            for host in filter(self._found.has, (*BARE.values(), *WITH_CONSOLE)):
                running = self._all[host] = Running(host, self._found)
                stack.enter_context(running.application)
            self._kernel = stack.enter_context(Kernel(STOCK_SIDE, self._folder))
            self._kernel.set_up()
            self._each(self._all, lambda running: running.application.wait_for_start())
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def _each(self, hosts: Iterable[Host], work: Callable[[Running], object]) -> None:
        for host in list(hosts):
            running = self._all.get(host)
            if running is None:
                continue
            try:
                work(running)
            except (WorkerFailed, OSError) as failed:
                self._found.tolerate(host, failed)
                del self._all[host]

    def measure(self, *, cycles: bool) -> None:
        """
        All of it, in the order of a console's life.

        Args:
            cycles: Whether to open and close many times, too.
        """
        self._each(self._all, lambda running: running.note_footprint("dormant"))
        self._loads([(host, "dormant") for host in (*BARE.values(), *WITH_CONSOLE)])
        self._each(BARE.values(), self._watch)
        self._each(WITH_CONSOLE, lambda running: running.open("first"))
        self._each(WITH_CONSOLE, lambda running: running.note_footprint("open"))
        self._cells()
        self._each(WITH_CONSOLE, lambda running: running.close())
        self._each(WITH_CONSOLE, lambda running: running.note_footprint("closed"))
        if cycles:
            self._each(WITH_CONSOLE, self._cycle)
        self._loads(
            [
                *((BARE[kind], "beside") for kind in BARE),
                *((host, state) for host in LIVE for state in ("open", "closed")),
                *((host, "open") for host in OTHERS),
            ]
        )

    def _watch(self, running: Running) -> None:
        gap = running.application.longest_gap(lambda: idle(WATCHED))
        running.add("gap", gap)

    def _cycle(self, running: Running) -> None:
        for _ in range(_cycles(running.host, self._effort)):
            running.open("again")
            running.close()
        running.note_footprint("cycled")

    def _loads(self, cases: list[tuple[Host, str]]) -> None:
        """Requests to each, in turns; the console is opened and closed for it."""
        requests = self._effort.times(REQUESTS)
        for number, turn in enumerate(in_turns(cases, self._effort.rounds + 1)):
            for host, state in turn:

                def load(running: Running, state: str = state, counts: int = number):
                    if state == "open":
                        running.open("again")
                    elif state == "closed":
                        running.close()
                    running.load(state, requests, counts=bool(counts))

                self._each([host], load)

    def _cells(self) -> None:
        """Single cells, in turns."""
        hosts = [STOCK, *WITH_CONSOLE]
        for number, turn in enumerate(in_turns(hosts, self._effort.rounds + 1)):
            for host in turn:
                if host == STOCK:
                    self._time_cells(host, self._kernel, number)
                else:
                    self._each(
                        [host],
                        lambda running, number=number: self._time_cells(  # type: ignore
                            running.host, running.prompt, number
                        ),
                    )

    def _time_cells(self, host: Host, prompt: Any, counts: int) -> None:
        ways: dict[str, Callable[[], float]] = {SUM_CASE: lambda: prompt.time("1+1")}
        if host.console in AWAITS:
            ways[AWAIT] = lambda: prompt.time(AWAITS[host.console])
        if hasattr(prompt, "time_interrupt"):
            ways[INTERRUPT] = prompt.time_interrupt
        for case, way in ways.items():
            seconds = [way() for _ in range(self._effort.times(CELLS[case]))]
            if counts:  # the first round is to warm up
                self._found.add(host, case, median(seconds))
