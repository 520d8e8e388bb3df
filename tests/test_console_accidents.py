"""
What rarely happens to a live console, and must not harm the application.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path

import pytest
from jupyter_client import BlockingKernelClient

from applications import REACTORS, RunningApplication, ok, run, start

EARLY = """
import os, signal
from twisted.internet import reactor
from twisted_ipython import install_live_console
console = install_live_console(globals(), name="early")
os.kill(os.getpid(), signal.SIGUSR2)
print("goes on", flush=True)
reactor.run()
"""


@pytest.mark.parametrize("reactor", REACTORS)
def test_a_signal_before_the_reactor_runs_opens_it_then(reactor):
    with RunningApplication(EARLY, reactor=reactor) as app:
        app.wait_until(app.connection_file.exists, what="kernel.json")
        assert app.stdout == "goes on\n", app.said
        assert app.stderr == ""


LEFT = """
import contextlib, io, sys, threading
from twisted.internet import reactor
from twisted_ipython import install_live_console
theirs = sys.stdout
console = install_live_console(globals())
reactor.run()
"""


def close(app: RunningApplication, client: BlockingKernelClient) -> None:
    """Have the console closed by its own client, which leaves."""
    start(client, "_ = console.close()")
    app.wait_until(lambda: app.app_json["state"] == "dormant", what="dormant")
    app.leave(client)


def test_what_a_thread_cell_redirects_is_not_kept_by_a_cell_beside_it():
    with RunningApplication(LEFT) as app:
        holder, client = app.client(), app.client()
        ok(client, "go_on = threading.Event()")
        redirecting = start(
            holder,
            "%%thread\n"
            "with contextlib.redirect_stdout(io.StringIO()) as text:\n"
            "    display('begun'); assert go_on.wait(20)\n"
            "    print('redirected')\n",
        )
        app.wait_until(lambda: redirecting.displays, what="its beginning")
        ok(client, "go_on.set()")
        redirecting.wait().succeeded()
        ok(
            client,
            "reactor.callLater(0, lambda: print(sys.stdout is theirs, flush=True))",
        )
        app.wait_until(lambda: app.stdout, what="what it prints")
        assert app.stdout == "True\n"
        assert ok(client, "text.getvalue()").result == "'redirected\\n'"


def test_a_cell_that_outlives_the_console_keeps_no_place():
    with RunningApplication(LEFT) as app:
        holder, client = app.client(), app.client()
        ok(client, "lock, begun = threading.Lock(), threading.Event()")
        # Waiting for a lock: nothing can be raised in there.
        start(holder, "%%thread\nlock.acquire(); begun.set()\nlock.acquire()")
        ok(client, "assert begun.wait(20)")
        ok(client, "from twisted.internet.task import LoopingCall")
        ok(
            client,
            "looking = LoopingCall(lambda: console.state == 'dormant' and"
            " (print(sys.stdout is theirs, flush=True), looking.stop()))",
        )
        ok(client, "_ = looking.start(0.05)")
        close(app, client)
        app.wait_until(lambda: app.stdout, what="what it prints")
        assert app.stdout == "True\n"


def test_a_thread_cell_that_outlives_the_console_says_nothing():
    with RunningApplication(LEFT) as app:
        holder, client = app.client(), app.client()
        ok(client, "lock, begun = threading.Lock(), threading.Event()")
        # Waiting for a lock: nothing can be raised in there.
        start(holder, "%%thread\nlock.acquire(); begun.set()\nlock.acquire()")
        ok(client, "assert begun.wait(20)")
        ok(client, "[cell] = [t for t in threading.enumerate() if '%%' in t.name]")
        ok(
            client,
            "def let_it_end():\n"
            "    if console.state == 'dormant':\n"
            "        lock.release(); cell.join(20); ending.stop()\n"
            "        print(cell.is_alive(), flush=True)\n"
            "from twisted.internet.task import LoopingCall\n"
            "ending = LoopingCall(let_it_end); _ = ending.start(0.05)",
        )
        close(app, client)
        app.wait_until(lambda: app.stdout, what="its end")
        assert app.said == "False\n--- its stderr\n"


def test_a_long_message_leaves_no_thread_and_no_descriptor():
    with RunningApplication(LEFT) as app:
        close(app, app.client())
        before = traces(app)
        client = app.client()
        assert len(ok(client, "print('x' * 200_000)").stdout) == 200_001
        close(app, client)
        app.wait_until(lambda: traces(app) == before, what=f"{before} again")


def traces(app: RunningApplication) -> tuple[int, int]:
    """How many threads and descriptors it has."""
    place = Path("/proc", str(app.pid))
    return len(list((place / "task").iterdir())), len(list((place / "fd").iterdir()))


def test_nothing_is_left_of_an_application_that_was_killed_with_its_console_open():
    with RunningApplication(LEFT) as app:
        app.leave(app.client())
        app.process.kill()
        app.process.wait()
        command = [sys.executable, "-m", "twisted_ipython", "list", "--json"]
        said = subprocess.run(
            command, env=app.environment, capture_output=True, text=True
        )
        assert said.stdout == "[]\n"
        assert not app.console_directory.exists()


@pytest.mark.parametrize("reactor", REACTORS)
def test_what_a_cell_left_running_does_not_hold_the_closed_console(reactor):
    look = (
        "import gc\n"
        "gc.collect()\n"
        "kinds = [type(each).__name__ for each in gc.get_objects()]\n"
        "kinds.count('LiveKernel'), kinds.count('Deferred')"
    )
    with RunningApplication(LEFT, reactor=reactor) as app:
        client = app.client()
        ok(
            client,
            "from twisted.internet.defer import Deferred\n"
            "async def for_ever():\n"
            "    await Deferred()\n"
            "left = Deferred.fromCoroutine(for_ever())",
        )
        close(app, client)
        seen = run(app.client(), look)  # it may be told that this takes long
        assert seen.status == "ok", app.report()
        kernels, deferreds = eval(seen.result)
        assert kernels == 1, "the new one alone"
        assert deferreds, "it still runs"


LOOK = """
import gc, logging
from twisted.internet.threads import deferToThread

def look():
    gc.collect()
    kinds = [type(each).__name__ for each in gc.get_objects()]
    return kinds.count("LiveKernel")

def say():
    if console.state == "dormant":
        saying.stop()
        theirs.write(f"{look()} kernels\\n")
        theirs.flush()
        thread = threading.Thread(target=print, args=["of a thread"])
        thread.start()
        thread.join()
        kept.warning("of a logger")

from twisted.internet.task import LoopingCall
saying, kept = LoopingCall(say), logging.getLogger("kept")
"""

KEPT = {
    "pool": "assert await deferToThread(lambda: 7) == 7",
    "thread": "go_on = threading.Event()\n"
    "made = threading.Thread(target=go_on.wait, daemon=True); made.start()",
    "stream": "made = sys.stdout, sys.stderr, sys.stdin",
    "handler": "kept.addHandler(logging.StreamHandler(sys.stdout))",
}


@pytest.mark.parametrize("kept", KEPT)
def test_what_a_cell_has_made_does_not_hold_the_closed_console(kept):
    source = LEFT.replace("reactor.run()", LOOK + "reactor.run()")
    with RunningApplication(source) as app:
        client = app.client()
        ok(client, KEPT[kept])
        ok(client, "_ = saying.start(0.05)")
        close(app, client)
        app.wait_until(lambda: "of a thread\n" in app.stdout, what="the threads")
        logged = ["of a logger"] if kept == "handler" else []
        app.wait_until(lambda: "of a logger" in app.said, what="what is logged")
        lines = app.stdout.splitlines()
        assert lines[0] == "0 kernels"
        assert sorted(lines[1:]) == sorted(["of a thread", *logged]), app.said


def test_what_is_put_back_when_the_console_has_gone_is_the_applications():
    source = LEFT.replace("reactor.run()", LOOK + "reactor.run()")
    with RunningApplication(source) as app:
        client = app.client()
        ok(
            client,
            "from twisted.internet.defer import Deferred, ensureDeferred\n"
            "async def redirected():\n"
            "    with contextlib.redirect_stdout(io.StringIO()):\n"
            "        await left\n"
            "left = Deferred(); _ = ensureDeferred(redirected())",
        )
        ok(
            client,
            "def put_back():\n"
            "    if console.state == 'dormant' and not look():\n"
            "        putting.stop(); left.callback(None)\n"
            "        print('of the application', flush=True)\n"
            "putting = LoopingCall(put_back); _ = putting.start(0.05)",
        )
        close(app, client)
        app.wait_until(lambda: app.stdout, what="what it prints")
        assert app.stdout == "of the application\n", app.said
        assert app.stderr == "", app.said


def test_excepthook_shows_an_error_as_ipython_does():
    with RunningApplication(LEFT) as app:
        show = "try: 1 / 0\nexcept ZeroDivisionError: sys.excepthook(*sys.exc_info())"
        assert run(app.client(), show).only_error.ename == "ZeroDivisionError"
        assert app.said == "--- its stderr\n"


FULL_DISK = """
import os
from twisted.application.service import MultiService
from twisted.internet import reactor
from twisted_ipython import LiveConsole
from twisted_ipython.console import directory

def full(*args):
    raise OSError(28, os.strerror(28))

directory.write_json = full
services = MultiService()
LiveConsole(globals()).setServiceParent(services)
services.startService()
print("goes on", flush=True)
"""


def test_an_application_begins_where_the_disk_is_full():
    with RunningApplication(FULL_DISK, installs=False) as app:
        assert app.process.wait(60) == 0, app.said
        assert app.stdout == "goes on\n"
        assert not app.console_directory.exists()


NO_THREADS = """
import threading
from twisted.internet import reactor
from twisted_ipython import install_live_console
console = install_live_console(globals(), activation="manual")

def fails(thread):
    raise RuntimeError("can't start new thread")

def again(failure):
    print(failure.value, console.state, flush=True)
    threading.Thread.start = start
    return console.open()

start, threading.Thread.start = threading.Thread.start, fails
d = console.open().addErrback(again)
d.addCallback(lambda path: print(console.state)).addErrback(print)
d.addBoth(lambda _: reactor.stop())
reactor.run()
"""


def test_it_can_be_opened_later_where_there_was_no_thread_for_it():
    with RunningApplication(NO_THREADS, installs=False) as app:
        assert app.process.wait(60) == 0, app.said
        assert app.stdout == "can't start new thread dormant\nopen\n", app.said


def test_the_directories_above_are_the_users_own_with_any_umask():
    source = "import os; os.umask(0)\n" + LEFT
    with tempfile.TemporaryDirectory() as home:
        above = Path(home, "data", "jupyter")
        place = {"JUPYTER_RUNTIME_DIR": str(above / "runtime")}
        with RunningApplication(source, environment=place):
            for each in (above.parent, above, above / "runtime"):
                assert each.stat().st_mode & 0o777 == 0o700, each


THREADS = """
import gc, threading
from twisted.internet import reactor
from twisted_ipython import install_live_console

def look(_=None):
    thread = threading.Thread
    now = thread.run, thread.__init__, list(gc.callbacks)
    print(now == before, flush=True)

before = threading.Thread.run, threading.Thread.__init__, list(gc.callbacks)
console = install_live_console(globals(), activation="manual")
d = console.open().addCallback(look).addCallback(lambda _: console.close())
d.addCallback(look).addErrback(print).addBoth(lambda _: reactor.stop())
reactor.run()
"""


def test_threads_and_the_collector_are_pythons_own():
    with RunningApplication(THREADS, installs=False) as app:
        assert app.process.wait(60) == 0, app.said
        assert app.stdout == "True\nTrue\n", app.said
