"""Texts of what was seen: one line, the same each time, harmless; HTML escaped."""

from __future__ import annotations

import html.parser
import re
import string
from typing import Any

import pytest
from crochet import EventualResult
from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.defer import (
    Deferred,
    DeferredList,
    ensureDeferred,
    inlineCallbacks,
    succeed,
)
from twisted.internet.task import Clock, deferLater
from twisted.internet.testing import MemoryReactorClock
from twisted.python.failure import Failure

from twisted_ipython.internals import crochet as crochet_internals
from twisted_ipython.values.live_states import state_of
from twisted_ipython.values.short_texts import (
    LENGTH,
    error_line,
    one_line,
    user_traceback,
)
from twisted_ipython.values.states import State, text
from twisted_ipython.values.states import html as as_html

anything = st.recursive(
    st.none()
    | st.integers()
    | st.floats()
    | st.text()
    | st.binary()
    | st.text().map(lambda name: type(name, (), {}) if "\0" not in name else name)
    | st.builds(object),
    lambda inner: (
        st.lists(inner) | st.dictionaries(st.text(), inner) | st.tuples(inner)
    ),
)

# With what addresses and markup are made of.
texts = st.text() | st.lists(
    st.sampled_from(
        [" at", " at 0x7f", " 0x12", "<b>", "&", "\n", "\x1b[31m", "\u2028", "'"]
    )
).map("".join)


def is_harmless(line: str) -> None:
    assert len(line) <= LENGTH
    assert line.isprintable()
    assert not re.search(r" at 0x", line)


@given(anything)
def test_one_line_of_any_value(value: Any) -> None:
    """It is one printable line, cut, and without an address."""
    is_harmless(one_line(value))


@given(texts)
def test_one_line_of_any_repr(said: str) -> None:
    """Whatever a ``repr`` says."""
    kind = type("Talker", (), {"__repr__": lambda self: said})
    is_harmless(one_line(kind()))


@given(texts)
def test_error_line_of_any_message(said: str) -> None:
    """An error's message too, after the name of its class."""
    line = error_line(ValueError(said))
    is_harmless(line)
    assert line.startswith("ValueError")


def plain(text: str) -> str:
    return " ".join(text.split())


@given(st.text(string.ascii_letters + " ", max_size=LENGTH - 20).map(plain))
def test_what_is_short_and_harmless_stays(said: str) -> None:
    """A plain message is shown as it is."""
    assert error_line(ValueError(said)) == (
        f"ValueError: {said}" if said else "ValueError"
    )
    assert one_line(said) == repr(said)


class Tags(html.parser.HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.said = ""

    def handle_starttag(self, tag: str, attrs: Any) -> None:
        self.tags.append(tag)

    def handle_data(self, data: str) -> None:
        self.said += data


@given(texts, texts, texts, st.lists(texts, max_size=2).map(tuple), texts)
def test_html_is_escaped(
    kind: str, of: str, outcome: str, waits_on: tuple[str, ...], traceback: str
) -> None:
    """The tags are ours alone, and the line reads as the text does."""
    state = State(kind, "failed", of, outcome, waits_on, traceback)
    seen = Tags()
    seen.feed(as_html(state))
    seen.close()
    expected = ["details", "summary", "samp", "pre"] if traceback else ["samp"]
    assert seen.tags == expected
    # A parser of HTML reads all kinds of line ends as one.
    assert "".join((text(state) + traceback).split()) == "".join(seen.said.split())


@pytest.mark.parametrize(
    "state, expected",
    [
        (State("Deferred", "pending"), "<Deferred: pending>"),
        (State("Deferred", "paused"), "<Deferred: pending, paused>"),
        (State("Deferred", "done"), "<Deferred: done>"),
        (State("Deferred", "done", outcome="42"), "<Deferred: done, 42>"),
        (
            State("Deferred", "failed", outcome="ValueError: bad"),
            "<Deferred: failed, ValueError: bad>",
        ),
        (
            State("Deferred", "pending", waits_on=("a Deferred", "fetch()")),
            "<Deferred: pending, waiting on a Deferred that waits on fetch()>",
        ),
        (
            State("Failure", None, outcome="ValueError: bad"),
            "<Failure: ValueError: bad>",
        ),
        (State("DelayedCall", "called", of="f(1)"), "<DelayedCall of f(1): called>"),
        (State("DelayedCall", "cancelled"), "<DelayedCall: cancelled>"),
        (State("Strange", None), "<Strange>"),
    ],
    ids=str,
)
def test_text(state: State, expected: str) -> None:
    """Each State's text."""
    assert text(state) == expected


def shown(value: Any) -> str:
    return text(state_of(value))


def test_waiting_on_a_coroutine() -> None:
    """A Deferred of a coroutine, or of inlineCallbacks, names it."""

    class Client:
        @inlineCallbacks
        def get(self, key: str) -> Any:
            yield never

    async def fetch() -> None:
        await never

    never: Deferred[None] = Deferred()
    assert shown(ensureDeferred(fetch())) == "<Deferred: pending, waiting on fetch()>"
    got = shown(Client().get("k"))
    assert re.fullmatch(r"<Deferred: pending, waiting on (Client\.)?get\(\)>", got), got


def test_a_coroutine_that_goes_on_waiting() -> None:
    """It is named at its second await, too; and no more when it has ended."""
    first: Deferred[None] = Deferred()
    second: Deferred[None] = Deferred()

    async def fetch() -> int:
        await first
        await second
        return 5

    deferred = ensureDeferred(fetch())
    first.callback(None)
    assert shown(deferred) == "<Deferred: pending, waiting on fetch()>"
    second.callback(None)
    assert shown(deferred) == "<Deferred: done, 5>"


def test_waiting_on_a_delayed_call() -> None:
    """What deferLater gives is fired by a delayed call."""
    later = deferLater(Clock(), 1, print)
    assert shown(later) == "<Deferred: pending, waiting on a delayed call>"


def chain(length: int) -> Deferred[Any]:
    deferred: Deferred[Any] = Deferred()
    for _ in range(length):
        inner = deferred
        deferred = succeed(None).addCallback(lambda _, inner=inner: inner)
    return deferred


def test_waiting_on_a_deferred() -> None:
    """A callback gave another Deferred; only so many are followed."""
    assert shown(chain(1)) == "<Deferred: pending, waiting on a Deferred>"
    two = "<Deferred: pending, waiting on a Deferred that waits on a Deferred>"
    assert shown(chain(2)) == two
    assert shown(chain(50)) == shown(chain(500))


def test_a_ring_of_deferreds() -> None:
    """Deferreds that wait for each other are shown as others are."""
    one: Deferred[Any] = Deferred()
    other: Deferred[Any] = Deferred()
    one.addCallback(lambda _: other)
    other.addCallback(lambda _: one)
    one.callback(None)
    other.callback(None)
    assert shown(one).startswith("<Deferred: pending, waiting on a Deferred that waits")


def test_a_result_that_holds_itself() -> None:
    """A Deferred within its own result ends somewhere."""
    held: list[Any] = []
    deferred = succeed(held)
    held.append(deferred)
    is_harmless(shown(deferred)[:LENGTH])
    assert shown(deferred).startswith("<Deferred: done, [<Deferred: done, [")


def test_list_of_deferreds() -> None:
    """A DeferredList says how many have not fired."""
    waiting = DeferredList([Deferred(), succeed(1), Deferred()])
    assert shown(waiting) == "<DeferredList: pending, waiting on 2 of 3 Deferreds>"


def test_paused() -> None:
    """A Deferred that somebody paused has a result that nobody gets."""
    deferred = succeed(1)
    deferred.pause()
    assert shown(deferred) == "<Deferred: pending, paused>"
    deferred.unpause()
    assert shown(deferred) == "<Deferred: done, 1>"


def test_results_inside_of_results() -> None:
    """What is inside of a result is shown as it is alone."""
    result = succeed([succeed(1), {"a": Deferred()}])
    expected = "<Deferred: done, [<Deferred: done, 1>, {'a': <Deferred: pending>}]>"
    assert shown(result) == expected


def failure_of(function: Any) -> Failure:
    try:
        function()
    except BaseException:
        return Failure()
    raise AssertionError("it was to fail")


def divide() -> None:
    1 / 0  # noqa: B018


def test_traceback_leaves_the_failure_alone() -> None:
    """Only the user's frames are told; the Failure has all of them as before."""

    def fail_in_a_callback() -> None:
        succeed(None).addCallback(lambda _: divide()).addErrback(failures.append)

    failures: list[Failure] = []
    fail_in_a_callback()
    [failure] = failures
    before = failure.value.__traceback__, failure.getTraceback()
    told = state_of(failure, lambda name: None).traceback
    assert (failure.value.__traceback__, failure.getTraceback()) == before
    assert "in divide" in told and "1 / 0" in told
    assert "defer.py" not in told
    assert told.endswith("ZeroDivisionError: division by zero")
    assert state_of(failure).traceback == ""


def test_traceback_of_what_it_came_from() -> None:
    """The cause is told first; cells by their number."""

    def both() -> None:
        try:
            divide()
        except ZeroDivisionError as error:
            raise ValueError("second") from error

    error = failure_of(both).value
    told = user_traceback(error, error.__traceback__, lambda name: "Cell In[7]")
    assert told.index("ZeroDivisionError") < told.index("ValueError: second")
    assert "  Cell In[7], line" in told
    assert __file__ not in told


def test_traceback_of_a_cleaned_failure() -> None:
    """A Failure that has lost its traceback still knows the lines."""
    failure = failure_of(divide)
    failure.cleanFailure()
    assert "in divide" in state_of(failure, lambda name: None).traceback


def test_no_traceback_of_what_was_not_raised() -> None:
    """A Failure that was only made has nothing to fold."""
    assert state_of(Failure(ValueError("made")), lambda name: None) == State(
        "Failure", None, outcome="ValueError: made"
    )


def test_long_tracebacks_are_cut() -> None:
    """Neither a long message nor many frames fill the notebook."""

    def deeper(n: int) -> None:
        if n == 0:
            raise ValueError("x" * 1_000_000 + "\n" * 1_000_000)
        (deeper if n % 2 else deeper_still)(n - 1)

    def deeper_still(n: int) -> None:
        deeper(n)

    told = state_of(failure_of(lambda: deeper(100)), lambda name: None).traceback
    assert len(told) < 100_000 and len(told.splitlines()) < 300


def test_traceback_is_harmless() -> None:
    """No colours, no addresses."""

    def fail() -> None:
        raise ValueError(f"\x1b[31m{object()}")

    told = state_of(failure_of(fail), lambda name: None).traceback
    assert "\x1b" not in told and " at 0x" not in told
    assert r"\x1b[31m<object object>" in told


def test_delayed_calls() -> None:
    """What is to be called, and with what, in short."""
    clock = Clock()
    call = clock.callLater(1, print, "x" * 100, end=None)
    assert re.fullmatch(r"<DelayedCall of print\('x+\.\.\.\): pending>", shown(call))
    assert len(shown(call)) < LENGTH
    clock.advance(1)
    assert shown(call).endswith(": called>")
    named = clock.callLater(1, re.compile, "a", flags=0)
    assert shown(named) == "<DelayedCall of re.compile('a', flags=0): pending>"
    named.cancel()
    assert shown(named) == "<DelayedCall: cancelled>"


def test_eventual_results() -> None:
    """Its state; to show an error is not to get it."""
    result = EventualResult(None, MemoryReactorClock())
    assert shown(result) == "<EventualResult: pending>"
    origin: Deferred[Any] = chain(1)
    result._connect_deferred(origin)
    assert shown(result) == "<EventualResult: pending, waiting on a Deferred>"
    failed = EventualResult(succeed(None).addCallback(lambda _: divide()), None)
    assert "ZeroDivisionError" in as_html(state_of(failed, lambda name: None))
    assert shown(failed) == (
        "<EventualResult: failed, ZeroDivisionError: division by zero>"
    )
    assert not crochet_internals.was_retrieved(failed)
    crochet_internals.mark_retrieved(failed)


def raises(error: BaseException) -> Any:
    def fail(self: object) -> str:
        raise error

    return fail


def recurses(self: object) -> str:
    return str(self) if isinstance(self, Exception) else repr(self)


@pytest.mark.parametrize(
    "method",
    [
        raises(ValueError("no")),
        raises(SystemExit()),
        raises(KeyboardInterrupt()),
        raises(GeneratorExit()),
        recurses,
        lambda self: 5,
    ],
    ids=[
        "Exception",
        "SystemExit",
        "KeyboardInterrupt",
        "GeneratorExit",
        "loop",
        "int",
    ],
)
def test_hostile_texts(method: Any) -> None:
    """A repr, or a message, that gives no text: the type's name is shown."""
    hostile = type("Hostile", (), {"__repr__": method})
    assert shown(succeed(hostile())) == "<Deferred: done, Hostile>"
    assert shown(succeed([hostile(), 1])) == "<Deferred: done, [Hostile, 1]>"
    error = type("HostileError", (Exception,), {"__str__": method})
    assert shown(Failure(error())) == "<Failure: HostileError>"


def test_long_repr() -> None:
    """Ten million characters are cut."""
    hostile = type("Long", (), {"__repr__": lambda self: "x" * 10_000_000})
    assert len(shown(succeed(hostile()))) < LENGTH + 30


def test_a_lie_about_the_class() -> None:
    """What says that it is a Deferred, and is none, is shown by its type."""
    liar = type("Liar", (), {"__class__": Deferred})()
    assert isinstance(liar, Deferred)
    assert shown(liar) == "<Liar>"


def test_a_subclass_that_is_broken() -> None:
    """A Deferred whose own attributes raise is shown by its type."""
    broken = type("Broken", (Deferred,), {"called": property(raises(SystemExit()))})
    assert shown(broken.__new__(broken)) == "<Broken>"
