"""
The web service of ``examples/``, as its README shows it.
"""

from __future__ import annotations

import re
import urllib.request
from pathlib import Path

import pytest

from applications import REACTORS, ok, run
from services import Service

EXAMPLE = Path(__file__).parents[1] / "examples" / "web_service.py"


@pytest.mark.parametrize("reactor", REACTORS)
def test_what_is_assigned_is_what_the_next_visitor_gets(reactor: str) -> None:
    """Names, functions and counters; while a cell awaits and before and after."""
    with Service(
        EXAMPLE.read_text(), reactor=reactor, environment={"PORT": "0"}
    ) as app:
        app.wait_until(lambda: "starting on" in app.log, what="its port")
        port = re.findall(r"starting on (\d+)", app.log)[0]

        def get(path: str) -> str:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}") as page:
                return str(page.read().decode())

        assert app.app_json["name"] == "web"
        assert get("/?name=Ada") == "Hello, Ada! This page was shown 1 times.\n"
        client = app.client()
        assert ok(client, "visits").result == "1"
        ok(client, "greeting = 'Welcome'")
        assert get("/?name=Ada") == "Welcome, Ada! This page was shown 2 times.\n"
        ok(client, "visits = 10")
        assert get("/counter") == "10\n"
        assert get("/slow?seconds=0.01") == (
            "Welcome, visitor! This page was shown 10 times.\n"
        )
        ok(client, "page = lambda name: f'{name}, we are closed.\\n'")
        assert get("/?name=Ada") == "Ada, we are closed.\n"
        assert run(client, "slow.waiting").result == "{}"
        assert "[stdout#info] visit 2 of Ada" in app.log
        assert "visit" not in client.attached.conversation().split("cells sent")[0]
        app.end()
        assert "Traceback" not in app.log, app.log
