"""
``%background``: what cells have going, and how to stop it.
"""

from __future__ import annotations

from collections.abc import Callable
from time import time
from typing import Any

from IPython.core.completer import (
    CompletionContext,
    SimpleCompletion,
    SimpleMatcherResult,
    context_matcher,
)
from IPython.core.error import UsageError
from IPython.core.magic import Magics, line_magic, magics_class, no_var_expand
from IPython.display import display

from ..crossing import ask
from .activities import NOTHING, Activity, Table, cell_text
from .collector import Background
from .words import WrongWords, offered, parse

# Seconds that Tab waits for the reactor thread.
COMPLETE_WITHIN = 0.3


@magics_class
class BackgroundMagics(Magics):
    """
    Thread:
        Shell thread; reactor thread, in a cell that awaits besides.
    """

    def __init__(self, shell: Any, background: Background) -> None:
        super().__init__(shell)
        self._background = background

    @no_var_expand
    @line_magic
    def background(self, line: str) -> None:
        """
        Show and stop what cells have going::

            %background
            %background stop ID [ID...]
            %background stop CELL [CELL...]
            %background stop all

        For each: an id, the cell that started it, what it is, since when. Of
        what waits for one another, only the outermost is shown; a port counts
        the connections that it has accepted. Work in other threads, as
        deferToThread's, is not shown: nothing could stop it.

        CELL is In[3], [3] or 3. Stopped are: ports and connections by closing
        them, calls by calling them off, what awaits by cancelling it, processes
        by SIGTERM, and SIGKILL a second later. A plain cell waits until they
        have stopped, two seconds at most; a cell that awaits does not.

        Examples::

            %background stop port-1
            %background stop In[3]
        """
        try:
            request = parse(line)
            if request is None:
                self._show()
            elif self._background.shared.in_reactor_thread():
                self._tell_to_stop(request.choose)
            else:
                self._stop(request.choose)
        except WrongWords as error:
            raise UsageError(str(error)) from None

    def _show(self) -> None:
        activities = self._activities()
        if activities:
            display(Table(activities, time()))
        else:
            print(NOTHING)

    def _activities(self) -> list[Activity]:
        if self._background.shared.in_reactor_thread():
            return self._background.activities()

        def question(answer: Callable[[list[Activity]], None]) -> None:
            answer(self._background.activities())

        return ask(self._background.shared, question)

    def _stop(self, choose: Callable[[list[Activity]], list[Activity]]) -> None:
        """Shell thread: wait until it has stopped."""
        chosen: list[Activity] = []

        def question(answer: Callable[[dict[str, str]], None]) -> None:
            going = self._background.going()
            chosen.extend(choose(list(going)))
            self._background.stop([going[each] for each in chosen], answer)

        left = ask(self._background.shared, question)
        for each in chosen:
            if each.id in left:
                print(f"{_name(each)} {left[each.id]}")
            else:
                print(f"stopped {_name(each)}")
        self._say_if_nothing(chosen)

    def _tell_to_stop(self, choose: Callable[[list[Activity]], list[Activity]]) -> None:
        """Reactor thread, which can't wait for itself."""
        going = self._background.going()
        chosen = choose(list(going))
        self._background.stop([going[each] for each in chosen], lambda left: None)
        for each in chosen:
            print(f"told to stop: {_name(each)}")
        self._say_if_nothing(chosen)

    def _say_if_nothing(self, chosen: list[Activity]) -> None:
        if not chosen:
            print(NOTHING)


def _name(activity: Activity) -> str:
    return f"{activity.id} ({cell_text(activity.cell)}): {activity.text}"


def background_matcher(background: Background) -> Callable[..., Any]:
    """What Tab offers in the line of ``%background``. Shell thread."""

    def question(answer: Callable[[list[Activity]], None]) -> None:
        answer(background.activities())

    @context_matcher()
    def twisted_background_matcher(context: CompletionContext) -> SimpleMatcherResult:
        line = context.line_with_cursor[: context.cursor_position].lstrip()
        command, space, rest = line.partition(" ")
        if command != "%background" or not space:
            return {"completions": []}
        words = rest.split()
        begun = words.pop() if rest and not rest[-1].isspace() else ""
        try:
            activities = ask(background.shared, question, within=COMPLETE_WITHIN)
        except Exception:  # busy, or stopped: nothing is offered but the words
            activities = []
        return {
            "completions": [
                SimpleCompletion(name)
                for name in offered(activities, words)
                if name.startswith(begun)
            ],
            "matched_fragment": begun,
            "suppress": True,
        }

    return twisted_background_matcher
