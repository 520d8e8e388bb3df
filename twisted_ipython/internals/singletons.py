"""
The instances that traitlets' singletons keep, set and put back.

Tried with traitlets 5.9 and 5.15.
"""

from __future__ import annotations

from typing import Any


def owners(cls: Any) -> list[Any]:
    """The classes that keep the one instance of ``cls``, or of what it inherits."""
    return list(cls._walk_mro())


# The attribute of these classes that holds it.
ATTRIBUTE = "_instance"
