"""The options of a connection, from the values in force."""

from __future__ import annotations

from pathlib import Path

import pytest

from ssm_ssh.settings.options import ConnectionOptions, connection_options
from ssm_ssh.settings.schema import load


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))


def values(options: ConnectionOptions) -> dict[str, object]:
    return {name: getattr(options, name) for name in ConnectionOptions.__slots__}


def test_without_settings_the_defaults_hold() -> None:
    assert values(connection_options(load({}, {}))) == values(ConnectionOptions())


def test_each_option_is_read_from_the_settings() -> None:
    flags = {
        "document": "Own-Ssh",
        "push": "eic",
        "push_document": "Own-Push",
        "push_after_denied": "yes",
        "push_lifetime": "90",
        "key": "agent",
        "key_age": "60",
        "host_keys": "require",
        "resume_limit": "5",
        "start": "never",
        "kms_key": "arn:aws:kms:eu-central-1:1:key/2",
    }
    assert values(connection_options(load(flags, {}), "rsa")) == {
        "document": "Own-Ssh",
        "push": "eic",
        "push_document": "Own-Push",
        "push_after_denied": True,
        "push_lifetime": 90,
        "key": "agent",
        "key_age": 60.0,
        "key_type": "rsa",
        "require_host_keys": True,
        "resume_limit": 5.0,
        "start": "never",
        "kms_key": "arn:aws:kms:eu-central-1:1:key/2",
    }
