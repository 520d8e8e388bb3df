"""``%background``: what cells have going, and how to stop it."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from html.parser import HTMLParser

import pytest
from twisted.internet.defer import Deferred

from checks import a_sentence, begun
from kernels import Cell, Kernel
from terminals import Terminal
from twisted_ipython import run_in_reactor
from twisted_ipython.background import waits
from twisted_ipython.background.activities import (
    NOTHING,
    Activity,
    age_text,
    as_html,
    as_text,
    since_text,
)
from twisted_ipython.background.words import Stop, WrongWords, offered, parse

PROTOCOLS = """\
import gc, socket, weakref
from twisted.internet import endpoints
from twisted.internet.protocol import (
    ClientFactory, DatagramProtocol, Factory, ProcessProtocol, Protocol)

class Echo(Protocol):
    def dataReceived(self, data):
        self.transport.write(data)

class EchoFactory(Factory):
    protocol = Echo

def poll():
    pass

async def work():
    await inner()

async def inner():
    await pending("inner")
"""


@pytest.fixture
def kernel(kernel: Kernel) -> Kernel:
    """The module's kernel, with protocols to serve, and nothing going on."""
    kernel.ok(PROTOCOLS)
    kernel.run("%background stop all")
    kernel.ok("cancelled.clear()")
    return kernel


@dataclass
class Row:
    id: str
    cell: str
    kind: str
    what: str
    since: str


def table(text: str) -> list[Row]:
    lines = [re.split(r"  +", line) for line in text.strip().splitlines()]
    assert lines[0] == ["id", "cell", "kind", "what", "since"], text
    return [Row(*line) for line in lines[1:]]


def shown(cell: Cell) -> list[Row]:
    """What a cell with ``%background`` has shown."""
    cell.succeeded()
    if cell.stdout == NOTHING + "\n":
        return []
    assert cell.stdout == "" and len(cell.displays) == 1, cell.output
    return table(cell.displays[0]["text/plain"])


def listed(kernel: Kernel, **options: object) -> list[Row]:
    return shown(kernel.run("%background", **options))  # type: ignore[arg-type]


def one(kernel: Kernel) -> Row:
    rows = listed(kernel)
    assert len(rows) == 1, rows
    return rows[0]


# The words and the table


@pytest.mark.parametrize(
    "line, request_",
    [
        ("", None),
        ("   ", None),
        ("stop all", Stop(everything=True)),
        ("stop port-1", Stop(ids=("port-1",))),
        ("stop port-1  task-22", Stop(ids=("port-1", "task-22"))),
        ("stop In[3]", Stop(cells=(3,))),
        ("stop In [3]", Stop(cells=(3,))),
        ("stop In[ 3 ]", Stop(cells=(3,))),
        ("stop [3]", Stop(cells=(3,))),
        ("stop 3", Stop(cells=(3,))),
        ("stop In [3] port-1 4", Stop(ids=("port-1",), cells=(3, 4))),
    ],
)
def test_words(line: str, request_: Stop | None) -> None:
    """Ids, cells in each way that they are written, and all."""
    assert parse(line) == request_


WRONG = [
    "stop",
    "all",
    "show",
    "port-1",
    "stop everything",
    "stop all port-1",
    "stop port-1 all",
    "stop port",
    "stop port-",
    "stop port-x",
    "stop In[x]",
    "stop In",
    "stop [3",
    "stop -3",
    "stop 3.5",
    "stop port-1, port-2",
]


@pytest.mark.parametrize("line", WRONG)
def test_wrong_words_are_refused(line: str) -> None:
    """Anything else is refused in a sentence that says that nothing was stopped."""
    with pytest.raises(WrongWords, match="nothing was stopped"):
        parse(line)


SERVER = Activity("port-1", "port", "TCP *:80, <b>", 3, 1000.0)
TASK = Activity("task-7", "awaiting", "work()", None, 1060.0)


def test_choice() -> None:
    """By id, by cell, all; an unknown one among known ones chooses nothing."""
    both = [SERVER, TASK]
    assert Stop(everything=True).choose(both) == both
    assert Stop(ids=("task-7",)).choose(both) == [TASK]
    assert Stop(ids=("port-1",), cells=(3,)).choose(both) == [SERVER]
    for request in (Stop(ids=("port-1", "port-2")), Stop(cells=(3, 4))):
        with pytest.raises(WrongWords, match="nothing was stopped"):
            request.choose(both)


def test_offered_words() -> None:
    """Ids and cells, each once; ``all`` only by itself; no more after wrong words."""
    both = [SERVER, TASK]
    assert offered(both, []) == ["stop"]
    assert offered(both, ["stop"]) == ["port-1", "task-7", "In[3]", "all"]
    assert offered(both, ["stop", "port-1"]) == ["task-7", "In[3]"]
    assert offered(both, ["start"]) == []
    assert offered([], ["stop"]) == []


@pytest.mark.parametrize(
    "seconds, text",
    [
        (-1.0, "0 s"),
        (0.4, "0 s"),
        (59.9, "59 s"),
        (60, "1 min"),
        (3599, "59 min"),
        (3600, "1 h"),
        (90000, "1 d"),
    ],
)
def test_ages(seconds: float, text: str) -> None:
    """An age has one unit, the largest that is full."""
    assert age_text(seconds) == text


def test_since() -> None:
    """A clock time and an age."""
    assert re.fullmatch(r"\d\d:\d\d:\d\d \(4 min\)", since_text(1000.0, 1250.0))


def test_table_as_text() -> None:
    """One line for each, also of a name with line ends; nothing is a sentence."""
    rows = table(as_text([SERVER, TASK], 1060.0))
    assert [(row.id, row.cell) for row in rows] == [
        ("port-1", "In [3]"),
        ("task-7", "a cell"),
    ]
    assert rows[0].since.endswith("(1 min)")
    broken = Activity("port-2", "port", "two\nlines", 1, 0.0)
    assert len(as_text([broken], 0.0).splitlines()) == 2
    assert as_text([], 0.0) == NOTHING


class Tags(HTMLParser):
    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.words: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: object) -> None:
        self.tags.append(tag)

    def handle_data(self, data: str) -> None:
        self.words.append(data)


def test_table_as_html() -> None:
    """Everything in it is escaped; nothing is a sentence."""
    tags = Tags(as_html([SERVER], 1060.0))
    assert set(tags.tags) == {"table", "thead", "tbody", "tr", "th", "td"}
    assert SERVER.text in tags.words
    assert Tags(as_html([], 0.0)).words == [NOTHING]


# What is listed


def test_nothing(fresh_kernel: Callable[..., Kernel]) -> None:
    """A new session has nothing going, nor has one whose work is done."""
    kernel = fresh_kernel()
    assert listed(kernel) == []
    kernel.ok("await sleep(0.01)")
    kernel.ok("%%run_in_reactor er\nawait sleep(0.01)")
    kernel.ok("er.wait(5)")
    kernel.ok(PROTOCOLS)
    kernel.ok(
        "port = await endpoints.TCP4ServerEndpoint(reactor, 0).listen(EchoFactory())"
    )
    kernel.ok("await port.stopListening()")
    kernel.ok("await threads.deferToThread(int)")
    assert listed(kernel) == []


KINDS = {
    "port of a plain cell": (
        "port = reactor.listenTCP(0, EchoFactory(), interface='127.0.0.1')",
        "port",
        r"TCP 127\.0\.0\.1:\d+, EchoFactory",
    ),
    "port of a cell that awaits": (
        "port = await endpoints.TCP4ServerEndpoint(reactor, 0).listen(EchoFactory())",
        "port",
        r"TCP \*:\d+, EchoFactory",
    ),
    "port of %%run_in_reactor": (
        "%%run_in_reactor --local\nreactor.listenTCP(0, EchoFactory())\nreturn None",
        "port",
        r"TCP \*:\d+, EchoFactory",
    ),
    "UNIX port": (
        "port = reactor.listenUNIX('sock', EchoFactory())",
        "port",
        r"UNIX sock, EchoFactory",
    ),
    "UDP port": (
        "port = reactor.listenUDP(0, DatagramProtocol())",
        "port",
        r"UDP \*:\d+, DatagramProtocol",
    ),
    "task": (
        "job = asyncio.ensure_future(work()); await sleep(0)",
        "awaiting",
        r"work\(\) at Cell In\[\d+\], line \d+",
    ),
    "task of a group": (
        "async def both():\n    await asyncio.gather(work(), work())\n"
        "job = asyncio.ensure_future(both()); await sleep(0)",
        "awaiting",
        r"both\(\) at Cell In\[\d+\], line 2",
    ),
    "ensureDeferred": (
        "job = ensureDeferred(work())",
        "awaiting",
        r"work\(\) at Cell In\[\d+\], line \d+",
    ),
    "Deferred.fromCoroutine in a DeferredList": (
        "async def both():\n"
        "    await defer.gatherResults([ensureDeferred(work()), pending()])\n"
        "job = Deferred.fromCoroutine(both())",
        "awaiting",
        r"both\(\) at Cell In\[\d+\], line 2",
    ),
    "inlineCallbacks": (
        "@inlineCallbacks\ndef generator():\n    yield ensureDeferred(work())\n"
        "job = generator()",
        "awaiting",
        r"generator\(\) at Cell In\[\d+\], line 3",
    ),
    "%%run_in_reactor that awaits": (
        "%%run_in_reactor job\nawait pending()",
        "awaiting",
        r"%%run_in_reactor at Cell In\[\d+\], line 2",
    ),
    "%%run_in_reactor of a Deferred": (
        "%%run_in_reactor job\npending()",
        "awaiting",
        r"%%run_in_reactor",
    ),
    "crochet": (
        "@crochet.run_in_reactor\ndef fetch():\n    return pending()\njob = fetch()",
        "awaiting",
        r"fetch\(\)",
    ),
    "crochet with a coroutine": (
        "@crochet.run_in_reactor\nasync def fetch():\n    await pending()\njob = fetch()",
        "awaiting",
        r"fetch\(\) at Cell In\[\d+\], line 3",
    ),
    "looping call": (
        "await sleep(0)\nloop = task.LoopingCall(poll)\nloop.start(60) and None",
        "looping call",
        r"poll\(\), every 60 s",
    ),
    "looping call in its function": (
        "await sleep(0)\njob = ensureDeferred(work())\n"
        "loop = task.LoopingCall(lambda: job)\nloop.start(60) and None",
        "looping call",
        r"<lambda> at Cell In\[\d+\], line 3, every 60 s",
    ),
    "delayed call": (
        "call = reactor.callLater(60, poll)",
        "delayed call",
        r"poll\(\), in (59 s|1 min)",
    ),
    "process": (
        "process = reactor.spawnProcess(ProcessProtocol(), 'sleep', ['sleep', '60'], env=None)",
        "process",
        r"pid \d+, sleep 60",
    ),
}

# What the next cell of these binds to the same name would be garbage.
KEEP = "jobs = [*globals().get('jobs', []), globals().get('job')]"

each_kind = pytest.mark.parametrize("name", KINDS)


@each_kind
def test_kinds(kernel: Kernel, name: str) -> None:
    """Each kind has one line, with its cell; stopped, it is gone, without a word."""
    source, kind, what = KINDS[name]
    cell = kernel.ok(source)
    row = one(kernel)
    assert row.kind == kind
    assert row.cell == f"In [{cell.execution_count}]"
    assert re.fullmatch(what, row.what), row
    assert one(kernel).id == row.id
    stop = kernel.ok(f"%background stop {row.id}")
    assert stop.stdout.startswith(f"stopped {row.id} ({row.cell}): "), stop.stdout
    assert len(stop.stdout.splitlines()) == 1
    assert listed(kernel) == []
    # A failure of a later cell is reported; the one before it would be by then.
    later = kernel.run("lost = fail(ZeroDivisionError('later')); del lost")
    later.wait_for_output("later")
    assert cell.stderr == "" and stop.stderr == "", kernel.report()


def test_connections(kernel: Kernel) -> None:
    """A port counts what it has accepted; an outgoing connection has a line."""
    served = kernel.ok(
        "port = reactor.listenTCP(0, EchoFactory(), interface='127.0.0.1')"
    )
    opened = kernel.ok(
        "server = endpoints.TCP4ClientEndpoint(reactor, '127.0.0.1', port.getHost().port)\n"
        "first = await endpoints.connectProtocol(server, Protocol())\n"
        "second = await endpoints.connectProtocol(server, Echo())"
    )
    kernel.wait_for_value(
        "len([r for r in reactor.getReaders() if hasattr(r, 'server')])", 2
    )
    rows = listed(kernel)
    assert [row.kind for row in rows] == ["port", "connection", "connection"]
    assert rows[0].what.endswith("EchoFactory, 2 connections")
    assert rows[0].cell == f"In [{served.execution_count}]"
    assert {row.cell for row in rows[1:]} == {f"In [{opened.execution_count}]"}
    assert [row.what.split(", ")[1] for row in rows[1:]] == ["Protocol", "Echo"]
    kernel.ok(f"%background stop {rows[1].id}")
    assert {row.id for row in listed(kernel)} == {rows[0].id, rows[2].id}
    kernel.ok(f"%background stop {rows[0].id}")
    kernel.wait_for_value(
        "(first.transport.connected, second.transport.connected)", (0, 0)
    )
    assert listed(kernel) == []


def test_a_connection_that_is_being_made(kernel: Kernel) -> None:
    """One that is not made yet has a line, too, and is given up."""
    kernel.ok(
        "full = socket.socket(); full.bind(('127.0.0.1', 0)); full.listen(0)\n"
        "others = []\n"
        "for _ in range(3):\n"
        "    other = socket.socket(); other.setblocking(False)\n"
        "    other.connect_ex(full.getsockname()); others.append(other)"
    )
    kernel.ok(
        "c = reactor.connectTCP('127.0.0.1', full.getsockname()[1], ClientFactory(), timeout=50)"
    )
    row = one(kernel)
    assert row.kind == "connection" and row.what.startswith("TCP 127.0.0.1:"), row
    kernel.ok(f"%background stop {row.id}")
    assert listed(kernel) == []
    kernel.ok("for s in [full, *others]: s.close()")


def test_ids_are_never_used_again(kernel: Kernel) -> None:
    """Ids stay, and what comes later has another one."""
    kernel.ok("ports = [reactor.listenTCP(0, EchoFactory()) for _ in range(3)]")
    before = [row.id for row in listed(kernel)]
    assert len(set(before)) == 3
    assert [row.id for row in listed(kernel)] == before
    kernel.ok(f"%background stop {before[0]} {before[2]}")
    kernel.ok(
        "del ports[0]; ports += [reactor.listenTCP(0, EchoFactory())]; gc.collect()"
    )
    after = [row.id for row in listed(kernel)]
    assert len(after) == 2 and after[0] == before[1] and after[1] not in before
    kernel.ok("%background stop all")


def test_keeps_nothing_alive(kernel: Kernel) -> None:
    """What was listed can be collected as garbage."""
    kernel.ok(
        "async def hold(thing):\n    await pending()\n"
        "class Thing: pass\nthing = Thing(); seen = weakref.ref(thing)\n"
        "job = ensureDeferred(hold(thing)); del thing"
    )
    assert one(kernel).kind == "awaiting"
    kernel.ok("del job")
    assert kernel.ok("gc.collect(); seen()").result is None
    assert listed(kernel) == []


def test_cell_that_asks_is_not_listed(kernel: Kernel) -> None:
    """A cell that awaits lists what it has started, and not itself."""
    cell = kernel.run("await sleep(0)\njob = ensureDeferred(work())\n%background")
    rows = shown(cell)
    assert [row.cell for row in rows] == [f"In [{cell.execution_count}]"]
    assert rows[0].what.startswith("work()")


def test_stop_another_cell_that_awaits(kernel: Kernel) -> None:
    """A cell that awaits is listed from a subshell, and stopped as by an interrupt."""
    if not kernel.has_subshells:
        pytest.skip("this ipykernel has no subshells")
    subshell = kernel.new_subshell()
    number = (kernel.ok("1").execution_count or 0) + 1
    main = begun(
        kernel,
        "async def hold():\n    await pending('held')\nprint('begun')\nawait hold()",
    )
    (row,) = listed(kernel, subshell=subshell)
    assert (row.cell, row.kind) == (f"In [{number}]", "awaiting")
    assert row.what == f"the cell itself at Cell In[{number}], line 2"
    stop = kernel.ok(f"%background stop In[{number}]", subshell=subshell)
    assert stop.stdout == f"stopped {row.id} (In [{number}]): {row.what}\n"
    assert main.wait().only_error.ename == "KeyboardInterrupt"
    assert kernel.value("cancelled") == ["held"]
    assert listed(kernel) == []


def test_stop_one_of_two_cells(kernel: Kernel) -> None:
    """The other cell awaits on."""
    if not kernel.has_subshells:
        pytest.skip("this ipykernel has no subshells")
    first, second = kernel.new_subshell(), kernel.new_subshell()
    kernel.ok("gates = {name: Deferred() for name in 'ab'}")
    source = "print('begun')\nawait gates[{!r}]"
    a = begun(kernel, source.format("a"), subshell=first)
    b = begun(kernel, source.format("b"), subshell=second)
    rows = listed(kernel)
    assert len(rows) == 2
    kernel.ok(f"%background stop {rows[0].id}")
    assert a.wait().only_error.ename == "KeyboardInterrupt"
    kernel.ok("reactor.callFromThread(gates['b'].callback, 'went on')")
    assert b.wait().result == "'went on'"


def test_abandoned_cell(kernel: Kernel) -> None:
    """A cell that could not be stopped, and whose prompt is back, is listed."""
    number = (kernel.ok("1").execution_count or 0) + 1
    cell = begun(
        kernel,
        "done = False\nprint('begun')\n"
        "while not done:\n"
        "    try: await pending()\n"
        "    except BaseException: pass",
    )
    kernel.interrupt()
    assert "goes on" in cell.wait().only_error.evalue
    row = one(kernel)
    assert row.cell == f"In [{number}]"
    assert re.fullmatch(r"the cell itself at Cell In\[\d+\], line [45]", row.what)
    assert "goes on" in kernel.ok(f"%background stop {row.id}").stdout
    kernel.ok("done = True")
    assert kernel.ok(f"%background stop {row.id}").stdout.startswith("stopped ")
    cell.wait_for_output("has ended")
    assert listed(kernel) == []


def test_looping_call_between_its_runs(kernel: Kernel) -> None:
    """A looping call keeps its line and its id while it waits for its function."""
    kernel.ok(
        "def slow():\n    global gate\n    gate = Deferred()\n    return gate\n"
        "await sleep(0)\nloop = task.LoopingCall(slow)\n"
        "loop.start(0.01, now=False) and None"
    )
    kernel.wait_for_value("loop.call is None")
    waits = one(kernel)
    assert waits.what == "slow(), every 0.01 s"
    kernel.ok("loop.interval = 60; reactor.callFromThread(gate.callback, None)")
    kernel.wait_for_value("loop.call is not None")
    assert one(kernel).id == waits.id
    kernel.ok("%background stop all")
    assert kernel.value("loop.running") is False


def test_call_that_is_shown(kernel: Kernel) -> None:
    """A delayed call whose state a notebook shows is listed, and stopped."""
    cell = kernel.ok("call = reactor.callLater(60, poll)\ncall")
    assert one(kernel).what.startswith("poll(), in ")
    assert one(kernel).cell == f"In [{cell.execution_count}]"
    kernel.ok("%background stop all")
    assert listed(kernel) == []
    assert kernel.value("call.active()") is False


def test_awaited_result(kernel: Kernel) -> None:
    """An EventualResult that a cell awaits is of the cell."""
    if not kernel.has_subshells:
        pytest.skip("this ipykernel has no subshells")
    kernel.ok("%%run_in_reactor job\npending()")
    assert one(kernel).what == "%%run_in_reactor"
    cell = begun(kernel, "print('begun')\nawait job", subshell=kernel.new_subshell())
    row = one(kernel)
    assert row.what.startswith("the cell itself")
    kernel.ok("%background stop all")
    assert cell.wait().only_error.ename == "KeyboardInterrupt"
    assert listed(kernel) == []


# Stopping


def test_stop_a_cell_s(kernel: Kernel) -> None:
    """All that one cell started is stopped, and nothing else."""
    many = kernel.ok(
        "port = reactor.listenTCP(0, EchoFactory())\ncall = reactor.callLater(60, poll)\n"
        "job = ensureDeferred(work())"
    )
    kernel.ok("kept = reactor.callLater(60, poll)")
    (kept,) = [
        row for row in listed(kernel) if row.cell != f"In [{many.execution_count}]"
    ]
    stop = kernel.ok(f"%background stop In[{many.execution_count}]")
    assert len(stop.stdout.splitlines()) == 3
    assert one(kernel).id == kept.id
    kernel.ok(f"%background stop {kept.id}")


def test_stop_all(kernel: Kernel) -> None:
    """``stop all`` stops the work of all cells; with nothing to stop it says so."""
    for source, _, _ in KINDS.values():
        kernel.ok(source)
        kernel.ok(KEEP)
    assert len(listed(kernel)) == len(KINDS)
    stop = kernel.ok("%background stop all")
    lines = stop.stdout.splitlines()
    assert len(lines) == len(KINDS)
    assert all(line.startswith("stopped ") for line in lines), stop.stdout
    assert listed(kernel) == []
    assert kernel.ok("%background stop all").stdout == NOTHING + "\n"


def test_stop_is_done_when_the_cell_ends(kernel: Kernel) -> None:
    """A plain cell waits until what it stops has stopped: the port is free."""
    kernel.ok(
        "port = reactor.listenTCP(0, EchoFactory()); number = port.getHost().port"
    )
    row = one(kernel)
    for _ in range(10):
        kernel.ok(
            f"%background stop {row.id}\nport = reactor.listenTCP(number, EchoFactory())"
        )
        row = one(kernel)
    kernel.ok("%background stop all")


def test_stop_in_a_cell_that_awaits(kernel: Kernel) -> None:
    """There it says what is told to stop, and does not wait."""
    cell = kernel.ok(
        "port = reactor.listenTCP(0, EchoFactory())\nawait sleep(0)\n%background stop all"
    )
    assert re.fullmatch(
        rf"told to stop: port-\d+ \(In \[{cell.execution_count}\]\): TCP .*\n",
        cell.stdout,
    )
    kernel.wait_for_value("port.connected", False)
    assert listed(kernel) == []


def test_what_does_not_stop_is_named(kernel: Kernel) -> None:
    """What goes on is said to go on; it stays in the list, under its id."""
    kernel.ok(
        "async def stubborn():\n"
        "    while not done:\n"
        "        try: await pending()\n"
        "        except defer.CancelledError: pass\n"
        "done = False; job = ensureDeferred(stubborn())"
    )
    row = one(kernel)
    stop = kernel.ok(f"%background stop {row.id}")
    assert stop.stdout.startswith(f"{row.id} ({row.cell}): stubborn() at ")
    assert stop.stdout.endswith(" goes on 2 s after it was told to stop\n")
    assert one(kernel).id == row.id
    kernel.ok("done = True")
    assert kernel.ok(f"%background stop {row.id}").stdout.startswith("stopped ")
    assert listed(kernel) == []


def test_canceller_that_fails(kernel: Kernel) -> None:
    """What can't be told to stop is named with the error; the others stop."""
    kernel.ok(
        "class Stuck(Echo): pass\n"
        "class StuckCall(task.LoopingCall):\n"
        "    def stop(self): raise ValueError('not now')\n"
        "await sleep(0)\nloop = StuckCall(poll); loop.start(60)\n"
        "port = reactor.listenTCP(0, EchoFactory())"
    )
    stop = kernel.ok("%background stop all")
    assert "ValueError: not now" in stop.stdout and "stopped port-" in stop.stdout
    assert one(kernel).kind == "looping call"
    kernel.ok("reactor.callFromThread(task.LoopingCall.stop, loop)")
    assert listed(kernel) == []


def test_process_that_ignores_sigterm(kernel: Kernel) -> None:
    """It is killed a second later."""
    kernel.ok(
        "class Lines(ProcessProtocol):\n"
        "    def outReceived(self, data): ready.callback(data)\n"
        "ready = Deferred()\n"
        "process = reactor.spawnProcess(Lines(), 'sh', ['sh', '-c', "
        "'trap \"\" TERM; echo ready; while :; do sleep 0.1; done'], env=None)\n"
        "await ready"
    )
    row = one(kernel)
    assert kernel.ok("%background stop all").stdout.startswith(f"stopped {row.id} ")
    assert kernel.value("process.pid is None")


@pytest.mark.parametrize(
    "line",
    [
        "stop port-999999",
        "stop In[999999]",
        "stop {id} port-999999",
        "stop {id} all",
        "nonsense",
    ],
)
def test_wrong_words(kernel: Kernel, line: str) -> None:
    """Wrong words, unknown ids, cells with nothing: a sentence, nothing is stopped."""
    kernel.ok("port = reactor.listenTCP(0, EchoFactory())")
    row = one(kernel)
    sentence = a_sentence(kernel.run("%background " + line.format(id=row.id)))
    assert sentence.startswith("UsageError: %background")
    assert sentence.endswith("nothing was stopped")
    assert one(kernel).id == row.id
    kernel.ok("%background stop all")


# A busy reactor

HOLD = "hold = threading.Event(); held = threading.Event()\n"
HOLD += "reactor.callFromThread(lambda: (held.set(), hold.wait())); held.wait()"


@pytest.mark.parametrize("words", ["", " stop all"])
def test_reactor_is_busy(kernel: Kernel, words: str) -> None:
    """The magic waits until the reactor thread is free; Ctrl-C ends the wait."""
    kernel.ok("port = reactor.listenTCP(0, EchoFactory())\n" + HOLD)
    cell = begun(kernel, f"print('begun')\n%background{words}")
    kernel.interrupt()
    assert cell.wait().only_error.ename == "KeyboardInterrupt"
    cell = begun(
        kernel,
        "print('begun')\nthreading.Timer(0.2, hold.set).start()\n%background" + words,
    )
    assert cell.wait().succeeded()
    assert len(listed(kernel)) == (0 if words else 1)
    kernel.run("%background stop all")


def test_interrupted_stop_stops_nothing(kernel: Kernel) -> None:
    """Ctrl-C before the reactor thread has heard of it: nothing is stopped later."""
    kernel.ok("port = reactor.listenTCP(0, EchoFactory())\n" + HOLD)
    cell = begun(kernel, "print('begun')\n%background stop all")
    kernel.interrupt()
    cell.wait()
    kernel.ok("hold.set()")
    assert one(kernel).kind == "port"
    kernel.ok("%background stop all")


# Frontends


def test_html(kernel: Kernel) -> None:
    """A notebook gets a table, in which a name is not a tag."""
    kernel.ok("call = reactor.callLater(60, lambda: None)")
    cell = kernel.ok("%background")
    html = cell.displays[0]["text/html"]
    assert "&lt;lambda&gt;" in html and "<lambda>" not in html
    assert cell.results == []
    kernel.ok("%background stop all")


def test_completion(kernel: Kernel) -> None:
    """Tab offers ids, cells and ``all``; while the reactor is busy, no more than stop."""
    cell = kernel.ok("port = reactor.listenTCP(0, EchoFactory())")
    id, number = one(kernel).id, cell.execution_count
    assert kernel.complete("%background ") == ["stop"]
    assert kernel.complete("%background st") == ["stop"]
    assert kernel.complete("%background stop ") == [f"In[{number}]", "all", id]
    assert kernel.complete("%background stop por") == [id]
    assert kernel.complete("%background stop port-") == [id]
    assert kernel.complete("%background stop In[") == [f"In[{number}]"]
    kernel.ok(HOLD)
    assert kernel.complete("%background ") == ["stop"]
    kernel.ok("hold.set()")
    kernel.ok("%background stop all")


def test_terminal(awaiting_terminal: Callable[..., Terminal]) -> None:
    """In a terminal the table is plain text, and the commands work."""
    session = awaiting_terminal()
    assert NOTHING in session.run("%background")
    session.run("from twisted.internet import reactor, protocol")
    session.run("port = reactor.listenTCP(0, protocol.Factory())")
    text = session.run("%background")
    assert re.search(
        r"^port-1  In \[3\]  port  TCP \*:\d+, Factory ", text, re.MULTILINE
    ), text
    assert "stopped port-1 (In [3])" in session.run("%background stop In[3]")
    assert NOTHING in session.run("%background")


# Loading, other reactors


def test_unload_and_load(fresh_kernel: Callable[..., Kernel]) -> None:
    """Unloaded, the magic is gone; loaded again, it knows its work, and its ids."""
    kernel = fresh_kernel()
    kernel.ok(PROTOCOLS)
    kernel.ok("port = reactor.listenTCP(0, EchoFactory())")
    before = one(kernel).id
    kernel.ok("%unload_ext twisted_ipython")
    assert "not found" in a_sentence(kernel.run("%background"))
    assert "stop" not in kernel.complete("%background ")
    kernel.ok("%load_ext twisted_ipython")
    assert one(kernel).id == before
    kernel.ok("%background stop all")
    kernel.ok("port = reactor.listenTCP(0, EchoFactory())")
    assert one(kernel).id != before


def test_reactor_without_asyncio(fresh_kernel: Callable[..., Kernel]) -> None:
    """On Twisted's default reactor it is the same."""
    kernel = fresh_kernel("--TwistedIPython.reactor=default")
    kernel.ok(PROTOCOLS)
    sources = [
        source for name, (source, _, _) in KINDS.items() if not name.startswith("task")
    ]
    for source in sources:
        kernel.ok(source)
        kernel.ok(KEEP)
    rows = listed(kernel)
    assert len(rows) == len(sources), rows
    stop = kernel.ok("%background stop all")
    assert len(stop.stdout.splitlines()) == len(sources)
    assert listed(kernel) == []


def test_has_the_name_of_the_user_s_code() -> None:
    """Not that of a coroutine of ours around it."""

    async def mine() -> None:
        await Deferred()

    coroutine = run_in_reactor._settled(mine())
    coroutine.send(None)
    assert waits._name(coroutine) == "mine()"
    coroutine.close()
