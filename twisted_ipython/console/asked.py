"""
Where the reactor thread was when a signal asked the console to open.

For who attaches to an application whose reactor does not answer.
"""

from __future__ import annotations

import linecache
import os
import sys
import threading
import time
import traceback
from pathlib import Path
from types import FrameType

from .directory import ASKED_FILE, write_json


def note(directory: Path, thread_id: int, frame: FrameType | None) -> None:
    """
    Write it to ``asked.json``; never fails.

    Args:
        frame: The interrupted one, of the main thread.

    Thread:
        Main thread, in a signal handler.
    """
    try:
        found: FrameType | None = sys._current_frames().get(thread_id)
        if thread_id == threading.main_thread().ident:
            found = frame  # without the frames of the handler
        content = {
            "at": time.time(),
            "where": "" if found is None else place(found),
            "stack": [] if found is None else traceback.format_stack(found),
        }
        write_json(directory / ASKED_FILE, content)
    except Exception:  # it would come up in the application's code, wherever that is
        pass


def place(frame: FrameType) -> str:
    """``app.py, line 12: time.sleep(60)``."""
    name, line = frame.f_code.co_filename, frame.f_lineno
    source = linecache.getline(name, line).strip()
    return f"{os.path.basename(name)}, line {line}" + (f": {source}" if source else "")
