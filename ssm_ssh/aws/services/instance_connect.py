"""EC2 Instance Connect: push a public key that an instance accepts for sixty seconds.

https://docs.aws.amazon.com/ec2-instance-connect/latest/APIReference/API_SendSSHPublicKey.html
"""

from __future__ import annotations

import re

from ssm_ssh.errors import AwsError, UsageError
from ssm_ssh.startup import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from ssm_ssh.aws.api.client import Api
    from ssm_ssh.target import Target

# The limits and patterns of the service's model.
_SHORTEST_KEY, _LONGEST_KEY, _LONGEST_USER = 80, 4096, 32
_USER = r"[A-Za-z_][A-Za-z0-9@._-]{0,30}[A-Za-z0-9$_-]?|[0-9]{1,32}[A-Za-z@._-][A-Za-z0-9@._-]*[A-Za-z0-9$_-]?"


def push_payload(target: Target, user: str, public_key: str) -> dict[str, Any]:
    """Return the input of SendSSHPublicKey. Raises UsageError for input that the service would refuse.

    The Availability Zone, once required, is optional.
    """
    key = public_key.strip()
    if target.hybrid:
        raise UsageError(
            f"EC2 Instance Connect does not support {target.instance_id}",
            'Managed nodes (mi-) need send-command: set push = "auto"',
        )
    if "\n" in key or "\r" in key:
        raise UsageError("the public key is more than one line", "Use one line as in id_ed25519.pub")
    if not _SHORTEST_KEY <= len(key) <= _LONGEST_KEY:
        raise UsageError(
            f"the public key has {len(key)} characters; EC2 Instance Connect accepts {_SHORTEST_KEY} to {_LONGEST_KEY}",
            "Use an ed25519 key, or RSA of at most 16384 bits",
        )
    if len(user) > _LONGEST_USER or not re.fullmatch(_USER, user, re.ASCII):
        raise UsageError(
            f"EC2 Instance Connect does not accept the user name '{user}'",
            f"Use at most {_LONGEST_USER} letters, digits and . _ - @, not only digits",
        )
    return {"InstanceId": target.instance_id, "InstanceOSUser": user, "SSHPublicKey": key}


def push_key(
    api: Api,
    target: Target,
    user: str,
    public_key: str,
    *,
    deadline: float | None = None,
    reached: Callable[[bool], None] | None = None,
) -> None:
    """Have `target` accept `public_key` (one line as in a .pub file) of `user` for sixty seconds.

    Success does not mean that the instance's sshd looks such keys up. `deadline` is in seconds of time.monotonic();
    `reached` is that of Api.call. Another push starts the sixty seconds again. Raises UsageError and what Api.call
    raises.
    """
    answer = api.call(
        "ec2-instance-connect",
        "SendSSHPublicKey",
        push_payload(target, user, public_key),
        target=target.instance_id,
        deadline=deadline,
        reached=reached,
    )
    if answer.get("Success") is not True:
        raise AwsError(
            f"EC2 Instance Connect did not accept the key for {user} on {target.instance_id}",
            "Try again in a minute",
            operation="SendSSHPublicKey",
            status=200,
        )
