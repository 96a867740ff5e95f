"""What this installation wants our file to say."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ssm_ssh import keys
from ssm_ssh.paths import data_folder
from ssm_ssh.sshconfig.managed import Managed, check_word
from ssm_ssh.sshconfig.place import environment, program

if TYPE_CHECKING:
    from pathlib import Path

    from ssm_ssh.sshconfig.managed import Stored
    from ssm_ssh.sshconfig.place import Place


def known_hosts() -> Path:
    """Return the file of host keys that ssm-ssh writes."""
    return data_folder() / "known_hosts"


def compose(place: Place, before: Stored, *, profile: str | None = None, region: str | None = None) -> Managed:
    """Return what our file is to say: what was stored stays, but for a `profile` or `region` given now ("": none)."""
    profile = before.default_profile if profile is None else profile
    region = before.default_region if region is None else region
    for value, what in ((profile, "a profile"), (region, "a region")):
        if value:
            check_word(value, what)
    return Managed(
        program=program(),
        identity_files=(keys.identity_file(),),
        known_hosts=known_hosts(),
        environment=environment(place.home),
        default_profile=profile,
        default_region=region,
        aliases=before.aliases,
        made=before.made,
    )
