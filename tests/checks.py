"""What many tests check, in words."""

from __future__ import annotations

import re
import time
import traceback
from collections.abc import Callable

import pytest
from twisted.internet.defer import succeed

from kernels import Cell, Kernel, ShownError

INTERRUPTS = ("interrupt", "interrupt_by_message")
"""The ways to interrupt a kernel: names of methods of :class:`kernels.Kernel`."""

PROMPT_BACK = 3.0
"""Seconds within which an interrupt gives the prompt back, whatever is stuck."""

STOPPED = 2.0
"""Seconds within which an interrupt stops a cell that hogs the reactor thread."""


def begun(kernel: Kernel, source: str, **options: object) -> Cell:
    """Start a cell and wait until it has printed ``begun``."""
    return kernel.start(source, **options).wait_for_output("begun")  # type: ignore[arg-type]


def interrupt(cell: Cell, by: str = "interrupt") -> float:
    """Interrupt and wait for the cell's end; returns the seconds until its reply."""
    at: float = getattr(cell.kernel, by)()
    cell.wait(within=15)
    return cell.replied_at - at


MACHINERY = re.compile(
    r"twisted_ipython|crochet|wrapt|IPython|ipykernel|tornado"
    r"|twisted/internet/(defer|threads|asyncioreactor|base|epollreactor|selectreactor)\.py"
    r"|twisted/python/(failure|threadpool|context|log)\.py|twisted/_threads/"
    r"|asyncio/(events|base_events)\.py:\d+, in .*(_run|run_forever|run_until_complete)\b"
    r"|concurrent/futures|threading\.py"
)
"""What a traceback does not show: the code between the user's call and the user's code."""


def user_frames_only(error: ShownError) -> None:
    """
    No frame of the traceback is of the machinery, and there is one of a cell.

    A library that the user calls is not machinery.
    """
    machinery = [frame for frame in error.frames if MACHINERY.search(frame)]
    assert not machinery, f"frames of machinery: {machinery}\n{error.traceback}"
    cells = [
        frame for frame in error.frames if frame.startswith(("Cell In", "Input In"))
    ]
    assert cells, f"no frame of a cell\n{error.traceback}"


def cell_frames_only(error: ShownError) -> None:
    """Each frame of the traceback is of a cell."""
    foreign = [
        frame for frame in error.frames if not frame.startswith(("Cell In", "Input In"))
    ]
    assert not foreign, f"frames that are not of a cell: {foreign}\n{error.traceback}"
    assert error.frames, f"no frame at all\n{error.traceback}"


def was_interrupted(cell: Cell, line: str) -> ShownError:
    """One error was shown, a KeyboardInterrupt; its traceback points at the user's line."""
    error = cell.only_error
    assert error.ename == "KeyboardInterrupt", error.traceback
    assert cell.status == "error", cell.reply
    assert line in [text for _, text in error.lines], error.traceback
    user_frames_only(error)
    return error


def timed_out(cell: Cell, seconds: str, line: str) -> ShownError:
    """One error was shown, of a timeout of so many seconds, on the user's line."""
    error = cell.only_error
    assert error.ename == "TimeoutError" or "Timeout" in error.ename, error.traceback
    assert f"{seconds} s" in error.evalue and "timeout" in error.evalue, error.traceback
    assert cell.status == "error", cell.reply
    assert line in [text for _, text in error.lines], error.traceback
    user_frames_only(error)
    return error


def awaits(kernel: Kernel, within: float = 10, **options: object) -> None:
    """The next await works."""
    cell = kernel.ok("await sleep(0.01, 'awaited')", within=within, **options)  # type: ignore[arg-type]
    assert cell.result == "'awaited'", cell.output


def a_sentence(cell: Cell) -> str:
    """
    What the cell says apart from the frames of a traceback: one error or one
    line, not nothing, and no traceback of more than the user's own frames.
    """
    assert len(cell.errors) <= 1, cell.kernel.report()
    for error in cell.errors:
        user_frames_only(error)
        assert error.evalue.strip(), f"an error without a word\n{error.traceback}"
        return error.evalue
    assert "Traceback" not in cell.stderr, cell.stderr
    text = (cell.stderr + cell.stdout).strip()
    assert text, f"not a word about\n{cell.source}\n\n{cell.kernel.report()}"
    return text


def no_more_than_said(kernel: Kernel) -> None:
    """No cell has a second error, and no thread printed a traceback."""
    for cell in kernel.cells:
        assert len(cell.errors) <= 1, f"{len(cell.errors)} errors\n{kernel.report()}"
    streams = [m.content["text"] for m in kernel.messages if m.type == "stream"]
    assert "Traceback (most recent call last)" not in "".join(streams), kernel.report()
    assert "Traceback (most recent call last)" not in kernel.log, kernel.report()


def eventually(
    kernel: Kernel, condition: Callable[[], object], within: float = 15
) -> None:
    """Keep the kernel read until the condition holds."""
    kernel.wait_until(condition, within)


def everything_printed(kernel: Kernel, since: float = 0) -> str:
    """The streams of all cells, and of none, read after that moment."""
    return "".join(
        message.content["text"]
        for message in kernel.messages
        if message.type == "stream" and message.at > since
    )


def now() -> float:
    return time.monotonic()


def _failures_keep_frames() -> bool:
    """Whether what a Deferred failed with still has its traceback when awaited."""

    def fail_here(_: object) -> None:
        raise ValueError

    async def wait() -> None:
        await succeed(None).addCallback(fail_here)

    try:
        wait().send(None)
    except ValueError as error:
        last = list(traceback.walk_tb(error.__traceback__))[-1][0]
        return last.f_code is fail_here.__code__
    return False


keeps_frames = pytest.mark.skipif(
    not _failures_keep_frames(),
    reason="this Twisted drops the traceback of what a Deferred failed with",
)
