"""What the tests ask about processes of this machine, without `ps` where /proc has the answer."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path


def command_line(pid: int | str) -> str:
    """Return the command line of a process, "" where it has ended."""
    if sys.platform == "linux":
        try:
            return Path("/proc", str(pid), "cmdline").read_bytes().replace(b"\0", b" ").decode("utf-8", "replace")
        except (FileNotFoundError, ProcessLookupError):
            return ""
    return subprocess.run(["ps", "-o", "args=", "-p", str(pid)], capture_output=True, text=True).stdout
