"""
Jupyter's messaging protocol, spoken to a live console: every request, on each reactor.

What cells do is in ``test_console_execution``, input in ``test_console_input``, several
clients in ``test_console_clients``. All tests hold that the application says nothing
(the fixture ``application``).

Source: https://jupyter-client.readthedocs.io/en/stable/messaging.html, 5.3.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from typing import Any

import pytest
import zmq
from jupyter_client import BlockingKernelClient
from jupyter_client.session import Session

from applications import RunningApplication, begun, interrupt, ok, run
from kernels import Message

Attach = Callable[..., BlockingKernelClient]

ALWAYS = [
    ("shell", "kernel_info_request", {}),
    ("shell", "execute_request", {"code": "0", "silent": False}),
    ("shell", "complete_request", {"code": "tic", "cursor_pos": 3}),
    ("shell", "inspect_request", {"code": "tick", "cursor_pos": 4, "detail_level": 0}),
    ("shell", "is_complete_request", {"code": "1"}),
    ("shell", "comm_info_request", {}),
    ("shell", "connect_request", {}),
    (
        "shell",
        "history_request",
        {"output": False, "raw": True, "hist_access_type": "tail", "n": 1},
    ),
    ("shell", "shutdown_request", {"restart": False}),
    ("control", "kernel_info_request", {}),
    ("control", "interrupt_request", {}),
    ("control", "shutdown_request", {"restart": False}),
    ("control", "execute_request", {"code": "0", "silent": False}),
]
"""Requests that get a reply, with the channel they are sent on."""


def ask(
    client: BlockingKernelClient,
    kind: str,
    content: dict[str, Any],
    channel: str = "shell",
) -> dict[str, Any]:
    """Send a request; gives the content of the reply."""
    reply: dict[str, Any] = client.attached.ask(kind, content, channel)
    return reply


def published(client: BlockingKernelClient, request: str) -> list[Message]:
    """What was published because of a request."""
    return [
        message
        for message in client.attached.messages
        if message.channel == "iopub" and message.parent.get("msg_id") == request
    ]


def states(client: BlockingKernelClient, request: str) -> list[str]:
    """The states that were published because of a request."""
    return [
        message.content["execution_state"]
        for message in published(client, request)
        if message.type == "status"
    ]


# -- Every request ---------------------------------------------------------------


@pytest.mark.parametrize(
    ("channel", "kind", "content"), ALWAYS, ids=[f"{c}-{k}" for c, k, _ in ALWAYS]
)
def test_each_request_is_answered_between_busy_and_idle(
    client: BlockingKernelClient, channel: str, kind: str, content: dict[str, Any]
) -> None:
    """A reply of the right type, that names the request; busy first, idle last."""
    request = client.attached.request(kind, content, channel)

    def replies() -> list[Message]:
        return [
            message
            for message in client.attached.messages
            if message.parent.get("msg_id") == request and message.channel == channel
        ]

    client.attached.wait_until(
        lambda: replies() and states(client, request)[-1:] == ["idle"],
        what=f"the reply to {kind} and idle",
    )

    (reply,) = replies()
    assert reply.type == kind.replace("_request", "_reply")
    expected = "complete" if kind == "is_complete_request" else "ok"
    assert reply.content["status"] == expected, reply.content
    assert reply.parent["session"] == client.session.session
    assert states(client, request) == ["busy", "idle"]
    messages = published(client, request)
    assert messages[0].type == "status" and messages[-1].type == "status"


@pytest.mark.parametrize(
    "kind", ["execute_request", "is_complete_request", "history_request"]
)
def test_request_without_content_is_answered_with_an_error(
    client: BlockingKernelClient, kind: str
) -> None:
    """What a request lacks is said in its reply, and nowhere else."""
    request = client.attached.request(kind, {})

    def replies() -> list[Message]:
        return [
            message
            for message in client.attached.messages
            if message.parent.get("msg_id") == request and message.channel == "shell"
        ]

    client.attached.wait_until(
        lambda: replies() and states(client, request)[-1:] == ["idle"]
    )

    (reply,) = replies()
    assert reply.content["status"] == "error", reply.content
    assert reply.content["ename"] and reply.content["evalue"], reply.content


@pytest.mark.parametrize("channel", ["shell", "control"])
@pytest.mark.parametrize(
    "kind",
    [
        "nonsense_request",
        "apply_request",
        "clear_request",
        "abort_request",
        "create_subshell_request",
    ],
)
def test_unknown_request_gets_no_answer(
    client: BlockingKernelClient, channel: str, kind: str
) -> None:
    """
    Neither what nobody knows nor what would run code in the kernel's thread (as
    ipyparallel's engines do) is answered; the kernel goes on.
    """
    request = client.attached.request(kind, {}, channel)

    assert ask(client, "kernel_info_request", {}, channel)["status"] == "ok"
    assert ok(client, "1 + 1").result == "2"
    assert not [
        message
        for message in client.attached.messages
        if message.parent.get("msg_id") == request
    ], client.attached.report()


# -- kernel_info, connect, heartbeat -----------------------------------------------


@pytest.mark.parametrize("channel", ["shell", "control"])
def test_kernel_info(
    application: RunningApplication, client: BlockingKernelClient, channel: str
) -> None:
    """It is IPython; the banner names the application; no subshells are promised."""
    info = ask(client, "kernel_info_request", {}, channel)

    assert info["protocol_version"].startswith("5.")
    assert info["implementation"] == "ipython"
    assert info["implementation_version"]
    language = info["language_info"]
    assert language["name"] == "python"
    assert language["version"].startswith("3.")
    assert language["file_extension"] == ".py"
    assert language["mimetype"] == "text/x-python"
    assert language["pygments_lexer"] and language["codemirror_mode"]
    assert f"application (process {application.pid}," in info["banner"]
    assert info["help_links"]
    assert info.get("supported_features", []) == []


def test_connect(application: RunningApplication, client: BlockingKernelClient) -> None:
    """``connect_request`` gives what the connection file has."""
    ports = ask(client, "connect_request", {})
    file = json.loads(application.connection_file.read_text())

    for name in ("shell", "iopub", "stdin", "control", "hb"):
        assert ports[f"{name}_port"] == file[f"{name}_port"]


def test_connection_file(application: RunningApplication) -> None:
    """It has all that a client needs; the sockets are unix sockets beside it."""
    file = json.loads(application.open().read_text())

    assert file["transport"] == "ipc"
    assert file["signature_scheme"] == "hmac-sha256"
    assert len(file["key"]) >= 32
    for name in ("shell", "iopub", "stdin", "control", "hb"):
        path = f"{file['ip']}-{file[f'{name}_port']}"
        assert application.directory in type(application.directory)(path).parents
        assert type(application.directory)(path).is_socket()


def test_heartbeat(
    application: RunningApplication, client: BlockingKernelClient
) -> None:
    """It gives back what it gets, also while a cell has the reactor thread."""
    file = json.loads(application.connection_file.read_text())
    cell = begun(client, "while True: pass")
    context = zmq.Context()
    try:
        socket = context.socket(zmq.REQ)
        socket.connect(f"ipc://{file['ip']}-{file['hb_port']}")
        socket.send(b"ping")
        assert socket.poll(10_000), application.report()
        assert socket.recv() == b"ping"
    finally:
        context.destroy(linger=0)
        interrupt(client)
        cell.wait()


# -- complete ----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("code", "cursor", "match"),
    [
        ("tic", None, "tick"),  # of the application
        ("sleep(hel", None, "hello"),
        ("ticking.sta", None, "ticking.start"),  # an attribute
        ("x = ticking.sta + 1", 15, "ticking.start"),  # in the midst
        ("%pyc", None, "%pycat"),
        ("%%thr", None, "%%thread"),
        ("get_ipy", None, "get_ipython"),
        ("impor", None, "import"),
        ("wörter.app", None, "wörter.append"),
    ],
)
def test_complete(
    client: BlockingKernelClient, code: str, cursor: int | None, match: str
) -> None:
    """Names of the application, attributes, magics, keywords; at the cursor."""
    ok(client, "wörter = []")
    cursor = len(code) if cursor is None else cursor

    reply = ask(client, "complete_request", {"code": code, "cursor_pos": cursor})

    completed = [
        code[: reply["cursor_start"]] + each + code[reply["cursor_end"] :]
        for each in reply["matches"]
    ]
    head = code[:cursor]
    begins = max(head.rfind(mark) for mark in " (") + 1
    assert head[:begins] + match + code[cursor:] in completed, reply
    assert reply["cursor_end"] == cursor, reply


def test_complete_with_characters_beyond_the_basic_plane(
    client: BlockingKernelClient,
) -> None:
    """Cursor positions count characters, not units of any encoding."""
    code = "'🐍🐍'; tic"

    reply = ask(client, "complete_request", {"code": code, "cursor_pos": len(code)})

    assert "tick" in reply["matches"], reply
    assert (reply["cursor_start"], reply["cursor_end"]) == (6, 9), reply


def test_complete_says_what_kind_of_thing_it_is(client: BlockingKernelClient) -> None:
    """The metadata has each match with its type, as frontends show it."""
    reply = ask(client, "complete_request", {"code": "ticking.", "cursor_pos": 8})

    kinds = reply["metadata"]["_jupyter_types_experimental"]
    found = {each["text"].rpartition(".")[2]: each["type"] for each in kinds}
    assert {"start", "stop", "interval"} <= set(found), kinds
    assert all(found.values()), kinds


def test_complete_runs_in_the_reactor_thread(client: BlockingKernelClient) -> None:
    """What an object says of its own attributes is its own code."""
    ok(
        client,
        "import threading\n"
        "class Asked:\n"
        "    def __dir__(self):\n"
        "        asked_in.append(threading.current_thread())\n"
        "        return ['attribute_of_it']\n"
        "asked_in, it = [], Asked()",
    )

    reply = ask(client, "complete_request", {"code": "it.attr", "cursor_pos": 7})

    assert any(m.endswith("attribute_of_it") for m in reply["matches"]), reply
    assert ok(client, "{each.name for each in asked_in}").result == "{'MainThread'}"


# -- inspect -----------------------------------------------------------------------


def test_inspect(client: BlockingKernelClient) -> None:
    """The documentation of a name of the application; with detail, the source."""
    ok(client, 'def documented():\n    """What it does."""\n    return 4711')
    code = "x = documented()"

    little = ask(
        client, "inspect_request", {"code": code, "cursor_pos": 8, "detail_level": 0}
    )
    much = ask(
        client, "inspect_request", {"code": code, "cursor_pos": 8, "detail_level": 1}
    )

    assert little["found"] and much["found"]
    assert "What it does." in little["data"]["text/plain"]
    assert "4711" not in little["data"]["text/plain"]
    assert "4711" in much["data"]["text/plain"]


def test_inspect_finds_nothing(client: BlockingKernelClient) -> None:
    """``found`` is false, and the status ok."""
    reply = ask(client, "inspect_request", {"code": "no_such_name", "cursor_pos": 3})

    assert reply["status"] == "ok" and reply["found"] is False
    assert reply["data"] == {} and reply["metadata"] == {}


# -- is_complete -------------------------------------------------------------------


@pytest.mark.parametrize(
    ("code", "status", "indent"),
    [
        ("x = 1", "complete", None),
        ("await sleep(1)", "complete", None),
        ("%%thread\n1\n\n", "complete", None),
        ("%%thread", "incomplete", None),
        ("%%thread\n", "complete", None),
        ("for x in y:", "incomplete", "    "),
        ("def f():\n    if x:", "incomplete", "        "),
        ("(1 +", "incomplete", None),
        ("import = 7", "invalid", None),
    ],
)
def test_is_complete(
    client: BlockingKernelClient, code: str, status: str, indent: str | None
) -> None:
    """What a frontend asks at Enter; with the indent of the next line."""
    reply = ask(client, "is_complete_request", {"code": code})

    assert reply["status"] == status, reply
    if indent is not None:
        assert reply["indent"] == indent


# -- history -----------------------------------------------------------------------


def history(client: BlockingKernelClient, **how: Any) -> list[Any]:
    content = {"output": False, "raw": True, **how}
    reply = ask(client, "history_request", content)
    assert reply["status"] == "ok"
    return list(reply["history"])


def test_history_tail(client: BlockingKernelClient) -> None:
    """The last cells: session, number, source; beside it the output, if asked."""
    first = ok(client, "tail = 'a'")
    last = ok(client, "tail * 2")

    tail = history(client, hist_access_type="tail", n=2)
    with_output = history(client, hist_access_type="tail", n=2, output=True)

    assert [line for _, _, line in tail] == ["tail = 'a'", "tail * 2"]
    assert [number for _, number, _ in tail] == [
        first.execution_count,
        last.execution_count,
    ]
    # IPython gives no outputs here unless it logs them (db_log_output).
    assert [line for _, _, line in with_output] == [
        ["tail = 'a'", None],
        ["tail * 2", None],
    ]


def test_history_range(client: BlockingKernelClient) -> None:
    """From one number to another of this session, which is 0; with the outputs."""
    first = ok(client, "one = 1")
    ok(client, "one + 1")
    assert first.execution_count is not None
    which = {
        "hist_access_type": "range",
        "session": 0,
        "start": first.execution_count,
        "stop": first.execution_count + 2,
    }

    found = history(client, **which)
    with_output = history(client, output=True, **which)

    assert [line for _, _, line in found] == ["one = 1", "one + 1"]
    assert [number for _, number, _ in found] == [which["start"], which["start"] + 1]
    assert [line for _, _, line in with_output] == [
        ["one = 1", None],
        ["one + 1", "2"],
    ]


def test_history_search(client: BlockingKernelClient) -> None:
    """By pattern; each source once, if that is asked."""
    for code in ("sought = 1", "sought = 2", "sought = 1"):
        ok(client, code)

    found = history(client, hist_access_type="search", pattern="sought*", n=10)
    unique = history(
        client, hist_access_type="search", pattern="sought*", n=10, unique=True
    )

    assert [line for _, _, line in found] == ["sought = 1", "sought = 2", "sought = 1"]
    assert sorted(line for _, _, line in unique) == ["sought = 1", "sought = 2"]


def test_history_raw_and_as_python(client: BlockingKernelClient) -> None:
    """``raw`` is what was typed; otherwise, the Python that it stands for."""
    run(client, "%pwd")

    (raw,) = history(client, hist_access_type="tail", n=1)
    (python,) = history(client, hist_access_type="tail", n=1, raw=False)

    assert raw[2] == "%pwd"
    assert python[2].strip() == "get_ipython().run_line_magic('pwd', '')"


def test_history_has_thread_cells(client: BlockingKernelClient) -> None:
    """A ``%%thread`` cell is in it once, as it was typed."""
    code = "%%thread\n4 + 711"
    number = ok(client, code).execution_count
    assert number is not None

    here = {"hist_access_type": "range", "session": 0, "start": number}
    (kept,) = history(client, output=True, stop=number + 1, **here)
    found = history(client, hist_access_type="search", pattern="*4 + 711*", n=9)

    assert kept[1:] == [number, [code, "715"]]
    assert [line for _, _, line in found] == [code]


def test_history_leaves_no_file(
    application: RunningApplication, client: BlockingKernelClient
) -> None:
    """It is kept in memory: nothing of it lands in the user's home."""
    ok(client, "never_on_disk = 1")

    assert not list(application.directory.rglob("history.sqlite*"))


# -- comms -------------------------------------------------------------------------


TARGET = """
import threading
opened, got, closed = [], [], []

def target(comm, message):
    opened.append((threading.current_thread().name, message["content"]["data"]))
    comm.on_msg(lambda m: (got.append(m["content"]["data"]), comm.send({"echo": m["content"]["data"]})))
    comm.on_close(lambda m: closed.append(m["content"]["data"]))
    print("opened", message["content"]["data"])
    comm.send({"hello": 1})

get_ipython().kernel.comm_manager.register_target("test-target", target)
"""


def test_comm_that_the_frontend_opens(client: BlockingKernelClient) -> None:
    """
    The target's function runs in the reactor thread; messages go both ways, and name
    the request that made them.
    """
    ok(client, TARGET)
    comm = {"comm_id": f"c-{client.session.session}"}

    begun = client.attached.request(
        "comm_open", {**comm, "target_name": "test-target", "data": {"n": 1}}
    )
    client.attached.wait_until(lambda: states(client, begun)[-1:] == ["idle"])
    known = ask(client, "comm_info_request", {"target_name": "test-target"})
    sent = client.attached.request("comm_msg", {**comm, "data": {"n": 2}})
    client.attached.wait_until(lambda: states(client, sent)[-1:] == ["idle"])
    ended = client.attached.request("comm_close", {**comm, "data": {"n": 3}})
    client.attached.wait_until(lambda: states(client, ended)[-1:] == ["idle"])

    assert ok(client, "opened, got, closed").result == (
        "([('MainThread', {'n': 1})], [{'n': 2}], [{'n': 3}])"
    )
    assert known["comms"] == {comm["comm_id"]: {"target_name": "test-target"}}
    assert ask(client, "comm_info_request", {})["comms"] == {}
    outputs = [
        (message.type, message.content.get("data") or message.content.get("text"))
        for message in published(client, begun) + published(client, sent)
        if message.type != "status"
    ]
    assert ("comm_msg", {"hello": 1}) in outputs
    assert ("stream", "opened {'n': 1}\n") in outputs
    assert ("comm_msg", {"echo": {"n": 2}}) in outputs


def test_comm_that_a_cell_opens(client: BlockingKernelClient) -> None:
    """All clients are told; answers reach the cell's object in the reactor thread."""
    cell = ok(
        client,
        "from comm import create_comm\n"
        "import threading\n"
        "answers = []\n"
        "mine = create_comm(target_name='front', data={'n': 1})\n"
        "mine.on_msg(lambda m: answers.append("
        "(m['content']['data'], threading.current_thread().name)))\n"
        "mine.send({'n': 2})",
    )
    messages = {
        message.type: message.content
        for message in published(client, cell.id)
        if message.type.startswith("comm_")
    }

    assert messages["comm_open"]["target_name"] == "front"
    assert messages["comm_open"]["data"] == {"n": 1}
    assert messages["comm_msg"]["data"] == {"n": 2}
    comm_id = messages["comm_open"]["comm_id"]
    sent = client.attached.request("comm_msg", {"comm_id": comm_id, "data": {"n": 3}})
    client.attached.wait_until(lambda: states(client, sent)[-1:] == ["idle"])
    assert ok(client, "answers").result == "[({'n': 3}, 'MainThread')]"

    closing = ok(client, "mine.close({'n': 4})")
    closed = [
        message.content
        for message in published(client, closing.id)
        if message.type == "comm_close"
    ]
    assert closed == [{"comm_id": comm_id, "data": {"n": 4}}]


def test_comm_to_an_unknown_target_is_closed(client: BlockingKernelClient) -> None:
    """The frontend is told by ``comm_close``; the application's log is not."""
    request = client.attached.request(
        "comm_open", {"comm_id": "lost", "target_name": "no such", "data": {}}
    )
    client.attached.wait_until(lambda: states(client, request)[-1:] == ["idle"])

    closed = [m for m in published(client, request) if m.type == "comm_close"]
    assert [message.content["comm_id"] for message in closed] == ["lost"]


@pytest.mark.parametrize("kind", ["comm_msg", "comm_close", "comm_open"])
def test_comm_message_that_fits_nothing(
    client: BlockingKernelClient, kind: str
) -> None:
    """It is dropped; the kernel goes on, and the application's log has nothing."""
    for content in ({}, {"comm_id": "unknown", "data": {}}):
        request = client.attached.request(kind, content)
        client.attached.wait_until(
            lambda request=request: states(client, request)[-1:] == ["idle"]
        )

    assert ok(client, "1").result == "1"


def test_comm_handler_that_fails(client: BlockingKernelClient) -> None:
    """Its error is shown to the client that sent the message, and logged nowhere."""
    ok(
        client,
        "def fails(comm, message): raise ValueError('by the target')\n"
        "get_ipython().kernel.comm_manager.register_target('fails', fails)",
    )
    request = client.attached.request(
        "comm_open", {"comm_id": "f", "target_name": "fails", "data": {}}
    )
    client.attached.wait_until(lambda: states(client, request)[-1:] == ["idle"])

    shown = "".join(
        message.content["text"]
        for message in published(client, request)
        if message.type == "stream"
    )
    assert "by the target" in shown, client.attached.report()


# -- interrupt and shutdown --------------------------------------------------------


def test_interrupt_with_nothing_running(client: BlockingKernelClient) -> None:
    """Nothing happens, and it is answered."""
    assert ask(client, "interrupt_request", {}, "control")["status"] == "ok"
    assert ok(client, "1").result == "1"


def test_interrupt_of_an_awaiting_cell(client: BlockingKernelClient) -> None:
    """One KeyboardInterrupt, in the reply and under the cell."""
    cell = begun(client, "await sleep(600)")
    interrupt(client)
    cell.wait(10)

    assert cell.only_error.ename == "KeyboardInterrupt"
    assert cell.reply is not None and cell.reply["ename"] == "KeyboardInterrupt"


@pytest.mark.parametrize("restart", [False, True])
@pytest.mark.parametrize("channel", ["shell", "control"])
def test_shutdown_is_this_client_leaving(
    application: RunningApplication, attach: Attach, channel: str, restart: bool
) -> None:
    """
    It is answered, what the client has running ends; the application, the console and
    the other clients go on, and nobody is told that the kernel has died.
    """
    leaving, other = attach(), attach()
    its = begun(leaving, "await sleep(600)")
    others = begun(other, "await sleep(0.3, 'went on')")

    reply = ask(leaving, "shutdown_request", {"restart": restart}, channel)

    assert reply == {"status": "ok", "restart": restart}
    its.wait(10)
    assert its.only_error.ename == "KeyboardInterrupt"
    others.wait()
    assert others.result == "'went on'"
    assert ok(other, "t > 0").result == "True"
    assert application.app_json["state"] == "open"
    for client in (leaving, other):
        client.attached.pump(0)
        told = [m.type for m in client.attached.messages if m.channel == "iopub"]
        assert "shutdown_reply" not in told
        dying = [
            message.content["execution_state"]
            for message in client.attached.messages
            if message.type == "status"
        ]
        assert set(dying) <= {"busy", "idle"}


# -- What is not of the protocol -----------------------------------------------------


def connected(
    application: RunningApplication, channel: str, session: Session | None = None
) -> tuple[zmq.Context[Any], Any]:
    """A socket of one's own to a channel."""
    file = json.loads(application.connection_file.read_text())
    context: zmq.Context[Any] = zmq.Context()
    socket = context.socket(zmq.DEALER)
    if session is not None:
        socket.identity = session.bsession
    socket.connect(f"ipc://{file['ip']}-{file[f'{channel}_port']}")
    return context, socket


GARBAGE: dict[str, list[bytes]] = {
    "empty": [b""],
    "no delimiter": [b"a", b"b", b"c"],
    "delimiter alone": [b"<IDS|MSG>"],
    "too short": [b"<IDS|MSG>", b"0" * 64, b"{}"],
    "not json": [b"<IDS|MSG>", b"0" * 64, b"\xff", b"[", b"x", b"{"],
    "no signature": [b"<IDS|MSG>", b"", b"{}", b"{}", b"{}", b"{}"],
    "large": [b"x" * 1_000_000],
}


@pytest.mark.parametrize("channel", ["shell", "control", "stdin"])
@pytest.mark.parametrize("what", list(GARBAGE))
def test_garbage_is_dropped(
    application: RunningApplication,
    client: BlockingKernelClient,
    channel: str,
    what: str,
) -> None:
    """It gets no answer; the kernel goes on, and the application's log is silent."""
    context, socket = connected(application, channel)
    try:
        socket.send_multipart(GARBAGE[what])
        assert ok(client, "2 + 2").result == "4"
        if channel == "control":
            assert ask(client, "kernel_info_request", {}, channel)["status"] == "ok"
        assert not socket.poll(0)
    finally:
        context.destroy(linger=0)


@pytest.mark.parametrize(
    "header",
    [
        {},
        {"msg_type": "kernel_info_request"},
        {"msg_type": ["a", "list"], "msg_id": "1", "session": "s"},
        {"msg_type": "execute_request", "msg_id": None, "session": {"a": 1}},
        [],
        None,
    ],
    ids=str,
)
@pytest.mark.parametrize("channel", ["shell", "control"])
def test_signed_garbage_is_dropped(
    application: RunningApplication,
    client: BlockingKernelClient,
    channel: str,
    header: Any,
) -> None:
    """Not even who has the key stops the kernel by what it sends."""
    file = json.loads(application.connection_file.read_text())
    session = Session(key=file["key"].encode())
    parts = [json.dumps(each).encode() for each in (header, {}, {}, {"code": "1"})]
    context, socket = connected(application, channel)
    try:
        socket.send_multipart([b"<IDS|MSG>", session.sign(parts), *parts])
        assert ok(client, "2 + 2").result == "4"
        assert ask(client, "kernel_info_request", {}, channel)["status"] == "ok"
    finally:
        context.destroy(linger=0)


@pytest.mark.parametrize("channel", ["shell", "control"])
def test_wrong_key_is_dropped(
    application: RunningApplication, client: BlockingKernelClient, channel: str
) -> None:
    """What is not signed with the key of the file is not run, and not answered."""
    ok(client, "by_stranger = []")
    stranger = Session(key=b"another key")
    context, socket = connected(application, channel, stranger)
    try:
        content = {"code": "by_stranger.append(1)", "silent": False}
        stranger.send(socket, "execute_request", content)
        assert ok(client, "by_stranger").result == "[]"
        assert ask(client, "kernel_info_request", {}, channel)["status"] == "ok"
        assert ok(client, "by_stranger").result == "[]"
        assert not socket.poll(0)
    finally:
        context.destroy(linger=0)


def test_replayed_message_is_dropped(
    application: RunningApplication, client: BlockingKernelClient
) -> None:
    """A message that has come before is not run again, signed as it is."""
    ok(client, "times = []")
    file = json.loads(application.connection_file.read_text())
    session = Session(key=file["key"].encode())
    content = {"code": "times.append(1)", "silent": False}
    frames = session.serialize(session.msg("execute_request", content))
    context, socket = connected(application, "shell", session)
    try:
        socket.send_multipart(frames)
        assert socket.poll(10_000), application.report()
        socket.recv_multipart()
        socket.send_multipart(frames)
        again = session.serialize(session.msg("execute_request", content))
        socket.send_multipart(again)
        assert socket.poll(10_000), application.report()
        socket.recv_multipart()
    finally:
        context.destroy(linger=0)

    assert ok(client, "times").result == "[1, 1]"


def test_answers_while_a_cell_has_the_reactor_thread(
    client: BlockingKernelClient,
) -> None:
    """
    What needs the reactor is answered with nothing found, within seconds; what does
    not, at once.
    """
    cell = begun(client, "while True: pass")
    try:
        began = time.monotonic()
        assert ask(client, "kernel_info_request", {})["status"] == "ok"
        assert history(client, hist_access_type="tail", n=1) is not None
        assert time.monotonic() - began < 1.5
        reply = ask(client, "complete_request", {"code": "tic", "cursor_pos": 3})
        assert reply["status"] == "ok" and reply["matches"] == []
        reply = ask(client, "inspect_request", {"code": "tick", "cursor_pos": 3})
        assert reply["status"] == "ok" and reply["found"] is False
        reply = ask(client, "is_complete_request", {"code": "1"})
        assert reply["status"] in ("unknown", "complete")
    finally:
        interrupt(client)
        cell.wait()
