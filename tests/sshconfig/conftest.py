"""One home for each test."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.sshconfig.home import Home


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Home:
    home = Home(tmp_path / "a höme")
    for name in list(home.env):
        monkeypatch.setenv(name, home.env[name])
    for name in ("XDG_DATA_HOME", "XDG_STATE_HOME", "XDG_CONFIG_HOME", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    return home
