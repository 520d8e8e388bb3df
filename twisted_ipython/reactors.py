"""
Which reactor: installed, found or refused.

There is one reactor in a process, and it can't be started twice. So what is
found out about it is kept here for as long as the process lives, whatever is
loaded and unloaded.
"""

from __future__ import annotations

import asyncio
import sys
import threading
from asyncio import AbstractEventLoop
from queue import Empty, SimpleQueue
from typing import Any

import crochet

from . import waiting
from .errors import CannotLoad
from .internals.twisted import asyncio_loop, has_run
from .reactor_thread import run_in_thread
from .shared_reactor import STOPPED, SharedReactor

# Seconds that a reactor which says that it runs may take to answer.
ANSWER_WITHIN = 5.0

_shared: SharedReactor | None = None
_ours_to_run = False  # also if loading was interrupted before it ran


def shared_reactor(
    choice: str, frontend_loop: AbstractEventLoop | None
) -> SharedReactor:
    """
    The reactor of this process, running; started here if nobody did.

    Args:
        choice: Which one to install where none is installed: ``asyncio``,
            ``default`` or a name that ``twist --reactor`` knows.
        frontend_loop: The loop that the kernel lives on, which no reactor in
            another thread can use; None at a terminal.

    Raises:
        CannotLoad: It can't be used from here. Nothing was changed, but that
            an installed reactor stays installed.

    Thread:
        Shell thread.
    """
    global _shared, _ours_to_run
    if _shared is None:
        if "twisted.internet.reactor" not in sys.modules:
            _install(choice)
        from twisted.internet import reactor

        _check_usable(reactor, frontend_loop)
        try:
            crochet.no_setup()
            _ours_to_run = not reactor.running  # type: ignore[attr-defined]
        except RuntimeError:
            pass  # crochet was set up before: it runs the reactor, or soon will
        if _ours_to_run and not reactor.running:  # type: ignore[attr-defined]
            _shared = run_in_thread(reactor)
            return _shared
        _shared = _adopt(reactor)
    if _shared.stopped:
        raise CannotLoad(STOPPED)
    return _shared


def _install(choice: str) -> None:
    if choice == "default":
        from twisted.internet import reactor  # noqa: F401 - importing installs it
    elif choice == "asyncio":
        from twisted.internet import asyncioreactor

        # A loop of its own: the kernel's is busy with the kernel. A selector
        # loop, since Windows' default one has no readers and writers.
        asyncioreactor.install(asyncio.SelectorEventLoop())
    else:
        from twisted.application.reactors import NoSuchReactor, installReactor

        try:
            installReactor(choice)
        except NoSuchReactor:
            raise CannotLoad(
                f"there is no reactor {choice!r} to install: c.TwistedIPython.reactor "
                "is asyncio, default, or a name that `twist --help-reactors` lists"
            ) from None
        except ImportError as error:
            raise CannotLoad(
                f"the reactor {choice!r} can't be installed here: {error}"
            ) from error


def _check_usable(reactor: Any, frontend_loop: AbstractEventLoop | None) -> None:
    """Refuse a reactor that could only deadlock."""
    from twisted.python import threadable

    if has_run(reactor) and not reactor.running:
        raise CannotLoad(STOPPED)
    if reactor.running and threadable.isInIOThread():
        raise CannotLoad(
            "the reactor is running in this very thread, which would wait for "
            "itself: start IPython outside of reactor.run(), and load the "
            "extension there; it runs the reactor in another thread"
        )
    loop = asyncio_loop(reactor)
    if loop is None or reactor.running:
        return
    if loop is frontend_loop or loop.is_running():
        raise CannotLoad(
            "asyncioreactor is installed on the event loop that this session "
            "itself runs on, so nothing could be awaited: restart, and leave "
            "asyncioreactor.install() out; %load_ext twisted_ipython installs an "
            "asyncio reactor on a loop of its own"
        )


def _adopt(reactor: Any) -> SharedReactor:
    """Use a reactor that somebody else runs, as it is."""
    answer: SimpleQueue[int] = SimpleQueue()

    def look() -> None:
        reactor.getThreadPool()  # made here, if nobody has used it yet
        answer.put(threading.get_ident())

    reactor.callFromThread(look)
    try:
        thread_id = waiting.get(answer, ANSWER_WITHIN)
    except Empty:
        raise CannotLoad(
            "a reactor is installed, but it did not answer within "
            f"{ANSWER_WITHIN:g} s: what runs it is busy, or never called "
            "reactor.run(); load the extension when it runs, or before"
        ) from None
    return SharedReactor(reactor, thread_id)
