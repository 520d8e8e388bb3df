"""
What can go wrong with a live console, in sentences.

Apart from ``twisted_ipython.errors``, whose imports an application that only has a
dormant console should not pay for.
"""

from __future__ import annotations

# What to install where ipykernel is missing. It reaches the log of the
# application, and who attaches.
NO_IPYKERNEL = (
    "the live console needs ipykernel in the application's environment: "
    "python -m pip install 'twisted_ipython[console]'"
)


class ConsoleError(Exception):
    """What all errors of the live console have in common."""


class CannotInstall(ConsoleError):
    """There is no console in this process now; nothing was changed."""


class CannotOpen(ConsoleError):
    """The console stays dormant; the application goes on."""


class Refused(ConsoleError):
    """A file or directory is not as it has to be to be trusted."""


class CannotAttach(ConsoleError):
    """The application can't be attached to; the text says why."""


class NoAnswer(CannotAttach):
    """
    The application did not open its console in time.

    Attributes:
        seconds: How long it was waited for.
        where: The line that its reactor thread was at, or "".
        stack: The lines of that thread's stack, outermost first; may be empty.
    """

    def __init__(
        self, text: str, seconds: float, where: str = "", stack: tuple[str, ...] = ()
    ) -> None:
        super().__init__(text)
        self.seconds = seconds
        self.where = where
        self.stack = stack
