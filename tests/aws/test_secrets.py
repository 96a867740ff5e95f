"""Canaries in everything secret: none is ever said, whatever happens."""

from __future__ import annotations

import traceback
from typing import TYPE_CHECKING

import pytest

from ssm_ssh.aws.api.client import Api
from ssm_ssh.aws.config.settings import load
from ssm_ssh.aws.credentials.source import CredentialSource
from ssm_ssh.aws.services.instance_connect import push_key
from ssm_ssh.aws.services.sessions import resume_session, start_session, terminate_session
from ssm_ssh.errors import SsmSshError
from ssm_ssh.settings.options import ConnectionOptions
from ssm_ssh.tunnel.destination import SshDestination
from ssm_ssh.tunnel.plan import describe

if TYPE_CHECKING:
    from pathlib import Path

    from conftest import FakeAws

    from ssm_ssh.target import Target

KEY = "ssh-ed25519 " + "A" * 68
STARTED = {
    "SessionId": "s",
    "TokenValue": "CANARY-token",
    "StreamUrl": "wss://gate/v1?X-Amz-Security-Token=CANARY-url",
}


@pytest.fixture
def secret_env(env: dict[str, str]) -> dict[str, str]:
    return {
        **env,
        "AWS_ACCESS_KEY_ID": "AKIDCANARY",
        "AWS_SECRET_ACCESS_KEY": "CANARY-secret",
        "AWS_SESSION_TOKEN": "CANARY-session-token",
    }


ANSWERS = [
    ("started", lambda answer, refuse: answer(200, STARTED)),
    ("without token", lambda answer, refuse: answer(200, {**STARTED, "TokenValue": ""})),
    ("no JSON", lambda answer, refuse: answer(200, b"{CANARY-body")),
    ("expired", lambda answer, refuse: refuse("ExpiredTokenException", "expired")),
    ("skewed", lambda answer, refuse: refuse("InvalidSignatureException", "Signature expired", Date="CANARY")),
    ("denied", lambda answer, refuse: refuse("AccessDeniedException", "no")),
    ("broken off", lambda answer, refuse: b"HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\nCANARY"),
    ("no HTTP", lambda answer, refuse: b"CANARY\r\n\r\n"),
    ("failed", lambda answer, refuse: answer(500, b"CANARY")),
]


@pytest.mark.parametrize("make", [make for _, make in ANSWERS], ids=[name for name, _ in ANSWERS])
def test_calls_say_no_secret(
    *,
    secret_env: dict[str, str],
    aws: FakeAws,
    target: Target,
    answer: object,
    refuse: object,
    make: object,
    capfd: object,
) -> None:
    said: list[str] = []
    api = Api(load(env=secret_env), debug=said.append, sleep=lambda _: None)
    for call in (
        lambda: start_session(api, target.instance_id, "AWS-StartSSHSession", {}),
        lambda: resume_session(api, "s"),
        lambda: terminate_session(api, "s"),
        lambda: push_key(api, target, "ec2-user", KEY),
    ):
        aws.answers = [make(answer, refuse)] * 5
        try:
            said.append(repr(call()))
        except SsmSshError as error:
            said += [error.sentence(), repr(error), str(error.args), "".join(traceback.format_exception(error))]
    assert any("CANARY" in request.headers["x-amz-security-token"] for request in aws.requests)
    said += [
        repr(api),
        repr(api.settings),
        repr(api.settings.files),
        repr(api.credentials),
        repr(api.credentials.get()),
    ]
    said += describe(api.settings, SshDestination(target, 22, "ec2-user"), ConnectionOptions(), method="eic")
    out, err = capfd.readouterr()
    assert "CANARY" not in "\n".join([*said, out, err])


@pytest.mark.parametrize(
    "proxy",
    ["http://me:CANARY-password@127.0.0.1:1", "socks5://me:CANARY-password@h", "http://me:CANARY@127.0.0.1:port"],
)
def test_the_proxys_password(secret_env: dict[str, str], target: Target, proxy: str) -> None:
    said: list[str] = []
    secret_env["HTTPS_PROXY"] = proxy
    api = Api(load(env=secret_env), debug=said.append, sleep=lambda _: None)
    with pytest.raises(SsmSshError) as caught:
        start_session(api, target.instance_id, "AWS-StartSSHSession", {})
    said += [caught.value.sentence(), "".join(traceback.format_exception(caught.value))]
    assert "CANARY" not in "\n".join(said)


def test_endpoint_urls_with_a_password(secret_env: dict[str, str], target: Target) -> None:
    secret_env["AWS_ENDPOINT_URL_SSM"] = "https://me:CANARY@h"
    with pytest.raises(SsmSshError) as caught:
        start_session(Api(load(env=secret_env)), target.instance_id, "AWS-StartSSHSession", {})
    assert "CANARY" not in caught.value.sentence() + "".join(traceback.format_exception(caught.value))


@pytest.mark.parametrize(
    "text",
    [
        "[default]\naws_access_key_id = CANARY\n",
        "[default]\naws_secret_access_key = CANARY\naws_access_key_id =\n",
        "aws_secret_access_key = CANARY",
        "[default]\naws_secret_access_key\nCANARY",
        "[default]\naws_access_key_id = A\naws_secret_access_key = CANARY\naws_secret_access_key = CANARY\n",
    ],
)
def test_files_with_mistakes(tmp_path: Path, text: str) -> None:
    (tmp_path / "credentials").write_text(text)
    env = {
        "HOME": str(tmp_path),
        "AWS_SHARED_CREDENTIALS_FILE": str(tmp_path / "credentials"),
        "AWS_REGION": "eu-west-1",
    }
    with pytest.raises(SsmSshError) as caught:
        CredentialSource(load(env=env)).get()
    assert "CANARY" not in caught.value.sentence() + "".join(traceback.format_exception(caught.value))
