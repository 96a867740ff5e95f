from __future__ import annotations

import os
import stat
import subprocess
from pathlib import Path

from ssm_ssh.lab.machines.host_keys import make_host_keys


def test_host_keys_are_those_that_ssh_keygen_reads(tmp_path: Path) -> None:
    lines = make_host_keys(tmp_path, "root@host", (os.getuid(), os.getgid()), ("ed25519", "ecdsa", "rsa"))
    assert [line.split()[0] for line in lines] == ["ssh-ed25519", "ecdsa-sha2-nistp256", "ssh-rsa"]
    for kind, line in zip(("ed25519", "ecdsa", "rsa"), lines, strict=True):
        path = tmp_path / f"ssh_host_{kind}_key"
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        derived = subprocess.run(["ssh-keygen", "-y", "-f", path], capture_output=True, text=True, check=True).stdout
        assert derived.split()[:2] == line.split()
        assert path.with_suffix(".pub").read_text() == f"{line} root@host\n"
