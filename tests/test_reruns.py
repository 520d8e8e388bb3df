"""A cell that is run again, while its earlier run still listens."""

from __future__ import annotations

import re
import socket
from collections.abc import Callable

import pytest

from kernels import Cell, Kernel
from terminals import Terminal

PROTOCOLS = """\
from twisted.internet import endpoints
from twisted.internet.protocol import DatagramProtocol, Factory, Protocol

class Greeter(Protocol):
    def connectionMade(self):
        self.transport.write(self.factory.greeting)

def greeter(generation):
    factory = Factory.forProtocol(Greeter)
    factory.greeting = b"generation %d\\n" % generation
    return factory
"""


@pytest.fixture
def server(fresh_kernel: Callable[..., Kernel]) -> Callable[[str], Kernel]:
    """Starts a kernel that can serve, with that value of the setting ``rerun``."""

    def start(rerun: str) -> Kernel:
        kernel = fresh_kernel(f"--TwistedIPython.rerun={rerun}")
        kernel.ok(PROTOCOLS)
        return kernel

    return start


@pytest.fixture
def number() -> int:
    """A TCP port that nobody uses."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


def greeting(number: int) -> tuple[socket.socket, bytes]:
    """A client connection, and the first line that the server says."""
    client = socket.create_connection(("127.0.0.1", number), timeout=10)
    return client, client.makefile("rb").readline()


def was_closed(client: socket.socket) -> bool:
    """Waits for the other side; whether it has closed the connection."""
    try:
        return client.recv(1) == b""
    except ConnectionResetError:
        return True
    finally:
        client.close()


def listening(kernel: Kernel) -> list[str]:
    """What listens, as ``%background`` says it."""
    cell = kernel.ok("%background")
    if not cell.displays:
        return []
    lines = cell.displays[0]["text/plain"].splitlines()[1:]
    return [line for line in lines if " port " in line]


CELLS = {
    "awaits": (
        "port = await endpoints.TCP4ServerEndpoint(\n"
        "    reactor, {number}, interface='127.0.0.1').listen(greeter({generation}))"
    ),
    "plain": (
        "port = reactor.listenTCP({number}, greeter({generation}), interface='127.0.0.1')"
    ),
    "run_in_reactor": (
        "%%run_in_reactor listening\n"
        "reactor.listenTCP({number}, greeter({generation}), interface='127.0.0.1')"
    ),
}

each_cell = pytest.mark.parametrize("name", CELLS)


def serve(
    kernel: Kernel, name: str, number: int, generation: int, **options: object
) -> Cell:
    """Run a server cell, and wait until it listens."""
    source = CELLS[name].format(number=number, generation=generation)
    cell = kernel.ok(source, **options)  # type: ignore[arg-type]
    if name == "run_in_reactor":
        kernel.ok("listening.wait(5) and None")
    return cell


# Stop


@each_cell
def test_edited_server(server: Callable[[str], Kernel], number: int, name: str) -> None:
    """An edited server cell serves at once, ten times, each time with a client on."""
    kernel = server("stop")
    clients = []
    for generation in range(10):
        serve(kernel, name, number, generation, cell_id="the server")
        client, said = greeting(number)
        assert said == b"generation %d\n" % generation
        clients.append(client)
        if generation:
            assert was_closed(clients[generation - 1])
    assert len(listening(kernel)) == 1
    clients[-1].close()


@each_cell
def test_same_text(server: Callable[[str], Kernel], number: int, name: str) -> None:
    """Without ids, the same text apart from white space at the ends of lines."""
    kernel = server("stop")
    source = CELLS[name].format(number=number, generation=1)
    for text in (source, source + "\n", source + "  ", source.replace("\n", " \n")):
        cell = kernel.ok(text)
        if name == "run_in_reactor":
            kernel.ok("listening.wait(5) and None")
        assert cell.stderr == ""
    assert len(listening(kernel)) == 1


@each_cell
def test_edited_without_ids(
    server: Callable[[str], Kernel], number: int, name: str
) -> None:
    """Without ids, an edited cell's listen stops what is in its way, and says so."""
    kernel = server("stop")
    first = serve(kernel, name, number, 1)
    client, _ = greeting(number)
    again = kernel.run(CELLS[name].format(number=number, generation=2))
    if name == "run_in_reactor":
        kernel.ok("listening.wait(5) and None")
    again.wait_for_output("which was in the way")
    assert again.status == "ok" and not again.errors
    assert again.stderr == (
        f"stopped TCP 127.0.0.1:{number}, Factory (In [{first.execution_count}]), "
        "which was in the way\n"
    )
    assert was_closed(client)
    client, said = greeting(number)
    assert said == b"generation 2\n"
    client.close()
    assert len(listening(kernel)) == 1


@pytest.mark.parametrize(
    "source",
    [
        "reactor.listenUDP({number}, DatagramProtocol())",
        "reactor.listenUNIX('sock', Factory())",
    ],
    ids=["UDP", "UNIX"],
)
def test_other_transports(
    server: Callable[[str], Kernel], number: int, source: str
) -> None:
    """UDP and UNIX ports make way as well, for the same cell and for another."""
    kernel = server("stop")
    source = "port = " + source.format(number=number)
    kernel.ok(source)
    kernel.ok(source)
    assert "which was in the way" in kernel.run(source + "  # edited").stderr
    assert len(listening(kernel)) == 1


def test_any_port(server: Callable[[str], Kernel]) -> None:
    """What listens on a port of the system's choice is of the earlier run as well."""
    kernel = server("stop")
    for generation in range(3):
        serve(kernel, "awaits", 0, generation, cell_id="any")
        assert len(listening(kernel)) == 1


def test_cell_that_failed_half_way(
    server: Callable[[str], Kernel], number: int
) -> None:
    """A cell that failed after it had listened counts."""
    kernel = server("stop")
    source = CELLS["awaits"].format(number=number, generation=1)
    for _ in range(2):
        cell = kernel.run(source + "\n1 / 0", cell_id="a")
        assert cell.only_error.ename == "ZeroDivisionError"
    kernel.ok(source, cell_id="a")
    assert len(listening(kernel)) == 1


def test_only_ports_are_stopped(server: Callable[[str], Kernel], number: int) -> None:
    """Of the earlier run, ports and their connections; not its calls and tasks."""
    kernel = server("stop")
    source = CELLS["plain"] + "\njobs.append(reactor.callLater(60, print))"
    kernel.ok("jobs = []")
    for _ in range(2):
        kernel.ok(source.format(number=number, generation=1), cell_id="a")
    assert kernel.value("[job.active() for job in jobs]") == [True, True]
    assert len(listening(kernel)) == 1


def test_other_cells_listen_on(server: Callable[[str], Kernel], number: int) -> None:
    """Another cell with the same text, as its id says, stays as it is."""
    kernel = server("stop")
    for cell_id in ("one", "two"):
        serve(kernel, "awaits", 0, 1, cell_id=cell_id)
    assert len(listening(kernel)) == 2


def test_factory_that_fails_to_stop(
    server: Callable[[str], Kernel], number: int
) -> None:
    """An error of the earlier factory is reported, and stops nothing."""
    kernel = server("stop")
    first = kernel.ok(
        "class Bad(Factory):\n    def stopFactory(self): raise ValueError('bad')\n"
        f"port = reactor.listenTCP({number}, Bad(), interface='127.0.0.1')"
    )
    cell = kernel.run(CELLS["plain"].format(number=number, generation=2))
    assert cell.status == "ok" and "which was in the way" in cell.stderr
    kernel.wait_until(lambda: "ValueError: bad" in first.output + cell.output)
    assert len(listening(kernel)) == 1


def test_reactor_without_asyncio(
    fresh_kernel: Callable[..., Kernel], number: int
) -> None:
    """On Twisted's default reactor it is the same."""
    kernel = fresh_kernel(
        "--TwistedIPython.reactor=default", "--TwistedIPython.rerun=stop"
    )
    kernel.ok(PROTOCOLS)
    for generation, name in enumerate([*CELLS, *CELLS]):
        serve(kernel, name, number, generation, cell_id="a")
        client, said = greeting(number)
        assert said == b"generation %d\n" % generation
        client.close()


def test_own_port_twice(server: Callable[[str], Kernel], number: int) -> None:
    """A cell that listens twice on one port has made a mistake, and is told."""
    kernel = server("stop")
    source = CELLS["plain"].format(number=number, generation=1)
    error = kernel.run(source + "\n" + source).only_error
    assert error.ename == "CannotListenError"
    assert "this very cell listens there already" in error.evalue
    assert len(listening(kernel)) == 1


def test_reactor_is_busy(server: Callable[[str], Kernel], number: int) -> None:
    """A busy reactor does not hold up the cell for ever; it says what was not done."""
    kernel = server("stop")
    serve(kernel, "plain", number, 1, cell_id="a")
    kernel.ok(
        "hold = threading.Event(); held = threading.Event()\n"
        "reactor.callFromThread(lambda: (held.set(), hold.wait())); held.wait()"
    )
    cell = kernel.run("print('ran')", cell_id="a")
    assert cell.stdout == "ran\n"
    assert cell.stderr == (
        "the ports of this cell's earlier run were not stopped: the reactor thread "
        "is busy\n"
    )
    kernel.ok("hold.set()")
    assert len(listening(kernel)) == 1


def test_setting_is_live(server: Callable[[str], Kernel], number: int) -> None:
    """What the advice says, does it."""
    kernel = server("offer")
    serve(kernel, "awaits", number, 1, cell_id="a")
    kernel.run("%twisted_config rerun stop")
    serve(kernel, "awaits", number, 2, cell_id="a")
    client, said = greeting(number)
    assert said == b"generation 2\n"
    client.close()


# Offer


@each_cell
def test_offer(server: Callable[[str], Kernel], number: int, name: str) -> None:
    """One line says what listens, since which cell, and both commands; it still does."""
    kernel = server("offer")
    first = serve(kernel, name, number, 1, cell_id="a")
    count = first.execution_count
    again = kernel.run("print('edited')", cell_id="a")
    assert again.stderr == (
        f"an earlier run of this cell (In [{count}]) still listens on TCP "
        f"127.0.0.1:{number}, Factory. To stop that: %background stop In[{count}]; to "
        "have it done whenever a cell is run again: %twisted_config rerun stop\n"
    )
    assert again.stdout == "edited\n"
    client, said = greeting(number)
    assert said == b"generation 1\n"
    command = re.findall(r"%background stop In\[\d+\]", again.stderr)
    kernel.ok(command[0])
    assert was_closed(client)
    assert kernel.ok("print('edited')", cell_id="a").stdout == "edited\n"


def test_offer_names_all_runs(server: Callable[[str], Kernel]) -> None:
    """Several earlier runs are one line, and one command."""
    kernel = server("offer")
    numbers = []
    for _ in range(3):
        cell = kernel.run(CELLS["plain"].format(number=0, generation=1))
        numbers.append(cell.execution_count)
    assert len(cell.stderr.splitlines()) == 1
    command = f"%background stop In[{numbers[0]}] In[{numbers[1]}]"
    assert command in cell.stderr
    kernel.ok(command)
    assert len(listening(kernel)) == 1


def test_offer_in_the_error(server: Callable[[str], Kernel], number: int) -> None:
    """ "Address in use" by a cell says by which, and how to stop it; type and number stay."""
    kernel = server("offer")
    count = serve(kernel, "awaits", number, 1).execution_count
    for name in CELLS:
        source = "edited = True\n" + CELLS[name]
        if name == "run_in_reactor":
            source = CELLS[name] + "  # edited"
        cell = kernel.run(source.format(number=number, generation=2))
        if name == "run_in_reactor":
            cell = kernel.run("listening.wait(5)")
        error = cell.only_error
        assert error.ename == "CannotListenError"
        assert f"Couldn't listen on 127.0.0.1:{number}: [Errno " in error.evalue
        assert (
            f"In [{count}] listens there. To stop that: %background stop In[{count}]; "
            "to have it done whenever a cell is run again: %twisted_config rerun stop."
        ) in error.evalue
        assert cell.stderr == ""
    kernel.ok(
        "import errno\nfrom twisted.internet.error import CannotListenError\n"
        f"try: reactor.listenTCP({number}, greeter(3), interface='127.0.0.1')\n"
        "except CannotListenError as error: caught = error"
    )
    assert kernel.value("type(caught) is CannotListenError")
    assert kernel.value("caught.socketError.errno == errno.EADDRINUSE")
    kernel.ok(f"%background stop In[{count}]")
    serve(kernel, "plain", number, 4)


@pytest.mark.parametrize("rerun", ["offer", "stop", "keep"])
def test_address_of_somebody_else(
    server: Callable[[str], Kernel], number: int, rerun: str
) -> None:
    """Where no cell has the address, the error is Twisted's own."""
    kernel = server(rerun)
    with socket.socket() as somebody:
        somebody.bind(("127.0.0.1", number))
        somebody.listen()
        cell = kernel.run(CELLS["plain"].format(number=number, generation=1))
    assert "background" not in cell.only_error.evalue
    assert cell.stderr == ""


def test_silent_after_the_port_was_closed(server: Callable[[str], Kernel]) -> None:
    """A cell whose port was closed says nothing when it is run again."""
    kernel = server("offer")
    for _ in range(2):
        cell = kernel.ok("port = reactor.listenTCP(0, Factory())", cell_id="a")
        kernel.ok("await port.stopListening()")
    assert cell.stderr == ""


# Keep


def test_keep(server: Callable[[str], Kernel], number: int) -> None:
    """Nothing is said, and nothing done."""
    kernel = server("keep")
    serve(kernel, "awaits", number, 1, cell_id="a")
    cell = kernel.run(CELLS["awaits"].format(number=number, generation=2), cell_id="a")
    assert cell.stderr == ""
    assert cell.only_error.ename == "CannotListenError"
    assert "background" not in cell.only_error.evalue
    client, said = greeting(number)
    assert said == b"generation 1\n"
    client.close()


# Terminals, unloading


def test_terminal(awaiting_terminal: Callable[..., Terminal], number: int) -> None:
    """At a terminal, which knows no cells, an edited line serves again."""
    session = awaiting_terminal("--TwistedIPython.rerun=stop")
    session.run(
        "from twisted.internet import reactor; from twisted.internet.protocol import Factory"
    )
    line = f"port = reactor.listenTCP({number}, Factory())"
    assert "stopped" not in session.run(line)
    assert "stopped" not in session.run(line)
    text = session.run(line + "; print('edi' + 'ted')")
    assert "edited" in text and "which was in the way" in text, text
    assert "Error" not in session.transcript


def test_unloaded(server: Callable[[str], Kernel], number: int) -> None:
    """Unloaded, nothing is stopped, and the error is Twisted's own."""
    kernel = server("stop")
    serve(kernel, "plain", number, 1, cell_id="a")
    kernel.ok("%unload_ext twisted_ipython")
    cell = kernel.run(CELLS["plain"].format(number=number, generation=2), cell_id="a")
    assert "background" not in cell.only_error.evalue
    kernel.ok("%load_ext twisted_ipython")
    serve(kernel, "plain", number, 3, cell_id="a")
    client, said = greeting(number)
    assert said == b"generation 3\n"
    client.close()
