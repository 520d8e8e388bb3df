"""
The conformance suite of Jupyter's own, jupyter_kernel_test, run against the live console
of an application, on each reactor.
"""

from __future__ import annotations

from typing import Any, ClassVar

import ipykernel
import jupyter_kernel_test
import pytest
from jupyter_client import BlockingKernelClient

from applications import QUIET_APPLICATION, RunningApplication, disconnect

PATIENCE = 15.0
"""Seconds that the suite waits for a message, for which it gives 0.1 itself."""


class Conformance(jupyter_kernel_test.KernelTests):
    """What the suite is to ask for; without a reactor, nothing of it is run."""

    reactor: ClassVar[str]
    application: ClassVar[RunningApplication]

    language_name = "python"
    file_extension = ".py"
    code_hello_world = "print('hello, world')"
    code_stderr = "import sys; print('test', file=sys.stderr)"
    completion_samples: ClassVar[list[dict[str, Any]]] = [
        {"text": "zi", "matches": {"zip"}},
        {"text": "tick", "matches": {"tick", "ticking"}},
    ]
    complete_code_samples: ClassVar[list[str]] = [
        "1",
        "print('hello, world')",
        "def f(x):\n  return x*2\n\n\n",
        "await sleep(1)",
    ]
    incomplete_code_samples: ClassVar[list[str]] = [
        "print('''hello",
        "def f(x):\n  x*2",
    ]
    invalid_code_samples: ClassVar[list[str]] = ["import = 7q"]
    code_page_something = "zip?"
    code_generate_error = "raise"
    code_execute_result: ClassVar[list[dict[str, str]]] = [
        {"code": "1+2+3", "result": "6"},
        {"code": "[n*n for n in range(1, 4)]", "result": "[1, 4, 9]"},
        {"code": "await sleep(0.05, 'awaited')", "result": "'awaited'"},
    ]
    code_display_data: ClassVar[list[dict[str, str]]] = [
        {
            "code": "from IPython.display import HTML, display; display(HTML('<b>test</b>'))",
            "mime": "text/html",
        },
        {
            "code": "from IPython.display import Math, display; display(Math('\\\\frac{1}{2}'))",
            "mime": "text/latex",
        },
    ]
    code_history_pattern = "1?2*"
    # Not "range", with which it asks for a session by its number: IPython answers with
    # 0 for the current one. `test_history_range` has it.
    supported_history_operations = ("tail", "search")
    code_inspect_sample = "zip"
    code_clear_output = "from IPython.display import clear_output; clear_output()"

    @classmethod
    def setUpClass(cls) -> None:
        cls.application = RunningApplication(QUIET_APPLICATION, reactor=cls.reactor)
        try:
            cls.kc = cls.application.client()
            # The first one loads what shows tracebacks, which can take a second on a
            # busy machine; the cell says that then, and the suite wants an error alone.
            cls.kc.attached.run("1 / 0")
        except BaseException:
            cls.application.kill()
            raise

    @classmethod
    def tearDownClass(cls) -> None:
        said = cls.application.said
        cls.application.kill()
        assert said == "--- its stderr\n", said

    def setUp(self) -> None:
        channel = self.kc.iopub_channel
        get_msg = type(channel).get_msg

        def patient(timeout: float | None = None) -> Any:
            return get_msg(channel, timeout=PATIENCE)

        channel.get_msg = patient

    def flush_channels(self) -> None:
        # A kernel info's idle ends what was published before.
        request = self.kc.kernel_info()
        while self.kc.get_shell_msg(timeout=PATIENCE)["parent_header"]["msg_id"] != (
            request
        ):
            pass
        while True:
            message = self.kc.iopub_channel.get_msg()
            if message["parent_header"].get("msg_id") == request and (
                message["content"].get("execution_state") == "idle"
            ):
                return


class TestOnDefaultReactor(Conformance):
    reactor = "default"


class TestOnAsyncioReactor(Conformance):
    reactor = "asyncio"


del Conformance  # pytest would run it, without a reactor


@pytest.mark.skipif(
    ipykernel.version_info[:2] < (7, 1), reason="ipykernel greets from 7.1 on"
)
class TestWelcome(jupyter_kernel_test.IopubWelcomeTests):
    """Who subscribes is greeted, so that a client knows when it misses nothing."""

    support_iopub_welcome = True
    application: ClassVar[RunningApplication]

    @classmethod
    def setUpClass(cls) -> None:
        cls.application = RunningApplication()
        try:
            file = str(cls.application.open())
        except BaseException:
            cls.application.kill()
            raise
        cls.kc = BlockingKernelClient(connection_file=file)
        cls.kc.load_connection_file()

    @classmethod
    def tearDownClass(cls) -> None:
        disconnect(cls.kc)
        cls.application.kill()
