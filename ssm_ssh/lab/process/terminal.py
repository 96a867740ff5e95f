"""Pseudo-terminals for programs on instances."""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import struct
import sys
import termios

# Gives a program the terminal on fd 0 as its own where setsid(1) is missing (macOS).
_TAKE_TERMINAL = (
    "import fcntl,os,sys,termios;os.setsid();fcntl.ioctl(0,termios.TIOCSCTTY,0);os.execvp(sys.argv[1],sys.argv[1:])"
)


def open_terminal(owner: tuple[int, int] | None) -> tuple[int, int]:
    """Return the two ends of a new terminal, ours and the program's; `owner` (uid, gid) gets the program's end."""
    ours, theirs = os.openpty()
    if owner is not None:
        os.fchown(theirs, *owner)
    return ours, theirs


def taking_terminal() -> list[str]:
    """Return the words in front of a command that make the terminal on its standard input its own.

    The process stays the same.
    """
    # Where PATH does not have it, the system may: the other user can run that, but perhaps not this interpreter.
    setsid = shutil.which("setsid") or shutil.which("setsid", path=os.defpath)
    return [setsid, "-c"] if setsid else [sys.executable, "-I", "-S", "-c", _TAKE_TERMINAL]


def resize(terminal: int, columns: int, rows: int) -> None:
    """Give the terminal `columns` and `rows`; a program in it gets SIGWINCH."""
    size = struct.pack("HHHH", rows & 0xFFFF, columns & 0xFFFF, 0, 0)
    with contextlib.suppress(OSError):
        fcntl.ioctl(terminal, termios.TIOCSWINSZ, size)
