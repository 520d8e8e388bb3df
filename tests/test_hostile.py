"""
What nobody would write on purpose, and somebody's code does.
"""

from __future__ import annotations

import pytest

from checks import awaits, begun, interrupt, was_interrupted
from kernels import Kernel


@pytest.mark.parametrize(
    "body", ["exceptions = None", "exceptions = ['a', 'b']", "exceptions = 5"]
)
@pytest.mark.parametrize("before", ["", "await sleep(0)\n"], ids=["plain", "awaiting"])
def test_error_with_odd_attributes(kernel: Kernel, body: str, before: str) -> None:
    """An exception that has ``exceptions`` and is no group is shown like any other."""
    source = f"{before}class Odd(Exception):\n    {body}\nraise Odd('shown')"
    error = kernel.run(source).only_error
    assert (error.ename, error.evalue) == ("Odd", "shown")


def test_generator_exit_of_the_user(kernel: Kernel) -> None:
    """``raise GeneratorExit`` in a cell is an error of that cell."""
    assert kernel.run("raise GeneratorExit('mine')").only_error.evalue == "mine"


@pytest.mark.parametrize(
    "request_type, content",
    [
        ("is_complete_request", {"code": "x"}),
        ("complete_request", {"code": "import o", "cursor_pos": 8}),
        ("history_request", {"hist_access_type": "tail", "n": 1}),
        ("comm_info_request", {}),
    ],
)
def test_interrupts_around_other_requests(
    kernel: Kernel, request_type: str, content: dict[str, object]
) -> None:
    """Interrupts while a kernel answers what is no cell do not end it."""
    for _ in range(20):
        kernel.request(request_type, content)
        kernel.interrupt()
        kernel.interrupt()
    awaits(kernel)


def test_stop_that_a_callback_swallows(kernel: Kernel) -> None:
    """
    A loop that spends its time in callbacks of Deferreds is stopped, although a
    Deferred takes whatever its callbacks raise for a failure.
    """
    cell = begun(
        kernel,
        "def work(_):\n"
        "    until = time.time() + 0.05\n"
        "    while time.time() < until: pass\n"
        "await sleep(0)\n"
        "print('begun')\n"
        "while True:\n"
        "    d = Deferred()\n"
        "    d.addCallback(work).addErrback(lambda failure: None)\n"
        "    d.callback(1)",
    )
    assert interrupt(cell) < 2
    assert cell.only_error.ename == "KeyboardInterrupt"
    awaits(kernel)


def test_gathered_results(kernel: Kernel) -> None:
    """What ends a cell inside ``gatherResults`` is no FirstError."""
    cell = begun(
        kernel,
        "def spin(_):\n"
        "    while True: pass\n"
        "await sleep(0)\n"
        "print('begun')\n"
        "await defer.gatherResults([succeed(1).addCallback(spin), succeed(2)])",
    )
    assert interrupt(cell) < 2
    assert cell.only_error.ename == "KeyboardInterrupt"
    awaits(kernel)


def test_signal_handler_that_raises(kernel: Kernel) -> None:
    """What a signal handler of the user's raises ends the cell, with clean-up."""
    cell = kernel.run(
        "import signal\n"
        "class Alarm(Exception): pass\n"
        "def ring(*_): raise Alarm('rang')\n"
        "signal.signal(signal.SIGALRM, ring)\n"
        "signal.setitimer(signal.ITIMER_REAL, 0.3)\n"
        "log = []"
    )
    cell = kernel.run(
        "try:\n    await sleep(3)\n    log.append('went on')\n"
        "finally:\n    log.append('cleaned up')"
    )
    assert cell.status == "error"
    assert kernel.value("log") == ["cleaned up"]
    awaits(kernel)


def test_exit_in_an_awaiting_cell(fresh_kernel) -> None:
    """A cell that calls ``exit()`` goes on to its end, as a plain one does."""
    kernel = fresh_kernel()
    cell = kernel.run("await sleep(0)\nexit()\nawait sleep(0.05)\nprint('end')")
    assert cell.status == "ok"
    assert cell.stdout == "end\n"


def test_two_shells(fresh_kernel) -> None:
    """Unloading in one shell takes nothing from another of the same process."""
    kernel = fresh_kernel()
    kernel.ok(
        "from IPython.core.interactiveshell import InteractiveShell\n"
        "class Second(InteractiveShell): pass\n"
        "second = Second()\n"
        "second.run_line_magic('load_ext', 'twisted_ipython')\n"
        "second.run_line_magic('unload_ext', 'twisted_ipython')"
    )
    assert kernel.run("reactor.stop()").only_error.ename == "StopRefused"
    assert kernel.ok("await crochet.run_in_reactor(lambda: 5)()").result == "5"
    awaits(kernel)


def test_interrupted_while_it_is_interrupted(kernel: Kernel) -> None:
    """Interrupts in quick succession are one error, whatever they come upon."""
    for _ in range(15):
        cell = begun(kernel, "print('begun')\nawait sleep(60)")
        for _ in range(4):
            kernel.interrupt()
        cell.wait(15)
        was_interrupted(cell, "await sleep(60)")
    awaits(kernel)
