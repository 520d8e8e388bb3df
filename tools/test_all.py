"""
Run every test on each supported Python of this machine: ``make test-all``.

Each has its own environment, ``.venv-3.X``. The oldest Python gets a second
one with the oldest supported dependencies. The last lines say how each went
and which were not found.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

from make_venv import NEWEST, OLDEST

CONSTRAINTS = "tests/oldest.txt"


def interpreters(version: str) -> list[str]:
    """Where a Python of this version may be: on the path, then pyenv's own."""
    found = [
        shutil.which(f"python{version}", path=directory)
        for directory in os.environ.get("PATH", "").split(os.pathsep)
    ]
    pyenv = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv"))
    installed = sorted(pyenv.glob(f"versions/{version}.*/bin/python"), reverse=True)
    return [sys.executable, *filter(None, found), *map(str, installed)]


def working(version: str) -> tuple[str, str] | None:
    """Path and full version of the first that runs; a pyenv shim may not."""
    for python in interpreters(version):
        code = "import platform; print(platform.python_version())"
        try:
            done = subprocess.run(
                [python, "-c", code], capture_output=True, text=True, check=False
            )
        except OSError:
            continue
        full = done.stdout.strip()
        if done.returncode == 0 and full.startswith(version + "."):
            return python, full
    return None


def run_tests(python: str, directory: str, constraints: str) -> tuple[bool, str]:
    """
    Run ``make test`` and pass on what it prints.

    Returns:
        Whether it worked, and pytest's closing line.
    """
    command = [
        os.environ.get("MAKE", "make"),
        "test",
        f"PYTHON={python}",
        f"VENV={directory}",
        f"CONSTRAINTS={constraints}",
    ]
    with subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    ) as process:
        assert process.stdout is not None
        said = b""
        while chunk := os.read(process.stdout.fileno(), 65536):
            sys.stdout.buffer.write(chunk)
            sys.stdout.buffer.flush()
            said = (said + chunk)[-10_000:]
    closing = re.findall(r"=+ (.* in [0-9.]+s.*?) =+\s*$", said.decode(), re.MULTILINE)
    return process.returncode == 0, closing[-1] if closing else "no tests were run"


def main() -> int:
    rows: list[tuple[str, str, str]] = []
    for minor in range(OLDEST[1], NEWEST[1] + 1):
        version = f"3.{minor}"
        python = working(version)
        if python is None:
            rows.append((f"Python {version}", "not found", ""))
            continue
        path, full = python
        runs = [(f"Python {full}", f".venv-{version}", "")]
        if version == "{}.{}".format(*OLDEST):
            name = f"Python {full}, oldest dependencies"
            runs.append((name, f".venv-{version}-oldest", CONSTRAINTS))
        for name, directory, constraints in runs:
            print(f"\n{name}\n", flush=True)
            passed, closing = run_tests(path, directory, constraints)
            rows.append((name, "passed" if passed else "FAILED", closing))

    print()
    width = max(len(name) for name, _, _ in rows)
    for name, state, detail in rows:
        print(f"{name:<{width}}  {state:<9}  {detail}".rstrip())
    states = [state for _, state, _ in rows]
    return 0 if "FAILED" not in states and "passed" in states else 1


if __name__ == "__main__":
    sys.exit(main())
