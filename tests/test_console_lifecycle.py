"""
From a console's installation to its end: when it opens, what it makes, who else there is.
"""

from __future__ import annotations

import json
import os
import random
import re
import signal
import socket
import stat
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from applications import REACTORS, RunningApplication, interrupt, ok, run, start
from services import Service
from twisted_ipython.console.directory import runtime_directory
from twisted_ipython.console.errors import NO_IPYKERNEL
from twisted_ipython.console.processes import handles, start_of

BEGIN = """\
import os, signal, sys, threading, time
from twisted.internet import defer, reactor, task
from twisted.logger import globalLogBeginner, textFileLogObserver
from twisted_ipython import LiveConsole, install_live_console

globalLogBeginner.beginLoggingTo(
    [textFileLogObserver(open("log", "w", 1))], redirectStandardIO=False)

def sleep(seconds, result=None):
    return task.deferLater(reactor, seconds, lambda: result)

def say(*words):
    # In one piece: processes that fork from this one say something at the same time.
    sys.stdout.write(" ".join(map(str, words)) + chr(10))
    sys.stdout.flush()
"""

RUN = """
console = install_live_console(globals(), {options})
signal.signal(signal.SIGUSR1, lambda *_: reactor.callFromThread(console.close))
reactor.run()
say("ended", console.state)
"""


def application(before: str = "", options: str = "", **more: Any) -> RunningApplication:
    """One that closes its console on SIGUSR1, and has its log in the file ``log``."""
    return RunningApplication(BEGIN + before + RUN.format(options=options), **more)


def state(app: RunningApplication) -> str:
    return str(app.app_json["state"])


def becomes(app: RunningApplication, wanted: str) -> None:
    """Wait for a state."""
    app.wait_until(lambda: state(app) == wanted, what=wanted)


def close(app: RunningApplication) -> None:
    app.signal(signal.SIGUSR1)
    becomes(app, "dormant")


def log(app: RunningApplication) -> str:
    return (app.directory / "log").read_text()


def says(app: RunningApplication, text: str) -> str:
    """Wait for what it prints; gives the rest of the line."""
    app.wait_until(lambda: f"{text}" in app.stdout, what=text)
    app.wait_until(lambda: "\n" in app.stdout.split(text, 1)[1], what="a line's end")
    return app.stdout.split(text, 1)[1].split("\n", 1)[0].strip()


# -- Dormant ---------------------------------------------------------------------------

HEAVY = ("IPython", "ipykernel", "zmq", "tornado", "jupyter_client", "traitlets")


def test_a_dormant_console_is_a_handler_and_a_file() -> None:
    """No thread, no descriptor, nothing of IPython's or ipykernel's imported."""
    before = "descriptors = os.listdir('/proc/self/fd')\n"
    look = (
        "def look():\n"
        "    say('threads', [each.name for each in threading.enumerate()])\n"
        "    say('more', len(os.listdir('/proc/self/fd')) - len(descriptors))\n"
        f"    say('heavy', [x for x in {HEAVY} if x in sys.modules])\n"
        "    say('looked')\n"
        "reactor.listenTCP(0, __import__('twisted.web.server').web.server.Site(None))\n"
    )
    with application(
        look + before + "reactor.callLater(0.1, look)\n", options="name='a name'"
    ) as app:
        says(app, "looked")
        assert says(app, "threads") == "['MainThread']"
        # The reactor's own: what wakes it, and its listening for signals.
        bare = RunningApplication(
            BEGIN + look + before + "reactor.callLater(0.1, look)\nreactor.run()",
            installs=False,
        )
        with bare:
            assert says(app, "more") == says(bare, "more")
        assert says(app, "heavy") == "[]"
        assert os.listdir(app.console_directory) == ["app.json"]
        assert handles(app.pid, signal.SIGUSR2)


def test_importing_it_imports_little() -> None:
    """For who has twisted.application.service: modules of this package alone."""
    code = (
        "import sys, twisted.application.service\n"
        "before = set(sys.modules)\n"
        "import twisted_ipython\n"
        "from twisted_ipython import LiveConsole, install_live_console\n"
        "print(*sorted(set(sys.modules) - before))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    names = done.stdout.split()
    foreign = [
        name
        for name in names
        if name.split(".")[0] not in {"twisted_ipython", *sys.stdlib_module_names}
    ]
    assert "twisted_ipython.console.live_console" in names
    assert not foreign
    assert len(names) < 15, names
    assert "asyncio" not in names and "subprocess" not in names


def test_app_json_says_what_it_is() -> None:
    """Who it is, and how it stands; in a directory that is its user's alone."""
    with application(options="name='the name'", arguments=("--one", "2")) as app:
        said = app.app_json
        assert abs(said.pop("started") - time.time()) < 60
        since = said.pop("since")
        assert said == {
            "pid": app.pid,
            "start": start_of(app.pid),
            "uid": os.getuid(),
            "host": socket.gethostname(),
            "name": "the name",
            "arguments": [str(app.directory / "application.py"), "--one", "2"],
            "reactor": said["reactor"],
            "signal": int(signal.SIGUSR2),
            "state": "dormant",
            "clients": 0,
            "error": "",
        }
        assert said["reactor"].startswith("twisted.internet.")
        assert said["reactor"].endswith("Reactor")

        directory = app.console_directory
        assert modes(directory.parent, directory) == [0o700, 0o700]
        app.open()
        becomes(app, "open")
        assert app.app_json["since"] > since
        assert modes(directory / "app.json", directory / "kernel.json") == [0o600] * 2
        client = app.client()
        app.wait_until(lambda: app.app_json["clients"] == 1, what="one client")
        app.leave(client)
        app.wait_until(lambda: app.app_json["clients"] == 0, what="no client")
        close(app)
        assert os.listdir(directory) == ["app.json"]
        assert app.end() != 1
        assert not directory.exists() and directory.parent.is_dir()


def modes(*paths: Path) -> list[int]:
    return [stat.S_IMODE(path.stat().st_mode) for path in paths]


def test_the_name_is_the_programs_unless_one_is_given() -> None:
    """``application.py`` is ``application``."""
    with application() as app:
        assert app.app_json["name"] == "application"


# -- Opening and closing -------------------------------------------------------------


@contextmanager
def watching(directory: Path) -> Iterator[list[str]]:
    """
    Look at the directory all the time; gives what is wrong about ``kernel.json``: it
    does not hold JSON, or some of the sockets that it names are not there.
    """
    wrong: list[str] = []
    seen = 0
    ended = threading.Event()

    def watch() -> None:
        nonlocal seen
        while not ended.is_set():
            try:
                names = os.listdir(directory)
                text = (directory / "kernel.json").read_text()
            except FileNotFoundError:
                continue
            seen += 1
            try:
                json.loads(text)
            except ValueError:
                wrong.append(f"not whole: {text!r}")
            sockets = [name for name in names if re.fullmatch(r"kernel-.+-[1-5]", name)]
            if "kernel.json" in names and len(sockets) != 5:
                wrong.append(f"sockets are missing: {names}")

    thread = threading.Thread(target=watch)
    thread.start()
    try:
        yield wrong
        assert seen, "it was never there"
    finally:
        ended.set()
        thread.join()


def test_the_connection_file_appears_whole_and_goes_first() -> None:
    """Whoever finds it can connect at once; nothing goes before it."""
    with application() as app, watching(app.console_directory) as wrong:
        for _ in range(10):
            app.signal()
            deadline = time.monotonic() + 30
            while not app.connection_file.exists():
                assert time.monotonic() < deadline, app.report()
            client = app.client(opens=False)
            assert ok(client, "1 + 1").result == "2"
            app.leave(client)
            close(app)
        assert not wrong, wrong[:5]


@pytest.mark.parametrize("reactor", REACTORS)
def test_asked_to_open_while_it_closes_it_opens_again(reactor: str) -> None:
    """Whatever came in between: the last order holds."""
    orders = random.Random(4)
    with application(SYNCED, reactor=reactor) as app:
        for _ in range(15):
            for _ in range(orders.randrange(1, 8)):
                app.signal(orders.choice([signal.SIGUSR1, signal.SIGUSR2]))
                wait_a_little(orders.random() * 0.05)
            app.signal(signal.SIGUSR2)
            assert carried_out(app) in ("opening", "open", "closing")
            becomes(app, "open")
            client = app.client(opens=False)
            assert ok(client, "1 + 1").result == "2"
            app.leave(client)
        close(app)
        wait_for_threads(app, 1)
        assert "Traceback" not in log(app), log(app)
        assert app.stderr == "", app.report()


def wait_a_little(seconds: float) -> None:
    """So that orders come at moments of all kinds; nothing is waited for."""
    time.sleep(seconds)


SYNCED = """
def synced(number, frame):
    reactor.callFromThread(lambda: say(console.state, "synced"))
signal.signal(signal.SIGRTMAX, synced)
"""


def carried_out(app: RunningApplication) -> str:
    """
    Wait until it has come to all signals that were sent; gives the state of its console.

    Python calls handlers in the order of the signals' numbers, of which this is the
    last; it may have passed the others in the round in which it comes to it, and not
    in the next one.
    """
    for _ in range(2):
        times = app.stdout.count("synced")
        app.signal(signal.SIGRTMAX)
        app.wait_until(
            lambda times=times: app.stdout.count("synced\n") > times, what="synced"
        )
    return app.stdout.split("synced")[-2].split()[-1]


def complete(client: Any, text: str) -> None:
    asked = client.complete(text)
    client.attached.wait_until(lambda: client.attached._is_idle(asked))


def status_of(pid: int) -> dict[str, str]:
    text = Path(f"/proc/{pid}/status").read_text()
    return dict(line.split(":\t", 1) for line in text.splitlines())


def threads(app: RunningApplication) -> int:
    return int(status_of(app.pid)["Threads"])


def memory(app: RunningApplication) -> float:
    """In megabytes."""
    return int(status_of(app.pid)["VmRSS"].split()[0]) / 1024


def descriptors(app: RunningApplication) -> list[str]:
    folder = Path(f"/proc/{app.pid}/fd")
    return sorted(f"{x.name} {os.readlink(x)}" for x in folder.iterdir())


def wait_for_threads(app: RunningApplication, number: int) -> None:
    app.wait_until(lambda: threads(app) == number, what=f"{number} threads")


@pytest.mark.parametrize("reactor", REACTORS)
def test_fifty_openings_leave_nothing(reactor: str) -> None:
    """Threads and descriptors to the number, memory within 5 MB."""
    with application(reactor=reactor) as app:
        wait_for_threads(app, 1)
        had = descriptors(app)
        sizes = []
        for _ in range(51):
            client = app.client()
            ok(client, "made = [n for n in range(10_000)]; made[-1]")
            assert run(client, "1 / 0").only_error.ename == "ZeroDivisionError"
            ok(client, "await sleep(0.001, made)")
            complete(client, "mad")
            app.leave(client)
            close(app)
            wait_for_threads(app, 1)
            assert descriptors(app) == had
            sizes.append(memory(app))
        assert sizes[-1] - sizes[0] < 5, sizes


def test_it_can_open_from_the_start() -> None:
    """``activation="start"``."""
    with application(options="activation='start'") as app:
        becomes(app, "open")
        client = app.client(opens=False)
        assert ok(client, "console.state").result == "'open'"


def test_no_signal_opens_one_that_is_opened_by_hand() -> None:
    """``activation="manual"``: the signal does nothing, and ends nothing."""
    by_hand = "signal.signal(signal.SIGHUP, lambda *_: console.open())\n"
    with application(SYNCED + by_hand, options="activation='manual'") as app:
        assert app.app_json["signal"] == 0
        app.signal(signal.SIGUSR2)
        assert carried_out(app) == "dormant"
        app.signal(signal.SIGHUP)
        becomes(app, "open")
        interrupted_everywhere(app.client(opens=False))
        close(app)
        app.signal(signal.SIGUSR2)
        assert carried_out(app) == "dormant"
        assert os.listdir(app.console_directory) == ["app.json"]


BY_HAND = """
from twisted.internet.threads import deferToThread
from twisted.python.threadable import isInIOThread

async def work():
    global console
    console = LiveConsole(globals(), activation="manual")
    try:
        await console.open()
    except Exception as error:
        say("uninstalled:", type(error).__name__, error)
    console.install()
    await console.close()
    say("closed what was not open")
    first, second = console.open(), console.open()
    path = await first
    say("same:", path == await second == await console.open(), path.name)
    say("there:", path.exists(), console.state)
    await defer.gatherResults([console.close(), console.close()])
    say("gone:", path.exists(), console.state, threading.active_count())
    closing = console.open()
    await console.close()
    try:
        await closing
    except Exception as error:
        say("meanwhile:", type(error).__name__, error)
    opened = defer.Deferred()
    def elsewhere():
        console.open().addCallback(lambda _: opened.callback(isInIOThread()))
    await deferToThread(elsewhere)
    say("from a thread:", await opened, console.state)
    closed = console.close()
    closed.addCallback(lambda _: console.open())
    say("again:", (await closed).exists(), console.state)
    closed, again = console.close(), console.open()
    await closed
    say("while closing:", (await again).exists(), console.state)
    await console.close()
    console.uninstall()
    say("taken out:", os.path.exists(path.parent))
    reactor.stop()

def failed(failure):
    failure.printTraceback()
    reactor.stop()

reactor.callWhenRunning(lambda: defer.ensureDeferred(work()).addErrback(failed))
reactor.run()
say(*[each.name for each in threading.enumerate()])
"""


@pytest.mark.parametrize("reactor", REACTORS)
def test_open_and_close_by_hand(reactor: str) -> None:
    """Both give Deferreds, which fire when it is so, whoever asks and whenever."""
    app = RunningApplication(BEGIN + BY_HAND, reactor=reactor, installs=False)
    with app:
        assert app.process.wait(60) == 0, app.report()
        assert app.stderr == "", app.report()
        assert app.stdout.splitlines() == [
            "uninstalled: CannotOpen the live console is not installed",
            "closed what was not open",
            "same: True kernel.json",
            "there: True open",
            "gone: False dormant 1",
            "meanwhile: CannotOpen the live console was closed meanwhile",
            "from a thread: True open",
            "again: True open",
            "while closing: True open",
            "taken out: False",
            "MainThread",
        ], app.report()


# -- Threads ---------------------------------------------------------------------------

ELSEWHERE = """
import crochet
crochet.setup()

def install():
    global console
    try:
        install_live_console(globals())
    except Exception as error:
        say("refused:", error)
    console = install_live_console(globals(), activation="start")

thread = threading.Thread(target=install)
thread.start()
thread.join()
threading.Event().wait()
"""


def test_in_another_thread_no_signal_can_be_handled() -> None:
    """The error says what can be done; that works."""
    with RunningApplication(BEGIN + ELSEWHERE) as app:
        refused = says(app, "refused:")
        assert 'activation="start"' in refused and "open()" in refused
        becomes(app, "open")
        assert app.app_json["signal"] == 0
        client = app.client(opens=False)
        name = ok(client, "threading.current_thread().name").result
        assert "MainThread" not in str(name)
        interrupted_everywhere(client)
        app.kill()


CROCHET = """
import crochet
crochet.setup()

t = 0

@crochet.run_in_reactor
def tick():
    def count():
        global t
        t += 1
    task.LoopingCall(count).start(0.01)

tick().wait(5)
console = install_live_console(globals())
handled = 0
while True:  # a server's loop, which has the main thread
    handled += 1
    time.sleep(0.01)
"""


def test_beside_a_main_thread_that_does_something_else() -> None:
    """A reactor in crochet's thread: the signal comes to the main one."""
    with RunningApplication(BEGIN + CROCHET) as app:
        client = app.client()
        assert "MainThread" not in str(
            ok(client, "threading.current_thread().name").result
        )
        before = int(str(ok(client, "t").result))
        assert int(str(ok(client, "await sleep(0.3); t").result)) > before
        interrupted_everywhere(client)
        handled = int(str(ok(client, "handled").result))
        client.attached.wait_until(
            lambda: int(str(ok(client, "handled").result)) > handled
        )
        app.leave(client)
        assert app.end() != 0
        assert "Traceback" not in app.stderr, app.report()


def interrupted_everywhere(client: Any) -> None:
    """Python code that runs, and an await, end as one KeyboardInterrupt."""
    for source in (
        "while True: pass",
        "await sleep(1000)",
        "%%thread\nwhile True: pass",
    ):
        head, _, rest = source.partition("\n")
        code = (
            f"{head}\nprint('begun')\n{rest}" if rest else f"print('begun')\n{source}"
        )
        cell = start(client, code).wait_for_output("begun")
        interrupt(client)
        assert cell.wait().only_error.ename == "KeyboardInterrupt"
        assert ok(client, "1 + 1").result == "2"


# -- Signals -------------------------------------------------------------------------


def test_a_handler_that_was_there_is_kept_and_called() -> None:
    """It is called for signals from outside, and not for the console's own."""
    before = "signal.signal(signal.SIGUSR2, lambda n, f: say('own', n, f is None))\n"
    with application(before) as app:
        client = app.client()
        assert says(app, "own") == f"{int(signal.SIGUSR2)} False"
        for source in "while True: pass", "time.sleep(1000)":
            cell = start(client, f"print('begun')\n{source}").wait_for_output("begun")
            interrupt(client)
            cell.wait()
        app.signal()
        app.wait_until(lambda: app.stdout.count("own") == 2, what="the second call")
        ok(client, "reactor.callLater(0.05, console.stopService); None")
        app.wait_until(lambda: not app.console_directory.exists(), what="its end")
        app.signal()
        app.wait_until(lambda: app.stdout.count("own") == 3, what="the third call")


def test_another_signal_can_be_chosen() -> None:
    """``signal=``."""
    with application(options="signal=signal.SIGRTMIN + 3") as app:
        assert app.app_json["signal"] == signal.SIGRTMIN + 3
        app.signal(signal.SIGRTMIN + 3)
        becomes(app, "open")
        assert not handles(app.pid, signal.SIGUSR2)


def test_a_signal_that_cannot_be_handled_is_refused() -> None:
    """And nothing was changed."""
    source = """
for number in signal.SIGKILL, 12345:
    try:
        install_live_console(globals(), signal=number)
    except Exception as error:
        say(type(error).__name__, error)
say(signal.getsignal(signal.SIGUSR2))
"""
    with RunningApplication(BEGIN + source, installs=False) as app:
        app.process.wait(30)
        lines = app.stdout.splitlines()
        assert lines[0].startswith("CannotInstall signal 9 can't be used"), app.report()
        assert lines[1].startswith("CannotInstall signal 12345"), app.report()
        assert not app.console_directory.exists()


def test_a_process_has_one_console() -> None:
    """A second is refused, by the name of the first; after that, another can be."""
    source = """
first = install_live_console(globals(), name="the first")
for _ in range(2):
    try:
        second = install_live_console({})
        say("installed", second.title)
    except Exception as error:
        say(type(error).__name__, error)
    first.uninstall()
"""
    with RunningApplication(BEGIN + source, installs=False) as app:
        app.process.wait(30)
        assert app.stdout.splitlines() == [
            "CannotInstall this process has a live console already, 'the first'",
            "installed application",
        ], app.report()


# -- Forks ---------------------------------------------------------------------------

TAC = """\
from twisted.application import service
from twisted.internet import reactor, task
from twisted_ipython import LiveConsole
def sleep(seconds, result=None):
    return task.deferLater(reactor, seconds, lambda: result)
class Early(service.Service):
    def privilegedStartService(self):
        print("privileged")
application = service.Application("daemon")
Early().setServiceParent(application)
console = LiveConsole(globals(), name="daemon")
console.setServiceParent(application)
"""


@pytest.mark.parametrize("reactor", REACTORS)
def test_a_daemon_of_twistd_has_its_own(reactor: str) -> None:
    """Its directory is of its PID, not of the launcher's, and goes with it."""
    with Service(TAC, daemon=True, reactor=reactor) as app:
        assert app.app_json["pid"] == app.pid != app.launched_as
        root = app.console_directory.parent
        assert os.listdir(root) == [str(app.pid)]
        client = app.client()
        assert ok(client, "import os; os.getpid()").result == str(app.pid)
        assert ok(client, "await sleep(0.01, 5)").result == "5"
        cell = start(client, "print('begun')\nwhile True: pass").wait_for_output(
            "begun"
        )
        interrupt(client)
        assert cell.wait().only_error.ename == "KeyboardInterrupt"
        app.leave(client)
        app.end()
        assert os.listdir(root) == []
        assert "Traceback" not in app.log, app.log


FORKS = """
console = install_live_console(globals())
say("parent", os.getpid())
if os.fork():
    os._exit(0)
os.setsid()
say("daemon", os.getpid())
reactor.run()
say("daemon ended")
"""


@pytest.mark.parametrize("reactor", REACTORS)
def test_a_script_that_becomes_a_daemon_has_its_own(reactor: str) -> None:
    """It forks after it has installed the console: the child is the application."""
    with RunningApplication(BEGIN + FORKS, reactor=reactor, installs=False) as app:
        app.process.wait(30)
        path = app.directory / "stdout"
        deadline = time.monotonic() + 30
        while "daemon" not in path.read_text():
            assert time.monotonic() < deadline, app.report()
        pid = int(app.stdout.split("daemon", 1)[1].split()[0])
        daemon = adopted(app, pid)
        app.wait_until((app.console_directory / "app.json").exists, what="app.json")
        assert app.app_json["pid"] == pid
        client = app.client()
        assert ok(client, "os.getpid()").result == str(pid)
        interrupted_everywhere(client)
        app.leave(client)
        app.end()
        assert daemon.poll() is not None
        assert not app.console_directory.exists()
        assert app.stdout.endswith("daemon ended\n")


def adopted(app: RunningApplication, pid: int) -> Any:
    """Let the harness take another process for the application."""
    from services import Daemon

    app.process = daemon = Daemon(pid)  # type: ignore[assignment]
    app.console_directory = app.console_directory.with_name(str(pid))
    return daemon


WORKERS = """
import atexit, multiprocessing

def work(how):
    names = [x.name for x in threading.enumerate()]
    say("child", os.getpid(), how, names, os.path.exists(path_of(os.getpid())),
        signal.getsignal(signal.SIGUSR2) == signal.SIG_DFL)

def path_of(pid):
    root = os.environ["JUPYTER_RUNTIME_DIR"]
    return os.path.join(root, "twisted_ipython", str(pid))

def fork(how):
    pid = os.fork()
    if pid == 0:
        work(how)
        if how == "exit":  # the reactor would catch sys.exit()
            atexit._run_exitfuncs()
            os._exit(0)
        if how == "_exit":
            os._exit(0)
    return pid

def spawn():
    process = multiprocessing.get_context("fork").Process(target=work, args=("mp",))
    process.start()
    return process
"""


@pytest.mark.parametrize("opened", [False, True], ids=["dormant", "open"])
@pytest.mark.parametrize("reactor", REACTORS)
def test_a_forked_worker_has_none(reactor: str, opened: bool) -> None:
    """
    What the running application forks has no console, and takes nothing away when it
    ends, however it does.
    """
    run_them = """
def run_them():
    pids = [fork("_exit"), fork("exit")]
    process = spawn()
    ends = [os.waitpid(pid, 0)[1] for pid in pids]
    process.join()
    say("workers ended", *ends, process.exitcode)
signal.signal(signal.SIGHUP, lambda *_: reactor.callFromThread(run_them))
"""
    with application(WORKERS + run_them, reactor=reactor) as app:
        if opened:
            client = app.client()
            ok(client, "1 + 1")
        app.signal(signal.SIGHUP)
        assert says(app, "workers ended") == "0 0 0", app.report()
        lines = [
            x.split(None, 3) for x in app.stdout.splitlines() if x.startswith("child")
        ]
        assert sorted(x[2] for x in lines) == ["_exit", "exit", "mp"]
        assert {x[3] for x in lines} == {"['MainThread'] False True"}, app.report()
        assert (app.console_directory / "app.json").exists()
        if not opened:
            client = app.client()
        assert ok(client, "await sleep(0.01, 6 * 7)").result == "42"
        app.leave(client)
        close(app)
        assert app.stderr == "", app.report()


def test_a_worker_that_a_cell_forks_has_none() -> None:
    """It ends as it likes; what it prints goes where the application prints."""
    with application(WORKERS) as app:
        client = app.client()
        code = "pid = fork('_exit'); print(os.waitpid(pid, 0)[1])"
        assert run(client, code).stdout == "0\n"
        assert "_exit ['MainThread'] False True" in app.stdout
        assert ok(client, "await sleep(0.01, 6 * 7)").result == "42"
        assert app.end() != 1
        assert app.stderr == "", app.report()


# -- What is missing, or not right -----------------------------------------------------

WITHOUT = """
from importlib.machinery import PathFinder
find = PathFinder.find_spec
def without(name, path=None, target=None):
    return None if name.split(".")[0] == "ipykernel" else find(name, path, target)
PathFinder.find_spec = without
"""


def test_without_ipykernel_it_says_so() -> None:
    """In the log and in app.json; the application goes on, and the next try too."""
    hello = "task.LoopingCall(lambda: say('tick')).start(0.02)\n"
    with application(WITHOUT + hello) as app:
        for number in 1, 2:
            app.signal()
            app.wait_until(
                lambda number=number: log(app).count(NO_IPYKERNEL) == number, what="log"
            )
            becomes(app, "dormant")
            assert app.app_json["error"] == NO_IPYKERNEL
        ticks = app.stdout.count("tick")
        app.wait_until(lambda: app.stdout.count("tick") > ticks, what="a tick")
        assert "twisted_ipython[console]" in NO_IPYKERNEL
        assert "Traceback" not in log(app)
        assert app.stderr == ""
        wait_for_threads(app, 1)


REFUSED = """
try:
    install_live_console(globals())
except Exception as error:
    say(type(error).__name__, error)
say(signal.getsignal(signal.SIGUSR2) == signal.SIG_DFL)
"""


def refused(prepare: Callable[[Path], object]) -> str:
    """
    What installing says in a process of its own.

    Args:
        prepare: Called with the runtime directory, which does not exist.
    """
    before = (
        "root = os.environ['JUPYTER_RUNTIME_DIR']\n"
        "open('prepared', 'x').close()\n"
        "while os.path.exists('prepared'): time.sleep(0.005)\n"
    )
    with RunningApplication(BEGIN + before + REFUSED, installs=False) as app:
        app.wait_until((app.directory / "prepared").exists, what="its begin")
        prepare(Path(app.environment["JUPYTER_RUNTIME_DIR"]))
        (app.directory / "prepared").unlink()
        app.process.wait(30)
        lines = app.stdout.splitlines()
        assert lines[1:] == ["True"], app.report()
        assert app.stderr == "", app.report()
        return lines[0]


def test_what_others_can_write_to_is_refused() -> None:
    """The directory's path, its mode and what to do."""

    def prepare(root: Path) -> None:
        (root / "twisted_ipython").mkdir(parents=True)
        (root / "twisted_ipython").chmod(0o755)

    text = refused(prepare)
    assert text.startswith("CannotInstall no live console: ") and "0755" in text
    assert "chmod 700" in text

    def open_above(root: Path) -> None:
        root.mkdir(parents=True)
        root.chmod(0o777)

    text = refused(open_above)
    assert text.startswith("CannotInstall no live console: ") and "0777" in text
    assert "chmod go-w" in text


def test_a_symbolic_link_is_refused(tmp_path: Path) -> None:
    """Whatever it leads to."""
    tmp_path.chmod(0o700)

    def prepare(root: Path) -> None:
        root.mkdir(parents=True, mode=0o700)
        (root / "twisted_ipython").symlink_to(tmp_path)

    text = refused(prepare)
    assert text.startswith("CannotInstall no live console: ")
    assert "is a symbolic link" in text
    assert os.listdir(tmp_path) == []


def test_what_is_not_a_directory_is_refused() -> None:
    """A file in its place."""

    def prepare(root: Path) -> None:
        root.mkdir(parents=True, mode=0o700)
        (root / "twisted_ipython").touch(mode=0o600)

    assert "is not a directory" in refused(prepare)


def test_what_cannot_be_written_is_said() -> None:
    """A runtime directory that is a file: as the operating system says it."""

    def prepare(root: Path) -> None:
        root.parent.mkdir(parents=True, exist_ok=True)
        root.touch()

    text = refused(prepare)
    assert (
        text.startswith("CannotInstall no live console: ") and "jupyter-runtime" in text
    )


def test_what_a_dead_process_left_is_removed() -> None:
    """One of the same number had a console, and was killed."""
    before = """
directory = os.path.join(
    os.environ["JUPYTER_RUNTIME_DIR"], "twisted_ipython", str(os.getpid()))
os.makedirs(directory, mode=0o700)
os.chmod(os.path.dirname(directory), 0o700)
for name in "app.json", "kernel.json", "kernel-1", "asked.json":
    open(os.path.join(directory, name), "w").write("{}")
"""
    with application(before) as app:
        app.wait_until(lambda: app.app_json, what="its own app.json")
        assert os.listdir(app.console_directory) == ["app.json"]
        client = app.client()
        assert ok(client, "1 + 1").result == "2"


def test_the_runtime_directorys_path_may_be_long() -> None:
    """Then the sockets lie elsewhere, in a directory of their own, and are removed."""
    long = "d" * 110
    with RunningApplication(
        BEGIN
        + f"os.environ['JUPYTER_RUNTIME_DIR'] += '/{long}'\n"
        + "os.environ['TMPDIR'] = os.getcwd()\n"
        + "import tempfile; tempfile.tempdir = os.getcwd()\n"
        + RUN.format(options=""),
        installs=False,
    ) as app:
        root = Path(app.environment["JUPYTER_RUNTIME_DIR"], long, "twisted_ipython")
        app.console_directory = root / str(app.pid)
        app.wait_until((app.console_directory / "app.json").exists, what="app.json")
        client = app.client()
        assert ok(client, "1 + 1").result == "2"
        lies = Path(json.loads(app.connection_file.read_text())["ip"]).parent
        assert lies.parent == app.directory and modes(lies) == [0o700]
        app.leave(client)
        close(app)
        assert not lies.exists()
        app.client()
        lies = Path(json.loads(app.connection_file.read_text())["ip"]).parent
        assert lies.exists()
        app.end()
        assert not lies.exists() and not app.console_directory.exists()


def test_the_runtime_directory_is_jupyters(monkeypatch: pytest.MonkeyPatch) -> None:
    """As ``jupyter_core`` has it, which is not imported for it."""
    from jupyter_core.paths import jupyter_runtime_dir

    for name, given in (
        ("JUPYTER_RUNTIME_DIR", "/one"),
        ("JUPYTER_DATA_DIR", "/two"),
        ("XDG_DATA_HOME", "/three"),
        ("HOME", "/four"),
    ):
        for each in ("JUPYTER_RUNTIME_DIR", "JUPYTER_DATA_DIR", "XDG_DATA_HOME"):
            monkeypatch.delenv(each, raising=False)
        monkeypatch.setenv("JUPYTER_PLATFORM_DIRS", "0")
        monkeypatch.setenv(name, given)
        wanted = jupyter_runtime_dir()
        with monkeypatch.context() as without:
            without.delitem(sys.modules, "jupyter_core.paths")
            assert str(runtime_directory()) == f"{wanted}/twisted_ipython"


# -- Namespaces --------------------------------------------------------------------------


def test_a_dictionary_of_roots_is_the_namespace() -> None:
    """
    What is assigned lands in it, functions see each other, and nothing of Python's
    or IPython's is left in it.
    """
    before = """
class App:
    greeting = "hello"
app = App()
roots = {"app": app, "pool": [1, 2]}
reactor.callLater(0, say, "runs")
signal.signal(signal.SIGHUP, lambda *_: say("roots", sorted(roots)))
"""
    source = BEGIN + before + RUN.format(options="").replace("globals()", "roots")
    with RunningApplication(source) as app:
        client = app.client()
        assert ok(client, "app.greeting, pool").result == "('hello', [1, 2])"
        ok(client, "t = 3\ndef double(): return 2 * t")
        ok(client, "def more():\n    return double() + len(pool)")
        assert ok(client, "more()").result == "8"
        ok(client, "t = 4")
        assert ok(client, "more()").result == "10"
        ok(client, "app.call = more")
        ok(client, "class Made:\n    kind = t")
        assert ok(client, "[t + x for x in pool], Made.kind").result == "([5, 6], 4)"
        assert ok(client, "import os; os.getpid()").result == str(app.pid)
        assert ok(client, "_").result == str(app.pid)
        run(client, "import warnings; warnings.warn('of a cell')")
        run(client, "1 / 0")
        ok(client, "%%thread\nprint(more())")
        run(client, "await app")
        app.signal(signal.SIGHUP)
        roots = "['Made', 'app', 'double', 'more', 'os', 'pool', 't', 'warnings']"
        assert says(app, "roots") == roots
        ok(client, "del Made, double, os, warnings, t")
        app.leave(client)
        close(app)
        app.signal(signal.SIGHUP)
        app.wait_until(lambda: app.stdout.count("roots") == 2, what="roots")
        assert app.stdout.splitlines()[-1] == "roots ['app', 'more', 'pool']"


@pytest.mark.parametrize("what", ["None", "[]", "os", "type('M', (), {})()"])
def test_what_is_no_dictionary_is_refused(what: str) -> None:
    """By a sentence that says what it has to be."""
    source = f"""
try:
    LiveConsole({what})
except Exception as error:
    say(type(error).__name__, error)
"""
    with RunningApplication(BEGIN + source, installs=False) as app:
        app.process.wait(30)
        assert app.stdout.startswith("CannotInstall the namespace is a "), app.report()
        assert "globals()" in app.stdout


def test_an_unknown_activation_is_refused() -> None:
    """By a sentence that names those that there are."""
    source = """
try:
    LiveConsole({}, activation="now")
except Exception as error:
    say(type(error).__name__, error)
"""
    with RunningApplication(BEGIN + source, installs=False) as app:
        app.process.wait(30)
        assert "'signal', 'start', 'manual'" in app.stdout, app.report()
