"""
Several clients of one live console: what each sees of the others, whose cells an
interrupt stops, who has gone, and what is noted of it all.
"""

from __future__ import annotations

import getpass
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta, timezone
from typing import Any

import pytest
from jupyter_client import BlockingKernelClient

from applications import REACTORS, RunningApplication, begun, interrupt, ok, run, start
from kernels import Cell, Message

Attach = Callable[..., BlockingKernelClient]

FOREVER = "await sleep(600)"


def seen_by(client: BlockingKernelClient, cell: Cell, *kinds: str) -> list[Message]:
    """What a client was told of a cell, its own or another's."""
    return [
        message
        for message in client.attached.messages
        if message.parent.get("msg_id") == cell.id and message.type in kinds
    ]


def ended_by_interrupt(cell: Cell) -> bool:
    """Whether it has ended with a KeyboardInterrupt."""
    return cell.done and [error.ename for error in cell.errors] == ["KeyboardInterrupt"]


def still_runs(cell: Cell) -> bool:
    """
    Whether it has not ended, though the kernel has dealt with all that came before.

    An answer on the shell channel to this very client comes after what was sent on it.
    """
    cell.kernel.ask("kernel_info_request", {})
    return cell.reply is None


# -- A client in another process ---------------------------------------------------


OTHER_PROCESS = """
import json, sys
from jupyter_client import BlockingKernelClient

def attach():
    client = BlockingKernelClient(connection_file=sys.argv[1])
    client.load_connection_file()
    client.start_channels(hb=False)
    client.wait_for_ready(timeout=30)
    return client

client, manager = attach(), attach()
print(json.dumps([client.session.session, manager.session.session]), flush=True)
for line in sys.stdin:
    order, *arguments = json.loads(line)
    if order == "run":
        request = client.execute(arguments[0])
        message = {"msg_type": ""}
        while message["msg_type"] != "execute_input" or (
            message["parent_header"]["msg_id"] != request
        ):
            message = client.get_iopub_msg(timeout=30)
        answer = request
    elif order == "reply":
        answer = client.get_shell_msg(timeout=30)["content"].get("ename", "ok")
    elif order == "interrupt":
        who = {"client": client, "manager": manager}[arguments[0]]
        who.control_channel.send(who.session.msg("interrupt_request", {}))
        answer = who.get_control_msg(timeout=30)["content"]["status"]
    elif order == "leave":
        client.stop_channels()
        manager.stop_channels()
        answer = "left"
    print(json.dumps(answer), flush=True)
"""


class OtherProcess:
    """
    Two clients in a process of their own: one that sends cells, and the session of a
    manager, which sends none.
    """

    def __init__(self, application: RunningApplication) -> None:
        self._application = application
        self.process = subprocess.Popen(
            [sys.executable, "-c", OTHER_PROCESS, str(application.open())],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=application.environment,
        )
        self.sessions: list[str] = self._answer()

    def _answer(self) -> Any:
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        assert line, f"the other process has ended\n{self._application.report()}"
        return json.loads(line)

    def order(self, *what: str) -> Any:
        assert self.process.stdin is not None
        self.process.stdin.write(json.dumps(what) + "\n")
        self.process.stdin.flush()
        return self._answer()

    def start(self, code: str) -> str:
        """Send a cell, and wait until it runs; gives its id."""
        return str(self.order("run", code))

    def kill(self) -> None:
        self.process.kill()
        self.process.communicate()


@pytest.fixture
def other_process(application: RunningApplication) -> Iterator[OtherProcess]:
    """Clients of ``application`` in another process."""
    other = OtherProcess(application)
    yield other
    other.kill()


# -- What each sees ------------------------------------------------------------------


def test_each_sees_the_others_cells_marked_as_theirs(attach: Attach) -> None:
    """Input, output, result, error and states, with the sender's session as parent."""
    one, other = attach(), attach()
    kinds = ("execute_input", "stream", "execute_result", "error", "status")
    cell = run(one, "print('printed')\ndisplay('shown')\n1 / 0")
    result = ok(one, "6 * 7")

    other.attached.wait_until(
        lambda: (
            [
                message.content["execution_state"]
                for message in seen_by(other, result, "status")
            ][-1:]
            == ["idle"]
        )
    )
    for each in (cell, result):
        assert [
            (message.type, message.content) for message in seen_by(other, each, *kinds)
        ] == [(message.type, message.content) for message in seen_by(one, each, *kinds)]
        for message in seen_by(other, each, *kinds):
            assert message.parent["session"] == one.session.session
    assert not [
        message
        for message in other.attached.messages
        if message.type == "execute_reply" and message.channel == "shell"
    ]


def test_names_are_shared(attach: Attach) -> None:
    """What one assigns, the other reads, and so does the application."""
    one, other = attach(), attach()
    ok(one, "shared_by_all = [1]")
    ok(other, "shared_by_all.append(t)")

    assert ok(one, "len(shared_by_all)").result == "2"


# -- Lanes ---------------------------------------------------------------------------


def test_awaiting_cell_does_not_hold_up_others(attach: Attach) -> None:
    """Of a stock client that knows nothing of subshells; nor a ``%%thread`` cell."""
    one, two, three = attach(), attach(), attach()
    awaits = begun(one, FOREVER)
    threaded = start(
        two, "%%thread\nimport time\nwhile not globals().get('go_on'): time.sleep(0.01)"
    ).wait_until_running()

    for _ in range(3):
        assert ok(three, "1", within=5).result == "1"
    assert not awaits.done and not threaded.done
    ok(three, "go_on = True")
    threaded.wait().succeeded()
    interrupt(one)
    awaits.wait()


def test_cells_of_one_client_follow_one_another(client: BlockingKernelClient) -> None:
    """In the order in which they were sent, each when the last one has ended."""
    cells = [
        start(
            client,
            f"order = globals().setdefault('order', [])\n"
            f"order.append('begin {n}')\nawait sleep(0.05)\norder.append('end {n}')",
        )
        for n in range(4)
    ]
    for cell in cells:
        cell.wait().succeeded()

    wanted = [f"{what} {n}" for n in range(4) for what in ("begin", "end")]
    assert ok(client, "order").result is not None
    assert client.attached.value("order") == wanted
    ok(client, "del order")


def test_requests_beside_cells_are_answered_while_one_awaits(
    client: BlockingKernelClient,
) -> None:
    """Completion, inspection and history of the client whose own cell awaits."""
    cell = begun(client, FOREVER)

    assert "tick" in client.attached.complete("tic")
    inspected = client.attached.ask(
        "inspect_request", {"code": "tick", "cursor_pos": 4, "detail_level": 0}
    )
    assert inspected["found"]
    assert not cell.done
    interrupt(client)
    cell.wait()


# -- Interrupts ------------------------------------------------------------------------


def test_interrupt_stops_the_askers_cell_alone(attach: Attach) -> None:
    """Whichever began last."""
    one, other = attach(), attach()
    first = begun(one, FOREVER)
    second = begun(other, FOREVER)
    interrupt(one)
    first.wait(10)

    assert ended_by_interrupt(first)
    assert still_runs(second)
    interrupt(other)
    second.wait(10)
    assert ended_by_interrupt(second)


def test_interrupt_by_who_has_no_cell_that_runs(attach: Attach) -> None:
    """A client whose cells have ended stops no other's."""
    one, other = attach(), attach()
    ok(other, "1")
    cell = begun(one, FOREVER)
    interrupt(other)
    other.attached.ask("kernel_info_request", {}, "control")

    assert still_runs(cell)
    interrupt(one)
    cell.wait(10)


def test_interrupt_while_anothers_cell_has_the_reactor_thread(attach: Attach) -> None:
    """The asker gets its prompt back; the cell that runs is not hit."""
    one, other = attach(), attach()
    awaits = begun(other, FOREVER)
    ok(one, "go_on = False")
    spins = begun(one, "while not go_on: pass\n'not hit'")
    at = interrupt(other)
    awaits.wait(10)

    assert ended_by_interrupt(awaits)
    assert awaits.replied_at - at < 2
    ok(other, "%%thread\ngo_on = True")
    spins.wait()
    assert spins.status == "ok" and spins.result == "'not hit'"


def test_manager_stops_the_newest_cell_of_its_own_process(
    attach: Attach, other_process: OtherProcess
) -> None:
    """
    The interrupt of a session that never sent a cell, as a Jupyter server's: the newest
    of the process that it comes from, and no other.
    """
    one, two, manager = attach(), attach(), attach()
    first = begun(one, FOREVER)
    second = begun(two, FOREVER)
    theirs = other_process.start(FOREVER)
    interrupt(manager)
    second.wait(10)

    assert ended_by_interrupt(second)
    assert still_runs(first)
    replies = [m for m in one.attached.messages if m.parent.get("msg_id") == theirs]
    assert "error" not in [message.type for message in replies]

    other_process.order("interrupt", "manager")
    assert other_process.order("reply") == "KeyboardInterrupt"
    assert still_runs(first)
    interrupt(manager)
    first.wait(10)
    assert ended_by_interrupt(first)


def test_manager_of_another_process_stops_nothing_here(
    client: BlockingKernelClient, other_process: OtherProcess
) -> None:
    """Where its own process has no cell that runs."""
    cell = begun(client, FOREVER)
    assert other_process.order("interrupt", "manager") == "ok"

    assert still_runs(cell)
    interrupt(client)
    cell.wait(10)


def test_interrupt_older_than_the_cell_is_ignored(
    client: BlockingKernelClient,
) -> None:
    """By the dates of their headers: it was meant for a cell that has ended."""
    cell = begun(client, FOREVER)
    message = client.session.msg("interrupt_request", {})
    message["header"]["date"] = datetime.now(timezone.utc) - timedelta(seconds=60)
    client.control_channel.send(message)
    client.attached.ask("kernel_info_request", {}, "control")

    assert still_runs(cell)
    interrupt(client)
    cell.wait(10)
    assert ended_by_interrupt(cell)


@pytest.mark.parametrize("date", ["", "yesterday", None, 7])
def test_interrupt_without_a_date_is_carried_out(
    client: BlockingKernelClient, date: object
) -> None:
    """A frontend that does not say when is not left without interrupts."""
    cell = begun(client, FOREVER)
    message = client.session.msg("interrupt_request", {})
    message["header"]["date"] = date
    client.control_channel.send(message)
    cell.wait(10)

    assert ended_by_interrupt(cell)


# -- Who has gone --------------------------------------------------------------------------


def events(client: BlockingKernelClient, kind: str) -> list[dict[str, Any]]:
    """What the application's log was told of the console's use, without the machinery."""
    found: list[dict[str, Any]] = client.attached.value(
        "[{k: v for k, v in e.items() if not k.startswith('log_')}"
        f" for e in noted if e.get('event') == {kind!r}]"
    )
    return found


def test_number_of_clients(application: RunningApplication, attach: Attach) -> None:
    """``app.json`` has it, as they come and go."""

    def are(number: int) -> None:
        application.wait_until(
            lambda: application.app_json["clients"] == number, what=f"{number} clients"
        )

    attach()
    are(1)  # those of the last test have gone
    second = attach()
    are(2)
    application.leave(second)
    are(1)


def test_client_that_vanishes_is_forgotten(
    application: RunningApplication,
    client: BlockingKernelClient,
    other_process: OtherProcess,
) -> None:
    """
    Killed, it is counted no more, its detaching is noted once; its cell goes on, and so
    does everybody else.
    """
    ok(client, "reached, reach_now = False, defer.Deferred()")
    application.wait_until(lambda: application.app_json["clients"] == 3)
    other_process.start("await reach_now\nreached = True")
    other_process.kill()
    application.wait_until(
        lambda: application.app_json["clients"] == 1, what="it is counted no more"
    )

    left = [each["session"] for each in events(client, "detach")]
    assert sorted(left[-2:]) == sorted(other_process.sessions)
    assert left.count(other_process.sessions[0]) == 1
    assert ok(client, "reached").result == "False"
    ok(client, "reach_now.callback(None)")
    client.attached.wait_for_value("reached", True)
    cells = [
        e for e in events(client, "cell") if e["session"] in other_process.sessions
    ]
    assert [each["outcome"] for each in cells] == ["ok"]


def test_client_that_leaves_and_comes_again(
    application: RunningApplication, attach: Attach
) -> None:
    """It is noted each time; each session of one process by itself."""
    watching = attach()
    guest = attach()
    session = guest.session.session
    ok(guest, "1")
    application.leave(guest)
    watching.attached.wait_until(
        lambda: session in [each["session"] for each in events(watching, "detach")]
    )
    again = attach()
    ok(again, "2")

    came = [each["session"] for each in events(watching, "attach")]
    assert came.count(session) == 1 and came.count(again.session.session) == 1


# -- What is noted ---------------------------------------------------------------------------


def test_each_cell_is_noted(attach: Attach) -> None:
    """With who sent it, as the system says, when, its code, and how it ended."""
    client, watching = attach(), attach()
    began = time.time()
    awaits = start(client, "1; await sleep(0.2)")
    awaits.wait()
    run(client, "2; 1 / 0")
    run(client, "%%thread\n3")
    stopped = begun(client, f"4; {FOREVER}")
    interrupt(client)
    stopped.wait()
    first = client.attached.request("execute_request", {"code": "5; no_such_name"})
    client.attached.request("execute_request", {"code": "6; never"})
    client.attached.request("kernel_info_request", {})
    watching.attached.wait_until(
        lambda: (
            [
                each["code"]
                for each in events(watching, "cell")
                if each["session"] == client.session.session
            ][-1:]
            == ["6; never"]
        )
    )

    assert first
    noted = [
        each
        for each in events(watching, "cell")
        if each["session"] == client.session.session
    ]
    assert [(each["code"], each["outcome"]) for each in noted] == [
        ("1; await sleep(0.2)", "ok"),
        ("2; 1 / 0", "ZeroDivisionError"),
        ("%%thread\n3", "ok"),
        (stopped.source, "KeyboardInterrupt"),
        ("5; no_such_name", "NameError"),
        ("6; never", "aborted"),
    ]
    assert 0.15 < noted[0]["seconds"] < 10
    for each in noted:
        assert each["user"] == getpass.getuser()
        assert (each["pid"], each["uid"]) == (os.getpid(), os.getuid())
        assert str(os.getpid()) in each["client"]
        assert began - 1 < each["at"] < time.time() + 1
        assert each["application"] == "application"


def test_cell_on_the_control_channel_is_noted(
    application: RunningApplication, attach: Attach
) -> None:
    """Also of a client that has said nothing on another channel."""
    watching = attach()
    quiet = attach(ready=False)
    quiet.attached.request("execute_request", {"code": "'unasked'"}, "control")
    session = quiet.session.session
    watching.attached.wait_until(
        lambda: "'unasked'" in [each["code"] for each in events(watching, "cell")]
    )

    (cell,) = [e for e in events(watching, "cell") if e["code"] == "'unasked'"]
    assert (cell["pid"], cell["uid"]) == (os.getpid(), os.getuid())
    assert cell["session"] == session
    application.leave(quiet)
    watching.attached.wait_until(
        lambda: session in [each["session"] for each in events(watching, "detach")]
    )


AUDITED = """
import json, threading
from twisted.internet import defer, reactor, task
from twisted.logger import globalLogBeginner, formatEvent
from twisted_ipython import LiveConsole
from twisted.application.service import MultiService

heard, logged, came, went = [], [], [], []

def thread():
    return threading.current_thread() is threading.main_thread()

def audit(event):
    heard.append(event)
    if fails:
        raise ValueError("by audit")

def observe(event):
    if event.get("log_namespace") == "twisted_ipython.console":
        logged.append(formatEvent(event))

globalLogBeginner.beginLoggingTo([observe], redirectStandardIO=False)
fails = False
services = MultiService()
console = LiveConsole(
    globals(),
    name="audited",
    audit=audit,
    audit_code=False,
    on_attach=lambda client: came.append((client, thread())),
    on_detach=lambda client: went.append((client, thread())),
)
console.setServiceParent(services)
services.startService()
reactor.addSystemEventTrigger("before", "shutdown", services.stopService)
reactor.run()
"""


@pytest.fixture(params=REACTORS)
def audited(request: pytest.FixtureRequest) -> Iterator[RunningApplication]:
    """An application that asks to be told, and wants no code."""
    with RunningApplication(AUDITED, reactor=request.param) as application:
        yield application


def test_audit_without_the_code(audited: RunningApplication) -> None:
    """The application's function is told the same as the log, and neither has code."""
    client = audited.client()
    ok(client, "the_secret = 'hunter2'")
    run(client, "'hunter2' / 0")
    # The next cell may begin before the last one is noted.
    client.attached.wait_for_value(
        "any(e.get('outcome') == 'TypeError' for e in heard)", True
    )
    heard = client.attached.value(
        "[(e['event'], e.get('outcome'), e['application'], e['pid'], 'code' in e)"
        " for e in heard[:3]]"
    )
    logged = client.attached.value("logged")

    pid = os.getpid()
    assert heard == [
        ("attach", None, "audited", pid, False),
        ("cell", "ok", "audited", pid, False),
        ("cell", "TypeError", "audited", pid, False),
    ]
    user = getpass.getuser()
    assert f"{user} (process {pid}, session" in logged[1]
    assert any("ran a cell in audited: TypeError" in line for line in logged), logged
    assert "hunter2" not in repr(heard) + repr(logged)
    assert audited.said == "--- its stderr\n"


def test_on_attach_and_on_detach(audited: RunningApplication) -> None:
    """Called in the reactor thread with who came and who went."""
    client, guest = audited.client(), audited.client()
    session = guest.session.session
    names = "[(c.session, c.pid, c.uid, in_main) for c, in_main in {}]"
    me = (session, os.getpid(), os.getuid(), True)
    client.attached.wait_until(
        lambda: me in client.attached.value(names.format("came"))
    )
    audited.leave(guest)
    client.attached.wait_until(
        lambda: me in client.attached.value(names.format("went"))
    )


def test_audit_that_fails(audited: RunningApplication) -> None:
    """Its error is in the log; cells are answered."""
    client = audited.client()
    ok(client, "fails = True")
    ok(client, "1 + 1")
    client.attached.wait_until(
        lambda: any(
            "by audit" in line or "failed" in line
            for line in client.attached.value("logged")
        )
    )

    assert ok(client, "2 + 2").result == "4"


def test_closing_is_everybodys_detaching(audited: RunningApplication) -> None:
    """When the console closes, each client is noted as gone, once."""
    client = audited.client()
    session = client.session.session
    ok(client, "reactor.callLater(0, console.close)")
    audited.wait_until(lambda: audited.app_json["state"] == "dormant", what="dormant")
    # Else it would connect to the next kernel by itself, whose key it does not have.
    audited.leave(client)
    again = audited.client()

    assert again.attached.value("[c.session for c, _ in went]") == [session]
