"""
Names of ipykernel that it does not promise, where its parts are used one by one.

Tried with ipykernel 6.29.5, 7.0.1, 7.2.0 and 7.4.0.
"""

from __future__ import annotations

import atexit
import gc
import inspect
import sys
import threading
from collections.abc import Callable
from typing import Any

import zmq


def import_kernel() -> Any:
    """
    ``ipykernel.ipkernel``, without debugpy.

    ipykernel imports that if it is there, and it puts functions among Python's
    builtins, sets environment variables and prints warnings. A debugger would stop
    all threads of the application.

    Raises:
        ImportError: It is not installed, or does not fit.
    """
    absent = object()
    before = sys.modules.get("debugpy", absent)
    if before is absent:
        sys.modules["debugpy"] = None  # type: ignore[assignment]
    try:
        import ipykernel.debugger
        import ipykernel.ipkernel
    finally:
        if before is absent:
            del sys.modules["debugpy"]
    return ipykernel.ipkernel


class WithoutThreadHooks:
    """
    Mixed into a kernel class, before it: threads stay as Python makes them.

    Until 7.0, ipykernel replaces methods of ``threading.Thread``, for the whole process
    and for good, and has the garbage collector call each kernel.
    """

    def _initialize_thread_hooks(self) -> None:
        pass

    def without_gc_callback(self) -> None:
        """To be called when it is made."""
        callback = getattr(self, "_clean_thread_parent_frames", None)
        if callback in gc.callbacks:
            gc.callbacks.remove(callback)


def iopub_thread(bound: Callable[[int], Any], session: Any) -> Any:
    """
    The thread that sends to the iopub channel, started.

    Args:
        bound: Gives the channel's socket, of a kind of zmq's.
    """
    from ipykernel.iostream import IOPubThread

    # From 7.1 on it greets who subscribes; for that it needs another kind of
    # socket, and the session. ``pipe=True`` would open a TCP port.
    greets = "session" in inspect.signature(IOPubThread.__init__).parameters
    if greets:
        thread = IOPubThread(bound(zmq.XPUB), pipe=False, session=session)
    else:
        thread = IOPubThread(bound(zmq.PUB), pipe=False)
    thread.start()
    atexit.unregister(thread.stop)  # stopped with the console
    return thread


def close_iopub(thread: Any) -> None:
    """End it, and close its sockets. Any thread but that one."""
    collector = thread._event_pipe_gc_task
    if collector is not None and thread.thread.is_alive():
        # Else asyncio complains that it was never awaited to its end.
        cancelled = threading.Event()

        def cancel() -> None:
            collector.add_done_callback(lambda task: cancelled.set())
            collector.cancel()

        thread.io_loop.add_callback(cancel)
        cancelled.wait(1)
    thread.stop()
    thread.close()


def set_comm_manager(manager: Any) -> None:
    """
    What ``comm.get_comm_manager()`` gives; None for a new one, when it is asked for.
    """
    import ipykernel.ipkernel

    ipykernel.ipkernel._comm_manager = manager


def close_history(shell: Any) -> None:
    """Close the shell's history, and let it do nothing more at the process' end."""
    atexit.unregister(shell.atexit_operations)
    # Not by [], which would load them.
    scripts = dict.get(shell.magics_manager.registry, "ScriptMagics")
    if scripts is not None:
        atexit.unregister(scripts.kill_bg_processes)
        end_loop = getattr(scripts, "_event_loop_finalizer", None)
        if end_loop is not None:
            end_loop()
    manager = shell.history_manager
    if manager is None:
        return
    manager.end_session()
    close = getattr(manager, "close", None)
    if close is not None:
        close()
    else:
        manager.db.close()
    save_thread = getattr(manager, "save_thread", None)
    if save_thread is not None:
        save_thread.stop()
        atexit.unregister(save_thread.stop)
