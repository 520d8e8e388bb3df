"""
The reactor of the session: chosen or found, run in a thread, guarded.

There is one reactor in a process, and it can't be started twice. So what is
found out about it is kept here for as long as the process lives, whatever is
loaded and unloaded.
"""

from __future__ import annotations

import asyncio
import atexit
import sys
import threading
import warnings
from asyncio import AbstractEventLoop
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext, suppress
from functools import partial
from queue import Empty, SimpleQueue
from typing import Any

import crochet
from twisted.internet.error import ReactorNotRunning
from twisted.logger import Logger, STDLibLogObserver, globalLogBeginner

from .contexts import call_later_in_context
from .executor import ReactorThreads
from .errors import CannotAwait, CannotLoad, CellInterrupted, RunRefused, StopRefused
from .hosts import AsyncioHost, DeferredHost, Host
from .internals.cpython import set_async_exc
from .internals.twisted import asyncio_loop, has_run, logging_has_begun

# Seconds that a reactor which says that it runs may take to answer.
ANSWER_WITHIN = 5.0

# Seconds that the end of the process waits for the reactor to shut down, and
# after which it interrupts what the reactor is busy with.
END_WITHIN = 1.5
INTERRUPT_AFTER = 0.3


class SessionReactor:
    """
    The reactor that cells await on.

    Attributes:
        reactor: Twisted's reactor.
        loop: The asyncio loop under it, or None.
        host: What runs coroutines on it.
        ours: Whether we run it, in a thread of ours.

    Thread:
        Made in the shell thread; read in any.
    """

    def __init__(
        self, reactor: Any, thread_id: int, thread: threading.Thread | None = None
    ) -> None:
        self.reactor = reactor
        self.ours = thread is not None
        self._thread = thread
        self._ending = False
        self.loop = asyncio_loop(reactor)
        self.host: Host = (
            DeferredHost(reactor, thread_id)
            if self.loop is None
            else AsyncioHost(self.loop, thread_id)
        )
        self.stopped = False
        self.when_stopped: set[Callable[[], object]] = set()
        reactor.callFromThread(
            reactor.addSystemEventTrigger, "after", "shutdown", self._has_stopped
        )

    def check(self) -> None:
        """
        Raises:
            CannotAwait: No cell can be awaited, for the reason in the text.
        """
        if self.stopped or not self.reactor.running:
            raise CannotAwait(STOPPED)
        if self.in_reactor_thread():
            raise CannotAwait(
                "this code runs in the reactor thread, and would wait there for "
                "itself; await it in the cell itself, without run_cell"
            )

    def in_reactor_thread(self) -> bool:
        """Whether this code runs there. Any thread."""
        return threading.get_ident() == self.host.thread_id

    def showing_error(self) -> AbstractContextManager[object]:
        """
        While a cell's error is shown, it is not stopped: it has ended.

        Any thread; concerns the cell that runs in the reactor thread.
        """
        cell = self.host.running if self.in_reactor_thread() else None
        return nullcontext() if cell is None else cell.unstoppable()

    def take_over(self) -> Callable[[], None]:
        """
        Make our own reactor the session's: it refuses what would end it, and
        each delayed call has a context of its own. Gives what undoes it.

        On the instance, and not in a subclass: there are programs, Scrapy for
        one, that want a reactor of exactly the type that they know.

        Thread:
            Shell thread.
        """
        if not self.ours:
            return lambda: None
        methods = {
            "run": _refuse_run,
            "stop": partial(self._refuse_stop, "stop"),
            "crash": partial(self._refuse_stop, "crash"),
            "callLater": call_later_in_context(self.reactor),
        }
        vars(self.reactor).update(methods)

        def undo() -> None:
            for name, method in methods.items():
                if vars(self.reactor).get(name) is method:
                    delattr(self.reactor, name)

        return undo

    def _refuse_stop(self, method: str) -> None:
        refused = StopRefused(method)
        if self.in_reactor_thread() and self.host.running is None:
            # From a callback, where the error itself may be noticed by nobody.
            Logger().warn("{refused}", refused=refused)
        raise refused

    def end(self) -> None:
        """
        Shut our own reactor down, but don't wait for long: the process ends.

        Thread:
            Main thread.
        """
        if self._thread is None or not self._thread.is_alive() or self._ending:
            return
        self._ending = True
        self.reactor.callFromThread(self._stop)
        self._thread.join(INTERRUPT_AFTER)
        if self._thread.is_alive():
            set_async_exc(self.host.thread_id, CellInterrupted)
            self._thread.join(END_WITHIN - INTERRUPT_AFTER)

    def _stop(self) -> None:
        with suppress(ReactorNotRunning):
            type(self.reactor).stop(self.reactor)

    def _has_stopped(self) -> None:
        self.stopped = True
        for tell in list(self.when_stopped):
            tell()


def _refuse_run(*args: object, **kwargs: object) -> None:
    raise RunRefused()


STOPPED = (
    "the reactor has stopped, and Twisted can't start one a second time: restart "
    "the kernel (or IPython) to await again"
)
_session: SessionReactor | None = None


def session_reactor(
    choice: str, frontend_loop: AbstractEventLoop | None
) -> SessionReactor:
    """
    The reactor of this process, running; started here if nobody did.

    Args:
        choice: Which one to install where none is installed: ``asyncio``,
            ``default`` or a name that ``twist --reactor`` knows.
        frontend_loop: The loop that the kernel lives on, which no reactor in
            another thread can use; None at a terminal.

    Raises:
        CannotLoad: It can't be used from here. Nothing was changed, but that
            an installed reactor stays installed.

    Thread:
        Shell thread.
    """
    global _session
    if _session is None:
        if "twisted.internet.reactor" not in sys.modules:
            _install(choice)
        from twisted.internet import reactor

        _check_usable(reactor, frontend_loop)
        try:
            crochet.no_setup()
        except RuntimeError:
            pass  # crochet.setup() was called: it runs the reactor, or soon will
        else:
            if not reactor.running:  # type: ignore[attr-defined]
                _session = _run_in_thread(reactor)
                return _session
        _session = _adopt(reactor)
    if _session.stopped:
        raise CannotLoad(STOPPED)
    return _session


def _install(choice: str) -> None:
    if choice == "default":
        from twisted.internet import reactor  # noqa: F401 - importing installs it
    elif choice == "asyncio":
        from twisted.internet import asyncioreactor

        # A loop of its own: the kernel's is busy with the kernel. A selector
        # loop, since Windows' default one has no readers and writers.
        asyncioreactor.install(asyncio.SelectorEventLoop())
    else:
        from twisted.application.reactors import NoSuchReactor, installReactor

        try:
            installReactor(choice)
        except NoSuchReactor:
            raise CannotLoad(
                f"there is no reactor {choice!r} to install: c.TwistedIPython.reactor "
                "is asyncio, default, or a name that `twist --help-reactors` lists"
            ) from None
        except ImportError as error:
            raise CannotLoad(
                f"the reactor {choice!r} can't be installed here: {error}"
            ) from error


def _check_usable(reactor: Any, frontend_loop: AbstractEventLoop | None) -> None:
    """Refuse a reactor that could only deadlock."""
    from twisted.python import threadable

    if has_run(reactor) and not reactor.running:
        raise CannotLoad(STOPPED)
    if reactor.running and threadable.isInIOThread():
        raise CannotLoad(
            "the reactor is running in this very thread, which would wait for "
            "itself: start IPython outside of reactor.run(), and load the "
            "extension there; it runs the reactor in another thread"
        )
    loop = asyncio_loop(reactor)
    if loop is None or reactor.running:
        return
    if loop is frontend_loop or loop.is_running():
        raise CannotLoad(
            "asyncioreactor is installed on the event loop that this session "
            "itself runs on, so nothing could be awaited: restart, and leave "
            "asyncioreactor.install() out; %load_ext twisted_ipython installs an "
            "asyncio reactor on a loop of its own"
        )


def _adopt(reactor: Any) -> SessionReactor:
    """Use a reactor that somebody else runs, as it is."""
    answer: SimpleQueue[int] = SimpleQueue()
    reactor.callFromThread(lambda: answer.put(threading.get_ident()))
    try:
        thread_id = answer.get(timeout=ANSWER_WITHIN)
    except Empty:
        raise CannotLoad(
            "a reactor is installed, but it did not answer within "
            f"{ANSWER_WITHIN:g} s: what runs it is busy, or never called "
            "reactor.run(); load the extension when it runs, or before"
        ) from None
    return SessionReactor(reactor, thread_id)


def _run_in_thread(reactor: Any) -> SessionReactor:
    """Run the reactor for as long as the process lives."""
    # Deferreds' worker threads would keep the process alive while they work.
    reactor.getThreadPool().threadFactory = _daemon_thread
    loop = asyncio_loop(reactor)
    if loop is not None:
        loop.set_default_executor(ReactorThreads(reactor))
    started: SimpleQueue[None] = SimpleQueue()
    reactor.callWhenRunning(started.put, None)
    thread = threading.Thread(
        # The name under which crochet's users know it.
        target=_serve, args=(reactor, loop), name="CrochetReactor", daemon=True
    )
    thread.start()
    started.get()
    assert thread.ident is not None
    session = SessionReactor(reactor, thread.ident, thread)
    atexit.register(session.end)
    reactor.callFromThread(_settle, reactor)
    return session


def _serve(reactor: Any, loop: AbstractEventLoop | None) -> None:
    """Reactor thread: run until the process ends, whatever is raised in it."""
    # By the class: the session's reactor refuses run().
    run: Callable[[], object] = lambda: type(reactor).run(  # noqa: E731
        reactor, installSignalHandlers=False
    )
    while True:
        try:
            run()
        except (KeyboardInterrupt, SystemExit):
            # asyncio lets these two out of its loop, from any callback or task.
            # They were meant for what raised them.
            pass
        if not reactor.running:
            return
        run = reactor.mainLoop if loop is None else loop.run_forever


def _settle(reactor: Any) -> None:
    """Reactor thread: what else crochet.setup() would have done."""
    if sys.platform != "win32":
        from twisted.internet.process import reapAllProcesses
        from twisted.internet.task import LoopingCall

        # Without signal handlers, nobody else hears that a process has ended.
        reap = LoopingCall(reapAllProcesses)
        reap.clock = reactor
        reap.start(0.1, now=False)
    if not logging_has_begun():
        to_logging = STDLibLogObserver("twisted")

        def observe(event: dict[str, Any]) -> None:
            failure = event.get("log_failure")
            # Where an interrupt broke in has been shown, with its cell.
            if failure is None or not failure.check(CellInterrupted):
                to_logging(event)

        show = warnings.showwarning
        globalLogBeginner.beginLoggingTo([observe], redirectStandardIO=False)
        warnings.showwarning = show  # Python's warnings stay Python's


def _daemon_thread(*args: Any, **kwargs: Any) -> threading.Thread:
    return threading.Thread(*args, **kwargs, daemon=True)
