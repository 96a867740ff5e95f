"""Whom to log in as: ssh takes the user's name here where none is given, which seldom is that of a user there.

EC2 Instance Connect takes a key for a user who does not exist, and sshd only says that it was refused. So where ssh has
the name of the local user, and nobody of that name has got in before, the platform's usual user is named at once; and
where another name was given, after a login by it that looked refused.
"""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING

from ssm_ssh.errors import SsmSshError, StateError
from ssm_ssh.locate import history

if TYPE_CHECKING:
    from collections.abc import Callable

    from ssm_ssh.aws.api.client import Api
    from ssm_ssh.target import Target

# Seconds. The key is pushed meanwhile, which takes about as long; nobody waits longer than that for advice.
_PATIENCE = 2.0


def local_user() -> str:
    """Return the name that ssh takes where none is given, "" where this computer does not know it."""
    import os
    import pwd

    try:
        return pwd.getpwuid(os.getuid()).pw_name
    except KeyError:
        return ""


class Usual:
    """Finds out the usual user of a target in the background, if there is reason to name it."""

    def __init__(self, target: Target, connect: Callable[[], Api], here: str, *, refused: bool = False) -> None:
        """`here`: the local user's name; `refused`: a login by the target's looked so minutes ago.

        Nothing is asked, and no advice given, where it is another and was not refused.
        """
        self._target = target
        self._why = "your name here" if target.user == here else "which was refused before"
        self._connect = connect
        self._user = ""
        self._until = time.monotonic() + _PATIENCE
        self._thread: threading.Thread | None = None
        if target.user != here and not refused:
            return
        known = history.recall(target.instance_id)
        if known and target.user in known.logins:
            return
        if known and known.user:
            self._user = known.user
        else:
            self._thread = threading.Thread(target=self._ask, daemon=True)
            self._thread.start()

    def advice(self) -> str:
        """Return one sentence that names the usual user, "" where there is nothing to say. Blocks for a moment."""
        if self._thread is not None:
            self._thread.join(max(0.0, self._until - time.monotonic()))
        user, target = self._user, self._target
        if not user or user == target.user:
            return ""
        return f"ssh logs in as {target.user}, {self._why}; the usual user is {user}: ssh {user}@{target.instance_id}"

    def _ask(self) -> None:
        from ssm_ssh.aws.services.inventory import find_node

        try:
            node = find_node(self._connect(), self._target.instance_id, deadline=self._until)
        except SsmSshError:
            return
        if node:
            self._user = node.user


def got_in(target: Target) -> None:
    """Remember that the user of `target` seems to exist there; never raises."""
    try:
        history.remember([history.Learned(target.instance_id, "", "", logins=(target.user,))])
    except StateError:
        return
