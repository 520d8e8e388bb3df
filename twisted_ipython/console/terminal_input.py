"""
Read a line from the terminal for as long as somebody wants it.

``input()`` and ``getpass()`` block until there is a line, and a Ctrl-C that comes just
before they wait is not seen until the next key. Standard library alone.
"""

from __future__ import annotations

import os
import select
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext

EOF = "\x04"
"""What stands for the end of the input (Ctrl-D), as in Jupyter's protocol."""

_LOOK = 0.05  # seconds between two questions whether it is wanted


def read_line(
    prompt: str, *, hidden: bool, is_wanted: Callable[[], bool]
) -> str | None:
    """
    One line of standard input, without its end.

    The terminal's own keys edit it. Lines that are typed ahead stay for the next one.

    Args:
        hidden: True shows nothing of what is typed.
        is_wanted: Asked while there is none.

    Returns:
        The line; EOF at the end of the input; None if it was not wanted any more.
    """
    descriptor = sys.stdin.fileno()
    read = b""
    with _hidden(descriptor) if hidden else nullcontext():
        sys.stdout.write(prompt)
        sys.stdout.flush()
        while not read.endswith(b"\n"):
            if not select.select([descriptor], [], [], _LOOK)[0]:
                if not is_wanted():
                    _new_line()
                    return None
                continue
            byte = os.read(descriptor, 1)
            if not byte:
                if not read:
                    _new_line()
                    return EOF
                break
            read += byte
    if hidden:
        _new_line()
    return read.removesuffix(b"\n").decode(sys.stdin.encoding or "utf-8", "replace")


def _new_line() -> None:
    sys.stdout.write("\n")
    sys.stdout.flush()


@contextmanager
def _hidden(descriptor: int) -> Iterator[None]:
    import termios

    if not os.isatty(descriptor):
        yield
        return
    before = termios.tcgetattr(descriptor)
    quiet = [*before[:3], before[3] & ~termios.ECHO, *before[4:]]
    termios.tcsetattr(descriptor, termios.TCSADRAIN, quiet)
    try:
        yield
    finally:
        termios.tcsetattr(descriptor, termios.TCSADRAIN, before)
