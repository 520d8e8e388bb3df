"""
Interrupts: what the cell awaits is cancelled, one KeyboardInterrupt is shown on
the user's line, and the next await works. In a real kernel, by signal and by message.
"""

from __future__ import annotations

import sys

import pytest

from checks import (
    INTERRUPTS,
    PROMPT_BACK,
    STOPPED,
    awaits,
    begun,
    eventually,
    everything_printed,
    interrupt,
    no_more_than_said,
    now,
    was_interrupted,
)
from kernels import Kernel

by_each_way = pytest.mark.parametrize("by", INTERRUPTS)


# What is awaited


@by_each_way
def test_deferred(kernel: Kernel, by: str) -> None:
    """Its canceller is called, ``finally`` prints in that cell, and the next await works."""
    source = "print('begun')\ntry:\n    await pending('held')\nfinally:\n    print('finally', cancelled)"
    cell = begun(kernel, source)
    assert interrupt(cell, by) < PROMPT_BACK
    was_interrupted(cell, "await pending('held')")
    assert cell.stdout == "begun\nfinally ['held']\n"
    awaits(kernel)
    no_more_than_said(kernel)


@by_each_way
@pytest.mark.parametrize(
    "awaited",
    [
        "await sleep(60)",
        "await asyncio.sleep(60)",
        "await asyncio.gather(sleep(60), asyncio.sleep(60))",
        "await asyncio.wait_for(sleep(60), 50)",
        "await asyncio.wait_for(asyncio.sleep(60), 50)",
        "await asyncio.shield(asyncio.sleep(60))",
        "await asyncio.create_task(waiting())",
        "await waiting()",
        "await ensureDeferred(waiting())",
        "await later()",
        "await defer.gatherResults([sleep(60), sleep(60)], consumeErrors=True)",
    ],
)
def test_anything_awaited(kernel: Kernel, awaited: str, by: str) -> None:
    """Whatever a cell awaits, an interrupt ends it with one error on the line."""
    kernel.ok(
        "async def waiting():\n    await sleep(60)\n"
        "@crochet.run_in_reactor\ndef later():\n    return sleep(60)\n"
    )
    cell = begun(kernel, f"print('begun')\n{awaited}")
    assert interrupt(cell, by) < PROMPT_BACK
    was_interrupted(cell, awaited)
    awaits(kernel)
    no_more_than_said(kernel)


def test_nested_coroutines(kernel: Kernel) -> None:
    """The frames of the user's coroutines are shown; their ``finally`` runs inside out."""
    kernel.ok(
        "async def inner():\n"
        "    try:\n"
        "        await pending('inner')\n"
        "    finally:\n"
        "        print('inner')\n"
        "async def outer():\n"
        "    try:\n"
        "        await inner()\n"
        "    finally:\n"
        "        print('outer')\n"
    )
    cell = begun(kernel, "print('begun')\nawait outer()")
    interrupt(cell)
    error = was_interrupted(cell, "await outer()")
    assert [text for _, text in error.lines] == [
        "await outer()",
        "await inner()",
        "await pending('inner')",
    ]
    assert cell.stdout == "begun\ninner\nouter\n"


def test_inline_callbacks(kernel: Kernel) -> None:
    """The Deferred that an ``inlineCallbacks`` function waits for is cancelled too."""
    kernel.ok(
        "@inlineCallbacks\n"
        "def work():\n"
        "    try:\n"
        "        yield pending('inside')\n"
        "    finally:\n"
        "        print('finally', cancelled)\n"
    )
    cell = begun(kernel, "print('begun')\nawait work()")
    interrupt(cell)
    was_interrupted(cell, "await work()")
    assert cell.stdout == "begun\nfinally ['inside']\n"
    awaits(kernel)


def test_gather_cancels_each(kernel: Kernel) -> None:
    """Everything ``asyncio.gather`` waits for is cancelled."""
    cell = begun(
        kernel, "print('begun')\nawait asyncio.gather(pending('a'), pending('b'))"
    )
    interrupt(cell)
    was_interrupted(cell, "await asyncio.gather(pending('a'), pending('b'))")
    kernel.wait_for_value("sorted(cancelled)", ["a", "b"])


def test_wait_for_cancels_what_it_waits_for(kernel: Kernel) -> None:
    """An interrupt inside ``asyncio.wait_for`` cancels the Deferred."""
    cell = begun(
        kernel, "print('begun')\nawait asyncio.wait_for(pending('inside'), 50)"
    )
    interrupt(cell)
    was_interrupted(cell, "await asyncio.wait_for(pending('inside'), 50)")
    kernel.wait_for_value("cancelled", ["inside"])
    awaits(kernel)


@pytest.mark.skipif(
    sys.version_info < (3, 11), reason="TaskGroup came with Python 3.11"
)
def test_task_group_cancels_its_tasks(kernel: Kernel) -> None:
    """An interrupt inside a TaskGroup cancels its tasks and is one KeyboardInterrupt."""
    kernel.ok("async def hold(x):\n    await pending(x)")
    source = (
        "print('begun')\n"
        "async with asyncio.TaskGroup() as group:\n"
        "    group.create_task(hold('a'))\n"
        "    group.create_task(hold('b'))\n"
        "    await pending('body')"
    )
    cell = begun(kernel, source)
    assert interrupt(cell) < PROMPT_BACK
    was_interrupted(cell, "await pending('body')")
    kernel.wait_for_value("sorted(cancelled)", ["a", "b", "body"])
    awaits(kernel)
    no_more_than_said(kernel)


@pytest.mark.skipif(
    sys.version_info < (3, 11), reason="asyncio.timeout came with Python 3.11"
)
def test_inside_asyncio_timeout(kernel: Kernel) -> None:
    """An interrupt inside ``asyncio.timeout`` is a KeyboardInterrupt, no TimeoutError."""
    source = (
        "print('begun')\nasync with asyncio.timeout(50):\n    await pending('inside')"
    )
    cell = begun(kernel, source)
    interrupt(cell)
    was_interrupted(cell, "await pending('inside')")
    awaits(kernel)


def test_async_for(kernel: Kernel) -> None:
    """An interrupt in ``async for`` closes the generator: its ``finally`` prints in the cell."""
    kernel.ok(
        "async def forever():\n"
        "    try:\n"
        "        while True:\n"
        "            yield await sleep(0.01, 1)\n"
        "    finally:\n"
        "        print('closed')\n"
    )
    cell = begun(kernel, "print('begun')\nasync for i in forever():\n    pass")
    interrupt(cell)
    was_interrupted(cell, "async for i in forever():")
    assert cell.stdout == "begun\nclosed\n"


def test_async_with(kernel: Kernel) -> None:
    """An interrupt in ``async with`` runs its end, which may await."""
    kernel.ok(
        "class Door:\n"
        "    async def __aenter__(self):\n"
        "        return self\n"
        "    async def __aexit__(self, *_):\n"
        "        print(await sleep(0.05, 'shut'))\n"
    )
    cell = begun(kernel, "print('begun')\nasync with Door():\n    await pending()")
    interrupt(cell)
    was_interrupted(cell, "await pending()")
    assert cell.stdout == "begun\nshut\n"


@by_each_way
def test_finally_that_awaits(kernel: Kernel, by: str) -> None:
    """``finally`` may await: it runs to its end, before the prompt is back."""
    source = (
        "print('begun')\n"
        "try:\n"
        "    await pending()\n"
        "finally:\n"
        "    await sleep(0.1)\n"
        "    print(await asyncio.sleep(0.1, 'cleaned up'))"
    )
    cell = begun(kernel, source)
    assert interrupt(cell, by) < PROMPT_BACK
    was_interrupted(cell, "await pending()")
    assert cell.stdout == "begun\ncleaned up\n"
    awaits(kernel)


def test_cell_that_swallows_exceptions(kernel: Kernel) -> None:
    """``except Exception`` around the await does not keep an interrupt from the user."""
    source = (
        "print('begun')\n"
        "while True:\n"
        "    try:\n"
        "        await sleep(0.05)\n"
        "    except Exception:\n"
        "        print('swallowed')"
    )
    cell = begun(kernel, source)
    assert interrupt(cell) < PROMPT_BACK
    was_interrupted(cell, "await sleep(0.05)")
    assert "swallowed" not in cell.stdout
    awaits(kernel)


def test_cell_that_swallows_everything(fresh_kernel) -> None:
    """A cell that catches even KeyboardInterrupt can't be stopped: the prompt is back, and said."""
    kernel = fresh_kernel()
    source = (
        "go_on = True\n"
        "print('begun')\n"
        "while go_on:\n"
        "    try:\n"
        "        await sleep(0.05)\n"
        "    except BaseException:\n"
        "        pass"
    )
    cell = begun(kernel, source)
    assert interrupt(cell) < PROMPT_BACK
    assert len(cell.errors) <= 1
    assert cell.stderr.strip() or (cell.errors and cell.errors[0].evalue.strip()), (
        kernel.report()
    )
    awaits(kernel)
    kernel.ok("go_on = False")
    awaits(kernel)


@pytest.mark.parametrize(
    "canceller", ["lambda d: 1 / 0", "lambda d: d.callback('kept')"]
)
def test_strange_cancellers(kernel: Kernel, canceller: str) -> None:
    """A canceller that raises, or that gives a result, does not keep the cell from ending."""
    cell = begun(
        kernel, f"print('begun')\nd = Deferred({canceller})\nawait d\nawait sleep(60)"
    )
    assert interrupt(cell) < PROMPT_BACK
    assert cell.only_error.ename == "KeyboardInterrupt", cell.output
    awaits(kernel)


def test_deferred_that_ignores_its_cancellation(kernel: Kernel) -> None:
    """A Deferred whose errback brings another Deferred does not hold the cell."""
    source = (
        "stubborn = Deferred().addErrback(lambda _: pending('again'))\n"
        "print('begun')\n"
        "await stubborn"
    )
    cell = begun(kernel, source)
    assert interrupt(cell) < PROMPT_BACK
    was_interrupted(cell, "await stubborn")
    awaits(kernel)


def test_defer_to_thread(kernel: Kernel) -> None:
    """A call in the thread pool runs on, the cell ends, and nothing more is shown of it."""
    source = (
        "release, ended = threading.Event(), []\n"
        "def work():\n"
        "    release.wait(30)\n"
        "    ended.append(1)\n"
        "    raise ValueError('too late')\n"
        "print('begun')\n"
        "await threads.deferToThread(work)"
    )
    cell = begun(kernel, source)
    assert interrupt(cell) < PROMPT_BACK
    was_interrupted(cell, "await threads.deferToThread(work)")
    awaits(kernel)
    kernel.ok("release.set()")
    kernel.wait_for_value("ended", [1])
    awaits(kernel)
    no_more_than_said(kernel)


# Cells that hog the reactor thread


HOGS = {
    "spin after an await": (
        "await sleep(0)\nprint('begun')\nwhile True: pass",
        "while True: pass",
    ),
    "spin before the await": (
        "print('begun')\nwhile True: pass\nawait sleep(0)",
        "while True: pass",
    ),
    "loop of fired awaits": (
        "print('begun')\nwhile True: await succeed(1)",
        "while True: await succeed(1)",
    ),
    "loop of short sleeps": (
        "await sleep(0)\nprint('begun')\nwhile True: time.sleep(0.05)",
        "while True: time.sleep(0.05)",
    ),
    "spin in a coroutine": (
        "async def spin():\n    while True: pass\nprint('begun')\nawait spin()",
        "await spin()",
    ),
    "spin in a function": (
        "def spin():\n    while True: pass\nawait sleep(0)\nprint('begun')\nspin()",
        "spin()",
    ),
    "loop of asyncio.sleep(0)": (
        "print('begun')\nwhile True: await asyncio.sleep(0)",
        "while True: await asyncio.sleep(0)",
    ),
    "spin in a child task": (
        "async def spin():\n    print('begun')\n    while True: pass\n"
        "await asyncio.create_task(spin())",
        "await asyncio.create_task(spin())",
    ),
    "spin in a delayed call": (
        "def spin():\n    print('begun')\n    while True: pass\n"
        "reactor.callLater(0, spin)\nawait pending()",
        "await pending()",
    ),
    "spin in a callback": (
        "def spin(_):\n    print('begun')\n    while True: pass\n"
        "await sleep(0.01).addCallback(spin)",
        "await sleep(0.01).addCallback(spin)",
    ),
    "spin in a callback that it calls": (
        "def spin(_):\n    print('begun')\n    while True: pass\n"
        "await sleep(0)\nd = Deferred().addCallback(spin)\nd.callback(1)",
        "d.callback(1)",
    ),
    "spin under inlineCallbacks": (
        "@inlineCallbacks\ndef spin():\n    yield sleep(0.01)\n    print('begun')\n"
        "    while True: pass\n"
        "await spin()",
        "await spin()",
    ),
    "spin under ensureDeferred": (
        "async def spin():\n    await sleep(0.01)\n    print('begun')\n    while True: pass\n"
        "await ensureDeferred(spin())",
        "await ensureDeferred(spin())",
    ),
    "spin in gather": (
        "async def spin():\n    await sleep(0.01)\n    print('begun')\n    while True: pass\n"
        "await asyncio.gather(spin(), sleep(60))",
        "await asyncio.gather(spin(), sleep(60))",
    ),
    "spin in except": (
        "print('begun')\nawait sleep(0)\ntry:\n    1/0\nexcept ZeroDivisionError:\n"
        "    while True: time.sleep(0.01)",
        "while True: time.sleep(0.01)",
    ),
    "loop that catches Exception": (
        "await sleep(0)\nprint('begun')\nwhile True:\n    try:\n        time.sleep(0.01)\n"
        "    except Exception:\n        pass",
        None,
    ),
}


@by_each_way
@pytest.mark.parametrize("name", HOGS)
def test_hog(kernel: Kernel, name: str, by: str) -> None:
    """A cell that hogs the reactor thread is stopped within two seconds; the reactor lives."""
    source, line = HOGS[name]
    kernel.ok("await sleep(0)\nreactor_thread = threading.get_ident()")
    cell = begun(kernel, source)
    assert interrupt(cell, by) < STOPPED
    if line is None:
        assert cell.only_error.ename == "KeyboardInterrupt"
    else:
        was_interrupted(cell, line)
    awaits(kernel)
    assert (
        kernel.ok("await sleep(0)\nthreading.get_ident() == reactor_thread").result
        == "True"
    )


def test_hog_with_finally(kernel: Kernel) -> None:
    """``finally`` of a stopped loop prints in that cell and may await."""
    source = (
        "await sleep(0)\n"
        "try:\n"
        "    print('begun')\n"
        "    while True: pass\n"
        "finally:\n"
        "    print(await sleep(0.05, 'finally'))"
    )
    cell = begun(kernel, source)
    assert interrupt(cell) < STOPPED
    was_interrupted(cell, "while True: pass")
    assert cell.stdout == "begun\nfinally\n"
    awaits(kernel)


def test_hog_under_run_in_reactor(kernel: Kernel) -> None:
    """A spin in ``%%run_in_reactor`` is stopped by interrupting the cell that awaits it."""
    hog = kernel.ok("%%run_in_reactor hog\nprint('begun')\nwhile True: pass")
    hog.wait_for_output("begun")
    cell = kernel.start("await hog").wait_until_running()
    assert interrupt(cell) < PROMPT_BACK
    assert cell.only_error.ename == "KeyboardInterrupt"
    awaits(kernel)


def test_reactor_goes_on_during_a_stop(kernel: Kernel) -> None:
    """Work begun by other cells survives the interrupt of this one."""
    kernel.ok(
        "ticks = []\n"
        "await sleep(0)\n"
        "ticking = task.LoopingCall(lambda: ticks.append(1))\n"
        "_done = ticking.start(0.02)\n"
        "async def background():\n"
        "    while True:\n"
        "        await sleep(0.02)\n"
        "kept = asyncio.create_task(background())\n"
    )
    cell = begun(kernel, "await sleep(0)\nprint('begun')\nwhile True: pass")
    interrupt(cell)
    kernel.ok("ticks.clear()")
    kernel.wait_for_value("len(ticks) > 3")
    assert kernel.value("(ticking.running, kept.done())") == (True, False)
    kernel.ok("await sleep(0)\nticking.stop()\nkept.cancel()")


# Where nothing can stop it


STUCK = "await sleep(0)\nprint('begun')\ntime.sleep(5)\nprint('woke')"


@by_each_way
def test_long_call_in_c(fresh_kernel, by: str) -> None:
    """``time.sleep(5)`` in the reactor thread: prompt back in three seconds, with a sentence."""
    kernel = fresh_kernel()
    cell = begun(kernel, STUCK)
    assert interrupt(cell, by) < PROMPT_BACK
    assert len(cell.errors) <= 1
    said = cell.stderr + "".join(error.evalue for error in cell.errors)
    assert len(said.split()) > 4, f"no sentence\n{kernel.report()}"
    assert kernel.ok("1 + 1").result == "2"


def test_told_when_a_long_call_ended(fresh_kernel) -> None:
    """When the call that could not be stopped has ended, the user is told, and awaits again."""
    kernel = fresh_kernel()
    cell = begun(kernel, STUCK)
    interrupt(cell)
    kernel.ok("1 + 1")
    before = now()
    eventually(kernel, lambda: everything_printed(kernel, since=before).strip())
    assert "woke" not in everything_printed(kernel), (
        "the cell went on after its interrupt"
    )
    awaits(kernel)
    no_more_than_said(kernel)


def test_await_while_a_long_call_blocks(fresh_kernel) -> None:
    """An await while the reactor is still blocked gets its result once it is free."""
    kernel = fresh_kernel()
    cell = begun(kernel, STUCK)
    interrupt(cell)
    after = kernel.run("await sleep(0.01, 'free')", within=15)
    assert after.result == "'free'", after.output
    no_more_than_said(kernel)


def test_interrupt_while_a_long_call_blocks(fresh_kernel) -> None:
    """A second cell that waits behind the blocked reactor can be interrupted as well."""
    kernel = fresh_kernel()
    cell = begun(kernel, STUCK.replace("sleep(5)", "sleep(8)"))
    assert interrupt(cell) < PROMPT_BACK
    second = kernel.start("print('second')\nawait sleep(0)").wait_until_running()
    assert interrupt(second) < PROMPT_BACK
    assert len(second.errors) <= 1 and second.status == "error", kernel.report()
    assert kernel.ok("1 + 1").result == "2"
    awaits(kernel, within=15)


# Timing and number of interrupts


def test_twice_quickly(kernel: Kernel) -> None:
    """Two interrupts at once are one error, and the second does not hit a later cell."""
    for _ in range(10):
        cell = begun(kernel, "print('begun')\nawait pending('held')")
        kernel.interrupt()
        kernel.interrupt()
        cell.wait(15)
        was_interrupted(cell, "await pending('held')")
        awaits(kernel)
    awaits(kernel)
    no_more_than_said(kernel)


def test_twice_with_a_long_finally(kernel: Kernel) -> None:
    """A second interrupt during a long ``finally`` gives the prompt back, with one error."""
    source = (
        "print('begun')\n"
        "try:\n"
        "    await pending('first')\n"
        "finally:\n"
        "    print('cleaning')\n"
        "    await pending('second')"
    )
    cell = begun(kernel, source)
    kernel.interrupt()
    cell.wait_for_output("cleaning", 5)
    at = kernel.interrupt()
    cell.wait(15)
    assert cell.replied_at - at < PROMPT_BACK
    assert cell.only_error.ename == "KeyboardInterrupt"
    awaits(kernel)


def test_many_interrupts_on_a_hog(kernel: Kernel) -> None:
    """A row of interrupts on a spinning cell stops it once."""
    cell = begun(kernel, "await sleep(0)\nprint('begun')\nwhile True: pass")
    for _ in range(5):
        kernel.interrupt()
    cell.wait(15)
    was_interrupted(cell, "while True: pass")
    awaits(kernel)
    awaits(kernel)


@by_each_way
def test_exactly_at_the_start(fresh_kernel, by: str) -> None:
    """An interrupt at the moment the cell begins ends it, with one error at the most."""
    kernel = fresh_kernel()
    for _ in range(10):
        cell = kernel.start("await sleep(60)").wait_until_running()
        getattr(kernel, by)()
        cell.wait(10)
        assert cell.status == "error", kernel.report()
        assert [error.ename for error in cell.errors] == ["KeyboardInterrupt"], (
            kernel.report()
        )
        awaits(kernel)


def test_at_the_end(kernel: Kernel) -> None:
    """An interrupt as the cell ends hits that cell or none, never the next."""
    for _ in range(10):
        cell = kernel.start("await sleep(0.02)").wait_until_running()
        kernel.wait_until(lambda cell=cell: now() - cell.started_at > 0.02)
        kernel.interrupt()
        cell.wait(10)
        assert len(cell.errors) <= 1
        awaits(kernel)


@by_each_way
def test_idle(kernel: Kernel, by: str) -> None:
    """An interrupt while no cell runs does nothing to the reactor or to the next cell."""
    kernel.ok("background = sleep(0.3, 'kept')\nawait sleep(0)")
    for _ in range(3):
        if by == "interrupt":
            kernel.interrupt()
        else:
            # Its answer says that the interrupt is over before the next cell begins.
            kernel.ask("interrupt_request", {}, channel="control")
    kernel.ok("1 + 1")
    awaits(kernel)
    assert kernel.ok("await background").result == "'kept'"


def test_fifty_in_a_row(kernel: Kernel) -> None:
    """Fifty interrupted cells: one error each, and each time the next await works."""
    for i in range(50):
        cell = begun(kernel, f"print('begun')\nawait pending({i})")
        assert interrupt(cell, INTERRUPTS[i % 2]) < PROMPT_BACK
        was_interrupted(cell, f"await pending({i})")
    assert kernel.value("cancelled") == list(range(50))
    awaits(kernel)
    no_more_than_said(kernel)


# Other cells


@by_each_way
def test_plain_cell(kernel: Kernel, by: str) -> None:
    """A plain cell is interrupted as IPython does it, and the reactor is not touched."""
    kernel.ok("await sleep(0)\nticks = []\nreactor.callLater(0.01, ticks.append, 1)")
    cell = begun(kernel, "print('begun')\nwhile True: pass")
    assert interrupt(cell, by) < PROMPT_BACK
    was_interrupted(cell, "while True: pass")
    kernel.wait_for_value("ticks", [1])
    awaits(kernel)


def test_eventual_result_wait(kernel: Kernel) -> None:
    """``EventualResult.wait()`` in a plain cell is interrupted, on the user's line."""
    kernel.ok(
        "@crochet.run_in_reactor\ndef later():\n    return sleep(60)\ner = later()"
    )
    cell = begun(kernel, "print('begun')\ner.wait(60)")
    assert interrupt(cell) < PROMPT_BACK
    was_interrupted(cell, "er.wait(60)")
    awaits(kernel)
    kernel.ok("er.cancel()")


def test_next_cells_in_the_queue(kernel: Kernel) -> None:
    """Cells that wait behind an interrupted one run after it."""
    cell = begun(kernel, "print('begun')\nawait pending()")
    behind = kernel.start("await sleep(0.01, 'behind')")
    interrupt(cell)
    assert behind.wait().result == "'behind'"


def test_on_another_reactor(fresh_kernel) -> None:
    """On Twisted's default reactor too: the awaited is cancelled and a spin is stopped."""
    kernel = fresh_kernel("--TwistedIPython.reactor=default")
    source = "print('begun')\ntry:\n    await pending('held')\nfinally:\n    print('finally', cancelled)"
    cell = begun(kernel, source)
    assert interrupt(cell) < PROMPT_BACK
    was_interrupted(cell, "await pending('held')")
    assert cell.stdout == "begun\nfinally ['held']\n"
    for hog in (
        "spin after an await",
        "loop of fired awaits",
        "spin in a delayed call",
    ):
        source, line = HOGS[hog]
        cell = begun(kernel, source)
        assert interrupt(cell) < STOPPED
        was_interrupted(cell, line)
        awaits(kernel)
    no_more_than_said(kernel)


def test_line_in_a_cell_with_finally_and_except(kernel: Kernel) -> None:
    """The line shown is the one that waited, not where ``finally`` or ``except`` ended."""
    source = (
        "print('begun')\n"
        "try:\n"
        "    await sleep(0)\n"
        "    await sleep(60)\n"
        "except ValueError:\n"
        "    x = 1\n"
        "finally:\n"
        "    y = 2\n"
        "z = 3"
    )
    cell = begun(kernel, source)
    interrupt(cell)
    error = was_interrupted(cell, "await sleep(60)")
    assert error.lines == [(4, "await sleep(60)")]
