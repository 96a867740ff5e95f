"""Systems Manager's Run Command: run a script as root on one instance and return its output.

https://docs.aws.amazon.com/systems-manager/latest/APIReference/API_SendCommand.html
https://docs.aws.amazon.com/systems-manager/latest/APIReference/API_GetCommandInvocation.html
"""

from __future__ import annotations

import math
import time

from ssm_ssh import names
from ssm_ssh.errors import (
    AwsError,
    CommandFailed,
    CommandTimedOut,
    NetworkError,
    NotTrusted,
    ProtocolError,
    ProxyRefused,
    Throttled,
    UsageError,
)
from ssm_ssh.startup import TYPE_CHECKING, NamedTuple
from ssm_ssh.text import printable
from ssm_ssh.values import object_member, text_member

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import Any

    from ssm_ssh.aws.api.client import Api

SHELL_DOCUMENT = "AWS-RunShellScript"
# The limits of SendCommand's model: seconds until an agent must have taken the command, and the
# comment that the audit trail shows.
_SHORTEST_DELIVERY = 30
_LONGEST_COMMENT = 100
# Seconds between two questions. A command takes one to three seconds, seldom half a minute, and the rate of the
# account's calls is not known: soon at first, then ever more slowly.
_FIRST_PAUSE, _LONGEST_PAUSE, _GROWTH = 0.3, 3.0, 1.4
_RUNNING = frozenset({"Pending", "InProgress", "Delayed", "Cancelling"})
_NOT_YET = "InvocationDoesNotExist"


class CommandOutput(NamedTuple):
    """The exit status of a script that ran to its end, and the beginning of its output.

    AWS keeps 24,000 characters of stdout and 8,000 of stderr. None of it can be trusted more than the instance.
    """

    exit_code: int
    stdout: str
    stderr: str


def run_script(
    api: Api,
    instance_id: str,
    script: str,
    *,
    timeout: float,
    comment: str = "",
    sleep: Callable[[float], None] = time.sleep,
    clock: Callable[[], float] = time.monotonic,
) -> CommandOutput:
    """Run `script` with sh as root on `instance_id`, for at most `timeout` seconds, and return its output.

    Raises UsageError for a script that contains `{{`, which Systems Manager would replace, and what run_document
    raises.
    """
    parameters = {"commands": script, "executionTimeout": str(max(1, math.ceil(timeout)))}
    return run_document(
        api, instance_id, SHELL_DOCUMENT, parameters, timeout=timeout, comment=comment, sleep=sleep, clock=clock
    )


def run_document(
    api: Api,
    instance_id: str,
    document: str,
    parameters: Mapping[str, str],
    *,
    timeout: float,
    comment: str = "",
    sleep: Callable[[float], None] = time.sleep,
    clock: Callable[[], float] = time.monotonic,
) -> CommandOutput:
    """Run the Command document `document` on `instance_id` and return the output of its only step.

    `timeout` is in seconds and includes learning of the end. Raises CommandTimedOut when it passes, CommandFailed
    when the command never ran or was cut off, UsageError, and what Api.call raises (AccessDenied,
    TargetNotConnected, Throttled, ...). The command is sent once: a lost answer is an error, not a second command.
    """
    deadline = clock() + timeout
    answer = api.call(
        "ssm",
        "SendCommand",
        _payload(instance_id, document, parameters, timeout, comment),
        target=instance_id,
        deadline=time.monotonic() + timeout,
        repeatable=False,
    )
    command_id = text_member(object_member(answer, "Command"), "CommandId")
    if not command_id:
        raise ProtocolError("the answer to SendCommand has no CommandId", "Check the endpoint URL")
    pause = _FIRST_PAUSE
    while clock() + pause < deadline:
        sleep(pause)
        pause = min(_LONGEST_PAUSE, pause * _GROWTH)
        invocation = _poll(api, command_id, instance_id, time.monotonic() + deadline - clock())
        if invocation is not None and text_member(invocation, "Status") not in _RUNNING:
            return _output(invocation, instance_id)
    raise CommandTimedOut(
        f"the command on {instance_id} has not ended within {timeout:.0f} seconds",
        "Check whether the instance or its SSM Agent is busy, and try again in a minute",
    )


def _payload(
    instance_id: str, document: str, parameters: Mapping[str, str], timeout: float, comment: str
) -> dict[str, Any]:
    if not names.is_document(document):
        raise UsageError(f"'{document[:80]}' is not the name of a command document", names.DOCUMENT_HINT)
    if any("{{" in value for value in parameters.values()):
        raise UsageError("a parameter of the command contains {{, which Systems Manager would replace", "Remove it")
    payload: dict[str, Any] = {
        "InstanceIds": [instance_id],
        "DocumentName": document,
        "Parameters": {name: [value] for name, value in parameters.items()},
        "TimeoutSeconds": max(_SHORTEST_DELIVERY, math.ceil(timeout)),
    }
    if comment := printable(comment, _LONGEST_COMMENT):
        payload["Comment"] = comment
    return payload


def _poll(api: Api, command_id: str, instance_id: str, deadline: float) -> dict[str, Any] | None:
    """Return the current invocation; None where AWS cannot tell at the moment."""
    try:
        return api.call(
            "ssm",
            "GetCommandInvocation",
            {"CommandId": command_id, "InstanceId": instance_id},
            target=instance_id,
            deadline=deadline,
        )
    except (NotTrusted, ProxyRefused) as error:
        error.unsent = False  # the command was sent
        raise
    except (NetworkError, Throttled) as error:
        api.log(f"the state of the command is unknown: {error}")
    except AwsError as error:
        if error.code.partition("Exception")[0] != _NOT_YET and error.status < 500:
            raise
    return None


def _output(invocation: dict[str, Any], instance_id: str) -> CommandOutput:
    status = text_member(invocation, "Status")
    code = invocation.get("ResponseCode")
    details = text_member(invocation, "StatusDetails") or status
    stderr = text_member(invocation, "StandardErrorContent")
    # AWS reports -1 for a script that did not start or did not end by itself.
    if status in ("Success", "Failed") and isinstance(code, int) and code >= 0:
        return CommandOutput(code, text_member(invocation, "StandardOutputContent"), stderr)
    reason = printable(stderr, 160)
    message = f"the command on {instance_id} ended as {printable(details, 40)}" + (f": {reason}" if reason else "")
    if status == "TimedOut":
        raise CommandTimedOut(
            message, "Check that its SSM Agent runs and the instance is not overloaded, and try again in a minute"
        )
    raise CommandFailed(message, "See the Systems Manager console: Run Command, Command history")
