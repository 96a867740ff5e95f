from __future__ import annotations

import json
from pathlib import Path

import pytest

from ssm_ssh.storage.notices import NAME, is_due

DAY = 86400.0
WEB, DB = "push i-0123456789abcdef0", "push i-0123456789abcdef1"


@pytest.fixture(autouse=True)
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    return tmp_path / "state" / "ssm-ssh"


def test_a_notice_is_given_once_a_day_for_each_instance() -> None:
    assert is_due(WEB, "send-command", 1000.0)
    assert not is_due(WEB, "send-command", 1000.0 + DAY - 1)
    assert is_due(DB, "send-command", 1000.0)
    assert is_due(WEB, "send-command", 1000.0 + DAY)
    assert not is_due(WEB, "send-command", 1001.0 + DAY)


def test_a_change_is_told_at_once_also_the_way_back() -> None:
    assert is_due(WEB, "one", 1000.0)
    assert is_due(WEB, "two", 1001.0)
    assert is_due(WEB, "one", 1002.0)
    assert not is_due(WEB, "", 1003.0)
    assert is_due(WEB, "one", 1004.0)


def test_a_clock_that_was_set_back_silences_nothing() -> None:
    assert is_due(WEB, "one", 1000.0 + DAY)
    assert is_due(WEB, "one", 1000.0)


def test_nothing_to_tell_writes_nothing(state: Path) -> None:
    assert not is_due(WEB, "", 1000.0)
    assert not (state / NAME).exists()


def test_the_words_themselves_are_not_kept(state: Path) -> None:
    is_due(WEB, "words of an instance", 1000.0)
    content = (state / NAME).read_text()
    assert "words" not in content
    assert json.loads(content)["version"] == 1


@pytest.mark.parametrize("content", ["", "[]", '{"given": 1}', '{"given": {"' + WEB + '": 7}}', '{"version": 99}'])
def test_without_a_usable_file_every_notice_is_due(state: Path, content: str) -> None:
    state.mkdir(parents=True, mode=0o700)
    (state / NAME).write_text(content)
    (state / NAME).chmod(0o600)
    assert is_due(WEB, "one", 1000.0)


def test_without_a_usable_folder_every_notice_is_due(state: Path) -> None:
    state.parent.mkdir()
    state.symlink_to("/dev/null")
    assert is_due(WEB, "one", 1000.0)
    assert is_due(WEB, "one", 1000.0)
