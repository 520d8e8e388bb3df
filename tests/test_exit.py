"""
Kernel shutdown and ``exit()`` complete, whatever is stuck.

Within three seconds; more are allowed here, since the machine may be busy with other
tests. What is stuck would be so for ten minutes.
"""

from __future__ import annotations

from collections.abc import Callable

import pytest

from checks import begun
from kernels import Kernel
from terminals import Terminal

LIMIT = 10.0

STUCK = {
    "awaiting": "print('begun')\nawait pending()",
    "awaiting asyncio": "print('begun')\nawait asyncio.sleep(600)",
    "spin after an await": "await sleep(0)\nprint('begun')\nwhile True: pass",
    "loop of fired awaits": "print('begun')\nwhile True: await succeed(1)",
    "long call in C": "await sleep(0)\nprint('begun')\ntime.sleep(600)",
    "long finally": "try:\n    print('begun')\n    await pending()\nfinally:\n    await pending()",
    "swallows everything": (
        "print('begun')\nwhile True:\n    try:\n        await sleep(0.05)\n"
        "    except BaseException:\n        pass"
    ),
    "spins and swallows": (
        "await sleep(0)\nprint('begun')\nwhile True:\n    try:\n        while True: pass\n"
        "    except BaseException:\n        pass"
    ),
    "plain cell in C": "print('begun')\ntime.sleep(600)",
    "thread pool": "print('begun')\nawait threads.deferToThread(time.sleep, 600)",
    "asyncio.to_thread": (
        "print('begun')\nawait asyncio.get_running_loop().run_in_executor(None, time.sleep, 600)"
    ),
    "crochet wait": (
        "@crochet.run_in_reactor\ndef later():\n    return pending()\n"
        "print('begun')\nlater().wait(600)"
    ),
}


@pytest.mark.parametrize("name", STUCK)
def test_shutdown_while_stuck(fresh_kernel: Callable[..., Kernel], name: str) -> None:
    """A shutdown request ends a kernel whose cell is stuck."""
    kernel = fresh_kernel()
    begun(kernel, STUCK[name])
    assert kernel.shutdown(interrupt_first=name == "crochet wait") < LIMIT


@pytest.mark.parametrize("name", ["awaiting", "long call in C", "spins and swallows"])
def test_jupyters_shutdown_while_stuck(
    fresh_kernel: Callable[..., Kernel], name: str
) -> None:
    """So does the shutdown that Jupyter's managers make: an interrupt, then the request."""
    kernel = fresh_kernel()
    begun(kernel, STUCK[name])
    assert kernel.shutdown(interrupt_first=True) < LIMIT


LEFT_BEHIND = {
    "nothing": "1",
    "delayed calls": "await sleep(0)\nreactor.callLater(600, print)",
    "background task": (
        "async def forever():\n    while True:\n        await sleep(0.01)\n"
        "await sleep(0)\nkept = asyncio.create_task(forever())"
    ),
    "task that swallows": (
        "async def forever():\n    while True:\n        try:\n            await sleep(0.01)\n"
        "        except BaseException:\n            pass\n"
        "await sleep(0)\nkept = asyncio.create_task(forever())"
    ),
    "looping call": "await sleep(0)\nd = task.LoopingCall(lambda: None).start(0.01)\nNone",
    "server": (
        "from twisted.web.server import Site\nfrom twisted.web.resource import Resource\n"
        "await sleep(0)\nport = reactor.listenTCP(0, Site(Resource()), interface='127.0.0.1')"
    ),
    "spin under run_in_reactor": "%%run_in_reactor er\nwhile True: pass",
    "sleep under run_in_reactor": "%%run_in_reactor er\ntime.sleep(600)",
    "thread pool": "%%run_in_reactor er\nreturn threads.deferToThread(time.sleep, 600)",
    "process": (
        "await sleep(0)\nfrom twisted.internet import utils\n"
        "d = utils.getProcessOutput('/bin/sleep', ['600'])\nNone"
    ),
    "shutdown trigger that never fires": (
        "await sleep(0)\nreactor.addSystemEventTrigger('before', 'shutdown', pending)\nNone"
    ),
}


@pytest.mark.parametrize("name", LEFT_BEHIND)
def test_shutdown_with_something_left(
    fresh_kernel: Callable[..., Kernel], name: str
) -> None:
    """A kernel at rest shuts down, whatever the reactor still has to do."""
    kernel = fresh_kernel()
    kernel.ok(LEFT_BEHIND[name])
    assert kernel.shutdown() < LIMIT
    assert "Traceback" not in "".join(
        m.content["text"] for m in kernel.messages if m.type == "stream"
    ), kernel.report()


def test_shutdown_after_giving_up(fresh_kernel: Callable[..., Kernel]) -> None:
    """A kernel whose long call could not be interrupted shuts down while it lasts."""
    kernel = fresh_kernel()
    cell = begun(kernel, "await sleep(0)\nprint('begun')\ntime.sleep(600)")
    kernel.interrupt()
    cell.wait(10)
    assert kernel.shutdown() < LIMIT


def test_shutdown_after_unload(fresh_kernel: Callable[..., Kernel]) -> None:
    """After unloading, the reactor thread still does not hold the kernel."""
    kernel = fresh_kernel()
    kernel.ok("%unload_ext twisted_ipython")
    assert kernel.shutdown() < LIMIT


def test_reactor_is_stopped_at_the_end(
    fresh_kernel: Callable[..., Kernel], tmp_path_factory: pytest.TempPathFactory
) -> None:
    """At the end the reactor stops in order: shutdown triggers run."""
    note = tmp_path_factory.mktemp("exit") / "note"
    kernel = fresh_kernel()
    kernel.ok(
        f"from pathlib import Path\nawait sleep(0)\n"
        f"note = Path({str(note)!r})\n"
        "reactor.addSystemEventTrigger('before', 'shutdown', note.write_text, 'ran')\nNone"
    )
    kernel.shutdown()
    assert note.exists() and note.read_text() == "ran"


# In the terminal


@pytest.mark.parametrize(
    "name",
    [
        "nothing",
        "background task",
        "looping call",
        "spin under run_in_reactor",
        "sleep under run_in_reactor",
        "thread pool",
        "shutdown trigger that never fires",
    ],
)
def test_exit_with_something_left(
    awaiting_terminal: Callable[..., Terminal], name: str
) -> None:
    """``exit()`` in a terminal ends it, status 0, and prints no traceback."""
    from kernels import HELPERS

    terminal = awaiting_terminal()
    (terminal.directory / "helpers.py").write_text(HELPERS)
    (terminal.directory / "cell.ipy").write_text(LEFT_BEHIND[name])
    terminal.run("%run -i helpers.py")
    source = "get_ipython().run_cell(open('cell.ipy').read());"
    assert "Error" not in terminal.run(source), terminal.report()
    assert terminal.exit() < LIMIT
    assert terminal.child.exitstatus == 0, terminal.report()
    assert "Traceback" not in terminal.transcript, terminal.report()


def test_exit_after_giving_up(awaiting_terminal: Callable[..., Terminal]) -> None:
    """``exit()`` after a call that could not be interrupted ends the terminal while it lasts."""
    terminal = awaiting_terminal()
    terminal.run("import time; from twisted.internet.defer import succeed")
    terminal.start("await succeed(1); print('be' + 'gun'); time.sleep(600)")
    terminal.wait_for("begun")
    terminal.interrupt()
    terminal.wait_for_prompt(10)
    assert terminal.exit() < LIMIT


def test_exit_from_an_awaiting_cell(awaiting_terminal: Callable[..., Terminal]) -> None:
    """``exit()`` in a cell that awaits ends the terminal as well."""
    terminal = awaiting_terminal()
    terminal.run("from twisted.internet.defer import succeed")
    terminal.type("await succeed(1); exit()")
    assert terminal.wait_for_end(LIMIT) == 0
    assert "Traceback" not in terminal.transcript, terminal.report()


def test_end_of_file(awaiting_terminal: Callable[..., Terminal]) -> None:
    """Ctrl-D at the prompt ends the terminal with work in the background."""
    terminal = awaiting_terminal()
    terminal.run("from twisted.internet import reactor, task")
    terminal.run(
        "loop = task.LoopingCall(lambda: None); reactor.callFromThread(loop.start, 0.01)"
    )
    terminal.press("d")
    assert terminal.wait_for_end(LIMIT) == 0
    assert "Traceback" not in terminal.transcript, terminal.report()


def test_cell_that_calls_exit_takes_its_time(fresh_kernel) -> None:
    """Only an order to shut down has a time limit; a cell after ``exit()`` has none."""
    kernel = fresh_kernel()
    cell = kernel.run("exit()\ntime.sleep(3.2)\nprint('end')")
    assert cell.status == "ok"
    assert cell.stdout == "end\n"
