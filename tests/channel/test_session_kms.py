"""A channel that is encrypted by KMS: the recorded sessions replayed, refusals, and what breaks the rules."""

from __future__ import annotations

import json
from base64 import b64decode

import pytest

from ssm_ssh.channel import message as wire
from ssm_ssh.channel.encryption import DataKey, halves
from ssm_ssh.channel.events import Established, Event, ExitCode, KeyRequest, Notice, Output, Refused, StdErr
from ssm_ssh.channel.handshake import NONINTERACTIVE, PORT, SHELL
from ssm_ssh.channel.session import Channel
from ssm_ssh.errors import ProtocolError, UsageError
from tests.channel.test_encryption import Aes, counter
from tests.channel.vectors import binary, data_key, recorded

BLOB = b"the encrypted data key"

# Where this client deliberately differs from the official one, and why.
DIFFERENCES = {
    "the challenge is acknowledged": "agents with RequireKMSChallengeResponse refuse a client that ignores it",
    "no KMSCipherTextHash": "the agent does not read it",
}


class Session:
    """A channel that replays what the agent sent, and the key that its session had."""

    def __init__(self, name: str, session_type: str, *, encryption: bool = True) -> None:
        self.channel = Channel(
            client_id="c", epoch=0.0, session_types=(session_type,), encryption=encryption, random_bits=counter()
        )
        self.name = name
        self.key = data_key(name)
        self.events: list[Event] = []
        self.sent: list[wire.Message] = []
        self.channel.connected(0.0)

    def replay(self, *, until: int = 99) -> None:
        """Receive the agent's frames, up to the first of payload type `until`."""
        for row in binary(self.name):
            if row.sender == "agent" and row.receiver == "client":
                if row.fields["payload_type"] == until:
                    return
                events = self.channel.receive(row.frame, row.at)
                self.events += events
                for event in events:
                    if isinstance(event, KeyRequest):
                        self.give_key(event)
                self.turn(row.at)

    def give_key(self, request: KeyRequest) -> None:
        first, second = halves(self.key)
        self.channel.use_key(DataKey(BLOB, Aes(first), Aes(second), counter()), request.challenge)

    def turn(self, now: float) -> None:
        messages = map(wire.decode, self.channel.frames(now, 1 << 20))
        self.sent += [message for message in messages if message.message_type == wire.INPUT]

    def payloads(self, kind: int) -> list[bytes]:
        return [message.payload for message in self.sent if message.payload_type == kind]

    def events_of(self, kind: type) -> list[Event]:
        return [event for event in self.events if isinstance(event, kind)]


def opened(name: str, kind: int) -> bytes:
    """What the recorded agent sent as payloads of this type, decrypted."""
    cipher = Aes(halves(data_key(name))[0])
    rows = {row.fields["sequence_number"]: row for row in binary(name) if row.sender == "agent"}
    payloads = [row.frame[120:] for row in rows.values() if row.fields["payload_type"] == kind]
    return b"".join(cipher.open(payload[:12], payload[12:]) for payload in payloads)


def asked(name: str) -> tuple[str, str]:
    row = next(row for row in binary(name) if row.fields["payload_type"] == wire.HANDSHAKE_REQUEST)
    parameters = json.loads(row.frame[120:])["RequestedClientActions"][1]["ActionParameters"]
    return parameters["KMSKeyId"], parameters["Challenge"]


@pytest.mark.parametrize(
    ("name", "session_type"), [("shell-kms", SHELL), ("noninteractive-command-kms", NONINTERACTIVE)]
)
def test_the_recorded_agent_is_understood(name: str, session_type: str) -> None:
    session = Session(name, session_type)
    session.replay()
    key_id, challenge = asked(name)
    assert session.events_of(KeyRequest) == [KeyRequest(key_id, challenge)]
    assert len(session.events_of(Established)) == 1
    assert session.events_of(Notice) == [Notice("This session is encrypted using AWS KMS.")]
    output = b"".join(event.data for event in session.events if isinstance(event, Output))
    assert output == opened(name, wire.STREAM)
    errors = b"".join(event.data for event in session.events if isinstance(event, StdErr))
    assert errors == opened(name, wire.STDERR)


def test_a_command_tells_its_exit_code_encrypted() -> None:
    session = Session("noninteractive-command-kms", NONINTERACTIVE)
    session.replay()
    assert opened(session.name, wire.EXIT_CODE).startswith(b"EXIT_CODE:")
    assert len(session.events_of(ExitCode)) == 1


def test_the_handshake_goes_through_the_recorded_payload_types() -> None:
    session = Session("shell-kms", SHELL)
    session.replay(until=wire.STREAM)
    official = [
        row.fields["payload_type"]
        for row in binary("shell-kms")
        if row.sender == "client" and row.fields["payload_type"] in (wire.HANDSHAKE_RESPONSE, 9)
    ]
    assert [message.payload_type for message in session.sent] == list(dict.fromkeys(official))
    (response,) = session.payloads(wire.HANDSHAKE_RESPONSE)
    (_, action) = json.loads(response)["ProcessedClientActions"]
    assert action["ActionStatus"] == 1
    assert b64decode(action["ActionResult"]["KMSCipherTextKey"]) == BLOB
    assert action["ActionResult"]["ChallengeAcknowledgement"] is True
    assert "KMSCipherTextHash" not in action["ActionResult"]
    assert len(DIFFERENCES) == 2


def test_the_challenge_is_answered_with_the_agents_own_words() -> None:
    session = Session("shell-kms", SHELL)
    session.replay(until=wire.STREAM)
    (answer,) = session.payloads(wire.ENC_CHALLENGE_RESPONSE)
    first, second = halves(session.key)
    request = next(row for row in binary("shell-kms") if row.fields["payload_type"] == wire.ENC_CHALLENGE_REQUEST)
    theirs, ours = (b64decode(json.loads(text)["Challenge"]) for text in (request.frame[120:], answer))
    assert Aes(second).open(ours[:12], ours[12:]) == Aes(first).open(theirs[:12], theirs[12:])


def test_keys_probes_and_pastes_are_encrypted_and_the_size_is_not() -> None:
    session = Session("shell-kms", SHELL)
    session.replay()
    before = len(session.sent)
    session.channel.resize(80, 24)
    session.channel.send(b"x" * 1500, 9.0)
    session.channel.probe()
    session.turn(9.0)
    cipher = Aes(halves(session.key)[1])
    opened = [
        message.payload
        if message.payload_type == wire.SIZE
        else cipher.open(message.payload[:12], message.payload[12:])
        for message in session.sent[before:]
    ]
    assert sorted(opened) == sorted([b'{"cols":80,"rows":24}', b"x" * 1024, b"x" * 476, b""])


def test_nothing_is_sent_and_no_session_is_established_before_there_is_a_key() -> None:
    session = Session("shell-kms", SHELL)
    rows = [row for row in binary("shell-kms") if row.sender == "agent" and row.receiver == "client"]
    events = session.channel.receive(rows[0].frame, 0.0)
    assert [type(event) for event in events] == [KeyRequest]
    session.channel.send(b"secret", 0.0)
    complete = wire.encode(
        wire.OUTPUT, sequence=1, flags=0, message_id=bytes(16), payload_type=7, payload=b"{}", created=0
    )
    assert session.channel.receive(complete, 0.1) == []
    for sequence, kind in enumerate((wire.STREAM, wire.STDERR, wire.EXIT_CODE), 2):
        clear = wire.encode(
            wire.OUTPUT, sequence=sequence, flags=0, message_id=bytes(16), payload_type=kind, payload=b"1", created=0
        )
        assert session.channel.receive(clear, 0.1) == []
    session.turn(5.0)
    assert session.sent == []
    assert not session.channel.established


def test_without_a_key_the_agent_is_told_why() -> None:
    session = Session("shell-kms", SHELL)
    rows = [row for row in binary("shell-kms") if row.sender == "agent" and row.receiver == "client"]
    session.channel.receive(rows[0].frame, 0.0)
    session.channel.refuse_key(UsageError("the key belongs to another account"))
    session.turn(0.1)
    (response,) = session.payloads(wire.HANDSHAKE_RESPONSE)
    statuses = [action["ActionStatus"] for action in json.loads(response)["ProcessedClientActions"]]
    assert statuses == [1, 2]
    assert json.loads(response)["Errors"] == ["the key belongs to another account"]
    assert session.channel.room() == 0


def test_a_session_of_the_wrong_type_asks_for_no_key() -> None:
    session = Session("shell-kms", PORT)
    session.replay()
    assert session.events_of(KeyRequest) == []
    assert len(session.events_of(Refused)) == 1


def test_a_request_without_a_usable_key_is_refused() -> None:
    session = Session("shell-kms", SHELL)
    request = {"RequestedClientActions": [{"ActionType": "KMSEncryption", "ActionParameters": {}}]}
    frame = wire.encode(
        wire.OUTPUT,
        sequence=0,
        flags=1,
        message_id=bytes(16),
        payload_type=wire.HANDSHAKE_REQUEST,
        payload=json.dumps(request).encode(),
        created=0,
    )
    events = session.channel.receive(frame, 0.0)
    assert [type(event) for event in events] == [Refused]


def test_plain_output_in_an_encrypted_session_ends_it() -> None:
    session = Session("shell-kms", SHELL)
    session.replay(until=wire.STREAM)
    frame = wire.encode(
        wire.OUTPUT,
        sequence=session.channel.received,
        flags=0,
        message_id=bytes(16),
        payload_type=wire.STREAM,
        payload=b"not encrypted, so not from the agent",
        created=0,
    )
    with pytest.raises(ProtocolError):
        session.channel.receive(frame, 1.0)


def test_the_recording_has_its_key() -> None:
    assert recorded("shell-kms")
    assert len(data_key("shell-kms")) == 64
