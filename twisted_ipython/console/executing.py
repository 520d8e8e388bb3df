"""
What runs for one cell: IPython's own way from its text to the reply.
"""

from __future__ import annotations

import _weakrefset
import ast
import sys
import weakref
from types import FrameType
from typing import Any

from IPython.core.interactiveshell import InteractiveShell
from jupyter_client.session import Session

from ..stuck import is_library
from .reading import AINPUT
from .requests import Request
from .streams import Stream


class Order:
    """
    What a client wants run.

    Attributes:
        code: The text.
        silent: Whether nothing of it is to be seen or kept.
        store_history: Whether it is kept.
        expressions: To evaluate afterwards, by name.
        stop_on_error: Whether the client's cells that wait are dropped if it fails.
        cell_id: The frontend's name of the cell, or None.

    Raises:
        ValueError: It is not a request to run something.
    """

    def __init__(self, message: dict[str, Any]) -> None:
        content = message.get("content")
        if not isinstance(content, dict) or not isinstance(content.get("code"), str):
            raise ValueError("an execute_request needs its `code`, as text")
        self.code: str = content["code"]
        self.silent = bool(content.get("silent", False))
        self.store_history = bool(content.get("store_history", not self.silent))
        expressions = content.get("user_expressions")
        self.expressions = expressions if isinstance(expressions, dict) else {}
        self.stop_on_error = bool(content.get("stop_on_error", True))
        self.allows_input = bool(content.get("allow_stdin", False))
        metadata = message.get("metadata")
        self.cell_id = metadata.get("cellId") if isinstance(metadata, dict) else None

    @property
    def is_kept(self) -> bool:
        """Whether it gets a number of its own."""
        return self.store_history and not self.silent and bool(self.code.strip())


async def run_cell(shell: Any, request: Request, order: Order) -> dict[str, Any]:
    """
    Run a cell; gives the content of the reply.

    Thread:
        Reactor thread, driven by a ``ConsoleCell``.
    """
    failed_before = None
    try:
        cell = shell.transform_cell(order.code)
    except Exception:  # of a transformer: IPython shows it as the cell's error
        cell, failed_before = order.code, sys.exc_info()
    request.raw_cell, request.cell = order.code, cell
    request.awaits_input = True
    result = None
    try:
        result = await shell.run_cell_async(
            order.code,
            store_history=order.store_history,
            silent=order.silent,
            transformed_cell=cell,
            preprocessing_exc_tuple=failed_before,
            cell_id=order.cell_id,
        )
    finally:
        shell.events.trigger("post_execute")
        if not order.silent:
            shell.events.trigger("post_run_cell", result)
    error = result.error_before_exec or result.error_in_exec
    if result.success and request.failed_in_display:
        error = RuntimeError("the value could not be shown")
    return reply(shell, request, order, error)


def reply(
    shell: Any, request: Request, order: Order, error: BaseException | None
) -> dict[str, Any]:
    """
    The content of the reply to a cell that has run.

    Source:
        jupyter_client's messaging, "Execute".
    """
    content: dict[str, Any] = {"status": "ok" if error is None else "error"}
    if error is not None:
        content["traceback"] = request.last_traceback or []
        content["ename"] = type(error).__name__
        content["evalue"] = text_of(error)
    content["execution_count"] = request.number
    content["user_expressions"] = (
        shell.user_expressions(order.expressions) if error is None else {}
    )
    content["payload"] = request.payloads.read_payload()
    return content


def text_of(error: BaseException) -> str:
    """Its text, whatever its class makes of that."""
    try:
        return str(error)
    except BaseException as failed:
        return f"<no text: {type(failed).__name__} in __str__>"


def is_in_cell(frame: FrameType | None, names: dict[str, Any]) -> bool:
    """
    Whether ``frame`` is of a cell's code, or of what that has called.

    IPython's own code before and after it is not: an exception there would be taken
    for an error of IPython's. Nor is the sending of what the cell prints or shows: it
    would break off in the midst of a message.

    Args:
        names: The globals that cells run with.
    """
    while frame is not None:
        if frame.f_code in _SENDING or _is_ignored(frame):
            return False
        below = frame.f_back
        if below is not None and (
            (below.f_code is _RUNNING and frame.f_globals is names)
            or below.f_code is _EVALUATING
            or (below.f_code is run_cell.__code__ and frame.f_code is _TRANSFORMING)
        ):
            return True
        frame = below
    return False


def is_kept(frame: FrameType | None) -> bool:
    """Whether an exception that is raised at ``frame`` goes up to the thread's start."""
    while frame is not None:
        if _is_ignored(frame):
            return False
        frame = frame.f_back
    return True


def _is_ignored(frame: FrameType) -> bool:
    """Whether Python may ignore what is raised in it: it is called by no code."""
    code = frame.f_code
    return code.co_name == "__del__" or code.co_filename in _OF_WEAKREFS


_OF_WEAKREFS = {weakref.__file__, _weakrefset.__file__}


def with_awaited_input(tree: ast.Module) -> ast.Module:
    """
    The tree of a cell whose ``input`` is the built-in one, with ``input(...)`` at its
    top level awaited: it waits, and the application goes on.
    """
    if not any(_binds_input(node) for node in ast.walk(tree)):
        AwaitedInput().visit(tree)
    return tree


def _binds_input(node: ast.AST) -> bool:
    if isinstance(node, ast.Name):
        return node.id == "input" and not isinstance(node.ctx, ast.Load)
    if isinstance(node, ast.alias):
        return (node.asname or node.name) == "input"
    kinds = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
    return isinstance(node, kinds) and node.name == "input"


_RUNNING = InteractiveShell.run_code.__code__
_EVALUATING = InteractiveShell.user_expressions.__code__  # catches what comes up in it
_TRANSFORMING = InteractiveShell.transform_cell.__code__  # a long text takes its time


def is_left_by(frame: FrameType | None, files: set[str]) -> bool:
    """
    Whether the reactor has called, and is now in, what was left by cells.

    Not if it has called the application, and that what a cell has defined.

    Args:
        frame: The innermost of the reactor thread.
        files: The names that the cells were compiled under.
    """
    outermost = None
    while frame is not None:
        name = frame.f_code.co_filename
        if is_library(name):
            if frame.f_code.co_name in _LOOPS:
                break
        else:
            outermost = name
        frame = frame.f_back
    return outermost in files


# What calls whatever is due: Twisted's reactors, asyncio's loop.
_LOOPS = {"mainLoop", "runUntilCurrent", "_run_once"}

_SENDING = {Session.send.__code__, Stream.write.__code__, Stream.flush.__code__}


class AwaitedInput(ast.NodeTransformer):
    """``input(...)`` becomes ``await ainput(...)``."""

    def visit_Call(self, node: ast.Call) -> ast.AST:
        self.generic_visit(node)
        if not (isinstance(node.func, ast.Name) and node.func.id == "input"):
            return node
        name = ast.copy_location(ast.Name(AINPUT, ast.Load()), node.func)
        call = ast.Call(func=name, args=node.args, keywords=node.keywords)
        return ast.copy_location(ast.Await(ast.copy_location(call, node)), node)

    def _leave(self, node: ast.AST) -> ast.AST:
        return node  # code of its own, which may be called where nothing can await

    visit_FunctionDef = visit_AsyncFunctionDef = visit_Lambda = visit_ClassDef = _leave
    visit_ListComp = visit_SetComp = visit_DictComp = visit_GeneratorExp = _leave
