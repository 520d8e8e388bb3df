"""
An application that ends, with a console in it: as it would without.
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable
from typing import Any

import pytest

from applications import REACTORS, RunningApplication, start
from services import Service
from twisted_ipython.console.processes import handles

SOURCE = """\
import os, signal, sys, threading, time
from twisted.internet import defer, reactor, task
from twisted.python import log
from twisted_ipython import install_live_console

def sleep(seconds, result=None):
    return task.deferLater(reactor, seconds, lambda: result)

def say(*words):
    # In one piece: a signal's handler says something, too.
    sys.stdout.write(" ".join(map(str, words)) + "\\n")
    sys.stdout.flush()

reactor.addSystemEventTrigger("before", "shutdown", say, "before shutdown")
reactor.addSystemEventTrigger("during", "shutdown", sleep, 0.05)
reactor.addSystemEventTrigger("after", "shutdown", say, "after shutdown")
signal.signal(signal.SIGUSR1, lambda *_: reactor.callFromThread(reactor.stop))
{before}
if {console}:
    console = install_live_console(globals())
reactor.callLater(0, say, "runs")
reactor.run({run})
names = [each.name for each in threading.enumerate()]
say("ended", [name for name in names if name not in {but}])
sys.exit({code})
"""

OWN_HANDLER = """
def own(number, frame):
    say("own handler", number)
    reactor.callFromThread(reactor.stop)
signal.signal(signal.SIGTERM, own)
signal.signal(signal.SIGINT, own)
"""

CELLS = {
    "nothing": None,
    "idle": "print('begun')",
    "await": "print('begun'); await sleep(1000)",
    "await-shielded": "print('begun'); await defer.Deferred(lambda d: time)",
    "loop": "print('begun')\nwhile True: pass",
    "sleep": "print('begun'); time.sleep(1000)",
    "thread": "%%thread\nprint('begun', flush=True)\nwhile True: pass",
    "thread-sleep": "%%thread\nprint('begun', flush=True)\ntime.sleep(1000)",
    "input": "print('begun'); await ainput('what? ')",
    "finally": "print('begun')\ntry:\n    await sleep(1000)\nfinally:\n    await sleep(1000)",
}
"""What a client is doing when the application ends; all let themselves be interrupted."""

# Seconds after which the end counts as held up. Not how long it may take, which a
# benchmark says: the machine may be busy with other tests.
LONGER = 15.0


class Ended:
    """How an application has ended: its status, its streams, the seconds it took."""

    def __init__(self, app: RunningApplication, end: Callable[[], object]) -> None:
        began = time.monotonic()
        end()
        self.status = app.process.wait(60)
        self.seconds = time.monotonic() - began
        self.stdout, self.stderr = app.stdout, app.stderr
        self.left = app.console_directory.exists()

    def same_as(self, other: Ended) -> None:
        assert (self.status, self.stdout, self.stderr) == (
            other.status,
            other.stdout,
            other.stderr,
        )
        assert not self.left
        assert self.seconds < other.seconds + LONGER


# Threads that Python can't end: those are daemons, and end with the process.
STUCK = ("twisted_ipython %%thread",)


def source(
    console: bool,
    before: str = "",
    run: str = "",
    code: int = 0,
    but: tuple[str, ...] = STUCK,
) -> str:
    """
    Args:
        but: The names of threads that may be there when it has ended.
    """
    return SOURCE.format(console=console, before=before, run=run, code=code, but=but)


def without(number: int, reactor: str = "default", **options: Any) -> Ended:
    """How it ends where it has no console."""
    app = RunningApplication(source(False, **options), reactor=reactor, installs=False)
    with app:
        app.wait_until(lambda: "runs" in app.stdout, what="its begin")
        return Ended(app, lambda: app.signal(number))


def begin(app: RunningApplication, cell: str | None) -> Any:
    """Attach and send a cell, which has begun then."""
    app.wait_until(lambda: "runs" in app.stdout, what="its begin")
    if cell is None:
        return None
    client = app.client()
    start(client, cell).wait_for_output("begun")
    return client


@pytest.mark.parametrize("cell", CELLS)
@pytest.mark.parametrize(
    "number", [signal.SIGTERM, signal.SIGINT], ids=["sigterm", "sigint"]
)
@pytest.mark.parametrize("reactor", REACTORS)
def test_a_signal_ends_it_as_without(reactor: str, number: int, cell: str) -> None:
    """Exit status, output and time are the same, whatever a client is doing."""
    expected = without(number, reactor)
    with RunningApplication(source(True), reactor=reactor) as app:
        begin(app, CELLS[cell])
        ended = Ended(app, lambda: app.signal(number))
        ended.same_as(expected)


@pytest.mark.parametrize(
    "cell", [name for name in CELLS if name not in ("loop", "sleep")]
)
@pytest.mark.parametrize("reactor", REACTORS)
def test_reactor_stop_ends_it_as_without(reactor: str, cell: str) -> None:
    """As called by the application."""
    expected = without(signal.SIGUSR1, reactor, code=3)
    with RunningApplication(source(True, code=3), reactor=reactor) as app:
        begin(app, CELLS[cell])
        Ended(app, lambda: app.signal(signal.SIGUSR1)).same_as(expected)
        assert expected.status == 3


@pytest.mark.parametrize("cell", ["nothing", "await", "loop", "sleep", "thread"])
def test_its_own_handlers_are_called(cell: str) -> None:
    """Before what a cell does ends, and once."""
    expected = without(
        signal.SIGTERM, before=OWN_HANDLER, run="installSignalHandlers=False"
    )
    text = source(True, before=OWN_HANDLER, run="installSignalHandlers=False")
    with RunningApplication(text) as app:
        begin(app, CELLS[cell])
        Ended(app, lambda: app.signal(signal.SIGTERM)).same_as(expected)
        assert expected.stdout.count("own handler") == 1


STUBBORN = """\
def spin():  # a call: from some loops, Python takes a signal's exception past the try
    print('begun')
    while True: pass
while True:
    try:
        spin()
    except KeyboardInterrupt:
        stubborn = globals().get('stubborn', 0) + 1
        if stubborn == 2:
            raise
"""


def test_a_cell_that_swallows_the_interrupt_is_told_again() -> None:
    """Once by the signal, and again as long as it does not let the reactor go."""
    expected = without(signal.SIGTERM)
    with RunningApplication(source(True)) as app:
        begin(app, STUBBORN)
        Ended(app, lambda: app.signal(signal.SIGTERM)).same_as(expected)


CLEANING = """\
def spin():
    print('begun')
    while True: pass
try:
    spin()
except KeyboardInterrupt:
    for n in range(10**5): pass  # a few ms: it is told again after 0.6 s
    os.write(1, b"cleaned up ")
"""


def test_clean_up_is_not_broken_off() -> None:
    """A cell that the signal ends is given its time for that."""
    for _ in range(3):
        with RunningApplication(source(True)) as app:
            begin(app, CLEANING)
            ended = Ended(app, lambda app=app: app.signal(signal.SIGTERM))
            assert "before shutdown" in ended.stdout, app.report()
            assert ended.stderr == ""
            assert "cleaned up" in ended.stdout, app.report()


EXITS = """
import atexit
atexit.register(say, "exits")
def exits(number, frame):
    say("own handler", number)
    raise SystemExit(7)
reactor.callWhenRunning(signal.signal, signal.SIGTERM, exits)
"""


@pytest.mark.parametrize("cell", ["loop", "sleep"])
def test_own_handler_that_raises(cell: str) -> None:
    """What it raises is for the application, also while a cell has the thread."""
    with RunningApplication(source(True, EXITS), reactor="asyncio") as app:
        begin(app, CELLS[cell])
        ended = Ended(app, lambda: app.signal(signal.SIGTERM))
        assert ended.status == 7, app.report()
        assert "own handler 15" in ended.stdout and "exits" in ended.stdout


@pytest.mark.parametrize("several", [3])
def test_several_clients_with_cells_of_all_kinds(several: int) -> None:
    """None of them holds it up."""
    expected = without(signal.SIGTERM)
    with RunningApplication(source(True)) as app:
        for _ in range(several):
            for cell in "await", "await-shielded", "thread", "thread-sleep":
                begin(app, CELLS[cell])
        Ended(app, lambda: app.signal(signal.SIGTERM)).same_as(expected)


def test_while_it_opens() -> None:
    """A signal that ends it right after one that opens the console."""
    expected = without(signal.SIGTERM)
    importing = ("twisted_ipython console",)
    for pause in 0, 0.02, 0.1, 0.2, 0.3:
        with RunningApplication(source(True, but=importing)) as app:
            begin(app, None)
            app.signal(signal.SIGUSR2)
            time.sleep(pause)
            Ended(app, lambda app=app: app.signal(signal.SIGTERM)).same_as(expected)


TAC = """\
from twisted.application import service
from twisted.internet import reactor, task
from twisted_ipython import LiveConsole
import time
def sleep(seconds):
    return task.deferLater(reactor, seconds, lambda: None)
class Own(service.Service):
    def stopService(self):
        print("own service stops")
        return sleep(0.05)
application = service.Application("own")
Own().setServiceParent(application)
if {console}:
    LiveConsole(globals()).setServiceParent(application)
"""


@pytest.mark.parametrize("cell", ["nothing", "await", "loop", "sleep", "thread-sleep"])
@pytest.mark.parametrize("reactor", REACTORS)
def test_a_service_under_twistd_ends_as_without(reactor: str, cell: str) -> None:
    """Its log has nothing but its own lines and the console's."""

    def lines(app: Service) -> list[str]:
        texts = [line.split(" ", 1)[1] for line in app.log.splitlines()]
        return [x for x in texts if not x.startswith("[twisted_ipython.console#info]")]

    with Service(TAC.format(console=False), installs=False, reactor=reactor) as app:
        app.wait_until(lambda: "reactor class" in app.log, what="its begin")
        app.wait_until(
            lambda: (app.directory / "twistd.pid").exists(), what="its begin"
        )
        app.wait_until(lambda: handles(app.pid, signal.SIGTERM), what="its handler")
        expected = Ended(app, lambda: app.signal(signal.SIGTERM))
        bare = lines(app)
    with Service(TAC.format(console=True), reactor=reactor) as app:
        client = app.client()
        if CELLS[cell] is not None:
            start(client, CELLS[cell]).wait_for_output("begun")
        Ended(app, lambda: app.signal(signal.SIGTERM)).same_as(expected)
        assert [x.replace(str(app.pid), "PID") for x in lines(app)] == bare, app.log
        assert not (app.directory / "twistd.pid").exists()
        assert os.listdir(app.console_directory.parent) == []


def test_what_a_cell_began_is_the_applications_to_end() -> None:
    """A cell that stops the reactor itself: it ends as by its own code."""
    expected = without(signal.SIGUSR1)
    with RunningApplication(source(True)) as app:
        client = begin(app, "print('begun')")
        Ended(app, lambda: start(client, "reactor.stop()")).same_as(expected)
