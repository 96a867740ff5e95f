"""Ask a person for an MFA code on the terminal, because stdin and stdout carry the SSH stream."""

from __future__ import annotations

import contextlib
import os
import select
import threading
import time

from ssm_ssh.errors import CredentialsError
from ssm_ssh.startup import TYPE_CHECKING
from ssm_ssh.text import printable

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

_HINT = "Run any aws command with this profile in a terminal first: ssm-ssh uses its cached session"
# Seconds to find the device and type six digits.
_TIMEOUT = 120.0
_LONGEST = 64
# Several profiles may need a code at the same time, but a person answers one question after the other.
_one_at_a_time = threading.Lock()
# The settings of the terminals that are asking now, by descriptor.
_changed: dict[int, list[Any]] = {}


def ask(prompt: str, *, terminal: str = "/dev/tty", timeout: float = _TIMEOUT, echo: bool = False) -> str:
    """Return the line that a person types on `terminal` after `prompt`, echoed if `echo`.

    Raises CredentialsError when there is no terminal, when this process is not in its foreground (changing the
    terminal's settings would stop the process), and when no line is typed within `timeout` seconds.
    """
    try:
        fd = os.open(terminal, os.O_RDWR | os.O_NOCTTY | os.O_CLOEXEC)
    except OSError:
        raise CredentialsError("an MFA code is needed, but there is no terminal to ask for it", _HINT) from None
    try:
        with _one_at_a_time, _foreground(fd, echo=echo):
            os.write(fd, printable(prompt).encode("ascii") + b" ")
            try:
                return _line(fd, time.monotonic() + timeout)
            finally:
                if not echo:
                    os.write(fd, b"\n")
    except OSError:
        raise CredentialsError("an MFA code is needed, but the terminal cannot be used", _HINT) from None
    finally:
        os.close(fd)


@contextlib.contextmanager
def _foreground(fd: int, *, echo: bool) -> Iterator[None]:
    import termios

    try:
        if os.tcgetpgrp(fd) != os.getpgrp():
            raise CredentialsError("an MFA code is needed, but ssh runs in the background", _HINT)
        before = termios.tcgetattr(fd)
        quiet = termios.tcgetattr(fd)
        if not echo:
            quiet[3] &= ~termios.ECHO
        _changed[fd] = before
        termios.tcsetattr(fd, termios.TCSAFLUSH, quiet)
    except termios.error:
        raise CredentialsError("an MFA code is needed, but the terminal cannot be used", _HINT) from None
    try:
        yield
    finally:
        termios.tcsetattr(fd, termios.TCSAFLUSH, before)
        _changed.pop(fd, None)


def restore_terminals() -> None:
    """Restore every terminal that is asking now, for a process that cannot wait for `ask` to do so."""
    import termios

    for fd, before in list(_changed.items()):
        with contextlib.suppress(termios.error):
            termios.tcsetattr(fd, termios.TCSANOW, before)


def _line(fd: int, until: float) -> str:
    typed = b""
    while not typed.endswith(b"\n"):
        if not select.select([fd], [], [], max(0.0, until - time.monotonic()))[0]:
            raise CredentialsError("no MFA code was typed in time", "Connect again and type it")
        read = os.read(fd, _LONGEST)
        if not read or len(typed) > _LONGEST:
            raise CredentialsError("no MFA code was typed", "Connect again and type it")
        typed += read
    return typed.decode("ascii", "replace").strip()
