from __future__ import annotations

import json
from pathlib import Path

import pytest

from ssm_ssh.cli.config import _parser
from ssm_ssh.cli.main import main
from ssm_ssh.locate import history
from ssm_ssh.locate.history import KnownInstance
from ssm_ssh.settings.schema import SETTINGS

WEB = "i-0123456789abcdef0"


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in ("AWS_PROFILE", "AWS_DEFAULT_PROFILE", "AWS_ACCESS_KEY_ID", "AWS_REGION", "AWS_DEFAULT_REGION"):
        monkeypatch.delenv(name, raising=False)
    for one in SETTINGS:
        monkeypatch.delenv(one.variable, raising=False)
    for name in ("CONFIG", "STATE"):
        monkeypatch.setenv(f"XDG_{name}_HOME", str(tmp_path / name))
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / ".aws").mkdir()
    (tmp_path / ".aws" / "config").write_text("[profile Prod]\nregion = eu-west-1\n[profile dev]\n")
    from ssm_ssh.storage.paths import config_folder

    config_folder().mkdir(parents=True)
    return config_folder()


def shown(capsys: pytest.CaptureFixture[str], *words: str) -> dict[str, dict[str, object]]:
    assert main(["config", "--json", *words]) == 0
    return json.loads(capsys.readouterr().out)


def test_each_setting_and_its_origin(
    folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    file = folder / "config.toml"
    file.write_text('\npush = "eic"\nsearch = ["Prod:eu-west-1", "dev"]\n')
    monkeypatch.setenv("SSM_SSH_RESUME_LIMIT", "60")
    found = shown(capsys)
    assert found["file"] == str(file)
    assert found["push"] == {"value": "eic", "origin": f"{file}:2"}
    assert found["search"] == {"value": ["Prod:eu-west-1", "dev"], "origin": f"{file}:3"}
    assert found["resume_limit"] == {"value": 60.0, "origin": "SSM_SSH_RESUME_LIMIT"}
    assert found["host_keys"] == {"value": "record", "origin": "default"}
    assert main(["config"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert ["push", "eic", f"{file}:2"] in [line.split() for line in lines]
    assert len([line for line in lines if line.startswith(tuple(one.name for one in SETTINGS))]) == len(SETTINGS)


def test_what_would_be_chosen(
    folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def choice(*words: str) -> list[object]:
        found = shown(capsys, *words)
        return [*found["AWS profile"].values(), *found["AWS region"].values()]

    aws = folder.parent.parent / ".aws" / "config"
    assert choice(f"{WEB}.us-east-1") == ["default", "default", "us-east-1", "the host name"]
    assert choice(f"{WEB}.prod") == ["Prod", "the host name", "eu-west-1", f"the profile in {aws}"]
    history.remember([KnownInstance(WEB, "dev", "ap-south-1")])
    assert choice(WEB) == ["dev", "an earlier connection", "ap-south-1", "an earlier connection"]
    monkeypatch.setenv("SSM_SSH_DEFAULT_REGION", "us-west-2")
    assert choice() == ["default", "default", "us-west-2", "SSM_SSH_DEFAULT_REGION"]
    monkeypatch.setenv("AWS_PROFILE", "dev")
    assert choice() == ["dev", "AWS_PROFILE", "us-west-2", "SSM_SSH_DEFAULT_REGION"]
    monkeypatch.setenv("AWS_REGION", "us-east-2")
    assert choice(WEB) == ["dev", "AWS_PROFILE", "us-east-2", "AWS_REGION"]
    monkeypatch.delenv("AWS_PROFILE")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIDSECRET")
    assert choice() == ["", "AWS_ACCESS_KEY_ID", "us-east-2", "AWS_REGION"]


def test_a_search_is_named(folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SSM_SSH_SEARCH", "Prod:eu-west-1,us-east-1 dev")
    assert shown(capsys, WEB)["looked for in"] == {
        "value": ["Prod:eu-west-1", "Prod:us-east-1", "dev"],
        "origin": "SSM_SSH_SEARCH",
    }
    assert "AWS profile" not in shown(capsys, WEB)


def test_what_is_missing_is_said(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert "no AWS region" in str(shown(capsys)["AWS region"]["origin"])


@pytest.mark.parametrize(("word", "said"), [("web", "not an instance id"), (f"{WEB}.x", "neither a region")])
def test_a_host_that_cannot_be(folder: Path, capsys: pytest.CaptureFixture[str], word: str, said: str) -> None:
    assert main(["config", word]) == 2
    assert said in capsys.readouterr().err


def test_help_explains_each_setting() -> None:
    text = _parser().format_help()
    assert max(map(len, text.splitlines())) <= 120
    for one in SETTINGS:
        assert f"\n  {one.name}\n" in text
        assert one.help in text
