"""
The kernel: ipykernel's, whose requests are dispatched for an application's sake.

Each client has a lane of its own, in which its cells follow one another; those of
other clients go on meanwhile. No request's handling depends on another's. Nothing
that a client sends ends the kernel, and nothing of it reaches the application's log.

Thread:
    All of it is the kernel's thread, which runs no code of the user's: that is run in
    the reactor thread (``reactor_side``), or in the thread of a ``%%thread`` cell.
"""

from __future__ import annotations

import asyncio
import inspect
import time
import weakref
from asyncio import AbstractEventLoop
from collections.abc import Callable
from contextvars import copy_context
from typing import Any

from ipykernel.ipkernel import IPythonKernel
from ipykernel.jsonutil import json_clean
from tornado.ioloop import IOLoop
from traitlets import Type

from ..internals.ipykernel_parts import WithoutThreadHooks
from .clients import Client, Clients, peer_of
from .comms import complaints_to
from .executing import Order, run_cell
from .interrupting import Interrupts
from .lanes import Lanes
from .places import Places
from .reactor_side import ReactorSide
from .requests import REQUEST, Request
from .running import ConsoleCell
from .shell import LiveShell
from .streams import Stream
from .telling import tell_from
from .thread_cells import ThreadCell, body_of, is_thread_cell
from .unfinished import Unfinished
from .watching import Watch

# Seconds that the reactor has to answer what a frontend asks beside cells.
ANSWER_WITHIN = 2.0

# What ipykernel answers and we do not: ipyparallel's requests to its engines, which run
# code in this thread, and those for subshells, in whose place there are lanes.
NOT_ANSWERED = (
    "apply_request",
    "abort_request",
    "clear_request",
    "create_subshell_request",
    "delete_subshell_request",
    "list_subshell_request",
)

# Seconds between what a cell prints and its being sent, at the most.
SEND_WITHIN = 0.1


class LiveKernel(WithoutThreadHooks, IPythonKernel):
    """See above. ``set_up`` completes what the constructor begins."""

    shell_class = Type(LiveShell)
    shell: LiveShell
    session: Any  # what ipykernel would do without, we are never
    shell_stream: Any
    control_stream: Any
    io_loop: Any

    def set_up(
        self,
        reactor_side: ReactorSide,
        places: Places,
        clients: Clients,
        new_cell: Callable[..., ConsoleCell],
        where: Callable[[], str],
        break_in: Callable[[set[str]], object],
        audit: Callable[[Request, str, float], object],
        banner: str,
    ) -> None:
        """
        Args:
            new_cell: Makes a cell for the reactor thread.
            where: Gives the stack of the reactor thread.
            break_in: Interrupts what cells have left that holds the reactor; takes the
                names of their files.
            audit: Told of each cell that has ended: its request, how, and the
                seconds that it took.
        """
        self.without_gc_callback()
        self.cells: list[Unfinished] = []
        self.clients = clients
        self._reactor_side = reactor_side
        self._places = places
        self._new_cell = new_cell
        self._where = where
        self._audit = audit
        self._lanes = Lanes()
        self._serial = 0
        self.tasks: set[asyncio.Task[None]] = set()
        self._banner = banner
        self._break_in = break_in
        for handlers in (self.shell_handlers, self.control_handlers):
            for name in NOT_ANSWERED:
                handlers.pop(name, None)
        for name in ("comm_open", "comm_msg", "comm_close"):
            self.shell_handlers[name] = self._comm_handler(name)

    @property
    def banner(self) -> str:  # type: ignore[override]
        return self._banner

    @property
    def _loop(self) -> AbstractEventLoop:
        loop: AbstractEventLoop = self.io_loop.asyncio_loop
        return loop

    # -- Messages in, and who they are from --------------------------------

    def start(self) -> None:
        """Begin to answer."""
        self.io_loop = IOLoop.current()
        self._watch = Watch(self.cells, self._loop, self._tell, self._why_not)
        self.interrupts = Interrupts(
            self.cells,
            self._lanes,
            self._reactor_side,
            self._loop,
            self._why_not,
            self._break_in,
        )
        self.shell_stream.on_recv(self._take_shell, copy=False)
        self.control_stream.on_recv(self._take_control, copy=False)

    def _take_shell(self, frames: list[Any]) -> None:
        self._take(frames, self.shell_stream, self.shell_handlers)

    def _take_control(self, frames: list[Any]) -> None:
        self._take(frames, self.control_stream, self.control_handlers)

    def _take(
        self, frames: list[Any], stream: Any, handlers: dict[str, Callable[..., Any]]
    ) -> None:
        try:
            idents, parts = self.session.feed_identities(frames, copy=False)
            message = self.session.deserialize(parts, content=True, copy=False)
            kind = message["header"]["msg_type"]
            handler = handlers[kind]
        except Exception:  # whatever somebody has sent; it gets no answer
            return
        # Interrupts and the like come from sessions that are nobody's, too.
        attaches = stream is self.shell_stream or kind == "execute_request"
        client = (
            self.clients.seen(frames, message["header"])
            if attaches
            else self.clients.find(message["header"])
        )
        request = self._request(message, [bytes(each) for each in idents], client)
        self._serial += 1
        context = copy_context()
        context.run(REQUEST.set, request)
        if kind == "interrupt_request":
            request.peer = peer_of(frames)
        task = context.run(
            self._loop.create_task,
            self._dispatch(stream, handler, request, kind, self._serial),
        )
        self.tasks.add(task)
        task.add_done_callback(self.tasks.discard)

    def _request(
        self, message: dict[str, Any], idents: list[bytes], client: Client | None
    ) -> Request:
        # What a cell leaves running holds its request, for as long as it runs, and
        # should not hold the kernel, when the console has closed.
        ours, soon = (
            weakref.WeakMethod(self._publish),
            weakref.WeakMethod(self._send_soon),
        )

        def sender(name: str) -> Callable[[str], object]:
            def send(text: str) -> None:
                publish = ours()
                if publish is not None:
                    publish(request, "stream", {"name": name, "text": text})

            return send

        def send_soon(stream: Stream) -> None:
            wake = soon()
            if wake is not None:
                wake(stream)

        request = Request(
            message,
            idents,
            client,
            Stream("stdout", sender("stdout"), send_soon),
            Stream("stderr", sender("stderr"), send_soon),
        )
        return request

    def _send_soon(self, stream: Stream) -> None:
        # Any thread.
        def later() -> None:
            self._loop.call_later(SEND_WITHIN, stream.flush)

        tell_from(self._loop, later)

    async def _dispatch(
        self,
        stream: Any,
        handler: Callable[..., Any],
        request: Request,
        kind: str,
        serial: int,
    ) -> None:
        if kind != "execute_request" or stream is self.control_stream:
            await self._handle(stream, handler, request)
            return
        lane = self._lanes.of(request.session)
        async with lane.lock:
            if serial < lane.dropped:
                handler = self._drop
            await self._handle(stream, handler, request)

    async def _handle(
        self, stream: Any, handler: Callable[..., Any], request: Request
    ) -> None:
        self._publish(request, "status", {"execution_state": "busy"})
        try:
            answer = handler(stream, request.idents, request.parent)
            if inspect.isawaitable(answer):
                await answer
        except Exception as error:  # a request that does not fit its kind, mostly
            self._refuse(stream, request, error)
        finally:
            request.flush()
            self._publish(request, "status", {"execution_state": "idle"})

    def _refuse(self, stream: Any, request: Request, error: Exception) -> None:
        kind = str(request.header["msg_type"]).replace("_request", "_reply")
        content = {
            "status": "error",
            "ename": type(error).__name__,
            "evalue": str(error),
            "traceback": [],
        }
        self.session.send(stream, kind, content, request.parent, ident=request.idents)

    def _publish(self, request: Request, kind: str, content: dict[str, Any]) -> None:
        """Send on the iopub channel. Any thread."""
        self.session.send(
            self.iopub_socket,
            kind,
            content,
            parent=request.parent,
            ident=self._topic(kind),
        )

    def get_parent(self, channel: Any = None) -> dict[str, Any]:
        request = REQUEST.get(None)
        return {} if request is None else request.parent

    def set_parent(self, ident: Any, parent: Any, channel: str = "shell") -> None:
        """Of no effect: the context says whose request it is."""

    # -- Cells -------------------------------------------------------------

    async def execute_request(self, stream: Any, ident: Any, parent: Any) -> None:
        request = REQUEST.get()
        order = Order(parent)
        began = time.time()
        request.raw_cell = order.code
        request.allows_input = order.allows_input
        request.number = request.count = self.shell.reserve_count(order.is_kept)
        if not order.silent:
            content = {"code": order.code, "execution_count": request.number}
            self._publish(request, "execute_input", content)
        says_something = bool(order.code.strip() or order.expressions)
        reply = await self._run(request, order) if says_something else _nothing(request)
        request.flush()
        metadata = self.finish_metadata(parent, self.init_metadata(parent), reply)
        if reply["status"] == "error" and order.stop_on_error and not order.silent:
            self._lanes.of(request.session).dropped = self._serial + 1
        self.session.send(
            stream,
            "execute_reply",
            json_clean(reply),
            parent,
            metadata=metadata,
            ident=ident,
        )
        if says_something:
            how = "ok" if reply["status"] == "ok" else reply.get("ename", "error")
            self._audit(request, how, time.time() - began)

    async def _run(self, request: Request, order: Order) -> dict[str, Any]:
        cell = self._start(request, order)
        try:
            return await cell.reply
        finally:
            self.cells.remove(cell)

    def _start(self, request: Request, order: Order) -> Unfinished:
        unfinished = Unfinished(request, order, self._loop, self._show_error)
        self.cells.append(unfinished)
        name = self.shell.compile.get_code_name(order.code, order.code, request.number)
        self._lanes.of(request.session).files.add(name)
        if is_thread_cell(order.code):
            unfinished.cell = ThreadCell(
                self.shell,
                request,
                order,
                self._places,
                self._where,
                lambda: tell_from(self._loop, unfinished.ended),
            )
        else:
            unfinished.cell = self._new_cell(
                run_cell(self.shell, request, order),
                request,
                copy_context(),
                unfinished.told,
            )
        try:
            unfinished.cell.start()
        except BaseException:  # no more threads, or the reactor's loop has closed
            self.cells.remove(unfinished)
            raise
        self._watch.begin()
        return unfinished

    def _tell(self, unfinished: Unfinished, text: str) -> None:
        content = {"name": "stderr", "text": text}
        self._publish(unfinished.request, "stream", content)

    def _show_error(self, request: Request, content: dict[str, Any]) -> None:
        self._publish(request, "error", content)

    def _drop(self, stream: Any, ident: Any, parent: Any) -> None:
        """Reply to a cell that is not run, since one before it has failed."""
        self.session.send(
            stream,
            "execute_reply",
            {"status": "aborted"},
            parent,
            metadata={"status": "aborted"},
            ident=ident,
        )
        request = REQUEST.get()
        request.raw_cell = str(parent["content"].get("code", ""))
        self._audit(request, "aborted", 0.0)

    # -- Interrupts, and leaving -------------------------------------------

    async def interrupt_request(self, stream: Any, ident: Any, parent: Any) -> None:
        request = REQUEST.get()
        self.interrupts.stop(request)
        self.session.send(
            stream, "interrupt_reply", {"status": "ok"}, parent, ident=ident
        )
        await self.interrupts.free_reactor(request)

    def _why_not(self) -> str:
        where = self._where().strip().splitlines()
        return (
            f". The reactor thread is at:\n{chr(10).join(where[-2:])}" if where else ""
        )

    async def shutdown_request(self, stream: Any, ident: Any, parent: Any) -> None:
        """This client leaves; the console and the application go on."""
        request = REQUEST.get()
        self.interrupts.stop_all_of(request.session)
        restart = bool(parent["content"].get("restart", False))
        content = {"status": "ok", "restart": restart}
        self.session.send(stream, "shutdown_reply", content, parent, ident=ident)

    def forget(self, client: Client) -> None:
        """The client is gone; what it has left running goes on."""
        if not any(c.request.session == client.session for c in self.cells):
            self._lanes.forget(client.session)

    # -- What frontends ask beside cells -----------------------------------

    async def _ask(self, question: Callable[[], Any], otherwise: Any) -> Any:
        return await self._reactor_side.ask(
            self._places, ANSWER_WITHIN, question, otherwise
        )

    async def do_complete(self, code: str, cursor_pos: int | None) -> Any:
        position = len(code) if cursor_pos is None else cursor_pos
        nothing = {
            "matches": [],
            "cursor_start": position,
            "cursor_end": position,
            "metadata": {},
            "status": "ok",
        }
        complete = super().do_complete
        # IPython 8 takes what is behind the cursor for a part of the attribute.
        before = code[:position]
        return await self._ask(lambda: complete(before, position), nothing)

    async def do_inspect(
        self,
        code: str,
        cursor_pos: int,
        detail_level: int = 0,
        omit_sections: Any = (),
    ) -> Any:
        nothing = {"status": "ok", "data": {}, "metadata": {}, "found": False}
        inspected = super().do_inspect
        return await self._ask(
            lambda: inspected(code, cursor_pos, detail_level, omit_sections), nothing
        )

    async def do_is_complete(self, code: str) -> Any:
        # Alone, it shows where the reactor is: one empty line says that there is no more.
        if code.endswith("\n") and is_thread_cell(code) and not body_of(code):
            return {"status": "complete"}
        is_complete = super().do_is_complete
        return await self._ask(lambda: is_complete(code), {"status": "unknown"})

    async def do_history(self, *args: Any, **kwargs: Any) -> Any:
        return super().do_history(*args, **kwargs)

    def _comm_handler(self, name: str) -> Callable[..., Any]:
        async def handle(stream: Any, ident: Any, parent: Any) -> None:
            # What it calls is the user's.
            handler = getattr(self.comm_manager, name)
            stderr = REQUEST.get().stderr

            def call() -> None:
                with complaints_to(stderr):
                    handler(stream, ident, parent)

            await self._ask(call, None)

        return handle


def _nothing(request: Request) -> dict[str, Any]:
    """The reply to a cell without a word, which the reactor need not be asked for."""
    return {
        "status": "ok",
        "execution_count": request.number,
        "user_expressions": {},
        "payload": [],
    }
