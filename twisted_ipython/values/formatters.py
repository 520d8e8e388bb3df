"""
How the shell shows Deferreds, EventualResults, Failures and delayed calls.

A pending one that a kernel shows is a display with an id, which is updated when it
fires. At a terminal there is its text.
"""

from __future__ import annotations

import threading
import weakref
from collections.abc import Callable
from contextlib import ExitStack
from contextvars import copy_context
from functools import partial
from typing import Any
from uuid import uuid4

from crochet import EventualResult
from IPython.core.displaypub import CapturingDisplayPublisher

from ..internals import crochet as crochet_internals
from ..shared_reactor import SharedReactor
from .live_states import KINDS, state_of
from .states import State, html, text
from .watches import Watches

# Seconds to wait for the reactor to begin what a cell has just given to it.
BEGUN_WITHIN = 0.05

# A class that has one of these of its own is shown as that says.
_OWN = ("__repr__", "_repr_pretty_", "_repr_html_", "_repr_mimebundle_")


def switch_on(shell: Any, shared: SharedReactor) -> Callable[[], None]:
    """
    Show them by their state; gives what undoes it.

    Thread:
        Shell thread.
    """
    shown = ShownValues(shell, shared)
    formatters: dict[Any, Callable[..., Any]] = {
        shell.display_formatter.formatters["text/plain"]: shown.print_text,
        shell.display_formatter.formatters["text/html"]: shown.html,
    }
    if getattr(shell, "kernel", None) is not None:
        formatters[shell.display_formatter.ipython_display_formatter] = shown.display
    undo = ExitStack()
    undo.callback(shown.watches.switch_off)
    for formatter, printer in formatters.items():
        for kind in KINDS:
            undo.callback(_register(formatter.type_printers, kind, printer))
    return undo.close


def _register(
    printers: dict[type, Any], kind: type, printer: Callable[..., Any]
) -> Callable[[], None]:
    # Not by formatter.for_type: the printer before, which that gives, may be of a
    # class above this one.
    before = printers.get(kind)
    printers[kind] = printer

    def restore() -> None:
        if printers.get(kind) == printer:  # else, somebody wants another by now
            if before is None:
                del printers[kind]
            else:
                printers[kind] = before

    return restore


class ShownValues:
    """
    The printers for one shell.

    Thread:
        Where the shell shows values: shell threads and reactor thread.
    """

    def __init__(self, shell: Any, shared: SharedReactor) -> None:
        self._shell = shell
        self._shared = shared
        self.watches = Watches(shared.reactor, self._cell_name)
        self._seen: dict[int, tuple[weakref.ref[Any], str]] = {}
        self._turn = threading.Event()
        self._turn.set()

    def _cell_name(self, filename: str) -> str | None:
        found = self._shell.compile.format_code_name(filename)
        return found and " ".join(found)

    def print_text(self, value: Any, printer: Any, cycle: bool) -> None:
        """For text/plain."""
        if len(printer.stack) == 1:  # else, it is inside of a list or the like
            self._let_begin(value)
        printer.text(text(state_of(value)))

    def html(self, value: Any) -> str | None:
        """For text/html."""
        return html(state_of(value, self._cell_name)) if _is_ours(value) else None

    def display(self, value: Any) -> None:
        """
        Display a pending value; it is updated when it fires.

        Raises:
            NotImplementedError: It is to be shown as all other values are.
        """
        plain = self._shell.display_formatter.formatters["text/plain"]
        if not _is_ours(value) or plain.lookup(value) != self.print_text:
            raise NotImplementedError
        self._let_begin(value)
        state = state_of(value)
        publisher = self._shell.display_pub
        # Nobody sees what is captured, until it is shown as it was.
        captured = isinstance(publisher, CapturingDisplayPublisher)
        if captured or not state.may_change:
            raise NotImplementedError
        cell = getattr(publisher, "parent_header", {}).get("msg_id", "")
        to_value, name = self._reference(value)
        # One id for all displays in one cell: one update is for them all.
        place = f"{name}-{cell}"
        _publish(publisher, place, state, update=False)
        update = partial(_publish, publisher, place, update=True)
        add = partial(self.watches.add, to_value, place, copy_context(), update)
        if self._shared.in_reactor_thread():
            add()
        else:
            self._shared.reactor.callFromThread(add)

    def _reference(self, value: Any) -> tuple[weakref.ref[Any], str]:
        """A weak reference and a name, the same ones for as long as it lives."""
        key = id(value)
        found = self._seen.get(key)
        if found is not None and found[0]() is value:
            return found

        def forget(reference: weakref.ref[Any]) -> None:
            if self._seen.get(key, (None,))[0] is reference:
                del self._seen[key]

        found = self._seen[key] = (weakref.ref(value, forget), uuid4().hex)
        return found

    def _let_begin(self, value: Any) -> None:
        """
        Wait a moment for the reactor to begin what was given to it just now.

        So what a cell shows does not depend on which thread is quicker.
        """
        if (
            not issubclass(type(value), EventualResult)
            or crochet_internals.is_done(value)
            or crochet_internals.deferred_of(value) is not None
            or self._shared.in_reactor_thread()
            or not self._turn.is_set()  # it did not come to the last one either
        ):
            return
        self._turn = threading.Event()
        self._shared.reactor.callFromThread(self._turn.set)
        self._turn.wait(BEGUN_WITHIN)


def _is_ours(value: Any) -> bool:
    """Whether its class says nothing else about how it is shown."""
    kind = next((each for each in KINDS if issubclass(type(value), each)), None)
    return kind is not None and all(
        getattr(type(value), name, None) is getattr(kind, name, None) for name in _OWN
    )


def _publish(publisher: Any, place: str, state: State, *, update: bool) -> None:
    publisher.publish(
        {"text/plain": text(state), "text/html": html(state)},
        transient={"display_id": place},
        update=update,
    )
