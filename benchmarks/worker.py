"""
A worker process: obeys one order a line, and answers each with one line of JSON.

Started by ``workers``, with the name of a side. What the cells print goes nowhere.
"""

from __future__ import annotations

import json
import os
import sys
import time
import traceback
from collections.abc import Callable
from functools import lru_cache
from typing import Any

from . import cases, sides, web_client
from .sides import Side


def main(side: Side) -> None:
    answers = os.fdopen(os.dup(1), "w")
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 1)

    def answer(value: Any) -> None:
        answers.write(json.dumps(value) + "\n")
        answers.flush()

    shell = sides.new_shell()
    orders: dict[str, Callable[..., Any]] = {
        "set up": lambda: set_up(shell, side),
        "measure": lambda case, times: cases.measure(shell, case, times),
        "grow": lambda case, times: cases.run_cells(shell, cases.CELLS[case], times),
        "load": lambda: time_load(shell, side),
        "import": lambda: sides.import_time(side.reactor),
        "cpu": time.process_time,
        "serve": lambda routed: web_server(shell).serve(routed),
        "stop": lambda: web_server(shell).stop(),
        "request": web_client.load,
        "whose": web_client.whose,
    }
    for line in sys.stdin:
        order, *arguments = json.loads(line)
        if order == "end":
            # The last statement: what is left to do is the end of the process.
            answer({"answer": time.monotonic()})
            return
        try:
            answer({"answer": orders[order](*arguments)})
        except Exception:
            answer({"failed": traceback.format_exc()})


def set_up(shell: Any, side: Side) -> None:
    sides.set_up(shell, side)
    shell.run_cell(cases.PREPARE).raise_error()


def time_load(shell: Any, side: Side) -> float:
    sides.configure(shell, side)
    began = time.perf_counter()
    sides.load(shell)
    seconds = time.perf_counter() - began
    sides.check_loaded(side)
    return seconds


@lru_cache(maxsize=1)
def web_server(shell: Any) -> Any:
    from .web_server import WebServer  # which needs the reactor

    return WebServer(shell)


if __name__ == "__main__":
    main(Side.of(sys.argv[1]))
