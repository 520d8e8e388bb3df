"""
Methods replaced on one object, or on one class, and put back exactly.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any


def replace(
    owner: Any, methods: Mapping[str, Callable[..., Any]]
) -> Callable[[], None]:
    """
    Set ``methods`` as attributes of ``owner``; gives what undoes it.

    What somebody else has put over one of them since then stays.

    Thread:
        Any: each is one assignment.
    """
    absent = object()
    before = {name: vars(owner).get(name, absent) for name in methods}
    for name, method in methods.items():
        setattr(owner, name, method)

    def undo() -> None:
        for name, method in methods.items():
            if vars(owner).get(name) is not method:
                continue
            if before[name] is absent:
                delattr(owner, name)
            else:
                setattr(owner, name, before[name])

    return undo
