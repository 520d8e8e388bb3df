"""
IPython's shell inside an application: all that it does, without its traces.

What it changes in the process when it is made is left out here, and what it keeps of
the cell that runs is kept with the cell's request.

Thread:
    Made in the kernel's thread; cells run in the reactor thread, and those of
    ``%%thread`` in one of their own.
"""

from __future__ import annotations

import os
import sys
import weakref
from collections import defaultdict
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import Any, Literal

from ipykernel.displayhook import ZMQShellDisplayHook
from ipykernel.zmqshell import ZMQDisplayPublisher, ZMQInteractiveShell
from IPython.core.builtin_trap import BuiltinTrap
from IPython.core.display_trap import DisplayTrap
from IPython.core.error import UsageError
from IPython.core.events import EventManager
from IPython.core.payload import PayloadManager
from traitlets import Any as AnyTrait
from traitlets import Type

from ..internals.shell_errors import SeenErrors
from ..stops import CellStop
from ..tracebacks import HiddenFrames
from .executing import text_of, with_awaited_input
from .history import LiveHistory
from .namespace import Namespace
from .requests import current
from .thread_cells import thread_magic


def _of_request(name: str, otherwise: Any) -> Any:
    """An attribute that each request has its own of."""

    def get(self: Any) -> Any:
        request = current()
        return otherwise if request is None else getattr(request, name)

    def set(self: Any, value: Any) -> None:
        request = current()
        if request is not None:
            setattr(request, name, value)

    return property(get, set)


class NoBuiltinTrap(BuiltinTrap):
    """``places`` does it, a turn at a time."""

    def __enter__(self) -> NoBuiltinTrap:
        return self

    def __exit__(self, *args: object) -> Literal[False]:
        return False


class NoDisplayTrap(DisplayTrap):
    """``places`` does it, a turn at a time."""

    def __enter__(self) -> NoDisplayTrap:
        return self

    def __exit__(self, *args: object) -> None:
        pass


class LiveEvents(EventManager):
    """Calls what is registered for before and after a cell whole, if at all."""

    shell: Any

    def trigger(self, event: str, *args: Any, **kwargs: Any) -> None:
        # IPython would take an interrupt in here for the callback's failure.
        with self.shell.showing():
            super().trigger(event, *args, **kwargs)


class LiveDisplayHook(ZMQShellDisplayHook):
    """Shows the value of a cell under that cell, whichever others run."""

    parent_header = property(lambda self: _header(), lambda self, value: None)  # type: ignore[assignment]
    exec_result = _of_request("result", None)  # type: ignore[assignment]
    msg = _of_request("result_message", None)

    @property
    def prompt_count(self) -> int:
        request = current()
        return 0 if request is None else request.number

    def quiet(self) -> bool:
        request = current()
        return request is not None and self.semicolon_at_end_of_expression(request.cell)

    def _flush(self) -> None:
        request = current()
        if request is not None:
            request.flush()

    def finish_displayhook(self) -> None:
        self._flush()
        super().finish_displayhook()


class LiveDisplayPublisher(ZMQDisplayPublisher):
    """Displays under the cell that does it."""

    parent_header = property(lambda self: _header(), lambda self, value: None)  # type: ignore[assignment]

    def _flush_streams(self) -> None:
        request = current()
        if request is not None:
            request.flush()


def _header() -> dict[str, Any]:
    request = current()
    return {} if request is None else request.header


class LiveShell(SeenErrors, ZMQInteractiveShell):
    """
    Attributes:
        running: Gives the cell whose code is on the stack of the reactor thread.
        is_live_console: By which the extension knows it.
    """

    is_live_console = True

    displayhook_class = Type(LiveDisplayHook)
    display_pub_class = Type(LiveDisplayPublisher)
    running: Callable[[], Any] = AnyTrait(lambda: None)  # type: ignore[assignment]

    # -- Of each request ---------------------------------------------------

    payload_manager = _of_request("payloads", PayloadManager())
    _last_traceback = _of_request("last_traceback", None)
    _last_traceback_during_displayhook = _of_request("failed_in_display", False)
    parent_header = property(lambda self: _parent(), lambda self, value: None)  # type: ignore[assignment]

    def get_parent(self) -> dict[str, Any]:
        return _parent()

    def set_parent(self, parent: Any) -> None:
        """Of no effect: the context says whose request it is."""

    @property
    def execution_count(self) -> int:  # type: ignore[override]
        """The number of the cell that runs here; else, of the next one."""
        request = current()
        if request is None or request.count is None:
            return self._count
        return request.count

    @execution_count.setter
    def execution_count(self, value: int) -> None:
        request = current()
        if request is None or request.count is None:
            self._count = value
        else:
            request.count = value

    _count = 1

    def reserve_count(self, keeps: bool) -> int:
        """
        The number for a cell; the next gets the next one if this one is kept.

        Thread:
            The kernel's.
        """
        count = self._count
        if keeps:
            self._count += 1
        return count

    def transform_ast(self, node: Any) -> Any:
        node = super().transform_ast(node)
        request = current()
        if request is not None and request.awaits_input:
            request.awaits_input = False  # what it calls runs cells where none can
            if "input" not in self.user_ns:
                node = with_awaited_input(node)
        return node

    def init_events(self) -> None:
        super().init_events()
        events: Any = LiveEvents(self, ())
        events.callbacks = self.events.callbacks
        self.events = events

    def init_history(self) -> None:
        manager: Any = LiveHistory(shell=self, parent=self)
        # IPython 9 keeps them on the class: for good, and for the next console.
        manager.outputs = defaultdict(list)
        self.history_manager = manager
        self.configurables.append(manager)

    # -- Without traces ----------------------------------------------------

    @classmethod
    def instance(cls, *args: Any, **kwargs: Any) -> LiveShell:
        """A new one, which nobody finds outside of cells (``places``)."""
        return cls(*args, **kwargs)

    def prepare_user_module(
        self, user_module: Any = None, user_ns: Any = None
    ) -> tuple[Any, Any]:
        return user_module, user_ns

    def init_user_ns(self) -> None:
        namespace: Any = self.user_ns
        own: dict[str, Any] = {}
        self.user_ns = own
        try:
            super().init_user_ns()
        finally:
            self.user_ns = namespace
        namespace.own.update(own)

    def init_builtins(self) -> None:
        self.builtin_trap = NoBuiltinTrap(shell=self)

    def init_displayhook(self) -> None:
        super().init_displayhook()
        self.display_trap = NoDisplayTrap(hook=self.displayhook)

    def _leave_out(self, *args: object, **kwargs: object) -> None:
        """What IPython does to a process of its own, and this one is not."""

    init_environment = init_virtualenv = init_sys_modules = _leave_out
    init_prompts = init_io = init_payload = init_logstart = _leave_out
    init_deprecation_warnings = _leave_out
    save_sys_module_state = restore_sys_module_state = _leave_out

    def reset(self, new_session: bool = True, aggressive: bool = False) -> None:
        """Forget ``In`` and ``Out``; what the application has, stays."""
        if self.history_manager is not None:
            self.history_manager.reset(new_session)
            # Also where IPython keeps them, as for %reset: they are of all clients.
            self.history_manager.input_hist_parsed[:] = [""]
            self.history_manager.input_hist_raw[:] = [""]
        if new_session:
            self.execution_count = 1
            self._count = 1
        self.last_execution_succeeded = True
        self.last_execution_result = None
        if self.displayhook.do_full_cache:
            self.displayhook.flush()
        namespace: Namespace = self.user_ns  # type: ignore[assignment]
        namespace.own.clear()
        self.user_ns_hidden.clear()
        self.init_user_ns()

    connection_file = ""

    def connect_info(self, line: str = "") -> None:
        """Print what other clients connect to."""
        print(f"jupyter console --existing {self.connection_file}")
        print(f"twisted-ipython attach {os.getpid()}")

    def reset_selective(self, regex: Any = None) -> None:
        raise UsageError(
            "the names here are the application's: to take one away, del name"
        )

    def init_magics(self) -> None:
        super().init_magics()
        thread: Any = thread_magic
        refuse: Any = self.reset_selective
        self.register_magic_function(thread, "cell", "thread")
        self.register_magic_function(refuse, "line", "reset_selective")
        connect: Any = self.connect_info
        self.register_magic_function(connect, "line", "connect_info")

    # Set by the kernel's own way to shut down, and by code: it would end the loop of
    # the kernel's thread, and with it everybody's console.
    exit_now = property(lambda self: False, lambda self, value: None)  # type: ignore[assignment]

    def ask_yes_no(
        self, prompt: str, default: Any = None, interrupt: Any = None
    ) -> bool:
        raise UsageError(
            f"{prompt.strip()} Nobody can be asked here, since the application would "
            "wait: give the magic its option -f, or run it in a %%thread cell"
        )

    def ask_exit(self) -> None:
        """``exit``: this client leaves, and the application goes on."""
        self.payload_manager.write_payload({"source": "ask_exit", "keepkernel": True})

    def enable_gui(self, gui: Any = None) -> None:
        if gui not in (None, "inline"):
            # Printed: what is raised here, %gui would log, and where the application
            # has not set up Python's logging yet, that does so.
            print(
                f"no event loop for {gui} can run here: the reactor has the thread",
                file=sys.stderr,
            )

    def debugger(self, force: bool = False) -> None:
        """``%debug``, and each error after ``%pdb on``."""
        if not (force or self.call_pdb):
            return
        print(
            "no debugger here: it would stop the application while it waits for its "
            "commands. %tb shows the last error; code under %%thread can call "
            "breakpoint()",
            file=sys.stderr,
        )

    def atexit_operations(self) -> None:
        """Of no effect: it ends with the console, not with the process."""

    # -- Errors ------------------------------------------------------------

    @property
    def excepthook(self) -> Callable[..., None]:  # type: ignore[override]
        """
        What is ``sys.excepthook`` in a cell.

        Each thread that is made there keeps it, and should not hold the shell.
        """
        ours = weakref.WeakMethod(super().excepthook)

        def show(*error: Any) -> None:
            shown = ours()
            if shown is not None:
                shown(*error)

        return show

    def prepare(self, error: BaseException) -> None:
        if self.InteractiveTB.mode == "Verbose":
            self._hidden.show(error)
        else:
            self._hidden.hide(error)

    def init_traceback_handlers(self, custom_exceptions: Any) -> None:
        super().init_traceback_handlers(custom_exceptions)
        self._hidden = HiddenFrames()

    def showtraceback(self, *args: Any, **kwargs: Any) -> None:
        request, error = current(), sys.exc_info()[1]
        # Not isinstance: that would ask the error for its __class__.
        stopped = issubclass(type(error), CellStop)
        if request is not None and (
            request.abandoned or (stopped and not request.claim_end())
        ):
            return  # who asked has been told how it ended
        with self.showing():
            try:
                super().showtraceback(*args, **kwargs)
            except Exception:  # of the user's code, as the error's __getattribute__
                pass
            if error is None or request is None or request.last_traceback is not None:
                return
            if not issubclass(type(error), UsageError):  # that is printed
                self.show_text(error, text_of(error))

    def text_of(self, error: BaseException) -> str:
        return text_of(error)

    def showing(self) -> AbstractContextManager[object]:
        cell = self.running()
        return nullcontext() if cell is None else cell.unstoppable()


def _parent() -> dict[str, Any]:
    request = current()
    return {} if request is None else request.parent
