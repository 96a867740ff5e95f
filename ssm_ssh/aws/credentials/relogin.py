"""Offer a login on the terminal to a person whose login has expired; stdin and stdout carry the SSH stream."""

from __future__ import annotations

import hashlib
import os
import subprocess
import threading
import time
from contextlib import ExitStack, contextmanager, suppress

from ssm_ssh.aws.config.login_source import profile_with_login
from ssm_ssh.aws.credentials.mfa import ask
from ssm_ssh.errors import CredentialsError, StateError
from ssm_ssh.installation import program
from ssm_ssh.startup import TYPE_CHECKING
from ssm_ssh.storage.paths import state_folder
from ssm_ssh.storage.private_dir import open_folder
from ssm_ssh.text import printable

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from ssm_ssh.aws.config.settings import AwsSettings
    from ssm_ssh.storage.private_dir import Folder

# Seconds to answer the question, and to log in: the codes of AWS are valid for ten minutes.
_QUESTION_SECONDS = 60.0
_LOGIN_SECONDS = 630.0
# The file whose bytes are locked, the file of the last refusal, and the seconds for which that refusal counts for other
# connections of the same command.
_TURNS, _DECLINED = "login.turns", "login.declined"
_DECLINED_SECONDS = 10.0
# A command over many accounts asks for one login after the other, and for each only once.
_one_at_a_time = threading.Lock()
_declined: set[str] = set()


def offer_login(settings: AwsSettings, still_needed: Callable[[], bool], *, terminal: str = "/dev/tty") -> bool:
    """Ask whether to log in now, and do it; return whether credentials can be tried again.

    Return False if there is no login to renew, if this process is not in the foreground of a terminal, or if the
    answer is not yes in time. Of several connections on one terminal, one asks and the others wait; `still_needed`
    tells them afterwards whether a login is still missing.
    """
    profile = profile_with_login(settings.files, settings.profile_name)
    if profile is None:
        return False
    with _one_at_a_time, _turn(profile) as turn:
        if profile in _declined or turn.declined:
            return False
        if not still_needed():
            return True
        done = _asked(profile, terminal) and _log_in(profile, settings, terminal)
        if not done:
            _declined.add(profile)
            turn.decline()
        return done


class _Turn:
    """The exclusive right to ask about one login on this terminal."""

    def __init__(self, profile: str, folder: Folder | None) -> None:
        self.name = hashlib.sha1(f"{os.getsid(0)} {profile}".encode(), usedforsecurity=False).hexdigest()
        self._folder = folder

    @property
    def declined(self) -> bool:
        """Whether the person has just declined in another process, or failed to log in."""
        if self._folder is None:
            return False
        with suppress(StateError):
            when = self._folder.modified(_DECLINED)
            recent = when is not None and 0 <= time.time() - when < _DECLINED_SECONDS
            return recent and self._folder.read(_DECLINED) == self.name.encode()
        return False

    def decline(self) -> None:
        """Tell the waiting processes that the person has declined."""
        if self._folder is not None:
            with suppress(StateError):
                self._folder.write(_DECLINED, self.name.encode())


@contextmanager
def _turn(profile: str) -> Iterator[_Turn]:
    with ExitStack() as stack:
        turn = _Turn(profile, None)
        with suppress(StateError):  # without a folder, each process asks
            folder = stack.enter_context(open_folder(state_folder()))
            turn = _Turn(profile, folder)
            stack.enter_context(folder.turn(_TURNS, int(turn.name[:14], 16), _QUESTION_SECONDS + _LOGIN_SECONDS))
        yield turn


def _asked(profile: str, terminal: str) -> bool:
    question = f"ssm-ssh: the login of profile '{printable(profile, 60)}' has expired. Log in now? [Y/n]"
    try:
        return ask(question, terminal=terminal, timeout=_QUESTION_SECONDS, echo=True).lower() in ("", "y", "yes")
    except CredentialsError:
        return False


def _log_in(profile: str, settings: AwsSettings, terminal: str) -> bool:
    command = [*program(), "login"]
    if settings.env.get("SSH_CONNECTION"):
        command.append("--no-browser")  # the browser is on another computer
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
