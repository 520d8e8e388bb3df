"""
``%%thread``: a cell in a thread of its own, which runs while the reactor is stuck.
"""

from __future__ import annotations

import ast
import contextvars
import sys
import threading
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from IPython.core.error import UsageError

from ..internals.cpython import let_come_up, set_async_exc
from ..stops import CellInterrupted
from .executing import Order, is_kept, reply
from .places import Places
from .requests import Request

NAME = "twisted_ipython %%thread"


def is_thread_cell(code: str) -> bool:
    """Whether the first line that says something is ``%%thread``."""
    return code.lstrip().split("\n", 1)[0].split(None, 1)[:1] == ["%%thread"]


def thread_magic(line: str, cell: str) -> None:
    """
    Run the cell in a thread of its own, beside the reactor thread.

    It runs while the reactor is stuck, and may wait: for input(), for a lock. With
    nothing in it, it shows where the reactor thread is.
    """
    # The kernel has started it before IPython could, where it is the first line.
    raise UsageError("%%thread has to be the first line of a cell")


def body_of(code: str) -> str:
    """What is below that line, at the same line numbers."""
    before, _, body = code.partition("%%thread")
    _, _, body = body.partition("\n")
    return "\n" * (before.count("\n") + 1) + body if body.strip() else ""


class ThreadCell:
    """
    Attributes:
        outcome: The content of the reply, when it has ended.
        error: What it failed with, where not even a reply could be made.

    Thread:
        Made, started and stopped in the kernel's thread; the cell runs in its own.
    """

    def __init__(
        self,
        shell: Any,
        request: Request,
        order: Order,
        places: Places,
        where: Callable[[], str],
        done: Callable[[], object],
    ) -> None:
        self.request = request
        self.outcome: dict[str, Any] | None = None
        self.error: BaseException | None = None
        self._shell = shell
        self._order = order
        self._places = places
        self._where = where
        self._done = done
        self._context = contextvars.copy_context()
        self._running = False
        self._raised = False
        self._whole = False  # whether it does what is not broken off
        self._due = False  # whether it is to end after that
        self._lock = threading.Lock()  # of these four, and what they allow
        self._thread = threading.Thread(
            target=self._context.run, args=(self._run,), name=NAME, daemon=True
        )

    def start(self) -> None:
        self._thread.start()

    @property
    def running(self) -> bool:
        """Whether its code runs. Any thread."""
        return self._running

    def stop(self) -> bool:
        """
        Raise KeyboardInterrupt in its code. A call in C has to return first.

        Returns:
            False if that has to be done later: Python would ignore it now.
        """
        with self._lock:
            if not self._running:
                return True
            if self._whole:
                self._due = True
                return True
            # The thread goes on after the look, but hardly before what follows it: it
            # would have to be given the interpreter in between.
            if not is_kept(sys._current_frames().get(self._thread.ident or 0)):
                return False
            self._raised = True
            set_async_exc(self._thread.ident, CellInterrupted)
            return True

    @contextmanager
    def whole(self) -> Iterator[None]:
        """
        Around what its code does and is not broken off in the midst of: an interrupt
        that comes meanwhile is raised at the end.

        Raises:
            CellInterrupted: Its code goes on with that.
        """
        if threading.get_ident() != self._thread.ident or not self._running:
            yield
            return
        try:
            with self._lock:
                self._whole = True
                raised, self._raised = self._raised, False
            if raised:
                let_come_up()
            yield
        finally:
            with self._lock:
                self._whole = False
                due, self._due = self._due, False
        if due:
            raise CellInterrupted

    def _is_past(self) -> None:
        """Its code has ended: from now on, nothing is raised in its thread."""
        with self._lock:
            self._running = self._due = False
            raised, self._raised = self._raised, False
        if raised:
            let_come_up()

    def _run(self) -> None:
        before = self._places.enter(self.request)
        try:
            self.outcome = self._reply()
        except BaseException as error:  # an interrupt just there, for one
            self.error = error
        finally:
            self._places.keep(self._places.leave(before))
            self._done()

    def _reply(self) -> dict[str, Any]:
        shell, order, request = self._shell, self._order, self.request
        request.raw_cell = request.cell = order.code
        request.whole = self.whole
        error: BaseException | None = None
        count = shell.execution_count
        if order.is_kept:
            shell.execution_count = count + 1
            shell.history_manager.store_inputs(count, order.code, order.code)
        try:
            self._running = True
            try:
                self._execute(body_of(order.code), count)
            finally:
                self._is_past()
        except BaseException as failed:
            self._is_past()  # it may have come up just there
            error = failed
            if isinstance(failed, SyntaxError) and failed.filename is None:
                shell.showsyntaxerror()
            else:
                # None of IPython's frames is above the cell's, to be left out.
                shell.showtraceback(tb_offset=0)
        return reply(shell, request, order, error)

    def _execute(self, code: str, count: int) -> None:
        shell = self._shell
        if not code:
            print(self._where(), end="")
            return
        # IPython takes empty lines away from above, by which lines are counted.
        above = code[: len(code) - len(code.lstrip())].count("\n")
        self.request.cell = code = "\n" * above + shell.transform_cell(code)
        name = shell.compile.cache(code, count, raw_code=self._order.code)
        tree = shell.transform_ast(shell.compile.ast_parse(code, filename=name))
        for node in tree.body:
            if node is tree.body[-1] and self._shows(node):
                part: Any = ast.Interactive([node])
                mode = "single"
            else:
                part, mode = ast.Module([node], []), "exec"
            exec(shell.compile(part, name, mode), shell.user_global_ns, shell.user_ns)

    def _shows(self, node: ast.AST) -> bool:
        return isinstance(node, ast.Expr) and not self._order.silent


def stack_of(thread_id: int) -> list[str]:
    """The lines of a thread's stack, the outermost first. Any thread."""
    frame = sys._current_frames().get(thread_id)
    return [] if frame is None else traceback.format_stack(frame)
