"""
What cells have going: collected, named, stopped.

Looked up when somebody asks. What is known of it from before is kept beside the
things themselves, weakly: nothing lives on because it was listed.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextvars import Context
from functools import partial
from time import monotonic
from typing import Any
from weakref import WeakKeyDictionary

from twisted.internet.error import ProcessExitedAlready
from twisted.internet.task import LoopingCall

from ..contexts import InContext
from ..internals.twisted import ToldFunction
from ..opened import Opened
from ..origins import ORIGIN
from ..shared_reactor import SharedReactor
from .activities import (
    DELAYED_CALL,
    ID_WORDS,
    LOOPING_CALL,
    PROCESS,
    Activity,
    age_text,
)
from .going import Going, function_name
from .ports import Ports
from .waits import Ends, Results, waits

# Seconds that what is stopped may take, and after which it is done by force.
STOP_WITHIN = 2.0
INSIST_AFTER = 1.0
LOOK_EVERY = 0.02

# Delayed calls of these are how something else is done, as a connection's timeout.
_LIBRARIES = ("twisted", "twisted_ipython", "crochet", "asyncio")


class Background:
    """
    One for each reactor, for as long as the process lives: so ids stay unique.

    Attributes:
        ports: Those that cells have opened.
        opened: What tells of them, of processes and looping calls.
        results: The EventualResults.

    Thread:
        Reactor thread, but where something else is said.
    """

    def __init__(self, shared: SharedReactor, opened: Opened) -> None:
        self.shared = shared
        self.ports = Ports(shared.reactor, opened)
        self.opened = opened
        self.results = Results()
        self._ids: WeakKeyDictionary[Any, str] = WeakKeyDictionary()
        self._used: Counter[str] = Counter()

    def watch(self) -> Callable[[], None]:
        """Note what can't be found out later; gives what undoes it. Any thread."""
        return self.results.watch()

    def going(self) -> dict[Activity, Going]:
        """All that cells have going, the oldest first."""
        found, loops = waits(self.shared.loop, self.results)
        found += self.ports.going()
        found += self._delayed_calls()
        found += self._looping_calls(loops)
        found += self._processes()
        found.sort(key=lambda each: each.since)
        return {self._activity(each): each for each in found}

    def activities(self) -> list[Activity]:
        """The same as plain values, for any thread."""
        return list(self.going())

    def stop(
        self,
        chosen: Sequence[Going],
        stopped: Callable[[dict[str, str]], object],
        within: float = STOP_WITHIN,
    ) -> None:
        """
        Tell ``chosen`` to stop; calls ``stopped`` when they have, or time is up.

        Args:
            stopped: Called with the ids of those that go on, and why.
        """
        began = monotonic()
        errors: dict[str, str] = {}
        names = {id(each): self._id(each) for each in chosen}
        for each in chosen:
            try:
                each.origin.context.copy().run(each.stop)
            except Exception as error:  # a canceller of the user's
                errors[names[id(each)]] = f"{type(error).__name__}: {error}"
        to_insist = list(chosen)

        def look() -> None:
            left = [each for each in chosen if not each.is_over()]
            passed = monotonic() - began
            if not left or passed >= within:
                stopped({names[id(each)]: why(each) for each in left})
                return
            if passed >= INSIST_AFTER:
                for each in to_insist:
                    if not each.is_over():
                        each.origin.context.copy().run(each.insist)
                to_insist.clear()
            Context().run(self.shared.reactor.callLater, LOOK_EVERY, look)

        def why(each: Going) -> str:
            return errors.get(
                names[id(each)], f"goes on {within:g} s after it was told to stop"
            )

        look()

    def _activity(self, going: Going) -> Activity:
        return Activity(
            self._id(going), going.kind, going.text, going.origin.number, going.since
        )

    def _id(self, going: Going) -> str:
        id = self._ids.get(going.thing)
        if id is None:
            word = ID_WORDS[going.kind]
            self._used[word] += 1
            id = self._ids[going.thing] = f"{word}-{self._used[word]}"
        return id

    def _delayed_calls(self) -> Iterator[Going]:
        ends = Ends(self.results.pending())
        for call in self.shared.reactor.getDelayedCalls():
            function = call.func
            if isinstance(function, ToldFunction):  # of one that is shown somewhere
                function = function.__wrapped__
            if not isinstance(function, InContext):
                continue
            origin = function.context.get(ORIGIN)
            target = function.__wrapped__
            if origin is not None and not _is_machinery(target, ends):
                yield Going(
                    call,
                    DELAYED_CALL,
                    f"{function_name(target, origin)}, in {age_text(_due_in(call))}",
                    origin,
                    origin.started,
                    call.cancel,
                    partial(_is_over, call),
                )

    def _looping_calls(self, waiting: dict[LoopingCall, Going]) -> Iterator[Going]:
        """
        Args:
            waiting: What some of them wait for, which goes on without them.
        """
        found = {
            loop: (seen.context.get(ORIGIN), seen.since)
            for loop, seen in self.opened.loops.items()
        }
        for loop, (origin, since) in found.items():
            if origin is not None and loop.running:
                run = waiting.get(loop)
                yield Going(
                    loop,
                    LOOPING_CALL,
                    f"{function_name(loop.f, origin)}, every {loop.interval:g} s",
                    origin,
                    since,
                    partial(_stop_loop, loop, run),
                    partial(_has_stopped, loop, run),
                )

    def _processes(self) -> Iterator[Going]:
        for process, spawned in list(self.opened.processes.items()):
            origin = spawned.context.get(ORIGIN)
            if origin is not None and process.pid is not None:
                yield Going(
                    process,
                    PROCESS,
                    f"pid {process.pid}, {spawned.command}",
                    origin,
                    spawned.since,
                    partial(_signal, process, "TERM"),
                    partial(_has_exited, process),
                    partial(_signal, process, "KILL"),
                )


def _is_machinery(target: Any, ends: Ends) -> bool:
    """Whether a delayed call is how something else is done."""
    module = (getattr(target, "__module__", None) or "").partition(".")[0]
    if isinstance(target, LoopingCall):
        return True  # told as such
    if module not in _LIBRARIES:
        return False
    deferred = getattr(target, "__self__", None)
    # deferLater: of interest if nothing that is listed waits for it.
    if getattr(target, "__name__", "") not in ("callback", "errback"):
        return True
    return ends.awaited(deferred)


def _due_in(call: Any) -> float:
    return float(call.getTime() - call.seconds())


def _is_over(call: Any) -> bool:
    return not call.active()


def _stop_loop(loop: LoopingCall, run: Going | None) -> None:
    loop.stop()
    if run is not None:
        run.stop()


def _has_stopped(loop: LoopingCall, run: Going | None) -> bool:
    return not loop.running and (run is None or run.is_over())


def _has_exited(process: Any) -> bool:
    return process.pid is None


def _signal(process: Any, name: str) -> None:
    try:
        process.signalProcess(name)
    except ProcessExitedAlready:
        pass


_of: dict[SharedReactor, Background] = {}


def background_of(shared: SharedReactor) -> Background:
    """The one of this reactor. Any thread."""
    if shared not in _of:
        _of[shared] = Background(shared, Opened())
    return _of[shared]
