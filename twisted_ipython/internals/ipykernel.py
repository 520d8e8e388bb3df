"""
Names of ipykernel that it does not promise.

Tried with ipykernel 6.29.5, 7.0.1, 7.2.0 and 7.4.0.
"""

from __future__ import annotations

import signal
import threading
from asyncio import AbstractEventLoop
from collections.abc import Callable
from types import FrameType
from typing import Any

from IPython.core.events import EventManager
from IPython.core.interactiveshell import InteractiveShell


def kernel_loop(shell: Any) -> AbstractEventLoop | None:
    """The event loop that the kernel itself lives on; None at a terminal."""
    kernel = getattr(shell, "kernel", None)
    if kernel is None:
        return None
    from tornado.ioloop import IOLoop

    # Before the kernel is started (extensions that the configuration names) its
    # loop is the current one of this thread.
    io_loop = getattr(kernel, "io_loop", None) or IOLoop.current(instance=False)
    return getattr(io_loop, "asyncio_loop", None)


def handle_sigint(
    kernel: Any,
    *,
    before_request: Callable[[], object],
    handler: Callable[[int, FrameType | None], object],
) -> Callable[[], None]:
    """
    Let ``handler`` have SIGINT, in requests and between them; gives the undo.

    A kernel ignores SIGINT while its main shell runs nothing, and has Python's
    own handler in place while it answers a request there.

    Args:
        before_request: Called before each request to the main shell.

    Thread:
        Main thread.
    """
    default = signal.default_int_handler
    in_request = signal.getsignal(signal.SIGINT) is default
    idle_before: Any = signal.signal(signal.SIGINT, handler)
    if in_request:
        idle_before, kernel.saved_sigint_handler = kernel.saved_sigint_handler, handler

    def pre_handler_hook() -> None:
        # Raises ValueError in a subshell's thread, as the kernel's own hook.
        before = signal.signal(signal.SIGINT, handler)
        kernel.saved_sigint_handler = before
        before_request()

    kernel.pre_handler_hook = pre_handler_hook

    def undo() -> None:
        if kernel.__dict__.get("pre_handler_hook") is not pre_handler_hook:
            return
        del kernel.pre_handler_hook
        kernel.saved_sigint_handler = idle_before
        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGINT, default)

    return undo


def in_cell(shell: Any, frame: FrameType | None) -> bool:
    """
    Whether the main thread, at ``frame``, runs code that may be interrupted.

    Everything may, but the kernel's own work around a cell.

    Thread:
        Main thread, in a signal handler.
    """
    request = shell.kernel.get_parent("shell") if hasattr(shell, "kernel") else {}
    if request.get("header", {}).get("msg_type") != "execute_request":
        return bool(request)
    while frame is not None:
        if frame.f_code is InteractiveShell.showtraceback.__code__:
            return False
        if frame.f_code in (
            InteractiveShell.run_code.__code__,
            EventManager.trigger.__code__,
        ):
            return True
        frame = frame.f_back
    return False
