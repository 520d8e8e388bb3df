"""
What routing costs a callback, and forwarding a call: cases of a worker, by name.

A callback is asked for by the same code each time, called by code that no cell
started, with the extension unloaded (``stock``) or loaded (``no cell``), or by a
cell (``cell``).
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Coroutine
from functools import partial
from time import perf_counter, process_time
from typing import TYPE_CHECKING, Any

from .sides import IN_CELL, in_cell, switch

if TYPE_CHECKING:
    from IPython.core.interactiveshell import InteractiveShell

BATCH = 100  # callbacks that are pending at once
ROUND_TRIPS = 10  # through the thread pool, one after the other

CALLBACKS = ("callLater", "callFromThread", "deferToThread")
CALLERS = ("stock", "no cell", "cell")

FORWARDED = ("callLater", "listenTCP")
THREADS = ("forward", "off")


def callback_case(method: str, caller: str) -> str:
    return f"{method}, {caller}"


def forwarding_case(method: str, threads: str) -> str:
    return f"{method}, threads {threads}"


def _time_callbacks(
    method: str, caller: str, shell: InteractiveShell, times: int
) -> list[float]:
    """CPU time for each callback, from asking for it until it has run."""
    from twisted.internet.defer import Deferred
    from twisted.internet.threads import blockingCallFromThread

    reactor = shell.user_ns["reactor"]

    async def check_and_time() -> list[float]:
        time_some, schedule = _ways(reactor)[method]
        if caller == "cell" and not await _arrives(schedule):
            raise RuntimeError(f"{method} does not keep the context of a cell")
        return await time_some(schedule, times)

    def run() -> list[float]:
        return blockingCallFromThread(
            reactor, lambda: Deferred.fromCoroutine(check_and_time())
        )

    switch(shell, caller != "stock")
    try:
        return in_cell(shell, run) if caller == "cell" else run()
    finally:
        switch(shell, True)


Schedule = Callable[..., Any]
TimeSome = Callable[[Schedule, int], Coroutine[Any, Any, list[float]]]


def _ways(reactor: Any) -> dict[str, tuple[TimeSome, Schedule]]:
    """How each is timed, and what asks for a call, as it is now."""
    from twisted.internet.threads import deferToThread

    return {
        "callLater": (_time_batches, partial(reactor.callLater, 0)),
        "callFromThread": (_time_batches, reactor.callFromThread),
        "deferToThread": (_time_round_trips, deferToThread),
    }


async def _arrives(schedule: Schedule) -> bool:
    """Whether the call has the context of the cell that asks for it."""
    from twisted.internet.defer import Deferred

    seen: Deferred[bool] = Deferred()
    schedule(lambda: seen.callback(IN_CELL.get()))
    return await seen


def _nothing() -> None:
    pass


async def _time_batches(schedule: Schedule, times: int) -> list[float]:
    from twisted.internet.defer import Deferred

    seconds = []
    for _ in range(times):
        done: Deferred[None] = Deferred()
        began = process_time()
        for _ in range(BATCH - 1):
            schedule(_nothing)
        schedule(done.callback, None)
        await done
        seconds.append((process_time() - began) / BATCH)
    return seconds


async def _time_round_trips(
    schedule: Callable[..., Awaitable[object]], times: int
) -> list[float]:
    seconds = []
    for _ in range(times):
        began = process_time()
        for _ in range(ROUND_TRIPS):
            await schedule(_nothing)
        seconds.append((process_time() - began) / ROUND_TRIPS)
    return seconds


def _time_calls(
    method: str, threads: str, shell: InteractiveShell, times: int
) -> list[float]:
    """Seconds from the call in a plain cell until it gives what it is to give."""
    from twisted.internet.protocol import Factory
    from twisted.internet.threads import blockingCallFromThread

    reactor = shell.user_ns["reactor"]
    call, take_back = {
        "callLater": (
            lambda: reactor.callLater(100, _nothing),
            lambda delayed: delayed.cancel(),
        ),
        "listenTCP": (
            lambda: reactor.listenTCP(0, Factory(), interface="127.0.0.1"),
            lambda port: port.stopListening(),
        ),
    }[method]

    def run() -> list[float]:
        seconds = []
        for _ in range(times):
            began = perf_counter()
            made = call()
            seconds.append(perf_counter() - began)
            blockingCallFromThread(reactor, take_back, made)
        return seconds

    shell.run_line_magic("twisted_config", f"threads {threads}")
    try:
        return in_cell(shell, run)
    finally:
        shell.run_line_magic("twisted_config", "threads forward")


CASES: dict[str, Callable[..., list[float]]] = {
    **{
        callback_case(method, caller): partial(_time_callbacks, method, caller)
        for method in CALLBACKS
        for caller in CALLERS
    },
    **{
        forwarding_case(method, threads): partial(_time_calls, method, threads)
        for method in FORWARDED
        for threads in THREADS
    },
}
