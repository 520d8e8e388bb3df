"""What can be awaited, where it runs and what comes out, in a real kernel."""

from __future__ import annotations

import sys

import pytest

from checks import awaits, everything_printed, user_frames_only
from kernels import Kernel

needs_task_groups = pytest.mark.skipif(
    sys.version_info < (3, 11),
    reason="asyncio.timeout and TaskGroup came with Python 3.11",
)


def result(kernel: Kernel, source: str) -> str | None:
    return kernel.ok(source).result


# Twisted


def test_fired_deferred(kernel: Kernel) -> None:
    """A Deferred that has fired gives its result."""
    assert result(kernel, "await succeed('fired')") == "'fired'"


def test_pending_deferred(kernel: Kernel) -> None:
    """A Deferred that fires later gives its result then."""
    assert result(kernel, "await sleep(0.05, 'later')") == "'later'"


def test_result_of_none(kernel: Kernel) -> None:
    """A Deferred that fires with None shows nothing."""
    assert kernel.ok("await sleep(0.01)").results == []


def test_failed_deferred(kernel: Kernel) -> None:
    """A Failure is raised where it is awaited, and can be caught there."""
    source = "try:\n    await fail(KeyError('lost'))\nexcept KeyError as e:\n    print('caught', e)"
    assert kernel.ok(source).stdout == "caught 'lost'\n"


def test_deferred_awaited_twice(kernel: Kernel) -> None:
    """Awaiting a Deferred a second time gives its result again, as in any coroutine."""
    assert result(kernel, "d = sleep(0.01, 7)\n(await d, await d)") == "(7, 7)"


def test_deferred_of_another_cell(kernel: Kernel) -> None:
    """A Deferred begun in one cell can be awaited in another, and again in a third."""
    kernel.ok("await sleep(0)\nkept = sleep(0.05, 'kept')")
    assert result(kernel, "await kept") == "'kept'"
    assert result(kernel, "await kept") == "'kept'"


def test_callbacks_stay_in_the_chain(kernel: Kernel) -> None:
    """Awaiting takes part in the callback chain and passes the result on."""
    source = "d = sleep(0.01, 1)\nd.addCallback(lambda x: x + 1)\nx = await d\nd.addCallback(print)\nx"
    cell = kernel.ok(source)
    assert cell.result == "2" and cell.stdout == "2\n"


def test_coroutine(kernel: Kernel) -> None:
    """A coroutine function of the user's is awaited like any other."""
    kernel.ok("async def twice(x):\n    await sleep(0.01)\n    return 2 * x")
    assert result(kernel, "await twice(await twice(1))") == "4"


def test_ensure_deferred(kernel: Kernel) -> None:
    """A coroutine that Twisted drives is a Deferred like any other."""
    kernel.ok("async def twice(x):\n    await sleep(0.01)\n    return 2 * x")
    assert result(kernel, "await ensureDeferred(twice(3))") == "6"


def test_inline_callbacks(kernel: Kernel) -> None:
    """The result of a function under ``inlineCallbacks`` is awaited."""
    kernel.ok(
        "@inlineCallbacks\ndef add(x):\n    y = yield sleep(0.01, 1)\n    return x + y"
    )
    assert result(kernel, "await add(2)") == "3"


def test_deferred_list(kernel: Kernel) -> None:
    """``gatherResults`` and ``DeferredList`` are Deferreds."""
    assert (
        result(kernel, "await defer.gatherResults([sleep(0.02, 1), sleep(0.01, 2)])")
        == "[1, 2]"
    )
    assert result(kernel, "await defer.DeferredList([succeed(1)])") == "[(True, 1)]"


def test_thread_pool(kernel: Kernel) -> None:
    """``deferToThread`` runs in a thread of the pool, and its result is awaited."""
    source = "await threads.deferToThread(lambda: threading.current_thread().name)"
    kernel.ok("await sleep(0)\nname = threading.current_thread().name")
    assert result(kernel, source) not in ("'MainThread'", repr(kernel.value("name")))


def test_async_for(kernel: Kernel) -> None:
    """``async for`` over a generator that awaits Deferreds."""
    kernel.ok(
        "async def count(n):\n    for i in range(n):\n        yield await sleep(0.01, i)"
    )
    assert kernel.ok("async for i in count(3):\n    print(i)").stdout == "0\n1\n2\n"


def test_async_with(kernel: Kernel) -> None:
    """``async with`` whose two ends await Deferreds; a DeferredLock too."""
    kernel.ok(
        "class Door:\n"
        "    async def __aenter__(self):\n"
        "        return await sleep(0.01, 'open')\n"
        "    async def __aexit__(self, *_):\n"
        "        print(await sleep(0.01, 'shut'))\n"
    )
    assert (
        kernel.ok("async with Door() as state:\n    print(state)").stdout
        == "open\nshut\n"
    )


def test_async_comprehension(kernel: Kernel) -> None:
    """Comprehensions that await, and asynchronous ones."""
    kernel.ok(
        "async def count(n):\n    for i in range(n):\n        yield await sleep(0, i)"
    )
    assert result(kernel, "[await sleep(0, i) async for i in count(3)]") == "[0, 1, 2]"
    assert result(kernel, "{i: await sleep(0, i) for i in range(2)}") == "{0: 0, 1: 1}"


def test_object_with_await(kernel: Kernel) -> None:
    """An object whose ``__await__`` hands on to a Deferred."""
    kernel.ok(
        "class Wrapped:\n"
        "    def __await__(self):\n"
        "        return (yield from sleep(0.01, 9).__await__())\n"
    )
    assert result(kernel, "await Wrapped()") == "9"


def test_what_cannot_be_awaited(kernel: Kernel) -> None:
    """Awaiting a number is Python's own TypeError, once, on the line."""
    error = kernel.run("x = 1\nawait 5").only_error
    assert error.ename == "TypeError" and error.lines[-1] == (2, "await 5")
    awaits(kernel)


# EventualResults


def test_eventual_result(kernel: Kernel) -> None:
    """An EventualResult is awaited like the Deferred inside."""
    kernel.ok("@crochet.run_in_reactor\ndef later(x):\n    return sleep(0.05, x)")
    assert result(kernel, "await later('eventually')") == "'eventually'"


def test_eventual_result_of_another_cell(kernel: Kernel) -> None:
    """An EventualResult of an earlier plain cell, and twice."""
    kernel.ok(
        "@crochet.run_in_reactor\ndef later(x):\n    return sleep(0.05, x)\ner = later('kept')"
    )
    assert result(kernel, "await er") == "'kept'"
    assert result(kernel, "await er") == "'kept'"
    assert result(kernel, "er.wait(5)") == "'kept'"


def test_eventual_result_already_waited_for(kernel: Kernel) -> None:
    """One whose ``wait()`` has given the result can be awaited still."""
    kernel.ok(
        "@crochet.run_in_reactor\ndef later(x):\n    return sleep(0.01, x)\ner = later('known')"
    )
    assert result(kernel, "er.wait(5)") == "'known'"
    assert result(kernel, "await er") == "'known'"


def test_failed_eventual_result(kernel: Kernel) -> None:
    """A failure inside is raised where it is awaited, as one error with the user's frames."""
    kernel.ok(
        "@crochet.run_in_reactor\n"
        "def later():\n"
        "    return sleep(0.01).addCallback(lambda _: 1 / 0)\n"
    )
    error = kernel.run("await later()").only_error
    assert error.ename == "ZeroDivisionError"
    user_frames_only(error)


def test_eventual_result_among_others(kernel: Kernel) -> None:
    """``asyncio.gather`` over an EventualResult, a Deferred and an asyncio coroutine."""
    kernel.ok("@crochet.run_in_reactor\ndef later(x):\n    return sleep(0.01, x)")
    source = "await asyncio.gather(later(1), sleep(0.01, 2), asyncio.sleep(0.01, 3))"
    assert result(kernel, source) == "[1, 2, 3]"


# asyncio in the same cell


def test_asyncio_beside_deferreds(kernel: Kernel) -> None:
    """One cell awaits a Deferred, then asyncio, then a Deferred."""
    source = (
        "(await sleep(0.01, 1), await asyncio.sleep(0.01, 2), await sleep(0.01, 3))"
    )
    assert result(kernel, source) == "(1, 2, 3)"


def test_gather_over_deferreds(kernel: Kernel) -> None:
    """``asyncio.gather`` over pending and fired Deferreds."""
    source = (
        "await asyncio.gather(sleep(0.03, 'a'), succeed('b'), asyncio.sleep(0.01, 'c'))"
    )
    assert result(kernel, source) == "['a', 'b', 'c']"


def test_gather_with_a_failure(kernel: Kernel) -> None:
    """A Deferred that fails in ``gather`` fails the await, with the user's error alone."""
    error = kernel.run(
        "await asyncio.gather(sleep(0.01), fail(KeyError('x')))"
    ).only_error
    assert error.ename == "KeyError"
    user_frames_only(error)


def test_wait_for_a_deferred(kernel: Kernel) -> None:
    """``asyncio.wait_for`` over a Deferred that fires in time."""
    assert (
        result(kernel, "await asyncio.wait_for(sleep(0.01, 'in time'), 10)")
        == "'in time'"
    )


def test_wait_for_cancels_a_deferred(kernel: Kernel) -> None:
    """``asyncio.wait_for`` cancels a Deferred that is late: its canceller is called."""
    source = (
        "try:\n"
        "    await asyncio.wait_for(pending('late'), 0.05)\n"
        "except asyncio.TimeoutError:\n"
        "    print('too late', cancelled)\n"
    )
    assert kernel.ok(source).stdout == "too late ['late']\n"


@needs_task_groups
def test_timeout_around_a_deferred(kernel: Kernel) -> None:
    """``asyncio.timeout`` cancels the Deferred awaited inside; the rest of the cell runs."""
    source = (
        "try:\n"
        "    async with asyncio.timeout(0.05):\n"
        "        await pending('late')\n"
        "except TimeoutError:\n"
        "    print('too late', cancelled)\n"
        "await sleep(0.01, 'after')"
    )
    cell = kernel.ok(source)
    assert cell.stdout == "too late ['late']\n" and cell.result == "'after'"


@needs_task_groups
def test_timeout_that_is_kept(kernel: Kernel) -> None:
    """``asyncio.timeout`` around a Deferred that fires in time does nothing."""
    source = "async with asyncio.timeout(10):\n    x = await sleep(0.01, 'in time')\nx"
    assert result(kernel, source) == "'in time'"


@needs_task_groups
def test_task_group_over_deferreds(kernel: Kernel) -> None:
    """A TaskGroup whose tasks await Deferreds."""
    kernel.ok("async def wait(x):\n    return await sleep(0.01, x)")
    source = (
        "async with asyncio.TaskGroup() as group:\n"
        "    tasks = [group.create_task(wait(x)) for x in 'ab']\n"
        "[task.result() for task in tasks]"
    )
    assert result(kernel, source) == "['a', 'b']"


@needs_task_groups
def test_task_group_cancels_the_others(kernel: Kernel) -> None:
    """When one task of a group fails, the Deferreds of the others are cancelled."""
    kernel.ok(
        "async def hold():\n    await pending('held')\n"
        "async def break_():\n    await sleep(0.05)\n    raise KeyError('broken')\n"
    )
    source = (
        "try:\n"
        "    async with asyncio.TaskGroup() as group:\n"
        "        group.create_task(hold())\n"
        "        group.create_task(break_())\n"
        "except* KeyError as e:\n"
        "    print(len(e.exceptions), cancelled)\n"
    )
    assert kernel.ok(source).stdout == "1 ['held']\n"


def test_deferred_in_a_task(kernel: Kernel) -> None:
    """A Deferred awaited inside an asyncio task."""
    kernel.ok("async def wait(x):\n    return await sleep(0.01, x)")
    assert (
        result(kernel, "await asyncio.create_task(wait('in a task'))") == "'in a task'"
    )


def test_failed_deferred_in_a_task(kernel: Kernel) -> None:
    """Its failure can be caught inside the task."""
    kernel.ok(
        "async def survive():\n"
        "    try:\n"
        "        await fail(KeyError('x'))\n"
        "    except KeyError:\n"
        "        return 'survived'\n"
    )
    assert result(kernel, "await asyncio.create_task(survive())") == "'survived'"


def test_any_depth(kernel: Kernel) -> None:
    """A coroutine in a task in ``gather`` in a coroutine: each level awaits both kinds."""
    kernel.ok(
        "async def level(n):\n"
        "    await sleep(0)\n"
        "    await asyncio.sleep(0)\n"
        "    if n == 0:\n"
        "        return await sleep(0.01, [0])\n"
        "    [below] = await asyncio.gather(asyncio.create_task(level(n - 1)))\n"
        "    return [n] + await asyncio.wait_for(succeed(below), 5)\n"
    )
    assert result(kernel, "await level(4)") == "[4, 3, 2, 1, 0]"


def test_cancelling_a_task_cancels_its_deferred(kernel: Kernel) -> None:
    """``task.cancel()`` calls the canceller of the Deferred that the task awaits."""
    source = (
        "async def hold():\n"
        "    await pending('held')\n"
        "t = asyncio.create_task(hold())\n"
        "await sleep(0.01)\n"
        "t.cancel()\n"
        "try:\n"
        "    await t\n"
        "except asyncio.CancelledError:\n"
        "    print(cancelled, t.cancelled())\n"
    )
    assert kernel.ok(source).stdout == "['held'] True\n"


def test_task_goes_on_between_cells(kernel: Kernel) -> None:
    """A task begun in one cell runs while no cell does."""
    kernel.ok(
        "ticks = []\n"
        "async def tick():\n"
        "    for i in range(3):\n"
        "        await sleep(0.02)\n"
        "        await asyncio.sleep(0.02)\n"
        "        ticks.append(i)\n"
        "ticking = asyncio.create_task(tick())\n"
        "await sleep(0)\n"
    )
    kernel.wait_for_value("ticks", [0, 1, 2])


def test_asyncio_primitives(kernel: Kernel) -> None:
    """asyncio's Queue, Event and Lock, set from Twisted's callbacks."""
    source = (
        "queue, event, lock = asyncio.Queue(), asyncio.Event(), asyncio.Lock()\n"
        "reactor.callLater(0.01, queue.put_nowait, 'item')\n"
        "reactor.callLater(0.02, event.set)\n"
        "async with lock:\n"
        "    item = await queue.get()\n"
        "await event.wait()\n"
        "item"
    )
    assert result(kernel, source) == "'item'"


def test_asyncio_to_thread(kernel: Kernel) -> None:
    """``asyncio.to_thread`` runs elsewhere, and its result is awaited."""
    source = "await asyncio.to_thread(lambda: threading.current_thread().name != name)"
    kernel.ok("await sleep(0)\nname = threading.current_thread().name")
    assert result(kernel, source) == "True"


def test_current_task_and_loop(kernel: Kernel) -> None:
    """A cell that awaits runs in a task of the running loop, which is the reactor's."""
    source = (
        "await sleep(0)\n"
        "assert asyncio.current_task() is not None\n"
        "asyncio.get_running_loop() is reactor._asyncioEventloop"
    )
    assert result(kernel, source) == "True"


def test_from_future_and_as_future(kernel: Kernel) -> None:
    """Twisted's own bridges work beside ours."""
    source = (
        "loop = asyncio.get_running_loop()\n"
        "x = await Deferred.fromFuture(asyncio.ensure_future(asyncio.sleep(0.01, 1)))\n"
        "y = await sleep(0.01, 2).asFuture(loop)\n"
        "(x, y)"
    )
    assert result(kernel, "await sleep(0)\n" + source) == "(1, 2)"


def test_future(kernel: Kernel) -> None:
    """A bare asyncio Future, fulfilled by a callback of Twisted's."""
    source = (
        "await sleep(0)\n"
        "future = asyncio.get_running_loop().create_future()\n"
        "reactor.callLater(0.01, future.set_result, 'future')\n"
        "await future"
    )
    assert result(kernel, source) == "'future'"


# Where Twisted itself drives


def test_asyncio_inside_ensure_deferred(kernel: Kernel) -> None:
    """In a coroutine that Twisted drives, asyncio fails with an error that says how to do it."""
    source = "async def inside():\n    await asyncio.sleep(0.01)\nawait ensureDeferred(inside())"
    cell = kernel.run(source)
    assert "Deferred.fromFuture" in cell.only_error.evalue, cell.output
    user_frames_only(cell.only_error)
    awaits(kernel)


def test_from_future_inside_ensure_deferred(kernel: Kernel) -> None:
    """What that error advises works."""
    source = (
        "async def inside():\n"
        "    return await Deferred.fromFuture(asyncio.ensure_future(asyncio.sleep(0.01, 'ok')))\n"
        "await ensureDeferred(inside())"
    )
    assert result(kernel, source) == "'ok'"


def test_asyncio_inside_a_klein_handler(kernel: Kernel) -> None:
    """Klein drives its handlers itself: what it logs for the failed request has the advice."""
    pytest.importorskip("klein")
    pytest.importorskip("treq")
    kernel.ok(
        "import treq\n"
        "from klein import Klein\n"
        "from twisted.web.server import Site\n"
        "app = Klein()\n"
        "@app.route('/')\n"
        "async def page(request):\n"
        "    await asyncio.sleep(0.01)\n"
        "    return b'worked'\n"
        "await sleep(0)\n"
        "port = reactor.listenTCP(0, Site(app.resource()), interface='127.0.0.1')\n"
    )
    request = "(await treq.get(f'http://127.0.0.1:{port.getHost().port}/')).code"
    assert kernel.run(request).result == "500"
    kernel.wait_until(lambda: "Deferred.fromFuture" in everything_printed(kernel), 5)
    kernel.ok("await port.stopListening()")


# Other reactors


@pytest.fixture(scope="module")
def default_reactor():
    """A kernel on the reactor that Twisted chooses."""
    from kernels import Kernel, with_extension

    with Kernel("--TwistedIPython.reactor=default") as kernel:
        yield with_extension(kernel)


@pytest.mark.parametrize(
    "source",
    [
        "await asyncio.sleep(0.01)",
        "await asyncio.Event().wait()",
        "await asyncio.wait_for(sleep(0.01), 5)",
        "await asyncio.gather(sleep(0.01), sleep(0.01))",
        "async def inner():\n    await sleep(0)\n    await asyncio.sleep(0.01)\nawait inner()",
    ],
    ids=["sleep", "event", "wait_for", "gather", "deep"],
)
def test_asyncio_on_another_reactor(default_reactor: Kernel, source: str) -> None:
    """With another reactor, awaiting asyncio fails with a message that names the setting."""
    cell = default_reactor.run(source, within=10)
    error = cell.only_error
    assert "TwistedIPython.reactor" in error.evalue, error.traceback
    user_frames_only(error)
    awaits(default_reactor)


@pytest.mark.parametrize(
    "source, expected",
    [
        ("await sleep(0.01, 'd')", "'d'"),
        ("await ensureDeferred(twice(2))", "4"),
        ("await twice(2)", "4"),
        ("await later('er')", "'er'"),
        ("[i async for i in count(2)]", "[0, 1]"),
    ],
    ids=["Deferred", "ensureDeferred", "coroutine", "EventualResult", "async for"],
)
def test_twisted_on_another_reactor(
    default_reactor: Kernel, source: str, expected: str
) -> None:
    """All of Twisted's own is awaited there as on the asyncio reactor."""
    default_reactor.ok(
        "async def twice(x):\n    await sleep(0.01)\n    return 2 * x\n"
        "async def count(n):\n    for i in range(n):\n        yield await sleep(0, i)\n"
        "@crochet.run_in_reactor\ndef later(x):\n    return sleep(0.01, x)\n"
    )
    assert result(default_reactor, source) == expected


# Where a cell runs, and what of it is shown


def test_awaiting_cell_runs_in_the_reactor_thread(kernel: Kernel) -> None:
    """A cell that awaits runs in the reactor thread, from its first line on."""
    source = (
        "from twisted.python.threadable import isInIOThread\n"
        "before = isInIOThread()\n"
        "await sleep(0)\n"
        "(before, isInIOThread())"
    )
    assert result(kernel, source) == "(True, True)"


def test_plain_cell_runs_in_the_shell_thread(kernel: Kernel) -> None:
    """A plain cell runs in the shell thread."""
    assert (
        result(kernel, "threading.current_thread() is threading.main_thread()")
        == "True"
    )


def test_reactor_runs_between_cells(kernel: Kernel) -> None:
    """A delayed call fires while no cell runs."""
    kernel.ok(
        "fired = []\nawait sleep(0)\nreactor.callLater(0.05, fired.append, 'fired')"
    )
    kernel.wait_for_value("fired", ["fired"])


def test_output_before_and_after(kernel: Kernel) -> None:
    """What a cell prints before and after an await is its output, in order."""
    cell = kernel.ok(
        "print('before')\nawait sleep(0.01)\nprint('after')\ndisplay('shown')"
    )
    assert cell.stdout == "before\nafter\n"
    assert [data["text/plain"] for data in cell.displays] == ["'shown'"]


def test_last_result(kernel: Kernel) -> None:
    """The result of an awaiting cell is ``_`` and in ``Out``."""
    cell = kernel.ok("await sleep(0.01, 'kept for later')")
    assert kernel.value("_") == "kept for later"
    assert kernel.value(f"Out[{cell.execution_count}]") == "kept for later"


def test_names_bound_in_an_awaiting_cell(kernel: Kernel) -> None:
    """What an awaiting cell binds is there in a plain cell, and the other way round."""
    kernel.ok("plain = 'p'")
    kernel.ok("awaited = await sleep(0.01, plain + 'a')\ndef f():\n    return awaited")
    assert result(kernel, "f()") == "'pa'"


def test_error_after_await(kernel: Kernel) -> None:
    """An error is one error of the cell, and the reply says so."""
    cell = kernel.run("await sleep(0.01)\n1/0")
    assert cell.only_error.ename == "ZeroDivisionError" and cell.status == "error"
    awaits(kernel)


def test_syntax_error_with_await(kernel: Kernel) -> None:
    """A cell that awaits and does not parse is one SyntaxError."""
    cell = kernel.run("await sleep(0)\nx = = 1")
    assert cell.only_error.ename == "SyntaxError"
    awaits(kernel)


def test_return_at_the_top_after_await(kernel: Kernel) -> None:
    """``return`` at the top of an awaiting cell is one error, and the next cell awaits."""
    # Later, IPython itself may show two GeneratorExit of the coroutine that it dropped.
    cell = kernel.run("await sleep(0)\nreturn 5")
    assert len(cell.errors) == 1
    awaits(kernel)


def test_system_exit_in_an_awaiting_cell(kernel: Kernel) -> None:
    """``raise SystemExit`` in a cell that awaits is said, and the reactor goes on."""
    kernel.run("await sleep(0)\nraise SystemExit(3)")
    awaits(kernel)


@pytest.mark.parametrize("what", ["SystemExit", "KeyboardInterrupt"])
def test_exit_in_a_callback(kernel: Kernel, what: str) -> None:
    """SystemExit or KeyboardInterrupt out of a delayed call does not end the reactor."""
    # Twisted logs what the call raised; that is no business of this test.
    kernel.run(
        f"def leave():\n    raise {what}\nawait sleep(0)\ncall = reactor.callLater(0, leave)"
    )
    kernel.wait_for_value("call.called")
    awaits(kernel)
    assert kernel.value("reactor.running")


@pytest.mark.parametrize("what", ["SystemExit", "KeyboardInterrupt"])
def test_exit_in_a_task(kernel: Kernel, what: str) -> None:
    """SystemExit or KeyboardInterrupt out of an asyncio task does not end the reactor."""
    kernel.run(
        f"async def leave():\n    raise {what}\n"
        "await sleep(0)\nleaving = asyncio.create_task(leave())"
    )
    kernel.wait_for_value("leaving.done()")
    awaits(kernel)


def test_hundred_cells(kernel: Kernel) -> None:
    """A hundred awaiting cells sent at once all answer, in order."""
    cells = [kernel.start(f"await sleep(0.001, {i})") for i in range(100)]
    cells[-1].wait()
    assert [cell.result for cell in cells] == [str(i) for i in range(100)]


def test_plain_ipython_magic_around_await(kernel: Kernel) -> None:
    """``%%capture`` around a cell that awaits captures what it prints."""
    kernel.ok("%%capture captured\nprint('one')\nawait sleep(0.01)\nprint('two')")
    assert kernel.value("captured.stdout") == "one\ntwo\n"


def test_shell_magics_in_an_awaiting_cell(kernel: Kernel) -> None:
    """IPython's own syntax works in a cell that awaits."""
    cell = kernel.ok("await sleep(0)\nhere = %pwd\nlines = !echo out\n(here, lines[0])")
    assert kernel.value("here") and kernel.value("list(lines)") == ["out"]
    assert cell.result is not None
