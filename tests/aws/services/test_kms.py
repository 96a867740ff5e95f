"""A data key and the caller's account, against answers as AWS writes them and as it does not."""

from __future__ import annotations

from typing import Any, cast

import pytest

from ssm_ssh.aws.api.client import Api
from ssm_ssh.aws.services.kms import caller_account, generate_data_key
from ssm_ssh.errors import ProtocolError


class FakeApi:
    def __init__(self, answer: dict[str, Any]) -> None:
        self.answer = answer

    def call(self, service: str, operation: str, payload: object, **_: object) -> dict[str, Any]:
        assert (service, operation) in {("kms", "GenerateDataKey"), ("sts", "GetCallerIdentity")}
        return self.answer


def api(**answer: object) -> Api:
    return cast("Api", FakeApi(answer))


def test_a_data_key_comes_encrypted_and_plain() -> None:
    assert generate_data_key(api(CiphertextBlob="YQ==", Plaintext="Yg=="), "k", 64, {}) == (b"a", b"b")


@pytest.mark.parametrize(
    "answer", [{}, {"CiphertextBlob": "YQ=="}, {"CiphertextBlob": "YQ==", "Plaintext": "Y"}, {"Plaintext": 7}]
)
def test_an_answer_without_a_key_is_refused(answer: dict[str, Any]) -> None:
    with pytest.raises(ProtocolError, match="lacks"):
        generate_data_key(api(**answer), "k", 64, {})


def test_the_account_is_named_with_and_without_the_frame_around_it() -> None:
    assert caller_account(api(GetCallerIdentityResult={"Account": "1"})) == "1"
    assert caller_account(api(Account="2")) == "2"
    with pytest.raises(ProtocolError, match="account"):
        caller_account(api())
