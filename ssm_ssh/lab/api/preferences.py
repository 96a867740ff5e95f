"""The account's preferences for Session Manager: the `inputs` of SSM-SessionManagerRunShell.

https://docs.aws.amazon.com/systems-manager/latest/userguide/session-manager-schema.html
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ssm_ssh.lab.api.context import ApiError

DEFAULTS: dict[str, Any] = {
    "s3BucketName": "",
    "s3KeyPrefix": "",
    "s3EncryptionEnabled": True,
    "cloudWatchLogGroupName": "",
    "cloudWatchEncryptionEnabled": True,
    "cloudWatchStreamingEnabled": True,
    "kmsKeyId": "",
    "runAsEnabled": False,
    "runAsDefaultUser": "",
    "idleSessionTimeout": "",
    "maxSessionDuration": "",
    "shellProfile": {"windows": "", "linux": ""},
}
# In minutes: what AWS accepts.
_IDLE, _DURATION = (1, 60), (1, 1440)


def checked(inputs: Mapping[str, Any]) -> dict[str, Any]:
    """Return `inputs` with the defaults of what is missing. Raises ApiError for what AWS would refuse."""
    unknown = sorted(set(inputs) - set(DEFAULTS))
    if unknown:
        raise ApiError("InvalidDocumentContent", f"The inputs [{', '.join(unknown)}] are not defined")
    out = {**DEFAULTS, **inputs}
    for key, (least, most) in (("idleSessionTimeout", _IDLE), ("maxSessionDuration", _DURATION)):
        text = str(out[key] or "")
        if text and not (text.isdigit() and least <= int(text) <= most):
            raise ApiError("InvalidDocumentContent", f"{key} must be a number of minutes from {least} to {most}")
        out[key] = text
    return out


def seconds(inputs: Mapping[str, Any], key: str) -> float | None:
    """Return a limit of `inputs` in seconds, None where it is not set."""
    text = str(inputs.get(key) or "")
    return int(text) * 60.0 if text.isdigit() else None
