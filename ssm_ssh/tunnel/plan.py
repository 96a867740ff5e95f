"""What a connection would call, in words: for --dry-run, without calling anything."""

from __future__ import annotations

import json

from ssm_ssh.aws.config.endpoints import resolve
from ssm_ssh.aws.services.instance_connect import push_payload
from ssm_ssh.aws.services.run_command import SHELL_DOCUMENT
from ssm_ssh.aws.services.sessions import start_payload
from ssm_ssh.startup import TYPE_CHECKING
from ssm_ssh.text import printable

if TYPE_CHECKING:
    from typing import Any

    from ssm_ssh.aws.config.settings import AwsSettings
    from ssm_ssh.settings.options import ConnectionOptions
    from ssm_ssh.target import Target
    from ssm_ssh.tunnel.destination import SshDestination

# As long as a real key, so that the limits of EC2 Instance Connect are checked as in a connection.
_SOME_KEY = "ssh-ed25519 " + "A" * 68


def describe(
    settings: AwsSettings, destination: SshDestination, options: ConnectionOptions, *, method: str
) -> list[str]:
    """Return one printable line for each call that connecting to `destination` makes: operation, host, parameters.

    Conditional calls name their condition. `method`: how the key gets there: eic, send-command or none. Needs no
    credentials and shows none. Raises UsageError for what the real calls would refuse before they are sent.
    """
    target, push_document = destination.target, options.push_document
    start = start_payload(target.instance_id, options.document, destination.session_parameters)
    lines = [f"profile {settings.profile_name}, region {settings.region}"]
    if method == "eic":
        parameters = push_payload(target, destination.user, _SOME_KEY) | {"SSHPublicKey": "(our public key)"}
        lines.append(_call(settings, "ec2-instance-connect", "SendSSHPublicKey", parameters))
    elif method == "send-command":
        lines.append(_command(settings, target, push_document, "(pushes the public key)"))
    lines.append(_call(settings, "ssm", "StartSession", start))
    gateway = resolve(settings, "ssmmessages")
    lines.append(f"ssmmessages:OpenDataChannel at {gateway.authority}: the WebSocket that carries the session")
    lines += _host_key_calls(settings, target, method, push_document)
    lines.append(_call(settings, "ssm", "TerminateSession", {"SessionId": "(that of the session)"}))
    return [printable(line, 1000) for line in lines]


def _host_key_calls(settings: AwsSettings, target: Target, method: str, push_document: str) -> list[str]:
    when, lines = "only if the host key is unknown", []
    if not target.hybrid:
        lines.append(f"{when}: {_call(settings, 'ec2', 'GetConsoleOutput', {'InstanceId': target.instance_id})}")
        when += ", and the console does not show it"
    if method == "eic":  # perhaps as the choice of `auto`
        when += ", and push is not eic"
    if method != "none":
        lines.append(f"{when}: {_command(settings, target, push_document, '(reads the public host keys)')}")
    return lines


def _command(settings: AwsSettings, target: Target, document: str, what: str) -> str:
    parameter = "commands" if document == SHELL_DOCUMENT else "Data"
    parameters = {"InstanceIds": [target.instance_id], "DocumentName": document, parameter: what}
    return _call(settings, "ssm", "SendCommand", parameters)


def _call(settings: AwsSettings, service: str, operation: str, parameters: dict[str, Any]) -> str:
    return f"{service}:{operation} at {resolve(settings, service).authority}: {json.dumps(parameters)}"
