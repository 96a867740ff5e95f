"""What a connection goes to: parsed and validated once, then trusted."""

from __future__ import annotations

import re
from typing import NamedTuple

from ssm_ssh.errors import UsageError

# EC2 ids have 8 (before 2016) or 17 hex digits, managed nodes 17:
# https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/resource-ids.html
# https://docs.aws.amazon.com/systems-manager/latest/APIReference/API_StartSession.html
_INSTANCE = re.compile(r"(?:i-(?:[0-9a-f]{8}|[0-9a-f]{17})|mi-[0-9a-f]{17})")
# What useradd of any Linux distribution accepts, plus the dots and domain parts of directory services; never a
# leading dash, a quote, a shell character or white space.
_USER = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._@+-]{0,63}\$?")


class Target(NamedTuple):
    """An instance, a TCP port on it and a user there. Build it with `parse_target`."""

    instance_id: str
    port: int
    user: str

    @property
    def hybrid(self) -> bool:
        """True for a managed node (`mi-`), which EC2's own services do not know."""
        return self.instance_id.startswith("mi-")


def is_instance_id(text: str) -> bool:
    """Return whether `text` is the id of an EC2 instance or a managed node."""
    return _INSTANCE.fullmatch(text) is not None


def parse_target(host: str, port: str, user: str) -> Target:
    """Return the Target that `host`, `port` and `user` name, as ssh passes them (`%h %p %r`).

    Raises UsageError with one line for each way in which they can be wrong.
    """
    if not is_instance_id(host):
        raise UsageError(
            f"'{host[:80]}' is not an instance id",
            "Use i- with 8 or 17 hex digits, or mi- with 17, for example: ssh ec2-user@i-0123456789abcdef0",
        )
    if not (port.isascii() and port.isdigit() and len(port) <= 5 and 1 <= int(port) <= 65535):
        raise UsageError(f"'{port[:80]}' is not a port", "Use a number from 1 to 65535")
    if not _USER.fullmatch(user):
        raise UsageError(
            f"'{user[:80]}' is not a user name",
            "Use letters, digits, and . _ - @ + (at most 64), for example: ssh ec2-user@i-0123456789abcdef0",
        )
    return Target(host, int(port), user)
