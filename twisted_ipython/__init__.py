"""
Await Twisted in IPython and Jupyter.

``%load_ext twisted_ipython`` and ``%autoawait twisted``, and a cell can await
a Deferred. Importing this package imports neither IPython nor Twisted; what
loads them is imported when it is needed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from IPython.core.interactiveshell import InteractiveShell

__version__ = "3.0.0"

__all__ = ["__version__", "load_ipython_extension", "unload_ipython_extension"]


def load_ipython_extension(shell: InteractiveShell) -> None:
    """
    Switch everything on in ``shell``; does nothing where it is on already.

    Raises:
        UsageError: The reactor that is installed can't be used from here;
            the text says what to do. Nothing was changed.

    Thread:
        Shell thread (``%load_ext`` calls this).
    """
    from .extension import load

    load(shell)


def unload_ipython_extension(shell: InteractiveShell) -> None:
    """
    Give ``shell`` back as it was before loading; the reactor goes on.

    Thread:
        Shell thread (``%unload_ext`` calls this).
    """
    from .extension import unload

    unload(shell)
