from __future__ import annotations

import threading
import time
from types import SimpleNamespace
from typing import Any, cast

import pytest

from ssm_ssh.aws.api.client import Api
from ssm_ssh.aws.config.settings import load
from ssm_ssh.aws.services.sessions import StartedSession
from ssm_ssh.errors import AccessDenied
from ssm_ssh.log import Log
from ssm_ssh.session.gateway import Gateway


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


def test_an_upgrade_that_a_policy_denies_names_the_action_and_what_to_grant(monkeypatch: pytest.MonkeyPatch) -> None:
    arn = "arn:aws:ssm:eu-central-1:123456789012:session/me-0123456789abcdef0"
    said = (
        "gateway.example answered the WebSocket upgrade with 403 Forbidden AccessDeniedException: "
        "User: arn:aws:iam::123456789012:user/me is not authorized to perform: ssmmessages:OpenDataChannel on "
        f"resource: {arn} because no identity-based policy allows the ssmmessages:OpenDataChannel action"
    )

    def deny(*_: object) -> None:
        raise AccessDenied(said, code="AccessDeniedException", operation="OpenDataChannel", status=403)

    api: Any = SimpleNamespace(signed_upgrade=lambda *_: {})
    monkeypatch.setattr(Gateway, "_connect", lambda *_: SimpleNamespace(close=lambda: None))
    monkeypatch.setattr("ssm_ssh.transport.websocket.open_websocket", deny)
    gateway = Gateway(load(region="eu-central-1", env={"HOME": "/nowhere"}), api, Log(None))
    url = "wss://ssmmessages.eu-central-1.amazonaws.com/v1/data-channel/me-0123456789abcdef0?role=publish_subscribe"
    with pytest.raises(AccessDenied) as caught:
        gateway.enter(StartedSession("me-0123456789abcdef0", "token", url), cast("Any", None), time.monotonic() + 10)
    assert caught.value.sentence() == (
        f"ssmmessages:OpenDataChannel is not allowed on {arn}: no identity-based policy allows it, in eu-central-1 "
        "(profile 'default'). "
        "Ask for an IAM policy that allows this action on arn:aws:ssm:*:*:session/${aws:userid}-*"
    )
