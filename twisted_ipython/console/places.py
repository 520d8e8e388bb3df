"""
What is in place in the process while a cell's code runs, and only then.

A cell expects its own ``print``, ``input``, ``get_ipython()``. Python keeps these for the
whole process, and the process is the application's. So they are set when a cell's
code comes onto a stack and put back when it leaves, at each await; and what is set
decides by thread: the application's other threads get what they had.
"""

from __future__ import annotations

import builtins
import getpass
import os
import pydoc
import sys
import threading
import warnings
import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from threading import get_ident
from typing import Any

from IPython.display import display
from twisted.internet.defer import Deferred

from ..internals import singletons
from .reading import AINPUT, NO_CELL, NoInput
from .requests import Request, current

_ABSENT = object()

Place = tuple[Any, str]  # an object, and the name of an attribute

# Where Python keeps the last error, for %debug and %tb.
_LAST = [
    (sys, name) for name in ("last_type", "last_value", "last_traceback", "last_exc")
]

# Where what a cell sets is meant for the application, if it is still there at its end.
_WHOSE = (sys, builtins, getpass, warnings)


def _get(place: Place) -> Any:
    return place[0].__dict__.get(place[1], _ABSENT)


def _set(place: Place, value: Any) -> None:
    if value is not _ABSENT:
        setattr(*place, value)
    elif place[1] in place[0].__dict__:
        delattr(*place)


class Places:
    """
    Attributes:
        requests: The request whose code a thread runs, by the thread's number.

    Thread:
        ``enter`` and ``leave`` in a thread that runs a cell's code: the reactor thread,
        or that of a ``%%thread`` cell.
    """

    def __init__(
        self,
        shell: Any,
        kernel: Any,
        read: Callable[[Request, str, bool], str],
        ask: Callable[[Request, str, bool], Deferred[str]],
        unreadable: Any,
    ) -> None:
        self.requests: dict[int, Request] = {}
        self._shell = shell
        self._read = read
        self._ask = ask
        self._pid = os.getpid()
        self._known: dict[Place, Any] = {}  # the last that no cell has left there
        self._stdout = Routed(self, self._known, "stdout")
        self._stderr = Routed(self, self._known, "stderr")
        self._stdin = Routed(self, self._known, "stdin", unreadable)
        self._ours: dict[Place, Any] = {
            (sys, "stdout"): self._stdout,
            (sys, "stderr"): self._stderr,
            (sys, "stdin"): self._stdin,
            (sys, "displayhook"): self._display,
            (builtins, "input"): self._input,
            (builtins, "ainput"): self._ainput,
            (builtins, AINPUT): self._ainput,
            (builtins, "get_ipython"): shell.get_ipython,
            (builtins, "display"): display,
            (getpass, "getpass"): self._getpass,
            (warnings, "showwarning"): self._show_warning,
            # help() keeps what it has found out about the streams.
            (pydoc, "pager"): pydoc.plainpager,
            # Where Python notes which warnings it has given for a module's lines;
            # IPython empties it before each cell.
            (shell.user_module, "__warningregistry__"): {},
        }
        if "__builtins__" not in shell.user_module.__dict__:
            # A dictionary that is no module's: exec() would leave this in it.
            self._ours[shell.user_module, "__builtins__"] = builtins
        for cls in singletons.owners(type(shell)):
            self._ours[cls, singletons.ATTRIBUTE] = shell
        for cls in singletons.owners(type(kernel)):
            self._ours[cls, singletons.ATTRIBUTE] = kernel
        self._last: dict[Place, Any] = dict.fromkeys(_LAST, _ABSENT)
        self._apps: dict[Place, Any] = {}
        self._kept: dict[Place, Any] = {}  # the last that one has
        # By the number of each thread that is in: what another had set in our places
        # when it came.
        self._inside: dict[int, dict[Place, Any]] = {}
        self._beside: set[int] = set()  # those that were not alone
        self._doubtful: dict[Place, Any] = {}  # set by one of two, and who knows which
        # Of the two threads that may enter, one does so at a time. Nothing is
        # called under it that waits, or is the user's.
        self._lock = threading.Lock()

    def enter(self, request: Request) -> Request | None:
        """
        What this thread runs now is for ``request``; gives what it ran before.
        """
        thread = get_ident()
        before = self.requests.get(thread)
        self.requests[thread] = request
        if before is None:
            with self._lock:
                if not self._inside:
                    self._install()
                self._inside[thread] = {
                    place: value
                    for place, value in ((each, _get(each)) for each in self._ours)
                    if value is not self._ours[place]
                }
                self._beside.discard(thread)
                if len(self._inside) > 1:
                    self._beside.update(self._inside)
        return before

    def leave(self, before: Request | None) -> dict[Place, Any]:
        """
        The reverse of ``enter``.

        Returns:
            What the code has set in our places by its own will, put aside for
            when it goes on (``put_back``).
        """
        thread = get_ident()
        if before is not None:
            self.requests[thread] = before
            return {}
        changed = {}
        with self._lock:
            others = self._inside.pop(thread, None)
            if others is not None:  # else the console has closed meanwhile
                for place, ours in self._ours.items():
                    value, expected = _get(place), others.get(place, ours)
                    if value is not ours and value is not expected:
                        changed[place] = value
                        _set(place, expected)
                if thread in self._beside:
                    self._doubtful.update(changed)
                if not self._inside:
                    self._uninstall()
        del self.requests[thread]
        return changed

    @contextmanager
    def outside(self) -> Iterator[None]:
        """Around what is the application's, while a cell has this thread."""
        request = self.requests.pop(get_ident(), None)
        try:
            yield
        finally:
            if request is not None:
                self.requests[get_ident()] = request

    def put_back(self, changed: dict[Place, Any]) -> None:
        """Set again what a cell has set. In the thread that has entered."""
        for place, value in changed.items():
            _set(place, value)

    def keep(self, changed: dict[Place, Any]) -> None:
        """
        Let the application have what a cell has left in our places when it ended:
        it was set on purpose. Not if it could be what a cell in another thread has set
        for a while, as redirect_stdout does.
        """
        with self._lock:
            for place, value in changed.items():
                if place[0] not in _WHOSE or value is _ABSENT:
                    continue  # to be without, as of sys.stdout, is nobody's purpose
                if self._doubtful.get(place, _ABSENT) is value:
                    continue
                self._kept[place] = value
                if self._inside:
                    self._apps[place] = value
                else:
                    _set(place, value)

    def app(self, owner: Any, name: str) -> Any:
        """What the application has in a place of ours. Any thread."""
        place = owner, name
        theirs = _ABSENT if self._inside else _get(place)
        if theirs is _ABSENT or theirs is self._ours[place]:
            theirs = (self._apps if self._inside else self._known).get(place, _ABSENT)
        return None if theirs is _ABSENT else theirs

    def _install(self) -> None:
        for place in (*self._ours, *self._last):
            theirs = _get(place)
            if theirs is self._ours.get(place, self):
                # Code of a cell's has put back what it had found while it ran, when
                # it did so no more, as redirect_stdout around an await does. Then
                # what was the application's own is so again.
                theirs = self._known.get(place, _ABSENT)
            elif theirs is not self._kept.get(place, _ABSENT):
                self._known[place] = theirs
            self._apps[place] = theirs
        for place, value in (*self._ours.items(), *self._last.items()):
            _set(place, value)

    def _uninstall(self) -> None:
        self._last = {place: _get(place) for place in self._last}
        for place, value in self._apps.items():
            _set(place, value)
        for place in self._last:
            del self._apps[place]

    def forget(self) -> None:
        """
        Let go of the last error, and of what is ours and somebody has kept; also where
        a cell runs on that can't be ended.
        """
        with self._lock:
            if self._inside:
                self._inside.clear()
                self._uninstall()
            self._last = dict.fromkeys(_LAST, _ABSENT)
            self._doubtful.clear()
            for place, ours in self._ours.items():
                if _get(place) is ours:
                    _set(place, self._known.get(place, _ABSENT))

    def here(self) -> Request | None:
        """
        The request that this thread runs for; none in a forked child.

        Also where a cell waits for another thread that works in its context, as
        ``%%bash`` does.
        """
        if os.getpid() != self._pid:
            return None
        request = self.requests.get(get_ident())
        if request is None:
            begun_by = current()
            if begun_by is not None and begun_by in list(self.requests.values()):
                return begun_by
        return request

    # -- What is in the places -------------------------------------------------

    def _display(self, value: Any) -> None:
        if self.here() is not None:
            self._shell.displayhook(value)
        else:
            self.app(sys, "displayhook")(value)

    def _input(self, prompt: Any = "", /) -> str:
        request = self.here()
        if request is None:
            return str(self.app(builtins, "input")(prompt))
        return self._read(request, str(prompt), False)

    def _ainput(self, prompt: Any = "", /, *, secret: bool = False) -> Deferred[str]:
        """
        Ask the user of this console.

        Args:
            secret: Whether the answer is hidden.

        Returns:
            A Deferred of the answer: ``await ainput("which? ")``.
        """
        request = self.here()
        if request is None:
            raise NoInput(NO_CELL)
        return self._ask(request, str(prompt), secret)

    def _show_warning(
        self,
        message: Any,
        category: Any,
        filename: str,
        lineno: int,
        file: Any = None,
        line: str | None = None,
    ) -> None:
        if file is None and self.here() is not None:
            text = warnings.formatwarning(message, category, filename, lineno, line)
            self._stderr.write(text)
        else:
            show = self.app(warnings, "showwarning")
            show(message, category, filename, lineno, file, line)

    def _getpass(
        self, prompt: str = "Password: ", stream: Any = None, **more: Any
    ) -> str:
        request = self.here()
        if request is None:
            return str(self.app(getpass, "getpass")(prompt, stream, **more))
        return self._read(request, str(prompt), True)


class Routed:
    """
    A stream that is a cell's in the threads that run one, and else the application's.

    What keeps it, as a logging handler made in a cell, writes to the application's
    stream when the cell has ended. Each thread that is made in a cell keeps one, those
    of the reactor's pool for as long as it runs: it does not hold the console.

    Args:
        known: What the application had in the places at last.
    """

    def __init__(
        self,
        places: Places,
        known: dict[Place, Any],
        name: str,
        instead: Any = None,
    ) -> None:
        self.__dict__["_route"] = (weakref.ref(places), known, name, instead)

    def __getattr__(self, name: str) -> Any:
        return getattr(_routed(self), name)

    def __setattr__(self, name: str, value: Any) -> None:
        setattr(_routed(self), name, value)

    def __delattr__(self, name: str) -> None:
        delattr(_routed(self), name)

    def __iter__(self) -> Any:
        return iter(_routed(self))

    def __next__(self) -> Any:
        return next(_routed(self))

    def __enter__(self) -> Any:
        return self

    def __exit__(self, *args: object) -> None:
        pass

    def __repr__(self) -> str:
        return repr(_routed(self))


def _routed(stream: Routed) -> Any:
    ref, known, name, instead = stream.__dict__["_route"]
    places = ref()
    if places is None:  # the console has closed
        theirs = getattr(sys, name)
        return known.get((sys, name)) if theirs is stream else theirs
    request = places.here()
    if request is None:
        return places.app(sys, name)
    return getattr(request, name) if instead is None else instead
