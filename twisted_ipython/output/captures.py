"""
``%%capture`` takes what its own cell says, and lets other cells' output pass.

IPython captures by putting other objects in the places of ``sys.stdout``,
``sys.stderr``, ``sys.displayhook`` and the shell's ``display_pub``, for
everybody. Here each of those is told whose they are.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

from IPython import get_ipython
from IPython.core.displaypub import CapturingDisplayPublisher
from IPython.utils.capture import capture_output

from ..origins import ORIGIN, Origin
from ..replaced import replace


class Passing:
    """
    Takes the place of something, for one cell; others go past it.

    Attributes:
        mine: What the cell uses in that place.
        outer: What was there before.
        over: Whether the capture has ended.

    Thread:
        Any that prints.
    """

    def __init__(self, owner: Origin | None, mine: Any, outer: Any) -> None:
        self.owner = owner
        self.mine = mine
        self.outer = outer
        self.over = False

    def current(self) -> Any:
        """What the code that runs here and now is to use."""
        if self.over:
            return self.outer
        cell = ORIGIN.get()
        # What no cell started is captured, as it is without us.
        return self.mine if cell is None or self.owner in (None, cell) else self.outer

    def __getattr__(self, name: str) -> Any:
        if name in ("over", "outer", "mine"):  # of one that is being copied
            raise AttributeError(name)
        if name in _OF_THE_KERNEL:  # what a cell is told when it begins
            return getattr(self.outer, name)
        return getattr(self.current(), name)


# Which cell begins: a subshell's while another one captures.
_OF_THE_KERNEL = {"set_parent", "set_thread_parent", "reset_thread_parent"}


class PassingStream(Passing):
    """In the place of ``sys.stdout`` or ``sys.stderr``."""

    # Methods, and not left to __getattr__: IPython puts one of its own over
    # ``write`` for a while, which then calls what it found, in any context.
    def write(self, text: str) -> Any:
        return self.current().write(text)

    def flush(self) -> None:
        self.current().flush()


class PassingHook(Passing):
    """In the place of ``sys.displayhook``."""

    def __call__(self, value: object) -> None:
        self.current()(value)


class PassingPublisher(CapturingDisplayPublisher):
    """In the place of the shell's ``display_pub``, which has to be one."""

    def __init__(self, passing: Passing) -> None:
        super().__init__()
        self.passing = passing

    def publish(self, *args: Any, **kwargs: Any) -> None:
        self.passing.current().publish(*args, **kwargs)

    def clear_output(self, *args: Any, **kwargs: Any) -> None:
        self.passing.current().clear_output(*args, **kwargs)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):
            raise AttributeError(name)
        return getattr(self.passing, name)


def let_others_pass() -> Callable[[], None]:
    """
    Let captures take their own cell's output only; gives what undoes it.

    Thread:
        Any.
    """
    enter, leave = capture_output.__enter__, capture_output.__exit__

    def __enter__(self: Any) -> Any:
        shell, before = get_ipython(), _places(get_ipython())
        captured = enter(self)
        self.passing = _pass_on(shell, before, ORIGIN.get())
        return captured

    def __exit__(self: Any, *details: Any) -> None:
        shell, before = get_ipython(), _places(get_ipython())
        mine = self.__dict__.pop("passing", [])
        for each in mine:
            each.over = True
        leave(self, *details)
        # Captures of two cells at once need not end in reverse order. The place
        # may be another's by now; and what was there before may have ended.
        for name, was in before.items():
            passing = _passing(was)
            others = isinstance(passing, Passing) and passing not in mine
            there = was if others else _places(shell)[name]
            _put(shell, name, _not_over(there))

    return replace(capture_output, {"__enter__": __enter__, "__exit__": __exit__})


def _places(shell: Any) -> dict[str, Any]:
    """What stands where output goes."""
    places = {name: getattr(sys, name) for name in ("stdout", "stderr", "displayhook")}
    if shell is not None:
        places["display_pub"] = shell.display_pub
    return places


_KINDS: dict[str, type[Passing]] = {
    "stdout": PassingStream,
    "stderr": PassingStream,
    "displayhook": PassingHook,
    "display_pub": Passing,
}


def _put(shell: Any, name: str, thing: Any) -> None:
    owner = shell if name == "display_pub" else sys
    if getattr(owner, name) is not thing:
        setattr(owner, name, thing)


def _pass_on(shell: Any, before: dict[str, Any], owner: Origin | None) -> list[Passing]:
    """Put a ``Passing`` over what a capture has just put in each place."""
    made = []
    for name, mine in _places(shell).items():
        if mine is before[name]:
            continue
        passing = _KINDS[name](owner, mine, before[name])
        made.append(passing)
        _put(
            shell,
            name,
            PassingPublisher(passing) if name == "display_pub" else passing,
        )
    return made


def _passing(there: Any) -> Any:
    return there.passing if isinstance(there, PassingPublisher) else there


def _not_over(there: Any) -> Any:
    while isinstance(_passing(there), Passing) and _passing(there).over:
        there = _passing(there).outer
    return there
