"""`ssm-ssh key` as its user meets it."""

from __future__ import annotations

from pathlib import Path

import pytest

from ssm_ssh.aws.api import Api
from ssm_ssh.cli import main
from ssm_ssh.push import ways
from ssm_ssh.target import Target

INSTANCE = "i-0123456789abcdef0"


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in ("HOME", "XDG_CONFIG_HOME", "XDG_DATA_HOME", "XDG_STATE_HOME"):
        monkeypatch.setenv(name, str(tmp_path))
    monkeypatch.setenv("AWS_REGION", "eu-central-1")
    return tmp_path


def run(*words: str) -> int:
    return main.main(["key", *words])


@pytest.fixture
def swept(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, str, str]]:
    """Instance, user and region of every sweep."""
    seen: list[tuple[str, str, str]] = []

    def sweep(api: Api, target: Target, wish: ways.Wish) -> None:
        seen.append((target.instance_id, target.user, api.settings.region))

    monkeypatch.setattr(ways, "sweep", sweep)
    return seen


@pytest.mark.parametrize(
    "words",
    [
        ("sweep", INSTANCE, "admin", "--region", "eu-west-1"),
        ("sweep", "--region", "eu-west-1", INSTANCE, "admin"),
        ("--region", "eu-west-1", "sweep", INSTANCE, "admin"),
        ("sweep", INSTANCE, "--region", "eu-west-1", "admin"),
    ],
)
def test_options_may_stand_anywhere(words: tuple[str, ...], swept: list[tuple[str, str, str]]) -> None:
    assert run(*words) == 0
    assert swept == [(INSTANCE, "admin", "eu-west-1")]


@pytest.mark.parametrize("words", [("sweep",), ("nonsense",), ("renew", "x"), ("sweep", INSTANCE, "u", "x"), ("--x",)])
def test_wrong_calls_are_said_in_one_line(words: tuple[str, ...], capsys: pytest.CaptureFixture[str]) -> None:
    assert run(*words) == 2
    said = capsys.readouterr()
    assert said.out == ""
    assert len(said.err.splitlines()) == 1
    assert "?." not in said.err
