"""
The application's side of a live console: dormant, and asked to open.

Imports nothing of IPython's and ipykernel's; ``serving`` does, in the kernel's thread.

Thread:
    The state changes in the reactor thread. What comes from elsewhere (the signal
    handler, the kernel's thread, the public methods) is handed over to it.
"""

from __future__ import annotations

import os
import signal as signals
import socket
import sys
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from contextvars import Context, copy_context
from dataclasses import replace
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Any

from twisted.application.service import Service

from . import directory as files
from .collecting import collect_if_quick
from .directory import CLOSING, DORMANT, OPEN, OPENING, Application
from .errors import NO_IPYKERNEL, CannotInstall, CannotOpen, Refused
from .processes import start_of, started_at
from .signals import ActivationSignal

if TYPE_CHECKING:
    from twisted.internet.defer import Deferred

    from .serving import Serving

SIGUSR2 = getattr(signals, "SIGUSR2", 0)

# Seconds that the end of the process waits for the kernel's thread.
JOIN_WITHIN = 1.0

# Seconds that the end of the service waits for the console's.
STOP_WITHIN = 3.0

_ACTIVATIONS = ("signal", "start", "manual")


class LiveConsole(Service):
    """
    A live console, as a service of a Twisted application.

    ``LiveConsole(globals()).setServiceParent(application)``

    Args:
        namespace: What cells read and write: a module's ``globals()``, or any
            dictionary, as ``{"app": app, "db": pool}``.
        name: Of the application, for people and for ``twisted-ipython attach NAME``;
            by default, that of the program.
        activation: ``"signal"``: dormant until a signal asks it to open. ``"start"``:
            open from the start. ``"manual"``: opened by ``open()`` alone.
        signal: The number of the signal; None for none.
        reactor: By default the one that is installed.
        audit: Called with a dictionary for each event (see docs/security.md), in
            the reactor thread.
        audit_code: Whether the events have the code of the cells.
        on_attach, on_detach: Called with a ``clients.Client``, in the reactor thread.
        linger: A console that the signal has opened closes so many seconds after its
            last client has gone and its last cell has ended; None for never.

    Thread:
        Made anywhere, started where the application is: in the main thread, if a signal
        is to be handled.
    """

    def __init__(
        self,
        namespace: dict[str, Any] | Mapping[str, Any],
        *,
        name: str | None = None,
        activation: str = "signal",
        signal: int | None = SIGUSR2,
        reactor: Any = None,
        audit: Callable[[dict[str, Any]], object] | None = None,
        audit_code: bool = True,
        on_attach: Callable[[Any], object] | None = None,
        on_detach: Callable[[Any], object] | None = None,
        linger: float | None = 300.0,
    ) -> None:
        if activation not in _ACTIVATIONS:
            raise CannotInstall(
                f"activation={activation!r}: it has to be one of "
                + ", ".join(map(repr, _ACTIVATIONS))
            )
        if activation == "signal" and not signal:
            raise CannotInstall(
                'a live console without a signal needs activation="start", or '
                'activation="manual" and open()'
            )
        if not isinstance(namespace, dict):
            raise CannotInstall(
                f"the namespace is a {type(namespace).__name__}, and has to be a "
                "dictionary: globals(), or one of names and objects"
            )
        self.title = name or _program_name()
        self.state = DORMANT
        self._names = namespace
        self._activation = activation
        self._signal_number = int(signal or 0)
        self._reactor = reactor
        self._audit = audit
        self._audit_code = audit_code
        self._on_attach = on_attach
        self._on_detach = on_detach
        self._linger = linger

        self._directory: Path | None = None
        self._application: Application | None = None
        self._signal: ActivationSignal | None = None
        self._pid = 0
        self._serving: Serving | None = None
        self._thread: threading.Thread | None = None
        self._context = Context()  # of the reactor thread, when it began to run
        self._by_signal = False
        self._again = False  # open once it has closed
        self._ending = False  # the reactor shuts down
        self._error = ""
        self._to_open: list[Deferred[Path]] = []
        self._to_close: list[Deferred[None]] = []
        self._lingering: Any = None
        self._trigger: Any = None

    # -- Installing --------------------------------------------------------

    def startService(self) -> None:
        """
        Install the console: in the process, and under the user, that the application
        runs as from now on. Where its directory can't be made, the log has the
        reason, and the application goes on without.

        Raises:
            CannotInstall: It is not the main thread; or there is a console already.
        """
        super().startService()
        try:
            self.install()
        except CannotInstall as error:
            if not isinstance(error.__cause__, (Refused, OSError)):
                raise
            # Something about files: no reason for a service not to begin.
            self._log("error", "{error}", error=error)

    def stopService(self) -> Any:
        """Close it, and take it out; gives a Deferred."""
        super().stopService()
        closed = self.close()
        if self._reactor is not None and self._reactor.running:
            closed.addTimeout(STOP_WITHIN, self._reactor)  # the application's end waits
        closed.addBoth(lambda result: self.uninstall())
        return closed

    def install(self) -> None:
        """
        Be there for ``twisted-ipython``, dormant.

        Raises:
            CannotInstall: The text says why; nothing was changed.

        Thread:
            Main thread. Another one if no signal is needed.
        """
        global _installed
        if self._directory is not None:
            return
        if _installed is not None and _installed.is_here:
            raise CannotInstall(
                f"this process has a live console already, {_installed.title!r}"
            )
        main = threading.current_thread() is threading.main_thread()
        if not main and self._activation == "signal":
            raise CannotInstall(
                "a live console that a signal opens has to be installed in the main "
                "thread, since Python handles signals there alone; elsewhere, pass "
                'activation="start", or activation="manual" and call open()'
            )
        if self._reactor is None:
            from twisted.internet import reactor

            self._reactor = reactor
        self._pid = os.getpid()
        if main and self._signal_number:
            self._signal = ActivationSignal(
                self._signal_number, self._asked, self._interrupted
            )
        try:
            self._directory = files.make_directory(self._pid)
        except (Refused, OSError) as error:
            self._signal = None
            raise CannotInstall(f"no live console: {error}") from error
        # The handler first: who finds the file sends the signal.
        try:
            if self._signal is not None:
                self._signal.install()
            self._write(self._new_application())
        except CannotInstall:
            self._take_out()
            raise
        except OSError as error:  # a full disk, for one
            self._take_out()
            raise CannotInstall(f"no live console: {error}") from error
        _installed = self
        _clean_up_in_children()
        self._reactor.callWhenRunning(self._settle)

    @property
    def is_here(self) -> bool:
        """Whether it is installed, in this very process."""
        return self._directory is not None and self._pid == os.getpid()

    def _settle(self) -> None:
        """The reactor runs, in the process that it will run in."""
        if self._directory is None or self._trigger is not None:
            return
        if self._pid != os.getpid():
            self._move()
        self._context = copy_context()
        self._trigger = self._reactor.addSystemEventTrigger(
            "before", "shutdown", self._shut_down
        )
        if self._activation == "start":
            self.open().addErrback(lambda failure: None)  # the log has it

    def _move(self) -> None:
        """This process has forked from that which has installed the console."""
        assert self._application is not None
        left, before = self._directory, self._application.pid
        self._pid = os.getpid()
        if self._signal is not None:
            self._signal.adopt()
        try:
            self._directory = files.make_directory(self._pid)
            self._write(self._new_application())
        except (Refused, OSError) as error:
            self._directory = None  # the other process' may still be in use
            self._log("error", "no live console in this process: {error}", error=error)
        if left is not None and start_of(before) is None:
            files.remove_directory(left)

    def left_behind(self) -> bool:
        """
        This process has forked from the application: it has no console.

        Before the reactor runs, the child may be the application, become a daemon. So
        it keeps the handler, and settles when the reactor runs in it.
        """
        if not getattr(self._reactor, "running", False):
            return False
        handler, self._signal = self._signal, None
        if handler is not None:
            handler.uninstall()
        self._directory = None
        self._serving = None
        return True

    def uninstall(self) -> None:
        """
        Be there no more: no file, no signal handler.

        Thread:
            Reactor thread; the main one, for the handler.
        """
        global _installed
        if self._directory is None or self._pid != os.getpid():
            return
        if self._trigger is not None:
            self._reactor.removeSystemEventTrigger(self._trigger)
            self._trigger = None
        self._take_out()
        if _installed is self:
            _installed = None

    def _take_out(self) -> None:
        # The file first, then the handler: without one, the signal ends the process.
        directory, self._directory = self._directory, None
        if directory is not None:
            with suppress(OSError):
                (directory / files.APP_FILE).unlink()
        if self._signal is not None:
            self._signal.uninstall()
            self._signal = None
        if directory is not None:
            files.remove_directory(directory)

    def _new_application(self) -> Application:
        kind = type(self._reactor)
        now = time.time()
        handled = self._signal is not None and self._activation != "manual"
        return Application(
            pid=os.getpid(),
            start=start_of(os.getpid()) or "",
            started=started_at(os.getpid()) or now,
            uid=os.geteuid(),
            host=socket.gethostname(),
            name=self.title,
            arguments=tuple(sys.argv),
            reactor=f"{kind.__module__}.{kind.__qualname__}",
            signal=self._signal_number if handled else 0,
            state=DORMANT,
            since=now,
        )

    def _write(self, application: Application) -> None:
        assert self._directory is not None
        self._application = application
        files.write_application(self._directory, application)

    def _update(self, **changes: Any) -> None:
        if self._application is None or self._directory is None:
            return
        if "state" in changes:
            self.state = changes["state"]
            changes["since"] = time.time()
        try:
            self._write(replace(self._application, **changes))
        except OSError as error:
            self._log("warn", "live console: {error}", error=error)

    # -- Signals -----------------------------------------------------------

    def _asked(self, frame: FrameType | None) -> None:
        """Main thread, in the handler: somebody wants it open."""
        if self._directory is None or self._activation == "manual":
            return
        if self.state in (DORMANT, CLOSING):
            from .asked import note

            note(self._directory, self._thread_id(), frame)
        self._reactor.callFromThread(self._open_by_signal)

    def _interrupted(self, frame: FrameType | None) -> None:
        serving = self._serving
        if serving is not None:
            serving.interrupted(frame)

    def _open_by_signal(self) -> None:
        if self._directory is not None:
            with suppress(OSError):
                (self._directory / files.ASKED_FILE).unlink()
        if self.state in (DORMANT, CLOSING):
            self._by_signal = True
        self.open().addErrback(lambda failure: None)  # the log and the file have it

    # -- Opening and closing: reactor thread -------------------------------

    def open(self) -> Deferred[Path]:
        """
        Open it; fires with the connection file once the kernel answers.

        Fails with CannotOpen; the application goes on.

        Thread:
            Any; it fires in the reactor thread.
        """
        return self._in_reactor_thread(self._open)

    def close(self) -> Deferred[None]:
        """
        Close it; fires when all is given back.

        Thread:
            Any; it fires in the reactor thread.
        """
        return self._in_reactor_thread(self._close)

    def _in_reactor_thread(self, order: Callable[[Deferred[Any]], object]) -> Any:
        from twisted.internet.defer import Deferred

        done: Deferred[Any] = Deferred()
        if self._directory is None or self._ending:
            order(done)
        elif not self._reactor.running and order == self._close:
            order(done)  # there is nothing yet to wait for
        elif not self._reactor.running:
            self._reactor.callWhenRunning(order, done)
        elif threading.get_ident() == self._thread_id():
            order(done)
        else:
            self._reactor.callFromThread(order, done)
        return done

    def _thread_id(self) -> int:
        """
        The number of the thread that runs the reactor; until one does, of the main
        thread. Any thread.
        """
        from twisted.python import threadable

        ident: Any = threadable.ioThread or threading.main_thread().ident
        return int(ident)

    def _open(self, done: Deferred[Path]) -> None:
        if self._directory is None:
            done.errback(CannotOpen("the live console is not installed"))
        elif self._ending:
            done.errback(CannotOpen("the application is shutting down"))
        elif self.state == OPEN:
            done.callback(self._directory / files.KERNEL_FILE)
        else:
            self._to_open.append(done)
            self._again = self.state == CLOSING
            if self.state == DORMANT:
                self._begin()

    def _begin(self) -> None:
        self._update(state=OPENING, error="")
        thread = threading.Thread(
            target=self._run_kernel, name="twisted_ipython console", daemon=True
        )
        try:
            thread.start()
        except RuntimeError as error:  # the system has no more of them for us
            self._has_failed(CannotOpen(str(error)), False)
        else:
            self._thread = thread

    def _run_kernel(self) -> None:
        """The kernel's thread, whole."""
        call = self._reactor.callFromThread
        opened = False

        def has_opened() -> None:
            nonlocal opened
            opened = True
            call(self._has_opened)

        try:
            self._serving = serving = self._new_serving()
            if self.state == CLOSING:  # before there was anything to stop
                serving.stop()
            serving.run(has_opened)
        except BaseException as error:
            call(self._has_failed, error, opened)
        else:
            if not self._ending:
                self._serving = None
                del serving
                collect_if_quick()
            call(self._has_closed)

    def _new_serving(self) -> Serving:
        from importlib.util import find_spec

        if find_spec("ipykernel") is None:
            raise CannotOpen(NO_IPYKERNEL)
        from ..internals.cpython import no_filters_added

        with no_filters_added():
            from .auditing import Auditing
            from .serving import Plan, Serving

        assert self._directory is not None
        call = self._reactor.callFromThread
        auditing = Auditing(
            self.title, self._audit, self._audit_code, self._on_attach, self._on_detach
        )

        def counting(tell: Callable[..., object]) -> Callable[..., object]:
            def told(*details: Any) -> None:
                tell(*details)
                self._note_use()

            return lambda *details: call(told, *details)

        thread_id = self._thread_id()
        in_main = thread_id == threading.main_thread().ident
        sends = self._signal is not None and in_main
        return Serving(
            Plan(
                directory=self._directory,
                reactor=self._reactor,
                thread_id=thread_id,
                context=self._context,
                names=self._names,
                banner=_banner(self.title),
                send_signal=self._signal.send if sends and self._signal else None,
                attached=counting(auditing.attached),
                detached=counting(auditing.detached),
                cell_ended=counting(auditing.cell_ended),
                is_ending=lambda: self._ending,
            )
        )

    def _has_opened(self) -> None:
        if self.state != OPENING:  # told to close meanwhile
            return
        self._update(state=OPEN)
        self._log("info", "live console of {name} opened", name=self.title)
        self._note_use()
        assert self._directory is not None
        waiting, self._to_open = self._to_open, []
        for done in waiting:
            done.callback(self._directory / files.KERNEL_FILE)

    def _has_failed(self, error: BaseException, opened: bool) -> None:
        text = str(error) or type(error).__name__
        if isinstance(error, CannotOpen):
            self._log("error", "live console: {error}", error=text)
        else:
            from twisted.logger import Logger
            from twisted.python.failure import Failure

            Logger("twisted_ipython.console").failure(
                "live console: {error}", Failure(error), error=text
            )
        self._now_dormant(f"it failed: {text}" if opened else text)

    def _close(self, done: Deferred[None]) -> None:
        self._again = False
        if self.state == DORMANT:
            done.callback(None)
            return
        self._to_close.append(done)
        self._begin_closing()

    def _begin_closing(self) -> None:
        if self.state == CLOSING or self._directory is None:
            return
        with suppress(OSError):
            (self._directory / files.KERNEL_FILE).unlink()
        was_opening = self.state == OPENING
        self._update(state=CLOSING)
        self._stop_lingering()
        if was_opening:
            waiting, self._to_open = self._to_open, []
            for done in waiting:
                done.errback(CannotOpen("the live console was closed meanwhile"))
        serving = self._serving
        if serving is not None:
            serving.stop()

    def _has_closed(self) -> None:
        self._log("info", "live console of {name} closed", name=self.title)
        self._now_dormant("")

    def _now_dormant(self, error: str) -> None:
        thread, self._thread = self._thread, None
        self._serving = None
        self._stop_lingering()
        if thread is not None:
            thread.join(JOIN_WITHIN)  # it has told, and ends
        self._update(state=DORMANT, error=error, clients=0)
        # Whoever is told may give the next order at once: what it finds is settled.
        closing, self._to_close = self._to_close, []
        opening: list[Deferred[Path]] = []
        again, self._again = self._again, False
        if again and not self._ending and self._directory is not None:
            self._begin()
        else:
            self._by_signal = False
            opening, self._to_open = self._to_open, []
        for closed in closing:
            closed.callback(None)
        for done in opening:
            done.errback(CannotOpen(error or "the live console was closed meanwhile"))

    # -- Use ---------------------------------------------------------------

    def _note_use(self) -> None:
        """Reactor thread: somebody came or went, or a cell has ended."""
        serving = self._serving
        if serving is None or self.state != OPEN:
            return
        clients = serving.clients
        if self._application is not None and clients != self._application.clients:
            self._update(clients=clients)
        self._stop_lingering()
        if self._by_signal and self._linger is not None and not serving.is_used:
            self._lingering = self._reactor.callLater(self._linger, self._is_unused)

    def _is_unused(self) -> None:
        self._lingering = None
        serving = self._serving
        if serving is not None and self.state == OPEN and not serving.is_used:
            self.close()

    def _stop_lingering(self) -> None:
        call, self._lingering = self._lingering, None
        if call is not None and call.active():
            call.cancel()

    # -- The end of the application ----------------------------------------

    def _shut_down(self) -> None:
        """The reactor stops: begin to close, and don't hold it up."""
        self._ending = True
        self._trigger = self._reactor.addSystemEventTrigger(
            "after", "shutdown", self._wait_for_end
        )
        if self.state != DORMANT:
            self._to_open, waiting = [], self._to_open
            for done in waiting:
                done.errback(CannotOpen("the application is shutting down"))
            self._begin_closing()

    def _wait_for_end(self) -> None:
        self._trigger = None
        thread = self._thread
        if thread is not None:
            thread.join(JOIN_WITHIN)
        self.uninstall()

    def _log(self, level: str, text: str, **details: Any) -> None:
        from twisted.logger import Logger

        getattr(Logger("twisted_ipython.console"), level)(text, **details)


def install_live_console(
    namespace: dict[str, Any], *, reactor: Any = None, **options: Any
) -> LiveConsole:
    """
    Install a live console in a script; gives it.

    Args:
        namespace, options: See LiveConsole.

    Raises:
        CannotInstall: The text says why.

    Thread:
        Main thread; another one with ``activation`` "start" or "manual".
    """
    console = LiveConsole(namespace, reactor=reactor, **options)
    console.install()
    return console


# The console of this process. Written in the thread that installs it.
_installed: LiveConsole | None = None
_hooked = False


def _clean_up_in_children() -> None:
    """See that a process which forks from this one does not take it for its own."""
    global _hooked
    if not _hooked and hasattr(os, "register_at_fork"):
        _hooked = True
        os.register_at_fork(after_in_child=_after_fork)


def _after_fork() -> None:
    global _installed
    if _installed is not None and _installed.left_behind():
        _installed = None


def _program_name() -> str:
    name = os.path.basename(sys.argv[0] if sys.argv else "")
    return name.removesuffix(".py") or "python"


def _banner(title: str) -> str:
    return (
        f"Live console of {title} (process {os.getpid()}, "
        f"Python {sys.version.split()[0]}).\n"
        "Cells run in its reactor thread: `await` lets the application go on.\n"
        "%%thread runs a cell beside it. exit leaves; the application goes on.\n"
    )
