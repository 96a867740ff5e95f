"""A data folder of its own for each test, and the fixtures of tests/aws for the modules here that make calls."""

from __future__ import annotations

from pathlib import Path

import pytest

from ssm_ssh.hostkeys import known_hosts
from tests.aws.conftest import answer, aws, calls, certificate, env, target

__all__ = ["answer", "aws", "calls", "certificate", "env", "target"]


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(known_hosts, "data_folder", lambda: tmp_path / "data")
    return tmp_path / "data"
