"""
Messages as bytes.
"""

from __future__ import annotations

import json
from typing import Any

from jupyter_client.jsonutil import json_clean, json_default


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
