"""
Messages as bytes, and their sending.
"""

from __future__ import annotations

import json
from contextlib import nullcontext
from typing import Any

from jupyter_client.jsonutil import json_clean, json_default
from jupyter_client.session import Session

from .requests import current


class LiveSession(Session):
    """Sends each message whole, also where the cell that it is of is interrupted."""

    def send(self, *args: Any, **kwargs: Any) -> Any:
        request = current()
        with nullcontext() if request is None else request.whole():
            return super().send(*args, **kwargs)


def pack(content: Any) -> bytes:
    """
    JSON of ``content``; what is no text for UTF-8, as a lone surrogate, becomes "?".

    jupyter_client's own fails there, and the reply is lost with it. What can't be told
    in JSON, it mends with a warning, which would be the application's line.

    Raises:
        ValueError: It holds what has no form in JSON.

    Thread:
        Any.
    """
    try:
        text = json.dumps(
            content, default=json_default, ensure_ascii=False, allow_nan=False
        )
    except (TypeError, ValueError):
        text = json.dumps(
            json_clean(content),
            default=json_default,
            ensure_ascii=False,
            allow_nan=False,
        )
    return text.encode("utf-8", "replace")
