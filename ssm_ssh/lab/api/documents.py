"""Documents: AWS's own, those a user makes, and what their parameters allow.

https://docs.aws.amazon.com/systems-manager/latest/userguide/session-manager-schema.html
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

from ssm_ssh.lab.api import preferences
from ssm_ssh.lab.api.context import ApiError

if TYPE_CHECKING:
    from collections.abc import Callable

DEFAULT = "SSM-SessionManagerRunShell"
INTERACTIVE, NON_INTERACTIVE = "AWS-StartInteractiveCommand", "AWS-StartNonInteractiveCommand"

_PORT = r"^([0-9]|[1-9][0-9]{1,3}|[1-5][0-9]{4}|6[0-4][0-9]{3}|65[0-4][0-9]{2}|655[0-2][0-9]|6553[0-5])$"
_LOCAL_PORT = r"^(0|[1-9][0-9]{0,3}|[1-5][0-9]{4}|6[0-4][0-9]{3}|65[0-4][0-9]{2}|655[0-2][0-9]|6553[0-5])$"
_HOST = r"^[^,$^&\(\)!;'\"<>\`{}\[\]\|#=]{3,}$"
_PREFIX = r"^[0-9a-zA-Z\r\n_:-]{0,30}$"
_PLATFORMS = ("windows", "linux", "macos")
_TYPES = ("Standard_Stream", "Port", "InteractiveCommands", "NonInteractiveCommands")


def _parameter(description: str, pattern: str, default: str | None = None) -> dict[str, str]:
    out = {"type": "String", "description": description, "allowedPattern": pattern}
    return out if default is None else {**out, "default": default}


def _port_document(description: str, parameters: dict[str, Any], **properties: str) -> dict[str, Any]:
    return {
        "schemaVersion": "1.0",
        "description": description,
        "sessionType": "Port",
        "parameters": parameters,
        "properties": {"portNumber": "{{ portNumber }}", **properties},
    }


def _command_document(description: str, session_type: str, parameters: dict[str, Any], **more: str) -> dict[str, Any]:
    commands = {"commands": "{{command}}", "runAsElevated": False, **more}
    command = {"type": "String", "description": "(Required) The command to run on the instance"}
    return {
        "schemaVersion": "1.0",
        "description": description,
        "sessionType": session_type,
        "parameters": {"command": command, **parameters},
        "properties": {platform: dict(commands) for platform in _PLATFORMS},
    }


_SEPARATE = {
    "separateOutputStream": {
        "type": "String",
        "description": "(Optional) Whether StdOut, StdErr and the exit code are sent apart",
        "allowedValues": ["true", "false"],
        "default": "false",
    },
    "stdoutSeparatorPrefix": _parameter("(Optional) Prefix of StdOut's parts, such as 'STDOUT:\\n'", _PREFIX, ""),
    "stderrSeparatorPrefix": _parameter("(Optional) Prefix of StdErr's parts, such as 'STDERR:\\n'", _PREFIX, ""),
}
_LOCAL = _parameter("(Optional) Port number on local machine to forward traffic to.", _LOCAL_PORT, "0")
AWS_DOCUMENTS: dict[str, dict[str, Any]] = {
    "AWS-StartSSHSession": _port_document(
        "Document to start an SSH session",
        {"portNumber": _parameter("(Optional) Port number of SSH server on the instance", _PORT, "22")},
    ),
    "AWS-StartPortForwardingSession": _port_document(
        "Document to start port forwarding session over Session Manager",
        {
            "portNumber": _parameter("(Optional) Port number to be expose from the instance", _PORT, "80"),
            "localPortNumber": _LOCAL,
        },
        type="LocalPortForwarding",
        localPortNumber="{{ localPortNumber }}",
    ),
    "AWS-StartPortForwardingSessionToRemoteHost": _port_document(
        "Document to start port forwarding session to a remote host",
        {
            "host": _parameter("(Optional) Hostname or IP address of the destination server", _HOST, "localhost"),
            "portNumber": _parameter("(Optional) Port number of the server/instance", _PORT, "80"),
            "localPortNumber": _LOCAL,
        },
        type="LocalPortForwarding",
        localPortNumber="{{ localPortNumber }}",
        host="{{ host }}",
    ),
    # AWS does not publish the two documents whole; parameters and their limits are as they are known.
    INTERACTIVE: _command_document("Document to run one interactive command", "InteractiveCommands", {}),
    NON_INTERACTIVE: _command_document(
        "Document to run one command without a terminal",
        "NonInteractiveCommands",
        _SEPARATE,
        separateOutputStream="{{separateOutputStream}}",
        stdOutSeparatorPrefix="{{stdoutSeparatorPrefix}}",
        stdErrSeparatorPrefix="{{stderrSeparatorPrefix}}",
    ),
    DEFAULT: {
        "schemaVersion": "1.0",
        "description": "Document to hold regional settings for Session Manager",
        "sessionType": "Standard_Stream",
        "inputs": dict(preferences.DEFAULTS),
    },
}


class Documents:
    """The documents of one lab, by name.

    `fault` is asked how a document of AWS's is out of order: "missing" or "plain" (an early version of it, with no
    parameters but the first), "" where it is not.
    """

    def __init__(self, fault: Callable[[str], str] = lambda _: "") -> None:
        self.contents: dict[str, dict[str, Any]] = dict(AWS_DOCUMENTS)
        self._fault = fault

    def get(self, name: str) -> dict[str, Any]:
        """Return the content of `name` (or of the document that the ARN `name` names). Raises InvalidDocument."""
        short = name.rpartition("document/")[2]
        content, fault = self.contents.get(short), self._fault(short)
        if content is None or fault == "missing":
            raise ApiError("InvalidDocument", f"Document with name {name} does not exist.")
        if fault == "plain":
            parameters = dict(list(content.get("parameters", {}).items())[:1])
            return {**content, "parameters": parameters}
        return content

    def for_session(self, name: str) -> dict[str, Any]:
        """Return the content as an agent gets it: AWS's documents with the account's preferences."""
        content = self.get(name)
        if name.rpartition("document/")[2] in AWS_DOCUMENTS:
            return {**content, "inputs": dict(self.contents[DEFAULT]["inputs"])}
        return content

    def update(self, name: str, text: str, check: Callable[[dict[str, Any]], None]) -> None:
        """Replace the account's preferences or a user's document. Raises InvalidDocument, InvalidDocumentContent."""
        self.get(name)
        if name in AWS_DOCUMENTS and name != DEFAULT:
            raise ApiError("InvalidDocumentOperation", f"You attempted to change a document of AWS's: {name}")
        content = _parsed(text)
        check(content)
        if name == DEFAULT:
            content = {**content, "inputs": preferences.checked(content.get("inputs", {}))}
        self.contents[name] = content

    def prefer(self, inputs: dict[str, Any]) -> dict[str, Any]:
        """Change some of the account's preferences, and return all. Raises ApiError."""
        before = self.contents[DEFAULT]
        after = preferences.checked({**before["inputs"], **inputs})
        self.contents[DEFAULT] = {**before, "inputs": after}
        return after

    def create(self, name: str, text: str, check: Callable[[dict[str, Any]], None]) -> None:
        """Add a user's document that `check` finds good. Raises InvalidDocumentContent, DocumentAlreadyExists."""
        if name in self.contents:
            raise ApiError("DocumentAlreadyExists", f"Document with same name {name} already exists")
        if re.match(r"(?i)aws|amazon|amzn", name):
            raise ApiError("ValidationException", "Document names must not begin with aws, amazon, amzn")
        content = _parsed(text)
        check(content)
        self.contents[name] = content

    def delete(self, name: str) -> None:
        """Remove a document of the user's. Raises InvalidDocument."""
        self.get(name)
        if name in AWS_DOCUMENTS:
            raise ApiError("InvalidDocumentOperation", f"You attempted to delete a document of AWS's: {name}")
        del self.contents[name]


def _parsed(text: str) -> dict[str, Any]:
    try:
        content = json.loads(text)
    except ValueError:
        raise ApiError("InvalidDocumentContent", "The content is not valid JSON") from None
    if not isinstance(content, dict) or not isinstance(content.get("parameters", {}), dict):
        raise ApiError("InvalidDocumentContent", "The content is not that of a document")
    return content


def check_session(content: dict[str, Any]) -> None:
    """Raise InvalidDocumentContent unless `content` is a session document."""
    if content.get("schemaVersion") != "1.0" or content.get("sessionType") not in _TYPES:
        raise ApiError("InvalidDocumentContent", "The content is not that of a session document")


def is_command(content: dict[str, Any]) -> bool:
    """Whether `content` is a command document, and not a session document."""
    return "mainSteps" in content


def check_parameters(name: str, content: dict[str, Any], given: dict[str, list[str]]) -> None:
    """Raise InvalidParameters unless `given` is what the document asks for."""
    known = content.get("parameters", {})
    unknown = sorted(set(given) - set(known))
    if unknown:
        raise ApiError("InvalidParameters", f"Parameters [{', '.join(unknown)}] are not defined in document {name}")
    for key, rule in known.items():
        values = given.get(key)
        if values is None:
            if "default" not in rule:
                raise ApiError("InvalidParameters", f"Parameter {key} is required by document {name}")
            continue
        if rule.get("type") == "String" and len(values) != 1:
            raise ApiError("InvalidParameters", f"Parameter {key} takes one value")
        for value in values:
            if "allowedPattern" in rule and not re.search(rule["allowedPattern"], value):
                pattern = rule["allowedPattern"]
                raise ApiError("InvalidParameters", f'Parameter "{key}" has value "{value}" not matching "{pattern}".')
            if "allowedValues" in rule and value not in rule["allowedValues"]:
                values_ = ", ".join(rule["allowedValues"])
                raise ApiError("InvalidParameters", f'Parameter "{key}" has value "{value}" not found in [{values_}].')
