"""The same in the terminal, on a pty; and ``ipython -c`` and ``.ipy`` files."""

from __future__ import annotations

import contextlib
import re
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from checks import MACHINERY, PROMPT_BACK, STOPPED
from kernels import HELPERS
from terminals import Program, Terminal

AWAITING = ("--ext=twisted_ipython", "--TwistedIPython.autoawait=True")
IMPORT = (
    "from twisted.internet import reactor, task, defer, threads; import time, asyncio"
)
SLEEP = "sleep = lambda seconds, result=None: task.deferLater(reactor, seconds, lambda: result)"

each_prompt = pytest.mark.parametrize(
    "simple", [True, False], ids=["simple", "prompt_toolkit"]
)


@pytest.fixture
def ready(awaiting_terminal: Callable[..., Terminal]) -> Callable[..., Terminal]:
    """Starts a terminal that awaits Twisted and has the helper ``sleep``."""

    def start(*arguments: str, **options: object) -> Terminal:
        terminal = awaiting_terminal(*arguments, **options)
        terminal.run(IMPORT)
        terminal.run(SLEEP)
        return terminal

    return start


def errors(text: str, kind: str) -> int:
    """How many tracebacks of that kind the text holds."""
    return len(re.findall(rf"^{kind} +Traceback", text, re.MULTILINE))


@each_prompt
def test_load_and_await(terminal: Callable[..., Terminal], simple: bool) -> None:
    """Load, switch awaiting on, await: three lines."""
    session = terminal(simple=simple)
    session.run("%load_ext twisted_ipython")
    session.run("%autoawait twisted")
    session.run("from twisted.internet.defer import succeed")
    assert "'AWAITED'" in session.run("await succeed('awaited'.upper())")


@each_prompt
def test_awaits_at_the_first_prompt(
    awaiting_terminal: Callable[..., Terminal], simple: bool
) -> None:
    """With the extension loaded by the command line, the first prompt awaits."""
    session = awaiting_terminal(simple=simple)
    line = "from twisted.internet.task import deferLater; from twisted.internet import reactor; "
    assert "'AWAITED'" in session.run(
        line + "await deferLater(reactor, .01, 'awaited'.upper)"
    )


@each_prompt
def test_interrupt(ready: Callable[..., Terminal], simple: bool) -> None:
    """Ctrl-C cancels what is awaited; ``finally`` prints; one KeyboardInterrupt; then it awaits."""
    session = ready(simple=simple)
    session.run("held = defer.Deferred(lambda _: print('CAN' + 'CELLED'))")
    # Printed by the reactor, so that the cell awaits when it is to be read.
    session.start(
        "try:\n    reactor.callLater(0, print, 'BE' + 'GUN')\n    await held\n"
        "finally:\n    print('FIN' + 'ALLY')"
    )
    session.wait_for("BEGUN")
    at = session.interrupt()
    text = session.wait_for_prompt(10)
    assert time.monotonic() - at < PROMPT_BACK
    assert errors(text, "KeyboardInterrupt") == 1, text
    assert "CANCELLED" in text and "FINALLY" in text
    assert re.search(r"^-+> *\d+ +await held", text, re.MULTILINE), text
    assert not MACHINERY.search(text), text
    assert "'AGAIN'" in session.run("await sleep(0.01, 'again'.upper())")


@pytest.mark.parametrize(
    "line",
    [
        "while True: pass",
        "while True: await defer.succeed(1)",
        "while True: time.sleep(0.05)",
    ],
)
def test_interrupt_a_hog(ready: Callable[..., Terminal], line: str) -> None:
    """Ctrl-C stops a cell that hogs the reactor thread within two seconds."""
    session = ready()
    session.start(f"if True:\n    await sleep(0)\n    print('BE' + 'GUN')\n    {line}")
    session.wait_for("BEGUN")
    at = session.interrupt()
    text = session.wait_for_prompt(10)
    assert time.monotonic() - at < STOPPED
    assert errors(text, "KeyboardInterrupt") == 1, text
    assert "'AGAIN'" in session.run("await sleep(0.01, 'again'.upper())")
    assert session.exit() < 3


def test_interrupt_a_long_call(ready: Callable[..., Terminal]) -> None:
    """Where nothing can stop it, the prompt is back in three seconds, with a sentence."""
    session = ready()
    # Printed by another thread, so that the call has begun when it is to be read.
    session.run("import threading; begin = threading.Timer(0.3, print, ['BE' + 'GUN'])")
    session.start("await sleep(0); begin.start(); time.sleep(5)")
    session.wait_for("BEGUN")
    at = session.interrupt()
    text = session.wait_for_prompt(10)
    assert time.monotonic() - at < PROMPT_BACK
    assert "reactor" in text, text
    session.start("'next ' + 'cell'")
    session.wait_for("'next cell'")
    # When it has ended, that is told at the prompt that waits.
    session.wait_until(lambda: re.search(r"In \[\d+\]: \s*\w", session.since), 10)


def test_interrupt_at_the_prompt(ready: Callable[..., Terminal]) -> None:
    """Ctrl-C at the prompt leaves the reactor and its work alone."""
    session = ready()
    session.run("kept = sleep(0.5, 'kept'.upper())")
    # Just before it waits for a line, Python takes no notice of a Ctrl-C until the next key.
    for _ in range(3):
        session.interrupt()
        with contextlib.suppress(AssertionError):
            session.wait_for("KeyboardInterrupt", 2)
            break
    assert "KeyboardInterrupt" in session.wait_for_prompt(2)
    assert "'KEPT'" in session.run("await kept")


def test_interrupt_twice(ready: Callable[..., Terminal]) -> None:
    """Two quick Ctrl-C are one error, and the session goes on."""
    session = ready()
    session.start("reactor.callLater(0, print, 'BE' + 'GUN'); await sleep(60)")
    session.wait_for("BEGUN")
    session.interrupt()
    session.interrupt()
    text = session.wait_for_prompt(10)
    assert errors(text, "KeyboardInterrupt") == 1, text
    assert "'AGAIN'" in session.run("await sleep(0.01, 'again'.upper())")


def test_timeout(ready: Callable[..., Terminal]) -> None:
    """A timeout is one error that names the seconds and the setting."""
    session = ready()
    assert "Setting timeout to 0.3!" in session.run("%crochet_config timeout 0.3")
    text = session.run("await sleep(60)")
    assert len(re.findall(r"Traceback \(most recent call last\)", text)) == 1, text
    assert "0.3 s" in text and "%crochet_config timeout" in text
    assert not MACHINERY.search(
        text.partition("Traceback")[2].partition("no result")[0]
    ), text
    session.run("%crochet_config reset")
    assert "'AGAIN'" in session.run("await sleep(0.01, 'again'.upper())")


def test_context_variables(ready: Callable[..., Terminal]) -> None:
    """Context variables go into cells and come out of them."""
    session = ready()
    session.run("import contextvars; v = contextvars.ContextVar('v', default='unset')")
    session.run("v.set('plain'.upper());")
    assert "'PLAIN'" in session.run("await sleep(0.01, v.get())")
    session.run("await sleep(0.01); v.set('awaited'.upper());")
    assert "'AWAITED'" in session.run("v.get()")


def test_traceback(ready: Callable[..., Terminal]) -> None:
    """An error shows the user's frames only."""
    session = ready()
    text = session.run("await threads.deferToThread(lambda: 1 / 0)")
    assert "ZeroDivisionError: division by zero" in text
    assert "File " not in text, text


def test_debug(ready: Callable[..., Terminal]) -> None:
    """``%debug`` stops where the user's error was."""
    session = ready()
    session.run(
        "async def debugged():\n    secret = 'found'.upper()\n    await sleep(0.01)\n    1 / 0"
    )
    session.run("await debugged()")
    session.type("%debug")
    session.wait_for("ipdb>")
    session.type("p secret")
    session.wait_for("'FOUND'")
    session.type("q")
    session.wait_for_prompt()
    assert "'AGAIN'" in session.run("await sleep(0.01, 'again'.upper())")


def test_run_in_reactor(ready: Callable[..., Terminal]) -> None:
    """``%%run_in_reactor`` in a terminal: an EventualResult under NAME, shown."""
    session = ready(simple=False)
    text = session.run(
        "%%run_in_reactor er\nx = await sleep(0.01, 'done'.upper())\nreturn x"
    )
    assert "EventualResult" in text
    assert "'DONE'" in session.run("er.wait(5)")


def test_settings(ready: Callable[..., Terminal]) -> None:
    """``%crochet_config show`` in a terminal."""
    assert "# Crochet settings:\n - timeout=60\n" in ready().run("%crochet_config show")


def test_works_on_at_the_prompt(ready: Callable[..., Terminal]) -> None:
    """The reactor runs while the prompt waits, and what it prints is seen."""
    session = ready()
    session.run("reactor.callFromThread(reactor.callLater, 0.2, print, 'LATE' + 'R')")
    session.wait_until(lambda: "LATER" in session.transcript)
    assert "2" in session.run("1 + 1")


def test_reload_and_unload(ready: Callable[..., Terminal]) -> None:
    """Reload and unload in a terminal; then IPython's own awaiting is back."""
    session = ready()
    session.run("%reload_ext twisted_ipython")
    assert "'AGAIN'" in session.run("await sleep(0.01, 'again'.upper())")
    session.run("%unload_ext twisted_ipython")
    assert "`asyncio`" in session.run("%autoawait")
    assert "'STOCK'" in session.run("await asyncio.sleep(0.01, 'stock'.upper())")
    assert session.exit() < 3


def test_library_that_stops_the_reactor(ready: Callable[..., Terminal]) -> None:
    """``reactor.stop()`` and ``reactor.run()`` are refused, and the reactor goes on."""
    session = ready()
    assert "reactor.stop" in session.run("reactor.stop()").replace(
        "reactor.stop()\n", "", 1
    )
    assert "await" in session.run("reactor.run()")
    assert "'AGAIN'" in session.run("await sleep(0.01, 'again'.upper())")


def test_no_words_at_start_and_end(terminal: Callable[..., Terminal]) -> None:
    """Loading and leaving add no line to what IPython prints."""
    plain, loaded = terminal(), terminal(*AWAITING)
    for session in (plain, loaded):
        session.exit()
        assert session.child.exitstatus == 0
    assert loaded.transcript == plain.transcript


def test_configuration_file(terminal: Callable[..., Terminal]) -> None:
    """The extension loaded and switched on by ``ipython_config.py``."""
    session = terminal(
        config=(
            "c = get_config()\n"
            "c.InteractiveShellApp.extensions = ['twisted_ipython']\n"
            "c.TwistedIPython.autoawait = True\n"
        )
    )
    session.run("from twisted.internet.defer import succeed")
    assert "'AWAITED'" in session.run("await succeed('awaited'.upper())")


# ipython -c and .ipy files


CELL = (
    "from twisted.internet import reactor, task\n"
    "print(await task.deferLater(reactor, 0.01, lambda: 'awaited'))"
)


def test_command(ipython: Callable[..., Program]) -> None:
    """``ipython --ext … -c`` awaits, prints, and ends with status 0."""
    done = ipython(*AWAITING, "-c", CELL)
    assert (done.status, done.output) == (0, "awaited\n"), str(done)


def test_command_by_configuration(ipython: Callable[..., Program]) -> None:
    """The same with the extension loaded by the configuration file."""
    config = (
        "c = get_config()\n"
        "c.InteractiveShellApp.extensions = ['twisted_ipython']\n"
        "c.TwistedIPython.autoawait = True\n"
    )
    done = ipython("-c", CELL, config=config)
    assert (done.status, done.output) == (0, "awaited\n"), str(done)


def test_command_that_mixes(ipython: Callable[..., Program]) -> None:
    """asyncio and Twisted in one command."""
    code = (
        HELPERS + "print(await asyncio.gather(sleep(0.01, 1), asyncio.sleep(0.01, 2)))"
    )
    done = ipython(*AWAITING, "-c", code)
    assert (done.status, done.output) == (0, "[1, 2]\n"), str(done)


def test_command_that_fails(ipython: Callable[..., Program]) -> None:
    """An error is shown once, with the user's frames, and the status is 1."""
    done = ipython(*AWAITING, "-c", CELL + "\n1 / 0")
    assert done.status == 1, str(done)
    assert errors(done.output, "ZeroDivisionError") == 1, str(done)
    assert "File " not in done.output, str(done)


def test_command_that_times_out(ipython: Callable[..., Program]) -> None:
    """A timeout ends the command with status 1 and one error."""
    code = HELPERS + "await sleep(60)"
    done = ipython(*AWAITING, "--TwistedIPython.timeout=0.5", "-c", code)
    assert done.status == 1, str(done)
    assert done.output.count("Traceback (most recent call last)") == 1, str(done)
    assert "0.5 s" in done.output


def test_command_ends_with_work_left(ipython: Callable[..., Program]) -> None:
    """Work left in the reactor does not hold the command."""
    code = HELPERS + "await sleep(0)\nreactor.callLater(600, print)\nd = pending()"
    done = ipython(*AWAITING, "-c", code)
    assert (done.status, done.output) == (0, ""), str(done)
    assert done.seconds < 10


def test_file(ipython: Callable[..., Program], tmp_path: Path) -> None:
    """An ``.ipy`` file awaits on any of its lines, and uses IPython's syntax."""
    (tmp_path / "file.ipy").write_text(
        f"{CELL}\n"
        "%crochet_config timeout 5\n"
        "async def twice(x):\n"
        "    return await task.deferLater(reactor, 0.01, lambda: 2 * x)\n"
        "\n"
        "print(await twice(4))\n"
    )
    done = ipython(*AWAITING, "file.ipy")
    assert (done.status, done.output) == (0, "awaited\nSetting timeout to 5!\n8\n"), (
        str(done)
    )


def test_file_that_fails(ipython: Callable[..., Program], tmp_path: Path) -> None:
    """An error in an ``.ipy`` file is shown once."""
    (tmp_path / "file.ipy").write_text(f"{CELL}\n1 / 0\n")
    done = ipython(*AWAITING, "file.ipy")
    assert errors(done.output, "ZeroDivisionError") == 1, str(done)
    assert "awaited" in done.output
