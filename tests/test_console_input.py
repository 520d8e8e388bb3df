"""
``input()`` in cells of a live console: it works without stopping the application, or
says at once why it can't.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable

import pytest
from jupyter_client import BlockingKernelClient

from applications import RunningApplication, interrupt, ok, run, start
from kernels import Cell, Message

Attach = Callable[..., BlockingKernelClient]

AT_ONCE = 5.0
"""Seconds within which a cell that can't ask is to have said so."""


def questions(cell: Cell) -> list[Message]:
    """What was asked for the cell."""
    return [
        message
        for message in cell.kernel.messages
        if message.type == "input_request" and message.parent["msg_id"] == cell.id
    ]


def asking(client: BlockingKernelClient, code: str) -> Cell:
    """Start a cell; gives it when it has asked."""
    cell = start(client, code, allow_stdin=True)
    client.attached.wait_until(lambda: questions(cell), what="the question")
    return cell


def answered(client: BlockingKernelClient, code: str, *answers: str) -> Cell:
    """Run a cell, and answer what it asks."""
    cell = start(client, code, allow_stdin=True)
    for number, answer in enumerate(answers, 1):
        client.attached.answer(cell, answer, number)
    return cell.wait()


def test_input_lets_the_application_go_on(attach: Attach) -> None:
    """The cell waits for the answer; the application does not."""
    client = attach()
    cell = asking(client, "before = t\nname = input('who? ')\nname, t > before")
    other = attach()
    ticks = other.attached.value("t")
    other.attached.wait_until(lambda: other.attached.value("t") > ticks + 3)
    client.attached.answer(cell, "bob")
    cell.wait().succeeded()

    assert cell.result == "('bob', True)"
    (question,) = questions(cell)
    assert question.content == {"prompt": "who? ", "password": False}
    assert question.channel == "stdin"


@pytest.mark.parametrize(
    ("code", "answers", "result"),
    [
        ("input()", [""], "''"),
        ("input('a') + input('b')", ["1", "2"], "'12'"),
        ("input(3)", ["é🐍"], "'é🐍'"),
        (
            "if input('go? ') == 'y':\n    gone = input('how? ')\ngone",
            ["y", "n"],
            "'n'",
        ),
        ("for _n in range(2):\n    last = input(_n)\nlast", ["1", "2"], "'2'"),
        ("with open('/dev/null') as f:\n    x = input()\nx", ["in with"], "'in with'"),
        ("f\"{input('in an f-string')}\"", ["f"], "'f'"),
        ("await ainput('a')", ["1"], "'1'"),
        (
            "async def ask():\n    return await ainput('in a function')\nawait ask()",
            ["1"],
            "'1'",
        ),
        (
            "await defer.gatherResults([ainput('a'), ainput('b')])",
            ["1", "2"],
            "['1', '2']",
        ),
        ("%%thread\ninput('in a thread')", ["1"], "'1'"),
        (
            "%%thread\nask = lambda: input('in a function')\nask() + ask()",
            ["1", "2"],
            "'12'",
        ),
    ],
)
def test_input(
    client: BlockingKernelClient, code: str, answers: list[str], result: str
) -> None:
    """At the top level of a cell, by ``ainput``, and anywhere in a ``%%thread`` cell."""
    cell = answered(client, code, *answers).succeeded()

    assert cell.result == result
    assert len(questions(cell)) == len(answers)


@pytest.mark.parametrize(
    "code",
    [
        "await ainput('secret', secret=True)",
        "%%thread\nimport getpass\ngetpass.getpass('secret')",
        "%%thread\nfrom getpass import getpass\ngetpass('secret')",
    ],
)
def test_password(client: BlockingKernelClient, code: str) -> None:
    """The frontend is told to hide what is typed."""
    cell = answered(client, code, "hidden").succeeded()

    assert cell.result == "'hidden'"
    (question,) = questions(cell)
    assert question.content == {"prompt": "secret", "password": True}


@pytest.mark.parametrize(
    ("code", "says"),
    [
        ("def ask():\n    return input('?')\nask()", "await ainput(prompt)"),
        ("[input(n) for n in range(2)]", "await ainput(prompt)"),
        ("(lambda: input())()", "await ainput(prompt)"),
        ("class Asks:\n    answer = input()", "await ainput(prompt)"),
        ("get_ipython().run_cell('input()')", "await ainput(prompt)"),
        ("%time input()", "await ainput(prompt)"),
        ("import getpass\ngetpass.getpass()", "secret=True"),
        ("from getpass import getpass\ngetpass()", "secret=True"),
        ("import sys\nsys.stdin.readline()", "input(prompt)"),
        ("import sys\nfor line in sys.stdin: pass", "input(prompt)"),
        ("%%thread\nainput('?')", "input()"),
        ("breakpoint()", "%%thread"),
        ("help()", "%%thread"),
    ],
)
def test_where_a_cell_would_have_to_wait(
    client: BlockingKernelClient, code: str, says: str
) -> None:
    """It says at once what to write, and nobody is asked."""
    cell = run(client, code, allow_stdin=True, within=AT_ONCE)

    assert not questions(cell)
    assert "NoInput" in cell.output and says in cell.output, cell.kernel.report()
    assert ok(client, "1").result == "1"


@pytest.mark.parametrize("code", ["input('?')", "%%thread\ninput('?')"])
def test_frontend_that_does_not_take_input(
    client: BlockingKernelClient, code: str
) -> None:
    """``allow_stdin=False`` says so at once."""
    cell = run(client, code, allow_stdin=False, within=AT_ONCE)

    assert not questions(cell)
    assert cell.only_error.ename == "NoInput"
    assert "does not take input" in cell.only_error.evalue
    assert [text for _, text in cell.only_error.lines] == ["input('?')"]


@pytest.mark.parametrize(
    "code",
    [
        "input('?')",
        "await ainput('?')",
        "%%thread\ninput('?')",
        "try:\n    input('?')\nfinally:\n    finished = True",
    ],
)
def test_interrupt_while_it_waits(client: BlockingKernelClient, code: str) -> None:
    """One KeyboardInterrupt, soon; the next question is asked, and gets its answer."""
    cell = asking(client, code)
    at = interrupt(client)
    cell.wait(10)

    assert cell.only_error.ename == "KeyboardInterrupt"
    assert cell.replied_at - at < 2
    # The frontend's answer to the old question, late: it is not the next one's.
    client.attached.request("input_reply", {"value": "late"}, channel="stdin")
    client.attached.ask("kernel_info_request", {})
    assert answered(client, "input('again? ')", "yes").result == "'yes'"


def test_end_of_file(client: BlockingKernelClient) -> None:
    """Ctrl-D in the frontend raises EOFError."""
    for code in ("input('?')", "%%thread\ninput('?')"):
        cell = answered(client, code, "\x04")

        assert cell.only_error.ename == "EOFError"
        assert [text for _, text in cell.only_error.lines] == ["input('?')"]


@pytest.mark.parametrize(
    "code",
    [
        "input = lambda prompt: prompt * 2\ninput('mine')",
        "def input(prompt): return prompt * 2\ninput('mine')",
        "from functools import reduce as input\ninput(lambda a, b: 2 * a, ['mine', 1])",
    ],
)
def test_input_of_the_applications_own(client: BlockingKernelClient, code: str) -> None:
    """What the application, or the cell, calls ``input`` is called as it is."""
    try:
        assert ok(client, code).result == "'minemine'"
        assert ok(client, "input is globals()['input']").result == "True"
    finally:
        ok(client, "del input")
    assert answered(client, "input()", "asked").result == "'asked'"


def test_what_asks_is_gone_with_the_cell(client: BlockingKernelClient) -> None:
    """The application's ``builtins`` have ``ainput`` while a cell runs, and only then."""
    cell = ok(
        client,
        "import builtins\n"
        "found = defer.Deferred()\n"
        "def look():\n"
        "    found.callback([n for n in dir(builtins) if 'input' in n])\n"
        "reactor.callLater(0, look)\n"
        "await found",
    )

    assert cell.result == "['input']"


def test_several_clients_are_asked_at_once(attach: Attach) -> None:
    """Each its own question; answers don't cross."""
    one, other = attach(), attach()
    first, second = asking(one, "input('one?')"), asking(other, "input('other?')")
    other.attached.answer(second, "of other")
    second.wait()
    assert not first.done
    one.attached.answer(first, "of one")
    first.wait()

    assert (first.result, second.result) == ("'of one'", "'of other'")
    for client, cell in ((one, second), (other, first)):
        assert not [
            message
            for message in client.attached.messages
            if message.type == "input_request" and message.parent["msg_id"] == cell.id
        ]


def test_reply_that_nobody_waits_for(client: BlockingKernelClient) -> None:
    """It is dropped, whatever it holds."""
    for content in ({"value": "x"}, {}, {"value": None}):
        client.attached.request("input_reply", content, channel="stdin")

    assert answered(client, "input()", "asked").result == "'asked'"


ASKS_AND_DIES = """
import sys
from jupyter_client import BlockingKernelClient
client = BlockingKernelClient(connection_file=sys.argv[1])
client.load_connection_file()
client.start_channels(hb=False)
client.wait_for_ready(timeout=30)
client.execute(sys.argv[2], allow_stdin=True)
client.get_stdin_msg(timeout=30)
print("asked", flush=True)
sys.stdin.read()
"""


@pytest.mark.parametrize("how", ["input('?')", "%%thread\ninput('?')"])
def test_client_that_vanishes_while_it_is_asked(
    application: RunningApplication, client: BlockingKernelClient, how: str
) -> None:
    """The cell does not wait for ever: it gets an EOFError, and goes on with that."""
    ok(client, "ended_by = None")
    magic, _, call = how.rpartition("\n")
    code = (
        f"{magic}\ntry:\n    {call}\nexcept EOFError as error:\n    ended_by = error"
    ).lstrip()
    vanishing = subprocess.Popen(
        [sys.executable, "-c", ASKS_AND_DIES, str(application.connection_file), code],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env=application.environment,
    )
    with vanishing:
        assert vanishing.stdout is not None
        assert vanishing.stdout.readline() == b"asked\n", application.report()
        vanishing.kill()
    application.wait_until(
        lambda: ok(client, "ended_by").result != "None", what="the end of the cell"
    )
