"""Hints about the user to log in as: without one, ssh takes the local user's name, which seldom exists there.

EC2 Instance Connect accepts a key for a user that does not exist, and sshd only reports that the key was refused. So
the hint names the platform's usual user where ssh uses the local name and no login by that name has succeeded, and
where a login by another name looked refused.
"""

from __future__ import annotations

import threading
import time

from ssm_ssh.errors import SsmSshError, StateError
from ssm_ssh.locate import history
from ssm_ssh.startup import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from ssm_ssh.aws.api.client import Api
    from ssm_ssh.target import Target

# Seconds. The key is pushed meanwhile, which takes about as long, so that the hint delays no login.
_PATIENCE = 2.0


def local_user() -> str:
    """Return the name that ssh uses by default, "" where this computer does not know it."""
    import os
    import pwd

    try:
        return pwd.getpwuid(os.getuid()).pw_name
    except KeyError:
        return ""


class LoginHint:
    """Looks up the usual user of a target in the background, if there is a reason to name it."""

    def __init__(
        self, target: Target, user: str, connect: Callable[[], Api], local: str, *, refused: bool = False
    ) -> None:
        """`local`: the local user's name; `refused`: a login as `user` looked refused minutes ago.

        Where neither applies, nothing is looked up and there is no hint.
        """
        self._target = target
        self._login = user
        self._reason = "your name here" if user == local else "which was refused before"
        self._connect = connect
        self._usual = ""
        self._until = time.monotonic() + _PATIENCE
        self._thread: threading.Thread | None = None
        if user != local and not refused:
            return
        known = history.recall(target.instance_id)
        if known and user in known.logins:
            return
        if known and known.user:
            self._usual = known.user
        else:
            self._thread = threading.Thread(target=self._ask, daemon=True)
            self._thread.start()

    def advice(self) -> str:
        """Return one sentence that names the usual user, "" for no hint. Blocks for a moment."""
        if self._thread is not None:
            self._thread.join(max(0.0, self._until - time.monotonic()))
        usual, login = self._usual, self._login
        if not usual or usual == login:
            return ""
        command = f"ssh {usual}@{self._target.instance_id}"
        return f"ssh logs in as {login}, {self._reason}; the usual user is {usual}: {command}"

    def _ask(self) -> None:
        from ssm_ssh.aws.services.inventory import find_node

        try:
            node = find_node(self._connect(), self._target.instance_id, deadline=self._until)
        except SsmSshError:
            return
        if node:
            self._usual = node.user


def record_login(target: Target, user: str) -> None:
    """Record that `user` seems to exist on `target`; never raises."""
    try:
        history.remember([history.KnownInstance(target.instance_id, "", "", logins=(user,))])
    except StateError:
        return
