"""
A program that looks like an application with a live console, for who attaches to it.

    python fake_application.py NAME [HOW]

It says ``ready PID``. On the signal it opens a real kernel, in its main thread.
On SIGUSR1 it closes the console, as far as an attached client can tell.

HOW is one of
    opens     what it should (the default)
    late      opens, once SIGUSR1 has come
    stuck     notes where it is, and never answers
    deaf      never gets to the signal
    fails     opening fails
    ends      ends by the signal
    handlerless   has put the console's handler away
    manual    no signal opens it
    closing   opens, and was closing when it was asked
"""

from __future__ import annotations

import os
import signal
import socket
import sys
import time
import traceback
from dataclasses import replace
from pathlib import Path
from types import FrameType

from ipykernel.kernelapp import IPKernelApp
from tornado.ioloop import IOLoop, PeriodicCallback

from twisted_ipython.console import directory, processes
from twisted_ipython.console.errors import NO_IPYKERNEL

NAME = sys.argv[1]
HOW = sys.argv[2] if len(sys.argv) > 2 else "opens"
PLACE = directory.make_directory(os.getpid())
KERNEL_FILE = PLACE / directory.KERNEL_FILE

state = directory.Application(
    pid=os.getpid(),
    start=processes.start_of(os.getpid()) or "",
    started=time.time(),
    uid=os.geteuid(),
    host=socket.gethostname(),
    name=NAME,
    arguments=tuple(sys.argv),
    reactor="none",
    signal=0 if HOW == "manual" else signal.SIGUSR2,
    since=time.time(),
)
asked, woken = os.pipe()


def become(new: str, error: str = "") -> None:
    global state
    state = replace(state, state=new, since=time.time(), error=error)
    directory.write_application(PLACE, state)


def on_signal(number: int, frame: FrameType | None) -> None:
    assert frame is not None
    if HOW == "ends":
        os._exit(3)
    where = f"{Path(frame.f_code.co_filename).name}, line {frame.f_lineno}"
    stack = [line.rstrip() for line in traceback.format_stack(frame)]
    note = {"at": time.time(), "where": f"{where}: look()", "stack": stack}
    directory.write_json(PLACE / directory.ASKED_FILE, note)
    if HOW not in ("stuck", "late"):
        os.write(woken, b"x")


def on_usr1(number: int, frame: FrameType | None) -> None:
    if HOW == "late" and state.state == directory.DORMANT:
        os.write(woken, b"x")
    else:
        KERNEL_FILE.unlink()
        become(directory.DORMANT)


def open_console() -> None:
    (PLACE / directory.ASKED_FILE).unlink()
    become(directory.OPENING)
    if HOW == "fails":
        become(directory.DORMANT, NO_IPYKERNEL)
        return
    app = IPKernelApp.instance(
        quiet=True,
        transport="ipc",
        ip=str(PLACE / "kernel"),
        connection_file=str(PLACE / ".kernel.json"),
    )
    app.initialize([])

    def publish() -> None:
        os.replace(PLACE / ".kernel.json", KERNEL_FILE)
        become(directory.OPEN)

    IOLoop.current().add_callback(publish)
    # A loop that only waits does not notice that a signal has cancelled a cell.
    PeriodicCallback(bool, 50).start()
    app.start()


signal.signal(signal.SIGUSR1, on_usr1)
signal.signal(signal.SIGUSR2, on_signal)
if HOW == "deaf":
    signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGUSR2])
if HOW == "handlerless":
    signal.signal(signal.SIGUSR2, signal.SIG_DFL)
become(directory.CLOSING if HOW == "closing" else directory.DORMANT)
print("ready", os.getpid(), flush=True)
while True:
    os.read(asked, 1)
    open_console()
