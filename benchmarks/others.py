"""
python-manhole and aiomonitor, to compare the live console with.

They and what they need lie in a folder of their own, which only the processes that
need them look into, after all others: they get no other version of what is here.
"""

from __future__ import annotations

import sys
from pathlib import Path

from .installing import install

VERSIONS = {"manhole": "1.8.1", "aiomonitor": "0.7.1"}

# Some of what they need is compiled for one version of Python.
FOLDER = Path(__file__).resolve().parent / ".others" / sys.implementation.cache_tag


def fetch(name: str) -> str:
    """Install it if it is not there; gives why it can't be had, or ""."""
    if (FOLDER / name / "__init__.py").exists():
        return ""
    return install(f"{name}=={VERSIONS[name]}", FOLDER, needs=True)


def let_import() -> None:
    """Let this process import them."""
    sys.path.append(str(FOLDER))
