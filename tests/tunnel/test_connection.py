"""What a connection records of the account that it was made with."""

from __future__ import annotations

from pathlib import Path

import pytest

from ssm_ssh.aws.config.settings import load
from ssm_ssh.locate import history
from ssm_ssh.log import Log
from ssm_ssh.settings.options import ConnectionOptions
from ssm_ssh.storage import json_store
from ssm_ssh.target import Target
from ssm_ssh.tunnel.connection import Connection
from ssm_ssh.tunnel.destination import SshDestination

DESTINATION = SshDestination(Target("i-0123456789abcdef0"), 22, "ec2-user")


@pytest.mark.parametrize(
    ("env", "profile", "remembered"),
    [
        ({}, None, [("default", "eu-central-1")]),
        ({"AWS_CONTAINER_CREDENTIALS_FULL_URI": "http://127.0.0.1/"}, None, []),
        ({"AWS_WEB_IDENTITY_TOKEN_FILE": "/token"}, None, []),
        ({"AWS_ACCESS_KEY_ID": "AKID"}, None, []),
        ({"AWS_CONTAINER_CREDENTIALS_FULL_URI": "http://127.0.0.1/"}, "dev", [("dev", "eu-central-1")]),
    ],
)
def test_what_the_environment_brings_is_not_remembered_as_a_profile(
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    env: dict[str, str],
    profile: str | None,
    remembered: list[tuple[str, str]],
) -> None:
    monkeypatch.setattr(json_store, "state_folder", lambda: tmp_path / "state")
    (tmp_path / "config").write_text("[profile dev]\n")
    whole = {**env, "AWS_CONFIG_FILE": str(tmp_path / "config"), "AWS_REGION": "eu-central-1"}
    Connection(DESTINATION, load(profile=profile, env=whole), ConnectionOptions(), Log(None))._remember()
    assert [(known.profile, known.region) for known in history.recall_all()] == remembered
