"""What this installation wants our file to say."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from ssm_ssh.auth import identity, keypair
from ssm_ssh.auth.key_type import ED25519, RSA, TYPES
from ssm_ssh.aws.config.ini import SharedFiles
from ssm_ssh.errors import UsageError
from ssm_ssh.hostkeys import known_hosts
from ssm_ssh.installation import program
from ssm_ssh.locate import hostname
from ssm_ssh.settings import schema
from ssm_ssh.sshconfig import include, sharing
from ssm_ssh.sshconfig.atomic_replace import look
from ssm_ssh.sshconfig.install import set_up
from ssm_ssh.sshconfig.locations import environment
from ssm_ssh.sshconfig.managed_file import Managed

if TYPE_CHECKING:
    from collections.abc import Callable

    from ssm_ssh.settings.schema import Settings
    from ssm_ssh.sshconfig.effective import Ssh
    from ssm_ssh.sshconfig.install import Done
    from ssm_ssh.sshconfig.locations import Place
    from ssm_ssh.sshconfig.managed_file import Alias, Stored


def compose(place: Place, before: Stored, *, dry_run: bool = False, share: str | None = None) -> Managed:
    """Return what our file is to say, keeping what it stored `before`. `share`: that setting, None: as it is stored.

    Puts down which key of the agent ssh is to offer, except in a dry run. Raises UsageError for settings that cannot
    be, and for a key that is not there.
    """
    chosen = schema.load()
    key, key_type = chosen.text("key"), own_key_type(chosen)
    if not dry_run:
        identity.export_agent_key(key, env=os.environ)
    return Managed(
        program=program(),
        identity_files=identity.identity_files(key, key_type),
        known_hosts=known_hosts.path(),
        key_type=key_type,
        resume_limit=chosen.seconds("resume_limit"),
        environment=environment(place.home),
        suffixes=hostname.suffixes(_profiles()),
        options=sharing.options(place.folder, chosen.text("share") if share is None else share),
        aliases=before.aliases,
        made=before.made,
        names=before.names,
    )


def own_key_type(settings: Settings) -> str:
    """Return the type of ssm-ssh's own pair that ssh is to be given."""
    chosen = settings.text("key_type")
    if chosen in TYPES:
        return chosen
    # Programs that were told the files of an Ed25519 pair go on working.
    return ED25519 if keypair.in_use(ED25519) and not keypair.in_use(RSA) else RSA


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
    if not include.is_ours(look(place.config).text, str(place.managed)):
        raise UsageError("ssh is not set up for ssm-ssh yet", "Run: ssm-ssh setup")

    def changed(before: Stored) -> Managed:
        return compose(place, before._replace(aliases=change(before.aliases)), dry_run=dry_run)

    return set_up(place, ssh, changed, dry_run=dry_run, respell=False)


def _profiles() -> list[str]:
    try:
        return sorted(SharedFiles(os.environ).profiles)
    except UsageError:  # reported by the code that needs them
        return []
