"""
Seconds that it takes to import what a console needs, in an application.

Run with ``live``, ``manhole`` or ``aiomonitor``; prints two numbers as JSON: for the
application's own import, and for what the console adds.
"""

from __future__ import annotations

import json
import sys
from time import perf_counter

from .. import others


def main(console: str) -> None:
    others.let_import()
    began = perf_counter()
    import twisted.application.service  # noqa: F401

    between = perf_counter()
    if console == "live":
        from twisted_ipython import LiveConsole  # noqa: F401
    elif console == "manhole":
        import manhole  # noqa: F401
    else:
        import aiomonitor  # noqa: F401
    print(json.dumps([between - began, perf_counter() - between]))


if __name__ == "__main__":
    main(sys.argv[1])
