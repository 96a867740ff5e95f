"""Encryption by a KMS data key: the recorded sessions' own keys, and what is not such a session."""

from __future__ import annotations

import json
from base64 import b64decode, b64encode
from collections.abc import Callable
from itertools import count

import pytest
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from hypothesis import given
from hypothesis import strategies as st

from ssm_ssh.channel.encryption import Encryption, encryption_context, halves, key_request, key_result
from ssm_ssh.channel.events import KeyRequest
from ssm_ssh.errors import ProtocolError
from tests.channel.vectors import binary, data_key


class Aes:
    """AES-GCM as the cryptography library has it."""

    def __init__(self, key: bytes) -> None:
        self._cipher = AESGCM(key)

    def seal(self, nonce: bytes, data: bytes) -> bytes:
        return self._cipher.encrypt(nonce, data, None)

    def open(self, nonce: bytes, data: bytes) -> bytes:
        try:
            return self._cipher.decrypt(nonce, data, None)
        except InvalidTag:
            raise ProtocolError("The tag is wrong") from None


def counter(start: int = 1) -> Callable[[int], int]:
    numbers = count(start)
    return lambda bits: next(numbers)


def pair() -> tuple[Encryption, Encryption]:
    """The client's and the agent's side of one session."""
    first, second = halves(bytes(range(64)))
    return Encryption(Aes(first), Aes(second), counter()), Encryption(Aes(second), Aes(first), counter())


@pytest.mark.parametrize("name", ["shell-kms", "noninteractive-command-kms"])
def test_the_first_half_of_the_key_opens_what_the_agent_sent_and_the_second_what_the_client_sent(name: str) -> None:
    incoming, outgoing = map(Aes, halves(data_key(name)))
    opened = 0
    for row in binary(name):
        kind, payload = row.fields["payload_type"], row.frame[120:]
        if row.sender == "agent" and kind in (1, 11, 12):
            Encryption(incoming, outgoing, counter()).decrypt(payload)
            opened += 1
        elif row.sender == "client" and kind == 1:
            plain = Encryption(outgoing, incoming, counter()).decrypt(payload)
            nonce = int.from_bytes(payload[:12], "big")
            assert Encryption(incoming, outgoing, counter(nonce)).encrypt(plain) == payload
    assert opened > 1


@given(st.binary(max_size=1100))
def test_what_a_side_encrypts_the_other_decrypts(data: bytes) -> None:
    client, agent = pair()
    encrypted = client.encrypt(data)
    assert len(encrypted) == len(data) + 28
    assert agent.decrypt(encrypted) == data


def test_no_nonce_comes_twice() -> None:
    client, _ = pair()
    assert client.encrypt(b"x")[:12] != client.encrypt(b"x")[:12]


@pytest.mark.parametrize("payload", [b"", b"plain text", bytes(28), bytes(1052)])
def test_what_the_agent_has_not_encrypted_is_refused(payload: bytes) -> None:
    client, _ = pair()
    with pytest.raises(ProtocolError):
        client.decrypt(payload)


def test_a_challenge_is_answered_with_the_other_half() -> None:
    client, agent = pair()
    asked = json.dumps({"Challenge": b64encode(agent.encrypt(b"secret")).decode()}).encode()
    assert agent.decrypt(b64decode(json.loads(client.answer(asked))["Challenge"])) == b"secret"


@pytest.mark.parametrize(
    "challenge", [b"", b"{", b"[]", b"{}", b'{"Challenge":7}', b'{"Challenge":"\xc3\xa9"}', b'{"Challenge":"aGk="}']
)
def test_a_challenge_that_cannot_be_read_is_refused(challenge: bytes) -> None:
    client, _ = pair()
    with pytest.raises(ProtocolError):
        client.answer(challenge)


@pytest.mark.parametrize("size", [0, 32, 63, 65])
def test_a_data_key_of_another_size_is_refused(size: int) -> None:
    with pytest.raises(ProtocolError, match="64"):
        halves(bytes(size))


def test_the_challenge_belongs_into_the_context_and_the_result_only_where_there_is_one() -> None:
    assert encryption_context("s", "i-1", "") == {"aws:ssm:SessionId": "s", "aws:ssm:TargetId": "i-1"}
    assert encryption_context("s", "i-1", "c")["aws:ssm:RandomChallenge"] == "c"
    assert key_result(b"hi", "") == {"KMSCipherTextKey": "aGk="}
    assert key_result(b"hi", "c") == {"KMSCipherTextKey": "aGk=", "ChallengeAcknowledgement": True}


def test_a_request_names_its_key_and_perhaps_a_challenge() -> None:
    assert key_request({"KMSKeyId": "k", "Challenge": "c"}) == KeyRequest("k", "c")
    assert key_request({"KMSKeyId": "k"}) == KeyRequest("k", "")


@pytest.mark.parametrize(
    "parameters",
    [
        *(None, [], {}, {"KMSKeyId": 7}, {"KMSKeyId": ""}, {"KMSKeyId": "k" * 2049}),
        *({"KMSKeyId": "k", "Challenge": 7}, {"KMSKeyId": "k", "Challenge": "c" * 1025}),
    ],
)
def test_a_request_without_a_usable_key_is_refused(parameters: object) -> None:
    with pytest.raises(ProtocolError):
        key_request(parameters)
