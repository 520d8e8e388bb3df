"""
The console while it is open: everything that is made for it, and given back.

Thread:
    The kernel's, from beginning to end, but for what says otherwise.
"""

from __future__ import annotations

import asyncio
import sys
from asyncio import AbstractEventLoop
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from types import FrameType
from typing import TYPE_CHECKING

from ..internals.cpython import no_filters_added
from ..stops import LeftoverInterrupted
from .collecting import no_full_collection
from .directory import KERNEL_FILE, write_json
from .plan import Plan
from .telling import tell_from
from .warming import warm_up

if TYPE_CHECKING:
    from .assembling import Parts

# Seconds that cells have to end when the console closes.
END_WITHIN = 0.25

# The same, when the application ends: its reactor comes to nothing any more.
END_AT_ONCE = 0.02

# Seconds that a cell has to end by itself, before that.
FINISH_WITHIN = 0.05

# Seconds after which a cell that still runs is interrupted again, when a signal that ends
# the application has come.
INSIST_EACH = 0.6


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
        self._parts: Parts | None = None
        self._stopping = False
        self._loop: AbstractEventLoop | None = None
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
                parts = self._open()
                if not self._stopping:
                    connection = parts.sockets.connection(parts.session.key)
                    write_json(self.connection_file, connection)
                    self._undo.callback(self.connection_file.unlink, missing_ok=True)
                    opened()
                    warm_up(parts.kernel.shell)
            self._io_loop.run_sync(self._until_stopped)
            self._io_loop.run_sync(lambda: self._end_cells(parts))
            parts.kernel.clients.forget_all()

    def stop(self) -> None:
        """
        Let ``run`` end, also before it has begun. Any thread; does nothing if it has.
        """
        self._stopping = True
        loop, ended = self._loop, self._ended
        if loop is None or ended is None:  # it has not come so far, and will see
            return
        tell_from(loop, ended.set)

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
        parts = self._parts
        if parts is None:
            return
        cell = parts.host.running
        if cell is not None:
            cell.signalled_at(frame)
        elif parts.side.answering is not None:
            parts.side.signalled(frame)
        elif files is not None and self._is_left_by(frame, files):
            raise LeftoverInterrupted

    def _break_in(self, files: set[str]) -> None:
        """
        Interrupt what the cells that were compiled under these names have left, if
        the reactor thread is in there.

        Not where signals don't reach that thread: it could be elsewhere by then.
        """
        parts, send_signal = self._parts, self._plan.send_signal
        if send_signal is not None and parts is not None and parts.host.running is None:
            self._breaking = files
            send_signal()

    @property
    def clients(self) -> int:
        """How many are attached. Any thread."""
        return 0 if self._parts is None else len(self._parts.kernel.clients)

    @property
    def is_used(self) -> bool:
        """Whether a client is attached, or a cell runs. Any thread."""
        parts = self._parts
        return parts is not None and bool(
            len(parts.kernel.clients) or parts.kernel.cells
        )

    def _open(self) -> Parts:
        from ..internals import ipykernel_parts

        # First, and alone: all that is imported below needs it.
        ipykernel_parts.import_kernel()

        from tornado.ioloop import IOLoop

        from .assembling import assemble
        from .executing import is_left_by

        self._is_left_by = is_left_by
        loop = asyncio.SelectorEventLoop()
        self._loop, self._ended = loop, asyncio.Event()
        self._io_loop = IOLoop(asyncio_loop=loop, make_current=False)
        self._undo.callback(self._io_loop.close)
        asyncio.set_event_loop(loop)
        self._undo.callback(asyncio.set_event_loop, None)
        self._parts = parts = assemble(
            self._plan,
            self.connection_file,
            self._io_loop,
            self._undo,
            self._break_in,
            self._application_ends,
        )
        return parts

    # -- Ending it ---------------------------------------------------------

    def _application_ends(self) -> None:
        """A signal that ends the application came while a cell ran. Reactor thread."""
        if self._loop is not None:
            tell_from(self._loop, self._interrupt_running)

    def _interrupt_running(self) -> None:
        """Also those that catch it, until each has let the reactor go."""
        self._interrupt_all()
        if self._parts is not None and self._parts.host.running is not None:
            assert self._loop is not None
            self._loop.call_later(INSIST_EACH, self._interrupt_running)

    def _interrupt_all(self) -> None:
        if self._parts is not None:
            for cell in list(self._parts.kernel.cells):
                cell.interrupt(lambda: "")

    async def _end_cells(self, parts: Parts) -> None:
        """See that every cell has its reply, and all replies are sent."""
        kernel = parts.kernel
        within = END_AT_ONCE if self._plan.is_ending() else END_WITHIN
        replies = [cell.reply for cell in kernel.cells]
        if replies and not self._plan.is_ending():
            # The one that has closed the console is about to end by itself.
            await asyncio.wait(replies, timeout=FINISH_WITHIN)
        self._interrupt_all()
        parts.reading.end()
        if replies:
            await asyncio.wait(replies, timeout=within)
            for cell in list(kernel.cells):
                cell.give_up(": the console closes")
        tasks = list(kernel.tasks)
        if tasks:
            await asyncio.wait(tasks, timeout=within)
        for task in kernel.tasks:
            task.cancel()


@contextmanager
def _imports() -> Iterator[None]:
    """Around the opening: what the imports of the first one do to the process."""
    with no_filters_added():
        if "ipykernel.ipkernel" in sys.modules:
            yield
        else:
            with no_full_collection():
                yield
