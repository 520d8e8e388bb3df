"""
``twisted-ipython attach``: the prompt, in a real terminal, on a real kernel.
"""

from __future__ import annotations

import re
import signal
import sys
import time
from collections.abc import Callable, Iterator

import pytest

from checks import PROMPT_BACK
from commands import FakeApplication, Runtime, wait_until
from terminals import Terminal
from twisted_ipython.console import directory
from twisted_ipython.console.others import shown


@pytest.fixture
def runtime() -> Iterator[Runtime]:
    made = Runtime()
    yield made
    made.close()


@pytest.fixture
def application(runtime: Runtime) -> FakeApplication:
    return runtime.application("web")


@pytest.fixture
def attach(runtime: Runtime) -> Iterator[Callable[..., Terminal]]:
    """Attaches to ``web`` in a terminal, and waits for the prompt."""
    started: list[Terminal] = []

    def start(
        *arguments: str, ready: bool = True, environment: dict[str, str] | None = None
    ) -> Terminal:
        command = [sys.executable, "-m", "twisted_ipython", "attach", "web", *arguments]
        terminal = Terminal(
            simple=False,
            command=command,
            environment={
                "JUPYTER_RUNTIME_DIR": str(runtime.path),
                **(environment or {}),
            },
        )
        started.append(terminal)
        if ready:
            terminal.wait_for_prompt()
        return terminal

    yield start
    for each in started:
        each.kill()


def interrupts(terminal: Terminal) -> int:
    """How many cells were interrupted since the last input."""
    heading = r"^(?:\^C)?(?:-+\n)?(KeyboardInterrupt|CancelledError) +Traceback"
    return len(re.findall(heading, terminal.since, re.MULTILINE))


def test_attach_and_leave(
    application: FakeApplication, attach: Callable[..., Terminal]
) -> None:
    """It opens with who it is and how to leave; a cell runs; exit leaves."""
    terminal = attach()
    banner = terminal.transcript
    assert f"Live console of web ({application.pid})" in banner
    assert "Cells run in its reactor thread; await works; exit leaves" in banner
    assert "%%thread" in banner
    assert "Out[1]: 42" in terminal.run("6 * 7")
    terminal.type("exit")
    assert terminal.wait_for_end() == 0
    assert f"left web ({application.pid}); it goes on" in terminal.since
    assert "Shutting down" not in terminal.transcript
    assert "keeping kernel" not in terminal.transcript
    assert "Out[2]: 43" in attach().run("6 * 7 + 1")  # nor is the kernel hurt
    assert application.says().state == directory.OPEN


@pytest.mark.parametrize("how", ["exit()", "quit", "quit()", "^D", "^\\"])
def test_ways_to_leave(
    application: FakeApplication, attach: Callable[..., Terminal], how: str
) -> None:
    """Each leaves at once, and asks nothing."""
    terminal = attach()
    began = time.monotonic()
    if how.startswith("^"):
        terminal.press(how[1].lower())
    else:
        terminal.type(how)
    assert terminal.wait_for_end() == 0
    assert time.monotonic() - began < 10, terminal.report()
    assert "it goes on" in terminal.since
    assert application.lives, application.report()


def test_attach_is_quick(
    application: FakeApplication, attach: Callable[..., Terminal]
) -> None:
    """From the command to the prompt, the kernel's opening included."""
    began = time.monotonic()
    attach()
    # 0.4 to 0.6 on an idle machine; this one may be busy with other tests.
    assert time.monotonic() - began < 10


# -- Ctrl-C --------------------------------------------------------------------


@pytest.mark.parametrize(
    "cell",
    [
        "print('begun')\nwhile True: pass",
        "import time; print('begun'); time.sleep(60)",
        "import asyncio; print('begun'); await asyncio.sleep(60)",
        "print('begun'); input('well? ')",
        "from getpass import getpass; print('begun'); getpass('well? ')",
    ],
    ids=["loop", "sleep", "await", "input", "getpass"],
)
def test_interrupt(
    application: FakeApplication, attach: Callable[..., Terminal], cell: str
) -> None:
    """One Ctrl-C ends the cell, with one error; the next cell runs."""
    terminal = attach()
    terminal.start(cell)
    terminal.wait_for("well?" if "well?" in cell else "\nbegun")
    if "well?" in cell:
        terminal.wait_until(
            lambda: terminal.since.rstrip().endswith("well?"), what="the question"
        )
    terminal.interrupt()
    terminal.wait_for_prompt(10)
    assert interrupts(terminal) == 1, terminal.report()
    assert "ERROR" not in terminal.transcript
    assert "escaped" not in terminal.transcript
    assert "42" in terminal.run("6 * 7")
    assert application.lives, application.report()


def test_interrupt_is_quick(
    application: FakeApplication, attach: Callable[..., Terminal]
) -> None:
    """The prompt is back before one has noticed."""
    terminal = attach()
    terminal.start("print('begun')\nwhile True: pass")
    terminal.wait_for("\nbegun")
    began = terminal.interrupt()
    terminal.wait_for_prompt(10)
    assert time.monotonic() - began < PROMPT_BACK


def test_interrupt_names_the_session(
    application: FakeApplication, attach: Callable[..., Terminal]
) -> None:
    """The interrupt comes from the session of the cell: the kernel can tell whose."""
    terminal = attach()
    terminal.start(
        "kernel = get_ipython().kernel\n"
        "def session(channel):\n"
        "    return kernel.get_parent(channel)['header']['session']\n"
        "try:\n"
        "    print('begun')\n"
        "    while True: pass\n"
        "except KeyboardInterrupt:\n"
        "    parent = kernel.get_parent('control')['header']\n"
        "    print(parent['msg_type'], session('control') == session('shell'))"
    )
    terminal.wait_for("\nbegun")
    terminal.interrupt()
    terminal.wait_for_prompt(10)
    assert "interrupt_request True" in terminal.since


def test_a_cell_that_goes_on(
    application: FakeApplication, attach: Callable[..., Terminal]
) -> None:
    """A cell that handles its interrupt prints, and asks, as before."""
    terminal = attach()
    terminal.start(
        "try:\n"
        "    print('begun')\n"
        "    while True: pass\n"
        "except KeyboardInterrupt:\n"
        "    print('answer', input('more? '))"
    )
    terminal.wait_for("\nbegun")
    terminal.interrupt()
    terminal.wait_for("more?")
    terminal.type("yes")
    terminal.wait_for("answer yes")
    terminal.wait_for_prompt()


def test_leave_a_cell_that_cannot_be_interrupted(
    application: FakeApplication, attach: Callable[..., Terminal]
) -> None:
    """Where Ctrl-C has no effect, the second one says how to leave."""
    terminal = attach()
    terminal.start("import time; print('begun'); time.sleep(60)")
    terminal.wait_for("\nbegun")
    application.signal(signal.SIGSTOP)
    hint = "(not interrupted yet; Ctrl-\\ leaves, and lets the cell go on)"

    def hinted() -> bool:
        terminal.press("c")  # pressed too quickly, two are one signal
        terminal.pump(0.1)
        return hint in terminal.since

    terminal.wait_until(hinted, what=hint)
    terminal.press("\\")
    assert terminal.wait_for_end() == 0
    application.signal(signal.SIGCONT)
    assert "Traceback" not in terminal.transcript
    assert application.lives, application.report()


def test_interrupt_at_the_prompt(
    application: FakeApplication, attach: Callable[..., Terminal]
) -> None:
    """Where no cell runs, Ctrl-C clears the line."""
    terminal = attach()
    terminal.child.send("1/0")
    terminal.wait_for("1/0")
    terminal.press("c")
    assert "Out[1]: 42" in terminal.run("6 * 7")
    assert "Error" not in terminal.transcript
    assert "Interrupt" not in terminal.transcript


def test_input(application: FakeApplication, attach: Callable[..., Terminal]) -> None:
    """What a cell asks for is typed here."""
    terminal = attach()
    terminal.start("'got ' + input('name? ')")
    terminal.wait_until(
        lambda: terminal.since.rstrip().endswith("name?"), what="the question"
    )
    terminal.type("alice")
    assert "'got alice'" in terminal.wait_for_prompt()

    terminal.start("from getpass import getpass; len(getpass('secret? '))")
    terminal.wait_until(
        lambda: terminal.since.rstrip().endswith("secret?"), what="the question"
    )
    terminal.type("hidden")
    said = terminal.wait_for_prompt()
    assert "Out[2]: 6" in said and "hidden" not in said

    terminal.start("input('name? ')")
    terminal.wait_until(
        lambda: terminal.since.rstrip().endswith("name?"), what="the question"
    )
    terminal.press("d")
    assert "EOFError" in terminal.wait_for_prompt()


# -- Others --------------------------------------------------------------------


def test_others_are_shown(
    application: FakeApplication, attach: Callable[..., Terminal]
) -> None:
    """What another client types and gets is shown as its own, above the prompt."""
    here, there = attach(), attach()
    here.child.send("half a line")
    here.wait_for("half a line")
    there.run("print('one\\ntwo', end='')")
    here.wait_for("Remote two")
    there.run("6 * 7")
    here.wait_for("Remote Out[2]: 42")
    there.run("1 / 0")
    here.wait_for("Remote ZeroDivisionError")
    assert "Remote In [1]: print('one\\ntwo', end='')" in here.since
    assert "Remote one\n" in here.since
    assert "Remote" not in there.transcript
    # The line that was begun is there still, below; and the numbers follow.
    here.wait_until(
        lambda: here.since.rstrip().endswith("In [4]: half a line"), what="the prompt"
    )


def test_others_while_a_cell_runs(
    application: FakeApplication, attach: Callable[..., Terminal]
) -> None:
    """A line that another's output breaks into is ended first."""
    here, there = attach(), attach()
    here.start(
        "import threading, time\n"
        "print('mine', end='')\n"
        "while threading.active_count() < 10**6 and not globals().get('over'):\n"
        "    time.sleep(0.01)\n"
        "    over = True"
    )
    here.wait_for("mine")
    here.wait_for_prompt()
    there.run("'theirs'")
    here.wait_for("Remote Out[2]: 'theirs'")
    assert "mineRemote" not in here.transcript


def message(kind: str, **content: object) -> dict[str, object]:
    return {"msg_type": kind, "content": content}


@pytest.mark.parametrize(
    "sent, lines",
    [
        (message("execute_input", code="a\nb", execution_count=3), "\n> In [3]: a\n>         b\n"),
        (message("execute_result", data={"text/plain": "5"}, execution_count=3), "> Out[3]: 5\n"),
        (message("execute_result", data={}, execution_count=3), ""),
        (message("stream", text="a\n\nb"), "> a\n> \n> b\n"),
        (message("stream", text="a\n"), "> a\n"),
        (message("stream", text=""), ""),
        (message("display_data", data={"text/plain": "fig"}), "> fig\n"),
        (message("display_data", data={"image/png": "..."}), ""),
        (message("error", traceback=["a", "b"]), "> a\n> b\n"),
        (message("status", execution_state="busy"), ""),
        (message("comm_open", data={}), ""),
    ],
)  # fmt: skip
def test_others_messages(sent: dict[str, object], lines: str) -> None:
    """Whole lines, each marked."""
    assert shown(sent, "> ") == lines


# -- The application is gone, or busy ------------------------------------------


@pytest.mark.parametrize(
    "cell", ["", "import time; print('begun'); time.sleep(60)", "input('well? ')"]
)
@pytest.mark.parametrize("end", ["ends", "closes"])
def test_it_goes_away(
    application: FakeApplication,
    attach: Callable[..., Terminal],
    cell: str,
    end: str,
) -> None:
    """Whatever goes on at the prompt: a sentence, and the command ends."""
    terminal = attach()
    if cell:
        terminal.start(cell)
        terminal.wait_until(
            lambda: terminal.since.rstrip().endswith(("\nbegun", "well?")),
            what="the cell",
        )
    if end == "ends":
        application.kill()
    else:
        application.signal(signal.SIGUSR1)
    assert terminal.wait_for_end(10) == 1
    said = terminal.transcript.split("\n")
    label = f"twisted-ipython: web ({application.pid})"
    expected = f"{label} has {'ended' if end == 'ends' else 'closed its console'}"
    assert any(line.startswith(expected) for line in said), terminal.report()
    assert "Traceback" not in terminal.transcript


def test_busy_and_then_a_prompt(
    runtime: Runtime, attach: Callable[..., Terminal]
) -> None:
    """It says what it waits for, and goes on as soon as it can."""
    application = runtime.application("web", "late")
    terminal = attach(ready=False)
    terminal.wait_for("s; it is at fake_application.py")
    assert "is busy: its reactor has not answered for" in terminal.since
    application.signal(signal.SIGUSR1)
    terminal.wait_for_prompt()
    assert "42" in terminal.run("6 * 7")


def test_interrupted_while_it_waits(
    runtime: Runtime, attach: Callable[..., Terminal]
) -> None:
    """Ctrl-C while it waits for the application ends the command, quietly."""
    application = runtime.application("web", "stuck")
    terminal = attach(ready=False)
    wait_until(lambda: (application.place / directory.ASKED_FILE).exists())
    terminal.wait_for("is busy")
    terminal.interrupt()
    assert terminal.wait_for_end() == 130
    assert "Traceback" not in terminal.transcript


# -- The user's configuration --------------------------------------------------


@pytest.mark.parametrize(
    "config, said",
    [
        ("c.ZMQTerminalInteractiveShell.other_output_prefix = 'other '", ""),
        ("c.JupyterConsoleApp.confirm_exit = True", ""),
        ("c.JupyterConsoleApp.existing = 'nowhere.json'", ""),
        ("c.ZMQTerminalInteractiveShell.banner = '{nothing}'", ""),
        ("c.Session.key = b'another'", ""),
        ("c.ZMQTerminalInteractiveShell.editing_mode = 17", "left out"),
        ("1 / 0", "left out your configuration of jupyter console: division by zero"),
    ],
)
def test_configuration(
    runtime: Runtime,
    application: FakeApplication,
    attach: Callable[..., Terminal],
    config: str,
    said: str,
) -> None:
    """The user's keys and colours are used; nothing else of it, and nothing breaks."""
    folder = runtime.path / "config"
    folder.mkdir()
    (folder / "jupyter_console_config.py").write_text(config)
    terminal = attach(
        environment={"JUPYTER_CONFIG_DIR": str(folder), "JUPYTER_NO_CONFIG": ""}
    )
    assert said in terminal.transcript
    assert ("left out" in terminal.transcript) == bool(said)
    assert "42" in terminal.run("6 * 7")
    terminal.press("d")
    assert terminal.wait_for_end() == 0
    assert "Traceback" not in terminal.transcript
    assert [each.name for each in folder.iterdir()] == ["jupyter_console_config.py"]
