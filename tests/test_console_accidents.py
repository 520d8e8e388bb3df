"""
What rarely happens to a live console, and must not harm the application.
"""

from __future__ import annotations

import pytest

from applications import REACTORS, RunningApplication

EARLY = """
import os, signal
from twisted.internet import reactor
from twisted_ipython import install_live_console
console = install_live_console(globals(), name="early")
os.kill(os.getpid(), signal.SIGUSR2)
print("goes on", flush=True)
reactor.run()
"""


@pytest.mark.parametrize("reactor", REACTORS)
def test_a_signal_before_the_reactor_runs_opens_it_then(reactor):
    with RunningApplication(EARLY, reactor=reactor) as app:
        app.wait_until(app.connection_file.exists, what="kernel.json")
        assert app.stdout == "goes on\n", app.said
        assert app.stderr == ""
