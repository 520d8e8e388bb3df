"""
The private names of other libraries that the package uses are still there.

A failure here says which library has changed, and which file is to follow.
"""

from __future__ import annotations

import asyncio
import inspect

import crochet
from IPython.core.compilerop import CachingCompiler
from IPython.core.events import EventManager
from IPython.core.interactiveshell import InteractiveShell
from IPython.core.magics.execution import ExecutionMagics
from IPython.core.ultratb import VerboseTB
from twisted.internet.asyncioreactor import AsyncioSelectorReactor
from twisted.internet.base import ReactorBase
from twisted.internet.defer import succeed
from twisted.internet.testing import MemoryReactorClock
from twisted.logger import globalLogBeginner

from twisted_ipython.awaiting_magics import RUN_OPTIONS
from twisted_ipython.internals import crochet as crochet_internals
from twisted_ipython.internals import ipython as ipython_internals
from twisted_ipython.internals import twisted as twisted_internals


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
