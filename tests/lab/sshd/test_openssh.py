from __future__ import annotations

import os
import subprocess

import pytest

from ssm_ssh.lab.accounts.accounts import Accounts
from ssm_ssh.lab.machines.host_keys import make_host_keys
from ssm_ssh.lab.sshd.openssh import configuration, find_sshd


@pytest.mark.needs("sshd", "nss_wrapper")
def test_the_real_server_has_its_default_limits(accounts: Accounts) -> None:
    keys = accounts.etc_ssh
    make_host_keys(keys, "root@host", (os.getuid(), os.getgid()))
    config = keys / "sshd_config"
    config.write_text(configuration(accounts, 22, [keys / "ssh_host_ed25519_key"]))
    # As root sshd wants a folder of the machine's even for this.
    become = {"user": accounts.uid, "group": accounts.gid, "extra_groups": []} if accounts.as_root else {}
    os.chown(keys / "ssh_host_ed25519_key", accounts.uid, accounts.gid)
    if accounts.as_root:
        os.chown(accounts.folder.parent, accounts.uid, accounts.gid)
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
