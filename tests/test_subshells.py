"""Awaiting, interrupts and timeouts in a subshell of ipykernel 7."""

from __future__ import annotations

import contextlib
from collections.abc import Callable

import pytest

from checks import (
    PROMPT_BACK,
    STOPPED,
    awaits,
    begun,
    interrupt,
    no_more_than_said,
    timed_out,
    was_interrupted,
)
from kernels import Kernel


@pytest.fixture
def subshell(kernel: Kernel) -> str:
    """The id of a new subshell of the kernel."""
    if not kernel.has_subshells:
        pytest.skip("this ipykernel has no subshells")
    return kernel.new_subshell()


def test_await(kernel: Kernel, subshell: str) -> None:
    """A cell in a subshell awaits."""
    assert (
        kernel.ok("await sleep(0.01, 'there')", subshell=subshell).result == "'there'"
    )


def test_await_while_the_main_shell_awaits(kernel: Kernel, subshell: str) -> None:
    """It does while the main shell awaits, and what it fires ends the other cell."""
    main = begun(kernel, "gate = Deferred()\nprint('begun')\nawait gate")
    other = kernel.ok(
        "await sleep(0.05)\nprint('sub')\ngate.callback('opened')", subshell=subshell
    )
    assert main.wait().result == "'opened'"
    assert main.stdout == "begun\n" and other.stdout == "sub\n"


def test_await_while_the_main_shell_computes(kernel: Kernel, subshell: str) -> None:
    """It does while a plain cell runs in the main shell."""
    main = begun(
        kernel, "stop = False\nprint('begun')\nwhile not stop: time.sleep(0.01)"
    )
    kernel.ok("await sleep(0.05)\nstop = True", subshell=subshell)
    assert main.wait().status == "ok"


def test_two_subshells(kernel: Kernel, subshell: str) -> None:
    """Two subshells and the main shell await at once; each output is its cell's."""
    second = kernel.new_subshell()
    source = "await sleep(0.1)\nprint({0!r})\nawait asyncio.sleep(0.1, {0!r})"
    cells = {
        "main": kernel.start(source.format("main")),
        "first": kernel.start(source.format("first"), subshell=subshell),
        "second": kernel.start(source.format("second"), subshell=second),
    }
    for name, cell in cells.items():
        cell.wait()
        assert (cell.stdout, cell.result) == (f"{name}\n", repr(name))


@pytest.mark.parametrize("by", ["interrupt", "interrupt_by_message"])
def test_interrupt(kernel: Kernel, subshell: str, by: str) -> None:
    """An interrupt ends a cell that awaits in a subshell, as in the main shell."""
    source = "print('begun')\ntry:\n    await pending('held')\nfinally:\n    print('finally', cancelled)"
    cell = begun(kernel, source, subshell=subshell)
    assert interrupt(cell, by) < PROMPT_BACK
    was_interrupted(cell, "await pending('held')")
    assert cell.stdout == "begun\nfinally ['held']\n"
    awaits(kernel)
    awaits(kernel, subshell=subshell)
    no_more_than_said(kernel)


@pytest.mark.parametrize(
    "source, line",
    [
        ("await sleep(0)\nprint('begun')\nwhile True: pass", "while True: pass"),
        (
            "print('begun')\nwhile True: await succeed(1)",
            "while True: await succeed(1)",
        ),
    ],
    ids=["spin", "fired awaits"],
)
def test_interrupt_a_hog(kernel: Kernel, subshell: str, source: str, line: str) -> None:
    """A cell of a subshell that hogs the reactor thread is stopped as well."""
    cell = begun(kernel, source, subshell=subshell)
    assert interrupt(cell) < STOPPED
    was_interrupted(cell, line)
    awaits(kernel)
    awaits(kernel, subshell=subshell)


def test_interrupt_twice_quickly(kernel: Kernel, subshell: str) -> None:
    """Two interrupts at once are one error of the subshell's cell, time and again."""
    for _ in range(10):
        cell = begun(kernel, "print('begun')\nawait pending('held')", subshell=subshell)
        kernel.interrupt()
        kernel.interrupt()
        cell.wait(10)
        was_interrupted(cell, "await pending('held')")
        awaits(kernel, subshell=subshell)


def test_interrupt_of_both(kernel: Kernel, subshell: str) -> None:
    """With both shells awaiting, interrupts end both, one error each."""
    main = begun(kernel, "print('begun')\nawait pending('main')")
    sub = begun(kernel, "print('begun')\nawait pending('sub')", subshell=subshell)
    for _ in range(2):
        kernel.interrupt()
        with contextlib.suppress(AssertionError):
            kernel.wait_until(lambda: main.done and sub.done, 1)
            break
    for cell in (main, sub):
        cell.wait(10)
        assert cell.only_error.ename == "KeyboardInterrupt"
    awaits(kernel)
    awaits(kernel, subshell=subshell)


def test_interrupt_of_the_main_shell_beside_a_subshell(
    kernel: Kernel, subshell: str
) -> None:
    """An interrupt ends the main shell's cell also when a subshell has been used before."""
    awaits(kernel, subshell=subshell)
    cell = begun(kernel, "print('begun')\nawait pending('held')")
    assert interrupt(cell) < PROMPT_BACK
    was_interrupted(cell, "await pending('held')")
    awaits(kernel, subshell=subshell)


def test_plain_cell_is_interrupted_as_ever(kernel: Kernel, subshell: str) -> None:
    """A plain cell of the main shell is interrupted as ever after subshells have run."""
    awaits(kernel, subshell=subshell)
    cell = begun(kernel, "print('begun')\nwhile True: pass")
    assert interrupt(cell) < PROMPT_BACK
    was_interrupted(cell, "while True: pass")
    awaits(kernel)


def test_timeout(kernel: Kernel, subshell: str) -> None:
    """A timeout in a subshell is one error of that cell."""
    kernel.ok("%crochet_config timeout 0.3")
    cell = kernel.run("await sleep(60)", subshell=subshell)
    timed_out(cell, "0.3", "await sleep(60)")
    awaits(kernel, subshell=subshell)


def test_long_call_in_c(fresh_kernel: Callable[..., Kernel]) -> None:
    """Where nothing can stop it, the subshell's prompt is back in three seconds."""
    kernel = fresh_kernel()
    if not kernel.has_subshells:
        pytest.skip("this ipykernel has no subshells")
    cell = begun(
        kernel,
        "await sleep(0)\nprint('begun')\ntime.sleep(5)",
        subshell=kernel.new_subshell(),
    )
    assert interrupt(cell) < PROMPT_BACK
    assert len(cell.errors) <= 1
    assert kernel.ok("1 + 1").result == "2"
    awaits(kernel, within=15)


def test_run_in_reactor(kernel: Kernel, subshell: str) -> None:
    """``%%run_in_reactor`` in a subshell: same namespace, same reactor."""
    kernel.ok(
        "%%run_in_reactor of_sub\nx = await sleep(0.01, 'sub')\nreturn x",
        subshell=subshell,
    )
    assert kernel.ok("of_sub.wait(5)").result == "'sub'"


def test_settings(kernel: Kernel, subshell: str) -> None:
    """A setting made in a subshell is the kernel's."""
    kernel.ok("%crochet_config timeout 7", subshell=subshell)
    assert (
        kernel.ok("%crochet_config show").stdout
        == "# Crochet settings:\n - timeout=7\n"
    )


def test_shutdown_while_a_subshell_awaits(fresh_kernel: Callable[..., Kernel]) -> None:
    """A kernel whose subshell awaits for ever shuts down in three seconds."""
    kernel = fresh_kernel()
    if not kernel.has_subshells:
        pytest.skip("this ipykernel has no subshells")
    begun(kernel, "print('begun')\nawait pending()", subshell=kernel.new_subshell())
    assert kernel.shutdown() < 3
