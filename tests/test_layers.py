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
        "replaced",
        "waiting",
    },
    "internals": {
        "internals",
    },
    "models": {
        "activities",
        "advice",
        "awaited_code",
        "awaiting_lines",
        "background_words",
        "cells",
        "errors",
        "origins",
        "settings",
        "short_texts",
        "states",
        "tracebacks",
    },
    "driving": {
        "awaiting_cell",
        "bridge",
        "contexts",
        "executor",
        "hosts",
        "measuring",
        "reactor_methods",
        "opened",
        "swallowed",
        "thread_contexts",
    },
    "services": {
        "above_prompt",
        "awaiting_files",
        "background",
        "captures",
        "cell_reactor",
        "crossing",
        "eventual",
        "failures",
        "followed_cells",
        "forwarding",
        "going",
        "interrupts",
        "live_states",
        "log_claims",
        "ports",
        "reactor_thread",
        "reactors",
        "reports",
        "reruns",
        "run_in_reactor",
        "runner",
        "shared_reactor",
        "shown_values",
        "stuck",
        "waits",
        "watches",
    },
    "faces": {
        "awaiting_magics",
        "background_magic",
        "magics",
        "raw_cells",
        "twisted_log",
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
    first = path.relative_to(PACKAGE).parts[0]
    return first.removesuffix(".py")


def own_imports(path: Path) -> set[str]:
    """The first names below the package that a module imports."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.level:
            if node.module:
                found.add(node.module.split(".")[0])
            else:
                found |= {alias.name for alias in node.names}
    return found


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
