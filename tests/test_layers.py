"""
The shape of the package: who may import whom, and what importing it costs.
"""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import twisted_ipython

PACKAGE = Path(twisted_ipython.__file__).parent

# From the bottom up; a module imports from its own layer and those before it.
LAYERS = {
    "ground": {
        "background.__init__",
        "console.__init__",
        "console.directory",
        "console.errors",
        "console.processes",
        "console.telling",
        "console.terminal_input",
        "output.__init__",
        "timing.__init__",
        "values.__init__",
        "replaced",
        "stops",
        "waiting",
    },
    "internals": {
        "internals",
    },
    "models": {
        "background.activities",
        "advice",
        "timing.code",
        "timing.lines",
        "background.words",
        "cells",
        "console.others",
        "errors",
        "origins",
        "settings",
        "values.short_texts",
        "values.states",
        "tracebacks",
    },
    "driving": {
        "awaiting_cell",
        "bridge",
        "contexts",
        "executor",
        "hosts",
        "timing.clocks",
        "reactor_methods",
        "opened",
        "swallowed",
        "thread_contexts",
        "console.contained",
        "console.reactor_side",
        "console.reading",
        "console.requests",
        "console.running",
        "console.packing",
        "console.places",
        "console.streams",
    },
    "services": {
        "console.asked",
        "console.auditing",
        "console.clients",
        "console.collecting",
        "console.comms",
        "console.assembling",
        "console.executing",
        "console.history",
        "console.installed",
        "console.interrupting",
        "console.kernel",
        "console.lanes",
        "console.namespace",
        "console.opening",
        "console.plan",
        "console.serving",
        "console.shell",
        "console.signals",
        "console.sockets",
        "console.thread_cells",
        "console.unfinished",
        "console.warming",
        "console.watching",
        "output.above_prompt",
        "timing.files",
        "background.collector",
        "output.captures",
        "cell_reactor",
        "console.attaching",
        "console.busy",
        "console.finding",
        "console.terminal",
        "crossing",
        "eventual",
        "output.failed",
        "output.failures",
        "output.followed_cells",
        "forwarding",
        "background.going",
        "interrupts",
        "values.live_states",
        "output.log_claims",
        "background.ports",
        "reactor_thread",
        "reactors",
        "output.reports",
        "background.reruns",
        "run_in_reactor",
        "runner",
        "shared_reactor",
        "values.formatters",
        "stuck",
        "background.waits",
        "values.watches",
    },
    "faces": {
        "__main__",
        "console.command_line",
        "timing.magics",
        "background.magic",
        "console.live_console",
        "magics",
        "raw_cells",
        "output.log_magic",
    },
    "switch": {
        "__init__",
        "extension",
    },
}
HEIGHT = {
    module: height
    for height, modules in enumerate(LAYERS.values())
    for module in modules
}


def modules() -> list[Path]:
    return sorted(PACKAGE.rglob("*.py"))


def layer_name(path: Path) -> str:
    """What the module is called in ``LAYERS``."""
    return known_name(path.relative_to(PACKAGE).with_suffix("").parts)


def known_name(parts: tuple[str, ...]) -> str:
    return "internals" if parts[0] == "internals" else ".".join(parts)


def own_imports(path: Path) -> set[str]:
    """The modules of the package that a module imports, as ``LAYERS`` calls them."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.level:
            folder = path.relative_to(PACKAGE).parts[: -node.level]
            parts = (*folder, *(node.module.split(".") if node.module else ()))
            names = [(*parts, alias.name) for alias in node.names]
            owners = {n if is_module(n) else parts for n in names}
            # () is the package: Python imports it before any module of it.
            found |= {known_name(owner) for owner in owners if owner}
    return found


def is_module(parts: tuple[str, ...]) -> bool:
    return PACKAGE.joinpath(*parts).with_suffix(".py").exists()


@pytest.mark.parametrize("path", modules(), ids=lambda path: path.stem)
def test_imports_point_down(path: Path) -> None:
    """A module imports nothing from a layer above its own."""
    height = HEIGHT[layer_name(path)]
    above = {name for name in own_imports(path) if HEIGHT[name] > height}
    assert not above


@pytest.mark.parametrize("path", modules(), ids=lambda path: path.stem)
def test_private_names_of_others_are_in_internals(path: Path) -> None:
    """Elsewhere, attributes that begin with ``_`` belong to the package itself."""
    if layer_name(path) == "internals":
        return
    tree = ast.parse(path.read_text(encoding="utf-8"))
    owners = {"self", "cls", "cell", "sys"}
    foreign = [
        f"line {node.lineno}: {ast.unparse(node)}"
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute)
        and node.attr.startswith("_")
        and not node.attr.startswith("__")
        and node.attr != "_fields"  # of ast, which documents it
        and not (isinstance(node.value, ast.Name) and node.value.id in owners)
        and ast.unparse(node.value) != "super()"
    ]
    assert not foreign


def test_importing_is_light() -> None:
    """``import twisted_ipython`` imports neither IPython, Twisted nor crochet."""
    program = (
        "import sys, twisted_ipython; "
        "print(*{'IPython', 'twisted', 'crochet', 'asyncio'} & set(sys.modules))"
    )
    said = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert said.stdout.strip() == ""


def test_no_module_imports_the_reactor() -> None:
    """Importing any module of the package leaves the reactor uninstalled."""
    names = [
        ".".join(path.relative_to(PACKAGE.parent).with_suffix("").parts)
        for path in modules()
    ]
    program = (
        f"import importlib, sys\nfor name in {names!r}: importlib.import_module(name)\n"
        "assert 'twisted.internet.reactor' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", program], check=True)
