"""
Names of jupyter_console that it does not promise.

It has no documented interface; what is replaced here are methods without an
underscore. Tried with jupyter_console 6.6.0 and 6.6.3.
"""

from __future__ import annotations

import asyncio
import contextlib
import io
import os
import sys
import time
from collections.abc import Callable
from functools import partial
from queue import Empty
from typing import Any

from IPython.core.inputtransformer2 import TransformerManager
from jupyter_client.blocking import BlockingKernelClient
from jupyter_console.app import ZMQTerminalIPythonApp
from jupyter_console.completer import ZMQCompleter
from jupyter_console.ptshell import ZMQTerminalInteractiveShell
from prompt_toolkit.application import run_in_terminal
from traitlets.config import Config

from ..console.terminal_input import read_line

LEAVE = {"exit", "exit()", "quit", "quit()"}
"""What leaves without asking the kernel, which may be stuck."""

NOT_INTERRUPTED = b"\n(not interrupted yet; Ctrl-\\ leaves, and lets the cell go on)\n"

_WATCH = 0.1  # seconds between two looks at the kernel, at the prompt


class NoKernel(Exception):
    """No kernel has answered."""


class Client(BlockingKernelClient):
    """
    A client that is told whether its kernel is there.

    The heartbeat knows when a kernel is gone too, but a second later, and takes one
    that is stopped (Ctrl-Z) for gone.
    """

    is_there: Callable[[], bool] | None = None
    left = False  # what the user has left is not waited for

    def is_alive(self) -> bool:
        if self.left:
            return False
        if self.is_there is not None:
            return self.is_there()
        return bool(self.hb_channel.is_beating())


class Shell(ZMQTerminalInteractiveShell):
    """
    jupyter_console's prompt, on a kernel that was there before and stays.

    Args:
        client: Whose ``is_there`` says whether the kernel is.
        show_banner: Prints the first lines.
        others: What to print of a message that another client has caused; "" if
            nothing. Gets the message, and the prefix that marks it.
        options: For ``ZMQTerminalInteractiveShell``.

    Attributes:
        gone: Whether the prompt ended because the kernel is.
    """

    client: Client

    def __init__(
        self,
        client: Client,
        show_banner: Callable[[dict[str, Any]], object],
        others: Callable[[dict[str, Any], str], str],
        **options: Any,
    ) -> None:
        self._banner = show_banner
        self._others = others
        self._running = False
        self._interrupting = False
        self._interrupts = 0
        self._line_open = False
        self.gone = False
        super().__init__(client=client, manager=None, confirm_exit=False, **options)

    # -- At the prompt

    def show_banner(self) -> None:
        self._banner(self.kernel_info)

    def init_kernel_info(self) -> None:
        """
        Raises:
            NoKernel: None has answered within ``kernel_timeout``, or it is gone.
        """
        self.client.hb_channel.unpause()
        deadline = time.monotonic() + self.kernel_timeout
        msg_id = self.client.kernel_info()
        while True:
            reply = self.reply_to(msg_id, within=_WATCH)
            if reply is not None:
                self.kernel_info = reply
                break
            is_there = self.client.is_there
            if time.monotonic() > deadline or (is_there and not is_there()):
                raise NoKernel
        # Its count goes on where the clients before have left it.
        counted = self.reply_to(self.client.execute("", silent=True), within=_WATCH)
        if counted is not None:
            self.execution_count = max(1, int(counted.get("execution_count", 1)))

    def init_completer(self) -> None:
        self.Completer = Completer(self, self.client)

    def init_prompt_toolkit_cli(self) -> None:
        super().init_prompt_toolkit_cli()
        if self.pt_cli is not None:
            # The stock binding raises in prompt_toolkit's own callback.
            self.pt_cli.key_bindings.add("c-\\")(_leave_prompt)

    def check_complete(self, code: str) -> tuple[bool, str]:
        """Whether the cell goes on, and the next line's indent."""
        reply = self.reply_to(
            self.client.is_complete(code), self.kernel_is_complete_timeout
        )
        if reply is None:  # the stock shell never asks again after that
            status, indent = TransformerManager().check_complete(code)
            return status == "incomplete", " " * (indent or 0)
        return reply.get("status") == "incomplete", reply.get("indent", "")

    def reply_to(self, msg_id: str, within: float) -> dict[str, Any] | None:
        """
        The content of the reply to this request; None if there is none within so
        many seconds. Late replies to earlier requests are dropped.
        """
        deadline = time.monotonic() + within
        while True:
            left = deadline - time.monotonic()
            try:
                reply = self.client.shell_channel.get_msg(timeout=max(left, 0))
            except Empty:
                return None
            if reply["parent_header"].get("msg_id") == msg_id:
                return dict(reply["content"])

    def mainloop(self) -> None:
        """Prompt, until the user leaves or the kernel is gone; sends no shutdown."""
        while self.keep_running:
            # Ctrl-C in the gap between the prompt and a cell.
            with contextlib.suppress(KeyboardInterrupt):
                asyncio.run(self._until_left())

    async def _until_left(self) -> None:
        tasks = {
            asyncio.ensure_future(self.interact()),
            asyncio.ensure_future(self._watch()),
        }
        done, pending = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        for task in pending:
            task.cancel()
        await asyncio.gather(*pending, return_exceptions=True)
        for task in done:
            task.result()

    async def _watch(self) -> None:
        """What happens while the user is at the prompt."""
        while self.keep_running:
            if self._is_gone():
                return
            if self.client.iopub_channel.msg_ready():
                text = self._what_came()
                if text:
                    await run_in_terminal(partial(_write, text))
            await asyncio.sleep(_WATCH)

    def _what_came(self) -> str:
        text = io.StringIO()
        with contextlib.redirect_stdout(text), contextlib.redirect_stderr(text):
            self.handle_iopub()
        return text.getvalue()

    # -- Cells

    def run_cell(self, cell: str, store_history: bool = True) -> None:
        if cell.strip() in LEAVE:
            self.ask_exit()
            return
        self._running = True
        self._interrupts = 0
        try:
            super().run_cell(cell, store_history)
        finally:
            self._running = self._executing = False
        if self.client.left:
            _write("\n")
            self.ask_exit()
        else:
            self._is_gone()

    def _is_gone(self) -> bool:
        """Whether the kernel is; if so, this was the last prompt."""
        if not self.gone and not self.client.is_alive():
            self.gone = True
            self.ask_exit()
        return self.gone

    def handle_sigint(self, *_: object) -> None:
        """
        Ctrl-C: interrupt the cell that runs; nothing where none does.

        On the control channel, with the session of the cell's own messages, by
        which an application with several clients knows whose cell is meant.
        """
        if self._running and not self._interrupting:
            self._interrupting = True  # the handler can be called within itself
            try:
                message = self.client.session.msg("interrupt_request", content={})
                self.client.control_channel.send(message)
                self._interrupts += 1
                # Each time again: a terminal drops what it has not shown at a Ctrl-C.
                if self._interrupts >= 2:  # past sys.stdout, as a handler must
                    os.write(sys.stdout.fileno(), NOT_INTERRUPTED)
            finally:
                self._interrupting = False

    def handle_sigquit(self, *_: object) -> None:
        """Ctrl-\\: leave the cell that runs to itself. At the prompt, it is a key."""
        # An exception would be lost where it is raised in a callback from C.
        self.client.left = self._running

    def handle_input_request(self, msg_id: str, timeout: float = 0.1) -> None:
        """
        Read the line that a cell asks for, if one does; ``Empty`` if not.

        Until the cell is interrupted or has ended, or the kernel is gone.
        """
        request = self.client.stdin_channel.get_msg(timeout=timeout)
        self.handle_iopub(msg_id)  # what was printed before comes first
        if request["parent_header"].get("msg_id") != msg_id:
            return
        interrupts = self._interrupts

        def is_wanted() -> bool:
            return self._interrupts == interrupts and self._is_asked()

        content = request["content"]
        line = read_line(
            content["prompt"],
            hidden=content.get("password", False),
            is_wanted=is_wanted,
        )
        if line is not None and self._is_asked():
            self.client.input(line)

    def _is_asked(self) -> bool:
        if self.client.shell_channel.msg_ready():
            return False  # the cell has ended
        return self.client.is_alive() and not self.client.stdin_channel.msg_ready()

    # -- Output

    def include_output(self, msg: dict[str, Any]) -> bool:
        """Whether the stock shell shows the message; others' are shown here."""
        kind = msg["msg_type"]
        if not self.from_here(msg):
            shown = self._others(msg, self.other_output_prefix)
            if shown:
                self.end_line()
                _write(shown)
            return False
        if kind == "status":
            # Those of an interrupt or a completion say nothing of the cell.
            return bool(msg["parent_header"].get("msg_type") == "execute_request")
        if kind == "stream":
            self._line_open = not msg["content"]["text"].endswith("\n")
        return bool(kind != "execute_input")

    def end_line(self) -> None:
        """Begin a new line, where a cell has printed one without its end."""
        if self._line_open:
            _write("\n")
        self._line_open = False


class Completer(ZMQCompleter):
    """Completion that gives up, instead of failing, where the kernel does not answer."""

    def complete_request(self, code: str, cursor_pos: int) -> dict[str, Any]:
        msg_id = self.client.complete(code=code, cursor_pos=cursor_pos)
        reply = self.shell.reply_to(msg_id, within=2.0)
        if reply is None or reply.get("status") != "ok":
            reply = {"matches": [], "cursor_start": 0, "cursor_end": 0}
        reply.setdefault("metadata", {})
        return reply


def _leave_prompt(event: Any) -> None:
    event.app.exit(exception=EOFError)


def _write(text: str) -> None:
    sys.stdout.write(text)
    sys.stdout.flush()


def preferences() -> Config:
    """
    What the user has configured for the prompt of ``jupyter console``: keys, colours.

    Not what it is to connect to, or how it is to leave.

    Raises:
        Exception: The configuration can't be read; any, since it is a program.
    """
    application = ZMQTerminalIPythonApp(raise_config_file_errors=True)
    application.load_config_file(suppress_errors=False)
    name = ZMQTerminalInteractiveShell.__name__
    # Of the subclass as well: the section's name is that of any class it inherits.
    return Config(
        {name: application.config[name]} if name in application.config else {}
    )
