"""Command documents: AWS-RunShellScript, and those of a user's own that run one script.

https://docs.aws.amazon.com/systems-manager/latest/userguide/documents-schemas-features.html
"""

from __future__ import annotations

import re
from typing import Any

from ssm_ssh.lab.api.context import ApiError
from ssm_ssh.lab.api.documents import check_parameters

RUN_SHELL = "AWS-RunShellScript"
ACTION = "aws:runShellScript"

_PARAMETERS = {"commands", "workingDirectory", "executionTimeout"}
_DEFAULT_SECONDS = "3600"
# Systems Manager replaces these by parameters of the document before the command reaches an instance.
_PLACE = re.compile(r"\{\{\s*([A-Za-z0-9]+)\s*\}\}")


def check(content: dict[str, Any]) -> None:
    """Raise InvalidDocumentContent unless `content` is a command document that the lab can run."""
    steps = content.get("mainSteps")
    if content.get("schemaVersion") != "2.2" or not isinstance(steps, list) or len(steps) != 1:
        raise ApiError("InvalidDocumentContent", "The lab runs command documents of schema 2.2 with one step")
    step = steps[0] if isinstance(steps[0], dict) else {}
    lines = (step.get("inputs") or {}).get("runCommand")
    if step.get("action") != ACTION or not step.get("name") or not isinstance(lines, list) or not lines:
        raise ApiError("InvalidDocumentContent", f"The lab runs command documents whose step is {ACTION}")
    known = content.get("parameters", {})
    unknown = sorted({name for line in lines for name in _PLACE.findall(str(line))} - set(known))
    if unknown:
        raise ApiError("InvalidDocumentContent", f"Parameters [{', '.join(unknown)}] are used and not defined")


def plugin(content: dict[str, Any] | None) -> str:
    """Return what GetCommandInvocation calls the plugin: in schema 2.2 it is the name of the step."""
    return ACTION if content is None else str(content["mainSteps"][0]["name"])


def script(name: str, content: dict[str, Any] | None, given: dict[str, list[str]]) -> dict[str, list[str]]:
    """Return AWS-RunShellScript's parameters for what document `name` makes of `given`; `content` None: itself.

    Raises InvalidParameters.
    """
    if content is None:
        unknown = sorted(set(given) - _PARAMETERS)
        if unknown:
            raise ApiError("InvalidParameters", f"Parameters [{', '.join(unknown)}] are not defined in document {name}")
        if not given.get("commands"):
            raise ApiError("InvalidParameters", "Parameter commands is required")
        return given
    check_parameters(name, content, given)
    values = {key: rule.get("default", "") for key, rule in content.get("parameters", {}).items()}
    values |= {key: words[0] for key, words in given.items() if words}
    inputs = content["mainSteps"][0]["inputs"]
    return {
        "commands": [_PLACE.sub(lambda place: values[place[1]], str(line)) for line in inputs["runCommand"]],
        "workingDirectory": [str(inputs.get("workingDirectory", ""))],
        "executionTimeout": [str(inputs.get("timeoutSeconds", _DEFAULT_SECONDS))],
    }
