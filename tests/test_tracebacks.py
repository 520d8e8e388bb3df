"""Tracebacks hold the user's frames; ``%tb`` and ``%debug`` see the user's error."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import ipykernel.ipkernel
import IPython.core.interactiveshell
import pytest
import twisted.internet.defer

from checks import (
    awaits,
    begun,
    cell_frames_only,
    interrupt,
    keeps_frames,
    user_frames_only,
)
from kernels import Kernel, ShownError
from twisted_ipython.stuck import is_library

USERS = """\
@inlineCallbacks
def inner(n):
    yield sleep(0.01)
    return 1 / n

@inlineCallbacks
def middle(n):
    x = yield inner(n)
    return x

async def outer(n):
    return await middle(n)

def in_thread():
    raise ValueError('in a thread')
"""


@pytest.fixture
def users(kernel: Kernel) -> Kernel:
    """The kernel with some functions of the user's that fail."""
    kernel.ok(USERS)
    return kernel


def heads(error: ShownError) -> list[str]:
    """The line that each frame points at."""
    return [text for _, text in error.lines]


def test_error_after_an_await(kernel: Kernel) -> None:
    """One frame, the cell's, at its line."""
    error = kernel.run("await sleep(0.01)\nx = 1\n1 / 0").only_error
    assert error.lines == [(3, "1 / 0")]
    cell_frames_only(error)


def test_error_in_a_coroutine(kernel: Kernel) -> None:
    """The cell's frame, then the coroutine's."""
    kernel.ok("async def work():\n    await sleep(0.01)\n    raise KeyError('x')")
    error = kernel.run("await work()").only_error
    assert heads(error) == ["await work()", "raise KeyError('x')"]
    cell_frames_only(error)


@keeps_frames
def test_inline_callbacks(users: Kernel) -> None:
    """Two levels of ``inlineCallbacks``: the user's functions, nothing of Twisted."""
    error = users.run("await middle(0)").only_error
    assert error.ename == "ZeroDivisionError"
    assert heads(error)[0] == "await middle(0)" and heads(error)[-1] == "return 1 / n"
    cell_frames_only(error)


@keeps_frames
def test_mixed_levels(users: Kernel) -> None:
    """A coroutine over ``inlineCallbacks``, in a task."""
    error = users.run("await asyncio.create_task(outer(0))").only_error
    assert heads(error)[0] == "await asyncio.create_task(outer(0))"
    assert (
        "return await middle(n)" in heads(error) and heads(error)[-1] == "return 1 / n"
    )
    cell_frames_only(error)


@keeps_frames
def test_callback(kernel: Kernel) -> None:
    """An error in a callback: the cell's line and the callback's."""
    kernel.ok("def callback(_):\n    raise KeyError('in a callback')")
    error = kernel.run("await sleep(0.01).addCallback(callback)").only_error
    assert heads(error) == [
        "await sleep(0.01).addCallback(callback)",
        "raise KeyError('in a callback')",
    ]
    cell_frames_only(error)


@keeps_frames
def test_thread_pool(users: Kernel) -> None:
    """An error in ``deferToThread``: nothing of the thread pool."""
    error = users.run("await threads.deferToThread(in_thread)").only_error
    assert heads(error) == [
        "await threads.deferToThread(in_thread)",
        "raise ValueError('in a thread')",
    ]
    cell_frames_only(error)


def test_failure_without_a_traceback(kernel: Kernel) -> None:
    """A Failure that was never raised shows the line that awaits it."""
    error = kernel.run("await fail(KeyError('never raised'))").only_error
    assert error.lines == [(1, "await fail(KeyError('never raised'))")]
    cell_frames_only(error)


@keeps_frames
def test_ensure_deferred(users: Kernel) -> None:
    """A coroutine that Twisted drives."""
    error = users.run("await ensureDeferred(outer(0))").only_error
    assert heads(error)[-1] == "return 1 / n"
    cell_frames_only(error)


@keeps_frames
def test_gather(users: Kernel) -> None:
    """``asyncio.gather``."""
    error = users.run("await asyncio.gather(outer(0), sleep(0.01))").only_error
    assert heads(error)[-1] == "return 1 / n"
    cell_frames_only(error)


def test_gather_results(users: Kernel) -> None:
    """``gatherResults`` wraps the error in Twisted's FirstError; its frames are hidden too."""
    error = users.run(
        "await defer.gatherResults([middle(0)], consumeErrors=True)"
    ).only_error
    assert error.ename == "FirstError"
    user_frames_only(error)


def test_raise_from(users: Kernel) -> None:
    """The cause of an error, which is shown above it, is rid of machinery as well."""
    source = (
        "try:\n"
        "    await threads.deferToThread(in_thread)\n"
        "except ValueError as e:\n"
        "    raise KeyError('mine') from e"
    )
    error = users.run(source).only_error
    assert "in a thread" in error.traceback and "direct cause" in error.traceback
    cell_frames_only(error)


def test_error_while_handling_an_error(users: Kernel) -> None:
    """So is the context of an error raised while another is handled."""
    source = "try:\n    await threads.deferToThread(in_thread)\nfinally:\n    1 / 0"
    error = users.run(source).only_error
    assert error.ename == "ZeroDivisionError" and "in a thread" in error.traceback
    cell_frames_only(error)


@keeps_frames
def test_eventual_result_wait(kernel: Kernel) -> None:
    """``EventualResult.wait()`` in a plain cell: nothing of crochet."""
    kernel.ok(
        "@crochet.run_in_reactor\ndef broken():\n    raise KeyError('x')\ner = broken()"
    )
    error = kernel.run("er.wait(5)").only_error
    assert error.ename == "KeyError"
    assert heads(error)[0] == "er.wait(5)" and heads(error)[-1] == "raise KeyError('x')"
    cell_frames_only(error)


@keeps_frames
def test_crochet_wait_for(kernel: Kernel) -> None:
    """A function under ``crochet.wait_for`` in a plain cell: nothing of crochet and wrapt."""
    kernel.ok("@crochet.wait_for(timeout=5)\ndef broken():\n    raise KeyError('x')")
    error = kernel.run("broken()").only_error
    assert heads(error)[0] == "broken()" and heads(error)[-1] == "raise KeyError('x')"
    cell_frames_only(error)


def test_library_frames_stay(kernel: Kernel, tmp_path: Path) -> None:
    """A module of the user's own is not machinery: its frames are shown."""
    (tmp_path / "users_module.py").write_text(
        "async def work(awaitable):\n    await awaitable\n    raise KeyError('in a module')\n"
    )
    kernel.ok(f"import sys\nsys.path.insert(0, {str(tmp_path)!r})\nimport users_module")
    error = kernel.run("await users_module.work(sleep(0.01))").only_error
    assert any("users_module.py" in frame for frame in error.frames), error.traceback
    assert heads(error)[-1] == "raise KeyError('in a module')"
    user_frames_only(error)


def test_plain_cells_are_shown_as_ever(kernel: Kernel) -> None:
    """A plain cell that fails in the standard library shows that library's frames."""
    error = kernel.run("import json\njson.loads('{')").only_error
    assert any("json" in frame and frame.startswith("File") for frame in error.frames)
    assert error.lines[0] == (2, "json.loads('{')")


@pytest.mark.parametrize(
    "source, line",
    [
        (
            "try:\n    await sleep(0)\n    1 / 0\nfinally:\n    x = 1\ny = 2",
            (3, "1 / 0"),
        ),
        (
            "try:\n    await sleep(0)\n    1 / 0\nexcept KeyError:\n    x = 1\ny = 2",
            (3, "1 / 0"),
        ),
        (
            "for i in range(2):\n    await sleep(0)\n    if i:\n        1 / 0\n",
            (4, "1 / 0"),
        ),
        (
            "with open('/dev/null') as f:\n    await sleep(0)\n    1 / 0\n\nx = 2",
            (3, "1 / 0"),
        ),
    ],
    ids=["finally", "except", "for", "with"],
)
def test_line_numbers(kernel: Kernel, source: str, line: tuple[int, str]) -> None:
    """The line is the one that failed, whatever ran on the way out of it."""
    error = kernel.run(source).only_error
    assert error.lines == [line], error.traceback


@keeps_frames
def test_tb(users: Kernel) -> None:
    """``%tb`` shows the last error again: the user's."""
    users.run("await threads.deferToThread(in_thread)")
    cell = users.run("%tb")
    assert "ValueError: in a thread" in cell.output
    assert "raise ValueError('in a thread')" in cell.output


def test_tb_after_a_timeout(kernel: Kernel) -> None:
    """After a timeout the last error is the timeout, on the user's line."""
    kernel.ok("%crochet_config timeout 0.2")
    kernel.run("await sleep(60)")
    output = kernel.run("%tb").output
    assert "await sleep(60)" in output and "0.2 s" in output


def test_last_error(users: Kernel) -> None:
    """``sys.last_value`` is the very error, with its type and traceback beside it."""
    users.run("await middle(0)")
    users.ok("import sys")
    assert users.value("sys.last_type.__name__") == "ZeroDivisionError"
    assert users.value("sys.last_value.__traceback__ is not None")
    assert users.value("sys.last_traceback is not None")


def test_debug(users: Kernel) -> None:
    """``%debug`` stops in the user's function, where the error was, and sees its names."""
    users.ok(
        "async def debugged():\n    secret = 'found' + ' it'\n    await sleep(0.01)\n    1 / 0"
    )
    users.run("await debugged()")
    cell = users.start("%debug", allow_stdin=True)
    users.answer(cell, "p secret", 1)
    users.answer(cell, "up", 2)
    users.answer(cell, "q", 3)
    cell.wait()
    assert "'found it'" in cell.stdout, cell.output
    awaits(users)


def test_debug_goes_up_to_the_cell(users: Kernel) -> None:
    """In ``%debug``, the frame above the user's function is the cell."""
    users.ok("async def debugged():\n    await sleep(0.01)\n    1 / 0")
    users.run("level = 'the cell'\nawait debugged()")
    cell = users.start("%debug", allow_stdin=True)
    users.answer(cell, "up", 1)
    users.answer(cell, "q", 2)
    cell.wait()
    assert "await debugged()" in cell.stdout, cell.output


def test_interrupt_in_a_library(kernel: Kernel) -> None:
    """An interrupted ``asyncio.sleep`` points at the user's line first."""
    source = "reactor.callLater(0, print, 'begun')\nawait asyncio.sleep(60)"
    error_cell = begun(kernel, source)
    interrupt(error_cell)
    assert error_cell.only_error.lines[0] == (2, "await asyncio.sleep(60)")


@keeps_frames
@pytest.mark.parametrize("mode, shown", [("Plain", False), ("Verbose", True)])
def test_other_modes(users: Kernel, mode: str, shown: bool) -> None:
    """``%xmode Plain`` hides the machinery too; in ``Verbose`` it is there for who asks."""
    users.ok(f"%xmode {mode}")
    try:
        error = users.run("await threads.deferToThread(in_thread)").only_error
        assert "in a thread" in error.traceback
        assert ("threadpool.py" in error.traceback) is shown, error.traceback
    finally:
        users.run("%xmode Context")


@pytest.mark.parametrize(
    "module",
    [IPython.core.interactiveshell, ipykernel.ipkernel, twisted.internet.defer, pytest],
    ids=lambda module: module.__name__,
)
def test_whose_code_it_is(module: Any) -> None:
    """What a thread is called busy with is the user's: libraries of the user's are."""
    assert is_library(module.__file__) == (module is not pytest)
