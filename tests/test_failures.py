"""
Failures that nothing handles are seen: once, under the cell that started the work.

That something is *not* reported is told by a second failure, later, of the same
cell: when that has been reported, the first would have been.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable

import pytest

from checks import (
    MACHINERY,
    begun,
    everything_printed,
    interrupt,
    keeps_frames,
    user_frames_only,
)
from kernels import Cell, Kernel, plain
from late_work import STARTERS, meanwhile, new_gate, open_gate, prepare
from terminals import Terminal

SETUP = """\
import gc

def boom(message, *_):
    raise ValueError(message)

async def fails(message):
    await sleep(0.01)
    boom(message)

async def fails_behind(gate, message):
    await wait_for(gate)
    boom(message)

async def task_fails(message):
    await asyncio.sleep(0.01)
    boom(message)

@crochet.run_in_reactor
def in_reactor(function, *args):
    return function(*args)

@inlineCallbacks
def generator_fails(message):
    yield sleep(0.01)
    boom(message)

def receiver_fails(message, event):
    made = protocol.Protocol()
    setattr(made, event, lambda *_: boom(message))
    factory = protocol.ClientFactory()
    factory.buildProtocol = lambda _: made
    touch(message)
    reactor.connectTCP("127.0.0.1", _answer_when_open(message), factory)
"""

SECOND = "held.append(ensureDeferred(fails('second')))"
"""A failure to wait for, at the end of a cell."""

REPORTED = 10
"""Seconds a test waits for a report, which comes within one."""

_numbers = itertools.count()


@pytest.fixture
def kernel(kernel: Kernel) -> Kernel:
    """The shared kernel, with work to start in it, and what fails."""
    return with_failures(kernel)


def with_failures(kernel: Kernel) -> Kernel:
    prepare(kernel).ok(SETUP)
    return kernel


@pytest.fixture
def message() -> str:
    """What a failure of this test says."""
    return f"boom-{next(_numbers)}."


def settle(kernel: Kernel) -> None:
    """What was on its way has arrived."""
    kernel.ok("await sleep(0)")
    kernel.ok("pass")


def everything_said(kernel: Kernel) -> str:
    return plain(everything_printed(kernel) + kernel.log)


def reports(kernel: Kernel, message: str) -> int:
    """How often a failure was shown, other than as the error of a cell."""
    return everything_said(kernel).count(f"ValueError: {message}")


def reported_once(cell: Cell, message: str, *, traceback: bool = True) -> None:
    """
    The failure has been reported under the cell, with frames of the user's only.

    Args:
        traceback: False if what failed has none.
    """
    kernel = cell.kernel
    kernel.wait_until(
        lambda: f"ValueError: {message}" in cell.stderr,
        REPORTED,
        f"the report of {message} under\n{cell.source}",
    )
    settle(kernel)
    assert reports(kernel, message) == 1, kernel.report()
    assert cell.errors == [], kernel.report()
    frames = re.findall(r"^ *(?:File |Cell In|Input In).*", cell.stderr, re.MULTILINE)
    assert not [frame for frame in frames if MACHINERY.search(frame)], cell.stderr
    if traceback:
        assert "in boom" in "".join(frames), cell.stderr
        assert re.search(r"(Cell|Input) In ?\[", "".join(frames)), cell.stderr


def not_reported(cell: Cell, message: str) -> None:
    """The cell's second failure has been reported, and its first has not."""
    kernel = cell.kernel
    cell.wait_for_output("ValueError: second", REPORTED)
    settle(kernel)
    assert reports(kernel, message) == 0, kernel.report()
    assert reports(kernel, "second") == 1, kernel.report()
    assert "Cancelled" not in everything_said(kernel), kernel.report()


# Reported

DEFERREDS = {
    "callback": "sleep(0.01).addCallback(lambda _: boom({0!r}));",
    "coroutine": "ensureDeferred(fails({0!r}));",
    "inlineCallbacks": "generator_fails({0!r});",
    "nested coroutine": (
        "async def outer(): await ensureDeferred(fails({0!r}))\nensureDeferred(outer());"
    ),
    "chained": "succeed(None).addCallback(lambda _: ensureDeferred(fails({0!r})));",
    "thread": "threads.deferToThread(boom, {0!r});",
    "LoopingCall": "task.LoopingCall(boom, {0!r}).start(0.01);",
    "LoopingCall later": "task.LoopingCall(boom, {0!r}).start(0.01, now=False);",
    "kept": "kept = ensureDeferred(fails({0!r}))",
    "kept LoopingCall": "loop = task.LoopingCall(boom, {0!r})\nkept = loop.start(0.01)",
    "kept by Out": "sleep(0.01).addCallback(lambda _: boom({0!r}))",
    "EventualResult": "in_reactor(boom, {0!r});",
    "kept EventualResult": "kept = in_reactor(boom, {0!r})",
    "EventualResult by Out": "in_reactor(fails, {0!r})",
}
LOGGED = {
    "callLater": "reactor.callLater(0.01, boom, {0!r});",
    "callFromThread": "reactor.callFromThread(boom, {0!r})",
    "dataReceived": "receiver_fails({0!r}, 'dataReceived')",
    "connectionMade": "receiver_fails({0!r}, 'connectionMade')",
    "connectionLost": "receiver_fails({0!r}, 'connectionLost')",
    "callInThread": "reactor.callInThread(boom, {0!r})",
}
"""Errors of callbacks, which Twisted would log."""
OF_ASYNCIO = {
    "task": "asyncio.create_task(task_fails({0!r}));",
    "kept task": "kept = asyncio.create_task(task_fails({0!r}))",
    "task that awaits Twisted": "kept = asyncio.create_task(fails({0!r}))",
    "call_soon": "asyncio.get_running_loop().call_soon(boom, {0!r});",
    "call_later": "asyncio.get_running_loop().call_later(0.01, boom, {0!r});",
}
WAYS = {**DEFERREDS, **LOGGED, **OF_ASYNCIO}


@pytest.mark.parametrize(
    "starter, way",
    [
        (starter, way)
        for starter in STARTERS
        for way in WAYS
        if starter != "plain" or way not in OF_ASYNCIO
    ],
)
def test_reported_once(kernel: Kernel, starter: str, way: str, message: str) -> None:
    """A failure that nothing handles is reported once, under its cell, with the user's frames."""
    cell = kernel.run(STARTERS[starter].format(WAYS[way].format(message)))
    assert cell.status == "ok", kernel.report()
    reported_once(cell, message)
    # What Twisted and asyncio would say themselves, they say when it is collected.
    kernel.ok("kept = loop = _ = None\nheld.clear()\ngc.collect();")
    settle(kernel)
    assert reports(kernel, message) == 1, kernel.report()


@pytest.mark.parametrize("starter", STARTERS)
def test_without_traceback(kernel: Kernel, starter: str, message: str) -> None:
    """So is one that was never raised."""
    cell = kernel.run(STARTERS[starter].format(f"kept = fail(ValueError({message!r}))"))
    reported_once(cell, message, traceback=False)


def test_of_run_in_reactor(kernel: Kernel, message: str) -> None:
    """The result of ``%%run_in_reactor`` that fails is reported with that cell."""
    cell = kernel.run(f"%%run_in_reactor er\nawait sleep(0.01)\nboom({message!r})")
    reported_once(cell, message)
    error = kernel.run("er.wait(5)").only_error
    assert (error.ename, error.evalue) == ("ValueError", message)
    assert reports(kernel, message) == 1, kernel.report()


BEHIND_A_GATE = {
    "Deferred": "kept = ensureDeferred(fails_behind({0!r}, {1!r}))",
    "callLater": "in_turns({0!r}, lambda: boom({1!r}))",
    "LoopingCall": (
        "task.LoopingCall(lambda: opened({0!r}) and boom({1!r})).start(0.01);"
    ),
    "deferToThread": "kept = threads.deferToThread(lambda: (hold({0!r}), boom({1!r})))",
    "EventualResult": "kept = in_reactor(fails_behind, {0!r}, {1!r})",
    "task": "kept = asyncio.create_task(fails_behind({0!r}, {1!r}))",
}


@pytest.mark.parametrize("moment", ["idle", "awaiting cell", "capturing and awaiting"])
@pytest.mark.parametrize("way", BEHIND_A_GATE)
def test_while_another_cell_runs(
    kernel: Kernel, way: str, moment: str, message: str
) -> None:
    """The report reaches the cell that started the work, whatever another captures."""
    gate = new_gate()
    starter = "awaiting" if way == "task" else "plain"
    cell = kernel.ok(STARTERS[starter].format(BEHIND_A_GATE[way].format(gate, message)))
    kernel.ok("pass")
    with meanwhile(kernel, moment):
        open_gate(kernel, gate)
        cell.wait_for_output(f"ValueError: {message}", REPORTED)
    reported_once(cell, message)


AWAITED_AFTERWARDS = {
    "variable": ("kept = ensureDeferred(fails({0!r}))", "await kept"),
    "Out": ("sleep(0.01).addCallback(lambda _: boom({0!r}))", "await Out[{1}]"),
    "EventualResult": ("kept = in_reactor(boom, {0!r})", "await kept"),
    "wait()": ("kept = in_reactor(boom, {0!r})", "kept.wait(5)"),
    "task": (
        "await sleep(0)\nkept = asyncio.create_task(task_fails({0!r}))",
        "await kept",
    ),
    "LoopingCall": ("kept = task.LoopingCall(boom, {0!r}).start(0.01)", "await kept"),
}


@keeps_frames
@pytest.mark.parametrize("way", AWAITED_AFTERWARDS)
def test_awaited_afterwards(kernel: Kernel, way: str, message: str) -> None:
    """Once reported, it raises all the same where it is awaited, and is reported no more."""
    source, line = AWAITED_AFTERWARDS[way]
    cell = kernel.run(source.format(message))
    reported_once(cell, message)
    later = kernel.run(line.format("", cell.execution_count))
    assert (later.only_error.ename, later.only_error.evalue) == ("ValueError", message)
    assert later.only_error.lines[-1][1] == "raise ValueError(message)"
    user_frames_only(later.only_error)
    kernel.ok("kept = _ = None\nOut.clear()\ngc.collect();")
    settle(kernel)
    assert reports(kernel, message) == 1, kernel.report()


@pytest.mark.parametrize("way", ["callback", "kept", "callLater", "EventualResult"])
def test_not_through_logging_besides(
    fresh_kernel: Callable[..., Kernel], way: str, message: str
) -> None:
    """With Python's logging set up, a failure is reported once still."""
    kernel = with_failures(fresh_kernel())
    kernel.ok("import logging\nlogging.basicConfig(level=logging.INFO)")
    cell = kernel.run(WAYS[way].format(message))
    reported_once(cell, message)
    kernel.run("kept = None\ngc.collect();")
    settle(kernel)
    assert reports(kernel, message) == 1, kernel.report()


@pytest.mark.parametrize("starter", STARTERS)
def test_names_the_creator(
    fresh_kernel: Callable[..., Kernel], starter: str, message: str
) -> None:
    """With Twisted's debugging on, the report names the line that made the Deferred."""
    kernel = with_failures(fresh_kernel())
    kernel.ok("defer.setDebugging(True)")
    body = f"one = 1\n\n\n\n\n\nkept = Deferred()\nkept.addCallback(lambda _: boom({message!r}))\nkept.callback(1)"
    source = STARTERS[starter].format(body)
    line = source.splitlines().index("kept = Deferred()") + 1
    if starter == "run_in_reactor":
        source += "\nNone"
    cell = kernel.run(source)
    reported_once(cell, message)
    # The first line of %%run_in_reactor may or may not be counted.
    lines = rf"(?:{line}|{line - 1})" if starter == "run_in_reactor" else str(line)
    assert re.search(rf"line {lines}\b|[:\]]{lines}\b", cell.stderr), cell.stderr


@pytest.mark.parametrize("shown", [True, False], ids=["shown", "not shown"])
def test_reload(fresh_kernel: Callable[..., Kernel], shown: bool, message: str) -> None:
    """After three reloads a failure is reported once; after unloading, as Twisted does."""
    kernel = with_failures(fresh_kernel())
    for _ in range(3):
        kernel.ok("%reload_ext twisted_ipython")
    if shown:
        cell = kernel.ok(f"kept = ensureDeferred(fails({message!r}))")
        reported_once(cell, message)
    else:
        cell = kernel.run(
            "await sleep(0)\n"
            f"ensureDeferred(fails({message!r})).addErrback(lambda _: None)\n"
            "await sleep(0.02)\n" + SECOND
        )
        not_reported(cell, message)


@pytest.mark.parametrize("simple", [True, False], ids=["simple", "prompt_toolkit"])
@pytest.mark.parametrize("starter", ["plain", "awaiting"])
def test_in_a_terminal(
    awaiting_terminal: Callable[..., Terminal], simple: bool, starter: str
) -> None:
    """In a terminal, the report appears at the prompt, once, with the user's frames."""
    terminal = awaiting_terminal(simple=simple)
    terminal.run("from twisted.internet import reactor, task, defer")
    terminal.run("def boom(_): raise ValueError('bo' + 'om')")
    line = "kept = task.deferLater(reactor, 0.3).addCallback(boom)"
    terminal.run(line if starter == "plain" else f"await defer.succeed(1); {line}")
    terminal.wait_for("ValueError: boom", REPORTED)
    said = terminal.since
    terminal.run("'the next'.upper()")
    assert terminal.transcript.count("ValueError: boom") == 1, terminal.report()
    assert "in boom" in said, said
    assert not MACHINERY.search(said), said


# Not reported

HANDLED = {
    "errback": (
        "sleep(0.01).addCallback(lambda _: boom({0!r})).addErrback(lambda _: None)"
    ),
    "awaited": "try: await ensureDeferred(fails({0!r}))\nexcept ValueError: pass",
    "handled in the next turn": (
        "late = fail(ValueError({0!r}))\nawait sleep(0)\nlate.addErrback(lambda _: None)"
    ),
    "awaited in the next turn": (
        "late = fail(ValueError({0!r}))\nawait sleep(0)\n"
        "try: await late\nexcept ValueError: pass"
    ),
    "returned to one that handles it": (
        "succeed(1).addCallback(lambda _: ensureDeferred(fails({0!r})))"
        ".addErrback(lambda _: None)"
    ),
    "DeferredList": (
        "await defer.DeferredList([ensureDeferred(fails({0!r}))], consumeErrors=True)"
    ),
    "gatherResults": (
        "try: await defer.gatherResults([ensureDeferred(fails({0!r}))], consumeErrors=True)\n"
        "except defer.FirstError: pass"
    ),
    "LoopingCall": "task.LoopingCall(boom, {0!r}).start(0.01).addErrback(lambda _: None)",
    "EventualResult": ("try: await in_reactor(fails, {0!r})\nexcept ValueError: pass"),
    "task": "try: await asyncio.create_task(fails({0!r}))\nexcept ValueError: pass",
    "task in the next turn": (
        "late = asyncio.create_task(task_fails({0!r}))\nawait asyncio.wait([late])\n"
        "await sleep(0)\ntry: await late\nexcept ValueError: pass"
    ),
    "asyncio.gather": (
        "await asyncio.gather(fails({0!r}), fails({0!r}), return_exceptions=True)"
    ),
    "asyncio.wait": (
        "done, _ = await asyncio.wait([asyncio.create_task(fails({0!r}))])\n"
        "[each.exception() for each in done]"
    ),
    "a thousand": (
        "many = [ensureDeferred(fails({0!r})) for _ in range(1000)]\n"
        "await defer.DeferredList(many, consumeErrors=True)\nmany = None"
    ),
    "a thousand in the next turn": (
        "many = [fail(ValueError({0!r})) for _ in range(1000)]\nawait sleep(0)\n"
        "for each in many: each.addErrback(lambda _: None)"
    ),
}
CANCELLED = {
    "Deferred": "late = pending()\nlate.cancel()",
    "Deferred that is dropped": "pending().cancel()",
    "coroutine": (
        "async def wait(): await pending()\nlate = ensureDeferred(wait())\nlate.cancel()"
    ),
    "inlineCallbacks": (
        "@inlineCallbacks\ndef wait(): yield pending()\nlate = wait()\nlate.cancel()"
    ),
    "task": (
        "late = asyncio.create_task(asyncio.sleep(60))\nawait asyncio.sleep(0)\nlate.cancel()"
    ),
    "delayed": "late = sleep(60)\nlate.cancel()",
    "EventualResult": ("late = in_reactor(pending)\nlate.cancel()\nawait sleep(0)"),
}
NOT_REPORTED = {
    **HANDLED,
    **{f"cancelled {name}": it for name, it in CANCELLED.items()},
}


@pytest.mark.parametrize("way", NOT_REPORTED)
def test_not_reported(kernel: Kernel, way: str, message: str) -> None:
    """What is handled in time, or was cancelled, is not reported, nor when it is collected."""
    cell = kernel.run(
        f"await sleep(0)\n{NOT_REPORTED[way].format(message)}\n"
        f"late = None\ngc.collect()\nawait sleep(0.05)\n{SECOND}"
    )
    assert cell.status == "ok", kernel.report()
    not_reported(cell, message)


SHOWN = {
    "coroutine": "await fails({0!r})",
    "Deferred": "kept = ensureDeferred(fails({0!r}))\nawait kept",
    "inlineCallbacks": "kept = generator_fails({0!r})\nawait kept",
    "thread": "await threads.deferToThread(boom, {0!r})",
    "LoopingCall": "kept = task.LoopingCall(boom, {0!r}).start(0.01)\nawait kept",
    "gatherResults": (
        "kept = [ensureDeferred(fails({0!r})), sleep(0.02)]\nawait defer.gatherResults(kept)"
    ),
    "EventualResult": "kept = in_reactor(fails, {0!r})\nawait kept",
    "task": "kept = asyncio.create_task(fails({0!r}))\nawait kept",
    "asyncio.gather": "await asyncio.gather(fails({0!r}), sleep(0.02))",
    "plain": "boom({0!r})",
}


@pytest.mark.parametrize("way", SHOWN)
def test_shown_already(kernel: Kernel, way: str, message: str) -> None:
    """What the cell has shown as its own error is not reported besides."""
    gate = new_gate()
    cell = kernel.run(
        f"kept = None\nin_turns({gate!r}, lambda: {SECOND})\n"
        "await sleep(0)\n" + SHOWN[way].format(message)
    )
    assert message in cell.only_error.traceback
    kernel.ok("kept = None\ngc.collect();")
    open_gate(kernel, gate)
    not_reported(cell, message)


@pytest.mark.parametrize("wait", ["er.wait(10)", "await er"])
def test_result_that_somebody_waits_for(
    kernel: Kernel, wait: str, message: str
) -> None:
    """The failure of an EventualResult is the error of the cell that waits, and no report."""
    gate, then = new_gate(), new_gate()
    starter = kernel.ok(
        f"%%run_in_reactor er\nin_turns({then!r}, lambda: {SECOND})\n"
        f"await wait_for({gate!r})\nboom({message!r})"
    )
    waiting = begun(kernel, f"print('begun')\n{wait}")
    open_gate(kernel, gate)
    assert waiting.wait().only_error.evalue == message
    kernel.ok("del er\ngc.collect();")
    open_gate(kernel, then)
    not_reported(starter, message)


def test_interrupted_cell(kernel: Kernel, message: str) -> None:
    """What an interrupt cancels is not reported."""
    gate = new_gate()
    cell = begun(
        kernel,
        f"in_turns({gate!r}, lambda: {SECOND})\nlate = pending()\n"
        "print('begun')\nawait defer.gatherResults([late, pending()])",
    )
    interrupt(cell)
    assert cell.only_error.ename == "KeyboardInterrupt"
    kernel.ok("late = None\ngc.collect();")
    open_gate(kernel, gate)
    not_reported(cell, message)


def test_two_failures_of_two_cells(kernel: Kernel, message: str) -> None:
    """Failures of two cells at one moment are reported each with its own."""
    gate = new_gate()
    cells = [
        kernel.ok(f"kept_{n} = ensureDeferred(fails_behind({gate!r}, '{message}{n}'))")
        for n in range(3)
    ]
    with meanwhile(kernel, "capturing and awaiting"):
        open_gate(kernel, gate)
        for n, cell in enumerate(cells):
            cell.wait_for_output(f"ValueError: {message}{n}", REPORTED)
    for n, cell in enumerate(cells):
        reported_once(cell, f"{message}{n}")
        assert cell.stderr.count("ValueError: ") == 1, cell.stderr
