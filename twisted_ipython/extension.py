"""
What ``%load_ext`` switches on, and its exact reverse.
"""

from __future__ import annotations

from contextlib import ExitStack
from typing import Any

from IPython.core.completer import (
    CompletionContext,
    SimpleCompletion,
    SimpleMatcherResult,
    context_matcher,
)
from IPython.core.error import UsageError
from IPython.core.magic import Magics

from . import cell_reactor, cells, eventual, thread_contexts
from .advice import add_advice, add_runner_advice
from .background.collector import background_of
from .background.magic import BackgroundMagics, background_matcher
from .background.reruns import Reruns
from .bridge import bridge
from .errors import CannotLoad, shown
from .internals import ipykernel, ipython
from .interrupts import Interrupts
from .magics import CROCHET_SETTINGS, TwistedMagics, completions, live_settings
from .output import above_prompt, captures, failures
from .output.followed_cells import follow_cells
from .output.log_magic import TwistedLogMagics
from .output.reports import mark_shown
from .raw_cells import RawCells
from .reactors import shared_reactor
from .runner import Runner
from .settings import TwistedIPython
from .shared_reactor import SharedReactor
from .stops import CellStop
from .timing.magics import AwaitingMagics
from .tracebacks import HiddenFrames, raised_in, was_suspended
from .values import formatters

RUNNER_NAME = "twisted"

# By the shell they are for. Kept here and not in the package itself, which
# %reload_ext executes again.
_loaded: dict[Any, ExitStack] = {}
_interrupts: dict[Any, Interrupts] = {}

# Of shells that awaited Twisted when the extension was unloaded: the result of the
# cell before. It tells %reload_ext, which unloads and loads in one cell.
_awaited: dict[Any, Any] = {}

# What is there once for all shells: on with the first, off with the last.
_everywhere = ExitStack()


def load(shell: Any) -> None:
    """See ``twisted_ipython.load_ipython_extension``."""
    if shell in _loaded:
        return
    if getattr(shell, "is_live_console", False):
        raise UsageError(
            "this is a live console: its cells await Deferreds already, in the "
            "application's reactor thread; the extension is for other kernels"
        )
    settings = TwistedIPython(parent=shell)
    try:
        shared = shared_reactor(settings.reactor, ipykernel.kernel_loop(shell))
    except CannotLoad as error:
        raise UsageError(str(error)) from error
    with ExitStack() as everywhere, ExitStack() as undo:
        if not _loaded:
            _switch_on_everywhere(settings, shared, everywhere)
        _switch_on(shell, settings, shared, undo)
        _loaded[shell] = undo.pop_all()
        _everywhere.push(everywhere.pop_all())


def unload(shell: Any) -> None:
    """See ``twisted_ipython.unload_ipython_extension``."""
    undo = _loaded.pop(shell, None)
    if undo is not None:
        undo.close()
        if not _loaded:
            _everywhere.close()


def _switch_on_everywhere(
    settings: TwistedIPython, shared: SharedReactor, undo: ExitStack
) -> None:
    undo.callback(shared.take_over())
    undo.callback(thread_contexts.keep_contexts())
    undo.callback(captures.let_others_pass())
    undo.callback(background_of(shared).watch())
    undo.callback(
        cell_reactor.switch_on(shared, lambda: settings.threads, lambda: settings.rerun)
    )
    watcher, stop_watching = failures.watch(
        shared, background_of(shared).results.origin
    )
    undo.callback(stop_watching)
    if shared.loop is not None:
        undo.callback(bridge(shared.loop, watcher.note_task))
    undo.callback(eventual.make_awaitable(shared.reactor))


def _switch_on(
    shell: Any, settings: TwistedIPython, shared: SharedReactor, undo: ExitStack
) -> None:
    """Each step beside what undoes it; they are undone in reverse order."""
    undo.callback(ipython.before_exit(shell, shared.end))
    if getattr(shell, "pt_app", None) is not None:
        undo.callback(above_prompt.switch_on())
    background = background_of(shared)
    reruns = Reruns(background, lambda: settings.rerun)
    undo.callback(follow_cells(shell, reruns.running))
    undo.callback(formatters.switch_on(shell, shared))

    interrupts = _interrupts.setdefault(
        shell, Interrupts(shell, shared.in_reactor_thread)
    )
    undo.callback(interrupts.switch_on())

    hidden = HiddenFrames()

    def is_wanted(error: BaseException) -> bool:
        if isinstance(error, CellStop) and error.unwanted:
            return False
        if isinstance(error, KeyboardInterrupt) and shared.runs_abandoned():
            return False  # the user was told when the prompt was given back
        # A cell that was dropped is closed by the garbage collector: in IPython,
        # that would be an error of a later cell.
        return not (isinstance(error, GeneratorExit) and was_suspended(error))

    def prepare(error: BaseException) -> BaseException:
        error = shown(error)
        if isinstance(error, SyntaxError) and raised_in(error, cells.__file__):
            error.__traceback__ = None  # the cell did not run: there is no stack
        if shared.in_reactor_thread():
            add_advice(error, with_asyncio=shared.loop is not None)
        add_runner_advice(error)
        mark_shown(error)
        if shell.InteractiveTB.mode == "Verbose":
            hidden.show(error)
        else:
            hidden.hide(error)
        return error

    undo.callback(
        ipython.watch_exceptions(shell, prepare, is_wanted, shared.showing_error)
    )
    undo.callback(ipython.correct_lines(shell))

    raw_cells = RawCells()
    shell.events.register("pre_run_cell", raw_cells.note)
    undo.callback(shell.events.unregister, "pre_run_cell", raw_cells.note)

    magics = TwistedMagics(shell, settings, shared.host, raw_cells)
    _add_magics(shell, magics, undo)
    log_magics = TwistedLogMagics(shell)
    _add_magics(shell, log_magics, undo)
    undo.callback(log_magics.switch_off)
    undo.callback(ipython.allow_empty_body(shell, "run_in_reactor"))
    _add_magics(shell, BackgroundMagics(shell, background), undo)
    commands = {
        "%crochet_config": CROCHET_SETTINGS,
        "%twisted_config": live_settings(settings),
    }
    _add_completer(shell, settings, commands, undo)
    matcher = background_matcher(background)
    shell.Completer.custom_matchers.append(matcher)
    undo.callback(shell.Completer.custom_matchers.remove, matcher)

    runner = Runner(shell, settings, shared, interrupts)
    undo.callback(ipython.choose_runner(shell, runner.takes))
    awaiting_magics = AwaitingMagics(shell, runner)
    _add_magics(shell, awaiting_magics, undo)
    undo.callback(awaiting_magics.switch_on())
    _add_runner(shell, settings, runner, undo)


def _add_magics(shell: Any, magics: Magics, undo: ExitStack) -> None:
    shell.register_magics(magics)

    # Only our own names: IPython's are made when they are first used, and a copy
    # of its tables would take that back.
    def remove() -> None:
        for kind, names in magics.magics.items():
            for name in names:
                shell.magics_manager.magics[kind].pop(name, None)
        shell.magics_manager.registry.pop(type(magics).__name__, None)
        shell.configurables.remove(magics)

    undo.callback(remove)


def _add_completer(
    shell: Any,
    settings: TwistedIPython,
    commands: dict[str, tuple[str, ...]],
    undo: ExitStack,
) -> None:
    @context_matcher()
    def twisted_settings_matcher(context: CompletionContext) -> SimpleMatcherResult:
        line = context.line_with_cursor[: context.cursor_position]
        command, _, words = line.lstrip().partition(" ")
        names = commands.get(command)
        if names is None or len(command) == len(line.lstrip()):
            return {"completions": []}
        return {
            "completions": [
                SimpleCompletion(word)
                for word in completions(settings, names, words.split(), context.token)
            ],
            "suppress": True,
        }

    shell.Completer.custom_matchers.append(twisted_settings_matcher)
    undo.callback(shell.Completer.custom_matchers.remove, twisted_settings_matcher)


def _add_runner(
    shell: Any, settings: TwistedIPython, runner: Runner, undo: ExitStack
) -> None:
    runners = shell.loop_runner_map
    runner_before, autoawait_before = shell.loop_runner, shell.autoawait
    registered_before = runners.get(RUNNER_NAME)

    runners[RUNNER_NAME] = (runner, True)
    before = _awaited.pop(shell, runner)
    if settings.autoawait or before is shell.last_execution_result:
        shell.loop_runner, shell.autoawait = runner, True

    def remove() -> None:
        if registered_before is None:
            runners.pop(RUNNER_NAME, None)
        else:
            runners[RUNNER_NAME] = registered_before
        if shell.loop_runner is runner:
            _awaited[shell] = shell.last_execution_result
            shell.loop_runner, shell.autoawait = runner_before, autoawait_before

    undo.callback(remove)
