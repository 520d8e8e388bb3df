"""``jupyter nbconvert --execute``: the exit status of whole notebooks."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from terminals import Program, run_program


@pytest.fixture
def execute(tmp_path: Path) -> Callable[..., Program]:
    """Executes a notebook of these cells, after the one that loads the extension."""
    pytest.importorskip("nbconvert")

    def run(*cells: str) -> Program:
        sources = ["%load_ext twisted_ipython\n%autoawait twisted", *cells]
        notebook = {
            "nbformat": 4,
            "nbformat_minor": 4,
            "metadata": {"kernelspec": {"name": "python3", "display_name": "Python 3"}},
            "cells": [
                {
                    "cell_type": "code",
                    "metadata": {},
                    "source": source,
                    "outputs": [],
                    "execution_count": None,
                }
                for source in sources
            ],
        }
        (tmp_path / "cells.ipynb").write_text(json.dumps(notebook))
        command = [
            sys.executable,
            "-m",
            "jupyter",
            "nbconvert",
            "--to",
            "notebook",
            "--execute",
        ]
        return run_program(
            [*command, "--output", "executed.ipynb", "cells.ipynb"], tmp_path, within=60
        )

    return run


GOOD = (
    "from twisted.internet import reactor, task\n"
    "await task.deferLater(reactor, 0.01, lambda: 'awaited')"
)


def test_good_notebook(execute: Callable[..., Program], tmp_path: Path) -> None:
    """A notebook that awaits and runs cells in the reactor ends with status 0 and its outputs."""
    done = execute(
        GOOD, "%%run_in_reactor er\ndef f():\n    return 5\nreturn f()", "er.wait(5)"
    )
    assert done.status == 0, str(done)
    executed = json.loads((tmp_path / "executed.ipynb").read_text())
    texts = [
        "".join(output["data"]["text/plain"])
        for cell in executed["cells"]
        for output in cell["outputs"]
        if output["output_type"] == "execute_result"
    ]
    assert texts[0] == "'awaited'" and texts[-1] == "5"


@pytest.mark.parametrize(
    "cell, told",
    [
        ("%%run_in_reactor er\nx = = 1", "SyntaxError"),
        ("%%run_in_reactor 1bad\nreturn 1", "1bad"),
        (GOOD + "\n1 / 0", "ZeroDivisionError"),
        ("%crochet_config timeout nonsense", "UsageError"),
    ],
    ids=["syntax error", "wrong name", "error after await", "wrong setting"],
)
def test_bad_notebook(execute: Callable[..., Program], cell: str, told: str) -> None:
    """A notebook with a cell that fails or can't run ends with another status, and says why."""
    done = execute(cell)
    assert done.status != 0, str(done)
    assert told in done.output, str(done)
