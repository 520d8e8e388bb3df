"""
What is compared: IPython with this package, with another one, or with none.

A side is set up in a worker process of its own, because a process has one reactor,
and because this package and its predecessor have the same name.
"""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable
from contextvars import ContextVar
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeVar

if TYPE_CHECKING:
    from IPython.core.interactiveshell import InteractiveShell

TOP = Path(__file__).resolve().parent.parent
UPSTREAM = Path(__file__).resolve().parent / ".upstream"

Made = TypeVar("Made")

# Set by in_cell: what it starts has it, where contexts are kept.
IN_CELL: ContextVar[bool] = ContextVar("in_cell", default=False)


@dataclass(frozen=True)
class Side:
    """
    Attributes:
        package: What awaits: ``ours``, ``upstream``, IPython alone on asyncio
            (``stock``), or IPython alone with nothing that waits, beside a reactor
            in a thread (``bare``).
        reactor: Which one; ``stock`` has none.
    """

    package: Literal["ours", "upstream", "stock", "bare"]
    reactor: Literal["default", "asyncio", "none"] = "default"

    def __str__(self) -> str:
        return f"{self.package}-{self.reactor}"

    @classmethod
    def of(cls, name: str) -> Side:
        package, _, reactor = name.partition("-")
        return cls(package, reactor)  # type: ignore[arg-type]

    @property
    def label(self) -> str:
        who = {"upstream": "upstream 2.0.0", "stock": "stock IPython"}
        who_is = who.get(self.package, self.package)
        return who_is if self.reactor == "none" else f"{who_is}, {self.reactor} reactor"

    @property
    def can_be_missing(self) -> bool:
        return self.package == "upstream"


STOCK = Side("stock", "none")
OURS = (Side("ours", "default"), Side("ours", "asyncio"))
UPSTREAM_SIDE = Side("upstream")
BARE = {kind: Side("bare", kind) for kind in ("default", "asyncio")}


def new_shell() -> InteractiveShell:
    """IPython as ``InteractiveShell`` alone: no terminal, no kernel."""
    from IPython.core.interactiveshell import InteractiveShell

    return InteractiveShell.instance()


def configure(shell: InteractiveShell, side: Side) -> None:
    """What comes before ``%load_ext``, and is not counted as loading."""
    if side.package == "upstream":
        sys.path.insert(0, str(UPSTREAM))
    elif side.package == "ours":
        shell.config.TwistedIPython.reactor = side.reactor


def load(shell: InteractiveShell) -> None:
    """What loading is, and nothing else."""
    shell.run_line_magic("load_ext", "twisted_ipython")


def check_loaded(side: Side) -> None:
    """
    Raises:
        RuntimeError: The extension comes from somewhere else than asked for.
    """
    import twisted_ipython

    found = Path(str(twisted_ipython.__file__)).resolve()
    if (UPSTREAM in found.parents) != (side.package == "upstream"):
        raise RuntimeError(f"{side.label} was asked for, and {found} was loaded")


def set_up(shell: InteractiveShell, side: Side) -> None:
    """Make ``shell`` await as ``side`` does."""
    if side.package == "bare":
        from IPython.core.async_helpers import _pseudo_sync_runner

        run_in_thread(import_reactor(side.reactor))
        shell.loop_runner, shell.autoawait = _pseudo_sync_runner, True
    elif side.package != "stock":
        configure(shell, side)
        load(shell)
        check_loaded(side)
        shell.run_line_magic("autoawait", "twisted")


def switch(shell: InteractiveShell, on: bool) -> None:
    """
    Load the extension, or unload it; its reactor runs on in any case.

    Raises:
        RuntimeError: It is not as asked for.
    """
    assert shell.extension_manager is not None
    name, loaded = "twisted_ipython", shell.extension_manager.loaded
    if (name in loaded) != on:
        shell.run_line_magic("load_ext" if on else "unload_ext", name)
    if (name in loaded) != on:
        raise RuntimeError(f"{name} could not be {'loaded' if on else 'unloaded'}")


def in_cell(shell: InteractiveShell, work: Callable[[], Made]) -> Made:
    """Call ``work`` in a cell; gives, or raises, what comes of it."""
    found = []

    def mark_and_work() -> None:
        token = IN_CELL.set(True)
        try:
            found.append(work())
        finally:
            IN_CELL.reset(token)

    shell.user_ns["work"] = mark_and_work
    shell.run_cell("work()").raise_error()
    return found[0]


def import_reactor(kind: str) -> Any:
    """Install a reactor of that kind, without crochet and without starting it."""
    if kind == "asyncio":
        import asyncio

        from twisted.internet import asyncioreactor

        asyncioreactor.install(asyncio.SelectorEventLoop())
    from twisted.internet import reactor

    return reactor


def run_in_thread(reactor: Any) -> None:
    """Run ``reactor`` and no more; returns when it runs."""
    running = threading.Event()
    reactor.callWhenRunning(running.set)
    threading.Thread(
        target=reactor.run, kwargs={"installSignalHandlers": False}, daemon=True
    ).start()
    running.wait()


def hop_runner(reactor: Any) -> Callable[[Any], Any]:
    """
    A runner that drives a cell's coroutine in the reactor thread, and can do nothing
    else: no interrupt, no timeout, no errors, no second await.
    """
    lock = threading.Lock()
    lock.acquire()
    results = []

    def runner(coro: Any) -> Any:
        def drive() -> None:
            try:
                coro.send(None)
            except StopIteration as finished:
                results.append(finished.value)
            lock.release()

        reactor.callFromThread(drive)
        lock.acquire()
        return results.pop()

    return runner


def import_time(kind: str) -> float:
    """Seconds that it takes to import crochet and a reactor, in this process."""
    began = time.perf_counter()
    import crochet  # noqa: F401

    import_reactor(kind)
    return time.perf_counter() - began
