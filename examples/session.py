"""
Play a session at a terminal, and print what the screen shows.

    python examples/session.py web 'greeting' 'greeting = "Bonjour"'

attaches to the application ``web``, types each line at a prompt, and leaves. For
documents, so that what they show is what is to be seen. Needs pexpect, and pyte, a
terminal emulator.
"""

from __future__ import annotations

import os
import re
import socket
import subprocess
import sys
import time

import pexpect
import pyte

from twisted_ipython.console.directory import applications

ROWS, COLUMNS = 60, 84

# Seconds that one cell may take.
PATIENCE = 20


class Session:
    """
    ``twisted-ipython attach`` on a terminal that nobody sees.

    Args:
        target: The application's name or PID.
    """

    def __init__(self, target: str) -> None:
        self._screen = pyte.Screen(COLUMNS, ROWS)
        self._stream = pyte.Stream(self._screen)
        self._program = pexpect.spawn(
            sys.executable,
            ["-m", "twisted_ipython", "attach", target],
            dimensions=(ROWS, COLUMNS),
            encoding="utf-8",
        )
        self._prompt = ""
        self._wait_for_prompt()

    @property
    def lines(self) -> list[str]:
        """What the screen shows, without what is empty at its end."""
        shown = [line.rstrip() for line in self._screen.display]
        while shown and not shown[-1]:
            shown.pop()
        return shown

    def type(self, line: str) -> None:
        """Type one cell, and wait for the next prompt."""
        self._program.send(line + "\r")
        self._wait_for_prompt()

    def leave(self) -> None:
        """Type ``exit``, and wait until the program has ended."""
        self._program.send("exit\r")
        while self._read():
            pass
        self._program.close()

    def _wait_for_prompt(self) -> None:
        """Read on until there is a prompt with another number, and nothing typed."""
        before = self._prompt
        while self._prompt == before:
            if not self._read():
                raise RuntimeError("it has ended:\n" + "\n".join(self.lines))
            last = self.lines[-1] if self.lines else ""
            if re.fullmatch(r"In \[\d+\]:", last):
                self._prompt = last

    def _read(self) -> bool:
        """Show what it prints next; False when it has ended."""
        try:
            text = self._program.read_nonblocking(4096, PATIENCE)
        except pexpect.EOF:
            return False
        except pexpect.TIMEOUT:
            raise RuntimeError("nothing more:\n" + "\n".join(self.lines)) from None
        self._stream.feed(text)
        # It asks the terminal where its cursor is, and waits for the answer.
        if "\x1b[6n" in text:
            row, column = self._screen.cursor.y + 1, self._screen.cursor.x + 1
            self._program.send(f"\x1b[{row};{column}R")
        return True


def start(path: str, port: int) -> subprocess.Popen[bytes]:
    """
    Run an application file under twistd; gives its process, once its console can be
    attached to.

    Args:
        port: What it finds in the environment as ``PORT``.
    """
    process = subprocess.Popen(
        [
            *(sys.executable, "-c", "from twisted.scripts.twistd import run; run()"),
            *("--nodaemon", "--pidfile=", "--logfile=" + os.devnull, "--python", path),
        ],
        env={**os.environ, "PORT": str(port)},
    )
    while process.pid not in [each.pid for each in applications()]:
        if process.poll() is not None:
            raise RuntimeError(f"{path} has ended")
        time.sleep(0.05)
    return process


def free_port() -> int:
    """A port of the loopback interface that nothing listens on."""
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


def play(target: str, *cells: str) -> str:
    """What the screen shows after ``cells`` were typed, from the first prompt on."""
    session = Session(target)
    for cell in cells:
        session.type(cell)
    shown = session.lines[:-1]
    session.leave()
    first = next(n for n, line in enumerate(shown) if line.startswith("In ["))
    return "\n".join(shown[first:]).rstrip()


if __name__ == "__main__":
    print(play(*sys.argv[1:]))
