"""
The predecessor, twisted_ipython 2.0.0, to compare with.

It has the same name, so it lives in a folder of its own, which only the processes
that need it look into.
"""

from __future__ import annotations

from .installing import install
from .sides import UPSTREAM

REQUIREMENT = "twisted_ipython==2.0.0"


def fetch() -> str:
    """Install it if it is not there; gives why it can't be had, or ""."""
    if (UPSTREAM / "twisted_ipython" / "__init__.py").exists():
        return ""
    # What it needs (IPython, Twisted, crochet) is here already.
    return install(REQUIREMENT, UPSTREAM, needs=False)
