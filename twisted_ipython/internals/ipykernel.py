"""
Names of ipykernel that it does not promise.

Tried with ipykernel 6.29.5, 7.0.1, 7.2.0 and 7.4.0.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from asyncio import AbstractEventLoop
from collections.abc import Callable
from types import FrameType
from typing import Any

from IPython.core.async_helpers import _pseudo_sync_runner
from IPython.core.events import EventManager

from ..replaced import replace


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
        Any shell thread. Handlers are set in the main thread: now, or when it
        is free.
    """

    def pre_handler_hook() -> None:
        # Raises ValueError in a subshell's thread, as the kernel's own hook.
        kernel.saved_sigint_handler = signal.signal(signal.SIGINT, handler)
        before_request()

    def set_handlers(idle: Any, in_request: Any) -> None:
        def set_now() -> None:
            running = signal.getsignal(signal.SIGINT) in (default, handler)
            signal.signal(signal.SIGINT, in_request if running else idle)

        kernel.saved_sigint_handler = idle  # what a request that runs puts back
        if threading.current_thread() is threading.main_thread():
            set_now()
        else:
            kernel.io_loop.add_callback(signal.signal, signal.SIGINT, idle)

    default = signal.default_int_handler
    kernel.pre_handler_hook = pre_handler_hook
    set_handlers(handler, handler)

    def undo() -> None:
        if kernel.__dict__.get("pre_handler_hook") is pre_handler_hook:
            del kernel.pre_handler_hook
            set_handlers(signal.SIG_IGN, default)

    return undo


def address_displays(shell: Any, parent: Callable[[], Any]) -> Callable[[], None]:
    """
    Let what is displayed name ``parent()`` as the request that it belongs to.

    From ipykernel 7 on it does so by itself, by the context; before, that was
    so for streams only, and rich output named whichever request came last.

    Args:
        parent: Gives the message of the request; None for the last one.

    Thread:
        ``parent`` is called in any thread that displays something.
    """
    from jupyter_client.session import extract_header

    publisher = shell.display_pub
    if isinstance(getattr(type(publisher), "parent_header", None), property):
        return lambda: None

    def address(message: dict[str, Any]) -> dict[str, Any]:
        request = parent()
        if request:
            message["parent_header"] = extract_header(request)
        return message

    # Hooks are the publisher's own way to change messages; each thread has its own.
    def addressed(send: Callable[..., Any]) -> Callable[..., Any]:
        def send_addressed(*args: Any, **kwargs: Any) -> Any:
            publisher.register_hook(address)
            try:
                return send(*args, **kwargs)
            finally:
                publisher.unregister_hook(address)

        return send_addressed

    return replace(
        publisher,
        {
            name: addressed(getattr(publisher, name))
            for name in ("publish", "clear_output")
        },
    )


def tell_streams() -> Callable[[Any], None]:
    """
    What tells the kernel's own streams which request it is that begins.

    The kernel tells ``sys.stdout`` and ``sys.stderr``. Where something else is in
    their places, as after ``log.startLogging(sys.stdout)``, and writes to them,
    all would land under the cell that did that.

    Thread:
        Shell thread.
    """
    streams = [each for each in (sys.stdout, sys.stderr) if hasattr(each, "set_parent")]

    def tell(request: Any) -> None:
        for stream in streams:
            if stream not in (sys.stdout, sys.stderr):
                stream.set_parent(request)

    return tell


def flush_quickly(seconds: float) -> None:
    """
    Let no flush of the kernel's streams wait for longer than that.

    A kernel that shuts down flushes them after the thread that does it may have
    ended, and then waits for ten seconds each.

    Thread:
        Any.
    """
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "flush_timeout"):
            stream.flush_timeout = seconds


def exit_within(seconds: float) -> None:
    """
    End the process then, whatever is stuck, if it has not ended by itself.

    A kernel that was told to shut down waits for its streams, for threads of the
    user's, for a cell in a call that nothing interrupts. Jupyter's managers kill
    it a little later; a shutdown that comes from elsewhere has nobody to do that.

    Thread:
        Any.
    """

    def end() -> None:
        time.sleep(seconds)
        os._exit(0)

    threading.Thread(target=end, name="twisted_ipython exit", daemon=True).start()


# Where a KeyboardInterrupt has somebody who catches and reports it: what IPython
# runs of a cell, and what other requests call of the user's.
_INTERRUPTIBLE = {
    "_pseudo_sync_runner": _pseudo_sync_runner.__code__,
    "trigger": EventManager.trigger.__code__,
}
_INTERRUPTIBLE_REQUESTS = {"do_complete", "do_inspect", "comm_open", "comm_msg"}
_SHOWING = {"showtraceback", "_format_exception_for_storage"}


def may_interrupt(frame: FrameType | None) -> bool:
    """
    Whether a KeyboardInterrupt at ``frame`` harms nobody.

    Elsewhere it would come up in the kernel's own code: at best the frontend
    gets no answer, at worst it ends the kernel.

    Thread:
        Main thread, in a signal handler.
    """
    while frame is not None:
        code = frame.f_code
        if code.co_name in _SHOWING:
            return False
        if (
            _INTERRUPTIBLE.get(code.co_name) is code
            or code.co_name in _INTERRUPTIBLE_REQUESTS
        ):
            return True
        frame = frame.f_back
    return False
