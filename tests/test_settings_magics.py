"""``%crochet_config`` and ``%twisted_config``, to the letter, in a real kernel."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from kernels import Kernel


def said(kernel: Kernel, line: str) -> str:
    cell = kernel.ok(line)
    assert cell.results == [] and cell.displays == []
    return cell.stdout


def timeout(kernel: Kernel) -> str:
    return said(kernel, "%crochet_config show")


def test_show(fresh_kernel: Callable[..., Kernel]) -> None:
    """``show`` prints the settings; the timeout of a new kernel is 60."""
    assert (
        said(fresh_kernel(), "%crochet_config show")
        == "# Crochet settings:\n - timeout=60\n"
    )


def test_show_key(kernel: Kernel) -> None:
    """``show timeout`` prints the same for the one setting."""
    assert (
        said(kernel, "%crochet_config show timeout")
        == "# Crochet settings:\n - timeout=60\n"
    )


def test_key_value(kernel: Kernel) -> None:
    """``timeout 1`` sets it and says so."""
    assert said(kernel, "%crochet_config timeout 1") == "Setting timeout to 1!\n"
    assert timeout(kernel) == "# Crochet settings:\n - timeout=1\n"


def test_set_key_value(kernel: Kernel) -> None:
    """``set timeout 5`` is the same."""
    assert said(kernel, "%crochet_config set timeout 5") == "Setting timeout to 5!\n"
    assert timeout(kernel) == "# Crochet settings:\n - timeout=5\n"


def test_fraction(kernel: Kernel) -> None:
    """A timeout may be a fraction of a second."""
    assert said(kernel, "%crochet_config timeout 0.5") == "Setting timeout to 0.5!\n"
    assert timeout(kernel) == "# Crochet settings:\n - timeout=0.5\n"


def test_whole_number_as_fraction(kernel: Kernel) -> None:
    """A whole number of seconds reads as one."""
    said(kernel, "%crochet_config timeout 2.0")
    assert timeout(kernel) == "# Crochet settings:\n - timeout=2\n"


@pytest.mark.parametrize("word", ["none", "INFINITY"])
def test_no_timeout(kernel: Kernel, word: str) -> None:
    """``none`` and ``INFINITY`` both mean no timeout, which reads ``none``."""
    kernel.ok(f"%crochet_config timeout {word}")
    assert timeout(kernel) == "# Crochet settings:\n - timeout=none\n"


@pytest.mark.parametrize("value", ["1", "0.25", "3600", "none"])
def test_what_is_shown_can_be_set(kernel: Kernel, value: str) -> None:
    """The value that ``show`` prints sets the same value again."""
    kernel.ok(f"%crochet_config timeout {value}")
    shown = timeout(kernel)
    text = shown.splitlines()[1].partition("=")[2]
    kernel.ok("%crochet_config reset")
    kernel.ok(f"%crochet_config timeout {text}")
    assert timeout(kernel) == shown


@pytest.mark.parametrize(
    "line", ["%crochet_config reset", "%crochet_config reset timeout"]
)
def test_reset(kernel: Kernel, line: str) -> None:
    """``reset`` and ``reset timeout`` give the default back and show it."""
    kernel.ok("%crochet_config timeout 1")
    assert said(kernel, line) == (
        "# Resetting Crochet settings to their defaults:\n - timeout=60\n"
    )
    assert timeout(kernel) == "# Crochet settings:\n - timeout=60\n"


def test_reset_is_to_the_default(fresh_kernel: Callable[..., Kernel]) -> None:
    """``reset`` gives the default of the setting, as its text says."""
    kernel = fresh_kernel("--TwistedIPython.timeout=7")
    assert timeout(kernel) == "# Crochet settings:\n - timeout=7\n"
    said(kernel, "%crochet_config timeout 1")
    assert said(kernel, "%crochet_config reset").startswith(
        "# Resetting Crochet settings to their defaults:\n - timeout="
    )


WRONG = [
    "",
    "show nonsense",
    "show timeout timeout",
    "show timeout 5",
    "nonsense",
    "nonsense 5",
    "set",
    "set timeout",
    "set nonsense 5",
    "set timeout 5 6",
    "timeout",
    "timeout abc",
    "timeout -1",
    "timeout 0",
    "timeout -0.0",
    "timeout nan",
    "timeout -inf",
    "timeout 5 6",
    "timeout 5s",
    "timeout True",
    "timeout [5]",
    "timeout 0x10",
    "timeout '",
    "set timeout abc",
    "set timeout -1",
    "set timeout nan",
    "reset nonsense",
    "reset timeout 5",
    "reset timeout timeout",
]


@pytest.mark.parametrize("arguments", WRONG)
@pytest.mark.parametrize("magic", ["crochet_config", "twisted_config"])
def test_wrong_input(kernel: Kernel, magic: str, arguments: str) -> None:
    """Wrong input is one line of UsageError, and nothing changes."""
    kernel.ok("%crochet_config timeout 42")
    cell = kernel.run(f"%{magic} {arguments}".rstrip())
    assert cell.errors == [], cell.output
    assert cell.stdout == ""
    lines = cell.stderr.rstrip("\n").split("\n")
    assert len(lines) == 1 and lines[0].startswith("UsageError: "), cell.stderr
    assert cell.status == "error"
    assert timeout(kernel) == "# Crochet settings:\n - timeout=42\n"


@pytest.mark.parametrize("arguments", ["nonsense 5", "show nonsense", "reset nonsense"])
def test_unknown_key_names_the_known(kernel: Kernel, arguments: str) -> None:
    """An unknown key is named, and beside it the key there is."""
    text = kernel.run(f"%crochet_config {arguments}").stderr
    assert "nonsense" in text and "timeout" in text


@pytest.mark.parametrize("value", ["abc", "-1", "0", "nan"])
def test_wrong_value_names_what_is_accepted(kernel: Kernel, value: str) -> None:
    """A wrong value is named, and beside it what is accepted."""
    text = kernel.run(f"%crochet_config timeout {value}").stderr
    assert value in text and "positive" in text and "none" in text and "seconds" in text


@pytest.mark.parametrize(
    "arguments", ["", "set", "set timeout", "timeout", "timeout 5 6"]
)
def test_missing_and_too_many_words(kernel: Kernel, arguments: str) -> None:
    """Too few or too many words: the error says how it is written."""
    text = kernel.run(f"%crochet_config {arguments}".rstrip()).stderr
    assert "timeout" in text or "show" in text, text


# %twisted_config


def test_twisted_config_show(kernel: Kernel) -> None:
    """``%twisted_config show`` lists every setting under its own heading."""
    lines = said(kernel, "%twisted_config show").splitlines()
    assert lines[0] == "# Twisted settings:"
    assert " - timeout=60" in lines[1:]
    assert all(line.startswith(" - ") and "=" in line for line in lines[1:])


def test_twisted_config_show_key(kernel: Kernel) -> None:
    """``show timeout`` lists the one."""
    assert (
        said(kernel, "%twisted_config show timeout")
        == "# Twisted settings:\n - timeout=60\n"
    )


@pytest.mark.parametrize("line", ["timeout 1", "set timeout 1"])
def test_twisted_config_set(kernel: Kernel, line: str) -> None:
    """Both magics set one and the same timeout, with the same words."""
    assert said(kernel, f"%twisted_config {line}") == "Setting timeout to 1!\n"
    assert timeout(kernel) == "# Crochet settings:\n - timeout=1\n"


def test_twisted_config_reset(kernel: Kernel) -> None:
    """``reset timeout`` resets the one."""
    kernel.ok("%crochet_config timeout 1")
    assert said(kernel, "%twisted_config reset timeout") == (
        "# Resetting Twisted settings to their defaults:\n - timeout=60\n"
    )
    assert timeout(kernel) == "# Crochet settings:\n - timeout=60\n"


def test_twisted_config_reset_all(fresh_kernel: Callable[..., Kernel]) -> None:
    """``reset`` resets all and lists them; cells still await."""
    kernel = fresh_kernel()
    kernel.ok("%twisted_config timeout 1")
    lines = said(kernel, "%twisted_config reset").splitlines()
    assert lines[0] == "# Resetting Twisted settings to their defaults:"
    assert " - timeout=60" in lines[1:]
    assert kernel.ok("await sleep(0.01, 1)").result == "1"


def test_crochet_config_stays_with_timeout(kernel: Kernel) -> None:
    """Whatever ``%twisted_config`` knows, ``%crochet_config`` has ``timeout`` alone."""
    others = [
        line[3:].partition("=")[0]
        for line in said(kernel, "%twisted_config show").splitlines()[1:]
        if line != " - timeout=60"
    ]
    assert timeout(kernel) == "# Crochet settings:\n - timeout=60\n"
    for key in others:
        assert "UsageError" in kernel.run(f"%crochet_config show {key}").stderr


# Where the magics are used


def test_in_an_awaiting_cell(kernel: Kernel) -> None:
    """The magic works in a cell that awaits, too."""
    cell = kernel.ok("await sleep(0)\n%crochet_config timeout 9\n%crochet_config show")
    assert cell.stdout == "Setting timeout to 9!\n# Crochet settings:\n - timeout=9\n"


def test_spaces(kernel: Kernel) -> None:
    """Spaces and tabs between and after the words do not matter."""
    assert (
        said(kernel, "%crochet_config   set\ttimeout   3  ")
        == "Setting timeout to 3!\n"
    )


def test_variables(kernel: Kernel) -> None:
    """IPython puts variables in: ``$seconds``."""
    kernel.ok("seconds = 8")
    assert said(kernel, "%crochet_config timeout $seconds") == "Setting timeout to 8!\n"


def test_is_a_trait(fresh_kernel: Callable[..., Kernel]) -> None:
    """The setting is a trait of the one ``TwistedIPython``: configuration sets it."""
    kernel = fresh_kernel("--TwistedIPython.timeout=3.5")
    assert timeout(kernel) == "# Crochet settings:\n - timeout=3.5\n"


@pytest.mark.parametrize("value", ["-1", "nan", "abc"])
def test_wrong_configuration(bare_kernel: Callable[..., Kernel], value: str) -> None:
    """A wrong value on the command line is said when loading, and the kernel goes on."""
    kernel = bare_kernel(f"--TwistedIPython.timeout={value}")
    cell = kernel.run("%load_ext twisted_ipython")
    assert "timeout" in cell.output + kernel.log, kernel.report()
    assert kernel.ok("1 + 1").result == "2"


# Tab


def words(kernel: Kernel, source: str) -> set[str]:
    """The words that Tab offers to write at the end, without what is there already."""
    return {
        match.split()[-1] if match.split() else match
        for match in kernel.complete(source)
    }


@pytest.mark.parametrize("magic", ["crochet_config", "twisted_config"])
@pytest.mark.parametrize(
    "typed, offered",
    [
        ("", {"show", "set", "reset", "timeout"}),
        ("s", {"show", "set"}),
        ("sh", {"show"}),
        ("t", {"timeout"}),
        ("show ", {"timeout"}),
        ("show t", {"timeout"}),
        ("set ", {"timeout"}),
        ("set ti", {"timeout"}),
        ("reset ", {"timeout"}),
    ],
)
def test_tab(kernel: Kernel, magic: str, typed: str, offered: set[str]) -> None:
    """Tab completes commands and keys, and offers nothing that is not one."""
    found = words(kernel, f"%{magic} {typed}")
    assert offered <= found, found
    assert not {"import", "lambda", "%load_ext", "None"} & found, found
    if magic == "crochet_config":
        assert found == offered


@pytest.mark.parametrize("typed", ["timeout ", "set timeout "])
def test_tab_for_a_value(kernel: Kernel, typed: str) -> None:
    """After the key, Tab offers ``none``, the one value that is a word."""
    assert "none" in words(kernel, f"%crochet_config {typed}")


def test_tab_on_the_second_line(kernel: Kernel) -> None:
    """Tab works on a later line of a cell."""
    assert "show" in words(kernel, "x = 1\n%crochet_config sh")


def test_tab_elsewhere(kernel: Kernel) -> None:
    """Elsewhere Tab offers what it did."""
    kernel.ok("showcase = 1")
    assert "showcase" in words(kernel, "print(showc")
    assert "timeout" not in words(kernel, "%time ")


# Help


@pytest.mark.parametrize(
    "source, told",
    [
        (
            "%crochet_config?",
            ["show", "set", "reset", "timeout", "seconds", "none", "60"],
        ),
        ("%twisted_config?", ["show", "set", "reset", "timeout", "seconds"]),
        ("%%run_in_reactor?", ["NAME", "--local", "EventualResult", "reactor"]),
    ],
)
def test_help(kernel: Kernel, source: str, told: list[str]) -> None:
    """``?`` explains the magic: its forms, its settings and what is accepted."""
    page = kernel.ok(source).page
    missing = [word for word in told if word not in page]
    assert not missing, f"{missing} not in\n{page}"
