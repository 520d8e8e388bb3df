"""
The names at the prompt: the application's, and behind them IPython's own.

A cell reads and writes the application's dictionary, so that what it assigns is what
the application uses. ``In``, ``_``, ``exit`` and their kin are kept apart from it, and
are there at the top level of cells.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator, MutableMapping
from types import ModuleType
from typing import Any

# Names that IPython writes again and again: they never land in the application,
# whatever it calls so itself (as gettext's _).
_NUMBERED = re.compile(r"_(?:i?\d+|i{1,3}|_{0,2}|[iod]h|exit_code)\Z")

# Names that it provides once. What the application calls so is the application's.
_PROVIDED = frozenset(
    {"In", "Out", "exit", "quit", "open", "get_ipython", "__session__"}
)


class Namespace(MutableMapping, dict):  # type: ignore
    """
    The dictionary of the application, with IPython's own names behind it.

    A ``dict``, since IPython and ``exec`` want one; what it holds as such stays
    empty.

    Attributes:
        names: The application's dictionary, the very object.
        own: IPython's names.

    Thread:
        As any dictionary: each call is one operation on another one.
    """

    def __init__(self, names: dict[str, Any]) -> None:
        self.names = names
        self.own: dict[str, Any] = {}

    def _where(self, name: str) -> dict[str, Any]:
        """The dictionary that a name belongs to."""
        if not isinstance(name, str):
            return self.names
        if _NUMBERED.match(name):
            return self.own
        if name in _PROVIDED and name not in self.names:
            return self.own
        return self.names

    def __getitem__(self, name: str) -> Any:
        where = self._where(name)
        if where is self.own and name not in where:
            where = self.names  # the application's own _, as long as there is no other
        return where[name]

    def __setitem__(self, name: str, value: Any) -> None:
        self._where(name)[name] = value

    def __delitem__(self, name: str) -> None:
        del self._where(name)[name]

    def __contains__(self, name: object) -> bool:
        return name in self.names or name in self.own

    def __iter__(self) -> Iterator[str]:
        own = [name for name in list(self.own) if name not in self.names]
        return iter([*list(self.names), *own])

    def __len__(self) -> int:
        return len(self.names.keys() | self.own.keys())

    def __repr__(self) -> str:
        return f"<names of the application, and {len(self.own)} of IPython's>"

    def __reduce__(self) -> Any:
        return dict, (), None, None, iter([(name, self[name]) for name in self])

    def copy(self) -> dict[str, Any]:
        return {name: self[name] for name in self}

    def clear(self) -> None:
        """Forget IPython's names; the application's are its own."""
        self.own.clear()


def module_of(names: dict[str, Any]) -> Any:
    """
    The module whose ``__dict__`` is ``names``.

    For a dictionary that is no module's, an object that has it as its own: the
    globals of what a cell defines are ``names``, too.
    """
    name = names.get("__name__")
    module = sys.modules.get(name) if isinstance(name, str) else None
    if isinstance(module, ModuleType) and module.__dict__ is names:
        return module

    class Names:
        pass

    owner = Names()
    owner.__dict__ = names
    return owner
