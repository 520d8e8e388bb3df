"""
Unloaded without a trace: what the extension changed in other libraries is as before.

On a reactor of our own, and on one that ran before in another thread. That
reactor's work finds its cells as well.
"""

from __future__ import annotations

import socket
from collections.abc import Callable

import pytest

from checks import everything_printed
from kernels import HELPERS, Kernel
from late_work import hear, heard_once, meanwhile, new_gate, prepare, start_work

HELD = """\
import asyncio, builtins, concurrent.futures.thread, io, logging, sys, threading, warnings
import crochet, crochet._eventloop, IPython.core.displayhook, IPython.core.displaypub
import IPython.utils.capture, ipykernel.displayhook, ipykernel.iostream, ipykernel.zmqshell
from twisted.internet import abstract, base, defer, process, task, tcp, threads, udp
from twisted.logger import Logger, LogPublisher, globalLogPublisher
from twisted.python import context, failure, log, threadpool
from twisted.python.threadable import isInIOThread

owners = dict(
    shell_streams=sys, builtins=builtins, print=io.TextIOWrapper,
    Deferred=defer.Deferred, DebugInfo=defer.DebugInfo, defer=defer, Failure=failure.Failure,
    LoopingCall=task.LoopingCall, task=task, threads=threads, DelayedCall=base.DelayedCall,
    ReactorBase=base.ReactorBase, PosixReactorBase=sys.modules.get("twisted.internet.posixbase"),
    FileDescriptor=abstract.FileDescriptor, Connection=tcp.Connection, Port=tcp.Port,
    Server=tcp.Server, Client=tcp.Client, UDP=udp.Port, Process=process.Process,
    ThreadPool=threadpool.ThreadPool, context=context,
    Logger=Logger, LogPublisher=LogPublisher, globalLogPublisher=globalLogPublisher, log=log,
    Thread=threading.Thread, threading_hook=threading.excepthook,
    Executor=concurrent.futures.ThreadPoolExecutor, thread_module=concurrent.futures.thread,
    capture_output=IPython.utils.capture.capture_output,
    CapturedIO=IPython.utils.capture.CapturedIO, capture=IPython.utils.capture,
    publisher=IPython.core.displaypub.DisplayPublisher,
    capturing_publisher=IPython.core.displaypub.CapturingDisplayPublisher,
    capturing_hook=IPython.core.displayhook.CapturingDisplayHook,
    zmq_hook=ipykernel.displayhook.ZMQShellDisplayHook,
    zmq_publisher=ipykernel.zmqshell.ZMQDisplayPublisher,
    OutStream=ipykernel.iostream.OutStream,
    stdout=sys.stdout, stderr=sys.stderr,
    EventualResult=crochet.EventualResult, crochet=crochet, EventLoop=crochet._eventloop.EventLoop,
    Handle=asyncio.Handle, TimerHandle=asyncio.TimerHandle, BaseEventLoop=asyncio.BaseEventLoop,
    Task=asyncio.Task, asyncio=asyncio,
    logging_logger=logging.Logger, root=logging.root,
    asyncio_log=logging.getLogger("asyncio"), twisted_log=logging.getLogger("twisted"),
    warnings=warnings,
)
# Names that the interpreter and these libraries write themselves.
OWN = {"last_exc", "last_type", "last_value", "last_traceback", "_", "registry", "ps1",
       "__warningregistry__", "_cache", "_filters_version", "__abstractmethods__", "_abc_impl",
       "_counter", "_buffers", "_flush_pending", "_subprocess_flush_pending", "_io_loop",
       "_parent_header_global", "_thread_to_parent", "_thread_to_parent_header",
       "_parent_header", "write",  # IPython's tee, of each cell
       "__implemented__", "__provides__", "__providedBy__"}

def vars_of(owner):
    return {n: it for n, it in getattr(owner, "__dict__", {}).items() if n not in OWN}

def all_held():
    held = {name: vars_of(owner) for name, owner in owners.items()}
    shell = get_ipython()
    held["hooks"] = dict(
        threading=threading.excepthook, system=sys.excepthook, unraisable=sys.unraisablehook,
        publisher=shell.display_pub, displayhook=shell.displayhook,
        of_ours=ours(vars(shell.display_pub)) + ours(vars(shell.displayhook)),
        root_handlers=list(logging.root.handlers), root_filters=list(logging.root.filters))
    return held

def changed(before, after):
    found = []
    for name in before:
        for key in sorted({*before[name], *after[name]}):
            a, b = (it[name].get(key, "absent") for it in (before, after))
            if a is not b and a != b:
                found.append(f"{name}.{key}: {a!r} -> {b!r}"[:300])
    return found

def ours(namespace):
    "The names of what this package put there."
    def made_here(it, depth=3):
        if depth == 0:
            return False
        modules = [str(getattr(it, "__module__", "")), str(type(it).__module__)]
        parts = [getattr(it, n, None) for n in ("__func__", "__wrapped__", "func", "__self__")]
        return any(m.startswith("twisted_ipython") for m in modules) or any(
            made_here(part, depth - 1) for part in parts if part is not None)
    return sorted(name for name, it in namespace.items() if made_here(it))

def methods(it):
    "The names of methods of a class that an instance has replaced."
    return sorted(n for n in vars(it) if callable(getattr(type(it), n, None)))

def of_the_reactor(reactor):
    pool = reactor.getThreadPool()
    loop = getattr(reactor, "_asyncioEventloop", None)
    return dict(
        reactor=ours(vars(reactor)), reactor_methods=methods(reactor),
        pool=ours(vars(pool)), pool_methods=methods(pool),
        factory=[getattr(loop, n)() for n in ("get_task_factory", "get_exception_handler") if loop],
        loop=loop and ours(vars(loop)), loop_methods=loop and methods(loop),
        observers=list(globalLogPublisher._observers),
        type=type(reactor).__qualname__,
    )
"""
"""Code that takes a look at what is changed, and compares two looks."""

USE = [
    "%autoawait twisted",
    "%twisted_log on debug",
    "await sleep(0.01)",
    "threads.deferToThread(print, 'thread');",
    "reactor.callFromThread(print, 'call')",
    "pool = concurrent.futures.ThreadPoolExecutor()\npool.submit(int).result();",
    "other = threading.Thread(target=int)\nother.start()\nother.join()",
    "%%capture captured\nawait sleep(0.01)\nprint('captured')",
    "with IPython.utils.capture.capture_output(): await sleep(0)",
    "%%run_in_reactor er\nawait sleep(0.01)",
    "failing = fail(ValueError('of no use'))",
    "er.wait(5)",
    "await threads.deferToThread(int)",
    "port = reactor.listenTCP(0, __import__('twisted.internet.protocol').internet"
    ".protocol.ServerFactory(), interface='127.0.0.1')",
    "await port.stopListening()",
    "%twisted_config threads warn",
    "reactor.callLater(0, int);",
    "%twisted_config cells reactor",
    "print('there')",
]
"""Cells that have it put in place whatever it puts in place only when needed."""

WITHOUT_LOOP = "from twisted.internet import reactor\n"
WITH_LOOP = (
    "from twisted.internet import asyncioreactor\n"
    "asyncioreactor.install(asyncio.new_event_loop())\n" + WITHOUT_LOOP
)
RUN = (
    "threading.Thread(target=reactor.run,"
    " kwargs=dict(installSignalHandlers=False), daemon=True).start()"
)
FOREIGN = {"epoll": WITHOUT_LOOP + RUN, "asyncio": WITH_LOOP + RUN}


def use(kernel: Kernel) -> None:
    """Load, use what there is, and unload."""
    kernel.ok("%load_ext twisted_ipython")
    kernel.ok(HELPERS)
    for source in USE:
        cell = kernel.run(source)
        assert cell.status == "ok", kernel.report()
        if source.startswith("failing"):
            cell.wait_for_output("of no use", 10)
    kernel.ok("%unload_ext twisted_ipython")


def look(kernel: Kernel, name: str) -> None:
    kernel.ok(f"{name} = all_held()")


def test_libraries_are_as_before(bare_kernel: Callable[..., Kernel]) -> None:
    """Classes and modules that are there for all have what they had before."""
    kernel = bare_kernel()
    kernel.ok(HELD)
    look(kernel, "before")
    use(kernel)
    look(kernel, "after")
    # Twisted's log goes to Python's logging from the first load on: that stays.
    stays = ("globalLogPublisher.", "log.", "twisted_log.")
    found = kernel.value("changed(before, after)")
    assert [line for line in found if not line.startswith(stays)] == []


def test_our_reactor_is_its_own_again(bare_kernel: Callable[..., Kernel]) -> None:
    """The reactor that the extension runs has nothing of it left, a second time too."""
    kernel = bare_kernel()
    kernel.ok(HELD)
    for _ in range(2):
        use(kernel)
        kernel.ok("state = of_the_reactor(reactor)")
        for name in ("reactor", "reactor_methods", "loop_methods"):
            assert kernel.value(f"(state[{name!r}])") == [], name
        # The loop's threads are the reactor's; it has no others.
        assert kernel.value("state['loop']") == ["_default_executor"]
        assert kernel.value("state['factory'] == [None, None]")
        kernel.ok("await asyncio.sleep(0)")
    kernel.ok("first = (of_the_reactor(reactor), all_held())")
    use(kernel)
    kernel.ok("second = (of_the_reactor(reactor), all_held())")
    assert kernel.value("first[0] == second[0] or [first[0], second[0]]") is True
    assert kernel.value("changed(first[1], second[1])") == []


def test_our_pool_is_its_own_again(bare_kernel: Callable[..., Kernel]) -> None:
    """The reactor's threads are started as Twisted does, but for their being daemons."""
    kernel = bare_kernel()
    kernel.ok(HELD)
    use(kernel)
    kernel.ok("state = of_the_reactor(reactor)")
    assert set(kernel.value("state['pool']")) <= {"threadFactory"}
    assert set(kernel.value("state['pool_methods']")) <= {"threadFactory"}


@pytest.mark.parametrize("name", FOREIGN)
def test_a_reactor_that_ran_before(
    bare_kernel: Callable[..., Kernel], name: str
) -> None:
    """On a reactor of somebody else's, everything is as it was before loading."""
    kernel = bare_kernel()
    kernel.ok("import asyncio, threading\n" + FOREIGN[name])
    kernel.ok(HELD)
    kernel.wait_for_value("reactor.running")
    names = "(sorted(vars(reactor)), sorted(vars(reactor.getThreadPool())))"
    kernel.ok(f"before = (of_the_reactor(reactor), all_held(), {names})")
    use(kernel)
    kernel.ok(f"after = (of_the_reactor(reactor), all_held(), {names})")
    assert kernel.value("before[0] == after[0] or [before[0], after[0]]") is True
    assert kernel.value("changed(before[1], after[1])") == []
    assert kernel.value("before[2] == after[2] or [before[2], after[2]]") is True


def test_type_of_the_reactor(bare_kernel: Callable[..., Kernel]) -> None:
    """While loaded, with all in use, the reactor is exactly of the type that it was made of."""
    kernel = bare_kernel()
    kernel.ok("%load_ext twisted_ipython\n%autoawait twisted")
    kernel.ok(HELPERS)
    kernel.ok(
        "%twisted_log on\n%twisted_config threads warn\n%twisted_config cells reactor"
    )
    kernel.ok("from twisted.internet.asyncioreactor import AsyncioSelectorReactor")
    assert kernel.value("type(reactor) is AsyncioSelectorReactor")
    assert kernel.value("reactor.__class__ is AsyncioSelectorReactor")


# Before and after


def test_reload_doubles_nothing(bare_kernel: Callable[..., Kernel]) -> None:
    """After three reloads, output of late work is there once."""
    kernel = bare_kernel()
    kernel.ok("%load_ext twisted_ipython\n%autoawait twisted")
    kernel.ok(HELPERS)
    prepare(kernel)
    early = new_gate()
    start_work(kernel, "plain", "LoopingCall", early)
    for _ in range(3):
        kernel.ok("%reload_ext twisted_ipython")
    for way in ("callLater", "deferToThread", "thread", "connectionMade"):
        gate = new_gate()
        cell = start_work(kernel, "plain", way, gate)
        with meanwhile(kernel, "capturing and awaiting"):
            hear(kernel, gate)
        heard_once(cell, gate)
    # A turn between unloading and loading has lost its cell; it is heard all the same.
    hear(kernel, early)
    kernel.ok("pass")
    assert everything_printed(kernel).count(early) == 2, kernel.report()


def test_work_goes_on(bare_kernel: Callable[..., Kernel]) -> None:
    """Work that was started before unloading goes on after it, without an error."""
    kernel = bare_kernel()
    kernel.ok("%load_ext twisted_ipython\n%autoawait twisted")
    kernel.ok(HELPERS)
    prepare(kernel)
    kernel.ok(
        "class Hello(protocol.Protocol):\n"
        "    def connectionMade(self):\n"
        "        self.transport.write(b'hello')\n"
        "        self.transport.loseConnection()\n"
        "port = reactor.listenTCP(0, protocol.Factory.forProtocol(Hello), interface='127.0.0.1')\n"
        "turns = []\n"
        "loop = task.LoopingCall(lambda: turns.append(1))\nloop.start(0.01)\n"
        "call = reactor.callLater(0.5, turns.append, 'called')\n"
        "waiting = Deferred()\nwaiting.addErrback(lambda _: turns.append('failed'))\n"
        "reactor.callLater(0.5, waiting.errback, ValueError())"
    )
    gates = {way: new_gate() for way in ("callLater", "thread", "deferToThread")}
    for way, gate in gates.items():
        start_work(kernel, "plain", way, gate)
    address = ("127.0.0.1", kernel.value("port.getHost().port"))
    kernel.ok("%unload_ext twisted_ipython")
    kernel.ok("before = len(turns)")
    kernel.wait_for_value(
        "len(turns) > before + 5 and 'called' in turns and 'failed' in turns"
    )
    with socket.create_connection(address, timeout=10) as client:
        assert client.recv(100) == b"hello"
    for gate in gates.values():
        hear(kernel, gate)
    kernel.ok("pass")
    assert "Traceback" not in kernel.log
    assert not [m for m in kernel.messages if m.type == "error"], kernel.report()


# Work on a reactor of somebody else's


@pytest.fixture(scope="module", params=FOREIGN)
def foreign(request: pytest.FixtureRequest) -> Kernel:
    """A kernel whose reactor ran before the extension was loaded."""
    kernel = Kernel()
    request.addfinalizer(kernel.kill)
    kernel.ok("import asyncio, threading\n" + FOREIGN[request.param])
    kernel.wait_for_value("reactor.running")
    kernel.ok("%load_ext twisted_ipython\n%autoawait twisted")
    kernel.ok(HELPERS)
    return prepare(kernel)


@pytest.mark.parametrize("moment", ["idle", "awaiting cell", "capturing and awaiting"])
@pytest.mark.parametrize("starter", ["plain", "awaiting", "run_in_reactor"])
@pytest.mark.parametrize(
    "way",
    ["coroutine", "callLater", "LoopingCall", "callFromThread", "deferToThread"],
)
def test_finds_its_cell(foreign: Kernel, way: str, starter: str, moment: str) -> None:
    """On a reactor that ran before, late work finds its cell too."""
    gate = new_gate()
    cell = start_work(foreign, starter, way, gate)
    foreign.ok("pass")
    with meanwhile(foreign, moment):
        hear(foreign, gate)
    heard_once(cell, gate)


@pytest.mark.parametrize(
    "failing",
    [
        "kept = sleep(0.01).addCallback(lambda _: 1 / 0)",
        "reactor.callLater(0.01, lambda: 1 / 0);",
        "reactor.callFromThread(lambda: 1 / 0)",
    ],
    ids=["Deferred", "callLater", "callFromThread"],
)
def test_failures_find_their_cell(foreign: Kernel, failing: str) -> None:
    """So do the reports of failures."""
    cell = foreign.run(failing)
    cell.wait_for_output("ZeroDivisionError: division by zero", 10)
    foreign.ok("import gc\nkept = None\ngc.collect();")
    foreign.ok("pass")
    assert cell.stderr.count("ZeroDivisionError: division by zero") == 1, cell.stderr
