"""An instance's users, whose folders those users themselves can enter."""

from __future__ import annotations

from pathlib import Path

import pytest

from ssm_ssh.lab.accounts.accounts import Accounts, find_nss_wrapper


@pytest.fixture
def accounts(folder: Path) -> Accounts:
    folder.chmod(0o711)
    made = Accounts(folder / "i-1", ("ec2-user", "deploy"), 0, find_nss_wrapper())
    made.build()
    return made
