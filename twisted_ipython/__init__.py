"""
Await Twisted in IPython and Jupyter; look into a running application.

``%load_ext twisted_ipython`` and ``%autoawait twisted``, and a cell can await
a Deferred. ``LiveConsole(globals()).setServiceParent(application)``, and
``twisted-ipython attach`` opens a console inside the application. Importing this package imports neither IPython nor Twisted; what
loads them is imported when it is needed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from typing import Any

    from IPython.core.interactiveshell import InteractiveShell

    from .console.live_console import LiveConsole, install_live_console

__version__ = "3.0.0"

__all__ = [
    "LiveConsole",
    "__version__",
    "install_live_console",
    "load_ipython_extension",
    "unload_ipython_extension",
]


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


def __getattr__(name: str) -> Any:
    # What an application imports, and a notebook need not.
    if name in ("LiveConsole", "install_live_console"):
        from .console import live_console

        return getattr(live_console, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
