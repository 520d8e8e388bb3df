"""
Reactors that are not ours, and attempts to stop or run ours: each works or gives
one sentence of advice; never a deadlock, never a traceback from a thread.
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from checks import (
    PROMPT_BACK,
    STOPPED,
    a_sentence,
    awaits,
    begun,
    everything_printed,
    interrupt,
    no_more_than_said,
    now,
    timed_out,
    was_interrupted,
)
from kernels import HELPERS, Kernel
from terminals import run_program

LOAD = "%load_ext twisted_ipython\n%autoawait twisted"


def loads(kernel: Kernel) -> None:
    """Loading works, without a word, and so does awaiting."""
    kernel.ok(LOAD)
    kernel.ok(HELPERS)
    awaits(kernel)


# A reactor installed on the kernel's own loop


ON_THE_KERNELS_LOOP = {
    "install()": "from twisted.internet import asyncioreactor\nasyncioreactor.install()",
    "install(running loop)": (
        "import asyncio\nfrom twisted.internet import asyncioreactor\n"
        "await asyncio.sleep(0)\nasyncioreactor.install(asyncio.get_running_loop())"
    ),
}


@pytest.mark.parametrize("name", ON_THE_KERNELS_LOOP)
def test_on_the_kernels_loop(bare_kernel: Callable[..., Kernel], name: str) -> None:
    """An asyncio reactor on the kernel's loop: loading gives one sentence of advice, or awaits."""
    kernel = bare_kernel()
    kernel.ok(ON_THE_KERNELS_LOOP[name])
    load = kernel.run(LOAD, within=10)
    advice = ""
    if load.status != "ok" or load.output:
        advice = a_sentence(load)
        assert "reactor" in advice
    kernel.ok("from twisted.internet import defer, reactor, task", within=10)
    awaited = kernel.run(
        "await task.deferLater(reactor, 0.05, lambda: 'awaited')", within=10
    )
    if not advice:
        assert awaited.result == "'awaited'", awaited.output
    assert kernel.ok("1 + 1", within=10).result == "2"
    # Where loading was refused it is a stock kernel, which may flush for 10 s twice.
    kernel.shutdown(within=40)
    no_more_than_said(kernel)


def test_advice_on_the_kernels_loop_is_one_line(
    bare_kernel: Callable[..., Kernel],
) -> None:
    """If loading refuses, it is one line of UsageError or one error with the user's frames."""
    kernel = bare_kernel()
    kernel.ok(ON_THE_KERNELS_LOOP["install()"])
    load = kernel.run("%load_ext twisted_ipython", within=10)
    if load.status == "ok" and not load.output:
        pytest.skip("this combination loads")
    assert len(a_sentence(load).strip().splitlines()) == 1, load.output
    # What was refused leaves nothing behind.
    assert kernel.value("get_ipython().find_line_magic('crochet_config') is None")
    assert kernel.value("'twisted' in get_ipython().loop_runner_map") is False


def test_stock_await_after_a_refusal(bare_kernel: Callable[..., Kernel]) -> None:
    """After a refused load, cells await asyncio as if nothing had been."""
    kernel = bare_kernel()
    kernel.ok(ON_THE_KERNELS_LOOP["install()"])
    load = kernel.run("%load_ext twisted_ipython", within=10)
    cell = kernel.ok("import asyncio\nawait asyncio.sleep(0.01, 'stock')", within=10)
    assert cell.result == "'stock'"
    if load.status != "ok":
        assert "`asyncio`" in kernel.ok("%autoawait").stdout


def test_running_on_the_kernels_loop(bare_kernel: Callable[..., Kernel]) -> None:
    """A reactor that runs in this very thread: one sentence or it works; the reactor goes on."""
    kernel = bare_kernel()
    kernel.ok(
        "import asyncio\n"
        "from twisted.internet import asyncioreactor\n"
        "await asyncio.sleep(0)\n"
        "asyncioreactor.install(asyncio.get_running_loop())\n"
        "from twisted.internet import reactor, task\n"
        "reactor.startRunning(installSignalHandlers=False)\n"
    )
    load = kernel.run(LOAD, within=10)
    if load.status != "ok" or load.output:
        assert "reactor" in a_sentence(load)
    else:
        kernel.ok("await task.deferLater(reactor, 0.05, lambda: 1)", within=10)
    kernel.ok("fired = []\nreactor.callLater(0.01, fired.append, 1)", within=10)
    kernel.wait_for_value("fired", [1])
    no_more_than_said(kernel)


def test_running_in_this_thread(tmp_path: Path) -> None:
    """Inside ``reactor.run()``, loading refuses with one sentence, and the application goes on."""
    (tmp_path / "application.py").write_text(
        "from twisted.internet import reactor\n"
        "from IPython.core.interactiveshell import InteractiveShell\n"
        "\n"
        "def console():\n"
        "    shell = InteractiveShell.instance(colors='nocolor', history_length=0)\n"
        "    shell.run_cell('%load_ext twisted_ipython')\n"
        "    print('loaded or not', flush=True)\n"
        "    reactor.callLater(0.1, finish)\n"
        "\n"
        "def finish():\n"
        "    print('the application goes on', flush=True)\n"
        "    reactor.stop()\n"
        "\n"
        "reactor.callWhenRunning(console)\n"
        "reactor.run()\n"
        "print('the end')\n"
    )
    done = run_program([sys.executable, "application.py"], tmp_path, within=30)
    said, _, after = done.output.partition("loaded or not")
    assert (
        done.status == 0 and "the application goes on" in after and "the end" in after
    ), str(done)
    assert "reactor" in said and "Traceback" not in done.output, str(done)
    assert len(said.strip().splitlines()) == 1, str(done)


# A reactor of its own loop, or of another kind


def test_asyncio_reactor_on_another_loop(bare_kernel: Callable[..., Kernel]) -> None:
    """An asyncio reactor that the user installed on a loop of its own is used, asyncio included."""
    kernel = bare_kernel()
    kernel.ok(
        "import asyncio\nfrom twisted.internet import asyncioreactor\n"
        "asyncioreactor.install(asyncio.new_event_loop())"
    )
    loads(kernel)
    assert (
        kernel.ok("await asyncio.gather(sleep(0.01, 1), asyncio.sleep(0.01, 2))").result
        == "[1, 2]"
    )


def test_reactor_imported_before(bare_kernel: Callable[..., Kernel]) -> None:
    """Twisted's own choice, imported by the user before loading, is used."""
    kernel = bare_kernel()
    kernel.ok("from twisted.internet import reactor")
    loads(kernel)
    error = kernel.run("await asyncio.sleep(0.01)").only_error
    assert "TwistedIPython.reactor" in error.evalue or "asyncio" in error.evalue


IN_A_THREAD = (
    "import threading\n"
    "from twisted.internet import reactor\n"
    "runner = threading.Thread(target=reactor.run,"
    " kwargs=dict(installSignalHandlers=False), daemon=True)\n"
    "runner.start()\n"
)
ASYNCIO_IN_A_THREAD = (
    "import asyncio\nfrom twisted.internet import asyncioreactor\n"
    "asyncioreactor.install(asyncio.new_event_loop())\n" + IN_A_THREAD
)
CROCHET = "import crochet\ncrochet.setup()"
RUNNING = {
    "thread": IN_A_THREAD,
    "asyncio thread": ASYNCIO_IN_A_THREAD,
    "crochet": CROCHET,
}


@pytest.mark.parametrize("name", RUNNING)
def test_running_in_another_thread(
    bare_kernel: Callable[..., Kernel], name: str
) -> None:
    """A reactor that runs in another thread is adopted: everything works in that thread."""
    kernel = bare_kernel()
    kernel.ok(RUNNING[name])
    loads(kernel)
    kernel.ok(
        "@crochet.run_in_reactor\ndef where():\n    return threading.get_ident()\n"
        "await sleep(0)\nhere = threading.get_ident()"
    )
    assert kernel.value("where().wait(5) == here")
    kernel.ok("%%run_in_reactor er\nreturn threading.get_ident()")
    assert kernel.value("er.wait(5) == here")
    no_more_than_said(kernel)


@pytest.mark.parametrize("name", RUNNING)
def test_interrupt_on_an_adopted_reactor(
    bare_kernel: Callable[..., Kernel], name: str
) -> None:
    """Interrupts and timeouts are the same there."""
    kernel = bare_kernel()
    kernel.ok(RUNNING[name])
    loads(kernel)
    cell = begun(
        kernel,
        "print('begun')\ntry:\n    await pending('held')\nfinally:\n    print(cancelled)",
    )
    assert interrupt(cell) < PROMPT_BACK
    was_interrupted(cell, "await pending('held')")
    assert cell.stdout == "begun\n['held']\n"
    cell = begun(kernel, "await sleep(0)\nprint('begun')\nwhile True: pass")
    assert interrupt(cell) < STOPPED
    awaits(kernel)
    kernel.ok("%crochet_config timeout 0.3")
    timed_out(kernel.run("await sleep(60)"), "0.3", "await sleep(60)")


@pytest.mark.parametrize("name", RUNNING)
def test_reload_with_an_adopted_reactor(
    bare_kernel: Callable[..., Kernel], name: str
) -> None:
    """Unloading leaves a reactor of somebody else's running; loading again adopts it again."""
    kernel = bare_kernel()
    kernel.ok(RUNNING[name])
    loads(kernel)
    kernel.ok("%reload_ext twisted_ipython")
    kernel.ok("%unload_ext twisted_ipython")
    assert kernel.value("reactor.running")
    loads(kernel)
    no_more_than_said(kernel)


@pytest.mark.parametrize("name", RUNNING)
def test_shutdown_with_an_adopted_reactor(
    bare_kernel: Callable[..., Kernel], name: str
) -> None:
    """A kernel that adopted a reactor shuts down in three seconds."""
    kernel = bare_kernel()
    kernel.ok(RUNNING[name])
    loads(kernel)
    assert kernel.shutdown() < 10  # more, for busy machines


def test_adopted_reactor_may_be_stopped(bare_kernel: Callable[..., Kernel]) -> None:
    """A reactor of somebody else's that has stopped is said so at the next await, once."""
    kernel = bare_kernel()
    kernel.ok(IN_A_THREAD)
    loads(kernel)
    kernel.ok("reactor.callFromThread(reactor.stop)\nrunner.join(10)")
    cell = kernel.run("await sleep(0)", within=10)
    assert (
        "stopped" in cell.only_error.evalue and "reactor" in cell.only_error.evalue
    ), cell.output
    cell = kernel.run("await sleep(0)", within=10)
    assert "stopped" in cell.only_error.evalue
    assert kernel.ok("1 + 1").result == "2"
    assert kernel.shutdown() < 10  # more, for busy machines


def test_adopted_reactor_stops_during_a_cell(
    bare_kernel: Callable[..., Kernel],
) -> None:
    """If it stops while a cell awaits, the cell ends and says so, long before its timeout."""
    kernel = bare_kernel()
    kernel.ok(IN_A_THREAD)
    loads(kernel)
    cell = kernel.run(
        "reactor.callLater(0.2, reactor.stop)\nawait sleep(60)", within=10
    )
    assert "stopped" in cell.only_error.evalue, cell.output
    assert kernel.ok("1 + 1").result == "2"


def test_run_in_reactor_on_a_stopped_reactor(
    bare_kernel: Callable[..., Kernel],
) -> None:
    """``%%run_in_reactor`` on a reactor that has stopped says so, and does not hang."""
    kernel = bare_kernel()
    kernel.ok(IN_A_THREAD)
    loads(kernel)
    kernel.ok("reactor.callFromThread(reactor.stop)\nrunner.join(10)")
    cell = kernel.run("%%run_in_reactor er\nreturn 1", within=10)
    said = cell.output
    if cell.status == "ok":
        said += kernel.run("er.wait(5)", within=10).output
    assert "stopped" in said.lower(), said


def test_stopped_before_loading(bare_kernel: Callable[..., Kernel]) -> None:
    """A reactor that has stopped before the extension is loaded is said so, then or at an await."""
    kernel = bare_kernel()
    kernel.ok(IN_A_THREAD + "reactor.callFromThread(reactor.stop)\nrunner.join(10)")
    load = kernel.run(LOAD, within=10)
    if load.status == "ok" and not load.output:
        kernel.ok(HELPERS)
        said = kernel.run("await sleep(0)", within=10).only_error.evalue
    else:
        said = a_sentence(load)
    assert "stopped" in said or "restart" in said, said
    assert kernel.ok("1 + 1").result == "2"
    assert kernel.shutdown() < 10  # more, for busy machines
    no_more_than_said(kernel)


# stop(), run(), crash() on ours


PLACES = {
    "plain cell": "{call}",
    "awaiting cell": "await sleep(0)\n{call}",
    "%%run_in_reactor": "%%run_in_reactor er\n{call}",
}


@pytest.mark.parametrize("call", ["reactor.stop()", "reactor.run()", "reactor.crash()"])
@pytest.mark.parametrize("place", PLACES)
def test_refused(kernel: Kernel, place: str, call: str) -> None:
    """They are refused with one sentence that names the call, and the reactor goes on."""
    cell = kernel.run(PLACES[place].format(call=call), within=10)
    if place == "%%run_in_reactor":
        cell = kernel.run("er.wait(5)", within=10)
    said = a_sentence(cell)
    assert call.rstrip("()") in said, said
    awaits(kernel)
    assert kernel.value("reactor.running")


def test_run_says_what_to_write_instead(kernel: Kernel) -> None:
    """Where a script calls ``reactor.run()``, a cell awaits: the sentence says so."""
    assert "await" in a_sentence(kernel.run("reactor.run()", within=10))


@pytest.mark.parametrize(
    "call",
    [
        "reactor.callFromThread(reactor.stop)",
        "reactor.callFromThread(reactor.callLater, 0, reactor.stop)",
        "reactor.callFromThread(lambda: sleep(0.01).addBoth(lambda _: reactor.stop()))",
        "threading.Thread(target=reactor.stop).start()",
    ],
    ids=["callFromThread", "callLater", "callback", "thread"],
)
def test_stop_by_a_library(kernel: Kernel, call: str) -> None:
    """Wherever a library calls ``reactor.stop()``, the reactor goes on, and somebody is told."""
    before = now()
    kernel.run(call)
    kernel.run(
        "await sleep(0.1)\nimport gc\ngc.collect();"
    )  # Twisted tells of lost failures.
    kernel.wait_until(
        lambda: "reactor.stop" in everything_printed(kernel, since=before), 10
    )
    awaits(kernel)
    assert kernel.value("reactor.running")


def test_task_react(kernel: Kernel) -> None:
    """``task.react`` in a cell is refused with one sentence; the kernel and its reactor go on."""
    kernel.ok(
        "ended = []\ndef main(reactor):\n    return sleep(0.05).addCallback(ended.append)"
    )
    for _ in range(2):
        said = a_sentence(kernel.run("task.react(main)", within=10))
        assert "await" in said and "reactor" in said, said
        awaits(kernel)
    kernel.ok("await sleep(0.2)")
    assert kernel.value("reactor.running")
    awaits(kernel)


def test_advice_of_react_works(kernel: Kernel) -> None:
    """What a cell writes instead of ``task.react(main)``: ``await main(reactor)``."""
    kernel.ok("def main(reactor):\n    return sleep(0.01, 'done')")
    assert kernel.ok("await main(reactor)").result == "'done'"


def test_refused_after_reload(fresh_kernel: Callable[..., Kernel]) -> None:
    """After a reload they are refused still."""
    kernel = fresh_kernel()
    kernel.ok("%reload_ext twisted_ipython")
    kernel.ok("%autoawait twisted")
    assert "reactor.stop" in a_sentence(kernel.run("reactor.stop()", within=10))
    awaits(kernel)


# Scrapy


class _Page(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        body = b"<title>A page</title>"
        self.send_response(200)
        self.send_header("Content-Type", "text/html")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture(scope="module")
def site() -> Iterator[str]:
    """The address of a site of one page, on loopback, in this process."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Page)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}/"
    server.shutdown()
    server.server_close()


@pytest.fixture
def spider(fresh_kernel: Callable[..., Kernel], site: str) -> Kernel:
    """A kernel with a spider that collects the title of the site's page in ``titles``."""
    pytest.importorskip("scrapy")
    kernel = fresh_kernel()
    kernel.ok(
        "import scrapy\n"
        "titles = []\n"
        "class Spider(scrapy.Spider):\n"
        "    name = 'spider'\n"
        f"    start_urls = [{site!r}]\n"
        "    def parse(self, response):\n"
        "        titles.append(response.css('title::text').get())\n"
    )
    return kernel


def test_crawler_runner_twice(spider: Kernel) -> None:
    """``CrawlerRunner().crawl`` with default settings works, a second time too."""
    spider.ok("from scrapy.crawler import CrawlerRunner")
    for number in (1, 2):
        cell = spider.run("await CrawlerRunner().crawl(Spider)")
        assert cell.status == "ok", cell.output
        assert spider.value("titles") == ["A page"] * number


def test_async_crawler_runner_twice(spider: Kernel) -> None:
    """``AsyncCrawlerRunner`` as well, where this Scrapy has it."""
    if not spider.value(
        "hasattr(__import__('scrapy.crawler').crawler, 'AsyncCrawlerRunner')"
    ):
        pytest.skip("this Scrapy has none")
    spider.ok("from scrapy.crawler import AsyncCrawlerRunner")
    for number in (1, 2):
        cell = spider.run("await AsyncCrawlerRunner().crawl(Spider)")
        assert cell.status == "ok", cell.output
        assert spider.value("titles") == ["A page"] * number


def test_crawler_process_is_refused(spider: Kernel) -> None:
    """``CrawlerProcess().start()`` is refused with a sentence; twice; the reactor goes on."""
    spider.ok("from scrapy.crawler import CrawlerProcess")
    for _ in range(2):
        cell = spider.run(
            "process = CrawlerProcess({'LOG_ENABLED': False})\n"
            "process.crawl(Spider)\n"
            "process.start()",
            within=15,
        )
        assert (
            cell.only_error.ename != "SystemExit" and "await" in cell.only_error.evalue
        ), cell.output
        # The crawl itself may go on; its end must not take the reactor along.
        spider.wait_for_value("len(process.crawlers)", 0)
        awaits(spider)
    assert spider.value("reactor.running")
    cell = spider.run(
        "from scrapy.crawler import CrawlerRunner\nawait CrawlerRunner().crawl(Spider)"
    )
    assert cell.status == "ok", cell.output
