"""
Work that a cell starts and that prints later, each in a way of Twisted's, asyncio's
or Python's own.

Work waits for its gate, a file in the kernel's directory, and then says so on
stdout, on stderr and by a display. So a test decides when it is heard, and needs
no cell for it: while none runs, while another awaits, or captures its output.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from contextlib import contextmanager

from checks import everything_printed
from kernels import Cell, Kernel, plain

SETUP = '''\
import concurrent.futures, os, socket, sys
from IPython.display import display
from IPython.utils.capture import capture_output
from twisted.internet import endpoints, protocol

held = []

def touch(name):
    open(name, "w").close()

def opened(gate):
    return os.path.exists(gate)

def hold(gate):
    """Wait in this thread."""
    while not opened(gate):
        time.sleep(0.01)

async def wait_for(gate):
    """Wait in a coroutine that Twisted or asyncio drives."""
    while not opened(gate):
        await sleep(0.01)

def say(gate):
    print("out", gate)
    print("err", gate, file=sys.stderr)
    display("shown " + gate)
    touch(gate + ".said")

def work(gate):
    hold(gate)
    say(gate)

def in_turns(gate, function):
    """Call the function from the reactor once the gate is open."""
    def turn():
        if opened(gate):
            function()
        else:
            reactor.callLater(0.01, turn)
    reactor.callLater(0.01, turn)

def by_coroutine(gate):
    async def go():
        await wait_for(gate)
        say(gate)
    held.append(ensureDeferred(go()))

def by_inlineCallbacks(gate):
    @inlineCallbacks
    def go():
        while not opened(gate):
            yield sleep(0.01)
        say(gate)
    held.append(go())

def by_callLater(gate):
    in_turns(gate, lambda: say(gate))

def by_LoopingCall(gate):
    def turn():
        if opened(gate):
            loop.stop()
            say(gate)
    loop = task.LoopingCall(turn)
    loop.start(0.01)

def by_callback(gate):
    waiting = Deferred()
    waiting.addCallback(lambda _: say(gate))
    in_turns(gate, lambda: waiting.callback(None))

def by_deferToThread(gate):
    held.append(threads.deferToThread(work, gate))

def by_callback_of_a_thread(gate):
    held.append(threads.deferToThread(hold, gate).addCallback(lambda _: say(gate)))

def by_callInThread(gate):
    reactor.callInThread(work, gate)

def by_callFromThread(gate):
    def work():
        hold(gate)
        reactor.callFromThread(say, gate)
    threading.Thread(target=work).start()

def by_thread(gate):
    threading.Thread(target=work, args=(gate,)).start()

def by_thread_of_a_thread(gate):
    threading.Thread(target=by_thread, args=(gate,)).start()

workers = concurrent.futures.ThreadPoolExecutor(4)
workers.submit(int).result()  # Its thread is of this cell, and serves others.

def by_executor(gate):
    held.append(workers.submit(work, gate))

def by_task(gate):
    async def go():
        while not opened(gate):
            await asyncio.sleep(0.01)
        say(gate)
    held.append(asyncio.create_task(go()))

def by_call_later(gate):
    loop = asyncio.get_running_loop()
    def turn():
        if opened(gate):
            say(gate)
        else:
            loop.call_later(0.01, turn)
    loop.call_later(0.01, turn)

def by_call_soon(gate):
    loop = asyncio.get_running_loop()
    in_turns(gate, lambda: loop.call_soon(say, gate))

def by_to_thread(gate):
    held.append(asyncio.create_task(asyncio.to_thread(work, gate)))

def by_run_in_executor(gate):
    held.append(asyncio.get_running_loop().run_in_executor(None, work, gate))

CHILD = """\\
import os, sys, time
while not os.path.exists(sys.argv[1]): time.sleep(0.01)
os.write(1, b"done")  # in one piece
"""

def _by_process(gate, event):
    child = protocol.ProcessProtocol()
    setattr(child, event, lambda *_: say(gate))
    reactor.spawnProcess(
        child, sys.executable, [sys.executable, "-c", CHILD, gate], env=None)

def by_outReceived(gate):
    _by_process(gate, "outReceived")

def by_processExited(gate):
    _by_process(gate, "processExited")

def by_processEnded(gate):
    _by_process(gate, "processEnded")

def _protocol(gate, event):
    made = protocol.Protocol()
    setattr(made, event, lambda *_: say(gate))
    return made

def _answer_when_open(gate):
    """A server of plain sockets, which speaks once the gate is open; its port."""
    listener = socket.create_server(("127.0.0.1", 0))
    def serve():
        connection, _ = listener.accept()
        hold(gate)
        connection.sendall(b"open")
        connection.close()
        listener.close()
    threading.Thread(target=serve).start()
    return listener.getsockname()[1]

def _by_connection(gate, event):
    factory = protocol.ClientFactory()
    factory.buildProtocol = lambda _: _protocol(gate, event)
    reactor.connectTCP("127.0.0.1", _answer_when_open(gate), factory)

def by_dataReceived(gate):
    _by_connection(gate, "dataReceived")

def by_connectionLost(gate):
    _by_connection(gate, "connectionLost")

def by_endpoint(gate):
    endpoint = endpoints.TCP4ClientEndpoint(reactor, "127.0.0.1", _answer_when_open(gate))
    held.append(endpoints.connectProtocol(endpoint, _protocol(gate, "dataReceived")))

def by_connectionMade(gate):
    factory = protocol.ServerFactory()
    factory.buildProtocol = lambda _: _protocol(gate, "connectionMade")
    port = reactor.listenTCP(0, factory, interface="127.0.0.1")
    address = ("127.0.0.1", port.getHost().port)
    def connect():
        hold(gate)
        held.append(socket.create_connection(address))
    threading.Thread(target=connect).start()

def by_datagramReceived(gate):
    receiver = protocol.DatagramProtocol()
    receiver.datagramReceived = lambda *_: say(gate)
    port = reactor.listenUDP(0, receiver, interface="127.0.0.1")
    address = ("127.0.0.1", port.getHost().port)
    def send():
        hold(gate)
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
            sender.sendto(b"open", address)
    threading.Thread(target=send).start()
'''
"""Defines ``by_…(gate)`` for each way, and what cells of the tests use."""

OF_TWISTED = [
    "coroutine",
    "inlineCallbacks",
    "callLater",
    "LoopingCall",
    "callback",
    "deferToThread",
    "callback_of_a_thread",
    "callInThread",
    "callFromThread",
    "outReceived",
    "processExited",
    "processEnded",
    "dataReceived",
    "connectionLost",
    "connectionMade",
    "endpoint",
    "datagramReceived",
]
OF_PYTHON = ["thread", "thread_of_a_thread", "executor"]
OF_ASYNCIO = ["task", "call_later", "call_soon", "to_thread", "run_in_executor"]
"""These need a running loop, which a plain cell has not."""

STARTERS = {
    "plain": "{}",
    "awaiting": "await sleep(0)\n{}",
    "run_in_reactor": "%%run_in_reactor\n{}",
}
"""The cells that start work."""

MEANWHILE = {
    "idle": "",
    "awaiting cell": "{begun}\nawait wait_for({over!r})\n{ended}",
    "plain cell": "{begun}\nhold({over!r})\n{ended}",
    "capturing and awaiting": (
        "%%capture captured\n{begun}\nawait wait_for({over!r})\n{ended}"
    ),
    "capturing and plain": "%%capture captured\n{begun}\nhold({over!r})\n{ended}",
    "capture_output": (
        "with capture_output() as captured:\n"
        "    {begun}\n    await wait_for({over!r})\n    {ended}"
    ),
}
"""What another cell does while the work is heard."""

_numbers = itertools.count()


def new_gate() -> str:
    """The name of a gate that no other test opens."""
    return f"gate-{next(_numbers)}."


def open_gate(kernel: Kernel, gate: str) -> None:
    (kernel.directory / gate).touch()


def prepare(kernel: Kernel) -> Kernel:
    """Define the ways in the kernel, which has the helpers already."""
    kernel.ok(SETUP)
    return kernel


def start_work(kernel: Kernel, starter: str, way: str, gate: str) -> Cell:
    """Run a cell that starts work; it has ended when the work begins to wait."""
    return kernel.ok(STARTERS[starter].format(f"by_{way}({gate!r})"))


@contextmanager
def meanwhile(kernel: Kernel, name: str) -> Iterator[None]:
    """
    Another cell is in the middle of something.

    Afterwards it has shown its own output, or captured it, and nothing else.
    """
    source = MEANWHILE[name]
    if not source:
        yield
        return
    over = new_gate()
    cell = kernel.start(
        source.format(
            over=over,
            begun=f"print('begun'); display('begun'); touch('{over}begun')",
            ended="print('ended'); print('ended', file=sys.stderr); display('ended')",
        )
    )
    kernel.wait_until(
        (kernel.directory / f"{over}begun").exists, what=f"the start of {name}"
    )
    yield
    open_gate(kernel, over)
    cell.wait()
    assert cell.status == "ok", kernel.report()
    if "captur" in name:
        assert cell.output == "", kernel.report()
        displays = "[shown.data['text/plain'] for shown in captured.outputs]"
        captured = kernel.value(f"(captured.stdout, captured.stderr, {displays})")
        wanted = ("begun\nended\n", "ended\n", ["'begun'", "'ended'"])
        assert captured == wanted, f"{captured}\n{kernel.report()}"
    else:
        assert cell.stdout == "begun\nended\n", kernel.report()
        assert cell.stderr == "ended\n", kernel.report()
        assert len(cell.displays) == 2, kernel.report()


def hear(kernel: Kernel, gate: str) -> None:
    """Open the gate and wait until the work has said so, somewhere."""
    open_gate(kernel, gate)
    kernel.wait_until(
        (kernel.directory / f"{gate}.said").exists, 10, f"the work behind {gate}"
    )


def heard_once(cell: Cell, gate: str) -> None:
    """The work was heard under the cell, on each way out, and nowhere a second time."""
    kernel = cell.kernel
    shown = f"'shown {gate}'"
    kernel.wait_until(
        lambda: (
            f"out {gate}" in cell.stdout
            and f"err {gate}" in cell.stderr
            and shown in [display["text/plain"] for display in cell.displays]
        ),
        5,
        f"what {gate} says, under\n{cell.source}",
    )
    kernel.ok("pass")  # What is on its way has arrived when the next cell has ended.
    assert cell.stdout == f"out {gate}\n", kernel.report()
    assert cell.stderr == f"err {gate}\n", kernel.report()
    assert [display["text/plain"] for display in cell.displays] == [shown]
    # The name is one write; a line is several, and the streams' parts may mix.
    printed = plain(everything_printed(kernel))
    assert printed.count(gate) == 2, kernel.report()
    assert gate not in kernel.log, kernel.report()
