"""
A live console leaves no trace in its application, which looks itself.

Around it are the application's own hooks, handlers, streams and log files; what it
sees of itself is compared as it was before the console opened.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from applications import REACTORS, RunningApplication, interrupt, ok, run, start
from kernels import DEADLINE
from services import Service

APPLICATION = '''\
import atexit, contextlib, logging, os, random, signal, sys, threading, warnings

sys.path.insert(0, {tests!r})

from snapshots import Camera
from twisted.internet import reactor
from twisted.internet.task import deferLater
from twisted.logger import Logger

class Own:
    """A hook of the application's."""
    def __init__(self, before):
        self.before = before
    def __call__(self, *args):
        return self.before(*args)

sys.excepthook = Own(sys.excepthook)
sys.displayhook = Own(sys.displayhook)
threading.excepthook = Own(threading.excepthook)
signal.signal(signal.SIGUSR1, Own(lambda *args: None))
warnings.simplefilter("ignore", BytesWarning)
warnings.warn("once")
sys.ps1 = "application> "

own_log = logging.getLogger("own")
own_log.setLevel(logging.INFO)
own_log.addHandler(logging.FileHandler("own.log", mode="w"))
on_stderr = logging.StreamHandler(sys.stderr)
on_stderr.setLevel(logging.ERROR)
logging.getLogger().addHandler(on_stderr)

_ = gettext = lambda text: text
In = ["the application's own"]
events = Logger("own")

def say(name):
    print("out", name, flush=True)
    print("err", name, file=sys.stderr, flush=True)
    own_log.info("log %s", name)
    if name == "stop":
        reactor.stop()

def sleep(seconds, result=None):
    return deferLater(reactor, seconds, lambda: result)

async def redirected(into, done):
    with contextlib.redirect_stdout(into), warnings.catch_warnings():
        await done

camera = Camera({photos!r}, globals(), reactor, say)
def begin():
    random.seed(1)  # here, since Python does it anew in a daemon
    camera.watch()

reactor.callLater(0, begin)
atexit.register(camera.take, "end")
'''

SCRIPT = """
from twisted_ipython import install_live_console
if {console}:
    console = install_live_console(globals())
reactor.run()
say("the end")
"""

SERVICE = """
from twisted.application import service
from twisted_ipython import LiveConsole
application = service.Application("traced")
if {console}:
    console = LiveConsole(globals())
    console.setServiceParent(application)
"""

TESTS = str(Path(__file__).parent)

Snapshot = dict[str, Any]

# What the process may gain for good: modules, with what Python keeps for those.
GAINED = {
    # Imports register functions for the end, and loggers without handlers.
    ("atexit", "functions"),
    # Made by the cells of these tests, on purpose.
    ("globals", "made"),
}


# Put at the end of sys.meta_path by the module six, which finds its own parts by it;
# python-dateutil before 4.0 imports it, for jupyter_client.
OF_SIX = "_SixMetaPathImporter"


# What cells have while they wait.
OF_CELLS = {("reactor", "calls"), ("reactor", "loop.tasks")}


class Traced:
    """
    An application that looks at itself.

    Args:
        kind: ``script``, ``twistd``, or ``daemon``.
    """

    def __init__(
        self, kind: str, reactor: str, photos: Path, *, console: bool = True
    ) -> None:
        self.photos = photos
        source = APPLICATION.format(tests=TESTS, photos=str(photos))
        self.kind = kind
        if kind == "script":
            self.running = RunningApplication(
                source + SCRIPT.format(console=console),
                reactor=reactor,
                installs=console,
            )
        else:
            self.running = Service(
                source + SERVICE.format(console=console),
                reactor=reactor,
                daemon=kind == "daemon",
                installs=console,
            )
        self.said: list[str] = []

    def look(self, name: str) -> Snapshot:
        """What it sees now, in the midst of its work."""
        (self.photos / f"ask-{name}").touch()
        self.running.wait_until(
            (self.photos / f"is-{name}").exists, what=f"the snapshot {name!r}"
        )
        self.said.append(name)
        return self.seen(name)

    def seen(self, name: str) -> Snapshot:
        """A snapshot that was taken."""
        found: Snapshot = json.loads((self.photos / f"is-{name}").read_text())
        return found

    def plain(self, part: Snapshot) -> str:
        """What of a part does not differ from one process to the next."""
        text = json.dumps(part, sort_keys=True, indent=1)
        text = text.replace(str(self.running.directory), "DIRECTORY")
        return re.sub(r" at [0-9a-f]+", "", text)

    def close(self, client: Any) -> None:
        """Have the console close, by a cell; its client leaves."""
        ok(client, "reactor.callLater(0.05, console.close); None")
        self.running.wait_until(
            lambda: self.running.app_json["state"] == "dormant", what="dormant"
        )
        self.running.leave(client)

    @property
    def own_log(self) -> str:
        return (self.running.directory / "own.log").read_text()


@pytest.fixture(
    params=[
        *((kind, reactor) for kind in ("script", "twistd") for reactor in REACTORS),
        ("daemon", "default"),
    ],
    ids="-".join,
)
def traced(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Traced]:
    """Such an application, for each way to run one."""
    kind, reactor = request.param
    each = Traced(kind, reactor, tmp_path)
    with each.running:
        yield each


def differences(before: Snapshot, after: Snapshot, *, while_open: bool) -> list[str]:
    """
    What is not as it was, a line for each; without what is allowed.

    Args:
        while_open: Whether threads and descriptors may be there that were not.
    """
    found = []
    for part in before.keys() | after.keys():
        old, new = flat(before.get(part, {})), flat(after.get(part, {}))
        for name in sorted(old.keys() | new.keys()):
            was, now = old.get(name), new.get(name)
            if was == now or (part, name) in GAINED:
                continue
            if was is None and while_open:
                if part in ("threads", "descriptors") or name == "comm manager":
                    continue
            if while_open and (part, name) in OF_CELLS:
                continue
            if was is None and str(now).startswith(OF_SIX):
                continue
            if was is None and part == "logging" and is_null(now):
                continue  # a logger of a module that was imported, as it comes
            if isinstance(was, list) and isinstance(now, list):
                gone, came = (
                    [x for x in a if x not in b] for a, b in ((was, now), (now, was))
                )
                was, now = gone or "(their order)", came
            found.append(f"{part}: {name}: {was} -> {now}")
    return found


def is_null(logger: list[Any]) -> bool:
    """Whether a logger's handlers do nothing."""
    return all(each.startswith("NullHandler") for each in logger[3:])


def flat(part: Snapshot) -> Snapshot:
    """``{"a": {"b": 1}}`` as ``{"a.b": 1}``."""
    found = {}
    for name, value in part.items():
        if isinstance(value, dict):
            found.update({f"{name}.{k}": v for k, v in flat(value).items()})
        else:
            found[name] = value
    return found


CELLS = {
    "nothing": "",
    "print": "print('printed by a cell')",
    "stderr": "import sys as made; print('printed by a cell', file=made.stderr)",
    "value": "6 * 7",
    "error": "1 / 0",
    "syntax": "1 +",
    "display": "display({'a': 1})",
    "function": "def made(x): return x + 1\nprint(made(1))",
    "await": "await sleep(0.01, 'awaited')",
    "await-fails": "await sleep(0.01)\n1 / 0",
    "magic": "%who",
    "timeit": "%timeit -n1 -r1 1",
    "time": "%%time\nawait sleep(0.01)",
    "prun": "%prun -q 1",
    "capture": "%%capture made\nprint('captured')",
    "history": "%history",
    "verbose": "%xmode Verbose\n1 / 0",
    "context": "%xmode Context",
    "tb": "%tb",
    "system": "!echo of a shell",
    "help": "sleep?",
    "source": "sleep??",
    "pager": "help(sleep)",
    "reset": "%reset -f",
    "reset-out": "%reset -f out",
    "exit": "exit",
    "quit": "quit()",
    "system-exit": "raise SystemExit(3)",
    "sys-exit": "import sys as made; made.exit()",
    "keyboard": "raise KeyboardInterrupt",
    "generator-exit": "raise GeneratorExit",
    "stop-iteration": "raise StopIteration",
    "warns": "import warnings as made; made.warn('of a cell', ResourceWarning)",
    "thread": "%%thread\nprint('in a thread')\n5",
    "thread-fails": "%%thread\n1 / 0",
    "thread-where": "%%thread",
    "input": "(lambda: input('what? '))()",
    "getpass": "import getpass as made; made.getpass()",
    "stdin": "import sys as made; made.stdin.read()",
    "pdb": "import pdb as made; made.set_trace",
    "task": "import asyncio as made; made.CancelledError",
    "underscore": "_",
    "names": "In, Out, exit, get_ipython",
    "expand": "%psearch sle*",
    "logging": "import logging as made; made.getLogger('own').debug('quietly')",
}


def test_nothing_is_left_by_cells(traced: Traced) -> None:
    """Between any two cells, whatever they were, the application has what it had."""
    before = traced.look("before")
    client = traced.running.client()
    left = {"attached": differences(before, traced.look("attached"), while_open=True)}
    for name, source in CELLS.items():
        run(client, source)
        left[name] = differences(before, traced.look(name), while_open=True)

    left = {name: found for name, found in left.items() if found}
    assert not left, json.dumps(left, indent=1)


def test_nothing_is_left_while_cells_wait(traced: Traced) -> None:
    """While cells await, in the midst of an error or not, all is as it was."""
    before = traced.look("before")
    first, second = traced.running.client(), traced.running.client()
    waiting = [
        start(first, "print('begun'); await sleep(1000)"),
        start(
            second,
            "try:\n    1 / 0\nexcept ZeroDivisionError:\n"
            "    print('begun'); await sleep(1000)",
        ),
    ]
    for cell in waiting:
        cell.wait_for_output("begun")

    found = differences(before, traced.look("waiting"), while_open=True)

    for client, cell in zip((first, second), waiting, strict=True):
        interrupt(client)
        assert cell.wait().only_error.ename == "KeyboardInterrupt"
    found += differences(before, traced.look("interrupted"), while_open=True)
    assert not found, "\n".join(found)


@pytest.mark.parametrize(
    "source",
    [
        "print('begun')\nwhile True: pass",
        "import time as made; print('begun'); made.sleep(1000)",
        "%%thread\nprint('begun', flush=True)\nwhile True: pass",
    ],
    ids=["loop", "sleep", "thread"],
)
def test_nothing_is_left_by_an_interrupt(traced: Traced, source: str) -> None:
    """A cell that was interrupted leaves nothing."""
    before = traced.look("before")
    client = traced.running.client()
    cell = start(client, source).wait_for_output("begun")

    interrupt(client)

    assert cell.wait().only_error.ename == "KeyboardInterrupt"
    found = differences(before, traced.look("interrupted"), while_open=True)
    assert not found, "\n".join(found)


def test_nothing_is_left_by_what_is_asked_beside_cells(traced: Traced) -> None:
    """Completions, inspections, histories, comms and their like leave nothing."""
    before = traced.look("before")
    client = traced.running.client()
    asked = [
        client.complete("slee"),
        client.complete("own_log.hand"),
        client.inspect("sleep"),
        client.inspect("sleep", detail_level=1),
        client.is_complete("for x in y:"),
        client.history(),
        client.kernel_info(),
        client.comm_info(),
    ]
    for each in asked:
        client.attached.wait_until(lambda each=each: client.attached._is_idle(each))
    send = client.attached.request
    content = {"comm_id": "1", "target_name": "unknown", "data": {}}
    each = send("comm_open", content)
    client.attached.wait_until(lambda: client.attached._is_idle(each))

    found = differences(before, traced.look("asked"), while_open=True)
    assert not found, "\n".join(found)


def test_nothing_is_left_when_it_has_closed(traced: Traced) -> None:
    """After closing, the first time and the next, threads and descriptors are back too."""
    before = traced.look("before")
    left = []
    for number in range(1, 4):
        client = traced.running.client()
        for source in CELLS.values():
            run(client, source)
        waits = start(client, "print('begun'); await sleep(1000)")
        waits.wait_for_output("begun")
        other = traced.running.client()
        traced.close(other)
        traced.running.leave(client)
        closed = traced.look(f"closed-{number}")
        left += differences(before, closed, while_open=False)
        if number == 1:
            imported = closed["atexit"]
        assert closed["atexit"] == imported

    assert not left, "\n".join(left)


def test_the_streams_are_the_applications_alone(traced: Traced) -> None:
    """Its streams and log files carry its own lines, and go on to do so."""
    traced.look("before")
    client = traced.running.client()
    traced.look("open")
    for source in CELLS.values():
        run(client, source)
    traced.look("used")
    traced.close(client)
    traced.look("closed")
    running = traced.running
    running.end()
    said = [*traced.said, *(["the end"] if traced.kind == "script" else [])]
    own = {name: [f"{name} {each}" for each in said] for name in ("out", "err", "log")}

    assert traced.own_log.splitlines() == own["log"], running.report()
    if traced.kind == "script":
        # The first two lines are of the warning that it gives itself.
        assert running.stdout.splitlines() == own["out"]
        lines = running.stderr.splitlines()
        assert lines[0].endswith("UserWarning: once"), running.report()
        assert lines[2:] == own["err"], running.report()
    else:
        assert running.stdout == "", running.report()
        lines = [line.split(" ", 1)[1] for line in running.log.splitlines()]
        assert [x for x in lines if "[stdout#" in x] == [
            f"[stdout#info] {line}" for line in own["out"]
        ], running.report()
        assert [x for x in lines if "[stderr#" in x] == [
            f"[stderr#error] {line}" for line in own["err"]
        ], running.report()
        console = [x for x in lines if x.startswith("[twisted_ipython.console#info]")]
        assert console
        known = ("[stdout#", "[stderr#", "[twisted_ipython.console#info]", "[-] ")
        known += ("[twisted.scripts.", "[twisted.internet.base#info]")
        strange = [x for x in lines if not x.startswith(known)]
        assert not strange, running.report()


def test_nothing_is_left_at_the_end(traced: Traced, tmp_path: Path) -> None:
    """
    What is there when the process ends is what is there without a console; its
    names included, which IPython would take away.
    """
    client = traced.running.client()
    for source in CELLS.values():
        run(client, source)
    assert "made" in traced.look("used")["globals"]
    # Not by a signal: twistd would end as by that, and call nothing at the end.
    ok(client, "reactor.callLater(0.05, reactor.stop); None")
    traced.running.process.wait(DEADLINE)
    end = traced.seen("end")

    other = tmp_path / "other"
    other.mkdir()
    reactor = "asyncio" if "loop" in end["reactor"] else "default"
    without = Traced(traced.kind, reactor, other, console=False)
    with without.running:
        without.look("used")
        (without.photos / "ask-stop").touch()
        without.running.process.wait(DEADLINE)
        bare = without.seen("end")

    importers = end["process"]["importers"]
    last = str(len(importers) - 1)
    if importers[last].startswith(OF_SIX):
        assert last not in bare["process"]["importers"]
        del importers[last]
    for part in ("environment", "filters", "process", "__main__", "builtins", "sys"):
        assert traced.plain(end[part]) == without.plain(bare[part]), part
    assert list(end["threads"].values()) == ["MainThread"]
    of_the_console = {"made", "console", "LiveConsole", "install_live_console"}
    assert end["globals"].keys() ^ bare["globals"].keys() <= of_the_console
    assert not traced.running.console_directory.exists()


def test_what_the_application_keeps_from_a_cell_is_mended(traced: Traced) -> None:
    """
    A coroutine of the application's that a cell has started, and that puts back later
    what it has found in a cell, gives the application its own again.
    """
    before = traced.look("before")
    client = traced.running.client()
    ok(
        client,
        "from io import StringIO as made\n"
        "from twisted.internet.defer import Deferred, ensureDeferred\n"
        "made = [Deferred(), made()]\n"
        "made.append(ensureDeferred(redirected(made[1], made[0])))",
    )
    ok(client, "reactor.callLater(0.01, made[0].callback, None); await sleep(0.05)")
    assert ok(client, "print('to the client')").stdout == "to the client\n"
    traced.look("mended")
    ok(client, "del made, Deferred, ensureDeferred")
    found = differences(before, traced.look("after"), while_open=True)
    traced.close(client)
    found += differences(before, traced.look("closed"), while_open=False)
    assert not found, "\n".join(found)


def test_warnings_of_a_cell_go_to_its_client(traced: Traced) -> None:
    """Its own ones, and those of sys.exit(); each time it runs."""
    client = traced.running.client()
    for _ in range(2):
        cell = run(client, "import warnings as made; made.warn('of a cell')")
        assert "UserWarning: of a cell" in cell.stderr, cell.kernel.report()
    assert "To exit" in run(client, "raise SystemExit").stderr
    traced.running.end()
    assert "of a cell'" not in traced.running.stderr
    assert "To exit" not in traced.running.said


def test_what_a_script_prints_goes_to_the_client(traced: Traced) -> None:
    """``%%bash``."""
    client = traced.running.client()
    cell = run(client, "%%bash\necho of a script")
    assert cell.stdout == "of a script\n", cell.kernel.report()
