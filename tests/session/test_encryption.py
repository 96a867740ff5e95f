"""Which KMS key a session may be encrypted with, and the data key that comes of it."""

from __future__ import annotations

import time
from base64 import b64encode
from typing import Any, cast

import pytest

from ssm_ssh.aws.api.client import Api
from ssm_ssh.aws.config.settings import load
from ssm_ssh.channel.encryption import Encryption
from ssm_ssh.channel.events import KeyRequest
from ssm_ssh.errors import EncryptionRefused, ProtocolError
from ssm_ssh.session.encryption import data_key

OWN = "arn:aws:kms:eu-central-1:111122223333:key/1234"


class FakeApi:
    """KMS and STS of one account."""

    def __init__(self, account: str = "111122223333") -> None:
        self.settings = load(region="eu-central-1", env={})
        self.account = account
        self.calls: list[tuple[str, dict[str, Any]]] = []

    def call(self, service: str, operation: str, payload: dict[str, Any], **options: object) -> dict[str, Any]:
        assert isinstance(options["deadline"], float)
        assert options["deadline"] < time.monotonic() + 15, "the agent waits no longer"
        self.calls.append((operation, payload))
        if service == "sts":
            return {"GetCallerIdentityResult": {"Account": self.account}}
        plain = bytes(range(64))
        return {"CiphertextBlob": b64encode(b"blob").decode(), "Plaintext": b64encode(plain).decode()}


def asked(api: FakeApi, key: str, *, kms_key: str = "", port: bool = False) -> bytes:
    request = KeyRequest(key, "challenge")
    return data_key(cast("Api", api), "me-1", "i-1", request, kms_key=kms_key, port=port).blob


@pytest.mark.parametrize("key", [OWN, "1234", "alias/mine"])
def test_a_key_of_the_sessions_account_is_used_once(key: str) -> None:
    api = FakeApi()
    assert asked(api, key) == b"blob"
    made = [payload for operation, payload in api.calls if operation == "GenerateDataKey"]
    context = {"aws:ssm:SessionId": "me-1", "aws:ssm:TargetId": "i-1", "aws:ssm:RandomChallenge": "challenge"}
    assert made == [{"KeyId": key, "NumberOfBytes": 64, "EncryptionContext": context}]


@pytest.mark.parametrize(
    "key",
    [
        "arn:aws:kms:eu-central-1:999999999999:key/1234",
        "arn:aws:kms:us-east-1:111122223333:key/1234",
        "arn:aws-cn:kms:eu-central-1:111122223333:key/1234",
        "arn:aws:s3:eu-central-1:111122223333:key/1234",
        "arn:aws:kms:eu-central-1",
        "arn:",
    ],
)
def test_any_other_key_is_refused_unless_the_setting_names_it(key: str) -> None:
    api = FakeApi()
    with pytest.raises(EncryptionRefused) as refused:
        asked(api, key)
    assert "kms:GenerateDataKey" in refused.value.message
    assert key in refused.value.message
    assert "GenerateDataKey" not in [operation for operation, _ in api.calls]
    assert asked(api, key, kms_key=key) == b"blob"


def test_a_port_session_uses_only_the_key_that_the_setting_names() -> None:
    api = FakeApi()
    for kms_key in ("", "alias/other"):
        with pytest.raises(EncryptionRefused, match="port session") as refused:
            asked(api, OWN, port=True, kms_key=kms_key)
        assert OWN in refused.value.message
    assert api.calls == []
    assert asked(api, OWN, port=True, kms_key=OWN) == b"blob"


def test_both_sides_understand_each_other_and_nothing_else_is_understood() -> None:
    key = data_key(cast("Api", FakeApi()), "me-1", "i-1", KeyRequest("1234", ""), kms_key="", port=False)
    ours = Encryption(key.incoming, key.outgoing, key.random_bits)
    theirs = Encryption(key.outgoing, key.incoming, key.random_bits)
    assert theirs.decrypt(ours.encrypt(b"secret")) == b"secret"
    with pytest.raises(ProtocolError):
        ours.decrypt(ours.encrypt(b"secret"))
