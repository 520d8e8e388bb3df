"""
The parts of an open console, made and put together.

Thread:
    The kernel's, but for what says otherwise.
"""

from __future__ import annotations

import logging
import os
import shutil
import sys
import threading
import uuid
from asyncio import AbstractEventLoop
from collections.abc import Callable
from contextlib import ExitStack
from contextvars import Context
from dataclasses import dataclass
from pathlib import Path
from time import monotonic
from typing import Any

from IPython.core.profiledir import ProfileDir
from tornado.ioloop import IOLoop
from traitlets.config import Config

from ..awaiting_cell import Message
from ..hosts import AsyncioHost, DeferredHost, Host
from ..internals import ipykernel_parts
from ..internals.twisted import asyncio_loop
from .clients import Client, Clients
from .contained import Containment
from .directory import user_name
from .executing import is_in_cell
from .kernel import LiveKernel
from .namespace import Namespace, module_of
from .packing import LiveSession, pack
from .places import Places
from .plan import Plan
from .reactor_side import ReactorSide
from .reading import (
    IN_REACTOR_THREAD,
    NO_GETPASS,
    NO_STDIN,
    NOT_IN_THREAD,
    NoInput,
    Reading,
)
from .requests import Request
from .running import ConsoleCell
from .sockets import Sockets
from .streams import Unreadable
from .thread_cells import stack_of

# Seconds that the kernel's heart has to begin to beat.
BEAT_WITHIN = 5.0


@dataclass
class Parts:
    """
    Attributes:
        kernel: Answers requests; has the cells and the clients.
        sockets, session: What messages come and go by.
        host: Drives the cells in the reactor thread.
        side: Asks there what is no cell.
        reading: Asks the clients' users.
    """

    kernel: LiveKernel
    sockets: Sockets
    session: LiveSession
    host: Host
    side: ReactorSide
    reading: Reading


def assemble(
    plan: Plan,
    connection_file: Path,
    io_loop: IOLoop,
    undo: ExitStack,
    break_in: Callable[[set[str]], object],
    application_ends: Callable[[], object],
) -> Parts:
    """
    Make a kernel that answers.

    Args:
        io_loop: Of the kernel's thread.
        undo: Gets what gives each part back.
        break_in: See ``LiveKernel.set_up``.
        application_ends: Called in the reactor thread, when a signal that ends the
            application has come while a cell ran.
    """
    loop: AbstractEventLoop = io_loop.asyncio_loop  # type: ignore[attr-defined]
    session = _session()
    sockets = Sockets(plan.directory, session, io_loop)
    undo.callback(sockets.close)
    kernel = _kernel(plan, session, sockets, undo)
    kernel.shell.connection_file = str(connection_file)

    on_asyncio = asyncio_loop(plan.reactor)
    host: Host = (
        DeferredHost(plan.reactor, plan.thread_id)
        if on_asyncio is None
        else AsyncioHost(on_asyncio, plan.thread_id)
    )
    kernel.shell.running = _running_on(host)
    side = ReactorSide(plan.reactor, plan.thread_id, loop, plan.send_signal)

    def gone(client: Client) -> None:
        kernel.forget(client)
        reading.gone(client.session)
        plan.detached(client)

    clients = Clients(plan.attached, gone)
    for channel in (sockets.shell, sockets.control):
        sockets.watch(channel, clients.disconnected)
    reading = Reading(
        session,
        sockets.stdin,
        loop,
        lambda asked: clients.find({"session": asked}) is not None,
    )
    places = _places(plan, kernel, reading)
    undo.callback(places.forget)
    containment = Containment(on_asyncio, plan.reactor, plan.context)
    kernel.set_up(
        side,
        places,
        clients,
        _maker_of_cells(plan, kernel, host, places, containment, application_ends),
        lambda: "".join(stack_of(plan.thread_id)),
        break_in,
        plan.cell_ended,
        plan.banner,
    )
    kernel.start()
    deadline = monotonic() + BEAT_WITHIN
    while not sockets.is_beating and monotonic() < deadline:
        threading.Event().wait(0.001)
    return Parts(kernel, sockets, session, host, side, reading)


def _session() -> LiveSession:
    return LiveSession(
        key=uuid.uuid4().hex.encode(),
        username=user_name(os.geteuid()),
        check_pid=False,
        pack=pack,
        # zmq frees what it sends without a copy in a thread of its own, which
        # stays, with a context, until the process ends.
        copy_threshold=sys.maxsize,
    )


def _kernel(
    plan: Plan, session: LiveSession, sockets: Sockets, undo: ExitStack
) -> LiveKernel:
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
        session=session,
        shell_stream=sockets.shell,
        control_stream=sockets.control,
        stdin_socket=sockets.stdin.socket,
        iopub_thread=sockets.iopub_thread,
        iopub_socket=sockets.iopub,
        profile_dir=ProfileDir.create_profile_dir(str(private / "profile")),
        user_ns=Namespace(plan.names),
        user_module=module_of(plan.names),
        log=_silent_logger(),
    )
    undo.callback(ipykernel_parts.set_comm_manager, None)
    undo.callback(ipykernel_parts.close_history, kernel.shell)
    kernel.record_ports({f"{name}_port": n for name, n in sockets.ports.items()})
    return kernel


def _running_on(host: Host) -> Callable[[], Any]:
    """Gives the cell whose code this thread runs, if it is the reactor thread."""
    return lambda: host.running if threading.get_ident() == host.thread_id else None


def _places(plan: Plan, kernel: LiveKernel, reading: Reading) -> Places:
    def read(request: Request, prompt: str, secret: bool) -> str:
        if threading.get_ident() == plan.thread_id:
            raise NoInput(NO_GETPASS if secret else IN_REACTOR_THREAD)
        return reading.read(request, prompt, secret)

    def ask(request: Request, prompt: str, secret: bool) -> Any:
        if threading.get_ident() != plan.thread_id:
            raise NoInput(NOT_IN_THREAD)
        return reading.awaited(request, prompt, secret, plan.reactor)

    no_stdin = Unreadable(lambda: NoInput(NO_STDIN))
    return Places(kernel.shell, kernel, read, ask, no_stdin)


def _maker_of_cells(
    plan: Plan,
    kernel: LiveKernel,
    host: Host,
    places: Places,
    containment: Containment,
    application_ends: Callable[[], object],
) -> Callable[..., ConsoleCell]:
    names = kernel.shell.user_global_ns
    signals = None if plan.send_signal is None else staticmethod(plan.send_signal)

    class InThisReactor(ConsoleCell):
        send_signal = signals

    def new_cell(
        coro: Any, request: Request, context: Context, tell: Callable[[Message], object]
    ) -> ConsoleCell:
        return InThisReactor(
            coro,
            request,
            context,
            host,
            places,
            containment,
            tell,
            lambda frame: is_in_cell(frame, names),
            application_ends,
        )

    return new_cell


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
