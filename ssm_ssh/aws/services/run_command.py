"""Systems Manager's Run Command: a script on one instance, run as its root, and what it wrote.

https://docs.aws.amazon.com/systems-manager/latest/APIReference/API_SendCommand.html
https://docs.aws.amazon.com/systems-manager/latest/APIReference/API_GetCommandInvocation.html
"""

from __future__ import annotations

import math
import time
from typing import TYPE_CHECKING, Any, NamedTuple

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
from ssm_ssh.text import printable

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

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
    """What a script that ran to its end left: its exit status, and the beginning of what it wrote.

    AWS keeps 24,000 characters of stdout and 8,000 of stderr. All of it is the instance's own word.
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
    """Run `script` by sh as root on `instance_id`, for at most `timeout` seconds, and return what came of it.

    Raises UsageError for a script that holds `{{`, which Systems Manager would replace; else what run_document raises.
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
    """Run the Command document `document` on `instance_id` and return what its one step left.

    `timeout` is in seconds, from now until the end has been heard of. Raises CommandTimedOut when that is later,
    CommandFailed when the command never ran or was cut off, UsageError, and what Api.call raises (AccessDenied,
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
    command = answer.get("Command")
    command_id = command.get("CommandId") if isinstance(command, dict) else None
    if not isinstance(command_id, str) or not command_id:
        raise ProtocolError("SendCommand's answer lacks the command's id", "Check the endpoint URL")
    pause = _FIRST_PAUSE
    while clock() + pause < deadline:
        sleep(pause)
        pause = min(_LONGEST_PAUSE, pause * _GROWTH)
        invocation = _ask(api, command_id, instance_id, time.monotonic() + deadline - clock())
        if invocation is not None and _text(invocation, "Status") not in _RUNNING:
            return _output(invocation, instance_id)
    raise CommandTimedOut(
        f"the command on {instance_id} has not ended within {timeout:.0f} seconds",
        "Is the instance busy, or its SSM Agent? Try again in a minute",
    )


def _payload(
    instance_id: str, document: str, parameters: Mapping[str, str], timeout: float, comment: str
) -> dict[str, Any]:
    if not names.is_document(document):
        raise UsageError(f"'{document[:80]}' is not the name of a command document", names.DOCUMENT_HINT)
    if any("{{" in value for value in parameters.values()):
        raise UsageError("a command's parameter holds {{, which Systems Manager would replace", "Leave it out")
    payload: dict[str, Any] = {
        "InstanceIds": [instance_id],
        "DocumentName": document,
        "Parameters": {name: [value] for name, value in parameters.items()},
        "TimeoutSeconds": max(_SHORTEST_DELIVERY, math.ceil(timeout)),
    }
    if said := printable(comment, _LONGEST_COMMENT):
        payload["Comment"] = said
    return payload


def _ask(api: Api, command_id: str, instance_id: str, deadline: float) -> dict[str, Any] | None:
    """Return the invocation as it is now; None where AWS cannot tell at the moment."""
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
        api.say(f"not told about the command: {error}")
    except AwsError as error:
        if error.code.partition("Exception")[0] != _NOT_YET and error.status < 500:
            raise
    return None


def _output(invocation: dict[str, Any], instance_id: str) -> CommandOutput:
    status = _text(invocation, "Status")
    code = invocation.get("ResponseCode")
    details = _text(invocation, "StatusDetails") or status
    stderr = _text(invocation, "StandardErrorContent")
    # A script that ended by itself: its own status counts, -1 is for one that did not (or could not be started).
    if status in ("Success", "Failed") and isinstance(code, int) and code >= 0:
        return CommandOutput(code, _text(invocation, "StandardOutputContent"), stderr)
    said = printable(stderr, 160)
    about = f"the command on {instance_id} ended as {printable(details, 40)}" + (f": {said}" if said else "")
    if status == "TimedOut":
        raise CommandTimedOut(about, "Is its SSM Agent running, and the instance not overloaded? Try again in a minute")
    raise CommandFailed(about, "Look at it in the console: Systems Manager, Run Command, Command history")


def _text(values: dict[str, Any], name: str) -> str:
    value = values.get(name)
    return value if isinstance(value, str) else ""
