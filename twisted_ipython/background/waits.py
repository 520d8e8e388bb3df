"""
What awaits: cells, asyncio tasks, coroutines that Deferreds drive, results to be.

Of what waits for one another only the outermost is told: a cell, and not the
functions that it awaits.
"""

from __future__ import annotations

import asyncio
import time
from asyncio import AbstractEventLoop
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any
from weakref import WeakKeyDictionary

from crochet import EventualResult
from twisted.internet.defer import Deferred
from twisted.internet.task import LoopingCall

from ..awaiting_cell import Cell, awaiting_cells
from ..bridge import Bridged, Wait
from ..hosts import DeferredDrive
from ..internals import asyncio as asyncio_internals
from ..internals import crochet as crochet_internals
from ..internals import twisted as twisted_internals
from ..origins import ORIGIN, Origin
from ..run_in_reactor import run_in_reactor
from ..tracebacks import is_machinery
from .activities import AWAITING
from .going import Going, chain, frame_of, function_name, place_text

# Whose callbacks are looked into for who waits. A user's callback may do anything.
_LIBRARIES = ("asyncio", "twisted", "twisted_ipython")


class Results:
    """
    The EventualResults that cells asked for, with their cell.

    Thread:
        Reactor thread; ``watch`` in any.
    """

    def __init__(self) -> None:
        self._noted: WeakKeyDictionary[EventualResult, tuple[Origin, float, str]] = (
            WeakKeyDictionary()
        )

    def watch(self) -> Callable[[], None]:
        """Note them from now on; gives what undoes it."""
        return crochet_internals.watch_results(self._note)

    def _note(self, result: EventualResult, function: Any) -> None:
        origin = ORIGIN.get()
        if origin is None:
            return
        # What crochet is given there is a function of that module.
        ours = getattr(function, "__module__", None) == run_in_reactor.__module__
        name = "%%run_in_reactor" if ours else function_name(function, origin)
        self._noted[result] = (origin, time.time(), name)

    def origin(self, result: EventualResult) -> Origin | None:
        """The cell that asked for it."""
        noted = self._noted.get(result)
        return None if noted is None else noted[0]

    def pending(self) -> dict[EventualResult, tuple[Origin, float, str]]:
        """Those without a value or a Failure."""
        return {
            result: noted
            for result, noted in self._noted.items()
            if not crochet_internals.is_done(result)
        }


def waits(
    loop: AbstractEventLoop | None, results: Results
) -> tuple[list[Going], dict[LoopingCall, Going]]:
    """
    All that cells have waiting; and what looping calls wait for, by looping call.

    Looks through all objects that there are for coroutines that Deferreds drive:
    nothing else knows them, and noting each one would cost all who use them.

    Thread:
        Reactor thread.
    """
    pending = results.pending()
    ends = Ends(pending)
    found = list(_cells())
    loops: dict[LoopingCall, Going] = {}
    places: dict[EventualResult, str] = {}
    for going in [*_tasks(loop), *_coroutines()]:
        end = ends.of(going.thing if going.awaited is None else going.awaited)
        if isinstance(end, LoopingCall) and end.running:
            loops[end] = going
        elif isinstance(end, EventualResult):
            places[end] = going.place
        elif end is None or isinstance(end, LoopingCall):
            found.append(going)
    others = Ends(())
    for result, (origin, since, name) in pending.items():
        deferred = crochet_internals.deferred_of(result)
        if deferred is None or others.awaited(deferred):
            continue  # not begun, or awaited by a cell
        found.append(
            Going(
                result,
                AWAITING,
                name + places.get(result, ""),
                origin,
                since,
                deferred.cancel,
                partial(crochet_internals.is_done, result),
            )
        )
    return found, loops


class Awaiting(Going):
    """
    A coroutine.

    Attributes:
        place: Where it is, as ``place_text`` says it.
        awaited: What fires at its end, if that is not ``thing`` itself.
    """

    place = ""
    awaited: Any = None


def _cells() -> Iterator[Going]:
    """Cells that await, but for the one that asks."""
    for cell in list(awaiting_cells):
        origin = cell.context.get(ORIGIN)
        if origin is None or cell.running or cell.done:
            continue
        text = "the cell itself" + place_text(cell.coroutine, origin)
        yield Going(
            cell,
            AWAITING,
            text,
            origin,
            origin.started,
            cell.interrupt,
            partial(getattr, cell, "done"),
        )


def _tasks(loop: AbstractEventLoop | None) -> Iterator[Awaiting]:
    if loop is None:
        return
    for task in asyncio.all_tasks(loop):
        coroutine: Any = task.get_coro()
        origin: Origin | None
        if isinstance(coroutine, Bridged):
            origin, since = coroutine.origin, coroutine.made
            coroutine = coroutine.inner
        else:
            context = asyncio_internals.context_of_task(task)
            origin = None if context is None else context.get(ORIGIN)
            since = origin.started if origin else 0.0
        if origin is None or task is asyncio_internals.running_task(loop):
            continue
        if getattr(coroutine, "cr_code", None) is Cell.driver_code:
            continue
        yield _awaiting(task, coroutine, origin, since, task.cancel, task.done)


def _coroutines() -> Iterator[Awaiting]:
    for driven in twisted_internals.driven_coroutines():
        origin = driven.context.get(ORIGIN)
        if origin is not None:
            coroutine = driven.coroutine
            going = _awaiting(
                coroutine,
                coroutine,
                origin,
                origin.started,
                driven.deferred.cancel,
                partial(_has_ended, coroutine),
            )
            going.awaited = driven.deferred
            yield going


def _awaiting(
    thing: Any,
    coroutine: Any,
    origin: Origin,
    since: float,
    stop: Callable[[], object],
    is_over: Callable[[], bool],
) -> Awaiting:
    place = place_text(coroutine, origin)
    text = _name(coroutine) + place
    going = Awaiting(thing, AWAITING, text, origin, since, stop, is_over)
    going.place = place
    return going


def _name(coroutine: Any) -> str:
    """The name of the outermost function that is the user's."""
    for each in chain(coroutine):
        frame = frame_of(each)
        if frame is None or not is_machinery(frame.f_code.co_filename):
            return function_name(each)
    return function_name(coroutine)


def _has_ended(coroutine: Any) -> bool:
    return frame_of(coroutine) is None


class Ends:
    """
    Who waits, in the end, for a Deferred or a future.

    Args:
        results: EventualResults, which can't be told from Deferreds' callbacks.

    Thread:
        Reactor thread.
    """

    def __init__(self, results: Any) -> None:
        self._results = {
            id(crochet_internals.deferred_of(result)): result for result in results
        }

    def of(self, thing: Any) -> Any:
        """A task, a cell's wait, an EventualResult, a LoopingCall, ...; or None."""
        seen: set[int] = set()
        found = [thing]
        while found:
            thing = found.pop()
            if id(thing) in seen:
                continue
            seen.add(id(thing))
            if id(thing) in self._results:
                return self._results[id(thing)]
            for hearer in _hearers(thing):
                if _is_end(hearer):
                    return hearer
                if isinstance(hearer, (Deferred, asyncio.Future)):
                    found.append(hearer)
        return None

    def awaited(self, thing: Any) -> bool:
        """Whether there is one."""
        return self.of(thing) is not None


def _is_end(thing: Any) -> bool:
    return (
        isinstance(thing, (Wait, DeferredDrive, LoopingCall, asyncio.Task))
        or twisted_internals.drives_coroutine(thing)
        or asyncio_internals.is_task_group(thing)
    )


def _hearers(thing: Any) -> Iterator[Any]:
    """What is told when a Deferred or a future has fired."""
    if isinstance(thing, Deferred):
        callbacks = twisted_internals.callbacks_of(thing)
    else:
        callbacks = asyncio_internals.callbacks_of(thing)
    function: Any
    for function, arguments in callbacks:
        if asyncio_internals.is_wakeup(function):
            yield function.__self__
        if isinstance(function, partial):
            function, arguments = function.func, (*arguments, *function.args)
        module = getattr(function, "__module__", None) or ""
        if callable(function) and module.partition(".")[0] not in _LIBRARIES:
            continue
        yield from arguments
        yield getattr(function, "__self__", None)
        for cell in getattr(function, "__closure__", None) or ():
            try:
                yield cell.cell_contents
            except ValueError:  # not bound yet
                pass
