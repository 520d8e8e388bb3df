"""
What one client is shown of what the others do.
"""

from __future__ import annotations

from typing import Any


def shown(message: dict[str, Any], prefix: str) -> str:
    """
    What to print of a message that another client has caused: whole lines, each with
    the prefix; "" where there is nothing to print.

    Source:
        "Messages on the IOPub (PUB/SUB) channel" of Jupyter's messaging protocol.
    """
    content = message["content"]
    kind = message["msg_type"]
    if kind == "execute_input":
        return "\n" + _marked(prefix, f"In [{_count(content)}]: ", content["code"])
    if kind == "execute_result":
        text = content["data"].get("text/plain", "")
        return _marked(prefix, f"Out[{_count(content)}]: ", text)
    if kind == "stream":
        return _marked(prefix, "", content["text"])
    if kind == "display_data":
        return _marked(prefix, "", content["data"].get("text/plain", ""))
    if kind == "error":
        return _marked(prefix, "", "\n".join(content["traceback"]))
    return ""


def _count(content: dict[str, Any]) -> str:
    return str(content.get("execution_count", " "))


def _marked(prefix: str, prompt: str, text: str) -> str:
    if not text:
        return ""
    first, *rest = text.rstrip("\n").split("\n")
    indent = " " * len(prompt)
    lines = [prompt + first, *(indent + line for line in rest)]
    return "".join(f"{prefix}{line}\n" for line in lines)
