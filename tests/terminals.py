"""
IPython in a terminal for tests: on a pty, and as ``ipython -c`` or ``ipython file.ipy``.

A :class:`Terminal` types like a person and reads what a person would read, with
colours and cursor movements taken out. Nothing here sleeps to wait: what is
awaited is text on the screen, with a deadline, and a deadline that passes
prints the whole transcript.
"""

from __future__ import annotations

import contextlib
import re
import shutil
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Callable
from pathlib import Path

import pexpect

from kernels import DEADLINE, clean_environment

_ESCAPES = re.compile(
    r"\x1b\[[0-9;?<>=]*[A-Za-z]"  # colours, cursor
    r"|\x1b\][^\x07]*\x07"  # window title
    r"|\x1b[()][A-Z0-9]"  # character sets
    r"|\x1b[=>78]"
)
_PROMPT = re.compile(r"In \[(\d+)\]: ?")


def readable(text: str) -> str:
    """What is left of a terminal's output for somebody who reads it."""
    return _ESCAPES.sub("", text).replace("\r", "")


def ipython_command(*arguments: str) -> list[str]:
    """The command line of IPython under the Python that runs the tests."""
    return [
        sys.executable,
        "-m",
        "IPython",
        "--no-banner",
        "--colors=NoColor",
        "--no-confirm-exit",
        "--HistoryManager.hist_file=:memory:",
        *arguments,
    ]


def _write_config(directory: Path, config: str) -> None:
    profile = directory / "ipython" / "profile_default"
    profile.mkdir(parents=True, exist_ok=True)
    (profile / "ipython_config.py").write_text(config)


class Terminal:
    """
    IPython on a pty.

    Args:
        arguments: Added to IPython's command line.
        simple: True reads lines as the terminal gives them (``--simple-prompt``);
            False has prompt_toolkit's real prompt.
        config: Text of an ``ipython_config.py``.
        environment: Added to its environment.
        command: Run this instead of IPython's own command line.
    """

    def __init__(
        self,
        *arguments: str,
        simple: bool = True,
        config: str = "",
        environment: dict[str, str] | None = None,
        command: list[str] | None = None,
    ) -> None:
        self.directory = Path(tempfile.mkdtemp(prefix="terminal-"))
        self.simple = simple
        if config:
            _write_config(self.directory, config)
        if command is None:
            command = ipython_command(
                *(["--simple-prompt"] if simple else []), *arguments
            )
        self._raw = ""
        env = clean_environment(
            self.directory,
            TERM="xterm",
            PROMPT_TOOLKIT_NO_CPR="1",
            **(environment or {}),
        )
        with warnings.catch_warnings():
            # Python warns that a process with threads forks; pexpect execs at once.
            warnings.simplefilter("ignore", DeprecationWarning)
            self.child = pexpect.spawn(
                command[0],
                command[1:],
                env=env,
                cwd=str(self.directory),
                encoding="utf-8",
                codec_errors="replace",
                dimensions=(60, 200),
            )
        self.child.delaybeforesend = None
        self.prompt_number = 0
        self._mark = 0

    # Reading

    @property
    def transcript(self) -> str:
        """All there was to read since the start."""
        return readable(self._raw)

    @property
    def raw(self) -> str:
        """The same, with colours and cursor movements."""
        return self._raw

    @property
    def since(self) -> str:
        """All there was to read since the last input."""
        return self.transcript[self._mark :]

    def pump(self, seconds: float) -> bool:
        """Read what has arrived; False when the program has closed the terminal."""
        try:
            self._raw += self.child.read_nonblocking(65536, timeout=seconds)
        except pexpect.TIMEOUT:
            return True
        except pexpect.EOF:
            return False
        return True

    def wait_until(
        self,
        condition: Callable[[], object],
        within: float = DEADLINE,
        what: str = "the condition",
    ) -> None:
        """
        Read until the condition holds.

        Raises:
            AssertionError: It did not within so many seconds, or the program
                ended; holds the transcript.
        """
        deadline = time.monotonic() + within
        while not condition():
            left = deadline - time.monotonic()
            if left <= 0:
                raise AssertionError(
                    f"after {within:g} s still not: {what}\n{self.report()}"
                )
            if not self.pump(min(left, 0.1)) and not condition():
                raise AssertionError(
                    f"the program ended before: {what}\n{self.report()}"
                )

    def wait_for(self, text: str, within: float = DEADLINE) -> None:
        """Wait until the text has appeared since the last input."""
        self.wait_until(lambda: text in self.since, within, repr(text))

    def report(self) -> str:
        return f"--- transcript\n{self.transcript}\n--- (end of transcript)"

    # Typing

    def wait_for_prompt(self, within: float = DEADLINE) -> str:
        """
        Wait for the next numbered prompt.

        Returns:
            What was to be read between the last input and the prompt.
        """

        def new_prompt() -> re.Match[str] | None:
            found = None
            for match in _PROMPT.finditer(self.transcript, self._mark):
                # prompt_toolkit draws a prompt many times; otherwise one is one. It
                # keeps its number where a cell could not be stopped (IPython 8).
                if self.simple or int(match.group(1)) > self.prompt_number:
                    found = match
                    break
            return found

        self.wait_until(new_prompt, within, f"a prompt after In [{self.prompt_number}]")
        match = new_prompt()
        assert match is not None
        self.prompt_number = int(match.group(1))
        return self.transcript[self._mark : match.start()]

    def type(self, line: str) -> None:
        """Type one line and Return."""
        self._mark = len(self.transcript)
        self.child.send(line + ("\n" if self.simple else "\r"))

    def start(self, source: str) -> None:
        """
        Type a cell and do not wait. A block ends with an empty line of its own.
        """
        source = source.strip("\n")
        if not self.simple:
            self._mark = len(self.transcript)
            # A bracketed paste keeps the lines together; then Return, twice for a block.
            self.child.send(f"\x1b[200~{source}\x1b[201~")
            self.child.send("\r" if "\n" not in source else "\x1b\r")
            return
        self._mark = len(self.transcript)
        lines = source.split("\n")
        if len(lines) > 1:
            lines.append("")
        self.child.send("".join(f"{line}\n" for line in lines))

    def run(self, source: str, within: float = DEADLINE) -> str:
        """Type a cell; returns what was to be read until the next prompt."""
        self.start(source)
        return self.wait_for_prompt(within)

    def press(self, key: str) -> None:
        """Press Ctrl and a letter, as in ``press("c")``."""
        self.child.sendcontrol(key)

    def interrupt(self) -> float:
        """Press Ctrl-C; returns when, on the clock of ``time.monotonic``."""
        self._mark = len(self.transcript)
        at = time.monotonic()
        self.press("c")
        return at

    # The end

    def wait_for_end(self, within: float = 20) -> int | None:
        """Wait until the program has ended; returns its exit status, None if a signal did."""
        deadline = time.monotonic() + within
        while self.child.isalive():
            if time.monotonic() > deadline:
                raise AssertionError(f"no end within {within:g} s\n{self.report()}")
            self.pump(0.02)
        while self.pump(0.02):
            if time.monotonic() > deadline:
                break
        return self.child.exitstatus

    def exit(self, within: float = 20) -> float:
        """Type ``exit()``; returns the seconds until the program had ended."""
        began = time.monotonic()
        self.type("exit()")
        self.wait_for_end(within)
        return time.monotonic() - began

    def kill(self) -> None:
        """End the program, whatever it does. Safe twice."""
        with contextlib.suppress(Exception):
            self.child.close(force=True)
        shutil.rmtree(self.directory, ignore_errors=True)

    def __enter__(self) -> Terminal:
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()


class Program:
    """
    A program that has run to its end.

    Attributes:
        status: Its exit status.
        seconds: How long it took.
        output: Its stdout and stderr together, without colours.
    """

    def __init__(self, status: int, output: str, seconds: float) -> None:
        self.status = status
        self.output = output
        self.seconds = seconds

    def __str__(self) -> str:
        return f"exit status {self.status} after {self.seconds:.1f} s\n{self.output}"


def run_program(
    command: list[str],
    directory: Path,
    *,
    within: float = 60,
    config: str = "",
    stdin: str = "",
    environment: dict[str, str] | None = None,
) -> Program:
    """
    Run a program to its end, in a directory that is also its home for configuration.

    Raises:
        AssertionError: It took longer than so many seconds; it is killed then.
    """
    if config:
        _write_config(directory, config)
    began = time.monotonic()
    try:
        done = subprocess.run(
            command,
            env=clean_environment(directory, **(environment or {})),
            cwd=directory,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            input=stdin,
            timeout=within,
            text=True,
            errors="replace",
        )
    except subprocess.TimeoutExpired as problem:
        said = problem.stdout or b""
        text = said.decode(errors="replace") if isinstance(said, bytes) else said
        raise AssertionError(
            f"no end within {within:g} s: {command}\n{readable(text)}"
        ) from None
    return Program(done.returncode, readable(done.stdout), time.monotonic() - began)


def run_ipython(
    *arguments: str, directory: Path, within: float = 60, config: str = ""
) -> Program:
    """Run IPython with these arguments to its end: ``-c CODE`` or a file."""
    return run_program(
        ipython_command(*arguments), directory, within=within, config=config
    )
