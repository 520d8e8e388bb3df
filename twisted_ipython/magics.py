"""
The magics: each parses its line, calls one function, and shows what it gives.
"""

from __future__ import annotations

import textwrap
from typing import Any

import crochet
from IPython.core.error import UsageError
from IPython.core.magic import (
    Magics,
    cell_magic,
    line_magic,
    magics_class,
    no_var_expand,
)
from traitlets import TraitError

from .hosts import Host
from .raw_cells import RawCells
from .run_in_reactor import run_in_reactor
from .settings import TwistedIPython

# What crochet's own magic was for, before there were other settings.
CROCHET_SETTINGS = ("timeout",)


def live_settings(settings: TwistedIPython) -> tuple[str, ...]:
    """The settings that can be changed while the extension is loaded."""
    return tuple(sorted(settings.trait_names(live=True)))


@magics_class
class TwistedMagics(Magics):
    """
    Thread:
        Shell thread; reactor thread, in a cell that awaits besides.
    """

    def __init__(
        self,
        shell: Any,
        settings: TwistedIPython,
        host: Host,
        raw_cells: RawCells,
    ) -> None:
        super().__init__(shell)
        self._settings = settings
        self._host = host
        self._raw_cells = raw_cells

    @no_var_expand
    @cell_magic
    def run_in_reactor(self, line: str, cell: str) -> crochet.EventualResult:
        """
        Run the cell in the reactor thread, without waiting for it::

            %%run_in_reactor [--local] [NAME]

        Gives a crochet EventualResult, bound to NAME if there is one, and
        shown like any result (so ``_`` is the last one)::

            %%run_in_reactor listening
            endpoint.listen(factory)

            port = listening.wait(5)

        The result is what the cell returns: ``return`` is allowed in it, and
        without one the value of its last expression counts. Deferreds and
        coroutines are waited for; ``await`` is allowed, too. An error comes out
        of ``wait()``, or of ``await listening`` in a cell that awaits; one that
        nothing asks for is reported with its cell.

        The names that the cell binds are yours afterwards, as with any cell.

        Options:

        --local   keep the names that the cell binds to the cell
        """
        words = line.split()
        local = "--local" in words
        names = [word for word in words if word != "--local"]
        if len(names) > 1 or any(name.startswith("-") for name in names):
            raise UsageError(
                "%%run_in_reactor takes --local and one variable name for the result, "
                f"not {line.strip()!r}; nothing was run"
            )
        return run_in_reactor(
            self.shell,
            self._host,
            cell,
            raw_cell=self._raw_cells.current() or f"%%run_in_reactor {line}\n{cell}",
            name=names[0] if names else None,
            local=local,
        )

    @line_magic
    def crochet_config(self, line: str) -> None:
        """
        Show and change how long a cell waits for Twisted::

            %crochet_config show [timeout]
            %crochet_config [set] timeout SECONDS
            %crochet_config reset [timeout]

        Settings:

        {timeout}

        Examples::

            %crochet_config timeout 5
            %crochet_config timeout none
        """
        self._configure("%crochet_config", "Crochet", CROCHET_SETTINGS, line)

    @line_magic
    def twisted_config(self, line: str) -> None:
        """
        Show and change the settings of twisted_ipython::

            %twisted_config show [SETTING]
            %twisted_config [set] SETTING VALUE
            %twisted_config reset [SETTING]

        Settings:

        {settings}

        What is set when the extension is loaded is in its configuration:
        ``c.TwistedIPython.autoawait`` and ``c.TwistedIPython.reactor``.
        """
        self._configure(
            "%twisted_config", "Twisted", live_settings(self._settings), line
        )

    def _configure(
        self, magic: str, title: str, names: tuple[str, ...], line: str
    ) -> None:
        for text in configure(self._settings, magic, title, names, line.split()):
            print(text)


def configure(
    settings: TwistedIPython,
    magic: str,
    title: str,
    names: tuple[str, ...],
    words: list[str],
) -> list[str]:
    """
    Carry out one line of a settings magic; gives the lines to print.

    Args:
        magic: Its name, for the texts of errors.
        title: The word in its headings.
        names: The settings that it has.
        words: What was typed after its name.

    Raises:
        UsageError: It can't be carried out; nothing was changed.
    """
    known = ", ".join(names)
    command, *rest = words or [""]
    if command in ("show", "reset"):
        if len(rest) > 1:
            raise UsageError(
                f"{magic} {command} takes one setting, or none for all of them "
                f"({known}); nothing was changed"
            )
        chosen = tuple(rest) or names
        _check_known(magic, chosen, known)
        if command == "show":
            return [f"# {title} settings:", *_lines(settings, chosen)]
        for name in chosen:
            setattr(settings, name, settings.traits()[name].default(settings))
        return [
            f"# Resetting {title} settings to their defaults:",
            *_lines(settings, chosen),
        ]
    key, *values = rest if command == "set" and rest else words or [""]
    if not key or (command == "set" and not rest):
        raise UsageError(
            f"{magic} takes: show [SETTING], SETTING VALUE, set SETTING VALUE, "
            f"reset [SETTING]; settings: {known}"
        )
    _check_known(magic, (key,), known)
    trait = settings.traits()[key]
    if len(values) != 1:
        count = "no value" if not values else f"{len(values)} values"
        raise UsageError(
            f"{magic} {key} takes {trait.info()}, not {count}; still "
            f"{settings.text(key)}"
        )
    try:
        setattr(settings, key, trait.from_string(values[0]))
    except TraitError:
        raise UsageError(
            f"{magic} {key}: {values[0]!r} is not {trait.info()}; still "
            f"{settings.text(key)}"
        ) from None
    return [f"Setting {key} to {settings.text(key)}!"]


def completions(
    settings: TwistedIPython, names: tuple[str, ...], words: list[str], begun: str
) -> list[str]:
    """
    What can stand last in the line of a settings magic.

    Args:
        settings: Whose values can be typed.
        names: The settings that it has.
        words: What was typed after its name.
        begun: The last word as far as it was typed, or "".
    """
    before = words[:-1] if begun else words
    if not before:
        offered = ["show", "set", "reset", *names]
    elif before in (["show"], ["set"], ["reset"]):
        offered = [*names]
    elif before[-1] in names and before[0] not in ("show", "reset"):
        offered = [*settings.words(before[-1])]
    else:
        offered = []
    return [word for word in offered if word.startswith(begun)]


def _check_known(magic: str, names: tuple[str, ...], known: str) -> None:
    for name in names:
        if name not in known.split(", "):
            raise UsageError(
                f"{magic}: there is no setting {name!r}; settings: {known}; or show, "
                "set, reset; nothing was changed"
            )


def _lines(settings: TwistedIPython, names: tuple[str, ...]) -> list[str]:
    return [f" - {name}={settings.text(name)}" for name in names]


def _help(name: str) -> str:
    text = f"{name:10}{TwistedIPython.class_traits()[name].help}"
    return textwrap.fill(
        text, 78, initial_indent=" " * 8, subsequent_indent=" " * 18
    ).strip()


_LIVE = sorted(TwistedIPython.class_trait_names(live=True))


def _describe() -> None:
    """Put the help of the settings, written with them, into the magics'."""
    for function in (TwistedMagics.crochet_config, TwistedMagics.twisted_config):
        assert function.__doc__ is not None
        function.__doc__ = function.__doc__.format(
            timeout=_help("timeout"),
            settings=("\n" + " " * 8).join(map(_help, _LIVE)),
        )


_describe()
