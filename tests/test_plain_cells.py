"""
Plain cells: what they ask of the reactor is done in its thread, or they run there.

The settings ``threads`` and ``cells`` of ``%twisted_config``.
"""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator

import pytest

from checks import (
    PROMPT_BACK,
    STOPPED,
    awaits,
    begun,
    cell_frames_only,
    interrupt,
    user_frames_only,
    was_interrupted,
)
from kernels import HELPERS, Kernel
from late_work import new_gate, open_gate, prepare
from terminals import Terminal

REACTOR_THREAD = "CrochetReactor"
SHELL_THREAD = "MainThread"

SETUP = """\
def here():
    return threading.current_thread().name

class Factory(protocol.ClientFactory):
    noisy = False
    def __init__(self):
        self.threads = []
    def doStart(self):
        self.threads.append(here())
    def startedConnecting(self, connector):
        self.threads.append(here())
    def buildProtocol(self, address):
        return protocol.Protocol()

class Datagrams(protocol.DatagramProtocol):
    noisy = False
    def __init__(self):
        self.threads = []
    def startProtocol(self):
        self.threads.append(here())

class Child(protocol.ProcessProtocol):
    def __init__(self):
        self.threads = []
        self.ended = Deferred()
    def connectionMade(self):
        self.threads.append(here())
    def processEnded(self, reason):
        self.ended.callback(reason.value.exitCode)

port = None
"""


@pytest.fixture
def kernel(kernel: Kernel) -> Iterator[Kernel]:
    """
    The shared kernel; its settings are the defaults, before and after, but that
    tests run the same cells again and again.
    """
    prepare(kernel).ok(SETUP)
    kernel.ok("%twisted_config rerun keep")
    yield kernel
    kernel.run("%twisted_config reset")


def configured(kernel: Kernel, setting: str, value: str) -> None:
    kernel.ok(f"%twisted_config {setting} {value}")


# What is asked of the reactor

CALLS = {
    "listenTCP": (
        "reactor.listenTCP(0, made, interface='127.0.0.1')",
        "Factory",
        "twisted.internet.tcp.Port",
    ),
    "connectTCP": (
        "reactor.connectTCP('127.0.0.1', 9, made)",
        "Factory",
        "twisted.internet.tcp.Connector",
    ),
    "listenUDP": (
        "reactor.listenUDP(0, made, interface='127.0.0.1')",
        "Datagrams",
        "twisted.internet.udp.Port",
    ),
    "listenUNIX": (
        "reactor.listenUNIX('socket-{0}', made)",
        "Factory",
        "twisted.internet.unix.Port",
    ),
    "connectUNIX": (
        "reactor.connectUNIX('no-socket', made)",
        "Factory",
        "twisted.internet.unix.Connector",
    ),
    "spawnProcess": (
        "reactor.spawnProcess(made, sys.executable, [sys.executable, '-c', ''], env=None)",
        "Child",
        "twisted.internet.process.Process",
    ),
}
THREADS = {"forward": REACTOR_THREAD, "warn": SHELL_THREAD, "off": SHELL_THREAD}


@pytest.mark.parametrize("mode", THREADS)
@pytest.mark.parametrize("method", CALLS)
def test_where_it_is_called(kernel: Kernel, method: str, mode: str) -> None:
    """A plain cell's call is made in the reactor thread, or here if the user wants that."""
    call, maker, kind = CALLS[method]
    configured(kernel, "threads", mode)
    cell = kernel.run(f"made = {maker}()\nresult = {call.format(new_gate())}")
    assert cell.status == "ok", kernel.report()
    assert set(kernel.value("made.threads")) == {THREADS[mode]}
    module, _, name = kind.rpartition(".")
    assert kernel.value("(type(result).__module__, type(result).__qualname__)") == (
        module,
        name,
    )
    if mode == "warn":
        (line,) = cell.stderr.splitlines()
        assert method in line
    else:
        assert cell.output == "", cell.output


@pytest.mark.parametrize("mode", THREADS)
def test_delayed_call(kernel: Kernel, mode: str) -> None:
    """``callLater`` gives a delayed call, which is called in the reactor thread."""
    configured(kernel, "threads", mode)
    cell = kernel.run(
        "called = threading.Event()\nwhere = []\n"
        "call = reactor.callLater(0, lambda: (where.append(here()), called.set()))"
    )
    assert cell.status == "ok"
    assert bool(cell.stderr) == (mode == "warn")
    # In the other modes nothing wakes the reactor, as in Twisted itself; a cell does.
    kernel.ok(
        "await sleep(0)\ncalled.wait(10)" if mode != "forward" else "called.wait(10)"
    )
    assert kernel.value("(where, type(call).__name__, call.active())") == (
        [REACTOR_THREAD],
        "DelayedCall",
        False,
    )


def test_forwarding_is_the_default(fresh_kernel: Callable[..., Kernel]) -> None:
    """Without a word, calls of plain cells are forwarded, and plain cells stay in the shell."""
    kernel = prepare(fresh_kernel())
    kernel.ok(SETUP)
    kernel.ok(
        "made = Factory()\nresult = reactor.listenTCP(0, made, interface='127.0.0.1')"
    )
    assert kernel.value("made.threads") == [REACTOR_THREAD]
    assert kernel.ok("here()").result == repr(SHELL_THREAD)
    shown = kernel.ok("%twisted_config show").stdout.splitlines()
    assert " - threads=forward" in shown and " - cells=shell" in shown


def test_a_port_works(kernel: Kernel) -> None:
    """A port that a plain cell opens takes connections at once, and closes."""
    kernel.ok(
        "class Hello(protocol.Protocol):\n"
        "    def connectionMade(self):\n"
        "        self.transport.write(b'hello')\n"
        "        self.transport.loseConnection()\n"
        "port = reactor.listenTCP(0, protocol.Factory.forProtocol(Hello), interface='127.0.0.1')"
    )
    address = ("127.0.0.1", kernel.value("port.getHost().port"))
    with socket.create_connection(address, timeout=10) as client:
        assert client.recv(100) == b"hello"
    kernel.ok("await port.stopListening()")
    with pytest.raises(OSError):
        socket.create_connection(address, timeout=10)


def test_a_process_ends(kernel: Kernel) -> None:
    """The end of a process that a plain cell started is noticed."""
    kernel.ok(
        "child = Child()\n"
        "process = reactor.spawnProcess(child, sys.executable,"
        " [sys.executable, '-c', 'raise SystemExit(3)'], env=None)"
    )
    assert kernel.ok("await child.ended").result == "3"


def test_endpoints_and_loops(kernel: Kernel) -> None:
    """What calls the reactor for the user does so in the same way: endpoints, LoopingCall."""
    kernel.ok(
        "made = Factory()\n"
        "listening = endpoints.serverFromString(reactor, 'tcp:0:interface=127.0.0.1').listen(made)"
    )
    assert "Port" in kernel.ok("type(await listening).__name__").result
    assert kernel.value("made.threads") == [REACTOR_THREAD]
    kernel.ok(
        "where = []\nthree = threading.Event()\n"
        "def turn():\n"
        "    where.append(here())\n"
        "    if len(where) > 3: loop.stop(); three.set()\n"
        "loop = task.LoopingCall(turn)\nloop.start(0.01, now=False)\nthree.wait(10)"
    )
    assert set(kernel.value("where")) == {REACTOR_THREAD}


def test_awaited(kernel: Kernel) -> None:
    """A Deferred that a plain cell makes can be awaited by the next."""
    kernel.ok("waiting = sleep(0.05, 'waited')")
    assert kernel.ok("await waiting").result == "'waited'"


def test_subshell(kernel: Kernel) -> None:
    """Calls of plain cells in a subshell are forwarded as well."""
    if not kernel.has_subshells:
        pytest.skip("this ipykernel has no subshells")
    subshell = kernel.new_subshell()
    kernel.ok(
        "made = Factory()\nresult = reactor.listenTCP(0, made, interface='127.0.0.1')",
        subshell=subshell,
    )
    assert kernel.value("made.threads") == [REACTOR_THREAD]


WITHIN = {
    "awaiting": "await sleep(0)\n{}",
    "run_in_reactor": "%%run_in_reactor er\n{}",
    "callback": "%%run_in_reactor er\nawait succeed(1).addCallback(lambda _: [{}])",
}


@pytest.mark.parametrize("mode", THREADS)
@pytest.mark.parametrize("place", WITHIN)
def test_direct_in_the_reactor_thread(kernel: Kernel, place: str, mode: str) -> None:
    """In the reactor thread, calls are made at once, with no word about it."""
    configured(kernel, "threads", mode)
    kernel.ok("made = Factory()\ndone = threading.Event()")
    cell = kernel.run(
        WITHIN[place].format(
            "(reactor.listenTCP(0, made, interface='127.0.0.1'), "
            "reactor.callLater(0, done.set), made.threads.append('then'))"
        ),
        within=10,
    )
    assert cell.status == "ok" and cell.stderr == "", cell.output
    kernel.ok("assert done.wait(10)")
    assert kernel.value("made.threads") == [REACTOR_THREAD, "then"]


def test_one_warning_per_method_and_cell(kernel: Kernel) -> None:
    """``warn`` says one sentence for each method in each cell."""
    configured(kernel, "threads", "warn")
    source = (
        "for _ in range(3):\n"
        "    reactor.callLater(0, int)\n"
        "    reactor.listenTCP(0, Factory(), interface='127.0.0.1');"
    )
    for _ in range(2):
        cell = kernel.run(source)
        assert cell.status == "ok" and cell.stdout == ""
        said = cell.stderr.splitlines()
        assert len(said) == 2, cell.stderr
        assert "callLater" in said[0] and "listenTCP" in said[1]
        assert "thread" in said[0]
    kernel.ok("await sleep(0)")


@pytest.mark.parametrize("mode", ["forward", "off"])
@pytest.mark.parametrize(
    "line, error",
    [
        (
            "reactor.listenTCP(taken, Factory(), interface='127.0.0.1')",
            "CannotListenError",
        ),
        ("reactor.listenTCP()", "TypeError"),
        ("reactor.callLater()", "TypeError"),
        ("reactor.callLater('soon', int)", "TypeError"),
        ("reactor.callLater(-1, int)", "AssertionError"),
        (
            "reactor.connectTCP('127.0.0.1', 'no service', Factory())",
            "ServiceNameUnknownError",
        ),
        ("reactor.spawnProcess(Child())", "TypeError"),
    ],
)
def test_errors(kernel: Kernel, mode: str, line: str, error: str) -> None:
    """The error of a call is the plain cell's, once, with the user's line."""
    configured(kernel, "threads", mode)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        kernel.ok(f"taken = {listener.getsockname()[1]}")
        cell = kernel.run(f"before = 1\n{line}\nafter = 1", within=10)
    assert cell.only_error.ename == error, cell.output
    assert (2, line) in cell.only_error.lines, cell.output
    assert cell.stdout == "" and cell.stderr == ""
    user_frames_only(cell.only_error)
    awaits(kernel)


def test_error_is_caught(kernel: Kernel) -> None:
    """The error can be caught where the call is."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        cell = kernel.ok(
            "from twisted.internet.error import CannotListenError\n"
            f"try: reactor.listenTCP({listener.getsockname()[1]}, Factory(),"
            " interface='127.0.0.1')\n"
            "except CannotListenError as error: print(type(error).__name__)"
        )
    assert cell.stdout == "CannotListenError\n"


@pytest.mark.parametrize("by", ["interrupt", "interrupt_by_message"])
def test_interrupt_of_a_call(kernel: Kernel, by: str) -> None:
    """A plain cell whose call waits for a busy reactor can be interrupted; nothing is called."""
    gate = new_gate()
    kernel.ok(
        f"made = Factory()\nreactor.callFromThread(hold, {gate!r})\n"
        f"reactor.callFromThread(touch, '{gate}passed')"
    )
    line = "reactor.listenTCP(0, made, interface='127.0.0.1')"
    cell = begun(kernel, f"print('begun')\n{line}")
    assert interrupt(cell, by) < PROMPT_BACK
    was_interrupted(cell, line)
    # The shell is free while the reactor is still busy.
    assert kernel.ok("1 + 1").result == "2"
    assert not (kernel.directory / f"{gate}passed").exists()
    open_gate(kernel, gate)
    awaits(kernel)
    assert kernel.value("made.threads") == []


def test_wakes_an_idle_reactor(bare_kernel: Callable[..., Kernel]) -> None:
    """A forwarded call reaches a reactor that has nothing at all to do."""
    kernel = bare_kernel()
    kernel.ok(
        "import threading\nfrom twisted.internet import reactor\n"
        "threading.Thread(target=reactor.run,"
        " kwargs=dict(installSignalHandlers=False), daemon=True).start()"
    )
    kernel.ok("%load_ext twisted_ipython\n%autoawait twisted")
    kernel.ok(HELPERS)
    for _ in range(3):
        cell = kernel.ok(
            "called = threading.Event()\nreactor.callLater(0, called.set)\ncalled.wait(10)"
        )
        assert cell.result == "True"


@pytest.mark.parametrize("mode", THREADS)
def test_threads_can_be_shown_and_reset(kernel: Kernel, mode: str) -> None:
    """``show`` tells the mode, and ``reset`` gives the default back."""
    configured(kernel, "threads", mode)
    assert f" - threads={mode}" in kernel.ok("%twisted_config show").stdout.splitlines()
    kernel.ok("%twisted_config reset threads")
    assert " - threads=forward" in kernel.ok("%twisted_config show").stdout.splitlines()


@pytest.mark.parametrize("setting, value", [("threads", "warn"), ("cells", "reactor")])
@pytest.mark.parametrize("wrong", ["sideways", "", "5", "none", "Forward!", "warn off"])
def test_unknown_values(kernel: Kernel, setting: str, value: str, wrong: str) -> None:
    """An unknown value is one sentence that names those there are; the old one stays."""
    configured(kernel, setting, value)
    cell = kernel.run(f"%twisted_config {setting} {wrong}".rstrip())
    assert cell.status == "error" and cell.errors == [] and cell.stdout == ""
    (line,) = cell.stderr.splitlines()
    assert line.startswith("UsageError: ") and setting in line and value in line
    assert f" - {setting}={value}" in kernel.ok("%twisted_config show").stdout


# Plain cells in the reactor thread


@pytest.fixture
def in_reactor(kernel: Kernel) -> Kernel:
    """The kernel, whose plain cells run in the reactor thread."""
    configured(kernel, "cells", "reactor")
    return kernel


def test_runs_in_the_reactor_thread(in_reactor: Kernel) -> None:
    """With ``cells reactor``, a plain cell runs there; with ``cells shell``, as usual."""
    kernel = in_reactor
    shown = "(here(), threadable.isInIOThread())"
    kernel.ok("from twisted.python import threadable")
    assert kernel.ok(shown).result == repr((REACTOR_THREAD, True))
    assert kernel.ok("await sleep(0)\n" + shown).result == repr((REACTOR_THREAD, True))
    assert " - cells=reactor" in kernel.ok("%twisted_config show").stdout.splitlines()
    configured(kernel, "cells", "shell")
    assert kernel.ok(shown).result == repr((SHELL_THREAD, False))
    assert kernel.ok("await sleep(0)\n" + shown).result == repr((REACTOR_THREAD, True))


def test_what_a_cell_shows(fresh_kernel: Callable[..., Kernel]) -> None:
    """Output, displays, results and ``_`` are as usual."""
    kernel = prepare(fresh_kernel())  # where nobody has bound ``_`` by hand
    configured(kernel, "cells", "reactor")
    cell = kernel.ok("print('out')\ndisplay('shown')\nnumber = 6\nnumber * 7")
    assert cell.output == "out\n'shown'\n42\n"
    assert kernel.ok("_ + 1").result == "43"
    assert kernel.ok("number;").result is None
    assert kernel.value("(number, _)") == (6, 43)
    cell = kernel.run("print('error', file=sys.stderr)")
    assert cell.stderr == "error\n"


def test_counts_and_history(in_reactor: Kernel) -> None:
    """Cells are counted one by one, and kept in the history."""
    first = in_reactor.ok("'first'")
    second = in_reactor.ok("'second'")
    assert second.execution_count == first.execution_count + 1
    assert in_reactor.ok(f"In[{second.execution_count}]").result == "\"'second'\""


@pytest.mark.parametrize("by", ["interrupt", "interrupt_by_message"])
@pytest.mark.parametrize(
    "line", ["while True: pass", "while True: time.sleep(0.05)"], ids=["spin", "sleeps"]
)
def test_interrupt_a_loop(in_reactor: Kernel, line: str, by: str) -> None:
    """A plain cell that runs there is interrupted, with one error on its line."""
    cell = begun(in_reactor, f"print('begun')\n{line}")
    assert interrupt(cell, by) < STOPPED
    was_interrupted(cell, line)
    assert in_reactor.ok("here()").result == repr(REACTOR_THREAD)
    awaits(in_reactor)


def test_interrupt_a_long_call(fresh_kernel: Callable[..., Kernel]) -> None:
    """In a call that nothing can stop, the prompt is back in three seconds."""
    kernel = prepare(fresh_kernel())
    configured(kernel, "cells", "reactor")
    cell = begun(kernel, "print('begun')\ntime.sleep(6)")
    assert interrupt(cell) < PROMPT_BACK
    assert len(cell.errors) <= 1
    configured(kernel, "cells", "shell")
    assert kernel.ok("1 + 1").result == "2"
    awaits(kernel, within=15)


@pytest.mark.parametrize(
    "wait", ["pass", "await sleep(0.01)"], ids=["plain", "awaiting"]
)
def test_capture(in_reactor: Kernel, wait: str) -> None:
    """``%%capture`` holds what the cell shows, with an await in it and without."""
    cell = in_reactor.ok(
        f"%%capture captured\nprint('in')\n{wait}\ndisplay(1)\nprint('in')"
    )
    assert cell.output == ""
    assert in_reactor.value("(captured.stdout, len(captured.outputs))") == (
        "in\nin\n",
        1,
    )
    assert in_reactor.ok("print('after')").stdout == "after\n"


MAGICS = {
    "%time": ("%time x = here()", "Wall time"),
    "%%time": ("%%time\nx = here()", "Wall time"),
    "%timeit": ("%timeit -n1 -r1 here()", "per loop"),
    "%pwd": ("%pwd", "'"),
    "%who": ("x = 1\n%who int", "x"),
    "!": ("!echo from the system", "from the system"),
    "= !": ("lines = !echo captured\nprint(list(lines))", "['captured']"),
    "%%bash": ("%%bash\necho from bash", "from bash"),
    "%run": ("open('script.py', 'w').write('print(6 * 7)');\n%run script.py", "42"),
    "%crochet_config": ("%crochet_config show", "timeout=60"),
}


@pytest.mark.parametrize("name", MAGICS)
def test_magics(in_reactor: Kernel, name: str) -> None:
    """Magics and the system's commands work as usual."""
    source, said = MAGICS[name]
    assert said in in_reactor.ok(source).output
    awaits(in_reactor)


def test_timed_in_the_reactor_thread(in_reactor: Kernel) -> None:
    """What ``%time`` runs, runs in the reactor thread too."""
    in_reactor.ok("%time where = here()")
    assert in_reactor.value("where") == REACTOR_THREAD


def test_run_in_reactor(in_reactor: Kernel) -> None:
    """``%%run_in_reactor`` gives its EventualResult, and does not wait."""
    cell = in_reactor.ok("%%run_in_reactor er\nawait sleep(0.05)\nreturn here()")
    assert "EventualResult" in cell.output
    assert in_reactor.ok("await er").result == repr(REACTOR_THREAD)


def test_reactor_calls(in_reactor: Kernel) -> None:
    """Calls of the reactor are direct there."""
    in_reactor.ok(
        "made = Factory()\ncalled = []\n"
        "result = reactor.listenTCP(0, made, interface='127.0.0.1')\n"
        "call = reactor.callLater(0, called.append, 1)"
    )
    assert in_reactor.value("made.threads") == [REACTOR_THREAD]
    in_reactor.wait_for_value("called", [1])


@pytest.mark.parametrize(
    "source, error",
    [
        ("x = = 1", "SyntaxError"),
        ("if True:\nx = 1", "IndentationError"),
        ("return 1", "SyntaxError"),
        ("%no_such_magic", None),
    ],
)
def test_input_errors(in_reactor: Kernel, source: str, error: str | None) -> None:
    """Input that can't be run is refused as usual, and the next cell runs."""
    kernel = in_reactor
    cell = kernel.run(source)
    configured(kernel, "cells", "shell")
    usual = kernel.run(source)
    assert (cell.status, [shown.ename for shown in cell.errors]) == (
        usual.status,
        [shown.ename for shown in usual.errors],
    )
    if error is not None:
        assert cell.only_error.ename == error
        assert len(cell.only_error.frames) == len(usual.only_error.frames)
    assert bool(cell.stderr) == bool(usual.stderr)
    configured(kernel, "cells", "reactor")
    assert kernel.ok("here()").result == repr(REACTOR_THREAD)


def test_tracebacks(in_reactor: Kernel) -> None:
    """An error is shown once, with the user's frames only, and kept for ``%debug``."""
    in_reactor.ok("def inner():\n    raise ValueError('inside')")
    cell = in_reactor.run("x = 1\ninner()")
    assert (cell.only_error.ename, cell.only_error.evalue) == ("ValueError", "inside")
    cell_frames_only(cell.only_error)
    assert cell.only_error.lines == [
        (2, "inner()"),
        (2, "raise ValueError('inside')"),
    ]
    assert in_reactor.value("sys.last_value.args") == ("inside",)


def test_no_timeout(in_reactor: Kernel) -> None:
    """The timeout is for cells that await; a plain cell takes the time it takes."""
    in_reactor.ok("%crochet_config timeout 0.3")
    cell = in_reactor.ok("time.sleep(1)\nfor _ in range(10): time.sleep(0.05)\n'done'")
    assert cell.result == "'done'"
    assert in_reactor.run("await sleep(60)").status == "error"


def test_input(in_reactor: Kernel) -> None:
    """A plain cell there may ask the user."""
    cell = in_reactor.start("answer = input('? ')\nprint(answer)", allow_stdin=True)
    in_reactor.answer(cell, "yes")
    assert cell.wait().succeeded().stdout == "yes\n"


def test_late_output(in_reactor: Kernel) -> None:
    """What such a cell starts prints under it, as ever."""
    gate = new_gate()
    cell = in_reactor.ok(f"by_callLater({gate!r})")
    in_reactor.ok("print('other')")
    open_gate(in_reactor, gate)
    cell.wait_for_output(f"out {gate}", 10)


def test_without_the_extension(fresh_kernel: Callable[..., Kernel]) -> None:
    """After unloading, plain cells run in the shell thread again."""
    kernel = prepare(fresh_kernel())
    kernel.ok(SETUP)
    configured(kernel, "cells", "reactor")
    assert kernel.ok("here()").result == repr(REACTOR_THREAD)
    kernel.ok("%unload_ext twisted_ipython")
    assert kernel.ok("here()").result == repr(SHELL_THREAD)


@pytest.mark.parametrize("simple", [True, False], ids=["simple", "prompt_toolkit"])
def test_in_a_terminal(
    awaiting_terminal: Callable[..., Terminal], simple: bool
) -> None:
    """In a terminal, a plain cell in the reactor thread runs, and Ctrl-C stops it."""
    terminal = awaiting_terminal(simple=simple)
    terminal.run("import threading, time")
    terminal.run("%twisted_config cells reactor")
    name = "threading.current_thread().name.upper()"
    assert REACTOR_THREAD.upper() in terminal.run(name)
    terminal.start(
        "print('BE' + 'GUN'); time.sleep(0.01); [None for _ in iter(int, 1)]"
    )
    terminal.wait_for("BEGUN")
    terminal.interrupt()
    assert "KeyboardInterrupt" in terminal.wait_for_prompt(10)
    terminal.run("%twisted_config cells shell")
    assert SHELL_THREAD.upper() in terminal.run(name)


def test_interrupt_of_a_call_in_a_terminal(
    awaiting_terminal: Callable[..., Terminal],
) -> None:
    """Ctrl-C in a terminal ends the wait of a plain cell for a busy reactor."""
    terminal = awaiting_terminal()
    terminal.run("import threading; from twisted.internet import reactor")
    terminal.run("free = threading.Event(); called = []")
    terminal.run("reactor.callFromThread(free.wait, 30)")
    terminal.start("print('BE' + 'GUN'); reactor.callWhenRunning(called.append, 1)")
    terminal.wait_for("BEGUN")
    terminal.interrupt()
    assert "KeyboardInterrupt" in terminal.wait_for_prompt(10)
    terminal.run("free.set()")
    terminal.run("from twisted.internet.task import deferLater")
    terminal.run("await deferLater(reactor, 0.1)")
    assert "'NOT []'" in terminal.run("f'not {called}'.upper()")
