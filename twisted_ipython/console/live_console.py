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
import sys
import threading
from collections.abc import Callable, Mapping
from contextlib import suppress
from contextvars import Context, copy_context
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Any

from twisted.application.service import Service

from .directory import ASKED_FILE, CLOSING, DORMANT
from .errors import NO_IPYKERNEL, CannotInstall, CannotOpen, Refused
from .installed import Installed
from .opening import Opening
from .signals import ActivationSignal
from .telling import tell_log

if TYPE_CHECKING:
    from twisted.internet.defer import Deferred

    from .serving import Serving

SIGUSR2 = getattr(signals, "SIGUSR2", 0)

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
        self._names = namespace
        self._activation = activation
        self._signal_number = int(signal or 0)
        self._reactor = reactor
        self._auditing = audit, audit_code, on_attach, on_detach
        self._installed = Installed(self.title, self._left)
        self._opening = Opening(self._installed, self.title, linger, self._new_serving)
        self._context = Context()  # of the reactor thread, when it began to run
        self._trigger: Any = None

    @property
    def state(self) -> str:
        """``"dormant"``, ``"opening"``, ``"open"`` or ``"closing"``. Any thread."""
        return self._opening.state

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
            tell_log("error", "{error}", error=error)

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
        if self._installed.directory is not None:
            return
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
        signal = None
        if main and self._signal_number:
            signal = ActivationSignal(
                self._signal_number, self._asked, self._interrupted
            )
        opens = self._activation != "manual"
        self._installed.install(self._reactor, signal, opens)
        self._reactor.callWhenRunning(self._settle)

    def _settle(self) -> None:
        """The reactor runs, in the process that it will run in."""
        if self._installed.directory is None or self._trigger is not None:
            return
        self._installed.settle()
        self._context = copy_context()
        self._trigger = self._reactor.addSystemEventTrigger(
            "before", "shutdown", self._shut_down
        )
        if self._activation == "start":
            self.open().addErrback(lambda failure: None)  # the log has it

    def _left(self) -> None:
        self._opening.serving = None

    def uninstall(self) -> None:
        """
        Be there no more: no file, no signal handler.

        Thread:
            Reactor thread; the main one, for the handler.
        """
        if not self._installed.is_here:
            return
        if self._trigger is not None:
            self._reactor.removeSystemEventTrigger(self._trigger)
            self._trigger = None
        self._installed.take_out()

    # -- Signals: main thread, in the handler -------------------------------

    def _asked(self, frame: FrameType | None) -> None:
        """Somebody wants it open."""
        directory = self._installed.directory
        if directory is None or self._activation == "manual":
            return
        if self.state in (DORMANT, CLOSING):
            from .asked import note

            note(directory, self._thread_id(), frame)
        self._reactor.callFromThread(self._open_by_signal)

    def _interrupted(self, frame: FrameType | None) -> None:
        serving = self._opening.serving
        if serving is not None:
            serving.interrupted(frame)

    def _open_by_signal(self) -> None:
        """Reactor thread."""
        from twisted.internet.defer import Deferred

        directory = self._installed.directory
        if directory is not None:
            with suppress(OSError):
                (directory / ASKED_FILE).unlink()
        opened: Deferred[Path] = Deferred()
        self._opening.open(opened, by_signal=True)
        opened.addErrback(lambda failure: None)  # the log and the file have it

    # -- Opening and closing -----------------------------------------------

    def open(self) -> Deferred[Path]:
        """
        Open it; fires with the connection file once the kernel answers.

        Fails with CannotOpen; the application goes on.

        Thread:
            Any; it fires in the reactor thread.
        """
        return self._in_reactor_thread(self._opening.open)

    def close(self) -> Deferred[None]:
        """
        Close it; fires when all is given back.

        Thread:
            Any; it fires in the reactor thread.
        """
        return self._in_reactor_thread(self._opening.close)

    def _in_reactor_thread(self, order: Callable[[Deferred[Any]], object]) -> Any:
        from twisted.internet.defer import Deferred

        done: Deferred[Any] = Deferred()
        if self._installed.directory is None or self._opening.ending:
            order(done)
        elif not self._reactor.running and order == self._opening.close:
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

    def _new_serving(self) -> Serving:
        from importlib.util import find_spec

        if find_spec("ipykernel") is None:
            raise CannotOpen(NO_IPYKERNEL)
        from ..internals.cpython import no_filters_added

        with no_filters_added():
            from .auditing import Auditing
            from .plan import Plan
            from .serving import Serving

        directory, call = self._installed.directory, self._reactor.callFromThread
        assert directory is not None
        auditing = Auditing(self.title, *self._auditing)

        def counting(tell: Callable[..., object]) -> Callable[..., object]:
            def told(*details: Any) -> None:
                tell(*details)
                self._opening.note_use()

            return lambda *details: call(told, *details)

        thread_id = self._thread_id()
        in_main = thread_id == threading.main_thread().ident
        return Serving(
            Plan(
                directory=directory,
                reactor=self._reactor,
                thread_id=thread_id,
                context=self._context,
                names=self._names,
                banner=_banner(self.title),
                send_signal=self._installed.send_signal if in_main else None,
                attached=counting(auditing.attached),
                detached=counting(auditing.detached),
                cell_ended=counting(auditing.cell_ended),
                is_ending=lambda: self._opening.ending,
            )
        )

    # -- The end of the application ----------------------------------------

    def _shut_down(self) -> None:
        self._trigger = self._reactor.addSystemEventTrigger(
            "after", "shutdown", self._wait_for_end
        )
        self._opening.shut_down()

    def _wait_for_end(self) -> None:
        self._trigger = None
        self._opening.wait_for_end()
        self.uninstall()


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
