"""
Packages that are only compared with, in folders of their own.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path


def install(requirement: str, folder: Path, *, needs: bool) -> str:
    """
    Install ``requirement`` into ``folder``; gives why it can't be had, or "".

    Args:
        needs: Whether to install what it needs, too.
    """
    command = [sys.executable, "-m", "pip", "install", "--quiet"]
    command += ["--disable-pip-version-check", "--target", str(folder)]
    command += [requirement] if needs else ["--no-deps", requirement]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode == 0:
        return ""
    lines = done.stderr.strip().splitlines() or [f"pip ended with {done.returncode}"]
    return f"pip install {requirement}: {lines[-1]}"
