"""
Interrupts of a live console: they end the cell that is meant, whatever it does, and
nothing else.
"""

from __future__ import annotations

import random
import sys
import time
from collections.abc import Callable
from pathlib import Path

import IPython
import pytest

from applications import REACTORS, Attached
from attacked import IN_THREAD, Attacked, Shared
from checks import user_frames_only, was_interrupted
from kernels import Cell, Message

INTERRUPTED_WITHIN = 5.0
"""Seconds; on a machine with nothing else to do, it takes a tenth of that at most."""


def begun(front: Attached, source: str, first: str = "print('begun')") -> Cell:
    """Start a cell, whose first line says so, and wait until it runs."""
    cell = front.start(f"{first}\n{source}")
    return cell.wait_for_output("begun")


def interrupted(front: Attached, cell: Cell) -> float:
    """Interrupt the cell once; gives the seconds until its reply."""
    at = front.interrupt()
    cell.wait(10)
    took = cell.replied_at - at
    assert took < INTERRUPTED_WITHIN, f"{took:.3f} s\n{front.report()}"
    assert replies(cell) == 1, front.report()
    return took


def replies(cell: Cell) -> int:
    """How many replies the cell has got."""
    return len(cell._messages("execute_reply"))


def goes_on(front: Attached) -> None:
    """The next cell runs, and awaits."""
    assert front.ok("await sleep(0.01, 'awaited')").result == "'awaited'"


SYNCHRONOUS = {
    "loop": ("while True: pass", "while True: pass"),
    "nested functions": (
        "def outer():\n    inner()\ndef inner():\n    while True: pass\nouter()",
        "while True: pass",
    ),
    "time.sleep": ("time.sleep(30)", "time.sleep(30)"),
    "socket": ("one, two = socket.socketpair()\none.recv(1)", "one.recv(1)"),
    "subprocess.run": (
        "subprocess.run(['sleep', '30'])",
        "subprocess.run(['sleep', '30'])",
    ),
    "Popen.wait": ("p = subprocess.Popen(['sleep', '30'])\np.wait()", "p.wait()"),
    "list comprehension": ("[x for x in iter(int, 1)]", "[x for x in iter(int, 1)]"),
    "generator": ("sum(x for x in iter(int, 1))", "sum(x for x in iter(int, 1))"),
    "exec": ("exec('while True: pass')", "exec('while True: pass')"),
    "lock": (
        "lock = threading.Lock(); lock.acquire()\nlock.acquire()",
        "lock.acquire()",
    ),
    "repr of the value": (
        "class Endless:\n    def __repr__(self):\n        while True: pass\nEndless()",
        "while True: pass",
    ),
    "time.sleep in a repr": (
        "class Slow:\n    def __repr__(self):\n        time.sleep(30)\nSlow()",
        "time.sleep(30)",
    ),
    "except Exception": (
        "while True:\n"
        "    try:\n"
        "        time.sleep(0.001)\n"
        "    except Exception:\n"
        "        pass",
        "",
    ),
    "callback at the end": (
        "def endless(result):\n"
        "    while True: pass\n"
        "d = Deferred()\n"
        "d.addCallback(endless)\n"
        "d.callback(1)",
        "d.callback(1)",
    ),
    "callback in the midst": (
        "def endless(result):\n"
        "    for n in iter(int, 1): pass\n"
        "d = Deferred()\n"
        "d.addCallback(endless)\n"
        "d.callback(1)\n"
        "x = 1\n"
        "time.sleep(30)",
        "",
    ),
    "after an await": (
        "await sleep(0.01)\nprint('past')\nwhile True: pass",
        "while True: pass",
    ),
    "coroutine": (
        "async def endless():\n    while True: pass\nawait endless()",
        "while True: pass",
    ),
    "ensureDeferred": (
        "async def endless():\n    while True: pass\nawait defer.ensureDeferred(endless())",
        "",
    ),
    "inlineCallbacks": (
        "@defer.inlineCallbacks\n"
        "def endless():\n"
        "    yield None\n"
        "    while True: pass\n"
        "await endless()",
        "",
    ),
}


@pytest.mark.parametrize("name", SYNCHRONOUS)
def test_code_that_runs(front: Attached, name: str) -> None:
    """It ends as one KeyboardInterrupt that points at the user's line."""
    source, line = SYNCHRONOUS[name]
    cell = begun(front, source)
    if "past" in source:
        cell.wait_for_output("past")
    interrupted(front, cell)

    error = cell.only_error
    assert error.ename == "KeyboardInterrupt", error.traceback
    if "repr" not in name or IPython.version_info >= (9,):
        user_frames_only(error)  # IPython 8 shows its own that have called a __repr__
    assert not line or line in [text for _, text in error.lines], error.traceback
    said = [
        line for line in cell.stderr.splitlines() if "application waits" not in line
    ]
    assert said == [], cell.stderr
    goes_on(front)


AWAITING = {
    "timer": "await sleep(30)",
    "Deferred": "await Deferred()",
    "canceller that does nothing": "await Deferred(lambda d: noted.append('cancelled'))",
    "canceller that raises": "await Deferred(lambda d: 1 / 0)",
    "nested coroutines": (
        "async def inner():\n    await sleep(30)\n"
        "async def outer():\n    await inner()\n"
        "await outer()"
    ),
    "inlineCallbacks": (
        "@defer.inlineCallbacks\ndef waits():\n    yield sleep(30)\nawait waits()"
    ),
    "ensureDeferred": (
        "async def waits():\n    await sleep(30)\nawait defer.ensureDeferred(waits())"
    ),
    "asynchronous generator": (
        "async def endless():\n"
        "    while True:\n"
        "        await sleep(0.01)\n"
        "        yield 1\n"
        "async for x in endless(): pass"
    ),
}


@pytest.mark.parametrize("name", AWAITING)
def test_await(front: Attached, name: str) -> None:
    """It ends as one KeyboardInterrupt, and what it awaited is cancelled."""
    cell = begun(front, AWAITING[name])
    interrupted(front, cell)

    assert cell.only_error.ename == "KeyboardInterrupt"
    user_frames_only(cell.only_error)
    assert front.value("noted") == (["cancelled"] if "noted" in cell.source else [])
    goes_on(front)


ASYNCIO = {
    "sleep": "await asyncio.sleep(30)",
    "gather": "await asyncio.gather(asyncio.sleep(30), asyncio.sleep(40))",
    "wait_for": "await asyncio.wait_for(asyncio.sleep(30), 40)",
    "task": "await asyncio.ensure_future(asyncio.sleep(30))",
    "TaskGroup": (
        "async with asyncio.TaskGroup() as group:\n"
        "    group.create_task(asyncio.sleep(30))\n"
        "    group.create_task(asyncio.sleep(40))"
    ),
    "gather of both kinds": (
        "async def waits():\n    await sleep(30)\n"
        "await asyncio.gather(waits(), asyncio.sleep(40))"
    ),
}


@pytest.mark.parametrize("name", ASYNCIO)
def test_await_of_asyncio(
    front: Attached, attacked_application: Shared, name: str
) -> None:
    """What asyncio knows is cancelled as well, where the reactor is its own."""
    if attacked_application.kind != "asyncio":
        pytest.skip("this reactor does not run on asyncio")
    if name == "TaskGroup" and sys.version_info < (3, 11):
        pytest.skip("this Python has none")
    cell = begun(front, ASYNCIO[name])
    interrupted(front, cell)

    assert cell.only_error.ename == "KeyboardInterrupt"
    user_frames_only(cell.only_error)
    goes_on(front)


@pytest.mark.parametrize("waits", ["await sleep(30)", "while True: pass"])
def test_clean_up_that_awaits(front: Attached, waits: str) -> None:
    """A ``finally`` that awaits is run to its end."""
    cell = begun(
        front,
        f"try:\n    print('within')\n    {waits}\n"
        "finally:\n    await sleep(0.02)\n    noted.append('cleaned')",
    ).wait_for_output("within")
    interrupted(front, cell)

    assert cell.only_error.ename == "KeyboardInterrupt"
    assert front.value("noted") == ["cleaned"]


def test_cell_that_catches_it(front: Attached) -> None:
    """A second interrupt reaches a cell that has caught the first and goes on."""
    cell = begun(
        front,
        "try:\n    time.sleep(30)\n"
        "except KeyboardInterrupt:\n    print('caught', flush=True)\n"
        "while True: pass",
    )
    front.interrupt()
    cell.wait_for_output("caught")
    deadline = time.monotonic() + 10
    # The first half second after an interrupt is the cell's, for its clean-up.
    while not cell.done and time.monotonic() < deadline:
        front.interrupt()
        front.pump(0.1)

    was_interrupted(cell, "while True: pass")


def test_cell_that_catches_it_and_awaits(front: Attached) -> None:
    """The same where it awaits."""
    cell = begun(
        front,
        "try:\n    await sleep(30)\n"
        "except KeyboardInterrupt:\n    print('caught', flush=True)\n"
        "await sleep(30)",
    )
    front.interrupt()
    cell.wait_for_output("caught")
    interrupted(front, cell)

    was_interrupted(cell, "await sleep(30)")


MAGICS = {
    "%time": "%time while True: pass",
    "%%time": "%%time\nwhile True: pass",
    "%timeit": "%timeit time.sleep(0.01)",
    "%prun": "%prun time.sleep(30)",
}


@pytest.mark.parametrize("name", MAGICS)
def test_magics(front: Attached, name: str) -> None:
    """So does what runs under a magic."""
    cell = front.start(MAGICS[name])
    cell.wait_until_running()
    front.pump(0.2)
    interrupted(front, cell)

    assert cell.only_error.ename == "KeyboardInterrupt"
    goes_on(front)


def test_run_of_a_file(front: Attached, tmp_path: Path) -> None:
    """A file that is run by ``%run`` can be interrupted."""
    script = tmp_path / "endless.py"
    script.write_text("print('begun', flush=True)\nwhile True: pass\n")
    cell = front.start(f"%run {script}").wait_for_output("begun")
    interrupted(front, cell)

    assert cell.only_error.ename == "KeyboardInterrupt"
    assert "while True: pass" in [text for _, text in cell.only_error.lines]
    goes_on(front)


def test_callback_while_the_cell_awaits(front: Attached) -> None:
    """A callback of the cell's own that loops while it awaits frees the reactor."""
    cell = begun(
        front,
        "def endless(result):\n"
        "    while True: pass\n"
        "d = sleep(0.02)\n"
        "d.addCallback(endless)\n"
        "await d",
    )
    front.pump(0.2)
    interrupted(front, cell)

    assert cell.only_error.ename == "KeyboardInterrupt"
    goes_on(front)


def test_task_while_the_cell_awaits(
    front: Attached, attacked_application: Shared
) -> None:
    """So does a task of its own."""
    if attacked_application.kind != "asyncio":
        pytest.skip("this reactor does not run on asyncio")
    cell = begun(
        front,
        "async def endless():\n    while True: pass\nawait asyncio.ensure_future(endless())",
    )
    front.pump(0.2)
    interrupted(front, cell)

    assert cell.only_error.ename == "KeyboardInterrupt"
    goes_on(front)


def test_user_expressions(front: Attached) -> None:
    """An expression of the frontend's that does not end can be interrupted."""
    front.ok(
        "class Endless:\n    def __repr__(self):\n        while True: pass\nit = Endless()"
    )
    content = {
        "code": "7",
        "silent": False,
        "store_history": True,
        "user_expressions": {"it": "it"},
        "allow_stdin": False,
    }
    request = front.request("execute_request", content)
    front.wait_until(
        lambda: [m for m in of(front, request) if m.type == "execute_result"]
    )
    front.pump(0.1)
    at = front.interrupt()
    front.wait_until(
        lambda: [m for m in of(front, request) if m.type == "execute_reply"]
    )
    reply = next(m for m in of(front, request) if m.type == "execute_reply")

    assert reply.at - at < INTERRUPTED_WITHIN
    assert reply.content["user_expressions"]["it"]["ename"] == "KeyboardInterrupt"


def of(front: Attached, request: str) -> list[Message]:
    """The messages that name this one as their parent."""
    return [m for m in front.messages if m.parent.get("msg_id") == request]


ENDLESS = """\
class Endless:
    def __dir__(self):
        while True: pass
    def __repr__(self):
        while True: pass
class Grabbing:
    def __getattr__(self, name):
        while True: pass
it, grabbing = Endless(), Grabbing()
"""


@pytest.mark.parametrize(
    "kind, code",
    [
        ("complete", "it."),
        ("inspect", "it"),
        ("inspect", "grabbing.name"),
    ],
)
@pytest.mark.parametrize("by", ["itself", "interrupt"])
def test_question_that_does_not_end(
    front: Attached, kind: str, code: str, by: str
) -> None:
    """
    A completion or inspection that runs into endless code of a value's gets an answer
    in the end, sooner if it is interrupted, and frees the reactor.
    """
    front.ok(ENDLESS)
    content = {"code": code, "cursor_pos": len(code), "detail_level": 0}
    request = front.request(f"{kind}_request", content)
    if by == "interrupt":
        front.pump(0.2)
        front.interrupt()
    front.wait_until(
        lambda: [m for m in of(front, request) if m.type == f"{kind}_reply"], 20
    )

    reply = next(m for m in of(front, request) if m.type == f"{kind}_reply")
    assert reply.content["status"] == "ok"
    goes_on(front)


# -- %%thread ------------------------------------------------------------------


def test_thread_cell(front: Attached) -> None:
    """Python code in a ``%%thread`` cell ends as one KeyboardInterrupt."""
    cell = begun(front, "while True: pass", "%%thread\nprint('begun')")
    interrupted(front, cell)

    was_interrupted(cell, "while True: pass")
    goes_on(front)


PRINTING = "while True: print('printed', flush=True)"
PROFILED = "import cProfile; cProfile.Profile().runcall(sum, range(10))"


def test_thread_cell_that_prints(front: Attached) -> None:
    """No message is broken off in its midst, and nothing is left to be looked for."""
    for _ in range(20):
        cell = begun(front, PRINTING, "%%thread\nprint('begun')")
        interrupted(front, cell)
        was_interrupted(cell, PRINTING)
        front.forget()
    assert front.ok(PROFILED).result == "45"


def test_thread_cell_in_a_call(front: Attached) -> None:
    """One that is in a call gives the prompt back, and says no more when it ends."""
    cell = begun(front, "time.sleep(1.5)\nnoted.append(1)", "%%thread\nprint('begun')")
    interrupted(front, cell)

    assert cell.only_error.ename == "KeyboardInterrupt"
    assert "call" in cell.only_error.evalue
    goes_on(front)
    threads = "[t.name for t in threading.enumerate() if 'thread' in t.name]"
    front.wait_for_value(threads, [])
    assert front.value("noted") == []
    assert len(cell.errors) == 1 and replies(cell) == 1, front.report()


# -- The application's own code ------------------------------------------------

BUSY = """\
SLEPT = []
def sleep_long(seconds):
    began = time.monotonic()
    try:
        time.sleep(seconds)
    except BaseException as error:
        HURT.append(repr(error))
    SLEPT.append(time.monotonic() - began)
"""


@pytest.mark.parametrize("kind", REACTORS)
@pytest.mark.parametrize("source", ["1 + 1", "await sleep(30)"])
def test_application_holds_the_reactor(
    attacked: Callable[..., Attacked], kind: str, source: str
) -> None:
    """
    A cell that the reactor does not come to ends at once; what the application does
    meanwhile is left alone.
    """
    application = attacked(kind, BUSY)
    front = application.frontend()
    if source == "1 + 1":
        front.ok("reactor.callLater(0.1, sleep_long, 2)")
        front.pump(0.3)
        cell = front.start(source)
        cell.wait_until_running()
    else:
        cell = begun(
            front, source, "reactor.callLater(0.1, sleep_long, 2); print('begun')"
        )
        front.pump(0.3)
    interrupted(front, cell)

    error = cell.only_error
    assert error.ename == "KeyboardInterrupt"
    assert "sleep" in error.evalue, error.evalue
    front.wait_for_value("len(SLEPT)", 1)
    assert front.value("SLEPT[0]") > 1.95
    application.ends_unhurt()


def test_nothing_runs(front: Attached) -> None:
    """Then nothing happens, to the application and to the next cell."""
    front.ok(
        "kept = []\n"
        "def keep():\n"
        "    kept.append([signal.getsignal(n) for n in (signal.SIGINT, signal.SIGTERM)])\n"
        "reactor.callLater(0, keep)"
    )
    for _ in range(20):
        front.ask("interrupt_request", {}, channel="control")
    front.ok("reactor.callLater(0, keep)")
    front.wait_for_value("len(kept)", 2)
    assert front.value("kept[0] == kept[1]")
    goes_on(front)


def test_foreign_session_stops_no_cell(front: Attached) -> None:
    """Another client's interrupts are for its own cells."""
    other = front.application.client().attached
    other.ok("1")
    cell = front.start("await sleep(0.5, 'whole')")
    cell.wait_until_running()
    for _ in range(5):
        other.ask("interrupt_request", {}, channel="control")

    assert cell.wait().succeeded().result == "'whole'"
    other.kill()


def test_it_says_that_it_holds_the_reactor(front: Attached) -> None:
    """A cell that holds the reactor for more than a second says so while it does."""
    cell = begun(front, "while True: pass")
    front.wait_until(lambda: "the application waits" in cell.stderr)
    assert not cell.done
    interrupted(front, cell)

    assert cell.stderr.count("the application waits") == 1
    was_interrupted(cell, "while True: pass")


# -- Many ----------------------------------------------------------------------

CELLS = [
    "1 + 1",
    "x = 0\nfor i in range(30000): x += i",
    "await sleep(0.01)",
    "await sleep(0)",
    "time.sleep(0.005)",
    "print('printed')",
    "await sleep(0.02)\nx = 0\nfor i in range(100000): x += i",
    "try:\n    await sleep(30)\nfinally:\n    await sleep(0.003)",
    "while True: pass",
    "%%thread\nfor n in range(10**6): pass",
]


@pytest.mark.parametrize("kind", REACTORS)
def test_storm(attacked: Callable[..., Attacked], kind: str) -> None:
    """
    Of thousands of interrupts, from the cells' own session and from a foreign one,
    none costs a reply or hurts the application, and its memory stays.
    """
    many = 10_000 if kind == "default" else 2_500
    application = attacked(kind)
    front = application.frontend()
    foreign = application.frontend(helpers=False)
    dice = random.Random(4)
    sent = 0
    memory = 0.0
    while sent < many:
        cells = [front.start(dice.choice(CELLS)) for _ in range(6)]
        mine = 0
        while not all(cell.done for cell in cells):
            for _ in range(40):
                front.request("interrupt_request", {}, channel="control")
            foreign.request("interrupt_request", {}, channel="control")
            mine += 40
            sent += 41
            front.wait_until(lambda count=mine: answered(front) >= count)  # type: ignore[misc]
            foreign.pump(0)
            front.pump(dice.random() * 0.01)
        for cell in cells:
            ended_once(cell)
        front.forget()
        foreign.forget()
        if sent > many / 2 and not memory:
            memory = application.memory
    assert application.memory < memory + 15, (memory, application.memory)
    noted = application.unhurt()
    print(f"{kind}: longest gap {noted['gap']:.3f} s, {application.memory:.0f} MB")
    application.ends_unhurt()


def answered(front: Attached) -> int:
    """How many interrupts have been answered."""
    return sum(message.type == "interrupt_reply" for message in front.messages)


def ended_once(cell: Cell) -> None:
    """The cell has one reply, and an error if and only if that says so."""
    report = cell.kernel.report()
    assert replies(cell) == 1, report
    if cell.status == "ok":
        assert not cell.errors, report
    else:
        assert cell.only_error.ename == "KeyboardInterrupt", report


@pytest.mark.parametrize("kind", REACTORS)
def test_random_moments(attacked: Callable[..., Attacked], kind: str) -> None:
    """
    An interrupt at any moment from before a cell to after its end hits that cell or
    nothing.
    """
    application = attacked(kind)
    front = application.frontend()
    dice = random.Random(5)
    sources = [
        source for source in CELLS if "while" not in source and "30)" not in source
    ]
    hit = 0
    for n in range(200):
        cell = front.start(dice.choice(sources))
        spin(dice.random() * 0.005)
        front.interrupt()
        cell.wait()
        after = front.start("'after'").wait()
        # One that came after the cell's end may still hit the next.
        ended_once(cell)
        assert after.status == "ok" and after.result == "'after'", (n, front.report())
        hit += cell.status != "ok"
        front.forget()
    assert 0 < hit < 200
    application.ends_unhurt()


def spin(seconds: float) -> None:
    """Wait for a moment that is shorter than what a clock of the system gives."""
    until = time.perf_counter() + seconds
    while time.perf_counter() < until:
        pass


# -- The reactor in another thread ---------------------------------------------


def test_reactor_in_another_thread(attacked: Callable[..., Attacked]) -> None:
    """Code that runs, and awaits, can be interrupted there, too."""
    application = attacked("default", main=IN_THREAD)
    front = application.frontend()
    assert front.value("threading.current_thread() is threading.main_thread()") is False
    for source in ("while True: pass", "await sleep(30)", *[PRINTING] * 20):
        cell = begun(front, source)
        interrupted(front, cell)
        was_interrupted(cell, source)
        front.forget()
    goes_on(front)
    for _ in range(200):
        cell = front.start("x = 0\nfor i in range(3000): x += i\nprint(x)")
        spin(0.002)
        front.interrupt()
        ended_once(cell.wait())
        front.forget()
    assert front.ok(PROFILED).result == "45"
    application.unhurt()
    front.ok("done.set()")
    noted = application.has_ended()
    assert noted["hurt"] == [] and noted["logged"] == []
