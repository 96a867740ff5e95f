"""What EC2 says of instances: whether they are still there.

https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_DescribeInstances.html
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from ssm_ssh.aws.api import Api

# A filter takes 200 values.
_AT_ONCE = 200


def states(api: Api, instance_ids: Sequence[str]) -> dict[str, str]:
    """Return EC2's word for the state of each of `instance_ids` (running, terminated, ...) that it knows here.

    Terminated instances are known for about an hour. Raises what Api.call raises.
    """
    found = {}
    for start in range(0, len(instance_ids), _AT_ONCE):
        some = list(instance_ids[start : start + _AT_ONCE])
        answer = api.call("ec2", "DescribeInstances", {"Filter": [{"Name": "instance-id", "Value": some}]})
        for instance in _instances(answer):
            state = instance.get("instanceState")
            found[str(instance.get("instanceId"))] = str(state.get("name")) if isinstance(state, dict) else ""
    return {one: state for one, state in found.items() if one in instance_ids}


def _instances(answer: dict[str, Any]) -> Iterator[dict[str, Any]]:
    for reservation in _list(answer.get("reservationSet")):
        yield from _list(reservation.get("instancesSet"))


def _list(value: object) -> list[dict[str, Any]]:
    return [one for one in value if isinstance(one, dict)] if isinstance(value, list) else []
