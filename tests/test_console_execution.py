"""
Cells of a live console, as the messaging protocol has them: options, numbers, outputs,
errors. On each reactor; the application says nothing meanwhile (``application``).
"""

from __future__ import annotations

import ast
from collections.abc import Callable
from typing import Any

import pytest
from jupyter_client import BlockingKernelClient

from applications import RunningApplication, begun, interrupt, ok, run, start
from kernels import Cell, Message

Attach = Callable[..., BlockingKernelClient]


def send(
    client: BlockingKernelClient, code: str, channel: str = "shell", **options: Any
) -> Cell:
    """Send a cell with these fields of an ``execute_request``."""
    content = {"code": code, "silent": False, **options}
    request = client.attached.request("execute_request", content, channel)
    cell = Cell(client.attached, request, code)
    client.attached.cells.append(cell)
    return cell


def messages(cell: Cell, kind: str) -> list[Message]:
    """The messages of a type that name the cell."""
    return [
        message
        for message in cell.kernel.messages
        if message.parent.get("msg_id") == cell.id and message.type == kind
    ]


# -- Numbers ---------------------------------------------------------------------


def test_execute_input_reaches_all_clients(attach: Attach) -> None:
    """With the code and the number of the reply; marked as the sender's."""
    one, other = attach(), attach()
    cell = ok(one, "40 + 2")

    def seen() -> list[Message]:
        return [
            message
            for message in other.attached.messages
            if message.type == "execute_input" and message.parent["msg_id"] == cell.id
        ]

    other.attached.wait_until(seen)
    for message in (*seen(), *messages(cell, "execute_input")):
        assert message.content == {
            "code": "40 + 2",
            "execution_count": cell.execution_count,
        }
        assert message.parent["session"] == one.session.session
    assert len(seen()) == len(messages(cell, "execute_input")) == 1


def test_cells_are_numbered_through(attach: Attach) -> None:
    """Cells of all clients, failed ones and ``%%thread``, follow one another."""
    one, other = attach(), attach()
    cells = [
        run(one, "1"),
        run(other, "2"),
        run(one, "1 / 0"),
        run(one, "%%thread\n3"),
        run(one, "def"),
        run(other, "%no_such_magic"),
        run(one, "4"),
    ]

    counts = [cell.execution_count for cell in cells]
    assert counts[0] is not None
    assert counts == list(range(counts[0], counts[0] + len(cells)))
    for cell in cells:
        (announced,) = messages(cell, "execute_input")
        assert announced.content["execution_count"] == cell.execution_count
    assert (
        messages(cells[-1], "execute_result")[0].content["execution_count"]
        == (counts[-1])
    )


def test_overlapping_cells_keep_their_numbers(attach: Attach) -> None:
    """A cell that is overtaken shows, and keeps, its result under its own number."""
    one, other = attach(), attach()
    ok(one, "gate = defer.Deferred()")
    slow = begun(one, "await gate\n'slow'")
    quick = ok(other, "'quick'")
    assert not slow.done
    ok(other, "gate.callback(None)")
    slow.wait()

    assert slow.execution_count is not None and quick.execution_count is not None
    assert quick.execution_count == slow.execution_count + 1
    for cell in (slow, quick):
        (shown,) = messages(cell, "execute_result")
        assert shown.content["execution_count"] == cell.execution_count
        n = cell.execution_count
        found = one.attached.value(f"(Out[{n}], _{n}, In[{n}], _i{n})")
        value = ast.literal_eval(str(cell.result))
        assert found == (value, value, cell.source, cell.source)


@pytest.mark.parametrize(
    ("code", "options"),
    [
        ("numbered = 1", {"silent": True}),
        ("numbered = 1", {"store_history": False}),
        ("", {}),
        ("   \n", {}),
    ],
    ids=["silent", "not stored", "empty", "blank"],
)
def test_cells_that_are_not_numbered(
    client: BlockingKernelClient, code: str, options: dict[str, Any]
) -> None:
    """The next cell has the number that it would have had, and history lacks them."""
    before = ok(client, "'before'").execution_count
    assert before is not None
    cell = send(client, code, **options)
    client.attached.wait_until(lambda: cell.done)
    after = ok(client, "In[-2]")

    assert cell.status == "ok"
    assert after.execution_count == before + 1
    assert after.result == "\"'before'\""


def test_silent_cell_is_not_seen(client: BlockingKernelClient) -> None:
    """Nothing of it is published but its states and what it prints; it has run."""
    cell = send(client, "by_silent = 4711\nby_silent", silent=True)
    client.attached.wait_until(lambda: cell.done)

    assert not messages(cell, "execute_input")
    assert not messages(cell, "execute_result")
    assert ok(client, "by_silent").result == "4711"


def test_unstored_cell_leaves_no_input(client: BlockingKernelClient) -> None:
    """``store_history=False`` is shown, and no input of the session."""
    ok(client, "'kept'")
    cell = ok(client, "'only shown'", store_history=False)

    assert cell.result == "'only shown'"
    assert messages(cell, "execute_input")
    assert ok(client, "[each for each in In if 'only ' 'shown' in each]").result == "[]"


# -- What was, by name --------------------------------------------------------------


def test_results_and_inputs_by_name(client: BlockingKernelClient) -> None:
    """``_``, ``__``, ``_N``, ``Out``, ``In``, ``_i`` are there, in no module."""
    first = ok(client, "'a'").execution_count
    ok(client, "'b'")
    assert ok(client, "_, __").result == "('b', 'a')"
    assert ok(client, f"_{first}, Out[{first}], In[{first}]").result == (
        "('a', 'a', \"'a'\")"
    )
    assert ok(client, "_i").result is not None
    assert ok(
        client,
        "sorted(set(globals()) & {'In', 'Out', '_', '__', '_i', 'exit', 'quit',"
        " 'open', 'get_ipython', '_oh', '_ih', '_dh'})",
    ).result in ("[]",)


def test_results_are_all_clients(attach: Attach) -> None:
    """``_`` is the last result, whoever's."""
    one, other = attach(), attach()
    ok(one, "'of one'")

    assert ok(other, "_").result == "'of one'"


def test_semicolon_hides_the_result_of_its_own_cell(attach: Attach) -> None:
    """Also where another client's cell has run meanwhile."""
    one, other = attach(), attach()
    hidden = start(one, "await sleep(0.3, 'hidden');").wait_until_running()
    shown = ok(other, "'shown'")
    hidden.wait().succeeded()

    assert hidden.result is None
    assert shown.result == "'shown'"


def test_inputs_stay_with_their_numbers(attach: Attach) -> None:
    """
    Also after ``exit``, which IPython does not keep; after a cell that was dropped
    before the reactor came to it; and for one that is overtaken by a ``%%thread`` cell.
    """
    one, other = attach(), attach()
    run(one, "exit")
    assert ok(one, "'after exit' and In[-1]").result == repr("'after exit' and In[-1]")
    ok(one, "go_on = False")
    spins = begun(one, "while not go_on: pass")
    dropped = start(other, "never").wait_until_running()
    interrupt(other)
    dropped.wait()
    overtaken = start(other, "'overtaken'").wait_until_running()
    overtakes = ok(attach(), "%%thread\ngo_on = True")
    for cell in (spins, overtaken):
        assert cell.wait().status == "ok", cell.kernel.report()

    assert dropped.only_error.ename == "KeyboardInterrupt"
    for cell in (spins, overtaken, overtakes):
        assert ok(one, f"In[{cell.execution_count}]").result == repr(cell.source)
    last = ok(one, "len(In) - 1")
    assert last.result == str(last.execution_count)


# -- user_expressions ------------------------------------------------------------------


def test_user_expressions(client: BlockingKernelClient) -> None:
    """Evaluated after the cell, in its thread; an error is the expression's own."""
    cell = send(
        client,
        "import threading\nx = 6",
        user_expressions={
            "product": "x * 7",
            "where": "threading.current_thread().name",
            "wrong": "1 / 0",
        },
    )
    client.attached.wait_until(lambda: cell.done)
    assert cell.reply is not None
    found = cell.reply["user_expressions"]

    assert found["product"]["status"] == "ok"
    assert found["product"]["data"]["text/plain"] == "42"
    assert found["where"]["data"]["text/plain"] == "'MainThread'"
    assert found["wrong"]["status"] == "error"
    assert found["wrong"]["ename"] == "ZeroDivisionError"
    assert found["wrong"]["traceback"]
    assert cell.status == "ok"


def test_user_expressions_of_a_failed_cell(client: BlockingKernelClient) -> None:
    """None is evaluated."""
    cell = send(client, "1 / 0", user_expressions={"x": "1"})
    client.attached.wait_until(lambda: cell.done)

    assert cell.reply is not None and cell.reply["user_expressions"] == {}


# -- stop_on_error -----------------------------------------------------------------------


def test_error_aborts_the_clients_own_waiting_cells(attach: Attach) -> None:
    """Those it had sent by then; not those of others, nor its later ones."""
    one, other = attach(), attach()
    ok(one, "gate = defer.Deferred()")
    fails = send(one, "await gate\n1 / 0")
    waiting = [send(one, f"ran_{n} = 1") for n in range(3)]
    one.attached.ask("kernel_info_request", {})  # it has them all
    others = send(other, "ran_other = 1; gate.callback(None)")
    one.attached.wait_until(lambda: all(cell.done for cell in (fails, *waiting)))
    other.attached.wait_until(lambda: others.done)

    assert fails.status == "error"
    assert [cell.status for cell in waiting] == ["aborted"] * 3
    assert not any(messages(cell, "execute_input") for cell in waiting)
    assert others.status == "ok"
    assert ok(one, "'later'").result == "'later'"
    assert ok(one, "'ran_0' in globals(), ran_other").result == "(False, 1)"


@pytest.mark.parametrize("options", [{"stop_on_error": False}, {"silent": True}])
def test_error_that_aborts_nothing(
    client: BlockingKernelClient, options: dict[str, Any]
) -> None:
    """``stop_on_error=False`` leaves the next ones; so does a silent cell."""
    fails = send(client, "1 / 0", **options)
    follows = send(client, "'followed'")
    client.attached.wait_until(lambda: fails.done and follows.done)

    assert fails.status == "error"
    assert follows.status == "ok" and follows.result == "'followed'"


def test_interrupt_aborts_what_waits(client: BlockingKernelClient) -> None:
    """As any error does: cells behind an interrupted one are not run."""
    first = send(client, "await sleep(600)")
    first.wait_until_running()
    second = send(client, "ran_behind = 1")
    # Both are there before the interrupt is: a request behind them is answered.
    client.attached.ask("kernel_info_request", {})
    interrupt(client)
    client.attached.wait_until(lambda: first.done and second.done)

    assert first.only_error.ename == "KeyboardInterrupt"
    assert second.status == "aborted"
    assert ok(client, "'ran_behind' in globals()").result == "False"


# -- Payloads ------------------------------------------------------------------------------


def payloads(cell: Cell) -> list[dict[str, Any]]:
    assert cell.reply is not None
    return list(cell.reply["payload"])


def test_question_mark_is_a_page(client: BlockingKernelClient) -> None:
    """``x?`` and ``x??`` come as a page, and not as output."""
    ok(client, 'def explained():\n    """The explanation."""\n    return 4711')
    little, much = ok(client, "explained?"), ok(client, "explained??")

    for cell in (little, much):
        (page,) = payloads(cell)
        assert page["source"] == "page"
        assert "The explanation." in page["data"]["text/plain"]
        assert cell.output == ""
    assert "4711" not in little.page and "4711" in much.page


def test_pages_go_to_their_own_client(attach: Attach) -> None:
    """What one cell pages is not in the reply to another."""
    one, other = attach(), attach()
    slow = start(one, "await sleep(0.3)\nget_ipython().run_line_magic('pinfo', 'tick')")
    slow.wait_until_running()
    quick = ok(other, "hello?")
    slow.wait().succeeded()

    assert len(payloads(quick)) == len(payloads(slow)) == 1
    assert "tick()" in slow.page and "tick()" not in quick.page


def test_set_next_input(client: BlockingKernelClient) -> None:
    """What the prompt is to hold next."""
    cell = ok(client, "get_ipython().set_next_input('tick()')")

    (payload,) = payloads(cell)
    assert payload["source"] == "set_next_input" and payload["text"] == "tick()"


@pytest.mark.parametrize("code", ["exit", "quit", "exit()", "quit()"])
def test_exit_asks_the_frontend_to_leave(
    application: RunningApplication, client: BlockingKernelClient, code: str
) -> None:
    """The frontend leaves and is told to keep the kernel; the application goes on."""
    cell = ok(client, code)

    (payload,) = payloads(cell)
    assert payload["source"] == "ask_exit" and payload["keepkernel"] is True
    assert ok(client, "1").result == "1"


@pytest.mark.parametrize(
    "code",
    [
        "import sys; sys.exit()",
        "raise SystemExit(3)",
        "import sys\nawait sleep(0.01)\nsys.exit()",
        "%%thread\nimport sys; sys.exit(1)",
    ],
)
def test_system_exit_is_an_error_of_the_cell(
    client: BlockingKernelClient, code: str
) -> None:
    """The cell is answered, and the application goes on."""
    cell = run(client, code)

    assert cell.reply is not None
    assert ok(client, "1").result == "1"


# -- Streams -------------------------------------------------------------------------------


def test_streams(client: BlockingKernelClient) -> None:
    """Both, by name, whole, in order."""
    cell = run(
        client,
        "import sys\n"
        "for n in range(1000): print(n)\n"
        "print('to stderr', file=sys.stderr)\n"
        "sys.stdout.write('without end')",
    )

    assert cell.stdout == "".join(f"{n}\n" for n in range(1000)) + "without end"
    assert cell.stderr == "to stderr\n"


def test_streams_of_overlapping_cells(attach: Attach) -> None:
    """Each line has the parent of the cell that printed it, awaits and tasks included."""
    one, other = attach(), attach()
    code = (
        "import sys\n"
        "async def {name}():\n"
        "    for n in range(20):\n"
        "        print('{name}', n)\n"
        "        await sleep(0.01)\n"
        "    print('{name} ended', file=sys.stderr)\n"
        "await {name}()"
    )
    cells = [
        start(one, code.format(name="first")),
        start(other, code.format(name="second")),
    ]
    for cell, name in zip(cells, ("first", "second"), strict=True):
        cell.wait()
        assert cell.stdout == "".join(f"{name} {n}\n" for n in range(20))
        assert cell.stderr == f"{name} ended\n"


def test_output_arrives_while_the_cell_runs(client: BlockingKernelClient) -> None:
    """What was printed before an await, and in the midst of a long turn, is there."""
    awaits = start(client, "print('before')\nawait sleep(600)")
    awaits.wait_for_output("before")
    assert not awaits.done
    interrupt(client)
    awaits.wait()
    spins = start(client, "print('spins')\nwhile True: pass")
    spins.wait_for_output("spins")
    assert not spins.done
    interrupt(client)
    spins.wait()


def test_large_output(client: BlockingKernelClient) -> None:
    """Megabytes arrive whole, and before the cell is idle."""
    cell = ok(client, "print('x' * 5_000_000)")

    assert len(cell.stdout) == 5_000_001


def test_warning_is_shown_under_its_cell(client: BlockingKernelClient) -> None:
    """And is not in the application's log; what it leaves behind warns there."""
    cell = run(client, "import warnings\nwarnings.warn('of the cell')")

    assert "UserWarning: of the cell" in cell.stderr
    code = "warnings.showwarning.__module__.partition('.')[0]"
    asked = ok(
        client,
        "later = defer.Deferred()\n"
        f"reactor.callLater(0, lambda: later.callback({code}))\n"
        "await later",
    )
    assert asked.result in ("'twisted'", "'warnings'")


@pytest.mark.parametrize(
    ("code", "printed"),
    [
        ("print('é 🐍 \\x00')", "é 🐍 \x00\n"),
        ("print('lone \\ud800 surrogate')", None),
        ("'\\ud800'", None),
        (
            "import sys; print(sys.stdout.isatty(), sys.stdout.encoding)",
            "False UTF-8\n",
        ),
    ],
)
def test_text_of_any_kind(
    client: BlockingKernelClient, code: str, printed: str | None
) -> None:
    """Whatever it is, the cell is answered and the console goes on."""
    cell = run(client, code)

    if printed is not None:
        assert cell.stdout == printed
    assert ok(client, "1").result == "1"


# -- Values --------------------------------------------------------------------------------


def test_execute_result(client: BlockingKernelClient) -> None:
    """All forms that the object offers, with its metadata and the cell's number."""
    cell = ok(
        client,
        "class Rich:\n"
        "    def __repr__(self): return 'plain'\n"
        "    def _repr_html_(self): return '<b>rich</b>', {'isolated': True}\n"
        "Rich()",
    )
    (message,) = messages(cell, "execute_result")

    assert message.content["data"] == {
        "text/plain": "plain",
        "text/html": "<b>rich</b>",
    }
    assert message.content["metadata"] == {"text/html": {"isolated": True}}
    assert message.content["execution_count"] == cell.execution_count


def test_display_and_update(client: BlockingKernelClient) -> None:
    """``display_id`` names what a later message updates, from another cell as well."""
    cell = ok(client, "shown = display('one', display_id=True)\nshown.update('two')")
    later = ok(client, "shown.update('three')")

    assert [each["text/plain"] for each in cell.displays] == ["'one'"]
    (name,) = cell.display_ids
    assert name
    for source, text in ((cell, "'two'"), (later, "'three'")):
        (update,) = messages(source, "update_display_data")
        assert update.content["transient"]["display_id"] == name
        assert update.content["data"]["text/plain"] == text


def test_display_of_overlapping_cells(attach: Attach) -> None:
    """Each display has its own cell's parent."""
    one, other = attach(), attach()
    slow = start(one, "await sleep(0.3)\ndisplay('slow')").wait_until_running()
    quick = ok(other, "display('quick')")
    slow.wait().succeeded()

    assert [each["text/plain"] for each in slow.displays] == ["'slow'"]
    assert [each["text/plain"] for each in quick.displays] == ["'quick'"]


def test_display_in_order_with_prints(client: BlockingKernelClient) -> None:
    """What was printed before a display comes before it."""
    cell = ok(client, "print('a')\ndisplay('b')\nprint('c')\n'd'")

    assert cell.output == "a\n'b'\nc\n'd'\n"


@pytest.mark.parametrize("wait", [False, True])
def test_clear_output(client: BlockingKernelClient, wait: bool) -> None:
    """Comes after what was printed before, with ``wait`` as it was asked."""
    cell = ok(
        client,
        "from IPython.display import clear_output\n"
        f"print('gone')\nclear_output(wait={wait})\nprint('stays')",
    )
    kinds = [
        message.type
        for message in cell.kernel.messages
        if message.parent.get("msg_id") == cell.id
        and message.type in ("stream", "clear_output")
    ]

    assert kinds == ["stream", "clear_output", "stream"]
    assert messages(cell, "clear_output")[0].content == {"wait": wait}


def test_value_that_can_not_be_shown(client: BlockingKernelClient) -> None:
    """Its error is shown under the cell; the console goes on."""
    cell = run(
        client,
        "class Broken:\n    def __repr__(self): raise ValueError('by repr')\nBroken()",
    )

    assert "by repr" in cell.output
    assert ok(client, "1").result == "1"


# -- Errors --------------------------------------------------------------------------------


def test_error(client: BlockingKernelClient) -> None:
    """The same in the ``error`` message and in the reply; one of each."""
    cell = run(client, "def divide(x):\n    return x / 0\ndivide(1)")
    error = cell.only_error

    assert (error.ename, error.evalue) == ("ZeroDivisionError", "division by zero")
    assert [text for _, text in error.lines] == ["divide(1)", "return x / 0"]
    assert cell.reply is not None and cell.reply["status"] == "error"
    for field in ("ename", "evalue", "traceback"):
        (message,) = messages(cell, "error")
        assert cell.reply[field] == message.content[field]
    assert (
        cell.reply["execution_count"]
        == (messages(cell, "execute_input")[0].content["execution_count"])
    )


def test_error_in_a_thread_cell(client: BlockingKernelClient) -> None:
    """Its traceback has the cell's own frames, from the first one on."""
    cell = run(client, "%%thread\ndef divide(x):\n    return x / 0\ndivide(1)")

    assert cell.only_error.lines == [
        (4, "divide(1)"),
        (3, "return x / 0"),
    ]


@pytest.mark.parametrize(
    ("code", "name"),
    [
        ("def", "SyntaxError"),
        ("if 1:\nx", "IndentationError"),
        ("raise KeyError('k')", "KeyError"),
        ("await sleep(0.01)\n[][1]", "IndexError"),
        ("await defer.fail(OSError('by a Deferred'))", "OSError"),
        ("%no_such", "UsageError"),
        ("%%thread\n1 / 0", "ZeroDivisionError"),
        ("%%thread\ndef", "SyntaxError"),
    ],
)
def test_errors_of_all_kinds(
    client: BlockingKernelClient, code: str, name: str
) -> None:
    """Each is answered with its name, and shown."""
    cell = run(client, code)

    assert cell.reply is not None
    assert cell.reply["status"] == "error"
    assert cell.reply["ename"] == name, cell.reply
    assert cell.errors or cell.stderr, cell.kernel.report()
    assert ok(client, "1").result == "1"


def test_error_without_a_text(client: BlockingKernelClient) -> None:
    """An error whose ``__str__`` fails is answered all the same."""
    cell = run(
        client,
        "class Mute(Exception):\n    def __str__(self): raise RuntimeError\nraise Mute",
    )

    assert cell.status == "error" and cell.errors
    assert ok(client, "1").result == "1"


def test_errors_of_overlapping_cells(attach: Attach) -> None:
    """Each reply has the traceback of its own cell."""
    one, other = attach(), attach()
    slow = start(one, "await sleep(0.3)\nraise ValueError('slow')")
    slow.wait_until_running()
    quick = run(other, "raise ValueError('quick')")
    slow.wait()

    for cell, text in ((slow, "slow"), (quick, "quick")):
        assert cell.only_error.evalue == text
        assert cell.reply is not None
        assert cell.reply["evalue"] == text
        assert text in cell.reply["traceback"][-1]


# -- Other channels ------------------------------------------------------------------------


def test_execute_on_the_control_channel(client: BlockingKernelClient) -> None:
    """It is run beside the client's cells, in the reactor thread, and answered there."""
    awaits = begun(client, "await sleep(600)")
    cell = send(
        client, "import threading\nthreading.current_thread().name", channel="control"
    )
    client.attached.wait_until(lambda: cell.done)

    assert not awaits.done
    assert cell.status == "ok" and cell.result == "'MainThread'"
    (reply,) = messages(cell, "execute_reply")
    assert reply.channel == "control"
    interrupt(client)
    awaits.wait()
