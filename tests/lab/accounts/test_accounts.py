from __future__ import annotations

import grp
import os
import pwd
import stat
from pathlib import Path

import pytest

from ssm_ssh.lab.accounts import accounts as accounts_module
from ssm_ssh.lab.accounts.accounts import Accounts, find_nss_wrapper


def test_homes_are_private_and_not_the_callers(accounts: Accounts) -> None:
    for user in (*accounts.users, "root"):
        home = accounts.home(user)
        assert stat.S_IMODE(home.stat().st_mode) == 0o700
        environment = accounts.environment(user)
        assert environment["HOME"] == str(home)
        assert not any(pwd.getpwuid(os.getuid()).pw_dir == value for value in environment.values())


def test_ids_of_other_users_are_not_used(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    accounts = Accounts(folder / "other", ("ec2-user",), 0, "")
    accounts.as_root = True
    accounts.uid = os.getuid()
    with pytest.raises(FileExistsError, match=f"uid {accounts.uid} belongs to another user"):
        accounts.build()
    accounts.uid = 61183
    monkeypatch.setattr(grp, "getgrgid", lambda _: ("printers", "x", accounts.gid, []))
    with pytest.raises(FileExistsError, match=f"gid {accounts.gid} belongs to another user"):
        accounts.build()
    assert not accounts.folder.exists()


def test_a_library_that_cannot_be_loaded_is_not_there(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "libnss_wrapper.so").write_bytes(b"not a library")
    monkeypatch.setattr(accounts_module, "_WRAPPER_PLACES", (str(tmp_path / "libnss_wrapper.so"),))
    assert find_nss_wrapper() == ""
