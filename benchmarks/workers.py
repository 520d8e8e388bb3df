"""
The parent's hold on its worker processes, and on where all of them run.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from select import select
from typing import Any, TypeVar

from .sides import TOP, Side


class WorkerFailed(Exception):
    """A worker could not do what it was told; the text is its traceback."""


def pin() -> int | None:
    """
    Keep this process, and those it will start, on one CPU; gives its number.

    Where two threads may run on two CPUs, a hand-over between them costs what the
    scheduler makes of it, from run to run between 1.1 and 1.6 times.
    """
    if not hasattr(os, "sched_setaffinity"):
        return None
    cpu = max(os.sched_getaffinity(0))
    os.sched_setaffinity(0, {cpu})
    return cpu


@contextmanager
def own_environment() -> Iterator[Path]:
    """
    Keep the user's IPython and Jupyter out of it, in both directions; gives a folder
    that lives as long.
    """
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        before = dict(os.environ)
        for name in ("IPYTHONDIR", "JUPYTER_CONFIG_DIR", "JUPYTER_DATA_DIR"):
            os.environ[name] = os.path.join(folder, name.lower())
        os.environ["JUPYTER_RUNTIME_DIR"] = os.path.join(folder, "runtime")
        if os.environ.pop("PYTHONDONTWRITEBYTECODE", None):
            # What pip has installed is compiled, and a checkout would never be.
            os.environ["PYTHONPYCACHEPREFIX"] = os.path.join(folder, "bytecode")
        try:
            yield Path(folder)
        finally:
            os.environ.clear()
            os.environ.update(before)


Entered = TypeVar("Entered", bound="Program")


class Program:
    """
    A process that obeys one order a line, and answers each with one line of JSON.

    Args:
        label: What to call it where it fails.
        module: To run, of this checkout.

    Attributes:
        ANSWER_WITHIN: Seconds that an order may take; None for any time.
    """

    ANSWER_WITHIN: float | None = None

    def __init__(self, label: str, module: str, *arguments: str) -> None:
        self._label = label
        self._process = subprocess.Popen(
            [sys.executable, "-m", module, *arguments],
            cwd=TOP,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def __enter__(self: Entered) -> Entered:
        return self

    def __exit__(self, *_: object) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def tell(self, order: str, *arguments: Any) -> None:
        """Send an order, whose answer is taken later."""
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps([order, *arguments]) + "\n")
        self._process.stdin.flush()

    def answer(self) -> Any:
        """
        Raises:
            WorkerFailed: It failed, or ended, or did not answer in time.
        """
        assert self._process.stdout is not None
        # Nothing is left in Python's buffer: there is one line for each order.
        if not select([self._process.stdout], [], [], self.ANSWER_WITHIN)[0]:
            raise WorkerFailed(
                f"the process for {self._label} did not answer for "
                f"{self.ANSWER_WITHIN} s"
            )
        line = self._process.stdout.readline()
        if not line:
            raise WorkerFailed(f"the process for {self._label} ended early")
        answer = json.loads(line)
        if "failed" in answer:
            raise WorkerFailed(f"{self._label}: {answer['failed']}")
        return answer["answer"]

    def ask(self, order: str, *arguments: Any) -> Any:
        """Send an order and wait for its answer."""
        self.tell(order, *arguments)
        return self.answer()

    def end(self) -> float:
        """Let it end; gives the seconds from its last statement until it was gone."""
        last_statement = self.ask("end")
        self._process.wait()
        return time.monotonic() - last_statement


class Worker(Program):
    """One worker process, with IPython up."""

    def __init__(self, side: Side) -> None:
        super().__init__(side.label, "benchmarks.worker", str(side))
        self.side = side
