"""
What one cell costs through a kernel: from ``execute_request`` to ``execute_reply``.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from statistics import median
from time import perf_counter
from typing import Any

from jupyter_client.blocking import BlockingKernelClient
from jupyter_client.manager import KernelManager

from .cases import CELLS, PREPARE
from .figures import Group
from .sides import BARE, OURS, STOCK, TOP, UPSTREAM, UPSTREAM_SIDE, Side
from .turns import Effort, Measurements, in_turns
from .workers import WorkerFailed

ANSWER_WITHIN = 60  # seconds
CELLS_IN_A_ROUND = 20


class Kernel:
    """
    A kernel with an extension loaded or none, and its client in this process.

    The kernel inherits this process's one CPU.
    """

    def __init__(self, side: Side, folder: Path) -> None:
        self.side = side
        where = UPSTREAM if side.package == "upstream" else TOP
        self._manager = KernelManager()
        # Away from the checkout: a kernel looks into its working directory first.
        self._manager.start_kernel(
            cwd=str(folder),
            env={**os.environ, "PYTHONPATH": str(where)},
            extra_arguments=["--log-level=ERROR"],
        )
        self._client: BlockingKernelClient = self._manager.blocking_client()
        self._client.start_channels()

    def __enter__(self) -> Kernel:
        return self

    def __exit__(self, *_: object) -> None:
        self._client.stop_channels()
        self._manager.shutdown_kernel(now=True)

    def set_up(self) -> None:
        """
        Raises:
            WorkerFailed: It did not work; the text says why.
        """
        try:
            self._client.wait_for_ready(timeout=ANSWER_WITHIN)
        except RuntimeError as error:
            raise WorkerFailed(f"the kernel for {self.side.label}: {error}") from error
        if self.side.package == "upstream":
            # It finds itself first; then it sees the checkout, too.
            self.time("import twisted_ipython")
            self.time(f"import sys; sys.path.append({str(TOP)!r})")
        self.time(
            "from benchmarks import sides; "
            f"sides.set_up(get_ipython(), sides.Side.of({str(self.side)!r}))"
        )
        self.time(PREPARE)
        if self.side.package == "bare":
            self.time("get_ipython().loop_runner = sides.hop_runner(reactor)")

    def time(self, cell: str) -> float:
        """``time_cell``, in this kernel."""
        return time_cell(self._client, cell)

    def time_interrupt(self) -> float:
        """``time_interrupt``, by the signal that its manager sends."""
        return time_interrupt(self._client, self._manager.interrupt_kernel)


def time_cell(client: BlockingKernelClient, cell: str) -> float:
    """
    Seconds from sending ``cell`` until its reply is here.

    Returns when the kernel is idle again, so that cells don't overlap.

    Raises:
        WorkerFailed: The cell did.
    """
    began = perf_counter()
    request = client.execute(cell, store_history=False)
    content = _reply(client, request)
    seconds = perf_counter() - began
    _until(client, request, lambda content: content.get("execution_state") == "idle")
    if content["status"] != "ok":
        raise WorkerFailed(f"{cell!r}: {content.get('ename')}: {content.get('evalue')}")
    return seconds


SPIN = "while True: pass"


def time_interrupt(
    client: BlockingKernelClient, interrupt: Callable[[], object]
) -> float:
    """
    Seconds from ``interrupt`` until the reply of a cell that runs without end is here.

    Raises:
        WorkerFailed: It ended otherwise.
    """
    request = client.execute(f"print('begun', flush=True)\n{SPIN}", store_history=False)
    _until(client, request, lambda content: "begun" in content.get("text", ""))
    began = perf_counter()
    interrupt()
    content = _reply(client, request)
    seconds = perf_counter() - began
    _until(client, request, lambda content: content.get("execution_state") == "idle")
    if content.get("ename") != "KeyboardInterrupt":
        raise WorkerFailed(f"{SPIN!r}, interrupted, ended with {content}")
    return seconds


def _reply(client: BlockingKernelClient, request: str) -> dict[str, Any]:
    while True:
        reply = client.get_shell_msg(timeout=ANSWER_WITHIN)
        if reply["parent_header"].get("msg_id") == request:
            content: dict[str, Any] = reply["content"]
            return content


def _until(
    client: BlockingKernelClient,
    request: str,
    is_it: Callable[[dict[str, Any]], bool],
) -> None:
    while True:
        message = client.get_iopub_msg(timeout=ANSWER_WITHIN)
        if message["parent_header"].get("msg_id") == request and is_it(
            message["content"]
        ):
            return


PLAN = {
    STOCK: ("sleep", "pass"),
    OURS[0]: ("fired", "later"),
    OURS[1]: ("fired", "later"),
    UPSTREAM_SIDE: ("fired", "later"),
    **dict.fromkeys(BARE.values(), ("fired",)),
}


def run(
    effort: Effort, found: Measurements, folder: Path, say: Callable[[str], object]
) -> Group:
    """Measure the kernels, all of them up at once, in turns."""
    times = effort.times(CELLS_IN_A_ROUND)
    for start in range(effort.starts):
        say(f"kernels, set {start + 1} of {effort.starts}")
        with ExitStack() as stack:
            kernels = {}
            for side in filter(found.has, PLAN):
                kernel = stack.enter_context(Kernel(side, folder))
                try:
                    kernel.set_up()
                    for case in PLAN[side] * 5:  # to warm up
                        kernel.time(CELLS[case])
                except WorkerFailed as failed:
                    found.tolerate(side, failed)
                else:
                    kernels[side] = kernel
            for sides in in_turns(list(kernels), 2 * effort.rounds):
                for side in sides:
                    for case in PLAN[side]:
                        cell = CELLS[case]
                        seconds = [kernels[side].time(cell) for _ in range(times)]
                        found.add(side, case, median(seconds))
    rows = [
        found.row(f"{STOCK.label}: `{CELLS['pass']}`", STOCK, "pass"),
        found.row(f"{STOCK.label}: `{CELLS['sleep']}`", STOCK, "sleep"),
    ]
    over = ("stock's await", STOCK, "sleep")
    for side in (*OURS, UPSTREAM_SIDE, *BARE.values()):
        label = side.label
        if side.package == "bare":
            label = f"a runner that only hops, {side.reactor} reactor"
        for case in PLAN[side]:
            target = 1.05 if side in OURS and case == "fired" else None
            name = f"{label}: `{CELLS[case]}`"
            rows.append(found.row(name, side, case, over=over, at_most=target))
    return Group(
        "One cell, through a kernel",
        tuple(rows),
        (
            "From `execute_request` to `execute_reply`, client and kernels on the same "
            "CPU, all kernels up at once. `store_history` is off. The runner that only hops is "
            "that of the cells in process.",
        ),
    )
