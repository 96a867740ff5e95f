"""The files of a lab's folder."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from ssm_ssh.auth.keypair import identity_files
from ssm_ssh.hostkeys import known_hosts
from ssm_ssh.lab.folder import remove, ssh_config


def test_ssh_is_given_the_files_of_the_product(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    config = ssh_config(tmp_path, known_hosts.path().parent)
    lines = [line.strip() for line in config.splitlines()]
    assert [line for line in lines if line.startswith("IdentityFile ")] == [
        f'IdentityFile "{path}"' for path in identity_files()
    ]
    assert f'UserKnownHostsFile "{known_hosts.path()}"' in lines


def test_what_a_client_writes_meanwhile_is_removed_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    home = tmp_path / "lab-1" / "home"
    home.mkdir(parents=True)
    client = os.open(home, os.O_RDONLY | os.O_DIRECTORY)
    rmtree, late = shutil.rmtree, ["b", "a"]

    def interrupted(path: Path, *, ignore_errors: bool) -> None:
        if late:
            os.close(os.open(late.pop(), os.O_CREAT | os.O_WRONLY, 0o600, dir_fd=client))
            assert not home.exists()
            return  # as rmtree does where a folder is not empty
        rmtree(path, ignore_errors=ignore_errors)

    monkeypatch.setattr(shutil, "rmtree", interrupted)
    remove(tmp_path / "lab-1")
    os.close(client)
    assert list(tmp_path.iterdir()) == []
