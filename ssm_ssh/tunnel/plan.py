"""What a connection would call, in words: for --dry-run, without calling anything."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from ssm_ssh.aws.config.endpoints import resolve
from ssm_ssh.aws.services.instance_connect import push_payload
from ssm_ssh.aws.services.run_command import SHELL_DOCUMENT
from ssm_ssh.aws.services.sessions import start_payload
from ssm_ssh.text import printable
from ssm_ssh.tunnel.destination import SSH_DOCUMENT, session_parameters

if TYPE_CHECKING:
    from ssm_ssh.aws.config.settings import AwsSettings
    from ssm_ssh.target import Target

# A key of the length that ours has, so that the limits of EC2 Instance Connect are checked as they would be.
_SOME_KEY = "ssh-ed25519 " + "A" * 68


def describe(
    settings: AwsSettings,
    target: Target,
    *,
    document: str = SSH_DOCUMENT,
    way: str = "eic",
    push_document: str = SHELL_DOCUMENT,
) -> list[str]:
    """Return one printable line for each call that connecting to `target` makes: operation, host, parameters.

    Calls that depend on what is found say on what. `way`: how the key gets there: eic, send-command, none, with
    `push_document` as the command document. Needs no credentials and shows none. Raises UsageError for whatever the
    real calls would refuse before they are sent.
    """
    start = start_payload(target.instance_id, document, session_parameters(target.port))
    lines = [f"profile {settings.profile_name}, region {settings.region}"]
    if way == "eic":
        parameters = push_payload(target, _SOME_KEY) | {"SSHPublicKey": "(our public key)"}
        lines.append(_call(settings, "ec2-instance-connect", "SendSSHPublicKey", parameters))
    elif way == "send-command":
        lines.append(_command(settings, target, push_document, "(puts our public key in place)"))
    lines.append(_call(settings, "ssm", "StartSession", start))
    gateway = resolve(settings, "ssmmessages")
    lines.append(f"ssmmessages:OpenDataChannel at {gateway.authority}: the WebSocket that carries the session")
    lines += _host_key_calls(settings, target, way, push_document)
    lines.append(_call(settings, "ssm", "TerminateSession", {"SessionId": "(that of the session)"}))
    return [printable(line, 1000) for line in lines]


def _host_key_calls(settings: AwsSettings, target: Target, way: str, push_document: str) -> list[str]:
    when, lines = "only where the host key is not known yet", []
    if not target.hybrid:
        lines.append(f"{when}: {_call(settings, 'ec2', 'GetConsoleOutput', {'InstanceId': target.instance_id})}")
        when += ", and the console does not tell it"
    if way == "eic":  # which may be what `auto` came to
        when += ", and push is not eic"
    if way != "none":
        lines.append(f"{when}: {_command(settings, target, push_document, '(reads the public host keys)')}")
    return lines


def _command(settings: AwsSettings, target: Target, document: str, what: str) -> str:
    parameter = "commands" if document == SHELL_DOCUMENT else "Data"
    parameters = {"InstanceIds": [target.instance_id], "DocumentName": document, parameter: what}
    return _call(settings, "ssm", "SendCommand", parameters)


def _call(settings: AwsSettings, service: str, operation: str, parameters: dict[str, Any]) -> str:
    return f"{service}:{operation} at {resolve(settings, service).authority}: {json.dumps(parameters)}"
