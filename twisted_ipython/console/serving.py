"""
The console while it is open: everything that is made for it, and given back.

Thread:
    The kernel's, from beginning to end, but for what says otherwise.
"""

from __future__ import annotations

import asyncio
import logging
import os
import shutil
import sys
import threading
import uuid
from asyncio import AbstractEventLoop
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from contextvars import Context
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from time import monotonic
from types import FrameType
from typing import Any

from ..internals.cpython import no_filters_added
from ..stops import LeftoverInterrupted
from .clients import Client, Clients
from .collecting import no_full_collection
from .directory import KERNEL_FILE, write_json
from .requests import Request

# Seconds that cells have to end when the console closes.
END_WITHIN = 0.25

# The same, when the application ends: its reactor comes to nothing any more.
END_AT_ONCE = 0.02

# Seconds that a cell has to end by itself, before that.
FINISH_WITHIN = 0.05


@dataclass
class Plan:
    """
    What the application's side decides, for the console to be opened by.

    Attributes:
        directory: Where the connection file goes.
        reactor: The application's.
        thread_id: The number of the thread that runs it.
        context: The application's own context variables.
        names: The dictionary that cells read and write.
        banner: What a frontend shows first.
        send_signal: How to have ``interrupted`` of the console called in the reactor
            thread; None where that is not the main thread.
        attached, detached: Called with a client, in the kernel's thread.
        cell_ended: Called with a request, how it ended and its seconds, there too.
        is_ending: Whether the application shuts down. Any thread.
    """

    directory: Path
    reactor: Any
    thread_id: int
    context: Context
    names: dict[str, Any]
    banner: str
    send_signal: Callable[[], object] | None
    attached: Callable[[Client], object]
    detached: Callable[[Client], object]
    cell_ended: Callable[[Request, str, float], object]
    is_ending: Callable[[], bool]


class Serving:
    """
    An open console.

    Attributes:
        connection_file: Where clients find what to connect to.
    """

    def __init__(self, plan: Plan) -> None:
        self._plan = plan
        self.connection_file = plan.directory / KERNEL_FILE
        self._undo = ExitStack()
        self._host: Any = None
        self._stopping = False
        self._loop: AbstractEventLoop | None = None
        self._side: Any = None
        self._breaking: set[str] | None = None
        self._is_left_by: Callable[..., bool] = lambda *args: False
        self._ended: asyncio.Event | None = None

    def run(self, opened: Callable[[], object]) -> None:
        """
        Open, tell, and serve until ``stop``; then give everything back.

        Raises:
            Exception: It could not open; nothing is left of it.
        """
        with self._undo:
            if self._stopping:
                return
            with _imports():
                kernel = self._open()
                if not self._stopping:
                    connection = self._sockets.connection(self._session.key)
                    write_json(self.connection_file, connection)
                    self._undo.callback(self.connection_file.unlink, missing_ok=True)
                    opened()
                    _warm_up(kernel.shell)
            self._io_loop.run_sync(self._until_stopped)
            self._io_loop.run_sync(self._end_cells)
            kernel.clients.forget_all()

    def stop(self) -> None:
        """
        Let ``run`` end, also before it has begun. Any thread; does nothing if it has.
        """
        self._stopping = True
        loop, ended = self._loop, self._ended
        if loop is None or ended is None:  # it has not come so far, and will see
            return
        try:
            loop.call_soon_threadsafe(ended.set)
        except RuntimeError:  # its loop has closed
            pass

    async def _until_stopped(self) -> None:
        assert self._ended is not None
        # In this order: who stops it sets the flag before it looks for the event.
        if not self._stopping:
            await self._ended.wait()

    def interrupted(self, frame: FrameType | None) -> None:
        """
        The signal that ``send_signal`` sends has come.

        Raises:
            CellStop: Into the cell's code that ``frame`` belongs to.

        Thread:
            Reactor thread, in a signal handler.
        """
        files, self._breaking = self._breaking, None
        cell = None if self._host is None else self._host.running
        if cell is not None:
            cell.signalled_at(frame)
        elif self._side is not None and self._side.answering is not None:
            self._side.signalled(frame)
        elif files is not None and self._is_left_by(frame, files):
            raise LeftoverInterrupted

    def _break_in(self, files: set[str]) -> None:
        """
        Interrupt what the cells that were compiled under these names have left, if
        the reactor thread is in there.

        Not where signals don't reach that thread: it could be elsewhere by then.
        """
        if self._plan.send_signal is not None and self._host.running is None:
            self._breaking = files
            self._plan.send_signal()

    @property
    def clients(self) -> int:
        """How many are attached. Any thread."""
        return len(self._kernel.clients)

    @property
    def is_used(self) -> bool:
        """Whether a client is attached, or a cell runs. Any thread."""
        return bool(len(self._kernel.clients) or self._kernel.cells)

    # -- Making it ---------------------------------------------------------

    def _open(self) -> Any:
        from ..internals import ipykernel_parts

        # First, and alone: all that is imported below needs it.
        ipykernel_parts.import_kernel()

        from IPython.core.profiledir import ProfileDir
        from tornado.ioloop import IOLoop
        from traitlets.config import Config

        from .kernel import LiveKernel
        from .namespace import Namespace, module_of
        from .packing import LiveSession, pack
        from .places import Places
        from .reactor_side import ReactorSide
        from .reading import (
            IN_REACTOR_THREAD,
            NO_GETPASS,
            NO_STDIN,
            NOT_IN_THREAD,
            NoInput,
            Reading,
        )
        from .sockets import Sockets

        undo, plan = self._undo, self._plan
        loop = asyncio.SelectorEventLoop()
        self._loop, self._ended = loop, asyncio.Event()
        self._io_loop = IOLoop(asyncio_loop=loop, make_current=False)
        undo.callback(self._io_loop.close)
        asyncio.set_event_loop(loop)
        undo.callback(asyncio.set_event_loop, None)

        self._session = LiveSession(
            key=uuid.uuid4().hex.encode(),
            username=_user(),
            check_pid=False,
            pack=pack,
            # zmq frees what it sends without a copy in a thread of its own, which
            # stays, with a context, until the process ends.
            copy_threshold=sys.maxsize,
        )
        self._sockets = Sockets(plan.directory, self._session, self._io_loop)
        undo.callback(self._sockets.close)

        private = plan.directory / "ipython"
        private.mkdir(mode=0o700, exist_ok=True)
        undo.callback(shutil.rmtree, private, ignore_errors=True)
        config = Config()
        config.HistoryManager.hist_file = ":memory:"
        config.HistoryManager.enabled = True
        config.IPCompleter.use_jedi = False  # it reads files, and takes its time
        config.Completer.use_jedi = False
        config.InteractiveShell.ipython_dir = str(private)

        kernel = LiveKernel(
            config=config,
            session=self._session,
            shell_stream=self._sockets.shell,
            control_stream=self._sockets.control,
            stdin_socket=self._sockets.stdin.socket,
            iopub_thread=self._sockets.iopub_thread,
            iopub_socket=self._sockets.iopub,
            profile_dir=ProfileDir.create_profile_dir(str(private / "profile")),
            user_ns=Namespace(plan.names),
            user_module=module_of(plan.names),
            log=_silent_logger(),
        )
        self._kernel = kernel
        undo.callback(ipykernel_parts.set_comm_manager, None)
        undo.callback(ipykernel_parts.close_history, kernel.shell)
        kernel.record_ports(
            {f"{name}_port": n for name, n in self._sockets.ports.items()}
        )

        self._host, reactor_loop = _host(plan)
        kernel.shell.running = self._running
        kernel.shell.connection_file = str(self.connection_file)
        side = ReactorSide(plan.reactor, plan.thread_id, loop, plan.send_signal)
        self._side = side
        clients = Clients(plan.attached, self._gone)
        reading = Reading(
            self._session,
            self._sockets.stdin,
            loop,
            lambda session: clients.find({"session": session}) is not None,
        )
        self._reading = reading

        def read(request: Request, prompt: str, secret: bool) -> str:
            if threading.get_ident() == plan.thread_id:
                raise NoInput(NO_GETPASS if secret else IN_REACTOR_THREAD)
            return reading.read(request, prompt, secret)

        def ask(request: Request, prompt: str, secret: bool) -> Any:
            if threading.get_ident() != plan.thread_id:
                raise NoInput(NOT_IN_THREAD)
            return reading.awaited(request, prompt, secret, plan.reactor)

        from .streams import Unreadable

        places = Places(
            kernel.shell,
            kernel,
            read,
            ask,
            Unreadable(lambda: NoInput(NO_STDIN)),
        )
        undo.callback(places.forget)
        for channel in (self._sockets.shell, self._sockets.control):
            self._sockets.watch(channel, clients.disconnected)

        from .contained import Containment
        from .executing import is_in_cell, is_left_by
        from .running import ConsoleCell

        self._is_left_by = is_left_by
        names = kernel.shell.user_global_ns
        containment = Containment(reactor_loop, plan.reactor, plan.context)

        class InThisReactor(ConsoleCell):
            send_signal = (
                None if plan.send_signal is None else staticmethod(plan.send_signal)
            )

        def new_cell(
            coro: Any, request: Request, context: Context, tell: Callable[..., object]
        ) -> ConsoleCell:
            return InThisReactor(
                coro,
                request,
                context,
                self._host,
                places,
                containment,
                tell,
                lambda frame: is_in_cell(frame, names),
                self._application_ends,
            )

        kernel.set_up(
            side,
            places,
            clients,
            new_cell,
            self._where,
            self._break_in,
            plan.cell_ended,
            plan.banner,
        )
        kernel.start()
        deadline = monotonic() + 5
        while not self._sockets.is_beating and monotonic() < deadline:
            threading.Event().wait(0.001)
        return kernel

    def _running(self) -> Any:
        """The cell whose code this thread runs, if it is the reactor thread."""
        if threading.get_ident() != self._plan.thread_id:
            return None
        return self._host.running

    def _gone(self, client: Client) -> None:
        self._kernel.forget(client)
        self._reading.gone(client.session)
        self._plan.detached(client)

    def _where(self) -> str:
        from .thread_cells import stack_of

        return "".join(stack_of(self._plan.thread_id))

    # -- Ending it ---------------------------------------------------------

    def _application_ends(self) -> None:
        """A signal that ends the application came while a cell ran. Reactor thread."""
        from .reactor_side import tell_from

        if self._loop is not None:
            tell_from(self._loop, self._interrupt_all)

    def _interrupt_all(self) -> None:
        for cell in list(self._kernel.cells):
            cell.interrupt(lambda: "")

    async def _end_cells(self) -> None:
        """See that every cell has its reply, and all replies are sent."""
        within = END_AT_ONCE if self._plan.is_ending() else END_WITHIN
        replies = [cell.reply for cell in self._kernel.cells]
        if replies and not self._plan.is_ending():
            # The one that has closed the console is about to end by itself.
            await asyncio.wait(replies, timeout=FINISH_WITHIN)
        self._interrupt_all()
        self._reading.end()
        if replies:
            await asyncio.wait(replies, timeout=within)
            for cell in list(self._kernel.cells):
                cell.give_up(": the console closes")
        tasks = list(self._kernel.tasks)
        if tasks:
            await asyncio.wait(tasks, timeout=within)
        for task in self._kernel.tasks:
            task.cancel()


# What IPython imports at the first error, question, completion, magic or command.
_LATER = (
    "stack_data",
    "pygments.formatters.terminal256",
    "pygments.formatters.html",
    "pygments.lexers.python",
    "pygments.styles.default",
    "IPython.core.guarded_eval",
    "IPython.core.latex_symbols",
    "IPython.core.magics.execution",
    "IPython.core.magics.namespace",
    "pexpect",
)


def _warm_up(shell: Any) -> None:
    """
    Have that imported now, if it was not. In a cell, the reactor would wait for it.
    """
    if all(name in sys.modules for name in _LATER):
        return
    for name in _LATER:
        with suppress(ImportError):
            import_module(name)
    try:
        raise ValueError
    except ValueError:
        shell.InteractiveTB.structured_traceback(*sys.exc_info())
    shell.inspector.info(_warm_up)
    shell.display_formatter.format(None)


@contextmanager
def _imports() -> Iterator[None]:
    """Around the opening: what the imports of the first one do to the process."""
    with no_filters_added():
        if "ipykernel.ipkernel" in sys.modules:
            yield
        else:
            with no_full_collection():
                yield


def _user() -> str:
    from .directory import user_name

    return user_name(os.geteuid())


def _silent_logger() -> logging.Logger:
    """
    Where ipykernel logs: nowhere.

    Without it, it would configure Python's logging, which closes all handlers that
    the application has.
    """
    logger = logging.Logger("twisted_ipython.console")
    logger.addHandler(logging.NullHandler())
    logger.propagate = False
    return logger


def _host(plan: Plan) -> tuple[Any, AbstractEventLoop | None]:
    """What drives cells in the reactor thread, and asyncio's loop under it."""
    from ..hosts import AsyncioHost, DeferredHost
    from ..internals.twisted import asyncio_loop

    loop = asyncio_loop(plan.reactor)
    if loop is None:
        return DeferredHost(plan.reactor, plan.thread_id), None
    return AsyncioHost(loop, plan.thread_id), loop
