"""EC2's state of one instance, and its start.

https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_StartInstances.html
"""

from __future__ import annotations

from ssm_ssh.aws.services.instances import instances_with, state_of
from ssm_ssh.startup import TYPE_CHECKING, NamedTuple
from ssm_ssh.values import object_member, text_member

if TYPE_CHECKING:
    from ssm_ssh.aws.api.client import Api


class PowerState(NamedTuple):
    """EC2's word for the state of an instance, and why it is in it, "" for no reason; `reason` is outside text."""

    state: str
    reason: str = ""
    hibernated: bool = False


def power_state(api: Api, instance_id: str) -> PowerState | None:
    """Return the state of an instance, None where EC2 does not know it here. Raises what Api.call raises."""
    for instance in instances_with(api, "instance-id", [instance_id]):
        if text_member(instance, "instanceId") == instance_id:
            why = object_member(instance, "stateReason")
            hibernated = "Hibernate" in text_member(why, "code")
            return PowerState(state_of(instance), text_member(why, "message"), hibernated)
    return None


def start_instance(api: Api, instance_id: str) -> None:
    """Have EC2 start a stopped instance; one that runs or starts already is left alone. Raises what Api.call raises."""
    api.call("ec2", "StartInstances", {"InstanceId": [instance_id]}, target=instance_id)
