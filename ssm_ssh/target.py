"""PURE: the instance that a session goes to, validated once and then trusted."""

from __future__ import annotations

from ssm_ssh import names
from ssm_ssh.errors import UsageError


class Target:
    """An EC2 instance or a managed node. Build it with `parse_target`."""

    __slots__ = ("instance_id",)

    def __init__(self, instance_id: str) -> None:
        self.instance_id = instance_id

    def __repr__(self) -> str:
        return f"Target({self.instance_id!r})"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Target) and other.instance_id == self.instance_id

    def __hash__(self) -> int:
        return hash(self.instance_id)

    @property
    def hybrid(self) -> bool:
        """True for a managed node (`mi-`), which EC2's own services do not know."""
        return self.instance_id.startswith("mi-")


def parse_target(instance_id: str) -> Target:
    """Return the target with this id. Raises UsageError for anything else than an instance id."""
    if not names.is_instance_id(instance_id):
        raise UsageError(f"'{instance_id[:80]}' is not an instance id", names.INSTANCE_HINT)
    return Target(instance_id)
