"""
Telling the places where a pending value is shown what became of it.

A watch lives as long as the callback that it has placed on the value, and does not
keep the value alive.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable
from contextlib import suppress
from contextvars import Context
from functools import partial
from typing import Any, Literal

from crochet import EventualResult
from twisted.internet.base import DelayedCall
from twisted.internet.defer import Deferred

from ..internals import crochet as crochet_internals
from ..internals import twisted as internals
from .live_states import CellName, ended, state_of
from .short_texts import type_name
from .states import State

Update = Callable[[State], object]


class Watches:
    """
    All the watches of one shell.

    Thread:
        Made in the shell thread; all else in the reactor thread, but ``switch_off``.
    """

    def __init__(self, reactor: Any, cell_name: CellName) -> None:
        self._reactor = reactor
        self._cell_name = cell_name
        # By the id of the value: some can't be hashed. A watch lives as long as
        # what it has placed on the value does.
        self._all: weakref.WeakValueDictionary[int, Watch] = (
            weakref.WeakValueDictionary()
        )
        self._on = True

    def switch_off(self) -> None:
        """What has been placed does nothing from now on. Any thread."""
        self._on = False

    def add(
        self,
        to_value: weakref.ref[Any],
        place: str,
        context: Context,
        update: Update,
    ) -> None:
        """
        Have ``update`` called in that context when the value is no longer pending.

        Args:
            place: Where it is shown; of more updates for one place, one is called.
        """
        value = to_value()
        if value is None or not self._on:
            return
        watch = self._all.get(id(value))
        new = watch is None or watch.to_value is not to_value
        if watch is None or new:
            watch = self._all[id(value)] = Watch(to_value)
        watch.places.setdefault(place, (context, update))
        if new:
            with suppress(Exception):  # of a subclass that takes no callback
                self._begin(value, watch)

    def _begin(self, value: Any, watch: Watch) -> None:
        kind = type_name(value)
        if isinstance(value, Deferred):

            def fired(result: Any) -> Any:
                self._tell(watch, lambda: ended(kind, result, self._cell_name))
                return result

            value.addBoth(fired)
        elif isinstance(value, EventualResult):
            self._begin_eventual(value, watch)
        elif isinstance(value, DelayedCall):
            internals.tell_end(
                value, partial(self._call_ended, watch, state_of(value).of, kind)
            )

    def _begin_eventual(
        self, value: EventualResult, watch: Watch, again: bool = True
    ) -> None:
        def fired(result: Any = None) -> Any:
            shown = watch.to_value()
            if shown is not None:
                self._tell(watch, lambda: state_of(shown, self._cell_name))
            return result

        origin = crochet_internals.deferred_of(value)
        if crochet_internals.is_done(value):
            fired()
        elif origin is not None:
            # crochet's own callback came first, and has put the value aside.
            origin.addBoth(fired)
        elif again:  # made in this turn, begun in the next

            def retry() -> None:
                shown = watch.to_value()
                if shown is not None:
                    self._begin_eventual(shown, watch, again=False)

            self._reactor.callLater(0, retry)

    def _call_ended(
        self, watch: Watch, of: str, kind: str, state: Literal["called", "cancelled"]
    ) -> None:
        self._tell(watch, lambda: State(kind, state, of=of))

    def _tell(self, watch: Watch, state: Callable[[], State]) -> None:
        """Raises nothing, since who fired the value has nothing to do with this."""
        places, watch.places = list(watch.places.values()), {}
        watch.to_value = lambda: None
        found: State | None = None
        for context, update in places if self._on else ():
            try:
                # There, too, what a ``repr`` prints finds the cell.
                found = found or context.run(state)
                context.run(update, found)
            except BaseException:
                # From a stream that is closed, or as Ctrl-C in a ``repr``. A stop of
                # a cell that fires the value is raised again in that (``swallowed``).
                pass


class Watch:
    """
    The places to be told about one value.

    Attributes:
        to_value: The weak reference to it that the places have, too.
        places: A context and what to call in it, by the name of the place.
    """

    def __init__(self, to_value: Callable[[], Any]) -> None:
        self.to_value = to_value
        self.places: dict[str, tuple[Context, Update]] = {}
