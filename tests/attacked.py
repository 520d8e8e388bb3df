"""
An application with a live console, for tests that mean it harm.

The application works all the time: a loop in Python of 2 ms at each turn of a
LoopingCall, another one in a callback of asyncio's or Twisted's. Whatever is raised
in its own code, or logged as an error, is noted, and so is the longest time that it
was held up. When it ends, it prints what it has noted.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
from pathlib import Path
from typing import Any

from applications import Attached, RunningApplication
from kernels import DEADLINE

APPLICATION = '''\
import json, os, sys, threading, time
from twisted.internet import defer, reactor, task
from twisted.logger import LogLevel, globalLogPublisher
from twisted_ipython import LiveConsole

HURT = []  # what was raised in the application's own code
LOGGED = []  # what was logged as an error
SEEN = {"ticks": 0, "gap": 0.0, "turns": 0}

def note(event):
    if event.get("log_level") in (LogLevel.error, LogLevel.critical):
        LOGGED.append(str(event.get("log_format")) + " " + str(event.get("log_failure")))

globalLogPublisher.addObserver(note)

def work():
    until = time.perf_counter() + 0.002
    n = 0
    while time.perf_counter() < until:
        n += 1
    return n

last = None

def tick():
    global last
    now = time.monotonic()
    if last is not None:
        SEEN["gap"] = max(SEEN["gap"], now - last)
    last = now
    try:
        work()
        SEEN["ticks"] += 1
    except BaseException as error:
        HURT.append(repr(error))

def turn():
    try:
        work()
        SEEN["turns"] += 1
    except BaseException as error:
        HURT.append(repr(error))
    finally:
        reactor.callLater(0.011, turn)

def say(text):
    """What the application prints."""
    print(text, flush=True)

def summary():
    return {"hurt": HURT, "logged": LOGGED, **SEEN}

if "idle" not in sys.argv:
    task.LoopingCall(tick).start(0.01)
    turn()
    if "asyncio" in sys.argv:
        import asyncio
        async def busy():
            while True:
                await asyncio.sleep(0.013)
                try:
                    work()
                except BaseException as error:
                    HURT.append(repr(error))
        busy_task = asyncio.get_event_loop().create_task(busy())
'''

MAIN = """\
console = LiveConsole(globals(), linger=None)
console.install()
reactor.run()
say("END " + json.dumps(summary()))
"""

# The reactor runs in another thread, as crochet has it in a Django process.
IN_THREAD = """\
console = LiveConsole(globals(), activation="manual", signal=None)
thread = threading.Thread(target=reactor.run, args=(False,), daemon=True)
thread.start()
while not reactor.running:
    time.sleep(0.01)
console.install()
console.open()
done = threading.Event()
while not done.wait(0.05):
    pass
reactor.callFromThread(reactor.stop)
thread.join(5)
say("END " + json.dumps(summary()))
"""

HELPERS = """\
import asyncio, os, signal, socket, subprocess, sys, threading, time
from twisted.internet import defer, reactor, task
from twisted.internet.defer import Deferred
def sleep(seconds, result=None):
    return task.deferLater(reactor, seconds, lambda: result)
noted = []
"""


class Attacked(RunningApplication):
    """
    A running application whose console is open.

    Args:
        kind: Of reactor, ``default`` or ``asyncio``.
        more: Python text, run before the reactor is.
        main: How the reactor is run.
        works: Whether it has work of its own to do.
    """

    def __init__(
        self,
        kind: str = "default",
        more: str = "",
        main: str = MAIN,
        *,
        works: bool = True,
    ) -> None:
        self.works = works
        arguments = (kind,) if works else (kind, "idle")
        super().__init__(
            APPLICATION + more + "\n" + main,
            reactor=kind,
            arguments=arguments,
            installs=main is MAIN,
        )
        try:
            if main is MAIN:
                self.open()
            else:
                self.wait_until(self.connection_file.exists, what="kernel.json")
        except BaseException:
            self.kill()
            raise

    @property
    def memory(self) -> float:
        """What it has in memory, in MB."""
        pages = int(Path(f"/proc/{self.pid}/statm").read_text().split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE") / 1e6

    @property
    def descriptors(self) -> int:
        """How many it has open."""
        return len(os.listdir(f"/proc/{self.pid}/fd"))

    def frontend(self, *, helpers: bool = True) -> Attached:
        """Another client, at its first prompt."""
        attached: Attached = self.client().attached
        if helpers:
            attached.ok(HELPERS)
        return attached

    def unhurt(self) -> dict[str, Any]:
        """
        Fail unless the application works, answers, and nothing was raised in it.

        Returns:
            What it has noted.
        """
        front = self.frontend(helpers=False)
        noted: dict[str, Any] = front.value("summary()")
        if self.works:
            front.wait_for_value(f"SEEN['ticks'] > {noted['ticks'] + 2}")
        assert noted["hurt"] == [], front.report()
        assert noted["logged"] == [], front.report()
        front.kill()
        return noted

    def has_ended(self, within: float = DEADLINE) -> dict[str, Any]:
        """
        Wait until it has ended, and well; gives what it has noted.

        Raises:
            AssertionError: It has not ended well, or has printed more than that.
        """
        try:
            code = self.process.wait(within)
        except subprocess.TimeoutExpired:
            raise AssertionError(
                f"it did not end within {within:g} s\n\n{self.report()}"
            ) from None
        assert code == 0, self.report()
        last = self.stdout.splitlines()[-1]
        assert last.startswith("END "), self.report()
        noted: dict[str, Any] = json.loads(last.removeprefix("END "))
        return noted

    def ends_unhurt(self) -> dict[str, Any]:
        """
        End it by SIGTERM; fail unless nothing was raised in it, and nothing but its
        own is in its streams. Gives what it has noted.
        """
        self.signal(signal.SIGTERM)
        noted = self.has_ended()
        assert noted["hurt"] == [] and noted["logged"] == [], self.report()
        assert len(self.stdout.splitlines()) == 1, self.report()
        assert self.stderr == "", self.report()
        return noted


class Shared:
    """An application for the tests of a module, replaced when one has failed."""

    def __init__(self, kind: str) -> None:
        self.kind = kind
        self._application: Attacked | None = None
        self._front: Attached | None = None

    def front(self) -> Attached:
        """A client of the application."""
        if self._application is None:
            self._application = Attacked(self.kind)
        if self._front is None:
            self._front = self._application.frontend()
        self._front.forget()
        self._front.ok("noted.clear()")
        return self._front

    def check(self) -> None:
        """After a test: the application is unhurt, and has said nothing."""
        application = self._application
        if application is not None:
            try:
                application.unhurt()
                assert not application.stdout + application.stderr, application.report()
            except BaseException:
                self.discard()
                raise

    def discard(self) -> None:
        """End the application."""
        if self._application is not None:
            self._application.kill()
        self._application = self._front = None
