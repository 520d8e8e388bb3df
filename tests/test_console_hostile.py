"""
Whatever a client of a live console sends or runs, the application goes on.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import os
import random
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from itertools import product
from typing import Any

import pytest
import zmq

from applications import REACTORS, Attached
from attacked import Attacked


def goes_on(front: Attached) -> None:
    """The next cell runs, and awaits."""
    assert front.ok("await sleep(0.01, 'awaited')").result == "'awaited'"


# -- Ways to leave -------------------------------------------------------------

LEAVING = ["exit", "quit", "exit()", "quit()", "get_ipython().ask_exit()"]


@pytest.mark.parametrize("source", LEAVING)
def test_leaving(front: Attached, source: str) -> None:
    """The frontend is asked to exit, and to leave the kernel alone."""
    cell = front.run(source)

    assert cell.reply is not None and cell.reply["payload"] == [
        {"source": "ask_exit", "keepkernel": True}
    ]
    goes_on(front)


def test_exit_now(front: Attached) -> None:
    """What IPython ends a kernel's loop by, ends no console."""
    front.ok("get_ipython().exit_now = True")
    front.ok("get_ipython().kernel.do_shutdown(False);")
    front.pump(0.3)  # ipykernel would stop its loop 0.1 s later
    goes_on(front)


@pytest.mark.parametrize("restart", [False, True])
def test_shutdown_request(front: Attached, restart: bool) -> None:
    """Shutting the kernel down, or restarting it, ends this client's cell alone."""
    other = front.application.client().attached
    theirs = other.start(
        "from twisted.internet import reactor, task\nawait task.deferLater(reactor, 0.5, lambda: 'whole')"
    )
    mine = front.start("await sleep(30)").wait_until_running()
    theirs.wait_until_running()
    for channel in ("control", "shell"):
        reply = front.ask("shutdown_request", {"restart": restart}, channel)
        assert reply == {"status": "ok", "restart": restart}
    mine.wait()

    assert mine.only_error.ename == "KeyboardInterrupt"
    assert theirs.wait().result == "'whole'"
    other.kill()
    goes_on(front)


RAISED = {
    "SystemExit": ["sys.exit()", "sys.exit(3)", "raise SystemExit", "def f(): sys.exit()\nf()"],
    "KeyboardInterrupt": ["raise KeyboardInterrupt"],
    "GeneratorExit": ["raise GeneratorExit", "await sleep(0.01)\nraise GeneratorExit"],
    "BaseException": ["raise BaseException('base')"],
    "CancelledError": [
        "raise asyncio.CancelledError",
        "await sleep(0.01)\nraise asyncio.CancelledError",
    ],
    "StopIteration": ["raise StopIteration(1)", "await sleep(0.01)\nraise StopIteration(1)"],
    "StopAsyncIteration": ["raise StopAsyncIteration(1)"],
    "RecursionError": ["def f(): f()\nf()"],
}  # fmt: skip


@pytest.mark.parametrize(
    "name, source", [(name, each) for name in RAISED for each in RAISED[name]]
)
@pytest.mark.parametrize("where", ["", "%%thread\nimport sys, asyncio\n"])
def test_raised(front: Attached, where: str, name: str, source: str) -> None:
    """Whatever a cell raises is the cell's error, and one."""
    if where and "await" in source:
        pytest.skip("a %%thread cell can't await")
    cell = front.run(where + source)

    assert cell.only_error.ename == name
    assert cell.reply is not None and cell.reply["ename"] == name
    goes_on(front)


AWAITED_EXITS = [
    "d = Deferred()\nd.addCallback(lambda _: sys.exit())\nd.callback(1)\nawait d",
    "async def f(): sys.exit()\nawait defer.ensureDeferred(f())",
    "@defer.inlineCallbacks\ndef f():\n    yield sleep(0.01)\n    sys.exit()\nawait f()",
    "class D(Deferred):\n    def __await__(self): raise SystemExit\nawait D()",
]


@pytest.mark.parametrize("source", AWAITED_EXITS)
def test_exit_of_what_is_awaited(front: Attached, source: str) -> None:
    """So is what it awaits."""
    assert front.run(source).only_error.ename == "SystemExit"
    goes_on(front)


LEFT = {
    "callLater": "reactor.callLater(0.01, sys.exit)",
    "callFromThread": "reactor.callFromThread(sys.exit)",
    "ensureDeferred": "async def f():\n    await sleep(0.01)\n    sys.exit()\ndefer.ensureDeferred(f()).addErrback(noted.append)",
    "thread": "threading.Thread(target=sys.exit).start()",
    "task": "async def f():\n    await asyncio.sleep(0.01)\n    sys.exit()\nkept = asyncio.ensure_future(f())",
    "task that is interrupted": "async def f():\n    raise KeyboardInterrupt\nkept = asyncio.ensure_future(f())",
    "asyncio's call_later": "asyncio.get_running_loop().call_later(0.01, sys.exit)",
    "asyncio's call_soon": "asyncio.get_running_loop().call_soon(sys.exit)",
    "call_soon of a call_later": "loop = asyncio.get_running_loop()\nloop.call_later(0.01, loop.call_soon, sys.exit)",
    "done callback": "kept = asyncio.ensure_future(asyncio.sleep(0.01))\nkept.add_done_callback(lambda _: sys.exit())",
}  # fmt: skip


@pytest.mark.parametrize("kind", REACTORS)
def test_exit_of_what_is_left(attacked: Callable[..., Attacked], kind: str) -> None:
    """What a cell has left behind ends itself, and not the application."""
    application = attacked(kind)
    front = application.frontend()
    for source in LEFT.values():
        if kind == "default" and "asyncio" in source:
            continue
        # What asyncio and Twisted log when they find it may come up in any cell.
        assert front.run(source).status == "ok", front.report()
        assert front.run("await sleep(0.05, 7)").result == "7", front.report()
    assert application.alive
    application.signal(signal.SIGTERM)
    assert application.has_ended()["hurt"] == []


def test_the_application_can_exit(attacked: Callable[..., Attacked]) -> None:
    """What the application itself gives to asyncio's loop is its own, as before."""
    more = (
        "def leave():\n"
        "    import asyncio\n"
        "    asyncio.get_event_loop().call_soon(sys.exit, 7)\n"
        "reactor.callLater(3600, leave)\n"
        "delayed = reactor.getDelayedCalls()\n"
        "leaving = next(call for call in delayed if call.func is leave)\n"
    )
    application = attacked("asyncio", more)
    front = application.frontend()
    # The cell sets the reactor's timer: the application's call is not of its context.
    front.start("leaving.reset(0.2)\nawait sleep(0.01)\nawait sleep(0.02)")
    application.process.wait(20)

    assert application.process.returncode == 7, application.report()


# -- Errors and values with a will of their own -----------------------------------

STRANGE_ERRORS = [
    "def __str__(self): raise ValueError",
    "def __str__(self): return 5",
    "def __str__(self): raise ValueError\n    __repr__ = __str__",
    "__cause__ = property(lambda self: 1 / 0)",
    "__suppress_context__ = property(lambda self: 1 / 0)",
    "__notes__ = property(lambda self: 1 / 0)",
    "__notes__ = [5]",
    "def with_traceback(self, tb): raise ValueError",
    "def __getattribute__(self, name): raise ValueError(name)",
    "def __getattr__(self, name): raise SystemExit",
    "__traceback__ = property(lambda self: 1 / 0)",
    "args = property(lambda self: 1 / 0)",
]


@pytest.mark.parametrize("body", STRANGE_ERRORS)
def test_strange_errors(front: Attached, body: str) -> None:
    """An error whose own code fails is one error."""
    cell = front.run(f"class Strange(Exception):\n    {body}\nraise Strange()")

    assert cell.status == "error" and len(cell.errors) == 1, front.report()
    goes_on(front)


def test_an_error_without_a_text_has_its_name(front: Attached) -> None:
    """The reply and the message say which error it was."""
    cell = front.run(
        "class Mute(Exception):\n    def __str__(self): raise ValueError\nraise Mute()"
    )
    assert cell.only_error.ename == "Mute"
    assert cell.reply is not None and cell.reply["ename"] == "Mute"


STRANGE_VALUES = [
    "def __repr__(self): raise SystemExit",
    "def __repr__(self): raise KeyboardInterrupt",
    "def __repr__(self): raise GeneratorExit",
    "def __repr__(self): return 5",
    "def __repr__(self): return '\\ud800'",
    "def __getattr__(self, name): raise SystemExit",
    "def __getattr__(self, name): return self",
    "__class__ = property(lambda self: 1 / 0)",
    "def __eq__(self, other): raise SystemExit\n    __hash__ = None",
    "def __bool__(self): raise SystemExit\n    __len__ = __bool__",
    "def _repr_html_(self): raise SystemExit",
    "def _repr_mimebundle_(self, **_): return {'text/plain': object()}",
    "def _repr_mimebundle_(self, **_): return {1: 2}",
    "def _repr_json_(self): return float('nan')",
    "def _ipython_display_(self): raise SystemExit",
]


@pytest.mark.parametrize("body", STRANGE_VALUES)
def test_strange_values(front: Attached, body: str) -> None:
    """A value whose own code fails costs no reply."""
    front.run(f"class Strange:\n    {body}\nStrange()")
    front.run("Strange")
    goes_on(front)


def test_strange_end_of_a_value(attacked: Callable[..., Attacked]) -> None:
    """One whose ``__del__`` fails, wherever that is called."""
    application = attacked()
    front = application.frontend()
    front.ok("class Strange:\n    def __del__(self): raise SystemExit\nit = Strange()")
    for source in ("Strange()", "Strange();", "it = None", "%reset -f", "1"):
        assert front.run(source).status == "ok"
    goes_on(front)
    application.unhurt()


def test_surrogates(front: Attached) -> None:
    """What UTF-8 has no form for is shown as a question mark."""
    assert front.ok("print('a\\ud800b')").stdout == "a?b\n"
    cell = front.run("raise Exception('a\\ud800b')")
    assert cell.only_error.ename == "Exception" and cell.only_error.evalue == "a?b"


STRANGE_AWAITABLES = ["yield 5", "yield self", "yield", "return 5", "return iter(())"]


@pytest.mark.parametrize("body", STRANGE_AWAITABLES)
def test_strange_awaitables(front: Attached, body: str) -> None:
    """Awaiting what is not made for it ends."""
    front.run(f"class Strange:\n    def __await__(self): {body}\nawait Strange()")
    goes_on(front)


# -- What belongs to the process -------------------------------------------------


def test_streams_are_the_applications_again(attacked: Callable[..., Attacked]) -> None:
    """
    Whatever cells do to ``sys.stdout``, the application prints where it did, and the
    next cell to its client.
    """
    application = attacked(works=False)
    front = application.frontend()
    sources = [
        "del sys.stdout",
        "del sys.stdout\nawait sleep(0.02)",
        "kept = sys.stdout\nreactor.callLater(0.02, setattr, sys, 'stdout', kept)",
        "import contextlib, io\n"
        "with contextlib.redirect_stdout(io.StringIO()) as kept:\n"
        "    print('kept')\n"
        "    reactor.callLater(0.01, say, 'while redirected')\n"
        "    await sleep(0.05)\n"
        "    print('kept, too')\n"
        "assert kept.getvalue() == 'kept\\nkept, too\\n', kept.getvalue()",
    ]
    for n, source in enumerate(sources):
        front.run(source)
        front.ok("await sleep(0.05)")
        front.ok(f"reactor.callLater(0, say, 'line {n}')\nawait sleep(0.02)")
        assert front.ok("print('mine')").stdout == "mine\n"
    front.kill()
    application.signal(signal.SIGTERM)
    application.has_ended()
    lines = application.stdout.splitlines()
    expected = [*(f"line {n}" for n in range(len(sources)))]
    expected.insert(-1, "while redirected")
    assert lines[:-1] == expected, application.report()
    assert application.stderr == "", application.report()


def test_what_is_left_prints_where_the_application_does(
    attacked: Callable[..., Attacked], kind: str = "asyncio"
) -> None:
    """
    A cell prints to its client, awaits included; calls, threads, coroutines and tasks
    that it leaves print where the application does.
    """
    application = attacked(kind, works=False)
    front = application.frontend()
    cell = front.ok(
        "import functools\n"
        "p = functools.partial(print, flush=True)\n"
        "async def later(text):\n"
        "    await sleep(0.1)\n"
        "    p(text)\n"
        "async def waits(text):\n"
        "    await asyncio.sleep(0.1)\n"
        "    p(text)\n"
        "p('first')\n"
        "reactor.callLater(0.1, p, 'callLater')\n"
        "defer.ensureDeferred(later('coroutine'))\n"
        "kept = asyncio.ensure_future(waits('task'))\n"
        "threading.Timer(0.1, p, ['thread']).start()\n"
        "await sleep(0.3)\n"
        "p('last')"
    )
    assert cell.stdout == "first\nlast\n", front.report()
    assert sorted(application.stdout.split()) == sorted(
        ["callLater", "coroutine", "task", "thread"]
    ), application.report()


LOGGING = """\
import logging
from twisted.python import log
own = logging.StreamHandler()
logging.getLogger("own").addHandler(own)
from twisted.logger import Logger
log.startLogging(sys.stdout, setStdout=False)
"""


def test_logging_while_a_cell_awaits(attacked: Callable[..., Attacked]) -> None:
    """What the application logs meanwhile goes where it always went."""
    application = attacked(more=LOGGING, works=False)
    front = application.frontend()
    cell = front.ok(
        "reactor.callLater(0.02, logging.getLogger('own').warning, 'by its handler')\n"
        "reactor.callLater(0.02, logging.getLogger('other').warning, 'by lastResort')\n"
        "reactor.callLater(0.02, log.msg, 'by Twisted')\n"
        "await sleep(0.1)"
    )
    assert cell.output == ""
    assert application.stderr.splitlines() == ["by its handler", "by lastResort"]
    assert "by Twisted" in application.stdout
    before = application.stderr
    assert "logging" not in front.run("%gui qt").stderr
    assert front.value("logging.getLogger().handlers") == []
    assert application.stderr == before


def test_fork(attacked: Callable[..., Attacked]) -> None:
    """A child of a cell, however it ends, leaves the console alone."""
    application = attacked(works=False)
    front = application.frontend()
    for end in ("os._exit(3)", "sys.exit(3)", "raise KeyboardInterrupt", "pass"):
        ending = end if end != "pass" else "os.kill(os.getpid(), signal.SIGKILL)"
        cell = front.run(
            "import warnings; warnings.simplefilter('ignore')\n"
            "child = os.fork()\n"
            f"if not child:\n    try:\n        {ending}\n    finally:\n        os._exit(4)\n"
            "os.waitpid(child, 0)[0] == child"
        )
        assert cell.result == "True", front.report()
        goes_on(front)
    other = application.client().attached
    assert other.ok("1").status == "ok"
    application.ends_unhurt()


def test_fork_whose_child_leaves_the_cell(attacked: Callable[..., Attacked]) -> None:
    """A child that leaves its cell, as by ``sys.exit``, ends: it is not the application."""
    application = attacked(works=False)
    front = application.frontend()
    cell = front.run(
        "import warnings; warnings.simplefilter('ignore')\n"
        "child = os.fork()\n"
        "if not child:\n    sys.exit(3)\n"
        "await sleep(0.5)\n"
        "child"
    )
    assert cell.status == "ok", front.report()
    assert len(cell._messages("execute_reply")) == 1, front.report()
    goes_on(front)
    assert front.ok("os.waitpid(child, 0)[0] == child").result == "True"
    application.ends_unhurt()


REFUSED = {
    "%load_ext twisted_ipython": "await Deferreds already",
    "%gui qt": "no event loop for qt",
    "%debug": "no debugger here",
    "input()": "this frontend does not take input",
    "(lambda: input())()": "input() would stop the application",
    "sys.stdin.read()": "a cell can't read it",
    "breakpoint()": "input() would stop the application",
    "import getpass; getpass.getpass()": "getpass() would stop the application",
    "%reset_selective -f .": "the names here are the application's",
    "reactor.run()": "",
    "asyncio.run(asyncio.sleep(0))": "",
}


@pytest.mark.parametrize("source", REFUSED)
def test_refused_at_once(front: Attached, source: str) -> None:
    """What would stop the application, or is not for here, says so at once."""
    began = time.monotonic()
    cell = front.run(source)
    assert time.monotonic() - began < 10
    assert len(cell.errors) <= 1, front.report()
    assert REFUSED[source] in cell.output, cell.output
    goes_on(front)
    assert front.value("'SEEN' in globals()")


def test_pdb_on(front: Attached) -> None:
    """An error after ``%pdb on`` is one error, and the reason why there is no pdb."""
    front.ok("%pdb on")
    cell = front.run("1/0")
    front.ok("%pdb off")
    assert cell.only_error.ename == "ZeroDivisionError"
    assert "no debugger here" in cell.stderr


MAGICS = [
    "%reset -f",
    "%autoawait",
    "%autoawait asyncio",
    "%who",
    "%lsmagic",
    "%history",
    "%cd .",
    "%env TI_TEST=1",
    "%xmode context",
    "%connect_info",
    "%qtconsole",
    "%subshell",
    "%matplotlib inline",
    "%%timeit -n 1 -r 1\n1",
    "get_ipython().run_cell('1 + 1');",
    "get_ipython().reset()",
    "get_ipython().atexit_operations()",
    "import gc; gc.collect();",
    "import warnings; warnings.warn('careful')",
    "import logging; logging.basicConfig(); logging.getLogger().handlers.clear()",
    "signal.signal(signal.SIGUSR1, signal.SIG_DFL);",
    "get_ipython().kernel.iopub_thread",
    "globals()['sleep']",
    "",
    "   \n\n",
    "\x00",
    "def",
    "await 5",
    "return 5",
    "(" * 5000,
]


@pytest.mark.parametrize("source", MAGICS)
def test_whatever_else(front: Attached, source: str) -> None:
    """It has one reply, one error at most, and the console goes on."""
    cell = front.run(source)
    assert len(cell._messages("execute_reply")) == 1
    assert len(cell.errors) <= 1, front.report()
    front.ok("logging = None")
    goes_on(front)


def test_script_magics_print_under_the_cell(front: Attached) -> None:
    """What ``%%bash`` and ``!`` print appears under the cell."""
    assert front.ok("%%bash\necho one").stdout == "one\n"
    assert front.ok("!echo two").stdout.split() == ["two"]


def test_stopping_the_application_on_purpose(attacked: Callable[..., Attacked]) -> None:
    """``reactor.stop()`` is the user's order, and the application ends as it does."""
    for source in ("reactor.stop()", "reactor.stop()\nawait sleep(30)"):
        application = attacked()
        front = application.frontend()
        front.start(source)
        noted = application.has_ended()
        assert noted["hurt"] == [] and noted["logged"] == []
        assert not application.console_directory.exists()
        assert application.stderr == "", application.report()


# -- Clients that vanish --------------------------------------------------------

CLIENT = """\
import sys
from jupyter_client import BlockingKernelClient
client = BlockingKernelClient(connection_file=sys.argv[1])
client.load_connection_file()
client.start_channels(hb=False)
client.wait_for_ready(timeout=20)
client.execute(sys.argv[2], allow_stdin=True)
while client.get_iopub_msg(timeout=20)["msg_type"] != "stream":
    pass
print("begun", flush=True)
client.get_shell_msg(timeout=60)
"""


@pytest.mark.parametrize("kind", REACTORS)
def test_killed_clients(attacked: Callable[..., Attacked], kind: str) -> None:
    """A client that is killed while its cell does anything is forgotten."""
    application = attacked(kind)
    front = application.frontend()
    sources = [
        "print('begun', flush=True); time.sleep(1)",
        "print('begun', flush=True); await sleep(1)",
        "print('begun', flush=True)\nfor n in range(300): print(n); await sleep(0.002)",
        "%%thread\nprint('begun', flush=True); input('? ')",
        "%%thread\nprint('begun', flush=True); time.sleep(1)",
    ]
    for source in sources:
        client = subprocess.Popen(
            [sys.executable, "-c", CLIENT, str(application.connection_file), source],
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        try:
            assert client.stdout is not None
            assert client.stdout.readline() == "begun\n", application.report()
        finally:
            client.kill()
            client.wait()
            client.stdout.close()
        goes_on(front)
    application.wait_until(
        lambda: application.app_json["clients"] == 1, what="one client left"
    )
    application.ends_unhurt()


# -- Messages ---------------------------------------------------------------------


class Wire:
    """Sends whatever bytes to an application's console."""

    def __init__(self, application: Attacked) -> None:
        self.info = json.loads(application.connection_file.read_text())
        self.key = self.info["key"].encode()
        self.context = zmq.Context()
        self.session = os.urandom(8).hex()
        self._count = 0
        self._sockets: list[Any] = []
        self.channels = {
            name: self.socket(name, zmq.DEALER)
            for name in ("shell", "control", "stdin")
        }

    def path(self, channel: str) -> str:
        return f"{self.info['ip']}-{self.info[channel + '_port']}"

    def socket(self, channel: str, kind: int) -> Any:
        made = self.context.socket(kind)
        made.linger = 0
        made.connect(f"ipc://{self.path(channel)}")
        self._sockets.append(made)
        return made

    def frames(self, *frames: bytes, on: str = "") -> None:
        """Send the frames on each channel, or on that one."""
        for name, channel in self.channels.items():
            if not on or name == on:
                channel.send_multipart(frames)

    def signed(self, *parts: Any, on: str = "") -> None:
        """Send these as a message that is signed right."""
        raw = [p if isinstance(p, bytes) else json.dumps(p).encode() for p in parts]
        digest = hmac.new(self.key, b"".join(raw), hashlib.sha256).hexdigest()
        self.frames(b"<IDS|MSG>", digest.encode(), *raw, on=on)

    def header(self, kind: str = "execute_request", **changes: Any) -> dict[str, Any]:
        self._count += 1
        header: dict[str, Any] = {
            "msg_id": f"{self.session}-{self._count}",
            "session": self.session,
            "username": "wire",
            "date": "2026-01-01T00:00:00Z",
            "msg_type": kind,
            "version": "5.3",
        }
        header.update(changes)
        return {name: value for name, value in header.items() if value is not ...}

    def close(self) -> None:
        for each in self._sockets:
            each.close(linger=0)
        self.context.term()


@pytest.fixture
def wire(front: Attached) -> Iterator[Wire]:
    """Beside ``front``, on the same application."""
    made = Wire(front.application)  # type: ignore[arg-type]
    yield made
    made.close()


def answers(front: Attached) -> None:
    """Both channels of another client answer, and its cells run."""
    front.messages.clear()
    assert front.run("1 + 1").result == "2"
    front.ask("interrupt_request", {}, channel="control")
    front.forget()


def test_garbage(front: Attached, wire: Wire) -> None:
    """Frames that are no message are dropped."""
    dice = random.Random(1)
    for _ in range(200):
        wire.frames(
            *(dice.randbytes(dice.randrange(50)) for _ in range(dice.randrange(1, 8)))
        )
    wire.frames(b"")
    wire.frames(b"<IDS|MSG>")
    wire.frames(b"<IDS|MSG>", b"")
    wire.frames(*[b"<IDS|MSG>"] * 9)
    wire.frames(b"x" * 1000, b"<IDS|MSG>", *[b"{}"] * 5)
    answers(front)


def test_wrong_key(front: Attached, wire: Wire) -> None:
    """What is not signed with the key is not run, nor is what came before."""
    wire.key, right = b"wrong", wire.key
    wire.signed(wire.header(), {}, {}, {"code": "noted.append('wrong key')"})
    wire.key = right
    message = (wire.header(), {}, {}, {"code": "noted.append('once')"})
    # The first that is read is taken, on whichever channel; on stdin it is no answer.
    for _ in range(5):
        wire.signed(*message, on="shell")
    front.wait_for_value("noted", ["once"])
    wire.signed(*message)
    answers(front)
    assert front.value("noted") == ["once"]


def test_not_json(front: Attached, wire: Wire) -> None:
    """Parts that are not JSON, or not an object."""
    wrong = [
        b"",
        b"text",
        b"[]",
        b"null",
        b"5",
        b'"s"',
        b"\xff\xfe",
        b"{",
        b"[" * 10000,
    ]
    for part, place in product(wrong, range(4)):
        parts: list[Any] = [wire.header(), {}, {}, {}]
        parts[place] = part
        wire.signed(*parts)
    answers(front)


STRANGE = [..., None, 5, [], {}, "", "\x00", "\ud800", "x" * 10000, True, [["a"]]]
KINDS = [
    "execute_request",
    "complete_request",
    "inspect_request",
    "is_complete_request",
    "history_request",
    "kernel_info_request",
    "comm_info_request",
    "comm_open",
    "comm_msg",
    "comm_close",
    "interrupt_request",
    "shutdown_request",
    "debug_request",
    "usage_request",
    "create_subshell_request",
    "delete_subshell_request",
    "list_subshell_request",
    "input_reply",
    "connect_request",
    "abort_request",
    "apply_request",
    "clear_request",
    "__class__",
    "nonsense",
]


@pytest.mark.parametrize(
    "field", ["msg_id", "session", "username", "date", "msg_type", "version"]
)
def test_strange_headers(front: Attached, wire: Wire, field: str) -> None:
    """Fields of the header that are missing, or of another kind."""
    for value, kind in product(STRANGE, KINDS[:11]):
        wire.signed(wire.header(kind, **{field: value}), {}, {}, {"code": "1"})
    answers(front)


def test_strange_dates(front: Attached, wire: Wire) -> None:
    """Dates that are none, or at the end of time."""
    dates = [
        "2026-13-45T99:99:99Z",
        "9999-12-31T23:59:59.999999-23:59",
        "0001-01-01T00:00:00+23:59",
        "9999-12-31T23:59:59",
        "2026-01-01T00:00:00",
        "-1",
    ]
    for date, kind in product(dates, ["execute_request", "interrupt_request"]):
        wire.signed(wire.header(kind, date=date), {}, {}, {"code": "1"})
    answers(front)


CONTENTS: list[Any] = [
    {},
    [],
    None,
    5,
    {"code": None},
    {"code": ["1"]},
    {"code": "1", "cursor_pos": -5},
    {"code": "int.", "cursor_pos": 10**9},
    {"code": "int", "cursor_pos": "1"},
    {"code": "int", "cursor_pos": 3, "detail_level": "x"},
    {"code": "1", "user_expressions": [1]},
    {
        "code": "1",
        "user_expressions": {"a": 5, "b": "1/0", "c": "raise", "d": "exit()"},
    },
    {"code": "1", "silent": "x", "store_history": [], "allow_stdin": {}},
    {"code": "\x00"},
    {"code": "\ud800"},
    {"code": "(" * 1000},
    {"hist_access_type": "nonsense"},
    {"hist_access_type": "range", "session": "a", "start": "b", "stop": []},
    {"hist_access_type": "tail", "n": "x"},
    {"hist_access_type": "tail", "n": -5},
    {"hist_access_type": "search", "pattern": 5},
    {"hist_access_type": "search", "pattern": "*", "n": 10**30},
    {"comm_id": 5, "target_name": [], "data": 7},
    {"comm_id": [], "data": None},
    {"comm_id": "a", "target_name": "nowhere", "data": {}},
    {"restart": "x"},
    {"subshell_id": 5},
    {"value": 5},
]


@pytest.mark.parametrize("kind", KINDS)
def test_strange_contents(front: Attached, wire: Wire, kind: str) -> None:
    """Contents that don't fit their kind, of each kind, on each channel."""
    for content in CONTENTS:
        wire.signed(wire.header(kind), {}, {}, content)
    for other in ([], None, 5, {"cellId": 5}, {"cellId": []}, {"deletedCells": [1]}):
        wire.signed(wire.header(kind), other, {}, {"code": "1"})
        wire.signed(wire.header(kind), {}, other, {"code": "1"})
    wire.signed(wire.header(kind, subshell_id="nowhere"), {}, {}, {"code": "1"})
    answers(front)


def test_huge_messages(front: Attached, wire: Wire) -> None:
    """Of megabytes, as code and as buffers."""
    wire.signed(wire.header(), {}, {}, {"code": "#" + "x" * 4_000_000})
    wire.signed(wire.header(), {}, {}, {"code": "1"}, *[b"x" * 1_000_000] * 20)
    answers(front)


def test_half_open_connections(front: Attached, wire: Wire) -> None:
    """Hundreds of connections that say nothing, or nothing of ZMQ's."""
    said = [
        b"",
        os.urandom(200),
        b"GET / HTTP/1.0\r\n\r\n",
        b"\xff" + b"\0" * 8 + b"\1\x7f\3",
    ]
    application: Any = front.application
    answers(front)
    before = application.descriptors
    sockets = []
    for channel, n in product(("shell", "control", "stdin", "iopub", "hb"), range(40)):
        raw = socket.socket(socket.AF_UNIX)
        raw.connect(wire.path(channel))
        sockets.append(raw)
        if said[n % 4]:
            try:
                raw.send(said[n % 4])
            except BrokenPipeError:  # the other end has closed it already
                pass
    answers(front)
    for raw in sockets:
        raw.close()
    application.wait_until(
        lambda: application.descriptors <= before + 3, what="their descriptors closed"
    )
    answers(front)


def test_heartbeat_and_iopub(front: Attached, wire: Wire) -> None:
    """Large beats are given back; what is sent to the iopub channel is dropped."""
    beat = wire.socket("hb", zmq.REQ)
    beat.send(b"x" * 1_000_000)
    assert beat.poll(10_000) and len(beat.recv()) == 1_000_000
    shouting = wire.socket("iopub", zmq.XSUB)
    for n in range(100):
        shouting.send(bytes([n]) * 1000)
    answers(front)


# -- Floods -------------------------------------------------------------------------


@pytest.mark.parametrize("kind", REACTORS)
def test_flood_of_cells(attacked: Callable[..., Attacked], kind: str) -> None:
    """1,000 cells at once are run in turn, and the application goes on meanwhile."""
    application = attacked(kind)
    front = application.frontend()
    other = application.frontend()
    ticks = other.value("SEEN['ticks']")
    front.messages.clear()
    for n in range(1000):
        content = {
            "code": f"flood = {n}",
            "store_history": False,
            "stop_on_error": False,
        }
        front.request("execute_request", content)
    goes_on(other)  # its lane is its own
    replies = 0
    deadline = time.monotonic() + 500
    while replies < 1000:
        assert time.monotonic() < deadline, f"{replies} replies\n{application.said}"
        front.pump(0.1)
        replies += sum(message.type == "execute_reply" for message in front.messages)
        front.messages.clear()
    assert front.value("flood") == 999
    noted = application.unhurt()
    assert noted["ticks"] > ticks + 10
    print(f"{kind}: longest gap {noted['gap']:.3f} s")
    application.ends_unhurt()


def test_flood_of_output(attacked: Callable[..., Attacked]) -> None:
    """Many lines arrive, or are dropped by ZMQ, and their memory comes back."""
    application = attacked()
    front = application.frontend()
    source = "for n in range(3 * 10**5): print(n)"
    front.run(source, within=120)
    front.forget()
    front.ok("import gc; gc.collect();")
    before = application.memory
    for _ in range(2):
        front.run(source, within=120)
        front.forget()
    front.ok("import gc; gc.collect();")
    assert application.memory < before + 30, (before, application.memory)
    goes_on(front)
    application.ends_unhurt()
