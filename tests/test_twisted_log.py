"""``%twisted_log``: Twisted's log, under the cell that caused each event."""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable, Iterator

import pytest

from checks import everything_printed
from kernels import Cell, Kernel, plain
from late_work import (
    OF_ASYNCIO,
    OF_PYTHON,
    STARTERS,
    hear,
    meanwhile,
    new_gate,
    prepare,
    start_work,
)
from terminals import Terminal

SETUP = """\
from twisted.logger import Logger
from twisted.python import log
logger = Logger("app.part")

def say(gate):
    logger.info("logged {gate}", gate=gate)
    log.msg("old style " + gate)
    touch(gate + ".said")
"""

LEVELS = ["debug", "info", "warn", "error", "critical"]

_numbers = itertools.count()


def with_loggers(kernel: Kernel) -> Kernel:
    prepare(kernel).ok(SETUP)
    return kernel


@pytest.fixture
def kernel(kernel: Kernel) -> Iterator[Kernel]:
    """The shared kernel, with work that logs; the log is off, before and after."""
    yield with_loggers(kernel)
    kernel.run("%twisted_log off")


@pytest.fixture
def text() -> str:
    """What an event of this test says."""
    return f"event {next(_numbers)}."


def said(kernel: Kernel, line: str) -> str:
    cell = kernel.ok(line)
    assert cell.results == [] and cell.displays == []
    return cell.stdout


def settle(kernel: Kernel) -> None:
    """What was on its way has arrived."""
    kernel.ok("await sleep(0)")
    kernel.ok("pass")


def lines(cell: Cell) -> list[str]:
    """What the cell says on stderr, when all of it has arrived."""
    settle(cell.kernel)
    return cell.stderr.splitlines()


def test_off_by_default(fresh_kernel: Callable[..., Kernel], text: str) -> None:
    """Nothing of the log is seen until it is asked for."""
    kernel = with_loggers(fresh_kernel())
    assert "off" in said(kernel, "%twisted_log").lower()
    cell = kernel.run(f"logger.info({text!r})\nlog.msg({text!r})")
    assert lines(cell) == [] and cell.output == ""
    said(kernel, "%twisted_log on")
    assert len(lines(kernel.run(f"logger.info({text!r})"))) == 1


@pytest.mark.parametrize(
    "call",
    [
        "logger.info({0!r})",
        "logger.info('{{text}}', text={0!r})",
        "log.msg({0!r})",
        "log.msg(format='%(text)s', text={0!r})",
        "logger.warn({0!r})",
    ],
)
@pytest.mark.parametrize("starter", STARTERS)
def test_on(kernel: Kernel, starter: str, call: str, text: str) -> None:
    """An event is one line on the stderr of its cell, without a time stamp."""
    said(kernel, "%twisted_log on")
    cell = kernel.run(STARTERS[starter].format(call.format(text)))
    kernel.wait_until(lambda: text in cell.stderr, 10, "the event")
    (line,) = lines(cell)
    assert text in line and cell.stdout == ""
    assert not re.search(r"\d:\d\d|\b20\d\d\b", line.replace(text, "")), line
    assert plain(everything_printed(kernel)).count(text) == 1
    assert text not in kernel.log


def test_off_again(kernel: Kernel, text: str) -> None:
    """``off`` ends it."""
    said(kernel, "%twisted_log on")
    said(kernel, "%twisted_log off")
    cell = kernel.run(f"logger.info({text!r})\nlog.msg({text!r})")
    assert lines(cell) == []
    assert "off" in said(kernel, "%twisted_log").lower()


@pytest.mark.parametrize("starter", STARTERS)
def test_of_twisted_itself(kernel: Kernel, starter: str) -> None:
    """Twisted's own events are of the cell that caused them, such as a port that opens."""
    said(kernel, "%twisted_log on")
    cell = kernel.run(
        STARTERS[starter].format(
            "factory = protocol.ServerFactory()\n"
            "port = reactor.listenTCP(0, factory, interface='127.0.0.1')\nNone"
        )
    )
    kernel.wait_until(lambda: "starting on" in cell.stderr, 10, "the event")
    kernel.ok("pass")
    assert plain(everything_printed(kernel)).count(" starting on") == cell.stderr.count(
        " starting on"
    )


# Levels and namespaces

EACH_LEVEL = "\n".join(f"logger.{level}('level {level} {{0}}')" for level in LEVELS)


@pytest.mark.parametrize("level", [*LEVELS, ""])
def test_level(kernel: Kernel, level: str, text: str) -> None:
    """Events of the level and above are seen; ``info`` is the default."""
    # Python's logging shows what is worth a warning where nobody has set it up.
    kernel.ok("import logging\nlogging.getLogger().addHandler(logging.NullHandler())")
    said(kernel, f"%twisted_log on {level}".rstrip())
    cell = kernel.run(EACH_LEVEL.format(text))
    seen = LEVELS[LEVELS.index(level or "info") :]
    found = [line for line in lines(cell) if text in line]
    assert len(found) == len(seen), kernel.report()
    for wanted, line in zip(seen, found, strict=True):
        assert f"level {wanted} {text}" in line


@pytest.mark.parametrize("words", ["on info app", "on app", "on debug app"])
def test_namespace(kernel: Kernel, words: str) -> None:
    """A namespace is a prefix of whole names between dots."""
    said(kernel, f"%twisted_log {words}")
    names = ["app", "app.part", "app.part.more", "application", "other", "other.app"]
    cell = kernel.run(
        f"for name in {names}: Logger(name).info('event of <{{name}}>', name=name)\n"
        "log.msg('event of <nobody>')"
    )
    found = re.findall("event of <(.*?)>", "\n".join(lines(cell)))
    assert found == ["app", "app.part", "app.part.more"]


def test_the_last_word_counts(kernel: Kernel) -> None:
    """Asked for anew, what was asked for before is forgotten; nothing is seen twice."""
    said(kernel, "%twisted_log on info other")
    said(kernel, "%twisted_log on info app")
    said(kernel, "%twisted_log on info app")
    cell = kernel.run("logger.info('mine')\nLogger('other').info('not mine')")
    assert " ".join(lines(cell)).count("mine") == 1, cell.stderr


def test_how_it_stands(kernel: Kernel) -> None:
    """``%twisted_log`` alone says how it stands."""
    said(kernel, "%twisted_log on warn app.part")
    stands = said(kernel, "%twisted_log")
    assert "on" in stands and "warn" in stands and "app.part" in stands
    said(kernel, "%twisted_log off")
    assert said(kernel, "%twisted_log") != stands


WRONG = [
    "on loud app",
    "on info app more",
    "maybe info app",
    "on info app.part debug",
]


@pytest.mark.parametrize("words", WRONG)
@pytest.mark.parametrize("before", ["off", "on warn app"])
def test_wrong_words(kernel: Kernel, words: str, before: str) -> None:
    """Wrong words are one sentence of UsageError, and nothing changes."""
    said(kernel, f"%twisted_log {before}")
    stands = said(kernel, "%twisted_log")
    cell = kernel.run(f"%twisted_log {words}")
    assert cell.errors == [] and cell.stdout == "" and cell.status == "error"
    (line,) = cell.stderr.splitlines()
    assert line.startswith("UsageError: "), line
    assert said(kernel, "%twisted_log") == stands


# Whose event it is


@pytest.mark.parametrize("moment", ["idle", "awaiting cell", "capturing and awaiting"])
@pytest.mark.parametrize(
    "way",
    [
        "coroutine",
        "callLater",
        "LoopingCall",
        "deferToThread",
        "callFromThread",
        "dataReceived",
        "connectionMade",
        *OF_PYTHON,
        *OF_ASYNCIO,
    ],
)
def test_finds_its_cell(kernel: Kernel, way: str, moment: str) -> None:
    """What late work logs is of the cell that started it, whatever another captures."""
    said(kernel, "%twisted_log on info app")
    gate = new_gate()
    starter = "awaiting" if way in OF_ASYNCIO else "plain"
    cell = start_work(kernel, starter, way, gate)
    with meanwhile(kernel, moment):
        hear(kernel, gate)
        cell.wait_for_output(f"logged {gate}", 5)
    assert len(lines(cell)) == 1, kernel.report()
    assert plain(everything_printed(kernel)).count(f"logged {gate}") == 1


def test_captured(kernel: Kernel, text: str) -> None:
    """The events of a cell that captures are captured."""
    said(kernel, "%twisted_log on info app")
    cell = kernel.ok(f"%%capture captured\nawait sleep(0)\nlogger.info({text!r})")
    assert lines(cell) == []
    assert kernel.value("captured.stderr").count(text) == 1


# Beside the rest


@pytest.mark.parametrize(
    "failing",
    [
        "held.append(sleep(0.01).addCallback(lambda _: 1 / 0))",
        "sleep(0.01).addCallback(lambda _: 1 / 0);",
        "reactor.callLater(0.01, lambda: 1 / 0);",
        "reactor.callFromThread(lambda: 1 / 0);",
        "await sleep(0)\nasyncio.get_running_loop().call_soon(lambda: 1 / 0);",
    ],
    ids=["kept", "dropped", "callLater", "callFromThread", "call_soon"],
)
def test_failures_are_reported_once(kernel: Kernel, failing: str) -> None:
    """A failure that is reported is not logged besides."""
    said(kernel, "%twisted_log on debug")
    cell = kernel.run(failing)
    cell.wait_for_output("ZeroDivisionError: division by zero", 10)
    kernel.run("import gc\nheld.clear()\ngc.collect();")
    settle(kernel)
    printed = plain(everything_printed(kernel))
    assert printed.count("ZeroDivisionError: division by zero") == 1, kernel.report()


def test_reload_and_unload(fresh_kernel: Callable[..., Kernel], text: str) -> None:
    """After reloads an event is seen once; after unloading, not at all."""
    kernel = with_loggers(fresh_kernel())
    for _ in range(3):
        kernel.ok("%reload_ext twisted_ipython")
    said(kernel, "%twisted_log on")
    cell = kernel.run(f"logger.info({text!r})")
    assert " ".join(lines(cell)).count(text) == 1
    kernel.ok("%unload_ext twisted_ipython")
    cell = kernel.run(f"logger.info({text!r})\nlog.msg({text!r})")
    kernel.ok("pass")
    assert cell.output == ""


@pytest.mark.parametrize("simple", [True, False], ids=["simple", "prompt_toolkit"])
def test_in_a_terminal(
    awaiting_terminal: Callable[..., Terminal], simple: bool
) -> None:
    """In a terminal the log is lines at the prompt."""
    terminal = awaiting_terminal(simple=simple)
    terminal.run(
        "from twisted.internet import reactor; from twisted.logger import Logger"
    )
    terminal.run("%twisted_log on info app")
    terminal.run("reactor.callLater(0.3, Logger('app').info, 'log' + 'ged');")
    terminal.wait_for("logged", 10)
    terminal.run("'the next'.upper()")
    assert terminal.transcript.count("logged") == 1, terminal.report()
