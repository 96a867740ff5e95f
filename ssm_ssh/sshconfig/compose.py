"""What this installation wants our file to say."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from ssm_ssh import hostname, knownhosts, settings, userkey
from ssm_ssh.aws.ini import SharedFiles
from ssm_ssh.errors import UsageError
from ssm_ssh.program import program
from ssm_ssh.sshconfig import edit
from ssm_ssh.sshconfig.install import set_up
from ssm_ssh.sshconfig.managed import Managed
from ssm_ssh.sshconfig.place import environment
from ssm_ssh.sshconfig.replace import look

if TYPE_CHECKING:
    from collections.abc import Callable

    from ssm_ssh.sshconfig.install import Done
    from ssm_ssh.sshconfig.managed import Alias, Stored
    from ssm_ssh.sshconfig.place import Place
    from ssm_ssh.sshconfig.proof import Ssh


def compose(place: Place, before: Stored, *, dry_run: bool = False) -> Managed:
    """Return what our file is to say, keeping what it stored `before`.

    Puts down which key of the agent ssh is to offer, except in a dry run. Raises UsageError for settings that cannot
    be, and for a key that is not there.
    """
    chosen = settings.load()
    key = chosen.text("key")
    if not dry_run:
        userkey.put_down(key, env=os.environ)
    return Managed(
        program=program(),
        identity_files=userkey.identity_files(key),
        known_hosts=knownhosts.path(),
        resume_limit=chosen.seconds("resume_limit"),
        environment=environment(place.home),
        suffixes=hostname.suffixes(_profiles()),
        aliases=before.aliases,
        made=before.made,
    )


def update_aliases(
    place: Place,
    ssh: Ssh,
    change: Callable[[tuple[Alias, ...]], tuple[Alias, ...]],
    *,
    dry_run: bool = False,
) -> Done:
    """Let our file have the aliases that `change` makes of those it has, and all else as it is.

    Raises UsageError where ssm-ssh is not set up, and as `set_up` does, also for an alias that would take a name for
    which the user's configuration has a meaning.
    """
    if not edit.is_ours(look(place.config).text, str(place.managed)):
        raise UsageError("ssh is not set up for ssm-ssh yet", "Run: ssm-ssh setup")

    def changed(before: Stored) -> Managed:
        return compose(place, before._replace(aliases=change(before.aliases)), dry_run=dry_run)

    return set_up(place, ssh, changed, dry_run=dry_run)


def _profiles() -> list[str]:
    try:
        return sorted(SharedFiles(os.environ).profiles)
    except UsageError:  # said by whatever needs them
        return []
