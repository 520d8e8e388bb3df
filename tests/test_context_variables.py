"""Context variables go into a cell and come out of it, in a real kernel."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from checks import begun, interrupt
from kernels import Kernel


@pytest.fixture
def variable(kernel: Kernel) -> Iterator[Kernel]:
    """The kernel with a context variable ``v`` that has its default, ``unset``."""
    kernel.ok("import contextvars\nv = contextvars.ContextVar('v', default='unset')")
    yield kernel


def test_from_plain_to_awaiting(variable: Kernel) -> None:
    """What a plain cell sets, an awaiting cell reads, before its await and after."""
    variable.ok("v.set('plain')\nNone")
    assert (
        variable.ok("(v.get(), await sleep(0.01), v.get())").result
        == "('plain', None, 'plain')"
    )


def test_from_awaiting_to_plain(variable: Kernel) -> None:
    """What an awaiting cell sets, a plain cell reads."""
    variable.ok("await sleep(0.01)\nv.set('awaited')\nNone")
    assert variable.ok("v.get()").result == "'awaited'"


def test_set_before_the_await(variable: Kernel) -> None:
    """What an awaiting cell sets before its first await comes out too."""
    variable.ok("v.set('before')\nawait sleep(0.01)")
    assert variable.ok("v.get()").result == "'before'"


def test_from_awaiting_to_awaiting(variable: Kernel) -> None:
    """What an awaiting cell sets, the next awaiting cell reads and changes."""
    variable.ok("await sleep(0.01)\nv.set('one')\nNone")
    variable.ok("await sleep(0.01)\nv.set(v.get() + ' two')\nNone")
    assert variable.ok("await sleep(0.01, v.get())").result == "'one two'"


def test_round_and_round(variable: Kernel) -> None:
    """Plain, awaiting, plain, awaiting: each sees what the one before has set."""
    variable.ok("v.set('1')\nNone")
    variable.ok("await sleep(0)\nv.set(v.get() + '2')\nNone")
    variable.ok("v.set(v.get() + '3')\nNone")
    variable.ok("await asyncio.sleep(0.01)\nv.set(v.get() + '4')\nNone")
    assert variable.ok("v.get()").result == "'1234'"


def test_set_in_an_awaited_coroutine(variable: Kernel) -> None:
    """What a coroutine sets that the cell awaits comes out, as in any coroutine."""
    variable.ok("async def inner():\n    await sleep(0.01)\n    v.set('inner')")
    variable.ok("await inner()")
    assert variable.ok("v.get()").result == "'inner'"


def test_set_in_a_task_stays_there(variable: Kernel) -> None:
    """What an asyncio task sets is the task's own, as everywhere in Python."""
    variable.ok("async def inner():\n    v.set('task')\n    return v.get()")
    assert (
        variable.ok("v.set('cell')\nawait asyncio.create_task(inner())").result
        == "'task'"
    )
    assert variable.ok("v.get()").result == "'cell'"


def test_reaches_a_task(variable: Kernel) -> None:
    """A task and a coroutine under ``ensureDeferred`` see what the cell has set."""
    variable.ok("async def inner():\n    await sleep(0.01)\n    return v.get()")
    source = "v.set('cell')\n(await asyncio.create_task(inner()), await ensureDeferred(inner()))"
    assert variable.ok(source).result == "('cell', 'cell')"


def test_set_by_a_cell_that_fails(variable: Kernel) -> None:
    """What a cell has set before it fails comes out."""
    variable.run("await sleep(0)\nv.set('before the error')\n1/0")
    assert variable.ok("v.get()").result == "'before the error'"


def test_set_by_a_cell_that_is_interrupted(variable: Kernel) -> None:
    """What a cell has set before it is interrupted comes out."""
    interrupt(begun(variable, "v.set('before')\nprint('begun')\nawait sleep(60)"))
    assert variable.ok("v.get()").result == "'before'"


def test_token_of_another_cell(variable: Kernel) -> None:
    """A token from one plain cell resets the variable in the next, with awaiting cells between."""
    variable.ok("v.set('first')\nNone")
    variable.ok("await sleep(0)")
    variable.ok("token = v.set('second')\nv.reset(token)")
    assert variable.ok("await sleep(0, v.get())").result == "'first'"


def test_delayed_calls_keep_their_own(variable: Kernel) -> None:
    """Each delayed call runs in the context it was made in, also two that are due at once."""
    variable.ok("seen = []\ndef look(name):\n    seen.append((name, v.get()))")
    variable.ok("await sleep(0)\nv.set('A')\nreactor.callLater(0.2, look, 'a')\nNone")
    variable.ok("await sleep(0)\nv.set('B')\nreactor.callLater(0.2, look, 'b')\nNone")
    variable.wait_for_value("sorted(seen)", [("a", "A"), ("b", "B")])


def test_set_in_a_delayed_call_stays_there(variable: Kernel) -> None:
    """What a delayed call sets does not reach the cells."""
    variable.ok("v.set('cell')\nNone")
    variable.ok("await sleep(0)\ncall = reactor.callLater(0.01, v.set, 'call')")
    variable.wait_for_value("call.called")
    assert variable.ok("await sleep(0, v.get())").result == "'cell'"
    assert variable.ok("v.get()").result == "'cell'"


def test_on_another_reactor(fresh_kernel) -> None:
    """Twisted's default reactor keeps them as well."""
    kernel = fresh_kernel("--TwistedIPython.reactor=default")
    kernel.ok(
        "import contextvars\nv = contextvars.ContextVar('v', default='unset')\nv.set('1')"
    )
    kernel.ok(
        "await sleep(0.01)\nv.set(v.get() + '2')\nawait sleep(0.01)\nv.set(v.get() + '3')"
    )
    assert kernel.ok("v.get()").result == "'123'"


def test_decimal_context(kernel: Kernel) -> None:
    """What the standard library keeps in a context: decimal's precision."""
    kernel.ok("import decimal\ndecimal.getcontext().prec = 5")
    assert (
        kernel.ok("await sleep(0.01, str(decimal.Decimal(1) / 3))").result
        == "'0.33333'"
    )
