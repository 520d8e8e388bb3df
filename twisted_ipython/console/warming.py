"""
What IPython would import while a cell runs, imported before.
"""

from __future__ import annotations

import sys
from contextlib import suppress
from importlib import import_module
from typing import Any

# What IPython imports at the first error, question, completion, magic or command.
_LATER = (
    "stack_data",
    "pygments.formatters.terminal256",
    "pygments.formatters.html",
    "pygments.lexers.python",
    "pygments.styles.default",
    "IPython.core.guarded_eval",
    "IPython.core.latex_symbols",
    "IPython.core.magics.execution",
    "IPython.core.magics.namespace",
    "pexpect",
)


def warm_up(shell: Any) -> None:
    """
    Have that imported now, if it was not. In a cell, the reactor would wait for it.
    """
    if all(name in sys.modules for name in _LATER):
        return
    for name in _LATER:
        with suppress(ImportError):
            import_module(name)
    try:
        raise ValueError
    except ValueError:
        shell.InteractiveTB.structured_traceback(*sys.exc_info())
    shell.inspector.info(warm_up)
    shell.display_formatter.format(None)
