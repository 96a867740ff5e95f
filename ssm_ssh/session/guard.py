"""Has a session ended even though its process is killed with its whole process group, as some ssh libraries do.

A shell in a session of its own waits for the end of a pipe whose other end only this process holds. When that end
comes and the record of the session is still there, the shell becomes `session.reaper`. Waiting costs no Python: dash
takes 0.1 MB of its own, where an interpreter takes 10.

Sessions that were left behind all the same (the machine lost power, the shell was killed too) are ended by the next
run: it starts the reaper.
"""

from __future__ import annotations

import os
import time

from ssm_ssh.errors import SsmSshError
from ssm_ssh.installation import module
from ssm_ssh.session import records
from ssm_ssh.startup import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ssm_ssh.log import Log

_SHELL = "/bin/sh"
# cd: the folder of the caller may be on a file system that is to be unmounted.
_SCRIPT = 'cd /; read -r _; [ -e "$1" ] || exit 0; shift; exec "$@"'
_REAPER = "ssm_ssh.session.reaper"


class Guard:
    """Guards the session of one record until `release`."""

    def __init__(self, name: str, env: Mapping[str, str], log: Log) -> None:
        """Start the shell. Raises nothing: without it, the next run ends the session."""
        self._lifeline: int | None = None
        try:
            reads, lifeline = os.pipe()
            try:
                _spawn(
                    [_SHELL, "-c", _SCRIPT, "ssm-ssh", str(records.folder_path() / name), *module(_REAPER), name],
                    env,
                    stdin=reads,
                )
            except BaseException:
                os.close(lifeline)
                raise
            finally:
                os.close(reads)
            self._lifeline = lifeline
        except (OSError, SsmSshError) as error:
            log.info(f"the session is not guarded: {error}")

    def release(self) -> None:
        """Have the shell end; it looks once more whether the record is there."""
        lifeline, self._lifeline = self._lifeline, None
        if lifeline is not None:
            os.close(lifeline)


def end_left_behind(env: Mapping[str, str], log: Log) -> None:
    """Start the reaper if killed processes have left sessions behind. Raises nothing, and waits for nothing."""
    try:
        names = records.left_behind(time.time())
        if names:
            log.info(f"{len(names)} sessions of killed processes are being ended")
            _spawn([*module(_REAPER)], env)
    except (OSError, SsmSshError) as error:
        log.info(f"not looked for sessions of killed processes: {error}")


def _spawn(command: list[str], env: Mapping[str, str], *, stdin: int | None = None) -> None:
    """Start a program in a session of its own, which holds none of this process's descriptors. Raises OSError.

    posix_spawn and not subprocess, whose import costs a connection 8 ms.
    """
    actions: list[tuple[int, ...] | tuple[int, int, str, int, int]] = [
        (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0) if stdin is None else (os.POSIX_SPAWN_DUP2, stdin, 0),
        (os.POSIX_SPAWN_OPEN, 1, os.devnull, os.O_WRONLY, 0),
        (os.POSIX_SPAWN_DUP2, 1, 2),
    ]
    actions += [(os.POSIX_SPAWN_CLOSE, fd) for fd in _inheritable()]
    try:
        os.posix_spawn(command[0], command, dict(env), file_actions=actions, setsid=True)
    except NotImplementedError:  # an old libc: a group of its own survives the end of another group too
        os.posix_spawn(command[0], command, dict(env), file_actions=actions, setpgroup=0)


def _inheritable() -> list[int]:
    """Return the descriptors beyond 2 that a program started now would inherit: those of a careless caller."""
    found = []
    for name in os.listdir("/dev/fd"):  # noqa: PTH208 - pathlib costs a connection time
        try:
            if int(name) > 2 and os.get_inheritable(int(name)):
                found.append(int(name))
        except OSError:  # the descriptor of this very listing
            continue
    return found
