from __future__ import annotations

import threading
from typing import cast

import pytest

from ssm_ssh.aws.api import Api
from ssm_ssh.aws.settings import load
from ssm_ssh.gateway import Gateway
from ssm_ssh.log import Log


def test_what_nobody_foresaw_while_connecting_ahead_is_logged_and_never_printed(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    said: list[str] = []
    log = Log(None)
    monkeypatch.setattr(log, "_write", said.append)
    monkeypatch.setenv("AWS_REGION", "eu-central-1")

    def connect(self: Gateway, host: str, port: int, secure: bool) -> None:
        raise ValueError("not foreseen")

    monkeypatch.setattr(Gateway, "_connect", connect)
    before = set(threading.enumerate())
    Gateway(load(profile=None, region="eu-central-1"), cast(Api, None), log)
    for thread in set(threading.enumerate()) - before:
        thread.join(10)
    assert said == ["unexpected ValueError: not foreseen"]
    assert capfd.readouterr() == ("", "")
