"""Encrypted sessions: the keys, the challenge, and the refusals that the official agent reports."""

from __future__ import annotations

import base64
import dataclasses
import json
import secrets
from typing import Any

import pytest
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from ssm_ssh.lab.accounts.accounts import Accounts
from ssm_ssh.lab.agent.api import AgentApi, ApiRefused
from ssm_ssh.lab.agent.cipher import Cipher
from ssm_ssh.lab.wire import message as am
from tests.lab.agent.sessions import FAST, end, shell, status
from tests.lab.dataplane import INSTANCE, RawClient, World, asynchronous

KEY_ID = "arn:aws:kms:eu-central-1:123456789012:key/1"
KEY = bytes(range(64))
SEALED = base64.b64encode(b"sealed").decode()


class Kms:
    """Stands for kms:Decrypt."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.context: dict[str, str] = {}
        self.refusal = ""

        async def decrypt(_: AgentApi, sealed: bytes, context: dict[str, str], key_id: str) -> bytes:
            assert (sealed, key_id) == (b"sealed", KEY_ID)
            self.context = context
            if self.refusal:
                raise ApiRefused(self.refusal)
            return KEY

        monkeypatch.setattr(AgentApi, "decrypt", decrypt)


@pytest.fixture
def kms(monkeypatch: pytest.MonkeyPatch) -> Kms:
    return Kms(monkeypatch)


async def ask(client: RawClient) -> str:
    """Read the request for encryption; return its random challenge."""
    request = json.loads((await client.in_order()).payload)
    first, second = request["RequestedClientActions"]
    assert first["ActionParameters"] == {"SessionType": "Standard_Stream", "Properties": None}
    assert (second["ActionType"], second["ActionParameters"]["KMSKeyId"]) == ("KMSEncryption", KEY_ID)
    challenge: str = second["ActionParameters"]["Challenge"]
    assert len(base64.b64decode(challenge)) == 16
    return challenge


async def answer(client: RawClient, *, status: int = 1, error: str = "", **result: Any) -> None:  # noqa: ANN401
    session = {"ActionType": "SessionType", "ActionStatus": 1, "ActionResult": None, "Error": ""}
    result = {"KMSCipherTextKey": SEALED, "KMSCipherTextHash": None, **result}
    key = {"ActionType": "KMSEncryption", "ActionStatus": status, "ActionResult": result, "Error": error}
    response = {"ClientVersion": "1.2.764.0", "ProcessedClientActions": [session, key], "Errors": None}
    await client.send(json.dumps(response).encode(), payload_type=am.P_HANDSHAKE_RESPONSE)


def opened(payload: bytes) -> bytes:
    return AESGCM(KEY[:32]).decrypt(payload[:12], payload[12:], None)


def sealed(data: bytes) -> bytes:
    nonce = secrets.token_bytes(12)
    return nonce + AESGCM(KEY[32:]).encrypt(nonce, data, None)


async def prove(client: RawClient) -> None:
    """Answer the challenge."""
    request = await client.in_order()
    assert request.payload_type == am.P_ENC_CHALLENGE_REQUEST
    challenge = opened(base64.b64decode(json.loads(request.payload)["Challenge"]))
    assert len(challenge) == 64
    proof = json.dumps({"Challenge": base64.b64encode(sealed(challenge)).decode()})
    await client.send(proof.encode(), payload_type=am.P_ENC_CHALLENGE_RESPONSE)


@asynchronous
@pytest.mark.parametrize("acknowledged", [False, True])
async def test_a_shell_is_encrypted(accounts: Accounts, kms: Kms, acknowledged: bool) -> None:
    async with World(agent=FAST, accounts=accounts) as world:
        client = await shell(world, kmsKeyId=KEY_ID)
        challenge = await ask(client)
        await answer(client, **({"ChallengeAcknowledgement": True} if acknowledged else {}))
        await prove(client)
        complete = await client.in_order()
        assert json.loads(complete.payload)["CustomerMessage"] == "This session is encrypted using AWS KMS."
        context = {"aws:ssm:SessionId": client.session_id, "aws:ssm:TargetId": INSTANCE}
        assert kms.context == context | ({"aws:ssm:RandomChallenge": challenge} if acknowledged else {})
        first = await client.in_order()
        assert opened(first.payload) == b"$ "
        await client.send(b'{"cols":90,"rows":30}', payload_type=am.P_SIZE)  # never encrypted
        await client.send(sealed(b"stty size; exit\r"))
        output, nonces = b"", [int.from_bytes(first.payload[:12], "little")]
        while b"30 90" not in output:
            message = await client.in_order()
            output += opened(message.payload)
            nonces.append(int.from_bytes(message.payload[:12], "little"))
        assert nonces == [(nonces[0] + at) % (1 << 96) for at in range(len(nonces))]
        await end(client)


@asynchronous
async def test_a_client_that_may_not_have_a_key_ends_the_session(accounts: Accounts, kms: Kms) -> None:
    async with World(agent=FAST, accounts=accounts) as world:
        client = await shell(world, kmsKeyId=KEY_ID)
        await ask(client)
        await answer(client, status=2, error="AccessDeniedException: no")
        assert (await end(client)).reason == (
            "\n----------ERROR-------\nEncountered error while initiating handshake. "
            "KMSEncryption failed on client with status 2 error: AccessDeniedException: no"
        )
        assert status(client) == ("Failed", "agent")


@asynchronous
async def test_an_instance_that_may_not_have_the_key_ends_the_session(accounts: Accounts, kms: Kms) -> None:
    kms.refusal = "AccessDeniedException: no\n\tstatus code: 400, request id: "
    async with World(agent=FAST, accounts=accounts) as world:
        client = await shell(world, kmsKeyId=KEY_ID)
        await ask(client)
        await answer(client)
        assert "Fetching data key failed: Unable to retrieve data key, Error when" in (await end(client)).reason


@asynchronous
async def test_a_client_that_ignores_the_challenge_can_be_refused(accounts: Accounts, kms: Kms) -> None:
    strict = dataclasses.replace(FAST, require_kms_challenge=True)
    async with World(agent=strict, accounts=accounts) as world:
        client = await shell(world, kmsKeyId=KEY_ID)
        await ask(client)
        await answer(client)
        assert "does not support required encryption context random challenge" in (await end(client)).reason


@asynchronous
async def test_a_wrong_proof_is_not_acknowledged_and_waited_for(accounts: Accounts, kms: Kms) -> None:
    async with World(agent=dataclasses.replace(FAST, handshake=0.3), accounts=accounts) as world:
        client = await shell(world, kmsKeyId=KEY_ID)
        await ask(client)
        await answer(client)
        await client.in_order()
        wrong = json.dumps({"Challenge": base64.b64encode(sealed(bytes(64))).decode()})
        await client.send(wrong.encode(), payload_type=am.P_ENC_CHALLENGE_RESPONSE)
        assert "Timed out waiting for encryption challenge." in (await end(client)).reason


@asynchronous
async def test_a_port_session_is_never_encrypted(kms: Kms) -> None:
    async with World() as world:
        content = {"sessionType": "Port", "properties": {"portNumber": "22"}, "inputs": {"kmsKeyId": KEY_ID}}
        client = await world.session(document_content=content)
        request = json.loads((await client.in_order()).payload)
        assert [action["ActionType"] for action in request["RequestedClientActions"]] == ["SessionType"]


def test_what_does_not_decrypt_is_an_error() -> None:
    cipher = Cipher(KEY)
    for data in (b"", b"short", bytes(40)):
        with pytest.raises(ValueError, match="Error decrypting"):
            cipher.decrypt(data)
    with pytest.raises(ValueError, match="64 bytes"):
        Cipher(KEY[:32])
