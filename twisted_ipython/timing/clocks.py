"""
What code that awaits takes: once, in a loop, function by function.

The clocks are read in the coroutine that runs the code, right before and after it.
"""

from __future__ import annotations

import gc
import itertools
import time
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from types import CodeType
from typing import TYPE_CHECKING, Any

from IPython.utils.timing import clock2

from .code import run_code

if TYPE_CHECKING:
    import cProfile

# Seconds that %timeit wants its loop to take, at least, and the most it tries.
LONG_ENOUGH = 0.2
MOST_LOOPS = 10**9

Inner = Callable[[Iterable[None], Callable[[], float]], Awaitable[float]]


@dataclass(frozen=True)
class Spent:
    """
    What running some code took, in seconds, and what came of it.

    Attributes:
        user: Of the processor, in the process.
        system: The same in system calls.
        error: What the code raised, if it did.
    """

    value: Any
    error: Exception | KeyboardInterrupt | None
    user: float
    system: float
    wall: float


async def spent_on(run: Callable[[], Awaitable[Any]]) -> Spent:
    """Await what ``run`` gives. Reactor thread."""
    value, failed = None, None
    wall_before = time.perf_counter()
    before = clock2()
    try:
        value = await run()
    except (Exception, KeyboardInterrupt) as error:
        failed = error
    after = clock2()
    wall = time.perf_counter() - wall_before
    return Spent(value, failed, after[0] - before[0], after[1] - before[1], wall)


async def seconds_of(inner: Inner, number: int, timer: Callable[[], float]) -> float:
    """What ``inner`` takes for so many loops, without garbage collection."""
    collects = gc.isenabled()
    gc.disable()
    try:
        return await inner(itertools.repeat(None, number), timer)
    finally:
        if collects:
            gc.enable()


async def enough_loops(inner: Inner, timer: Callable[[], float]) -> int:
    """The power of ten of loops that takes long enough to be measured."""
    number = 1
    while await seconds_of(inner, number, timer) < LONG_ENOUGH and number < MOST_LOOPS:
        number *= 10
    return number


async def profile_of(
    code: CodeType, variables: dict[str, Any]
) -> tuple[cProfile.Profile, bool]:
    """
    Run ``code`` under the profiler; gives the profile, and whether it was left by
    ``sys.exit()``.

    It holds what else the reactor thread does while the code is awaited, too.
    """
    import cProfile  # which only %prun needs

    profile = cProfile.Profile()
    left = False
    profile.enable()
    try:
        await run_code(code, variables)
    except SystemExit:
        left = True
    finally:
        profile.disable()
    return profile, left
