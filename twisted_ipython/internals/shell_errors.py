"""
Where IPython's shell asks for the error that it is to show, and keeps one.

Tried with IPython 8.18.1, 8.39.0 and 9.18.1.
"""

from __future__ import annotations

from contextlib import AbstractContextManager
from typing import Any


class SeenErrors:
    """
    Mixed into a shell class, before it: ``prepare`` sees each error that is shown or
    kept for ``%tb`` and ``%debug``, inside of ``showing``.
    """

    def prepare(self, error: BaseException) -> None:
        """Change what is to be seen of ``error``."""
        raise NotImplementedError

    def showing(self) -> AbstractContextManager[object]:
        """Entered while an error is formatted."""
        raise NotImplementedError

    def text_of(self, error: BaseException) -> str:
        """Its text, which ipykernel takes by ``str``: that may be the user's code."""
        raise NotImplementedError

    def show_text(self, error: BaseException, text: str) -> None:
        """Show this of an error that can't be formatted."""
        shell: Any = super()
        shell._showtraceback(type(error), text, [f"{type(error).__name__}: {text}"])

    def _showtraceback(self, etype: Any, evalue: Any, stb: Any) -> None:
        shell: Any = super()
        shell._showtraceback(etype, self.text_of(evalue), stb)

    def _get_exc_info(self, exc_tuple: Any = None) -> Any:
        shell: Any = super()
        kind, error, traceback = shell._get_exc_info(exc_tuple)
        if isinstance(error, BaseException):
            self.prepare(error)
            traceback = error.__traceback__
        return kind, error, traceback

    def _format_exception_for_storage(self, *args: Any, **kwargs: Any) -> Any:
        with self.showing():
            shell: Any = super()
            try:
                return shell._format_exception_for_storage(*args, **kwargs)
            except Exception as failed:  # of the user's code, as its __str__
                return [f"<no traceback: {type(failed).__name__} in its making>"]
