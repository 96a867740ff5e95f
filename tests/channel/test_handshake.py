from __future__ import annotations

import json

import pytest

from ssm_ssh.channel import handshake
from ssm_ssh.channel.handshake import (
    answer,
    closing_reason,
    customer_message,
    exit_code,
    json_object,
    open_request,
    requested_key,
    size_payload,
)
from ssm_ssh.channel.limits import ACTIONS, JSON_PAYLOAD
from ssm_ssh.errors import AgentTooOld, ProtocolError

PORT = {"ActionType": "SessionType", "ActionParameters": {"SessionType": "Port", "Properties": {"portNumber": "22"}}}
KMS = {"ActionType": "KMSEncryption", "ActionParameters": {"KMSKeyId": "arn:aws:kms:x", "Challenge": "eHg="}}


def request(*actions: object) -> bytes:
    return json.dumps({"AgentVersion": "3.3.0.0", "RequestedClientActions": list(actions)}).encode()


def test_a_port_session_succeeds_with_the_recorded_words() -> None:
    reply = answer(request(PORT), "1.2.764.0")
    assert reply.refused is None
    assert reply.agent_version == "3.3.0.0"
    assert reply.response == (
        b'{"ClientVersion":"1.2.764.0","ProcessedClientActions":[{"ActionType":"SessionType","ActionStatus":1,'
        b'"ActionResult":null,"Error":""}],"Errors":null}'
    )


def test_kms_encryption_is_refused() -> None:
    reply = answer(request(PORT, KMS), "1.2.764.0")
    assert isinstance(reply.refused, ProtocolError)
    assert "KMS" in reply.refused.sentence()
    response = json.loads(reply.response)
    assert [action["ActionStatus"] for action in response["ProcessedClientActions"]] == [1, 2]
    assert response["Errors"] == [response["ProcessedClientActions"][1]["Error"]]
    assert "arn:aws" not in reply.response.decode()


def test_an_unknown_action_is_unsupported() -> None:
    reply = answer(request(PORT, {"ActionType": "Teleport\r\n\x1b[2J"}), "1.2.764.0")
    action = json.loads(reply.response)["ProcessedClientActions"][1]
    assert action["ActionStatus"] == 3
    assert action["ActionType"] == "Teleport [2J"
    assert isinstance(reply.refused, ProtocolError)


@pytest.mark.parametrize(
    "parameters", [{"SessionType": "Standard_Stream"}, {}, None, "Port", {"SessionType": ["Port"]}]
)
def test_another_session_type_fails(parameters: object) -> None:
    reply = answer(request({"ActionType": "SessionType", "ActionParameters": parameters}), "1.2.764.0")
    assert json.loads(reply.response)["ProcessedClientActions"][0]["ActionStatus"] == 2
    assert reply.refused is not None


@pytest.mark.parametrize("kind", [handshake.PORT, handshake.SHELL, handshake.INTERACTIVE, handshake.NONINTERACTIVE])
@pytest.mark.parametrize("properties", [{"type": "LocalPortForwarding"}, None, [], "x"])
def test_the_caller_says_which_session_types_succeed(kind: str, properties: object) -> None:
    parameters = {"SessionType": kind, "Properties": properties}
    reply = answer(request({"ActionType": "SessionType", "ActionParameters": parameters}), "1.2.764.0", (kind,))
    assert reply.refused is None
    assert reply.session_type == kind
    assert reply.properties == (properties if isinstance(properties, dict) else {})


@pytest.mark.parametrize(
    ("version", "accepted"),
    [("3.1.1511.0", True), ("3.1.1511", True), ("3.2.0.0", True), ("3.1.1374.0", False), ("", False), ("x.y", False)],
)
def test_an_agent_that_is_too_old_is_refused_before_it_begins(version: str, accepted: bool) -> None:
    payload = json.loads(request(PORT))
    payload["AgentVersion"] = version
    reply = answer(json.dumps(payload).encode(), "1.2.764.0", least_agent="3.1.1511.0")
    assert (reply.refused is None) == accepted
    assert accepted or isinstance(reply.refused, AgentTooOld)
    assert json.loads(reply.response)["ProcessedClientActions"][0]["ActionStatus"] == (1 if accepted else 2)


def test_the_wanted_session_types_are_named() -> None:
    allowed = (handshake.INTERACTIVE, handshake.NONINTERACTIVE)
    reply = answer(request(PORT), "1.2.764.0", allowed)
    assert reply.refused is not None
    assert reply.refused.message == "The session is of type Port, not InteractiveCommands or NonInteractiveCommands"
    assert (reply.session_type, reply.properties) == ("", {})


def test_an_ssh_connection_names_its_document() -> None:
    parameters = {"SessionType": "Standard_Stream"}
    reply = answer(request({"ActionType": "SessionType", "ActionParameters": parameters}), "1.2.764.0")
    assert reply.refused is not None
    assert reply.refused.sentence() == (
        "The session is of type Standard_Stream, not Port. "
        "The session document must be AWS-StartSSHSession, or one of the same type"
    )


@pytest.mark.parametrize(
    ("payload", "code"),
    [
        (b"EXIT_CODE: 0", 0),
        (b"EXIT_CODE: 3", 3),
        (b"EXIT_CODE: -1", -1),
        (b"EXIT_CODE:255\n", 255),
        (b"7", 7),
        (b"", None),
        (b"-", None),
        (b"--1", None),
        (b"EXIT_CODE: x", None),
        (b"EXIT_CODE: 1 2", None),
        (b"1" * 11, None),
        ("\u0663".encode(), None),
    ],
)
def test_exit_codes(payload: bytes, code: int | None) -> None:
    assert exit_code(payload) == code


def test_a_size_is_what_the_official_client_sends() -> None:
    assert size_payload(80, 24) == b'{"cols":80,"rows":24}'


def test_the_first_refusal_is_the_one_that_is_told() -> None:
    reply = answer(request(KMS, {"ActionType": "Other"}), "1.2.764.0")
    assert reply.refused is not None
    assert "KMS" in reply.refused.message


@pytest.mark.parametrize("actions", [None, []])
def test_a_request_without_actions_is_answered(actions: object) -> None:
    reply = answer(json.dumps({"AgentVersion": "3", "RequestedClientActions": actions}).encode(), "1.2.764.0")
    assert reply.refused is None
    assert json.loads(reply.response)["ProcessedClientActions"] == []


@pytest.mark.parametrize(
    "payload",
    [
        b"",
        b"[]",
        b"null",
        b"\xff\xfe\x00",
        b"{" * 5000,
        b"[" * 60_000,
        b'{"a":' * 12_000,
        b'{"RequestedClientActions":7}',
        b'{"RequestedClientActions":[7]}',
        b'{"RequestedClientActions":[' + b"{}," * ACTIONS + b"{}]}",
        b'{"AgentVersion":' + b"9" * 10_000 + b"}",
        b" " * JSON_PAYLOAD + b"{}",
    ],
)
def test_what_is_no_request_breaks_the_protocol(payload: bytes) -> None:
    with pytest.raises(ProtocolError):
        answer(payload, "1.2.764.0")


def test_an_agent_version_is_printable_and_short() -> None:
    reply = answer(json.dumps({"AgentVersion": "3\n" + "9" * 100}).encode(), "1.2.764.0")
    assert len(reply.agent_version) <= 32
    assert reply.agent_version.isprintable()


@pytest.mark.parametrize(("read", "key"), [(customer_message, "CustomerMessage"), (closing_reason, "Output")])
def test_texts_for_the_user_are_one_printable_line(read, key: str) -> None:  # noqa: ANN001
    assert read(json.dumps({key: "Hello\r\n\x1b]0;world\x9b"}).encode()) == "Hello ]0;world"
    assert read(json.dumps({key: ""}).encode()) == ""
    assert read(json.dumps({key: 5}).encode()) == ""
    assert read(b"{}") == ""
    assert read(b"not json") == ""


def test_a_json_object_is_taken_up_to_the_bound() -> None:
    payload = b'{"a":1}'.ljust(JSON_PAYLOAD)
    assert json_object(payload) == {"a": 1}


def test_the_opening_frame_has_the_fields_of_the_official_client_in_order() -> None:
    assert open_request("TOKEN", "REQUEST", "CLIENT", "1.2.764.0") == (
        '{"MessageSchemaVersion":"1.0","RequestId":"REQUEST","TokenValue":"TOKEN","ClientId":"CLIENT",'
        '"ClientVersion":"1.2.764.0"}'
    )


def test_a_data_key_is_asked_for_by_its_action_alone() -> None:
    assert requested_key(request(PORT, "KMSEncryption", {})) is None
    assert requested_key(b'{"RequestedClientActions": "KMSEncryption"}') is None
