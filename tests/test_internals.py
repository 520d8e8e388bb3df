"""
The private names of other libraries that the package uses are still there.

A failure here says which library has changed, and which file is to follow.
"""

from __future__ import annotations

import asyncio
import inspect
import sys
from collections.abc import Generator
from contextvars import Context, ContextVar
from types import FrameType
from typing import Any

import crochet
import pytest
from IPython.core.compilerop import CachingCompiler
from IPython.core.events import EventManager
from IPython.core.interactiveshell import InteractiveShell
from IPython.core.magics.execution import ExecutionMagics
from IPython.core.ultratb import VerboseTB
from twisted.internet.asyncioreactor import AsyncioSelectorReactor
from twisted.internet.base import ReactorBase
from twisted.internet.defer import (
    Deferred,
    DeferredList,
    ensureDeferred,
    gatherResults,
    inlineCallbacks,
    succeed,
)
from twisted.internet.task import Clock, deferLater
from twisted.internet.testing import MemoryReactorClock
from twisted.logger import globalLogBeginner

from twisted_ipython.background.waits import Ends
from twisted_ipython.internals import cpython
from twisted_ipython.internals import crochet as crochet_internals
from twisted_ipython.internals import ipython as ipython_internals
from twisted_ipython.internals import twisted as twisted_internals
from twisted_ipython.timing.magics import RUN_OPTIONS


def test_twisted() -> None:
    """internals/twisted.py: the loop of a reactor, whether it has run, the log."""
    loop = asyncio.new_event_loop()
    try:
        reactor = AsyncioSelectorReactor(loop)
        assert twisted_internals.asyncio_loop(reactor) is loop
        assert twisted_internals.has_run(reactor) is False
        assert isinstance(reactor, ReactorBase)
        reactor.removeAll()
    finally:
        loop.close()
    assert twisted_internals.asyncio_loop(MemoryReactorClock()) is None
    assert hasattr(globalLogBeginner, "_temporaryObserver")


def test_twisted_waiting() -> None:
    """internals/twisted.py: what a Deferred waits on."""

    async def fetch() -> None:
        await never

    @inlineCallbacks
    def get() -> Generator[Deferred[None], object, None]:
        yield never

    never: Deferred[None] = Deferred()
    for deferred, name in (ensureDeferred(fetch()), "fetch"), (get(), "get"):
        assert twisted_internals.coroutine_of(deferred).__name__ == name
    assert twisted_internals.coroutine_of(never) is None

    outer = succeed(None).addCallback(lambda _: never)
    assert twisted_internals.chained_to(outer) is never
    assert twisted_internals.chained_to(never) is None

    delayed = deferLater(Clock(), 1, print)
    assert twisted_internals.is_delayed(delayed)
    assert not twisted_internals.is_delayed(never)

    several = DeferredList([never, succeed(1), Deferred()])
    assert twisted_internals.unfinished(several) == (2, 3)
    assert twisted_internals.unfinished(never) is None


def test_twisted_waiting_on_a_task() -> None:
    """internals/twisted.py: the coroutine of a task that is to fire a Deferred."""

    async def fetch() -> None:
        await asyncio.sleep(0)

    async def look() -> str:
        deferred = Deferred.fromFuture(asyncio.ensure_future(fetch()))
        return str(twisted_internals.coroutine_of(deferred).__name__)

    assert asyncio.run(look()) == "fetch"


@pytest.mark.parametrize("end", ["called", "cancelled"])
def test_twisted_end_of_a_delayed_call(end: str) -> None:
    """internals/twisted.py: it tells once, and leaves the call as it found it."""

    def tick(n: int) -> None:
        seen.append(n)

    clock = Clock()
    seen: list[object] = []
    call = clock.callLater(1, tick, 5)
    before = str(call), call.canceller
    twisted_internals.tell_end(call, seen.append)
    assert str(call) == before[0]
    if end == "called":
        clock.advance(1)
        assert seen == [5, "called"] and call.func is tick
    else:
        call.cancel()
        assert seen == ["cancelled"] and not clock.getDelayedCalls()
    assert call.canceller == before[1]
    twisted_internals.tell_end(call, seen.append)
    assert seen[-1] == end


def test_coroutines_of_deferreds() -> None:
    """internals/twisted.py: what Deferreds drive, and who waits for a Deferred."""
    variable: ContextVar[str] = ContextVar("variable")
    gate: Deferred[int] = Deferred()

    async def outer() -> int:
        return await Deferred.fromCoroutine(inner())

    async def inner() -> int:
        return await gate

    @inlineCallbacks
    def generator() -> Generator[Deferred[int], Any, int]:
        return (yield gate)

    context = Context()
    context.run(variable.set, "theirs")
    started = context.run(lambda: [ensureDeferred(outer()), generator()])
    found = {
        driven.coroutine.__name__: driven
        for driven in twisted_internals.driven_coroutines()
        if driven.context.get(variable) == "theirs"
    }
    assert found.keys() == {"outer", "inner", "generator"}
    assert [found["outer"].deferred, found["generator"].deferred] == started
    ends = Ends([])
    assert ends.awaited(found["inner"].deferred)
    assert ends.awaited(gate)
    assert not ends.awaited(found["outer"].deferred)
    gathered = gatherResults(started)
    assert not ends.awaited(started[0])

    async def last() -> None:
        await gathered

    ending = ensureDeferred(last())
    assert ends.awaited(started[0])
    gate.callback(1)
    assert ending.called
    assert not [
        driven
        for driven in twisted_internals.driven_coroutines()
        if driven.context.get(variable) == "theirs"
    ]


def test_tasks() -> None:
    """internals/asyncio.py: who waits for a task."""

    async def work() -> None:
        await asyncio.sleep(60)

    async def wait_for(task: asyncio.Task[None]) -> None:
        await task

    async def gather(task: asyncio.Task[None]) -> None:
        await asyncio.gather(task)

    async def wait(task: asyncio.Task[None]) -> None:
        await asyncio.wait([task], timeout=60)

    async def with_twisted(task: asyncio.Task[None]) -> None:
        loop = asyncio.get_running_loop()
        await Deferred.fromFuture(task).asFuture(loop)

    async def main() -> None:
        ends = Ends([])
        for how in (wait_for, gather, wait, with_twisted):
            task = asyncio.ensure_future(work())
            task.add_done_callback(set().discard)
            await asyncio.sleep(0)
            assert not ends.awaited(task)
            waiting = asyncio.ensure_future(how(task))
            await asyncio.sleep(0)
            await asyncio.sleep(0)
            assert ends.awaited(task), how
            assert not ends.awaited(waiting)
            waiting.cancel()
            task.cancel()
            await asyncio.wait([task, waiting])

    asyncio.run(main())


def test_result_hook() -> None:
    """internals/crochet.py: the function that an EventualResult is of."""
    assert "_connect_deferred" in vars(crochet.EventualResult)
    code = inspect.getsource(crochet._eventloop.EventLoop.run_in_reactor)
    assert "def runs_in_reactor(result, args, kwargs)" in code
    assert "wrapped(*args, **kwargs)" in code


def test_crochet() -> None:
    """internals/crochet.py: the state of an EventualResult."""
    result = crochet.EventualResult(None, MemoryReactorClock())
    assert crochet_internals.deferred_of(result) is None
    assert not crochet_internals.is_done(result)
    fired = succeed(5)
    result._connect_deferred(fired)
    assert crochet_internals.deferred_of(result) is fired
    assert crochet_internals.is_done(result)
    assert crochet_internals.outcome(result) == 5
    assert not crochet_internals.was_retrieved(result)
    assert result.wait(1) == 5
    assert crochet_internals.was_retrieved(result)


def test_ipython() -> None:
    """internals/ipython.py: what shows exceptions, ends a shell, names a cell."""
    assert "exc_tuple" in inspect.signature(InteractiveShell._get_exc_info).parameters
    assert callable(InteractiveShell._atexit_once)
    assert callable(VerboseTB.get_records)
    assert CachingCompiler()._filename_map == {}


def test_magics() -> None:
    """internals/ipython.py: how ``%time`` writes seconds, what runs files for ``%run``."""
    assert ipython_internals.format_time(0.0123) == "12.3 ms"
    assert "runner" in inspect.signature(ExecutionMagics.run).parameters
    options = inspect.getsource(ExecutionMagics.run)
    assert repr(RUN_OPTIONS) in options
    for name in ("self.default_runner", "safe_execfile", "safe_run_module"):
        assert name in options


def test_ipykernel() -> None:
    """internals/ipykernel.py: the handler of SIGINT around a request."""
    from ipykernel.kernelbase import Kernel

    for name, words in {
        "pre_handler_hook": ("saved_sigint_handler", "default_int_handler"),
        "post_handler_hook": ("saved_sigint_handler",),
        "dispatch_shell": ("pre_handler_hook", "post_handler_hook"),
    }.items():
        source = inspect.getsource(getattr(Kernel, name))
        for word in words:
            assert word in source, (name, word)
    assert "channel" in inspect.signature(Kernel.get_parent).parameters
    assert InteractiveShell.run_code.__code__ is not EventManager.trigger.__code__


def test_jupyter_console() -> None:
    """internals/jupyter_console.py: the methods that are replaced are called."""
    from jupyter_console.app import ZMQTerminalIPythonApp
    from jupyter_console.completer import ZMQCompleter
    from jupyter_console.ptshell import ZMQTerminalInteractiveShell as Stock

    from twisted_ipython.internals.jupyter_console import Completer, Shell

    for method, words in {
        "__init__": ("init_history()", "init_completer()", "init_kernel_info()"),
        "init_prompt_toolkit_cli": ("check_complete(", "self.handle_iopub()", "c-\\\\"),
        "interact": ("keep_running", "confirm_exit", "run_cell("),
        "run_cell": ("client.is_alive()", "handle_input_request(", "_executing"),
        "handle_iopub": ("include_output(", "iopub_channel.msg_ready"),
        "handle_input_request": ("stdin_channel", "self.handle_iopub(msg_id)"),
        "ask_exit": ("keep_running = False",),
        "from_here": ("parent_header", "session_id"),
    }.items():
        source = inspect.getsource(getattr(Stock, method))
        for word in words:
            assert word in source, (method, word)
    replaced = {name for name in vars(Shell) if callable(vars(Shell)[name])}
    ours = {"reply_to", "handle_sigint", "handle_sigquit", "end_line"}
    for name in replaced - ours:
        if not name.startswith("_"):
            assert callable(getattr(Stock, name)), name
    for name in ("other_output_prefix", "kernel_timeout", "kernel_is_complete_timeout"):
        assert Stock.class_traits()[name].metadata["config"]
    assert "complete_request" in vars(ZMQCompleter) and Completer.complete_request
    assert callable(ZMQTerminalIPythonApp.load_config_file)


def test_kernel_parts() -> None:
    """internals/ipykernel_parts.py, shell_errors.py, singletons.py, cpython.py."""
    import subprocess
    import warnings

    import ipykernel.ipkernel
    from ipykernel.iostream import IOPubThread
    from ipykernel.zmqshell import ZMQInteractiveShell
    from IPython.core.magics.script import ScriptMagics
    from traitlets.config import SingletonConfigurable

    from twisted_ipython.internals import singletons

    assert "_event_pipe_gc_task" in inspect.getsource(IOPubThread)
    assert "global _comm_manager" in inspect.getsource(ipykernel.ipkernel)
    for name in ("_get_exc_info", "_showtraceback"):
        assert hasattr(ZMQInteractiveShell, name)
    assert hasattr(SingletonConfigurable, singletons.ATTRIBUTE)
    assert ZMQInteractiveShell in singletons.owners(ZMQInteractiveShell)
    assert "_add_filter" in inspect.getsource(warnings.simplefilter)
    assert "_sigint_wait_secs" in inspect.getsource(subprocess.Popen)
    assert hasattr(ScriptMagics, "kill_bg_processes")


def test_trace_function_that_raises() -> None:
    """internals/cpython.py: the frame at whose return it raises is in the traceback, once."""

    def trace(frame: FrameType, event: str, argument: object) -> object:
        if event == "return":
            frame.f_trace = None
            error = ValueError("raised again")
            cpython.show_returning(frame, error)
            raise error
        return trace

    def returning() -> None:
        sys._getframe().f_trace = trace
        sys.settrace(lambda *_: None)

    tracing = sys.gettrace()
    try:
        with pytest.raises(ValueError, match="raised again") as raised:
            returning()
    finally:
        sys.settrace(tracing)
    assert [each.name for each in raised.traceback].count("returning") == 1
