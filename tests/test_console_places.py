"""
What is a cell's in the process, with two threads that run cells at the same time.
"""

from __future__ import annotations

import builtins
import itertools
import sys
import threading
import types
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from queue import SimpleQueue
from typing import Any

import pytest
from traitlets.config import SingletonConfigurable

from twisted_ipython.console.places import Places
from twisted_ipython.console.requests import Request
from twisted_ipython.console.streams import Stream


class Worker:
    """A thread that does what it is told, one thing after the other."""

    def __init__(self, places: Places, name: str) -> None:
        self._orders: SimpleQueue[Any] = SimpleQueue()
        self._places = places
        self.wrote: list[str] = []
        stream = Stream("stdout", self.wrote.append, lambda stream: None)
        self.request = Request({}, [], None, stream, stream)
        self.name = name
        self._thread = threading.Thread(target=self._work)
        self._thread.start()

    def _work(self) -> None:
        while True:
            function, done = self._orders.get()
            if function is None:
                return
            try:
                done.set_result(function())
            except BaseException as error:
                done.set_exception(error)

    def does(self, function: Callable[[], Any]) -> Any:
        done: Future[Any] = Future()
        self._orders.put((function, done))
        return done.result(10)

    def enter(self) -> None:
        self.does(lambda: self._places.enter(self.request))

    def leave(self) -> dict[Any, Any]:
        changed: dict[Any, Any] = self.does(lambda: self._places.leave(None))
        return changed

    def end(self) -> None:
        self._orders.put((None, None))
        self._thread.join(10)


class Shell(SingletonConfigurable):
    """As much of IPython's as is asked for."""

    def __init__(self) -> None:
        super().__init__()
        self.user_module = types.ModuleType("application")
        self.shown: list[object] = []

    def get_ipython(self) -> Shell:
        return self

    def displayhook(self, value: object) -> None:
        self.shown.append(value)


@pytest.fixture
def places() -> Iterator[Places]:
    def refuse(*args: Any) -> Any:
        raise AssertionError("nothing reads here")

    made = Places(Shell(), SingletonConfigurable(), refuse, refuse, None)
    before = dict(vars(sys)), dict(vars(builtins))
    yield made
    made.forget()
    assert (dict(vars(sys)), dict(vars(builtins))) == before


@pytest.fixture
def workers(places: Places) -> Iterator[list[Worker]]:
    made = [Worker(places, name) for name in "ab"]
    yield made
    for each in made:
        each.end()


# Each order in which two threads can come and go, twice each.
ORDERS = sorted(set(itertools.permutations("aaaabbbb")))


def test_in_every_order(places: Places, workers: list[Worker]) -> None:
    """
    Each prints to its own client while it is in, and the application, in this thread,
    to its own stream always; afterwards everything is as it was.
    """
    application, hook = sys.stdout, sys.displayhook
    for order in ORDERS:
        inside: set[str] = set()
        for name in order:
            worker = workers["ab".index(name)]
            if name in inside:
                assert worker.leave() == {}
                inside.discard(name)
            else:
                worker.enter()
                inside.add(name)
            assert (sys.stdout is application) == (not inside)
            for each in workers:
                each.does(lambda each=each: print(each.name, end=""))
            for each in workers:
                each.request.flush()
                assert each.wrote == ([each.name] if each.name in inside else [])
                each.wrote.clear()
            assert places.app(sys, "stdout") is application
        assert sys.stdout is application and sys.displayhook is hook


@pytest.mark.parametrize("order", ["abab", "abba", "aabb"])
def test_what_one_sets_is_its_own(
    places: Places, workers: list[Worker], order: str
) -> None:
    """What a cell sets in a place leaves with it, and comes again with it."""
    application, inside = sys.stdout, set()
    mine = types.SimpleNamespace(write=lambda text: None, flush=lambda: None)
    for name in order:
        worker = workers["ab".index(name)]
        if name in inside:
            changed = worker.leave()
            assert changed == ({(sys, "stdout"): mine} if name == "a" else {})
            inside.discard(name)
        else:
            worker.enter()
            inside.add(name)
            if name == "a":
                worker.does(lambda: setattr(sys, "stdout", mine))
    assert sys.stdout is application
    worker = workers[0]
    worker.enter()
    worker.does(lambda: places.put_back({(sys, "stdout"): mine}))
    assert sys.stdout is mine
    assert worker.leave() == {(sys, "stdout"): mine}
    assert sys.stdout is application


def test_what_the_application_sets_meanwhile_stays(
    places: Places, workers: list[Worker]
) -> None:
    """Between two turns of a cell, the place is the application's."""
    application = sys.stdout
    first = workers[0]
    first.enter()
    first.leave()
    other = types.SimpleNamespace(write=lambda text: None, flush=lambda: None)
    sys.stdout = other
    try:
        first.enter()
        assert places.app(sys, "stdout") is other
        first.leave()
        assert sys.stdout is other
    finally:
        sys.stdout = application
