"""Offering a login to a person whose login has expired: on the terminal, for stdin and stdout carry the SSH stream."""

from __future__ import annotations

import os
import subprocess
import threading
from typing import TYPE_CHECKING

from ssm_ssh.aws.config.login_source import profile_with_login
from ssm_ssh.aws.credentials.mfa import ask
from ssm_ssh.errors import CredentialsError
from ssm_ssh.installation import program
from ssm_ssh.text import printable

if TYPE_CHECKING:
    from collections.abc import Callable

    from ssm_ssh.aws.config.settings import AwsSettings

# Seconds to read the question, and to log in: the codes of AWS live for ten minutes.
_QUESTION_SECONDS = 60.0
_LOGIN_SECONDS = 630.0
# A command over many accounts asks for one login after the other, and for each only once.
_one_at_a_time = threading.Lock()
_declined: set[str] = set()


def offer_login(settings: AwsSettings, still_needed: Callable[[], bool], *, terminal: str = "/dev/tty") -> bool:
    """Ask whether to log in now, and do it; return whether credentials can be tried again.

    False where there is no login to renew, no terminal in whose foreground this process is, or no yes in time.
    `still_needed` is asked when it is this caller's turn: another thread may have logged in meanwhile.
    """
    profile = profile_with_login(settings.files, settings.profile_name)
    if profile is None:
        return False
    with _one_at_a_time:
        if profile in _declined:
            return False
        if not still_needed():
            return True
        done = _asked(profile, terminal) and _log_in(profile, settings, terminal)
        if not done:
            _declined.add(profile)
        return done


def _asked(profile: str, terminal: str) -> bool:
    question = f"ssm-ssh: the login of profile '{printable(profile, 60)}' has expired. Log in now? [Y/n]"
    try:
        return ask(question, terminal=terminal, patience=_QUESTION_SECONDS, echo=True).lower() in ("", "y", "yes")
    except CredentialsError:
        return False


def _log_in(profile: str, settings: AwsSettings, terminal: str) -> bool:
    command = [*program(), "login"]
    if settings.env.get("SSH_CONNECTION"):
        command.append("--no-browser")  # the person's browser is on another computer
    try:
        fd = os.open(terminal, os.O_RDWR | os.O_NOCTTY | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        done = subprocess.run(
            [*command, "--", profile],
            stdin=fd,
            stdout=fd,
            stderr=fd,
            env=dict(settings.env),
            timeout=_LOGIN_SECONDS,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return False
    finally:
        os.close(fd)
    return done.returncode == 0
