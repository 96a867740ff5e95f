"""The starts that other connections are told of."""

from __future__ import annotations

from pathlib import Path

import pytest

from ssm_ssh.session import starting

INSTANCE, OTHER = "i-0123456789abcdef0", "i-0123456789abcdef1"


@pytest.fixture(autouse=True)
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    return tmp_path / "ssm-ssh" / starting.NAME


def test_a_start_is_known_until_it_is_over_or_old() -> None:
    assert starting.since(INSTANCE, 1000.0) is None
    starting.note(INSTANCE, 1000.0)
    assert starting.since(INSTANCE, 1010.0) == 1000.0
    assert starting.since(OTHER, 1010.0) is None
    assert starting.since(INSTANCE, 2000.0) is None
    assert starting.since(INSTANCE, 900.0) is None  # the clock was set back
    starting.forget(OTHER)
    assert starting.since(INSTANCE, 1010.0) == 1000.0
    starting.forget(INSTANCE)
    assert starting.since(INSTANCE, 1010.0) is None


def test_an_answer_counts_for_the_connections_of_the_same_command() -> None:
    assert not starting.declined(INSTANCE, 1000.0)
    starting.decline(INSTANCE, 1000.0)
    assert starting.declined(INSTANCE, 1005.0)
    assert not starting.declined(OTHER, 1005.0)
    assert not starting.declined(INSTANCE, 1030.0)


@pytest.mark.parametrize("content", ["", "[", '{"started": 7}', '{"started": {"i-0123456789abcdef0": true}}'])
def test_a_damaged_file_knows_nothing(state: Path, content: str) -> None:
    starting.note(OTHER, 1000.0)
    state.write_text(content)
    assert starting.since(INSTANCE, 1000.0) is None


def test_without_a_folder_nothing_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", "/dev/null")
    starting.note(INSTANCE, 1000.0)
    starting.forget(INSTANCE)
    assert starting.since(INSTANCE, 1000.0) is None
