"""
What a process has, as an application in it can see: for tests that compare.

Imported by the application itself. ``snapshot`` gives text and numbers alone, with
an object as its type and its address; the objects are kept, so that no address is used
again. Nothing of the console takes part.
"""

from __future__ import annotations

import asyncio
import atexit
import builtins
import copyreg
import faulthandler
import gc
import getpass
import json
import linecache
import locale
import logging
import os
import pdb
import pydoc
import random
import signal
import socket
import sys
import threading
import traceback
import warnings
from pathlib import Path
from typing import Any

_kept: list[Any] = []

# What is called at the end, as far as it was registered since this was imported.
# ``atexit`` itself gives a number alone, which does not go down.
_at_exit: list[str] = []
_register, _unregister = atexit.register, atexit.unregister


def _note(function: Any, *args: Any, **kwargs: Any) -> Any:
    _at_exit.append(str(function))
    return _register(function, *args, **kwargs)


def _forget(function: Any) -> None:
    _at_exit[:] = [each for each in _at_exit if each != str(function)]
    _unregister(function)


atexit.register, atexit.unregister = _note, _forget


def name_of(thing: Any) -> str:
    """``Thing at 7f...``: the same for the same object alone."""
    _kept.append(thing)
    return f"{type(thing).__qualname__} at {id(thing):x}"


def names_of(things: dict[str, Any]) -> dict[str, str]:
    return {str(name): name_of(thing) for name, thing in things.items()}


# Places of modules, each with an object that somebody could replace.
_PLACES: dict[Any, tuple[str, ...]] = {
    sys: (
        *("stdin", "stdout", "stderr", "__stdin__", "__stdout__", "__stderr__"),
        *("displayhook", "__displayhook__", "excepthook", "__excepthook__"),
        *("unraisablehook", "__unraisablehook__", "breakpointhook"),
        *("ps1", "ps2", "ps3", "tracebacklimit", "path", "modules", "argv"),
        *("last_type", "last_value", "last_traceback", "last_exc"),
    ),
    threading: ("excepthook", "_trace_hook", "_profile_hook"),
    pdb: ("Pdb", "set_trace", "post_mortem"),
    getpass: ("getpass", "getuser"),
    warnings: ("showwarning", "formatwarning", "warn", "_showwarnmsg"),
    linecache: ("checkcache", "getline", "getlines", "updatecache"),
    traceback: ("print_exception", "print_exc", "format_exception"),
    pydoc: ("pager", "getpager", "help"),
    logging: ("lastResort", "raiseExceptions", "root", "_logRecordFactory"),
    os: ("fork", "_exit", "system", "environ"),
    signal: ("signal", "getsignal", "default_int_handler"),
    socket: ("socket", "getaddrinfo"),
    asyncio: ("Task", "get_event_loop", "new_event_loop", "run"),
}


def snapshot(names: dict[str, Any], reactor: Any) -> dict[str, Any]:
    """
    All of it.

    Args:
        names: The application's own, its globals.

    Thread:
        Reactor thread.
    """
    found: dict[str, Any] = {
        place.__name__: names_of(
            {each: getattr(place, each) for each in wanted if hasattr(place, each)}
        )
        for place, wanted in _PLACES.items()
    }
    main = sys.modules["__main__"]
    found["__main__"] = {"module": name_of(main), "path": list(sys.path)}
    found["__main__"] |= names_of(vars(main)) if vars(main) is not names else {}
    found["builtins"] = names_of(vars(builtins))
    found["environment"] = dict(os.environ)
    found["globals"] = names_of(names)
    found["signals"] = _signals()
    found["logging"].update(_logging())
    found["filters"] = {"all": [repr(each) for each in warnings.filters]}
    found["pickling"] = names_of(
        {repr(k): v for k, v in copyreg.dispatch_table.items()}
    )
    found["process"] = _process()
    found["threads"] = {str(each.ident): each.name for each in threading.enumerate()}
    found["descriptors"] = _descriptors()
    found["reactor"] = _reactor(reactor)
    found["singletons"] = _singletons()
    found["atexit"] = {"functions": sorted(_at_exit)}
    return found


def _signals() -> dict[str, str]:
    found = {
        str(int(number)): name_of(signal.getsignal(number))
        for number in signal.valid_signals()
    }
    if threading.current_thread() is threading.main_thread():
        wakes = signal.set_wakeup_fd(-1)
        signal.set_wakeup_fd(wakes)
        found["wakeup"] = str(wakes)
    found["blocked"] = str(sorted(signal.pthread_sigmask(signal.SIG_BLOCK, ())))
    return found


def _logging() -> dict[str, Any]:
    found: dict[str, Any] = {"disabled": logging.root.manager.disable}
    loggers = {"root": logging.root, **logging.root.manager.loggerDict}
    for name, logger in loggers.items():
        if isinstance(logger, logging.Logger):
            found[name] = [
                logger.level,
                logger.disabled,
                logger.propagate,
                *(f"{name_of(each)} {each.level}" for each in logger.handlers),
            ]
    return found


def _process() -> dict[str, Any]:
    mask = os.umask(0o77)
    os.umask(mask)
    return {
        "directory": os.getcwd(),
        "umask": mask,
        "locale": locale.setlocale(locale.LC_ALL),
        "faulthandler": faulthandler.is_enabled(),
        "trace": name_of(sys.gettrace()),
        "profile": name_of(sys.getprofile()),
        "switch": sys.getswitchinterval(),
        "recursion": sys.getrecursionlimit(),
        "collecting": [gc.isenabled(), *gc.get_threshold()],
        "random": str(hash(random.getstate()[1])),
        "timeout": socket.getdefaulttimeout(),
        "importers": names_of({str(n): each for n, each in enumerate(sys.meta_path)}),
        "stack": threading.stack_size(),
    }


def _descriptors() -> dict[str, str]:
    found = {}
    for number in os.listdir("/proc/self/fd"):
        try:
            found[number] = os.readlink(f"/proc/self/fd/{number}")
        except FileNotFoundError:  # that of the listing itself
            continue
    return found


def _reactor(reactor: Any) -> dict[str, Any]:
    from twisted.internet import defer
    from twisted.logger import globalLogPublisher

    found: dict[str, Any] = {
        "installed": name_of(sys.modules["twisted.internet.reactor"]),
        "attributes": sorted(vars(reactor)),
        "Deferred": names_of(dict(vars(defer.Deferred))),
        "debugging": defer.getDebugging(),
        "observers": [name_of(each) for each in globalLogPublisher._observers],
        "readers": sorted(str(each) for each in reactor.getReaders()),
        "writers": sorted(str(each) for each in reactor.getWriters()),
        "calls": sorted(str(call.func) for call in reactor.getDelayedCalls()),
    }
    found["policy"] = name_of(asyncio.get_event_loop_policy())
    loop = getattr(reactor, "_asyncioEventloop", None)
    if loop is not None:
        found["loop"] = {
            "running": name_of(loop) if loop.is_running() else "",
            "task factory": name_of(loop.get_task_factory()),
            "exception handler": name_of(loop.get_exception_handler()),
            "debug": loop.get_debug(),
            "tasks": len(asyncio.all_tasks(loop)),
        }
    return found


def _singletons() -> dict[str, Any]:
    """The instances that IPython's classes keep, where they are imported."""
    found = {}
    for module, name in (
        ("IPython.core.interactiveshell", "InteractiveShell"),
        ("ipykernel.zmqshell", "ZMQInteractiveShell"),
        ("ipykernel.kernelbase", "Kernel"),
        ("ipykernel.ipkernel", "IPythonKernel"),
        ("ipykernel.kernelapp", "IPKernelApp"),
        ("traitlets.config", "Application"),
        ("zmq", "Context"),
    ):
        owner = getattr(sys.modules.get(module), name, None)
        kept = getattr(owner, "_instance", None)
        if kept is not None:
            found[name] = name_of(kept)
    comm = getattr(sys.modules.get("ipykernel.ipkernel"), "_comm_manager", None)
    if comm is not None:
        found["comm manager"] = name_of(comm)
    return found


class Camera:
    """
    Takes a snapshot whenever a file asks for one: ``ask-NAME``, answered by
    ``is-NAME``.

    Not by a signal and not by the console, which are what is looked at.

    Args:
        directory: Of these files.
        says: Called with the name at each, so that the application speaks meanwhile.
    """

    def __init__(
        self, directory: str, names: dict[str, Any], reactor: Any, says: Any
    ) -> None:
        self._directory = Path(directory)
        self._names = names
        self._reactor = reactor
        self._says = says

    def watch(self) -> None:
        """Look for such files, from now on. Reactor thread."""
        for asked in self._directory.glob("ask-*"):
            asked.unlink()
            name = asked.name.removeprefix("ask-")
            self._says(name)
            self.take(name)
        self._reactor.callLater(0.01, self.watch)

    def take(self, name: str) -> None:
        """Take one now."""
        part = self._directory / f"part-{name}"
        part.write_text(json.dumps(snapshot(self._names, self._reactor)))
        part.rename(self._directory / f"is-{name}")
