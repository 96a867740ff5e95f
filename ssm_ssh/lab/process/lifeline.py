"""No process outlives a lab: each process ends when its parent does, and ends its descendants.

Every child holds one end of a pipe or socket whose other end only its parent has; end of file means "stop now", even
when the parent was killed. On Linux a child can also ask to be killed with its parent, and a process can adopt the
orphans below it, so that processes that a command left behind are found and killed.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import asyncio

# Linux, <sys/prctl.h>
_PR_SET_PDEATHSIG = 1
_PR_SET_CHILD_SUBREAPER = 36
_REAP_DELAY = 3.0
# Rounds of looking for descendants: one that forks while it is being looked for is found in the next.
_ROUNDS = 100


def _prctl(option: int, value: int) -> None:
    if sys.platform == "linux":
        with contextlib.suppress(OSError, AttributeError):
            ctypes.CDLL(None).prctl(option, value, 0, 0, 0)


def die_with_parent() -> None:
    """Ask the kernel to end this process when the thread that started it ends. Does nothing outside Linux."""
    _prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)


def adopt_orphans() -> None:
    """Become the parent of every orphan below this process. Does nothing outside Linux."""
    _prctl(_PR_SET_CHILD_SUBREAPER, 1)


def leave_orphans() -> None:
    """Adopt no more orphans; those adopted already stay. Does nothing outside Linux."""
    _prctl(_PR_SET_CHILD_SUBREAPER, 0)


def _children(parent: int) -> dict[int, str]:
    """Return the children of `parent` with their states (`Z`: ended and not yet waited for)."""
    children = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with contextlib.suppress(OSError, IndexError, ValueError):
                # The name of a program may hold spaces and brackets; the fields start after the last bracket.
                state, above = (entry / "stat").read_text().rpartition(")")[2].split()[:2]
                if int(above) == parent:
                    children[int(entry.name)] = state
    return children


def reap_orphans(loop: asyncio.AbstractEventLoop) -> None:
    """Reap adopted children that have ended, for as long as `loop` runs. Does nothing outside Linux.

    Children that this process started are waited for at once where they were started, so a child that is still a
    zombie after a few seconds was adopted.
    """
    waiting: list[asyncio.TimerHandle] = []

    def reap() -> None:
        waiting.clear()
        for child, state in _children(os.getpid()).items():
            if state == "Z":
                with contextlib.suppress(OSError):
                    os.waitpid(child, os.WNOHANG)

    def child_ended() -> None:
        if not waiting:
            waiting.append(loop.call_later(_REAP_DELAY, reap))

    if sys.platform == "linux":
        loop.add_signal_handler(signal.SIGCHLD, child_ended)


def end_descendants() -> None:
    """Kill every process below this one and wait for each. Needs `adopt_orphans`; does nothing outside Linux."""
    if sys.platform != "linux":
        return
    for _ in range(_ROUNDS):
        children = _children(os.getpid())
        if not children:
            return
        for child in children:
            with contextlib.suppress(OSError):
                os.kill(child, signal.SIGKILL)
        for child in children:
            with contextlib.suppress(OSError):
                os.waitpid(child, 0)
