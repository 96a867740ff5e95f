"""The values that parameters of faults can have."""

from __future__ import annotations

from collections.abc import Sequence

from ssm_ssh.errors import UsageError

SIDES = ("client", "agent", "both")
DIRECTIONS = ("up", "down", "both")
CUT_METHODS = ("reset", "eof", "bye")
SERVICES = ("ssm", "ec2", "ec2-instance-connect")
OUTAGES = ("closed", "silent", "untrusted")
POLICIES = (
    "identity-based policy",
    "resource-based policy",
    "session policy",
    "permissions boundary",
    "VPC endpoint policy",
    "service control policy",
    "resource control policy",
)
DOCUMENT_FAULTS = ("missing", "plain", "denied")
CUT_MOMENTS = ("now", "bytes", "handshake", "open", "resume")


def check_choice(name: str, value: str, allowed: Sequence[str]) -> None:
    """Raise UsageError when `value` of the parameter `name` is not one of `allowed`."""
    if value not in allowed:
        raise UsageError(f"{name} cannot be {value!r}", f"Use one of: {', '.join(allowed)}")
