"""
Programs as others write them: clients that cells share, protocols of Twisted's own,
and exceptions with a will of their own.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from kernels import Kernel, clean_environment


@pytest.fixture
def kernel(kernel: Kernel) -> Kernel:
    """The shared kernel, in which the same cells are run again and again."""
    kernel.ok("%twisted_config rerun keep")
    return kernel


AMP = """\
from twisted.protocols import amp
from twisted.internet import endpoints, protocol

class Divide(amp.Command):
    arguments = [(b"a", amp.Integer()), (b"b", amp.Integer())]
    response = [(b"quotient", amp.Integer())]
    errors = {ZeroDivisionError: b"ZERO"}

class Server(amp.AMP):
    @Divide.responder
    def divide(self, a, b):
        if a == 0:
            raise KeyError("none")
        return {"quotient": a // b}

port = await endpoints.TCP4ServerEndpoint(reactor, 0).listen(
    protocol.Factory.forProtocol(Server))
client = await endpoints.connectProtocol(
    endpoints.TCP4ClientEndpoint(reactor, "127.0.0.1", port.getHost().port), amp.AMP())
"""

HTTP = """\
import treq
from twisted.web.resource import Resource
from twisted.web.server import Site

class Page(Resource):
    isLeaf = True
    def render(self, request):
        return request.content.read() or b"page"

web = reactor.listenTCP(0, Site(Page()), interface="127.0.0.1")
url = f"http://127.0.0.1:{web.getHost().port}/"
"""


@pytest.mark.parametrize("source", ["a=6, b=2", "a=1, b=0", "a=0, b=1"])
def test_amp(kernel: Kernel, source: str) -> None:
    """A call gives its answer, or its error, the declared and the unknown one."""
    kernel.ok(AMP)
    cell = kernel.run(f"await client.callRemote(Divide, {source})")
    expected = {"a=1, b=0": "ZeroDivisionError", "a=0, b=1": "UnknownRemoteError"}
    if source in expected:
        assert cell.only_error.ename == expected[source]
    else:
        assert cell.result == "{'quotient': 3}"
    kernel.run("client.transport.abortConnection()\nawait port.stopListening()")


def test_perspective_broker(kernel: Kernel) -> None:
    """An error of the other side is the one that Twisted raises for it."""
    kernel.ok(
        "from twisted.spread import pb\n"
        "class Root(pb.Root):\n    def remote_fail(self): raise ValueError('there')\n"
        "port = reactor.listenTCP(0, pb.PBServerFactory(Root()))\n"
        "factory = pb.PBClientFactory()\n"
        "link = reactor.connectTCP('127.0.0.1', port.getHost().port, factory)\n"
        "root = await factory.getRootObject()"
    )
    error = kernel.run("await root.callRemote('fail')").only_error
    assert (error.ename, error.evalue) == ("RemoteError", "there")
    kernel.run("link.disconnect()\nawait port.stopListening()")


@pytest.mark.parametrize(
    "fire, shown",
    [
        ("d.addCallback(lambda r: 'changed'), d.callback('first')", "'first'"),
        ("d.addCallback(lambda r: Deferred()), d.callback('first')", "'first'"),
        ("d.addErrback(lambda f: 'swallowed'), d.errback(ValueError('bad'))", "bad"),
    ],
)
@pytest.mark.parametrize("reactor", ["asyncio", "default"])
def test_callbacks_after_the_await(
    fresh_kernel: Callable[..., Kernel], reactor: str, fire: str, shown: str
) -> None:
    """What is awaited is what the Deferred held when the await's turn came."""
    kernel = fresh_kernel(f"--TwistedIPython.reactor={reactor}")
    cell = kernel.run(
        f"d = Deferred()\nreactor.callLater(0.05, lambda: ({fire}))\nawait d"
    )
    said = [error.evalue for error in cell.errors] or [cell.result]
    assert said == [shown]


@pytest.mark.parametrize("reactor", ["asyncio", "default"])
def test_a_client_with_connections_to_spare(
    fresh_kernel: Callable[..., Kernel], reactor: str
) -> None:
    """From a plain cell, a request over a connection that is open already ends, too."""
    pytest.importorskip("treq")
    kernel = fresh_kernel(f"--TwistedIPython.reactor={reactor}")
    kernel.ok("await sleep(0)\n" + HTTP)
    kernel.ok("await treq.content(await treq.get(url))")
    for _ in range(10):
        kernel.ok(
            "done = []\ntreq.get(url).addCallback(treq.content).addBoth(done.append);"
        )
        kernel.wait_for_value("done == [b'page']")


def test_cooperating_from_a_plain_cell(kernel: Kernel) -> None:
    """An iterator that a plain cell begins with runs, and others after it."""
    kernel.ok("ran = []\nfirst = task.cooperate(ran.append(n) for n in range(3))")
    kernel.wait_for_value("ran == [0, 1, 2]")
    kernel.ok("await task.cooperate(ran.append(n) for n in range(2)).whenDone();")
    assert kernel.value("ran") == [0, 1, 2, 0, 1]


EXCEPTIONS = {
    "frozen": "@dataclass(frozen=True)\nclass Odd(Exception):\n    code: int\n"
    "odd = Odd(3)",
    "raises": "class Odd(Exception):\n    def __str__(self): raise SystemExit\nodd = Odd()",
    "slots": "class Odd(Exception):\n    __slots__ = ()\n"
    "    def __setattr__(self, *a): raise TypeError('no')\nodd = Odd()",
}


@pytest.mark.parametrize("kind", EXCEPTIONS)
def test_odd_exceptions_are_reported(kernel: Kernel, kind: str) -> None:
    """Whatever an exception's own code does, its failure is seen, with its name."""
    kernel.ok("from dataclasses import dataclass\n" + EXCEPTIONS[kind])
    cell = kernel.ok("d = Deferred()\nreactor.callLater(0, d.errback, odd)\nNone")
    kernel.wait_until(lambda: "Odd" in cell.stderr)
    assert cell.stderr.startswith("a Deferred of In ["), cell.stderr
    assert "twisted_ipython" not in cell.stderr


def test_a_coroutine_fails_where_it_began(kernel: Kernel) -> None:
    """Its failure is its own cell's, whichever cell makes it go on."""
    began = kernel.ok(
        "gate = Deferred()\nasync def work():\n    await gate\n    raise ValueError('mine')\n"
        "job = ensureDeferred(work())"
    )
    other = kernel.ok("await sleep(0)\ngate.callback(None)")
    kernel.wait_until(lambda: "ValueError: mine" in began.stderr)
    assert other.stderr == ""


def test_a_loop_stays_with_its_cell(kernel: Kernel) -> None:
    """Also where what it waits for is fired by another cell."""
    began = kernel.ok(
        "gates = []\ndef tick():\n    print('tick', len(gates))\n"
        "    gates.append(Deferred())\n    return gates[-1]\n"
        "loop = task.LoopingCall(tick)\nloop.start(0.01);"
    )
    kernel.wait_for_value("len(gates) == 1")
    other = kernel.ok("await sleep(0)\ngates[0].callback(None)")
    kernel.wait_until(lambda: "tick 1" in began.stdout)
    kernel.ok("await sleep(0)\nloop.stop()\ngates[-1].callback(None)")
    assert other.stdout == ""


def test_exceptions_can_be_pickled(kernel: Kernel) -> None:
    """Those of an executor's jobs and of threads, as without the extension."""
    kernel.ok(
        "import pickle\nfrom concurrent.futures import ThreadPoolExecutor\n"
        "error = ThreadPoolExecutor(1).submit(lambda: 1 / 0).exception()"
    )
    assert kernel.value("repr(pickle.loads(pickle.dumps(error)))") == (
        "ZeroDivisionError('division by zero')"
    )


def test_a_thread_fails_under_its_cell(kernel: Kernel) -> None:
    """What ``threading.excepthook`` prints is the cell's that started the thread."""
    cell = kernel.ok(
        "gate = threading.Event()\n"
        "def work():\n    gate.wait(10)\n    raise ValueError('in a thread')\n"
        "threading.Thread(target=work).start()"
    )
    other = kernel.ok("gate.set()")
    kernel.wait_until(lambda: "ValueError: in a thread" in cell.stderr)
    assert other.stderr == ""


def test_a_forked_child(kernel: Kernel) -> None:
    """It has no reactor thread, and does not wait for one."""
    kernel.run(
        "import os\npid = os.fork()\nif pid == 0:\n"
        "    reactor.callWhenRunning(print)\n    os._exit(7)\n"
        "import signal\nsignal.alarm(20)\nended = os.waitpid(pid, 0)[1]\nsignal.alarm(0)",
        within=30,
    )
    assert kernel.value("os.waitstatus_to_exitcode(ended)") == 7


def test_a_capture_outside_of_any_cell(tmp_path: Path) -> None:
    """As who embeds IPython has it: it captures what the cells that it runs print."""
    program = (
        "from IPython.core.interactiveshell import InteractiveShell\n"
        "from IPython.utils.capture import capture_output\n"
        "shell = InteractiveShell.instance()\n"
        "shell.run_line_magic('load_ext', 'twisted_ipython')\n"
        "with capture_output() as captured:\n    shell.run_cell('print(6 * 7)')\n"
        "print(repr(captured.stdout))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program],
        capture_output=True,
        text=True,
        check=False,
        env=clean_environment(tmp_path),
    )
    assert done.stdout == "'42\\n'\n", done.stderr


def test_logging_begun_in_a_capture(fresh_kernel: Callable[..., Kernel]) -> None:
    """The capture puts back what it found, and the log shows itself without end."""
    kernel = fresh_kernel()
    kernel.run(
        "%%capture\nimport sys\nfrom twisted.python import log\n"
        "log.startLogging(sys.stdout)"
    )
    assert kernel.ok("print('as ever')").stdout == "as ever\n"
    kernel.run("log.startLogging(sys.stdout)")
    cell = kernel.run("%twisted_log on\nlog.msg('once')")
    kernel.ok("1 + 1")
    assert "RecursionError" not in cell.output, cell.output[:2000]


def test_threads_that_others_wrap(fresh_kernel: Callable[..., Kernel]) -> None:
    """A thread runs, too, where ``Thread.start`` has two layers of ours."""
    kernel = fresh_kernel()
    kernel.ok(
        "start = threading.Thread.start\n"
        "threading.Thread.start = lambda self: start(self)"
    )
    kernel.ok("%reload_ext twisted_ipython")
    kernel.ok(
        "ran = threading.Event()\nthread = threading.Thread(target=ran.set)\n"
        "thread.start()"
    )
    assert kernel.value("ran.wait(10)") is True


def test_a_port_that_can_t_be_looked_at(fresh_kernel: Callable[..., Kernel]) -> None:
    """The look for earlier runs never costs a cell its answer."""
    kernel = fresh_kernel()
    source = (
        "from twisted.internet import protocol\n"
        "port = reactor.listenTCP(0, protocol.Factory(), interface='127.0.0.1')"
    )
    kernel.ok(source)
    kernel.ok("port.getHost = lambda: 1 / 0")
    assert kernel.run(source, within=10).status == "ok"
