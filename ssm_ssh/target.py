"""What a connection goes to: parsed and validated once, then trusted."""

from __future__ import annotations

from typing import NamedTuple

from ssm_ssh import names
from ssm_ssh.errors import UsageError


class Target(NamedTuple):
    """An instance, a TCP port on it and a user there. Build it with `parse_target`."""

    instance_id: str
    port: int
    user: str

    @property
    def hybrid(self) -> bool:
        """True for a managed node (`mi-`), which EC2's own services do not know."""
        return self.instance_id.startswith("mi-")


def parse_target(host: str, port: str, user: str) -> Target:
    """Return the Target that `host`, `port` and `user` name, as ssh passes them (`%h %p %r`).

    Raises UsageError with one line for each way in which they can be wrong.
    """
    if not names.is_instance_id(host):
        raise UsageError(f"'{host[:80]}' is not an instance id", names.INSTANCE_HINT)
    if not (port.isascii() and port.isdigit() and len(port) <= 5 and 1 <= int(port) <= 65535):
        raise UsageError(f"'{port[:80]}' is not a port", "Use a number from 1 to 65535")
    if not names.is_user(user):
        raise UsageError(f"'{user[:80]}' is not a user name", names.USER_HINT)
    return Target(host, int(port), user)
