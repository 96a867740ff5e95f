"""What a session's document and parameters ask of the agent: `{{ name }}` and `{{ssm:name}}` replaced.

After amazon-ssm-agent, agent/framework/docparser (parameters.go, parameterstore.go).
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any, NamedTuple

_NAME = re.compile(r"[a-zA-Z0-9]+")
_PLACE = re.compile(r"\{\{[ \t\n\f\r]*([a-zA-Z0-9]+)[ \t\n\f\r]*\}\}")
_REFERENCE = re.compile(r"\{\{ *ssm:([/A-Za-z0-9_.:-]+) *\}\}")


class Preferences(NamedTuple):
    """The part of a document's `inputs` that the agent acts on. Where AWS keeps the account's preferences."""

    kms_key_id: str = ""
    run_as: bool = False
    run_as_user: str = ""
    shell_profile: str = ""
    log_group: str = ""
    """Of CloudWatch Logs, where it has to be encrypted; "" where none is named or it need not be."""
    log_bucket: str = ""
    """Of S3, likewise."""


def preferences(inputs: Mapping[str, Any]) -> Preferences:
    """Return the preferences in a document's `inputs`."""
    return Preferences(
        str(inputs.get("kmsKeyId") or ""),
        to_bool(inputs.get("runAsEnabled")),
        str(inputs.get("runAsDefaultUser") or ""),
        str((inputs.get("shellProfile") or {}).get("linux") or ""),
        _if_encrypted(inputs, "cloudWatchLogGroupName", "cloudWatchEncryptionEnabled"),
        _if_encrypted(inputs, "s3BucketName", "s3EncryptionEnabled"),
    )


def _if_encrypted(inputs: Mapping[str, Any], name: str, switch: str) -> str:
    return str(inputs.get(name) or "") if to_bool(inputs.get(switch)) else ""


def to_bool(value: object) -> bool:
    """Return a property that is a boolean or its text, as Go's strconv.ParseBool reads it. Raises ValueError."""
    if value is None or value == "":
        return False
    if isinstance(value, bool):
        return value
    if isinstance(value, str):
        if value in ("1", "t", "T", "TRUE", "true", "True"):
            return True
        if value in ("0", "f", "F", "FALSE", "false", "False"):
            return False
        raise ValueError(f'invalid input strconv.ParseBool: parsing "{value}": invalid syntax')
    raise ValueError("invalid parameter type")


def parameter_values(document: Mapping[str, Any], given: Mapping[str, Any]) -> dict[str, Any]:
    """Return the value of each parameter: the given ones with a valid name, else the document's default."""
    values = {name: value for name, value in given.items() if _NAME.fullmatch(name)}
    for name, rule in (document.get("parameters") or {}).items():
        values.setdefault(name, rule.get("default", ""))
    return values


def replace(value: Any, parameters: Mapping[str, Any]) -> Any:  # noqa: ANN401 -- JSON
    """Return `value` with every `{{ name }}` replaced, once: a replacement is not looked at again.

    A text that is nothing but one place becomes the parameter's value itself. Elsewhere `$$` in a value becomes `$`.
    """
    if isinstance(value, dict):
        return {key: replace(item, parameters) for key, item in value.items()}
    if isinstance(value, list):
        return [replace(item, parameters) for item in value]
    if not isinstance(value, str):
        return value
    whole = _PLACE.fullmatch(value)
    if whole is not None and whole[1] in parameters:
        return parameters[whole[1]]
    return _PLACE.sub(lambda place: _text(parameters[place[1]]) if place[1] in parameters else place[0], value)


def _text(value: object) -> str:
    text = value if isinstance(value, str) else json.dumps(value, separators=(",", ":"))
    return text.replace("$$", "$")


def references(value: Any) -> list[str]:  # noqa: ANN401 -- JSON
    """Return the names of the Parameter Store's parameters in `value`, each once."""
    return list(dict.fromkeys(_references(value)))


def _references(value: Any) -> list[str]:  # noqa: ANN401 -- JSON
    if isinstance(value, dict):
        return [name for item in value.values() for name in _references(item)]
    if isinstance(value, list):
        return [name for item in value for name in _references(item)]
    return _REFERENCE.findall(value) if isinstance(value, str) else []


def dereference(value: Any, stored: Mapping[str, str]) -> Any:  # noqa: ANN401 -- JSON
    """Return `value` with the references to `stored` parameters replaced by their values."""
    if isinstance(value, dict):
        return {key: dereference(item, stored) for key, item in value.items()}
    if isinstance(value, list):
        return [dereference(item, stored) for item in value]
    if not isinstance(value, str):
        return value
    return _REFERENCE.sub(lambda place: stored.get(place[1], place[0]), value)
