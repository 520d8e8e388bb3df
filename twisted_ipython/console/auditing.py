"""
Who did what, told to the application's log and to who asked to be told.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from twisted.logger import Logger

from .clients import Client
from .directory import user_name
from .finding import harmless
from .requests import Request

_log = Logger(namespace="twisted_ipython.console")


class Auditing:
    """
    Thread:
        Reactor thread.
    """

    def __init__(
        self,
        application: str,
        audit: Callable[[dict[str, Any]], object] | None,
        with_code: bool,
        on_attach: Callable[[Client], object] | None,
        on_detach: Callable[[Client], object] | None,
    ) -> None:
        self._application = application
        self._audit = audit
        self._with_code = with_code
        self._on_attach = on_attach
        self._on_detach = on_detach

    def attached(self, client: Client) -> None:
        """A client has come."""
        self._tell("attach", "{user} ({client}) attached to {application}", client)
        self._call(self._on_attach, client)

    def detached(self, client: Client) -> None:
        """A client has gone."""
        self._tell("detach", "{user} ({client}) left {application}", client)
        self._call(self._on_detach, client)

    def cell_ended(self, request: Request, outcome: str, seconds: float) -> None:
        """A cell has ended: ``ok``, ``aborted``, or with the name of an error."""
        text = (
            "{user} ({client}) ran a cell in {application}: {outcome}, {seconds:.3f} s"
        )
        details: dict[str, Any] = {"outcome": harmless(outcome), "seconds": seconds}
        if self._with_code:
            details["code"] = request.raw_cell
            text += ": {code!r}"
        self._tell("cell", text, request.client, **details)

    def _tell(
        self, event: str, text: str, client: Client | None, **details: Any
    ) -> None:
        known: dict[str, Any] = {
            "event": event,
            "application": self._application,
            "at": time.time(),
            "user": _who(client),
            "client": "unknown" if client is None else _which(client),
            "pid": None if client is None else client.pid,
            "uid": None if client is None else client.uid,
            "session": None if client is None else client.session,
            **details,
        }
        _log.info(text, **known)
        self._call(self._audit, known)

    def _call(self, function: Callable[..., object] | None, *args: Any) -> None:
        if function is None:
            return
        try:
            function(*args)
        except Exception:  # of the application's function: its log has it
            _log.failure("live console: {function} failed", function=function)


def _who(client: Client | None) -> str:
    if client is None:
        return "somebody"
    return harmless(client.user) if client.uid is None else user_name(client.uid)


def _which(client: Client) -> str:
    where = "process unknown" if client.pid is None else f"process {client.pid}"
    return f"{where}, session {harmless(client.session[:8])}"
