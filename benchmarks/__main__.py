"""
``python -m benchmarks [--quick] [--only NAME]``
"""

from __future__ import annotations

import argparse
import os
import platform
import sys
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from . import inprocess, processes, routing, upstream
from .figures import Group
from .report import report
from .sides import UPSTREAM_SIDE
from .turns import FULL, QUICK, Effort, Measurements, measure_in_turns
from .workers import own_environment, pin

RESULTS = Path(__file__).resolve().parent / "RESULTS.md"

# In the order of the table.
NAMES = (
    *("awaiting", "kernel", "magic", "load", "gather", "memory", "exit", "many"),
    *("routing", "forwarding", "console"),
)
# What compares nothing with upstream, which then need not be fetched.
ALONE = {"routing", "forwarding", "console"}


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks",
        description="Measure how fast it is, beside upstream 2.0.0, stock IPython, "
        "python-manhole and aiomonitor.",
        epilog="A full run takes some minutes, and writes benchmarks/RESULTS.md too.",
    )
    parser.add_argument(
        "--quick",
        action="store_true",
        help="few rounds: whether it works, not how fast it is",
    )
    parser.add_argument(
        "--only",
        action="append",
        choices=NAMES,
        help="one part (can be given several times)",
    )
    options = parser.parse_args()

    cpu = pin()
    names = options.only or NAMES
    missing = "" if ALONE.issuperset(names) else upstream.fetch()
    if missing:
        say(missing)
    load = os.getloadavg()[0] if hasattr(os, "getloadavg") else None
    effort = QUICK if options.quick else FULL
    groups = run(names, effort, missing)
    text = report(groups, facts(cpu, load))
    print(text, end="")
    if not options.quick and not options.only:
        RESULTS.write_text(text)
        say(f"written to {RESULTS.parent.name}/{RESULTS.name}")


def run(
    names: list[str] | tuple[str, ...], effort: Effort, missing: str
) -> list[Group]:
    """Measure the parts in ``names``."""

    def measurements() -> Measurements:
        return Measurements({UPSTREAM_SIDE: missing})

    groups: dict[str, Group] = {}
    together = [name for name in inprocess.SUITES if name in names]
    with own_environment() as folder:
        if together:
            found = measurements()
            measure_in_turns(inprocess.merged(together), effort, found, say)
            groups.update(
                (name, inprocess.SUITES[name].group(found)) for name in together
            )
        if "kernel" in names:
            from . import kernels  # which needs jupyter_client

            groups["kernel"] = kernels.run(effort, measurements(), folder, say)
        for name, suite in (
            ("load", processes.load),
            ("memory", processes.memory),
            ("exit", processes.leave),
            ("routing", routing.routing),
            ("forwarding", routing.forwarding),
        ):
            if name in names:
                groups[name] = suite(effort, measurements(), say)
        if "console" in names:
            from .console import measuring  # which needs jupyter_client

            groups["console"] = measuring.run(effort, folder, say)
    return [groups[name] for name in NAMES if name in groups]


def facts(cpu: int | None, load: float | None) -> Iterator[tuple[str, str]]:
    """What somebody must know who compares two runs."""
    yield (
        "command",
        f"`python -m benchmarks {' '.join(sys.argv[1:])}`".replace(" `", "`"),
    )
    yield (
        "Python",
        f"{platform.python_version()}, {platform.system()} {platform.machine()}",
    )
    packages = ("ipython", "ipykernel", "jupyter-client", "twisted", "crochet")
    yield "with", ", ".join(f"{name} {_version(name)}" for name in packages)
    from twisted_ipython import __version__

    yield "ours", f"twisted_ipython {__version__}"
    pinned = (
        "not pinned to a CPU"
        if cpu is None
        else f"pinned to one of {os.cpu_count()} CPUs"
    )
    yield (
        "machine",
        pinned + ("" if load is None else f", load at the start {load:.1f}"),
    )


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return "none"


def say(text: str) -> None:
    """Progress, beside the table."""
    print(text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
