"""
Ask the reactor thread something, and wait for the answer.
"""

from __future__ import annotations

from collections.abc import Callable
from queue import Empty, SimpleQueue
from typing import Any, TypeVar

from . import waiting
from .errors import CannotAwait
from .shared_reactor import STOPPED, SharedReactor

Answer = TypeVar("Answer")


def ask(
    shared: SharedReactor,
    question: Callable[[Callable[[Answer], None]], object],
    within: float | None = None,
) -> Answer:
    """
    Call ``question(answer)`` there; gives what it calls ``answer`` with, be it
    at once or later.

    Args:
        within: Seconds to wait at most; None for as long as it takes, which
            Ctrl-C can end.

    Raises:
        TimeoutError: The reactor thread was busy for that long. What it has not
            begun by then, it won't.
        CannotAwait: The reactor has stopped.

    Thread:
        Any but the reactor thread.
    """
    answers: SimpleQueue[Callable[[], Any]] = SimpleQueue()
    wanted = True

    def run() -> None:
        if not wanted:  # interrupted: nobody wants it any more
            return
        try:
            question(lambda value: answers.put(lambda: value))
        except BaseException as error:
            answers.put(_raising(error))

    def reactor_stopped() -> None:
        answers.put(_raising(CannotAwait(STOPPED)))

    shared.when_stopped.add(reactor_stopped)
    try:
        if shared.stopped:
            reactor_stopped()
        else:
            shared.host.call(run)
        answer = waiting.get(answers, within)
    except Empty:
        raise TimeoutError(f"no answer from the reactor in {within} s") from None
    finally:
        wanted = False
        shared.when_stopped.discard(reactor_stopped)
    result: Answer = answer()
    return result


def _raising(error: BaseException) -> Callable[[], Any]:
    def answer() -> Any:
        raise error

    return answer
