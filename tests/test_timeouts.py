"""Timeouts: one error, on the user's line, that names its setting. In a real kernel."""

from __future__ import annotations

import sys
from collections.abc import Iterator

import pytest

from checks import awaits, begun, no_more_than_said, now, timed_out, user_frames_only
from kernels import Kernel


@pytest.fixture
def impatient(kernel: Kernel) -> Iterator[Kernel]:
    """The kernel with a timeout of 0.3 seconds."""
    kernel.ok("%crochet_config timeout 0.3")
    yield kernel


def test_one_error(impatient: Kernel) -> None:
    """A cell that takes longer gives one error on its line, with the seconds and the setting."""
    cell = impatient.run("x = 1\nawait sleep(60)")
    error = timed_out(cell, "0.3", "await sleep(60)")
    assert "%crochet_config" in error.evalue
    awaits(impatient)
    no_more_than_said(impatient)


def test_whole_seconds_are_shown_whole(kernel: Kernel) -> None:
    """A timeout of 1 reads ``1 s``, as it was given."""
    kernel.ok("%crochet_config timeout 1")
    began = now()
    cell = kernel.run("await sleep(60)")
    assert cell.replied_at - began >= 1
    timed_out(cell, "1", "await sleep(60)")


def test_its_types(impatient: Kernel) -> None:
    """The error is a ``TimeoutError`` and a ``crochet.TimeoutError``."""
    impatient.run("await sleep(60)")
    impatient.ok("import sys")
    assert impatient.value("isinstance(sys.last_value, TimeoutError)")
    assert impatient.value("isinstance(sys.last_value, crochet.TimeoutError)")


def test_in_time(impatient: Kernel) -> None:
    """A cell that ends in time knows nothing of the timeout."""
    assert impatient.ok("await sleep(0.05, 'in time')").result == "'in time'"


def test_twenty_in_a_row(kernel: Kernel) -> None:
    """Twenty timeouts: exactly one error each, the same each time, and all were cancelled."""
    kernel.ok("%crochet_config timeout 0.1")
    texts = set()
    for i in range(20):
        cell = kernel.run(f"await pending({i})")
        texts.add(
            timed_out(cell, "0.1", f"await pending({i})").evalue.replace(f"({i})", "")
        )
    awaits(kernel)
    assert kernel.value("cancelled") == list(range(20))
    assert len(texts) == 1, texts
    no_more_than_said(kernel)


def test_cancels(impatient: Kernel) -> None:
    """The canceller is called, and ``finally`` runs and prints in that cell."""
    source = (
        "try:\n    await pending('late')\nfinally:\n    print('finally', cancelled)"
    )
    cell = impatient.run(source)
    timed_out(cell, "0.3", "await pending('late')")
    assert cell.stdout == "finally ['late']\n"


def test_finally_that_awaits(impatient: Kernel) -> None:
    """``finally`` may await after a timeout, and runs to its end."""
    source = (
        "try:\n    await pending()\nfinally:\n    print(await sleep(0.2, 'cleaned up'))"
    )
    cell = impatient.run(source)
    timed_out(cell, "0.3", "await pending()")
    assert cell.stdout == "cleaned up\n"
    awaits(impatient)


@pytest.mark.parametrize(
    "awaited",
    [
        "await asyncio.sleep(60)",
        "await asyncio.gather(sleep(60), asyncio.sleep(60))",
        "await asyncio.wait_for(sleep(60), 50)",
        "await asyncio.create_task(waiting())",
        "await waiting()",
        "await ensureDeferred(waiting())",
        "await later()",
        "await threads.deferToThread(time.sleep, 1)",
    ],
)
def test_anything_awaited(impatient: Kernel, awaited: str) -> None:
    """Whatever the cell awaits, one error on its line."""
    impatient.ok(
        "async def waiting():\n    await sleep(60)\n"
        "@crochet.run_in_reactor\ndef later():\n    return sleep(60)\n"
    )
    timed_out(impatient.run(awaited), "0.3", awaited)
    awaits(impatient)
    no_more_than_said(impatient)


@pytest.mark.skipif(
    sys.version_info < (3, 11), reason="TaskGroup came with Python 3.11"
)
def test_task_group(impatient: Kernel) -> None:
    """A timeout inside a TaskGroup cancels its tasks and is one error, no group."""
    impatient.ok("async def hold(x):\n    await pending(x)")
    source = (
        "async with asyncio.TaskGroup() as group:\n"
        "    group.create_task(hold('a'))\n"
        "    await pending('body')"
    )
    timed_out(impatient.run(source), "0.3", "await pending('body')")
    impatient.wait_for_value("sorted(cancelled)", ["a", "body"])


def test_the_whole_cell_counts(impatient: Kernel) -> None:
    """Many short awaits that take longer together are one timeout."""
    cell = impatient.run("for _ in range(600): await sleep(0.1)")
    timed_out(cell, "0.3", "for _ in range(600): await sleep(0.1)")


@pytest.mark.parametrize(
    "kind", ["Exception", "TimeoutError", "asyncio.CancelledError"]
)
def test_loop_that_catches(impatient: Kernel, kind: str) -> None:
    """A loop that catches what it can does not outlive its timeout."""
    source = f"while True:\n    try:\n        await sleep(0.05)\n    except {kind}:\n        pass"
    cell = impatient.run(source, within=10)
    assert "0.3 s" in cell.only_error.evalue
    awaits(impatient)
    no_more_than_said(impatient)


def test_loop_that_catches_once(impatient: Kernel) -> None:
    """A cell that catches Exception around one await and goes on waiting ends all the same."""
    source = "try:\n    await pending(1)\nexcept Exception:\n    pass\nawait pending(2)"
    cell = impatient.run(source, within=10)
    assert "0.3 s" in cell.only_error.evalue
    awaits(impatient)


@pytest.mark.parametrize(
    "source, line",
    [
        ("await sleep(0)\nwhile True: pass", "while True: pass"),
        ("while True: await succeed(1)", "while True: await succeed(1)"),
        (
            "await sleep(0)\nwhile True: time.sleep(0.05)",
            "while True: time.sleep(0.05)",
        ),
    ],
    ids=["spin", "fired awaits", "short sleeps"],
)
def test_hog(impatient: Kernel, source: str, line: str) -> None:
    """A cell that hogs the reactor thread is stopped by its timeout as by an interrupt."""
    began = now()
    cell = impatient.run(source, within=15)
    assert cell.replied_at - began < 0.3 + 2
    timed_out(cell, "0.3", line)
    awaits(impatient)


def test_long_call_in_c(fresh_kernel) -> None:
    """Where nothing can stop it, the prompt is back three seconds after the timeout."""
    kernel = fresh_kernel()
    kernel.ok("%crochet_config timeout 0.5")
    began = now()
    cell = kernel.run("await sleep(0)\ntime.sleep(6)", within=15)
    assert cell.replied_at - began < 0.5 + 3
    assert len(cell.errors) <= 1 and cell.status == "error", kernel.report()
    kernel.ok("%crochet_config timeout 20")
    awaits(kernel, within=15)
    no_more_than_said(kernel)


def test_no_timeout(kernel: Kernel) -> None:
    """``none`` waits for as long as it takes."""
    kernel.ok("%crochet_config timeout 0.2")
    kernel.ok("%crochet_config timeout none")
    assert kernel.ok("await sleep(0.6, 'at last')").result == "'at last'"


def test_plain_cells_have_none(impatient: Kernel) -> None:
    """The timeout is for cells that await."""
    assert impatient.ok("time.sleep(0.8)\n'slept'").result == "'slept'"


def test_applies_from_the_next_cell(kernel: Kernel) -> None:
    """A setting that a cell changes holds from the next cell on."""
    cell = kernel.ok(
        "await sleep(0)\n%crochet_config timeout 0.2\nawait sleep(0.6, 'old one')"
    )
    assert cell.result == "'old one'"
    timed_out(kernel.run("await sleep(60)"), "0.2", "await sleep(60)")


def test_interrupt_before_the_timeout(kernel: Kernel) -> None:
    """A cell that is interrupted has its interrupt only, also when its time is up later."""
    kernel.ok("%crochet_config timeout 0.8")
    cell = begun(kernel, "print('begun')\nawait pending('held')")
    kernel.interrupt()
    cell.wait()
    assert cell.only_error.ename == "KeyboardInterrupt"
    kernel.ok("%crochet_config timeout 20")
    kernel.ok("await sleep(1)")
    assert len(cell.errors) == 1
    no_more_than_said(kernel)


def test_users_own_timeout(kernel: Kernel) -> None:
    """A TimeoutError of the user's own is shown as it is, not as the cell's."""
    error = kernel.run("await asyncio.wait_for(sleep(60), 0.05)").only_error
    assert error.ename == "TimeoutError"
    assert "crochet_config" not in error.evalue
    user_frames_only(error)
    awaits(kernel)


def test_deferred_of_another_cell(impatient: Kernel) -> None:
    """A timeout ends the cell and cancels what it awaits, begun there or elsewhere."""
    impatient.ok("await sleep(0)\nkept = pending('elsewhere')")
    timed_out(impatient.run("await kept"), "0.3", "await kept")
    assert impatient.value("cancelled") == ["elsewhere"]


def test_on_another_reactor(fresh_kernel) -> None:
    """On Twisted's default reactor too."""
    kernel = fresh_kernel("--TwistedIPython.reactor=default")
    kernel.ok("%crochet_config timeout 0.5")
    cell = kernel.run("try:\n    await pending('late')\nfinally:\n    print(cancelled)")
    timed_out(cell, "0.5", "await pending('late')")
    assert cell.stdout == "['late']\n"
    timed_out(kernel.run("await sleep(0)\nwhile True: pass"), "0.5", "while True: pass")
    awaits(kernel)
    no_more_than_said(kernel)


def test_by_command_line(fresh_kernel) -> None:
    """``--TwistedIPython.timeout`` sets it from the start."""
    kernel = fresh_kernel("--TwistedIPython.timeout=0.5")
    timed_out(kernel.run("await sleep(60)"), "0.5", "await sleep(60)")
    assert (
        kernel.ok("%crochet_config show").stdout
        == "# Crochet settings:\n - timeout=0.5\n"
    )
