"""
The set-up as a newcomer meets it: ``make``, ``make run``, the files at the top.

``make run`` makes an environment first, which takes a minute; its last line,
``tools/run.py``, is run here by the Python that runs the tests.
"""

from __future__ import annotations

import ast
import importlib.metadata
import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType

import pytest
from packaging.requirements import Requirement

import twisted_ipython
from kernels import DEADLINE, clean_environment
from terminals import Terminal

CHECKOUT = Path(__file__).resolve().parent.parent
RUN = [sys.executable, str(CHECKOUT / "tools" / "run.py")]
AWAIT = """\
from twisted.internet import reactor, task
{}await task.deferLater(reactor, 0.01, lambda: "slept well")
"""

Finished = subprocess.CompletedProcess


def environment(directory: Path) -> dict[str, str]:
    """Nothing of the user's configuration, nor of the make that runs the tests."""
    clean = clean_environment(directory)
    for name in ("MAKEFLAGS", "MFLAGS", "MAKELEVEL", "PYTHON", "VENV", "ARGS"):
        clean.pop(name, None)
    return clean


@pytest.fixture
def pipe(tmp_path: Path) -> Callable[[str | bytes], Finished[str]]:
    """Runs a cell as ``make run`` does when it is piped in."""

    def run(cell: str | bytes, *arguments: str) -> Finished[str]:
        done = subprocess.run(
            [*RUN, *arguments],
            input=cell.encode() if isinstance(cell, str) else cell,
            capture_output=True,
            env=environment(tmp_path),
            cwd=tmp_path,
            timeout=2 * DEADLINE,
        )
        return Finished(
            done.args, done.returncode, done.stdout.decode(), done.stderr.decode()
        )

    return run


@pytest.fixture
def make(tmp_path: Path) -> Callable[..., Finished[str]]:
    """Runs make in the checkout."""

    def run(*arguments: str) -> Finished[str]:
        return subprocess.run(
            ["make", *arguments],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            env=environment(tmp_path),
            cwd=CHECKOUT,
            timeout=2 * DEADLINE,
        )

    return run


@pytest.fixture
def tool(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str], ModuleType]]:
    """Imports a file of tools/ by name, for this test only."""
    monkeypatch.syspath_prepend(CHECKOUT / "tools")
    imported = []

    def load(name: str) -> ModuleType:
        imported.append(name)
        return importlib.import_module(name)

    yield load
    for name in imported:
        sys.modules.pop(name, None)


# make run, piped


def test_piped_cell_awaits(pipe: Callable[..., Finished[str]]) -> None:
    """A cell that awaits has only its own output on standard output."""
    done = pipe(AWAIT.format("result = ") + "print(result)\n")

    assert (done.stdout, done.stderr, done.returncode) == ("slept well\n", "", 0)


def test_piped_cell_shows_its_last_expression(
    pipe: Callable[..., Finished[str]],
) -> None:
    """As any cell does, and without colours where nobody sees them."""
    done = pipe(AWAIT.format(""))

    assert (done.stdout, done.returncode) == ("Out[1]: 'slept well'\n", 0)


@pytest.mark.parametrize(
    ("cell", "said"),
    [
        ("print('before')\n1 / 0\n", "ZeroDivisionError: division by zero"),
        ("print('before')\n" + AWAIT.format("") + "1 / 0\n", "ZeroDivisionError: div"),
        ("def f(:\n", "SyntaxError: "),
        ("  x = 1\n y = 2\n", "IndentationError: "),
        ("%no_such_magic\n", "UsageError: "),
        ("%%no_such_magic\nx\n", "UsageError: "),
        ("raise SystemExit('that was all')\n", "that was all"),
        ("await nothing_of_that_name\n", "NameError: "),
        ("input()\n", "EOFError: "),
        ("x = '\0'\n", "null bytes"),
        (b"x = '\xff'\n", "standard input is not UTF-8"),
    ],
)
def test_piped_cell_fails(
    pipe: Callable[..., Finished[str]], cell: str | bytes, said: str
) -> None:
    """The exit status tells, and the error is on standard error, once."""
    done = pipe(cell)

    assert done.returncode == 1
    assert done.stderr.count(said) == 1, done.stderr
    assert done.stdout == ("before\n" if "before" in str(cell) else "")


@pytest.mark.parametrize(
    ("cell", "status"),
    [
        ("raise SystemExit(3)", 3),
        (AWAIT.format("") + "raise SystemExit(3)", 3),
        ("raise SystemExit(0)", 0),
        ("raise SystemExit", 0),
        ("exit()", 0),
    ],
)
def test_piped_cell_exits(
    pipe: Callable[..., Finished[str]], cell: str, status: int
) -> None:
    """The cell's own exit status is the program's, and nothing is said about it."""
    done = pipe(cell)

    assert (done.stdout, done.stderr, done.returncode) == ("", "", status)


@pytest.mark.parametrize("cell", ["# nothing to run\n", "\n", "x = 1\r\n%pwd\r\n"])
def test_piped_cell_of_any_form(
    pipe: Callable[..., Finished[str]], cell: str, tmp_path: Path
) -> None:
    """A comment, an empty line, IPython's own syntax, the line ends of Windows."""
    done = pipe(cell)

    assert done.returncode == 0
    assert done.stdout == (f"Out[1]: '{tmp_path}'\n" if "%pwd" in cell else "")


def test_piped_nothing(pipe: Callable[..., Finished[str]]) -> None:
    """Empty standard input is no failure, and is said."""
    done = pipe("")

    assert (done.stdout, done.returncode) == ("", 0)
    assert done.stderr == "standard input is empty; nothing was run\n"


def test_piped_cell_is_not_run_without_the_extension(
    pipe: Callable[..., Finished[str]], tmp_path: Path
) -> None:
    """If loading failed, the cell does not run as if it had not."""
    (tmp_path / "crochet.py").write_text("raise ImportError('broken on purpose')\n")

    done = pipe("import os\nprint('ran')\n")

    assert (done.stdout, done.returncode) == ("", 1)
    assert "broken on purpose" in done.stderr
    assert "twisted_ipython did not load" in done.stderr


def test_piped_cell_sees_the_users_profile(
    pipe: Callable[..., Finished[str]], tmp_path: Path
) -> None:
    """What the user's own configuration of IPython does, it does here too."""
    profile = tmp_path / "ipython" / "profile_default"
    profile.mkdir(parents=True)
    (profile / "ipython_config.py").write_text(
        "c.InteractiveShellApp.exec_lines = ['greeting = 42']\n"
    )

    assert pipe("print(greeting)").stdout == "42\n"


def test_piped_cell_is_interrupted(tmp_path: Path) -> None:
    """Ctrl-C ends a cell that awaits, with the status that shells give it."""
    cell = "print('started', flush=True)\n" + AWAIT.replace("0.01", "60").format("")
    with subprocess.Popen(
        RUN,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment(tmp_path),
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(cell)
        process.stdin.close()
        process.stdin = None
        assert process.stdout.readline() == "started\n"
        process.send_signal(signal.SIGINT)
        try:
            stdout, stderr = process.communicate(timeout=DEADLINE)
        finally:
            process.kill()

    assert (stdout, process.returncode) == ("", 130), stderr
    assert stderr.count("KeyboardInterrupt") == 2, stderr  # heading and last line


# make run, in a terminal


def test_first_prompt_awaits(terminal: Callable[..., Terminal]) -> None:
    """In a terminal it is IPython, and Twisted can be awaited at once."""
    options = ["--simple-prompt", "--colors=NoColor", "--no-confirm-exit"]
    console = terminal(command=[*RUN, *options])

    said = console.run(AWAIT.format("").replace("\n", "; ", 1))

    assert "Out[1]: 'slept well'" in said
    console.exit()
    assert console.child.exitstatus == 0


# make


TARGETS = "run test test-all lab lint docs readme bench package clean".split()


def test_make_lists_its_targets(make: Callable[..., Finished[str]]) -> None:
    """``make`` alone says what there is, one line each, and does nothing else."""
    done = make()

    listed = dict(re.findall(r"^make ([a-z-]+) +(\S.*)$", done.stdout, re.MULTILINE))
    assert done.returncode == 0, done.stderr
    assert len(listed) == len(done.stdout.splitlines())
    assert set(TARGETS) <= set(listed)


@pytest.mark.parametrize("target", TARGETS)
def test_make_knows_its_targets(
    make: Callable[..., Finished[str]], target: str
) -> None:
    """Each target that is listed has something to do."""
    done = make("--dry-run", target)

    assert done.returncode == 0, done.stderr
    assert done.stdout.strip()


def test_make_without_python(
    make: Callable[..., Finished[str]], tmp_path: Path
) -> None:
    """A Python that is not there is one sentence, and nothing is made."""
    done = make("run", "PYTHON=no-such-python", f"VENV={tmp_path}/venv")

    assert done.returncode != 0
    assert done.stdout == ""
    assert "no-such-python does not run; name a Python (3.10 to 3.13)" in done.stderr
    assert not (tmp_path / "venv").exists()


PRETEND = """\
import runpy, sys
{}
sys.argv = sys.argv[1:]
runpy.run_path(sys.argv[0], run_name="__main__")
"""


@pytest.mark.parametrize(
    ("pretended", "said"),
    [
        (
            "sys.version_info = (3, 9, 18, 'final', 0)",
            "needs 3.10 to 3.13; name another",
        ),
        (
            "sys.version_info = (3, 14, 0, 'final', 0)",
            "needs 3.10 to 3.13; name another",
        ),
        ("sys.modules['ensurepip'] = None", "apt install python3."),
    ],
)
def test_unsuitable_python(pretended: str, said: str, tmp_path: Path) -> None:
    """A Python that no environment can be made from is one sentence."""
    done = subprocess.run(
        [
            sys.executable,
            "-c",
            PRETEND.format(pretended),
            str(CHECKOUT / "tools" / "make_venv.py"),
            str(tmp_path / "venv"),
        ],
        capture_output=True,
        text=True,
        timeout=DEADLINE,
    )

    assert done.returncode == 1
    assert said in done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert not (tmp_path / "venv").exists()


def test_environment_of_somebody_else(
    make: Callable[..., Finished[str]], tmp_path: Path
) -> None:
    """An environment that make did not make is left alone."""
    (tmp_path / "pyvenv.cfg").write_text("")

    done = make("run", f"PYTHON={sys.executable}", f"VENV={tmp_path}")

    assert done.returncode != 0
    assert "make did not make it; remove it, or name another place" in done.stderr
    assert (tmp_path / "pyvenv.cfg").exists()


def test_environment_is_used_again_only_where_it_fits(
    tool: Callable[[str], ModuleType], tmp_path: Path
) -> None:
    """A moved checkout and a changed Python are seen."""
    make_venv = tool("make_venv")
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "python").symlink_to(sys.executable)
    here = make_venv.described(sys.executable)
    good = {"checkout": str(CHECKOUT), "python": here, "installed": {}}

    def why(python_was_named: bool = False, **changes: str) -> str | None:
        return make_venv.why_unusable(
            str(tmp_path), {**good, **changes}, python_was_named
        )

    assert why() is None
    assert why(python_was_named=True) is None
    assert why(checkout="/elsewhere") == "it was made for /elsewhere"
    assert why(python="cpython-39 in /usr") == (
        f"it was made from cpython-39 in /usr, which is now {here}"
    )
    (tmp_path / "bin" / "python").unlink()
    assert why() == "its Python does not run"


# Files


@pytest.mark.parametrize(
    "name",
    [
        "twisted_ipython",
        "README.ipynb",
        "README.md",
        "environment.yml",
        "Makefile",
        "setup.py",
        "pyproject.toml",
        "LICENSE.txt",
        "CHANGELOG.md",
        "CONTRIBUTING.md",
    ],
)
def test_top_level(name: str) -> None:
    """What people look for at the top level is there."""
    assert (CHECKOUT / name).exists()


def test_setup_is_a_stub() -> None:
    """setup.py says nothing that pyproject.toml says."""
    tree = ast.parse((CHECKOUT / "setup.py").read_text())

    calls = [ast.unparse(node) for node in ast.walk(tree) if isinstance(node, ast.Call)]
    assert calls == ["setup()"]


def test_metadata() -> None:
    """What is installed is what the package says of itself."""
    metadata = importlib.metadata.metadata("twisted_ipython")

    assert metadata["Version"] == twisted_ipython.__version__
    assert metadata["License-Expression"] == "BSD-3-Clause"
    assert metadata["Requires-Python"] == ">=3.10"
    assert {"console", "lab", "test"} <= set(metadata.get_all("Provides-Extra"))


def requirements() -> list[Requirement]:
    return [
        Requirement(text)
        for text in importlib.metadata.requires("twisted_ipython") or []
    ]


def test_no_upper_bounds() -> None:
    """A newer release of anything can be installed beside this package."""
    for requirement in requirements():
        assert {each.operator for each in requirement.specifier} <= {">="}


def test_oldest_dependencies() -> None:
    """tests/oldest.txt tries exactly the lower bounds that are promised."""
    lines = (CHECKOUT / "tests" / "oldest.txt").read_text().splitlines()
    pinned = {
        (pin := Requirement(line)).name: str(pin.specifier).removeprefix("==")
        for line in lines
        if line and not line.startswith("#")
    }
    promised = {
        each.name: str(each.specifier).removeprefix(">=")
        for each in requirements()
        if each.marker is None or "ipykernel" in each.name
    }

    for name, version in promised.items():
        assert f"{pinned[name]}.".startswith(f"{version}."), name


# README


def test_readme_is_as_make_left_it(tool: Callable[[str], ModuleType]) -> None:
    """README.ipynb holds nothing of the machine it ran on: ``make readme``."""
    readme = tool("readme")
    text = readme.NOTEBOOK.read_text(encoding="utf-8")
    notebook = readme.from_json(text)

    readme.strip(notebook)

    assert readme.as_json(notebook) == text


def test_readme_is_converted(tool: Callable[[str], ModuleType]) -> None:
    """README.md is what README.ipynb says: ``make docs``."""
    readme = tool("readme")
    notebook = readme.from_json(readme.NOTEBOOK.read_text(encoding="utf-8"))

    text, _ = readme.as_markdown(notebook)

    assert (CHECKOUT / "README.md").read_text(encoding="utf-8") == text


def test_ci_can_be_run() -> None:
    """The script of the continuous integration is executable."""
    assert os.access(CHECKOUT / ".ci" / "run", os.X_OK)
