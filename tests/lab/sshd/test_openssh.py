from __future__ import annotations

import os
import subprocess

import pytest

from ssm_ssh.lab.accounts.userland import Userland
from ssm_ssh.lab.machines.host_keys import make_host_keys
from ssm_ssh.lab.sshd.openssh import configuration, find_sshd


@pytest.mark.needs("sshd", "nss_wrapper")
def test_the_real_server_has_its_default_limits(land: Userland) -> None:
    keys = land.etc_ssh
    make_host_keys(keys, "root@host", (os.getuid(), os.getgid()))
    config = keys / "sshd_config"
    config.write_text(configuration(land, 22, [keys / "ssh_host_ed25519_key"]))
    # As root sshd wants a folder of the machine's even for this.
    become = {"user": land.uid, "group": land.gid, "extra_groups": []} if land.as_root else {}
    os.chown(keys / "ssh_host_ed25519_key", land.uid, land.gid)
    if land.as_root:
        os.chown(land.folder.parent, land.uid, land.gid)
        config.chmod(0o644)
    done = subprocess.run([find_sshd(), "-T", "-f", config], capture_output=True, text=True, check=True, **become)  # type: ignore[call-overload]
    words = done.stdout.split("\n")
    for line in (
        "maxstartups 10:30:100",
        "maxauthtries 6",
        "strictmodes yes",
        "passwordauthentication no",
        "usepam no",
    ):
        assert line in words
