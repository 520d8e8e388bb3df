"""Loading, reloading and unloading, in a real kernel."""

from __future__ import annotations

import subprocess
import sys

import pytest

from checks import a_sentence, awaits, no_more_than_said
from kernels import HELPERS, Kernel

SNAPSHOT = """\
def _callbacks(events):
    return {name: [repr(f) for f in found] for name, found in sorted(events.callbacks.items())}

def _hooks(shell):
    return {name: repr(hook) for name, hook in sorted(shell.hooks.items())}

def snapshot():
    shell = get_ipython()
    completer = shell.Completer
    return dict(
        line_magics=sorted(shell.magics_manager.magics["line"]),
        cell_magics=sorted(shell.magics_manager.magics["cell"]),
        magic_objects=sorted(str(name) for name in shell.magics_manager.registry),
        loop_runner=str(shell.loop_runner),
        same_runner=shell.loop_runner is shell.loop_runner_map["asyncio"][0],
        autoawait=shell.autoawait,
        runners=sorted(shell.loop_runner_map),
        callbacks=_callbacks(shell.events),
        input_cleanup=[repr(f) for f in shell.input_transformer_manager.cleanup_transforms],
        input_lines=[repr(f) for f in shell.input_transformer_manager.line_transforms],
        input_tokens=[repr(f) for f in shell.input_transformer_manager.token_transformers],
        input_post=[repr(f) for f in shell.input_transformers_post],
        trees=[repr(f) for f in shell.ast_transformers],
        hooks=_hooks(shell),
        matchers=[getattr(f, "__qualname__", repr(f)) for f in completer.custom_matchers],
        completers=sorted(map(str, shell.strdispatchers.keys()))
        if hasattr(shell, "strdispatchers") else None,
        custom_completions=sorted(completer.custom_completers.s_matches("%crochet_config"))
        if completer.custom_completers else [],
        formatters={kind: [sorted(map(str, f.type_printers)), sorted(map(str, f.deferred_printers))]
                    for kind, f in sorted(shell.display_formatter.formatters.items())},
        custom_tracebacks=[str(kind) for kind in shell.custom_exceptions],
        attributes=sorted(vars(shell)),
        configurables=sorted(type(c).__name__ for c in shell.configurables),
        streams=[type(sys.stdout).__name__, type(sys.stderr).__name__],
        displays=[type(shell.display_pub).__name__, type(shell.displayhook).__name__],
        exception_hooks=[
            repr(hook) for hook in (sys.excepthook, threading.excepthook, sys.unraisablehook)],
        handlers={s.name: repr(signal.getsignal(s))
                  for s in (signal.SIGINT, signal.SIGTERM, signal.SIGCHLD)},
        names=sorted(n for n in shell.user_ns if not n.startswith("_")),
        hidden=sorted(n for n in shell.user_ns_hidden if not n.startswith("_")),
        builtins=sorted(vars(builtins)),
        meta_path=[repr(f) for f in sys.meta_path],
        shell_methods=[name for name, it in vars(shell).items()
                       if callable(it) and "twisted_ipython" in str(getattr(it, "__module__", ""))],
    )

import builtins, signal, sys, threading

# IPython makes the objects behind its magics when they are first asked for.
for _kind in ("line", "cell"):
    for _name in list(get_ipython().magics_manager.magics[_kind]):
        get_ipython().find_magic(_name, _kind)
"""


def differences(
    before: dict[str, object], after: dict[str, object]
) -> dict[str, object]:
    return {
        name: (before.get(name), after.get(name))
        for name in sorted({*before, *after})
        if before.get(name) != after.get(name)
    }


@pytest.mark.parametrize(
    "magic, kind",
    [
        ("crochet_config", "line"),
        ("twisted_config", "line"),
        ("run_in_reactor", "cell"),
    ],
)
def test_adds_the_magics(kernel: Kernel, magic: str, kind: str) -> None:
    """Loading adds %crochet_config, %twisted_config and %%run_in_reactor."""
    assert kernel.value(f"get_ipython().find_magic({magic!r}, {kind!r}) is not None")


def test_autoawait_in_the_cell_that_loads(bare_kernel) -> None:
    """``%autoawait twisted`` beside ``%load_ext`` in one cell holds for the next cell."""
    kernel = bare_kernel()
    kernel.ok("%load_ext twisted_ipython\n%autoawait twisted")
    cell = kernel.ok(
        "from twisted.internet import reactor, task\n"
        "await task.deferLater(reactor, 0.01, lambda: 'works')"
    )
    assert cell.result == "'works'"


def test_autoawait_alone_names_the_runner(kernel: Kernel) -> None:
    """``%autoawait`` prints ``twisted``, and no address."""
    said = kernel.ok("%autoawait").stdout
    assert "`on`" in said
    assert "`twisted`" in said
    assert "0x" not in said


def test_does_not_switch_awaiting_on_by_itself(fresh_kernel) -> None:
    """Without ``c.TwistedIPython.autoawait``, loading leaves autoawait as it was."""
    kernel = fresh_kernel(await_twisted=False)
    assert "`asyncio`" in kernel.ok("%autoawait").stdout
    assert (
        kernel.ok("import asyncio\nawait asyncio.sleep(0, 'stock')").result == "'stock'"
    )


def test_registers_the_runner_as_twisted(fresh_kernel) -> None:
    """The runner's name for ``%autoawait`` is ``twisted``; the others stay."""
    kernel = fresh_kernel(await_twisted=False)
    runners = kernel.value("sorted(get_ipython().loop_runner_map)")
    assert "twisted" in runners
    assert {"asyncio", "trio", "sync"} <= set(runners)


def test_autoawait_goes_to_asyncio_and_back(fresh_kernel) -> None:
    """``%autoawait asyncio`` gives IPython's own back, ``%autoawait twisted`` ours again."""
    kernel = fresh_kernel()
    kernel.ok("%autoawait asyncio")
    kernel.ok(
        "await asyncio.sleep(0)\nassert threading.current_thread() is threading.main_thread()"
    )
    kernel.ok("%autoawait twisted")
    awaits(kernel)


def test_autoawait_by_command_line(bare_kernel) -> None:
    """``--TwistedIPython.autoawait=True`` switches awaiting on when the extension is loaded."""
    kernel = bare_kernel("--TwistedIPython.autoawait=True")
    kernel.ok("%load_ext twisted_ipython")
    kernel.ok(HELPERS)
    awaits(kernel)


def test_autoawait_by_configuration_file(bare_kernel) -> None:
    """``c.TwistedIPython.autoawait = True`` with the extension loaded by the same file."""
    kernel = bare_kernel(
        config=(
            "c = get_config()\n"
            "c.InteractiveShellApp.extensions = ['twisted_ipython']\n"
            "c.TwistedIPython.autoawait = True\n"
        )
    )
    kernel.ok(HELPERS)
    awaits(kernel)


def test_import_installs_no_reactor() -> None:
    """Importing the package, or any module of it, leaves the reactor to the application."""
    program = (
        "import importlib, pkgutil, sys, twisted_ipython\n"
        "for module in pkgutil.walk_packages(twisted_ipython.__path__, 'twisted_ipython.'):\n"
        "    if not module.name.endswith('__main__'):\n"
        "        importlib.import_module(module.name)\n"
        "print('twisted.internet.reactor' in sys.modules)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=60
    )
    assert done.stdout == "False\n", done.stdout + done.stderr


# The reactor


def reactor_type(kernel: Kernel) -> str:
    kernel.ok("import sys")
    return str(kernel.value("type(sys.modules['twisted.internet.reactor']).__name__"))


def test_reactor_is_asyncio(fresh_kernel) -> None:
    """The default is a genuine AsyncioSelectorReactor, on a loop that is not the kernel's."""
    kernel = fresh_kernel()
    kernel.ok("from twisted.internet.asyncioreactor import AsyncioSelectorReactor")
    assert kernel.value("type(reactor) is AsyncioSelectorReactor")
    kernel.ok("await sleep(0)\nloop = asyncio.get_running_loop()")
    kernel.ok("%autoawait asyncio")
    kernel.ok("await asyncio.sleep(0)\nassert asyncio.get_running_loop() is not loop")


def test_reactor_default_is_twisteds_choice(fresh_kernel) -> None:
    """``reactor=default`` installs what Twisted itself would."""
    program = "from twisted.internet import reactor; print(type(reactor).__name__)"
    twisteds = subprocess.run(
        [sys.executable, "-c", program],
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    ).stdout.strip()
    kernel = fresh_kernel("--TwistedIPython.reactor=default")
    assert reactor_type(kernel) == twisteds
    awaits(kernel)


@pytest.mark.parametrize(
    "name, kind", [("select", "SelectReactor"), ("poll", "PollReactor")]
)
def test_reactor_by_name(fresh_kernel, name: str, kind: str) -> None:
    """``reactor`` takes the names that ``twist --reactor`` knows."""
    kernel = fresh_kernel(f"--TwistedIPython.reactor={name}")
    assert reactor_type(kernel) == kind
    awaits(kernel)


def test_reactor_of_unknown_name(bare_kernel) -> None:
    """A reactor nobody knows is refused in one sentence that names it; the kernel goes on."""
    kernel = bare_kernel("--TwistedIPython.reactor=nonsense")
    assert "nonsense" in a_sentence(kernel.run("%load_ext twisted_ipython"))
    assert kernel.ok("1 + 1").result == "2"


def test_reactor_installed_before_is_used(bare_kernel) -> None:
    """A reactor that is installed already is used as it is."""
    kernel = bare_kernel()
    kernel.ok(
        "from twisted.internet import selectreactor\n"
        "selectreactor.install()\n"
        "from twisted.internet import reactor as mine"
    )
    kernel.ok("%load_ext twisted_ipython\n%autoawait twisted")
    kernel.ok(HELPERS)
    assert kernel.value("reactor is mine")
    awaits(kernel)


# crochet


def test_crochet_works_for_users(kernel: Kernel) -> None:
    """``crochet.run_in_reactor``, ``wait_for`` and ``EventualResult`` work in plain cells."""
    kernel.ok(
        "@crochet.run_in_reactor\n"
        "def later():\n"
        "    return sleep(0.01, 'later')\n"
        "\n"
        "@crochet.wait_for(timeout=10)\n"
        "def now():\n"
        "    return sleep(0.01, 'now')\n"
    )
    assert kernel.ok("later().wait(10)").result == "'later'"
    assert kernel.ok("now()").result == "'now'"
    assert kernel.value("isinstance(later(), crochet.EventualResult)")


def test_crochet_setup_after_load_is_harmless(kernel: Kernel) -> None:
    """A library that calls ``crochet.setup()`` by habit changes nothing."""
    kernel.ok("crochet.setup()")
    kernel.ok("crochet.setup()")
    awaits(kernel)


# Loading more than once


def test_load_twice(fresh_kernel) -> None:
    """A second ``%load_ext`` gives IPython's own notice, and everything still works."""
    kernel = fresh_kernel()
    again = kernel.run("%load_ext twisted_ipython")
    assert again.status == "ok" and "already loaded" in again.stdout
    awaits(kernel)


def test_reload_leaves_one_of_each(fresh_kernel) -> None:
    """After three ``%reload_ext`` there is one of each hook, as after one load."""
    kernel = fresh_kernel(await_twisted=False)
    kernel.ok(SNAPSHOT)

    def counts() -> dict[str, object]:
        """Names without addresses: objects may be new, their number may not."""
        kernel.ok(
            "import re\n"
            "def nameless(x):\n"
            "    return re.sub('0x[0-9a-f]+', '', repr(x))\n"
            "threads_now = sorted(t.name for t in threading.enumerate())"
        )
        found = {
            key: kernel.value(f"nameless(snapshot()[{key!r}])")
            for key in kernel.value("list(snapshot())")
            if key != "names"
        }
        found["threads"] = kernel.value("threads_now")
        return found

    counts()  # What the looking itself brings is there now.
    once = counts()
    for _ in range(3):
        kernel.ok("%reload_ext twisted_ipython")
    assert differences(once, counts()) == {}
    no_more_than_said(kernel)


def test_reload_works_on(fresh_kernel) -> None:
    """Cells await after three reloads as before, and one cell gives one result."""
    kernel = fresh_kernel()
    kernel.ok("first = reactor")
    for _ in range(3):
        kernel.ok("%reload_ext twisted_ipython")
    kernel.ok("%autoawait twisted")
    awaits(kernel)
    assert kernel.value("reactor is first")
    error = kernel.run("await sleep(0)\n1/0").only_error
    assert error.ename == "ZeroDivisionError"
    kernel.ok("%%run_in_reactor er\nreturn 5")
    assert kernel.ok("er.wait(5)").result == "5"


def test_reload_keeps_awaiting(bare_kernel) -> None:
    """With ``autoawait`` configured, awaiting is on after a reload too."""
    kernel = bare_kernel("--TwistedIPython.autoawait=True")
    kernel.ok("%load_ext twisted_ipython")
    kernel.ok("%reload_ext twisted_ipython")
    kernel.ok(HELPERS)
    awaits(kernel)


# Unloading


def test_unload_gives_the_shell_back(bare_kernel) -> None:
    """After ``%unload_ext`` the shell is exactly as it was before ``%load_ext``."""
    kernel = bare_kernel()
    kernel.ok(SNAPSHOT)
    kernel.ok("before = snapshot()")
    kernel.ok("before = snapshot()")  # What looking brings is there now.
    kernel.ok("%load_ext twisted_ipython\n%autoawait twisted")
    kernel.ok("from twisted.internet.defer import succeed\nawait succeed(1)")
    kernel.ok("%%run_in_reactor er\nreturn 1")
    kernel.ok("del succeed, er")
    kernel.run("%crochet_config nonsense")
    kernel.complete("%crochet_config ")
    kernel.ok("%unload_ext twisted_ipython")
    kernel.ok("after = snapshot()")
    changed = kernel.value("[key for key in after if after[key] != before[key]]")
    assert changed == [], {
        key: (kernel.value(f"before[{key!r}]"), kernel.value(f"after[{key!r}]"))
        for key in changed
    }


def test_unload_gives_back_stock_awaiting(fresh_kernel) -> None:
    """After unloading, a cell awaits asyncio on the kernel's own loop again."""
    kernel = fresh_kernel()
    kernel.ok("%unload_ext twisted_ipython")
    said = kernel.ok("%autoawait").stdout
    assert "`asyncio`" in said
    cell = kernel.ok(
        "await asyncio.sleep(0)\nthreading.current_thread() is threading.main_thread()"
    )
    assert cell.result == "True"


def test_unload_gives_back_another_runner(bare_kernel) -> None:
    """What autoawait was before loading is what it is after unloading: here, off."""
    kernel = bare_kernel()
    kernel.ok("%autoawait off")
    kernel.ok("%load_ext twisted_ipython\n%autoawait twisted")
    kernel.ok("%unload_ext twisted_ipython")
    assert "`off`" in kernel.ok("%autoawait").stdout


@pytest.mark.parametrize("magic", ["%crochet_config show", "%%run_in_reactor\n1"])
def test_unload_takes_the_magics(fresh_kernel, magic: str) -> None:
    """After unloading, IPython says that the magics are not found."""
    kernel = fresh_kernel()
    kernel.ok("%unload_ext twisted_ipython")
    cell = kernel.run(magic)
    assert cell.status == "error" and "not found" in cell.output


def test_unload_keeps_the_reactor(fresh_kernel) -> None:
    """The reactor runs on without the extension, and serves a later load."""
    kernel = fresh_kernel()
    kernel.ok(
        "fired = []\ndef fire():\n    fired.append(threading.get_ident())\nold = reactor"
    )
    kernel.ok("await sleep(0)\nhere = threading.get_ident()")
    kernel.ok("%unload_ext twisted_ipython")
    kernel.ok("reactor.callFromThread(reactor.callLater, 0.05, fire)")
    kernel.wait_for_value("fired == [here]")
    kernel.ok("%load_ext twisted_ipython\n%autoawait twisted")
    kernel.ok(
        "await sleep(0)\nassert threading.get_ident() == here\nassert reactor is old"
    )
    awaits(kernel)


def test_unload_gives_the_reactor_back(fresh_kernel) -> None:
    """What the extension put on the reactor is gone after unloading."""
    kernel = fresh_kernel()
    kernel.ok("await sleep(0)")
    kernel.ok("%unload_ext twisted_ipython")
    ours = kernel.value(
        "[name for name, it in vars(reactor).items()"
        " if callable(it) and str(getattr(it, '__module__', '')).startswith('twisted_ipython')]"
    )
    assert ours == []


def test_unload_keeps_crochet(fresh_kernel) -> None:
    """Functions that crochet wraps still run in the reactor after unloading."""
    kernel = fresh_kernel()
    kernel.ok("@crochet.run_in_reactor\ndef f():\n    return sleep(0.01, 'still')")
    kernel.ok("%unload_ext twisted_ipython")
    assert kernel.ok("f().wait(10)").result == "'still'"


def test_unload_without_load(bare_kernel) -> None:
    """Unloading what was never loaded gives IPython's own notice."""
    kernel = bare_kernel()
    cell = kernel.run("%unload_ext twisted_ipython")
    assert cell.status == "ok" and not cell.errors


def test_unload_and_load_five_times(fresh_kernel) -> None:
    """Load and unload in turn leaves one reactor thread and works each time."""
    kernel = fresh_kernel()
    kernel.ok("threads_before = threading.active_count()")
    for _ in range(5):
        kernel.ok("%unload_ext twisted_ipython")
        kernel.ok("%load_ext twisted_ipython\n%autoawait twisted")
        awaits(kernel)
    assert kernel.value("threading.active_count() - threads_before") == 0
    no_more_than_said(kernel)


def test_reload_goes_on_awaiting(fresh_kernel) -> None:
    """After ``%reload_ext``, the runner is the one that it was before."""
    kernel = fresh_kernel()
    kernel.ok("%reload_ext twisted_ipython")
    assert kernel.ok("await sleep(0.01, 'awaited')").result == "'awaited'"
    kernel.ok("%unload_ext twisted_ipython")
    kernel.ok("%load_ext twisted_ipython")
    assert "asyncio" in kernel.ok("%autoawait").stdout
