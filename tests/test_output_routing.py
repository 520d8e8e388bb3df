"""Output finds the cell that started the work, whatever else goes on."""

from __future__ import annotations

import re
import socket
from collections.abc import Callable, Iterator

import pytest

from checks import everything_printed
from kernels import Cell, Kernel, plain
from late_work import (
    MEANWHILE,
    OF_ASYNCIO,
    OF_PYTHON,
    OF_TWISTED,
    STARTERS,
    hear,
    heard_once,
    meanwhile,
    new_gate,
    open_gate,
    prepare,
    start_work,
)
from terminals import Terminal


@pytest.fixture
def kernel(kernel: Kernel) -> Kernel:
    """The shared kernel, with work to start in it, the same cell again and again."""
    kernel.ok("%twisted_config rerun keep")
    return prepare(kernel)


def texts(displays: list[dict[str, str]]) -> list[str]:
    return [display["text/plain"] for display in displays]


def settle(kernel: Kernel) -> None:
    """What was on its way has arrived."""
    kernel.ok("await sleep(0)")
    kernel.ok("pass")


# Each way, from each kind of cell, at each moment


@pytest.mark.parametrize(
    "starter, way",
    [
        *((starter, way) for starter in STARTERS for way in OF_TWISTED + OF_PYTHON),
        *((s, way) for s in STARTERS if s != "plain" for way in OF_ASYNCIO),
    ],
)
def test_past_a_capture(kernel: Kernel, starter: str, way: str) -> None:
    """Work is heard under the cell that started it while another captures and awaits."""
    gate = new_gate()
    cell = start_work(kernel, starter, way, gate)
    with meanwhile(kernel, "capturing and awaiting"):
        hear(kernel, gate)
    heard_once(cell, gate)


@pytest.mark.parametrize(
    "moment", [m for m in MEANWHILE if m != "capturing and awaiting"]
)
@pytest.mark.parametrize("way", OF_TWISTED + OF_PYTHON + OF_ASYNCIO)
def test_at_any_time(kernel: Kernel, way: str, moment: str) -> None:
    """It is, whatever another cell does, and when none runs."""
    gate = new_gate()
    starter = "awaiting" if way in OF_ASYNCIO else "plain"
    cell = start_work(kernel, starter, way, gate)
    kernel.ok("pass")  # The last cell is another one.
    with meanwhile(kernel, moment):
        hear(kernel, gate)
    heard_once(cell, gate)


def test_while_its_own_cell_awaits(kernel: Kernel) -> None:
    """Work that is heard while its own cell awaits belongs to it as well."""
    gate = new_gate()
    cell = kernel.start(
        f"await sleep(0)\nfor way in (by_callLater, by_task, by_thread):\n"
        f"    way({gate!r} + way.__name__)\n"
        f"print('begun')\nawait wait_for('{gate}over')"
    ).wait_for_output("begun")
    for way in ("by_callLater", "by_task", "by_thread"):
        hear(kernel, gate + way)
    open_gate(kernel, f"{gate}over")
    cell.wait()
    kernel.ok("pass")
    for way in ("by_callLater", "by_task", "by_thread"):
        assert cell.stdout.count(f"out {gate}{way}\n") == 1, kernel.report()
        assert cell.stderr.count(f"err {gate}{way}\n") == 1, kernel.report()
    assert len(cell.displays) == 3, kernel.report()


def test_from_thread_at_once(kernel: Kernel) -> None:
    """What ``callFromThread`` runs while the cell goes on is the cell's."""
    kernel.ok("called = threading.Event()")
    cell = kernel.ok(
        "def call():\n    print('called')\n    called.set()\n"
        "reactor.callFromThread(call)\ncalled.wait(10);"
    )
    settle(kernel)
    assert cell.stdout == "called\n"


# Two cells and more


def test_two_loops(kernel: Kernel) -> None:
    """Two LoopingCalls of two cells print in turn, each under its own."""
    source = (
        "def turn():\n"
        "    global n_{0}\n"
        "    n_{0} += 1\n"
        "    print('{0}', n_{0})\n"
        "n_{0} = 0\n"
        "loop_{0} = task.LoopingCall(turn)\n"
        "loop_{0}.start(0.01);"
    )
    # Two functions of the same name: only the closures of the loops keep them apart.
    first = kernel.ok(source.format("first"))
    second = kernel.ok(source.format("second"))
    third = kernel.ok(
        "%%capture captured\nprint('third')\n"
        "while n_first < 20 or n_second < 20: await sleep(0.01)\nprint('third')"
    )
    kernel.ok("await sleep(0)\nloop_first.stop()\nloop_second.stop()")
    settle(kernel)
    for cell, name in ((first, "first"), (second, "second")):
        count = kernel.value(f"n_{name}")
        assert count >= 20
        assert cell.stdout == "".join(f"{name} {n}\n" for n in range(1, count + 1))
    assert third.output == "" and kernel.value("captured.stdout") == "third\nthird\n"


def test_one_gate_for_three(kernel: Kernel) -> None:
    """Coroutines of three cells that wait for one Deferred each print under their own."""
    kernel.ok(
        "common = Deferred()\n"
        "async def wait_and_print(name):\n"
        "    waiting = Deferred()\n"
        "    common.addCallback(lambda _: waiting.callback(None))\n"
        "    await waiting\n"
        "    print(name)"
    )
    cells = {
        name: kernel.ok(
            STARTERS[name].format(
                f"held.append(ensureDeferred(wait_and_print({name!r})))"
            )
        )
        for name in STARTERS
    }
    firing = kernel.ok("await sleep(0)\nprint('firing')\ncommon.callback(None)")
    settle(kernel)
    for name, cell in cells.items():
        assert cell.stdout == f"{name}\n", kernel.report()
    assert firing.stdout == "firing\n"


def test_capture_while_others_print(kernel: Kernel) -> None:
    """A capture holds its own cell's output, that of its background work included."""
    gates = [new_gate() for _ in range(3)]
    before = [start_work(kernel, "plain", "LoopingCall", gate) for gate in gates]
    own = new_gate()
    capturing = kernel.start(
        f"%%capture captured\nprint('one')\nby_callLater({own!r})\nby_thread('{own}2')\n"
        f"touch('{own}begun')\nawait wait_for('{own}.said')\nawait wait_for('{own}2.said')\n"
        "print('two')"
    )
    kernel.wait_until((kernel.directory / f"{own}begun").exists)
    hear(kernel, gates[0])
    hear(kernel, own)
    hear(kernel, gates[1])
    hear(kernel, f"{own}2")
    capturing.wait()
    hear(kernel, gates[2])
    for cell, gate in zip(before, gates, strict=True):
        heard_once(cell, gate)
    assert capturing.output == "", kernel.report()
    assert kernel.value("captured.stdout") == f"one\nout {own}\nout {own}2\ntwo\n"
    assert kernel.value("captured.stderr") == f"err {own}\nerr {own}2\n"
    assert kernel.value("len(captured.outputs)") == 2


@pytest.mark.parametrize("way", ["callLater", "thread", "deferToThread"])
def test_after_its_own_capture(kernel: Kernel, way: str) -> None:
    """What the work of a capturing cell says after the capture is shown, under that cell."""
    gate = new_gate()
    capturing = kernel.ok(f"%%capture captured\nprint('inside')\nby_{way}({gate!r})")
    hear(kernel, gate)
    heard_once(capturing, gate)
    assert kernel.value("captured.stdout") == "inside\n"


def test_partial_capture(kernel: Kernel) -> None:
    """``%%capture --no-stderr`` lets pass what it is to let pass, to its own cell."""
    gate = new_gate()
    other = start_work(kernel, "plain", "callLater", gate)
    over = new_gate()
    capturing = kernel.start(
        "%%capture --no-stderr captured\nprint('one')\nprint('two', file=sys.stderr)\n"
        f"touch('{over}begun')\nawait wait_for({over!r})\nprint('three', file=sys.stderr)"
    )
    kernel.wait_until((kernel.directory / f"{over}begun").exists)
    hear(kernel, gate)
    open_gate(kernel, over)
    capturing.wait()
    heard_once(other, gate)
    assert capturing.stderr == "two\nthree\n" and capturing.stdout == ""
    assert kernel.value("captured.stdout") == "one\n"


@pytest.mark.parametrize("awaiting", [True, False], ids=["awaiting", "plain"])
def test_a_capture_in_a_capture(kernel: Kernel, awaiting: bool) -> None:
    """Each of two nested captures of one cell holds its own part."""
    pause = "await sleep(0.01)" if awaiting else "pass"
    cell = kernel.ok(
        "with capture_output() as outer:\n"
        f"    print('outer'); display(1); {pause}\n"
        "    with capture_output() as inner:\n"
        f"        print('inner'); display(2); {pause}; print('inner')\n"
        f"    {pause}; print('outer'); display(3)\n"
        "print('shown')"
    )
    assert cell.output == "shown\n"
    assert kernel.value("(inner.stdout, outer.stdout)") == (
        "inner\ninner\n",
        "outer\nouter\n",
    )
    assert kernel.value("(len(inner.outputs), len(outer.outputs))") == (1, 2)


def test_run_cell_in_a_capture(kernel: Kernel) -> None:
    """A cell that is run within a capture is captured with all that it shows."""
    cell = kernel.ok(
        "with capture_output() as captured:\n"
        "    print('before')\n"
        "    get_ipython().run_cell(\"print('nested'); display('shown'); 6 * 7\");\n"
        "    print('after')\n"
    )
    assert cell.output == "", kernel.report()
    assert kernel.value("captured.stdout") == "before\nnested\nafter\n"
    shown = "[out.data['text/plain'] for out in captured.outputs]"
    assert kernel.value(shown) == ["'shown'", "42"]


def test_work_of_a_nested_cell(kernel: Kernel) -> None:
    """Work that a nested cell starts belongs to the cell that the user ran."""
    gate = new_gate()
    cell = kernel.ok(f'get_ipython().run_cell("by_callLater({gate!r})");')
    with meanwhile(kernel, "capturing and awaiting"):
        hear(kernel, gate)
    heard_once(cell, gate)


@pytest.mark.parametrize("way", ["thread", "executor", "deferToThread"])
def test_threads_within_a_capture(kernel: Kernel, way: str) -> None:
    """What the threads of a capturing plain cell say meanwhile is captured."""
    gate = new_gate()
    cell = kernel.ok(
        f"%%capture captured\nby_{way}({gate!r})\ntouch({gate!r})\nhold('{gate}.said')"
    )
    assert cell.output == "", kernel.report()
    assert kernel.value("captured.stdout") == f"out {gate}\n"
    assert kernel.value("len(captured.outputs)") == 1


@pytest.mark.parametrize("awaiting", [True, False], ids=["awaiting", "plain"])
def test_capture_that_fails(kernel: Kernel, awaiting: bool) -> None:
    """A capture that an error ends lets go of the output, and the error is shown."""
    line = "await sleep(0.01)" if awaiting else "pass"
    cell = kernel.run(
        f"with capture_output() as captured:\n    print('inside')\n    {line}\n    1 / 0"
    )
    assert cell.only_error.ename == "ZeroDivisionError"
    assert cell.stdout == ""
    assert kernel.value("captured.stdout") == "inside\n"
    assert kernel.ok("print('outside')").stdout == "outside\n"


def test_interrupted_capture(kernel: Kernel) -> None:
    """So does one that is interrupted while it awaits."""
    gate = new_gate()
    cell = kernel.start(
        f"%%capture captured\nprint('inside')\ntouch('{gate}begun')\nawait pending('held')"
    )
    kernel.wait_until((kernel.directory / f"{gate}begun").exists)
    kernel.interrupt()
    cell.wait(10)
    assert cell.only_error.ename == "KeyboardInterrupt"
    assert kernel.ok("print('outside')").stdout == "outside\n"
    settle(kernel)
    assert "inside" not in plain(everything_printed(kernel))


# What is shown


def test_order_is_kept(kernel: Kernel) -> None:
    """Prints and displays of late work arrive in the order in which they were made."""
    gate = new_gate()
    cell = kernel.ok(
        "def late():\n"
        "    for n in range(5):\n"
        "        print('printed', n)\n"
        "        display(n)\n"
        f"    touch('{gate}.said')\n"
        f"in_turns({gate!r}, late)"
    )
    with meanwhile(kernel, "awaiting cell"):
        hear(kernel, gate)
    cell.wait_for_output("printed 4\n4")
    assert cell.output == "".join(f"printed {n}\n{n}\n" for n in range(5))


def test_partial_lines(kernel: Kernel) -> None:
    """Half a line of one cell is not finished by another's."""
    gate = new_gate()
    cell = kernel.ok(
        f"def late():\n    print('half', end='')\n    touch('{gate}.said')\n"
        f"    in_turns('{gate}2', rest)\n"
        f"def rest():\n    print(' and half')\n    touch('{gate}2.said')\n"
        f"in_turns('{gate}', late)"
    )
    hear(kernel, gate)
    other = kernel.ok("print('a whole line')")
    hear(kernel, f"{gate}2")
    cell.wait_for_output("and half")
    assert cell.stdout == "half and half\n"
    assert other.stdout == "a whole line\n"


@pytest.mark.parametrize("moment", ["awaiting cell", "capturing and awaiting"])
def test_updates(kernel: Kernel, moment: str) -> None:
    """A display that late work changes is changed from the cell that started the work."""
    gate = new_gate()
    cell = kernel.ok(
        "handle = display('first', display_id=True)\n"
        f"in_turns({gate!r}, lambda: (handle.update('second'), touch('{gate}.said')))"
    )
    with meanwhile(kernel, moment):
        hear(kernel, gate)
    kernel.wait_until(lambda: cell.own_updates, 5, "the update")
    settle(kernel)
    assert texts(cell.displays) == ["'first'"] and texts(cell.own_updates) == [
        "'second'"
    ]


def test_rich_display(kernel: Kernel) -> None:
    """A late display has all its formats."""
    gate = new_gate()
    cell = kernel.ok(
        "from IPython.display import HTML\n"
        f"in_turns({gate!r}, lambda: (display(HTML('<b>late</b>')), touch('{gate}.said')))"
    )
    with meanwhile(kernel, "capturing and awaiting"):
        hear(kernel, gate)
    kernel.wait_until(lambda: cell.displays, 5, "the display")
    assert cell.displays[0]["text/html"] == "<b>late</b>"


def test_writes_without_print(kernel: Kernel) -> None:
    """``sys.stdout`` and ``sys.stderr`` kept by the work, or by a library, are no way past."""
    gate = new_gate()
    cell = kernel.ok(
        "def late(out=sys.stdout, err=sys.stderr):\n"
        "    out.write('written\\n')\n    out.writelines(['lines\\n'])\n"
        "    err.write('error\\n')\n    out.flush()\n"
        f"    touch('{gate}.said')\n"
        f"in_turns({gate!r}, late)"
    )
    with meanwhile(kernel, "capturing and awaiting"):
        hear(kernel, gate)
    cell.wait_for_output("error")
    settle(kernel)
    assert cell.stdout == "written\nlines\n" and cell.stderr == "error\n"


def test_all_of_much(kernel: Kernel) -> None:
    """Nothing of ten thousand lines of three cells is lost or doubled."""
    cells = [
        kernel.start(
            STARTERS[starter].format(
                f"def many_of(name={starter!r}):\n"
                "    def many(n=0):\n"
                "        for i in range(n, n + 100): print(name, i)\n"
                "        if n < 3300: reactor.callLater(0, many, n + 100)\n"
                "        else: touch(name + '.many')\n"
                "    many()\n"
                "many_of()"
            )
        )
        for starter in STARTERS
    ]
    for cell, starter in zip(cells, STARTERS, strict=True):
        cell.wait()
        kernel.wait_until((kernel.directory / f"{starter}.many").exists)
        cell.wait_for_output(f"{starter} 3399\n")
        assert cell.stdout == "".join(f"{starter} {n}\n" for n in range(3400))


# Connections

SERVER = """\
class Echo(protocol.Protocol):
    def connectionMade(self):
        connections.append(self)
        print("made")
    def dataReceived(self, data):
        print("received", data.decode())
        self.transport.write(data)
    def connectionLost(self, reason):
        print("lost")
connections = []
factory = protocol.Factory.forProtocol(Echo)
port = reactor.listenTCP(0, factory, interface="127.0.0.1")
"""


@pytest.fixture(params=STARTERS)
def server(kernel: Kernel, request: pytest.FixtureRequest) -> Iterator[Cell]:
    """A cell that listens and echoes; its port is ``port``."""
    cell = kernel.ok(STARTERS[request.param].format(SERVER + "None"))
    kernel.wait_for_value("'port' in globals()")
    yield cell


def address_of(kernel: Kernel) -> tuple[str, int]:
    """Where the kernel's server listens; asked in the shell thread."""
    return "127.0.0.1", kernel.value("port.getHost().port")


@pytest.mark.parametrize("moment", MEANWHILE)
def test_server(kernel: Kernel, server: Cell, moment: str) -> None:
    """What a server's connections print is of the cell that listens."""
    address = address_of(kernel)
    with meanwhile(kernel, moment):
        with socket.create_connection(address, timeout=10) as client:
            client.sendall(b"first")
            assert client.recv(100) == b"first"
        server.wait_for_output("lost", 5)
    settle(kernel)
    assert server.stdout == "made\nreceived first\nlost\n"


CLIENT = """\
class Client(protocol.Protocol):
    def connectionMade(self):
        print("client made")
        self.transport.write(b"hello")
    def dataReceived(self, data):
        print("client received", data.decode())
        self.transport.loseConnection()
    def connectionLost(self, reason):
        print("client lost")
        touch({gate!r})
"""


@pytest.mark.parametrize("starter", STARTERS)
@pytest.mark.parametrize("moment", ["idle", "capturing and awaiting"])
def test_server_and_client(
    kernel: Kernel, server: Cell, starter: str, moment: str
) -> None:
    """A server of one cell and a client of another print each under their own."""
    gate = new_gate()
    client = kernel.ok(
        STARTERS[starter].format(
            CLIENT.format(gate=f"{gate}.said")
            + "client_factory = protocol.ClientFactory.forProtocol(Client)\n"
            f"in_turns({gate!r}, lambda: reactor.connectTCP("
            "'127.0.0.1', port.getHost().port, client_factory))"
        )
    )
    with meanwhile(kernel, moment):
        hear(kernel, gate)
        server.wait_for_output("lost", 5)
    settle(kernel)
    assert server.stdout == "made\nreceived hello\nlost\n", kernel.report()
    assert client.stdout == "client made\nclient received hello\nclient lost\n"


@pytest.mark.parametrize(
    "change",
    [
        "{0}.pauseProducing()\nawait sleep(0.01)\n{0}.resumeProducing()",
        "{0}.stopReading()\nawait sleep(0.01)\n{0}.startReading()",
        "{0}.write(b'from B')",
        "{0}.write(b'x' * 3_000_000)",
    ],
    ids=["pause and resume", "stop and start reading", "write", "write much"],
)
def test_handled_by_another_cell(kernel: Kernel, server: Cell, change: str) -> None:
    """A connection that another cell pauses, resumes or writes to stays its own cell's."""
    with socket.create_connection(address_of(kernel), timeout=10) as client:
        client.sendall(b"first")
        server.wait_for_output("received first")
        other = kernel.ok(
            "await sleep(0)\nprint('other')\n"
            + change.format("connections[-1].transport")
        )
        with meanwhile(kernel, "capturing and awaiting"):
            client.sendall(b"second")
            server.wait_for_output("received second", 5)
    server.wait_for_output("lost", 5)
    settle(kernel)
    assert server.stdout == "made\nreceived first\nreceived second\nlost\n"
    assert other.stdout == "other\n"


def test_delayed_call_reset_by_another_cell(kernel: Kernel) -> None:
    """A delayed call that another cell moves is still of the cell that made it."""
    cell = kernel.ok("call = reactor.callLater(3600, print, 'called')")
    other = kernel.ok(
        "await sleep(0)\ncall.reset(0)\nawait sleep(0.05)\nprint('other')"
    )
    cell.wait_for_output("called", 5)
    settle(kernel)
    assert cell.stdout == "called\n" and other.stdout == "other\n"


# Subshells


@pytest.fixture
def subshells(kernel: Kernel) -> tuple[str, str]:
    """The ids of two new subshells of the kernel."""
    if not kernel.has_subshells:
        pytest.skip("this ipykernel has no subshells")
    return kernel.new_subshell(), kernel.new_subshell()


@pytest.fixture
def originals(kernel: Kernel) -> Callable[[], None]:
    """Checks that output goes where it went at the start of the test."""
    current = (
        "(sys.stdout, sys.stderr, get_ipython().display_pub, sys.displayhook, "
        "get_ipython().displayhook)"
    )
    kernel.ok(f"originals = {current}")

    def check() -> None:
        cell = kernel.ok(f"[a is b for a, b in zip(originals, {current})]")
        assert cell.result == repr([True] * 5), kernel.report()

    return check


def capturing(name: str, gate: str, awaiting: bool) -> str:
    wait = f"await wait_for({gate!r})" if awaiting else f"hold({gate!r})"
    return (
        f"%%capture of_{name}\nprint('{name}')\ndisplay('{name}')\ntouch('{gate}begun')\n"
        f"{wait}\nprint('{name}')\nprint('{name}', file=sys.stderr)\ndisplay('{name}')"
    )


@pytest.mark.parametrize("order", ["first first", "last first"])
@pytest.mark.parametrize("first", [True, False], ids=["awaiting", "plain"])
@pytest.mark.parametrize("second", [True, False], ids=["awaiting", "plain"])
def test_captures_of_subshells(
    kernel: Kernel,
    subshells: tuple[str, str],
    originals: Callable[[], None],
    first: bool,
    second: bool,
    order: str,
) -> None:
    """Two subshells capture at once, in either order of ending; the streams are back then."""
    gates = [new_gate(), new_gate()]
    cells = []
    for name, subshell, gate, awaiting in zip(
        ("one", "two"), subshells, gates, (first, second), strict=True
    ):
        cells.append(kernel.start(capturing(name, gate, awaiting), subshell=subshell))
        kernel.wait_until((kernel.directory / f"{gate}begun").exists)
    between = kernel.ok("print('between')\ndisplay('between')\n'result'")
    for number in (0, 1) if order == "first first" else (1, 0):
        open_gate(kernel, gates[number])
        cells[number].wait().succeeded()
    originals()
    assert between.output == "between\n'between'\n'result'\n"
    for name, cell in zip(("one", "two"), cells, strict=True):
        assert cell.output == "", kernel.report()
        assert kernel.value(f"of_{name}.stdout") == f"{name}\n{name}\n"
        assert kernel.value(f"of_{name}.stderr") == f"{name}\n"
        assert kernel.value(f"len(of_{name}.outputs)") == 2
    assert kernel.ok("print('after')").output == "after\n"


@pytest.mark.parametrize("capture", [True, False], ids=["awaiting", "plain"])
def test_result_beside_a_capture(
    kernel: Kernel,
    subshells: tuple[str, str],
    originals: Callable[[], None],
    capture: bool,
) -> None:
    """The result and the error of a cell are its own while a subshell captures."""
    gate = new_gate()
    cell = kernel.start(capturing("one", gate, capture), subshell=subshells[0])
    kernel.wait_until((kernel.directory / f"{gate}begun").exists)
    assert kernel.ok("await sleep(0.01, 'awaited')").result == "'awaited'"
    assert kernel.ok("6 * 7", subshell=subshells[1]).result == "42"
    failed = kernel.run("await sleep(0)\n1 / 0", subshell=subshells[1])
    assert failed.only_error.ename == "ZeroDivisionError"
    open_gate(kernel, gate)
    cell.wait().succeeded()
    originals()
    assert kernel.value("(of_one.stdout, len(of_one.outputs))") == ("one\none\n", 2)


@pytest.mark.parametrize("way", ["callLater", "thread", "deferToThread"])
def test_work_of_a_subshell(
    kernel: Kernel, subshells: tuple[str, str], way: str
) -> None:
    """Work that a cell of a subshell started is heard under it, and not in a capture."""
    gate = new_gate()
    cell = kernel.ok(f"by_{way}({gate!r})", subshell=subshells[0])
    kernel.ok("pass", subshell=subshells[0])
    with meanwhile(kernel, "capturing and awaiting"):
        hear(kernel, gate)
    heard_once(cell, gate)


def test_streams_are_back(kernel: Kernel, originals: Callable[[], None]) -> None:
    """After captures that await, and that fail, output goes where it went before."""
    kernel.ok("%%capture captured\nawait sleep(0.01)\nprint('x')")
    kernel.run("%%capture captured\nawait sleep(0.01)\n1 / 0")
    kernel.ok("with capture_output() as captured:\n    await sleep(0.01)")
    originals()


# The terminal


@pytest.fixture
def session(awaiting_terminal: Callable[..., Terminal]) -> Callable[..., Terminal]:
    """Starts a terminal with some imports; takes what ``Terminal`` takes."""

    def start(**options: object) -> Terminal:
        terminal = awaiting_terminal(**options)
        terminal.run("import os, sys, threading, time")
        terminal.run("from twisted.internet import reactor, task, threads")
        terminal.run("sleep = lambda seconds: task.deferLater(reactor, seconds)")
        terminal.start(
            "def late(gate):\n"
            "    if os.path.exists(gate):\n"
            "        print('OUT', gate)\n"
            "        print('ERR', gate, file=sys.stderr)\n"
            "    else:\n"
            "        reactor.callLater(0.01, late, gate)\n"
        )
        terminal.wait_for_prompt()
        return terminal

    return start


def open_in(terminal: Terminal, gate: str) -> None:
    (terminal.directory / gate).touch()


TERMINAL_STARTERS = {
    "plain": "reactor.callLater(0, late, '{}');",
    "awaiting": "await sleep(0); reactor.callLater(0, late, '{}');",
    "thread": "threading.Thread(target=lambda: [time.sleep(.01) for _ in iter("
    "lambda: os.path.exists('{0}'), True)] and late('{0}')).start()",
}


_CURSOR = re.compile(
    r"\x1b\[(\d*)([ABCDJK])|\x1b[^a-zA-Z]*[a-zA-Z=>]|\r|\n|[^\x1b\r\n]"
)


def screen(raw: str) -> list[str]:
    """The lines that somebody sees: with what was moved over, written over and erased."""
    lines, row, column = [""], 0, 0
    for match in _CURSOR.finditer(raw):
        count, move = int(match.group(1) or 1), match.group(2)
        if move == "A":
            row = max(0, row - count)
        elif move == "B":
            row += count
        elif move == "C":
            column += count
        elif move == "D":
            column = max(0, column - count)
        elif move in ("J", "K"):
            lines[row] = lines[row][:column]
            if move == "J":
                del lines[row + 1 :]
        elif match.group() == "\r":
            column = 0
        elif match.group() == "\n":
            row += 1
        elif not match.group().startswith("\x1b"):
            line = lines[row].ljust(column)
            lines[row] = line[:column] + match.group() + line[column + 1 :]
            column += 1
        lines += [""] * (row + 1 - len(lines))
    return [line.rstrip() for line in lines]


@pytest.mark.parametrize("starter", TERMINAL_STARTERS)
def test_above_the_prompt(session: Callable[..., Terminal], starter: str) -> None:
    """In a terminal, late output is lines of its own, and the half-typed line goes on."""
    terminal = session(simple=False)
    terminal.run(TERMINAL_STARTERS[starter].format("gate"))
    terminal.child.send("'half' + ")
    terminal.wait_for("'half' +")
    open_in(terminal, "gate")
    terminal.wait_for("ERR gate")
    wanted = ["OUT gate", "ERR gate", f"In [{terminal.prompt_number}]: 'half' +"]
    terminal.wait_until(
        lambda: screen(terminal.raw)[-3:] == wanted, 5, f"{wanted} on the screen"
    )
    terminal.type("'AND half'.lower()")
    terminal.wait_for("'halfand half'")


def test_half_a_line_at_a_simple_prompt(session: Callable[..., Terminal]) -> None:
    """With the simple prompt, a half-typed line is not spoiled either."""
    terminal = session()
    terminal.run(TERMINAL_STARTERS["plain"].format("gate"))
    terminal.child.send("'half' + ")
    terminal.wait_for("'half' +")
    open_in(terminal, "gate")
    terminal.wait_for("ERR gate")
    terminal.type("'AND half'.lower()")
    terminal.wait_for("'halfand half'")


def test_a_kept_stream_prints_above_the_prompt(
    session: Callable[..., Terminal],
) -> None:
    """As a log that was given ``sys.stdout``; unloaded, that is IPython's again."""
    terminal = session(simple=False)
    terminal.run("import sys; kept = sys.stdout")
    terminal.run(r"reactor.callLater(1, kept.write, 'KEPT' + ' line\n');")
    terminal.child.send("'half' + ")
    terminal.wait_for("'half' +")
    wanted = ["KEPT line", f"In [{terminal.prompt_number}]: 'half' +"]
    terminal.wait_until(
        lambda: screen(terminal.raw)[-2:] == wanted, 5, f"{wanted} on the screen"
    )
    terminal.type("'AND half'.lower()")
    terminal.wait_for("'halfand half'")
    terminal.wait_for_prompt()
    terminal.run("%unload_ext twisted_ipython")
    assert "True" in terminal.run("sys.stdout is sys.__stdout__")


@pytest.mark.parametrize("simple", [True, False], ids=["simple", "prompt_toolkit"])
def test_past_a_capture_in_a_terminal(
    session: Callable[..., Terminal], simple: bool
) -> None:
    """A capture in a terminal holds its own cell's output; the rest is on the screen."""
    terminal = session(simple=simple)
    terminal.run(TERMINAL_STARTERS["plain"].format("gate"))
    terminal.run("from IPython.utils.capture import capture_output")
    terminal.start(
        "with capture_output() as captured:\n"
        "    print('inside')\n"
        "    open('begun', 'w').close()\n"
        "    while not os.path.exists('over'): await sleep(0.01)"
    )
    terminal.wait_until((terminal.directory / "begun").exists)
    open_in(terminal, "gate")
    terminal.wait_for("ERR gate", 10)
    open_in(terminal, "over")
    terminal.wait_for_prompt()
    assert terminal.transcript.count("OUT gate") == 1
    assert r"'inside\n'" in terminal.run("captured.stdout")
