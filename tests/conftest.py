"""
Fixtures shared by the tests that run real programs.

A kernel that a test may damage costs half a second: such a test takes
``fresh_kernel``. The others share one kernel per module, ``kernel``, which is
replaced when a test fails or leaves it so that it no longer awaits.
"""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from jupyter_client import BlockingKernelClient

from applications import QUIET_APPLICATION, REACTORS, Attached, RunningApplication
from attacked import Attacked, Shared
from kernels import Kernel, with_extension
from terminals import Program, Terminal, run_ipython

_failed = pytest.StashKey[bool]()

# A shell that runs the tests in the background has SIGINT ignored, and so would all
# programs be that they run.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Iterator[None]:
    """Note on each test whether it failed, for the fixtures' sake."""
    report = yield
    if report.failed:
        item.stash[_failed] = True
    return report


class SharedKernel:
    """A kernel that awaits Twisted, started when first asked for."""

    def __init__(self) -> None:
        self._kernel: Kernel | None = None

    def usable(self) -> Kernel:
        """The kernel, or a new one where it no longer awaits."""
        if self._kernel is not None:
            try:
                self._kernel.run("await sleep(0)", within=5).succeeded()
                self._kernel.ok(
                    "%crochet_config timeout 60\ncancelled.clear()", within=5
                )
                self._kernel.forget()
            except AssertionError:
                self.discard()
        if self._kernel is None:
            kernel = Kernel()
            try:
                with_extension(kernel)
            except BaseException:
                kernel.kill()
                raise
            self._kernel = kernel
        return self._kernel

    def discard(self) -> None:
        if self._kernel is not None:
            self._kernel.kill()
        self._kernel = None


@pytest.fixture(scope="module")
def shared_kernel() -> Iterator[SharedKernel]:
    """The module's one kernel and the means to replace it; tests take ``kernel``."""
    shared = SharedKernel()
    yield shared
    shared.discard()


@pytest.fixture
def kernel(
    shared_kernel: SharedKernel, request: pytest.FixtureRequest
) -> Iterator[Kernel]:
    """
    A kernel that awaits Twisted, with the helpers of ``kernels.HELPERS``.

    Shared by the tests of a module; its timeout is 60 at the start of each.
    """
    yield shared_kernel.usable()
    if request.node.stash.get(_failed, False):
        shared_kernel.discard()


@pytest.fixture
def bare_kernel() -> Iterator[Callable[..., Kernel]]:
    """Starts kernels of this test's own, without the extension; takes what ``Kernel`` takes."""
    started: list[Kernel] = []

    def start(*arguments: str, **options: object) -> Kernel:
        started.append(Kernel(*arguments, **options))  # type: ignore[arg-type]
        return started[-1]

    yield start
    for each in started:
        each.kill()


@pytest.fixture
def fresh_kernel(bare_kernel: Callable[..., Kernel]) -> Callable[..., Kernel]:
    """
    Starts kernels of this test's own that await Twisted, with the helpers.

    Takes what ``Kernel`` takes, and ``await_twisted=False`` to load the extension only.
    """

    def start(*arguments: str, await_twisted: bool = True, **options: object) -> Kernel:
        return with_extension(
            bare_kernel(*arguments, **options), await_twisted=await_twisted
        )

    return start


@pytest.fixture
def terminal() -> Iterator[Callable[..., Terminal]]:
    """Starts IPython on a pty, at its first prompt; takes what ``Terminal`` takes."""
    started: list[Terminal] = []

    def start(*arguments: str, **options: object) -> Terminal:
        started.append(Terminal(*arguments, **options))  # type: ignore[arg-type]
        started[-1].wait_for_prompt()
        return started[-1]

    yield start
    for each in started:
        each.kill()


AWAITING = ("--ext=twisted_ipython", "--TwistedIPython.autoawait=True")


@pytest.fixture
def awaiting_terminal(terminal: Callable[..., Terminal]) -> Callable[..., Terminal]:
    """Starts IPython on a pty with the extension loaded and Twisted awaitable."""

    def start(*arguments: str, **options: object) -> Terminal:
        return terminal(*AWAITING, *arguments, **options)

    return start


@pytest.fixture
def ipython(tmp_path: Path) -> Callable[..., Program]:
    """Runs ``ipython`` with these arguments, in a directory of its own, to its end."""

    def run(*arguments: str, **options: object) -> Program:
        return run_ipython(*arguments, directory=tmp_path, **options)  # type: ignore[arg-type]

    return run


class SharedApplication:
    """An application with a live console, started when first asked for."""

    def __init__(self, reactor: str) -> None:
        self._reactor = reactor
        self._application: RunningApplication | None = None

    def usable(self) -> RunningApplication:
        """The application, or a new one where it has gone."""
        if self._application is not None and not self._application.alive:
            self.discard()
        if self._application is None:
            self._application = RunningApplication(
                QUIET_APPLICATION, reactor=self._reactor
            )
        return self._application

    def discard(self) -> None:
        if self._application is not None:
            self._application.kill()
        self._application = None


@pytest.fixture(scope="module", params=REACTORS)
def shared_application(request: pytest.FixtureRequest) -> Iterator[SharedApplication]:
    """The module's one application on each reactor; tests take ``application``."""
    shared = SharedApplication(request.param)
    yield shared
    shared.discard()


@pytest.fixture
def application(
    shared_application: SharedApplication, request: pytest.FixtureRequest
) -> Iterator[RunningApplication]:
    """
    An application with a live console, on each reactor; shared by a module's tests.

    It logs everything and says nothing by itself. A test whose clients make it say
    something, or end, fails.
    """
    running = shared_application.usable()
    before = running.said
    yield running
    said = running.said
    alive = running.alive
    report = running.report()
    if request.node.stash.get(_failed, False) or not alive or said != before:
        shared_application.discard()
    assert alive, report
    assert said == before, report


@pytest.fixture
def attach(
    application: RunningApplication,
) -> Iterator[Callable[..., BlockingKernelClient]]:
    """Attaches stock clients to ``application``, which leave when the test ends."""
    clients: list[BlockingKernelClient] = []

    def make(**options: bool) -> BlockingKernelClient:
        clients.append(application.client(**options))
        return clients[-1]

    yield make
    for client in clients:
        application.leave(client)


@pytest.fixture
def client(attach: Callable[..., BlockingKernelClient]) -> BlockingKernelClient:
    """A client of ``application``."""
    return attach()


@pytest.fixture(scope="module", params=REACTORS)
def attacked_application(request: pytest.FixtureRequest) -> Iterator[Shared]:
    """The module's application that is meant harm, one for each reactor."""
    shared = Shared(request.param)
    yield shared
    shared.discard()


@pytest.fixture
def front(
    attacked_application: Shared, request: pytest.FixtureRequest
) -> Iterator[Attached]:
    """A client of the module's application, which has to be unhurt afterwards."""
    yield attacked_application.front()
    if request.node.stash.get(_failed, False):
        attacked_application.discard()
    else:
        attacked_application.check()


@pytest.fixture
def attacked() -> Iterator[Callable[..., Attacked]]:
    """Starts applications of this test's own; takes what ``Attacked`` takes."""
    started: list[Attacked] = []

    def start(*arguments: Any, **options: Any) -> Attacked:
        started.append(Attacked(*arguments, **options))
        return started[-1]

    yield start
    for each in started:
        each.kill()
