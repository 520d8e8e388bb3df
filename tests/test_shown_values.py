"""Deferreds, EventualResults, Failures and delayed calls as cells show them."""

from __future__ import annotations

import html
import re
from collections.abc import Callable
from typing import Any

import pytest

from checks import awaits, eventually, everything_printed, no_more_than_said
from kernels import Cell, Kernel
from terminals import Terminal

PENDING = "<Deferred: pending>"


def texts(bundles: list[dict[str, Any]]) -> list[str]:
    return [bundle["text/plain"] for bundle in bundles]


def updated(cell: Cell, *expected: str) -> None:
    """The displays of the cell get these updates; each holds the same in HTML."""
    cell.kernel.wait_until(
        lambda: len(cell.updates) >= len(expected), what="the update of a display"
    )
    assert texts(cell.updates) == list(expected), cell.kernel.report()
    for bundle in cell.updates:
        assert bundle["text/plain"] in html.unescape(bundle["text/html"])


def reactor_turn(kernel: Kernel) -> None:
    """What the reactor was asked to do until now is done, and its output read."""
    kernel.ok("crochet.run_in_reactor(lambda: None)().wait(10)")


def test_a_pending_value_is_a_display(kernel: Kernel) -> None:
    """As the value of a cell, it is a display with an id; Out and _ have it."""
    cell = kernel.ok("d = Deferred()\nd")
    assert texts(cell.displays) == [PENDING]
    assert ">&lt;Deferred: pending&gt;</samp>" in cell.displays[0]["text/html"]
    assert cell.display_ids[0] and cell.results == []
    assert kernel.ok(f"_ is d and Out[{cell.execution_count}] is d").result == "True"


def test_it_is_updated_in_place(kernel: Kernel) -> None:
    """When it fires, one update follows; a later cell shows it as other values are."""
    cell = kernel.ok("d = Deferred()\nd")
    reactor_turn(kernel)
    kernel.ok("reactor.callFromThread(d.callback, 42)")
    updated(cell, "<Deferred: done, 42>")
    later = kernel.ok("d")
    assert later.result == "<Deferred: done, 42>" and later.displays == []
    assert len(cell.updates) == 1


def test_the_update_finds_the_cell(kernel: Kernel) -> None:
    """It names the cell that shows the value as its parent, as what a repr prints."""
    if kernel.value("__import__('ipykernel').version_info[0]") < 7:
        pytest.skip("this ipykernel has one parent for all output of a moment")
    kernel.ok("class Loud:\n    def __repr__(self): print('said'); return 'loud'")
    cell = kernel.ok("d = Deferred()\nd")
    other = kernel.ok("display(d)\nreactor.callFromThread(d.callback, Loud())")
    updated(cell, "<Deferred: done, loud>")
    updated(other, "<Deferred: done, loud>")
    cell.wait_for_output("said")
    assert other.stdout == ""
    assert len(cell.own_updates) == len(other.own_updates) == 1


def test_shown_in_the_middle_and_twice(kernel: Kernel) -> None:
    """``display`` does the same; one update is for all displays in the cell."""
    cell = kernel.ok("d = Deferred()\ndisplay(d)\nprint('between')\ndisplay(d)\nd")
    assert cell.output == f"{PENDING}\nbetween\n{PENDING}\n{PENDING}\n"
    assert len(set(cell.display_ids)) == 1
    kernel.ok("reactor.callFromThread(d.callback, None)")
    updated(cell, "<Deferred: done>")


def test_each_cell_that_shows_it_is_updated(kernel: Kernel) -> None:
    """Two cells, two displays, two updates."""
    first = kernel.ok("d = Deferred()\nd")
    second = kernel.ok("d")
    assert set(first.display_ids).isdisjoint(second.display_ids)
    kernel.ok("reactor.callFromThread(d.callback, 1)")
    updated(first, "<Deferred: done, 1>")
    updated(second, "<Deferred: done, 1>")


def test_awaited_in_the_next_cell(kernel: Kernel) -> None:
    """A pending Deferred that was shown can be awaited; it has its result."""
    cell = kernel.ok("d = sleep(0.1, 'slept')\nd")
    assert texts(cell.displays) == ["<Deferred: pending, waiting on a delayed call>"]
    assert kernel.ok("await d").result == "'slept'"
    updated(cell, "<Deferred: done, 'slept'>")


def test_shown_by_a_cell_that_awaits(kernel: Kernel) -> None:
    """In the reactor thread it is the same; the cell itself may fire it."""
    cell = kernel.ok("await sleep(0)\nd = Deferred()\ndisplay(d)\nd.callback(5)\nd")
    assert texts(cell.displays) == [PENDING]
    assert cell.result == "<Deferred: done, 5>"
    updated(cell, "<Deferred: done, 5>")


def test_fired_before_it_is_watched(kernel: Kernel) -> None:
    """One that fires while it is being shown is updated all the same."""
    cell = kernel.ok(
        "d = Deferred()\ndisplay(d)\nd.callback('soon')\nd.addCallback(str.upper)"
    )
    kernel.wait_until(lambda: cell.updates, what="the update")
    assert len(cell.updates) == 1


def test_shows_the_state_at_that_point(kernel: Kernel) -> None:
    """Callbacks before it have run, later ones get what they would get."""
    cell = kernel.ok("d = Deferred().addCallback(lambda n: n + 1)\nd")
    reactor_turn(kernel)
    kernel.ok(
        "seen = []\nd.addCallback(seen.append)\nreactor.callFromThread(d.callback, 1)"
    )
    updated(cell, "<Deferred: done, 2>")
    kernel.wait_for_value("seen", [2])


def test_a_failure(kernel: Kernel) -> None:
    """One line, and the traceback folded under it: the user's frames, cells by number."""
    cell = kernel.ok("d = Deferred()\nd.addCallback(lambda x: 1 / x)\nd")
    reactor_turn(kernel)
    kernel.ok("reactor.callFromThread(d.callback, 0)")
    updated(cell, "<Deferred: failed, ZeroDivisionError: division by zero>")
    shown = cell.updates[0]["text/html"]
    assert shown.startswith("<details><summary ")
    assert f"Cell In[{cell.execution_count}], line 2, in &lt;lambda&gt;" in shown
    assert "defer.py" not in shown and "/tmp" not in shown
    kernel.ok("d.addErrback(lambda failure: None)")


def test_a_failure_stays_unhandled(kernel: Kernel) -> None:
    """It is reported as it is of one that is not shown; callbacks get it."""
    cell = kernel.ok("d = Deferred()\ndisplay(d)")
    reactor_turn(kernel)
    fired = kernel.ok("reactor.callFromThread(d.errback, ValueError('bad'))")
    updated(cell, "<Deferred: failed, ValueError: bad>")
    kernel.wait_until(lambda: "ValueError: bad" in fired.stderr)
    kernel.run("d.addErrback(lambda failure: print('got', failure.value))")
    assert "got bad" in kernel.cells[-1].stdout


def test_cancelled_while_shown(kernel: Kernel) -> None:
    """A cancelled Deferred has failed."""
    cell = kernel.ok("d = pending()\nd")
    reactor_turn(kernel)
    kernel.ok("d.addErrback(lambda failure: None)\nreactor.callFromThread(d.cancel)")
    updated(cell, "<Deferred: failed, CancelledError>")
    assert kernel.value("cancelled") == ["pending"]


def test_waiting_on_a_coroutine(kernel: Kernel) -> None:
    """It says which coroutine, directly and through another Deferred."""
    cell = kernel.ok(
        "async def fetch():\n    await never\n\n"
        "never = Deferred()\nd = ensureDeferred(fetch())\nd"
    )
    assert texts(cell.displays) == ["<Deferred: pending, waiting on fetch()>"]
    cell = kernel.ok("succeed(1).addCallback(lambda _: d)")
    assert texts(cell.displays) == [
        "<Deferred: pending, waiting on a Deferred that waits on fetch()>"
    ]
    kernel.ok("reactor.callFromThread(never.callback, None)")
    updated(cell, "<Deferred: done>")


def test_inside_of_a_list(kernel: Kernel) -> None:
    """In lists and dicts it has the same text, and the list is an ordinary result."""
    cell = kernel.ok("[Deferred(), {'a': succeed(1)}]")
    assert cell.result == "[<Deferred: pending>, {'a': <Deferred: done, 1>}]"
    assert cell.displays == []


def test_subclasses(kernel: Kernel) -> None:
    """A DeferredList is shown by its state, a class with its own repr by that."""
    cell = kernel.ok(
        "one = Deferred()\nboth = defer.DeferredList([one, succeed(2)])\nboth"
    )
    assert texts(cell.displays) == [
        "<DeferredList: pending, waiting on 1 of 2 Deferreds>"
    ]
    reactor_turn(kernel)
    kernel.ok("reactor.callFromThread(one.callback, 1)")
    updated(cell, "<DeferredList: done, [(True, 1), (True, 2)]>")
    cell = kernel.ok(
        "class Own(Deferred):\n    def __repr__(self): return 'my own'\n\nOwn()"
    )
    assert cell.results == [{"text/plain": "my own"}]


def test_an_eventual_result(kernel: Kernel) -> None:
    """As a Deferred: its state, what it waits on, an update when it has a result."""
    cell = kernel.ok(
        "@crochet.run_in_reactor\ndef begin():\n    return gate\n\n"
        "gate = Deferred()\nresult = begin()\nresult"
    )
    assert texts(cell.displays) == ["<EventualResult: pending>"]
    reactor_turn(kernel)
    kernel.ok("reactor.callFromThread(gate.callback, 'open')")
    updated(cell, "<EventualResult: done, 'open'>")
    assert kernel.value("result.wait(5)") == "open"


def test_an_eventual_result_does_not_depend_on_who_is_quicker(kernel: Kernel) -> None:
    """What the reactor has done at once is shown as done."""
    for _ in range(20):
        assert (
            kernel.ok("%%run_in_reactor\n1 + 1").result == "<EventualResult: done, 2>"
        )
        waiting = kernel.ok("%%run_in_reactor\nsleep(60)")
        assert texts(waiting.displays) == [
            "<EventualResult: pending, waiting on a delayed call>"
        ]


def test_a_busy_reactor_does_not_hold_up_the_display(kernel: Kernel) -> None:
    """While the reactor is blocked, an EventualResult is shown as pending."""
    kernel.ok("gate = threading.Event()\nreactor.callFromThread(gate.wait, 30)")
    cell = kernel.ok("result = crochet.run_in_reactor(int)()\nresult")
    assert texts(cell.displays) == ["<EventualResult: pending>"]
    kernel.ok("gate.set()")
    updated(cell, "<EventualResult: done, 0>")


def test_the_error_of_an_eventual_result_is_still_to_be_seen(kernel: Kernel) -> None:
    """To show it is not to ask for it: it is reported."""
    kernel.ok("gate = Deferred()")
    cell = kernel.ok("%%run_in_reactor result\nawait gate\nraise ValueError('unseen')")
    assert texts(cell.displays) == ["<EventualResult: pending>"]
    kernel.ok("reactor.callFromThread(gate.callback, None)")
    updated(cell, "<EventualResult: failed, ValueError: unseen>")
    again = kernel.ok("result")
    assert again.result == "<EventualResult: failed, ValueError: unseen>"
    cell.wait_for_output("nothing has asked for its result")


def test_a_failure_object(kernel: Kernel) -> None:
    """A Failure is shown in one line, with its traceback in HTML."""
    cell = kernel.ok(
        "from twisted.python.failure import Failure\n"
        "try:\n    1 / 0\nexcept ZeroDivisionError:\n    failure = Failure()\n\nfailure"
    )
    assert cell.result == "<Failure: ZeroDivisionError: division by zero>"
    assert "line 3" in cell.results[0]["text/html"]


def test_a_delayed_call(kernel: Kernel) -> None:
    """What it calls, and an update when it was called."""
    cell = kernel.ok(
        "def tick(*args): ticks.append(args)\n\nticks = []\n"
        "call = reactor.callLater(0.1, tick, 'a')\ncall"
    )
    assert texts(cell.displays) == ["<DelayedCall of tick('a'): pending>"]
    updated(cell, "<DelayedCall of tick('a'): called>")
    assert kernel.value("ticks") == [("a",)]
    assert kernel.ok("call").result == "<DelayedCall of tick('a'): called>"


def test_a_delayed_call_that_is_cancelled(kernel: Kernel) -> None:
    """The update knows what it was to call, and it is not called."""
    cell = kernel.ok("call = reactor.callLater(60, [].append, 1)\ncall")
    reactor_turn(kernel)
    said = kernel.ok("print(call)").stdout
    assert "list.append(1)" in said and "ToldFunction" not in said
    kernel.ok("reactor.callFromThread(call.cancel)")
    updated(cell, "<DelayedCall of list.append(1): cancelled>")
    assert kernel.ok("call").result == "<DelayedCall: cancelled>"
    assert kernel.value("call in reactor.getDelayedCalls()") is False


def test_a_delayed_call_that_raises(kernel: Kernel) -> None:
    """Its error goes where it would go; it was called all the same."""
    cell = kernel.run("reactor.callLater(0.2, lambda: 1 / 0)")
    updated(cell, "<DelayedCall of <lambda>(): called>")
    eventually(kernel, lambda: "ZeroDivisionError" in everything_printed(kernel))
    awaits(kernel)


def test_the_same_text_each_time(kernel: Kernel) -> None:
    """Two runs of a cell show the same: no address, no time."""
    source = (
        "class Thing: pass\n\n"
        "for each in (Deferred(), succeed(Thing()), [succeed(print), object()],\n"
        "             defer.fail(ValueError(Thing())).addErrback(lambda failure: failure.value),\n"
        "             reactor.callLater(60, print, Thing()), sleep(60)):\n"
        "    display(each)"
    )
    shown = [
        [
            bundle
            for bundle in kernel.ok(source).displays
            if "<object" not in str(bundle)
        ]
        for _ in range(2)
    ]
    assert shown[0] == shown[1] and len(shown[0]) == 5
    assert "0x" not in str(shown[0])


WATCHED = {
    "Deferred": "Deferred()",
    "EventualResult": "crochet.run_in_reactor(lambda: origin)()",
    "DelayedCall": "Clock().callLater(1, print)",
}


@pytest.mark.parametrize("made", WATCHED.values(), ids=WATCHED)
def test_nothing_is_kept_alive(kernel: Kernel, made: str) -> None:
    """What was shown, and is dropped, is gone."""
    kernel.ok(
        "import gc, weakref\nfrom twisted.internet.task import Clock\n"
        f"origin = Deferred()\nit = {made}\ngone = weakref.ref(it)\ndisplay(it)"
    )
    reactor_turn(kernel)
    kernel.ok("del it\n_ = gc.collect()")
    assert kernel.value("gone() is None")


def test_showing_it_often_is_cheap(kernel: Kernel) -> None:
    """A thousand displays place one callback and send one update."""
    cell = kernel.ok("d = Deferred()\nfor _ in range(1000): display(d)")
    assert len(cell.displays) == 1000
    reactor_turn(kernel)
    assert kernel.value("len(vars(d).get('_callbacks') or vars(d)['callbacks'])") == 1
    kernel.ok("reactor.callFromThread(d.callback, 1)")
    updated(cell, "<Deferred: done, 1>")
    reactor_turn(kernel)
    assert len(cell.updates) == 1


def test_captured(kernel: Kernel) -> None:
    """``%%capture`` has what its cell shows, and nothing of other cells."""
    cell = kernel.ok("d = Deferred()\nd")
    kernel.ok("%%capture captured\ndisplay(Deferred())")
    assert kernel.value("[each.data['text/plain'] for each in captured.outputs]") == [
        PENDING
    ]
    kernel.ok("reactor.callFromThread(d.callback, 1)")
    updated(cell, "<Deferred: done, 1>")


def test_the_users_own_formatter_comes_first(kernel: Kernel) -> None:
    """A formatter that the user sets after loading is the one that is used."""
    kernel.ok(
        "plain = get_ipython().display_formatter.formatters['text/plain']\n"
        "before = plain.for_type(Deferred, lambda d, p, cycle: p.text('mine'))"
    )
    assert kernel.ok("Deferred()").result == "mine"
    kernel.ok("_ = plain.for_type(Deferred, before)")
    assert texts(kernel.ok("Deferred()").displays) == [PENDING]


PRINTERS = """\
def printers():
    shown = get_ipython().display_formatter
    return [
        dict(each.type_printers)
        for each in [*shown.formatters.values(), shown.ipython_display_formatter]
    ]
"""


def test_unload_takes_it_all_back(fresh_kernel: Callable[..., Kernel]) -> None:
    """The formatters are those of before, the user's too; shown values fire in silence."""
    kernel = fresh_kernel()
    kernel.ok("%unload_ext twisted_ipython")
    kernel.ok(
        f"{PRINTERS}\n"
        "html = get_ipython().display_formatter.formatters['text/html']\n"
        "html.for_type(Deferred, lambda d: '<i>mine</i>')\nbefore = printers()"
    )
    kernel.ok("%load_ext twisted_ipython")
    assert kernel.value("printers() == before") is False
    cell = kernel.ok(
        "d = Deferred()\ncall = reactor.callLater(60, print)\n"
        "result = crochet.run_in_reactor(lambda: d)()\n"
        "for each in (d, call, result): display(each)"
    )
    assert len(cell.displays) == 3
    reactor_turn(kernel)
    kernel.ok("%unload_ext twisted_ipython")
    assert kernel.value("printers() == before")
    kernel.ok(
        "reactor.callFromThread(d.callback, 42)\nreactor.callFromThread(call.cancel)"
    )
    reactor_turn(kernel)
    assert kernel.value("result.wait(5)") == 42
    assert cell.updates == []
    plain = kernel.ok("d").results[0]
    assert plain["text/html"] == "<i>mine</i>" and " at 0x" in plain["text/plain"]


def test_reload(fresh_kernel: Callable[..., Kernel]) -> None:
    """After %reload_ext, values are shown and updated again."""
    kernel = fresh_kernel()
    kernel.ok("d = Deferred()\nd")
    kernel.ok("%reload_ext twisted_ipython")
    cell = kernel.ok("d")
    reactor_turn(kernel)
    kernel.ok("reactor.callFromThread(d.callback, 1)")
    updated(cell, "<Deferred: done, 1>")


HOSTILE = {
    "prints": "print('said'); return 'quiet'",
    "raises": "raise ValueError",
    "SystemExit": "raise SystemExit",
    "KeyboardInterrupt": "raise KeyboardInterrupt",
    "recursion": "return repr(self)",
    "number": "return 5",
    "long": "return 'x' * 10_000_000",
    "colours": "return '\\x1b[31m\\r\\x00\\u202e\\ud800'",
    "HTML": "return '<script>alert(1)</script>'",
}


@pytest.mark.parametrize("body", HOSTILE.values(), ids=HOSTILE)
@pytest.mark.parametrize("thread", ["shell", "reactor"])
def test_hostile_results(kernel: Kernel, body: str, thread: str) -> None:
    """Whatever a result's repr does: the cell, the display and the reactor go on."""
    kernel.ok(f"class Hostile:\n    def __repr__(self): {body}\n\nhostile = Hostile()")
    begin = "await sleep(0)\n" if thread == "reactor" else ""
    done = kernel.ok(f"{begin}succeed(hostile)")
    assert done.result is not None and done.result.startswith("<Deferred: done, ")
    cell = kernel.ok(f"{begin}d = Deferred()\nd")
    reactor_turn(kernel)
    kernel.ok("seen = []\nd.addCallback(seen.append)")
    kernel.ok("reactor.callFromThread(d.callback, hostile)")
    kernel.wait_until(lambda: cell.updates, what="the update")
    assert texts(cell.updates) == [done.result]
    for bundle in [*cell.updates, *done.results]:
        assert len(str(bundle)) < 1000
        assert bundle["text/plain"].isprintable()
        assert "<script" not in bundle["text/html"]
    kernel.wait_for_value("seen == [hostile]")
    awaits(kernel)
    no_more_than_said(kernel)


def test_hostile_errors(kernel: Kernel) -> None:
    """An error whose text raises, or is markup, is shown by what can be shown."""
    kernel.ok(
        "class Hostile(Exception):\n    def __str__(self): raise SystemExit\n\n"
        "from twisted.python.failure import Failure"
    )
    assert kernel.ok("Failure(Hostile())").result == "<Failure: Hostile>"
    markup = kernel.ok(
        "try: raise ValueError('<b>\\n\\x1b[31m')\nexcept ValueError: f = Failure()\n\nf"
    )
    assert markup.result == r"<Failure: ValueError: <b> \x1b[31m>"
    assert "<b>" not in markup.results[0]["text/html"]
    assert "\x1b" not in markup.results[0]["text/html"]


def test_interrupt_while_a_result_is_shown(kernel: Kernel) -> None:
    """A repr that does not end can be interrupted, in the reactor thread, too."""
    kernel.ok(
        "class Endless:\n    def __repr__(self):\n        print('begun', flush=True)\n"
        "        while True: pass\n"
    )
    cell = kernel.start("await sleep(0)\nsucceed(Endless())").wait_for_output("begun")
    kernel.interrupt()
    cell.wait(15)
    awaits(kernel)


def test_a_terminal_shows_the_text(
    awaiting_terminal: Callable[..., Terminal],
) -> None:
    """At a terminal there is the text, when it was shown and when it has fired."""
    session = awaiting_terminal()
    session.run("from twisted.internet import reactor, defer")
    assert "<Deferred: pending>" in session.run("d = defer.Deferred(); d")
    session.run("reactor.callFromThread(d.callback, 'fired'.upper())")
    session.run("await d")
    assert "<Deferred: done, 'FIRED'>" in session.run("d")
    assert "<Deferred: failed, ValueError: bad>" in session.run(
        "e = defer.fail(ValueError('bad')); e"
    )
    session.run("e.addErrback(lambda failure: None)")
    assert "<details" not in session.transcript
    assert not re.search(r"<Deferred at", session.transcript)
