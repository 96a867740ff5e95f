from __future__ import annotations

import itertools
from typing import TYPE_CHECKING

import botocore.session
import pytest
from botocore.validate import ParamValidator

from ssm_ssh.aws.services.run_command import CommandOutput, run_document, run_script
from ssm_ssh.errors import (
    AccessDenied,
    AwsError,
    CommandFailed,
    CommandTimedOut,
    ProtocolError,
    SsmSshError,
    TargetNotConnected,
    UsageError,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from conftest import Calls, FakeAws

MODEL = botocore.session.Session().get_service_model("ssm")
INSTANCE = "i-0123456789abcdef0"
SENT = {"Command": {"CommandId": "11111111-2222-3333-4444-555555555555"}}


def invocation(status: str, code: int = 0, stdout: str = "", stderr: str = "", **more: object) -> dict[str, object]:
    return {
        "Status": status,
        "StatusDetails": status,
        "ResponseCode": code,
        "StandardOutputContent": stdout,
        "StandardErrorContent": stderr,
        **more,
    }


class World:
    """A scripted AWS, and a clock that only sleeping moves."""

    def __init__(self, calls: Calls, aws: FakeAws, answer: Callable[..., bytes], refuse: Callable[..., bytes]) -> None:
        self.calls, self.aws, self.answer, self.refuse = calls, aws, answer, refuse
        self.now = 0.0
        self.pauses: list[float] = []

    def sleep(self, seconds: float) -> None:
        self.pauses.append(seconds)
        self.now += seconds

    def run(self, script: str = "id", timeout: float = 60.0, **more: str) -> CommandOutput:
        return run_script(
            self.calls.api, INSTANCE, script, timeout=timeout, sleep=self.sleep, clock=lambda: self.now, **more
        )

    @property
    def operations(self) -> list[str]:
        return [request.operation for request in self.aws.requests]


@pytest.fixture
def world(calls: Calls, aws: FakeAws, answer: Callable[..., bytes], refuse: Callable[..., bytes]) -> World:
    return World(calls, aws, answer, refuse)


def valid(operation: str, payload: dict[str, object]) -> bool:
    return not ParamValidator().validate(payload, MODEL.operation_model(operation).input_shape).has_errors()


def test_a_script_is_sent_and_its_output_awaited(world: World) -> None:
    world.aws.answers = [
        world.answer(200, SENT),
        world.answer(200, invocation("Pending", -1)),
        world.answer(200, invocation("InProgress", -1)),
        world.answer(200, invocation("Success", 0, "out\n", "err\n")),
    ]
    assert world.run("echo out\n", comment="for\tssh") == CommandOutput(0, "out\n", "err\n")
    assert [request.operation for request in world.aws.requests] == ["SendCommand", *["GetCommandInvocation"] * 3]
    assert world.aws.requests[0].payload == {
        "InstanceIds": [INSTANCE],
        "DocumentName": "AWS-RunShellScript",
        "Parameters": {"commands": ["echo out\n"], "executionTimeout": ["60"]},
        "TimeoutSeconds": 60,
        "Comment": "for ssh",
    }
    assert valid("SendCommand", world.aws.requests[0].payload)
    assert valid("GetCommandInvocation", world.aws.requests[1].payload)
    assert world.pauses == sorted(world.pauses)


def test_a_document_of_ones_own_gets_its_parameters(world: World) -> None:
    world.aws.answers = [world.answer(200, SENT), world.answer(200, invocation("Success"))]
    run_document(world.calls.api, INSTANCE, "Ssm-Ssh", {"Data": "eA=="}, timeout=9.2, sleep=lambda _: None)
    payload = world.aws.requests[0].payload
    assert (payload["DocumentName"], payload["Parameters"]) == ("Ssm-Ssh", {"Data": ["eA=="]})
    assert payload["TimeoutSeconds"] == 30
    assert valid("SendCommand", payload)


@pytest.mark.parametrize("suffix", ["", "Exception"])
def test_an_invocation_need_not_exist_at_first(world: World, suffix: str) -> None:
    world.aws.answers = [
        world.answer(200, SENT),
        world.refuse("InvocationDoesNotExist" + suffix),
        world.refuse("InvocationDoesNotExist" + suffix),
        world.answer(200, invocation("Success", 0, "x")),
    ]
    assert world.run().stdout == "x"


def test_questions_survive_throttling_and_a_service_in_trouble(world: World) -> None:
    tries = world.calls.api.settings.max_attempts
    world.aws.answers = [
        world.answer(200, SENT),
        *[world.refuse("ThrottlingException")] * tries,
        *[world.refuse("InternalServerError", status=500)] * tries,
        world.answer(200, invocation("Success", 0, "x")),
    ]
    assert world.run().stdout == "x"
    assert sum(request.operation == "SendCommand" for request in world.aws.requests) == 1


def test_a_command_is_never_sent_twice(world: World) -> None:
    world.aws.answers = [
        world.refuse("InternalServerError", status=500),
        world.refuse("InternalServerError", status=500),
    ]
    with pytest.raises(AwsError):
        world.run()
    assert len(world.aws.requests) == 1


def test_a_failed_script_is_an_answer(world: World) -> None:
    world.aws.answers = [world.answer(200, SENT), world.answer(200, invocation("Failed", 3, "o", "e"))]
    assert world.run() == CommandOutput(3, "o", "e")


@pytest.mark.parametrize(
    ("found", "kind", "words"),
    [
        (invocation("Failed", -1, StatusDetails="Undeliverable"), CommandFailed, "Undeliverable"),
        (invocation("Cancelled", -1), CommandFailed, "Cancelled"),
        (invocation("TimedOut", -1, StatusDetails="DeliveryTimedOut"), CommandTimedOut, "DeliveryTimedOut"),
        (invocation("Failed", -1, stderr="no\x1b[31m shell\r\n"), CommandFailed, "no [31m shell"),
        ({}, CommandFailed, "ended as"),
        ({"Status": ["Success"], "ResponseCode": "0"}, CommandFailed, "ended as"),
    ],
)
def test_a_command_that_never_ran_is_an_error(
    world: World,
    found: dict[str, object],
    kind: type[SsmSshError],
    words: str,
) -> None:
    world.aws.answers = [world.answer(200, SENT), world.answer(200, found)]
    with pytest.raises(kind) as error:
        world.run()
    assert words in error.value.sentence()
    assert isinstance(error.value, CommandTimedOut) == (kind is CommandTimedOut)


def test_waiting_ends(world: World) -> None:
    world.aws.answers = [
        world.answer(200, SENT),
        *itertools.repeat(world.answer(200, invocation("InProgress", -1)), 200),
    ]
    with pytest.raises(CommandTimedOut, match="within 20 seconds"):
        world.run(timeout=20)
    assert 15 < world.now <= 20


@pytest.mark.parametrize(
    ("code", "kind"), [("AccessDeniedException", AccessDenied), ("InvalidInstanceId", TargetNotConnected)]
)
def test_a_refusal_is_what_aws_said(
    world: World,
    code: str,
    kind: type[AwsError],
) -> None:
    world.aws.answers = [world.refuse(code, "no")]
    with pytest.raises(kind):
        world.run()


def test_a_denied_question_ends_the_waiting(world: World) -> None:
    world.aws.answers = [world.answer(200, SENT), world.refuse("AccessDeniedException", "no")]
    with pytest.raises(AccessDenied):
        world.run()


@pytest.mark.parametrize("found", [{}, {"Command": None}, {"Command": {"CommandId": 3}}])
def test_an_answer_without_an_id(world: World, found: object) -> None:
    world.aws.answers = [world.answer(200, found)]
    with pytest.raises(ProtocolError):
        world.run()


def test_nothing_that_systems_manager_would_replace_is_sent(world: World) -> None:
    with pytest.raises(UsageError):
        world.run("echo {{ssm:/secret}}")
    with pytest.raises(UsageError):
        run_document(world.calls.api, INSTANCE, "no name", {}, timeout=5)
    assert not world.aws.requests
