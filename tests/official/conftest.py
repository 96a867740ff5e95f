"""AWS's own programs, which SSM_SSH_TEST_OFFICIAL names the folder of; CONTRIBUTING.md says how they are built."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from ssm_ssh.lab.accounts.accounts import Accounts, find_nss_wrapper

VARIABLE = "SSM_SSH_TEST_OFFICIAL"
PLUGIN, WORKER = "session-manager-plugin", "labworker"


@pytest.fixture(scope="session")
def official() -> Path:
    """Return the folder of the programs. A missing one is a failure: these tests run only when they are asked for."""
    folder = Path(os.environ.get(VARIABLE) or "/nowhere")
    for name in (PLUGIN, WORKER):
        if not os.access(folder / name, os.X_OK):
            pytest.fail(f"{VARIABLE} must name a folder that has {name}: see CONTRIBUTING.md")
    return folder


@pytest.fixture
def folder() -> Iterator[Path]:
    path = Path(tempfile.mkdtemp(prefix="lab-"))
    path.chmod(0o711)
    yield path
    shutil.rmtree(path)


@pytest.fixture
def accounts(folder: Path) -> Accounts:
    made = Accounts(folder / "i-1", ("ec2-user", "deploy"), 0, find_nss_wrapper())
    made.build()
    return made
