"""Ask a person on the terminal whether an instance may be started; stdin and stdout may carry a stream."""

from __future__ import annotations

import os
import time
from contextlib import ExitStack, suppress

from ssm_ssh.errors import CredentialsError, StateError
from ssm_ssh.startup import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

# Seconds to answer.
SECONDS = 60.0
# The file whose bytes are locked while a process asks.
_TURNS = "start.turns"


def ask(
    instance_id: str, question: str, still_needed: Callable[[], bool], *, terminal: str = "/dev/tty"
) -> bool | None:
    """Return the answer to `question`; None without a terminal in whose foreground this process is.

    Of several connections to one instance, one asks and the others wait; `still_needed` tells them afterwards whether
    there still is something to ask. No answer in time means no.
    """
    from ssm_ssh.session import starting

    if not _is_foreground(terminal):
        return None
    with ExitStack() as stack:
        with suppress(StateError):  # without a folder, each process asks
            from ssm_ssh.storage.paths import state_folder
            from ssm_ssh.storage.private_dir import open_folder

            folder = stack.enter_context(open_folder(state_folder()))
            stack.enter_context(folder.turn(_TURNS, int(instance_id.rpartition("-")[2][-12:], 16), 2 * SECONDS))
        if not still_needed():
            return True
        if starting.declined(instance_id, time.time()):
            return False
        agreed = _answer(question, terminal)
        if not agreed:
            starting.decline(instance_id, time.time())
        return agreed


def _answer(question: str, terminal: str) -> bool:
    from ssm_ssh.aws.credentials.mfa import ask as ask_terminal

    try:
        return ask_terminal(question, terminal=terminal, timeout=SECONDS, echo=True).lower() in ("y", "yes")
    except CredentialsError:
        return False


def _is_foreground(terminal: str) -> bool:
    try:
        fd = os.open(terminal, os.O_RDWR | os.O_NOCTTY | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        return os.tcgetpgrp(fd) == os.getpgrp()
    except OSError:
        return False
    finally:
        os.close(fd)
