"""The files of a lab's folder."""

from __future__ import annotations

from pathlib import Path

import pytest

from ssm_ssh.auth.keypair import identity_files
from ssm_ssh.hostkeys import known_hosts
from ssm_ssh.lab.folder import ssh_config


def test_ssh_is_given_the_files_of_the_product(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    config = ssh_config(tmp_path, known_hosts.path().parent)
    lines = [line.strip() for line in config.splitlines()]
    assert [line for line in lines if line.startswith("IdentityFile ")] == [
        f'IdentityFile "{path}"' for path in identity_files()
    ]
    assert f'UserKnownHostsFile "{known_hosts.path()}"' in lines
