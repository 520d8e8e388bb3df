"""
A web service with a live console in it.

    PORT=8080 twistd -n -y examples/web_service.py

    /           a greeting, and how often it was given
    /counter    how often, as a number
    /slow       the same greeting, a while later: /slow?seconds=2

``README.md`` beside this file shows how to look inside while it runs, and change it.
"""

from __future__ import annotations

import os

from twisted.application import service, strports
from twisted.internet import defer, reactor, task
from twisted.logger import Logger
from twisted.web.resource import Resource
from twisted.web.server import NOT_DONE_YET, Request, Site

from twisted_ipython import LiveConsole

# Under twistd this file has no name of its own to log with.
log = Logger("web_service")

# What the handlers below use. They look these names up here at each request, so what
# is assigned at the prompt of the console is what the next visitor gets.
greeting = "Hello"
visits = 0


def page(name: str) -> str:
    """What a visitor reads."""
    return f"{greeting}, {name}! This page was shown {visits} times.\n"


def name_of(request: Request) -> str:
    """``/?name=Ada``."""
    given: bytes = request.args.get(b"name", [b"visitor"])[0]
    return given.decode("utf-8", "replace")


class Front(Resource):
    """``/``"""

    def getChild(self, path: bytes, request: Request) -> Resource:
        return self if path == b"" else super().getChild(path, request)

    def render_GET(self, request: Request) -> bytes:
        global visits
        visits += 1
        print("visit", visits, "of", name_of(request))
        return page(name_of(request)).encode()


class Counter(Resource):
    """``/counter``"""

    isLeaf = True

    def render_GET(self, request: Request) -> bytes:
        return f"{visits}\n".encode()


class Slow(Resource):
    """``/slow``: answers later, and other visitors don't wait for it."""

    isLeaf = True

    def __init__(self) -> None:
        super().__init__()
        self.waiting: dict[Request, defer.Deferred[None]] = {}

    def render_GET(self, request: Request) -> int:
        seconds = float(request.args.get(b"seconds", [b"1"])[0])
        log.info("{name} waits {seconds} s", name=name_of(request), seconds=seconds)
        answered = task.deferLater(reactor, seconds, self.answer, request)
        self.waiting[request] = answered
        answered.addErrback(lambda failure: failure.trap(defer.CancelledError))
        request.notifyFinish().addBoth(self.ended, request)
        return NOT_DONE_YET

    def answer(self, request: Request) -> None:
        request.write(page(name_of(request)).encode())
        request.finish()

    def ended(self, why: object, request: Request) -> None:
        """It was answered; or the visitor has gone, and no longer waits."""
        self.waiting.pop(request).cancel()


slow = Slow()
root = Front()
root.putChild(b"counter", Counter())
root.putChild(b"slow", slow)
site = Site(root)

application = service.Application("web service")
strports.service(
    f"tcp:{os.environ.get('PORT', '8080')}:interface=127.0.0.1", site
).setServiceParent(application)
LiveConsole(globals(), name="web").setServiceParent(application)
