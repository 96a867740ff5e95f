"""What EC2 says of instances: whether they are still there.

https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_DescribeInstances.html
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ssm_ssh.errors import ProtocolError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from ssm_ssh.aws.api.client import Api

# A filter takes 200 values. EC2 answers them in a page or two; a service with more pages is broken.
_AT_ONCE, _PAGES = 200, 50


def states(api: Api, instance_ids: Sequence[str]) -> dict[str, str]:
    """Return EC2's word for the state of each of `instance_ids` (running, terminated, ...) that it knows here.

    Terminated instances are known for about an hour. Raises what Api.call raises, and ProtocolError for an answer
    that is not whole: what is missing in one would count as gone.
    """
    seen = {}
    for start in range(0, len(instance_ids), _AT_ONCE):
        some = list(instance_ids[start : start + _AT_ONCE])
        for instance in _described(api, {"Filter": [{"Name": "instance-id", "Value": some}]}):
            state = instance.get("instanceState")
            seen[str(instance.get("instanceId"))] = str(state.get("name")) if isinstance(state, dict) else ""
    return {key: state for key, state in seen.items() if key in instance_ids}


def _described(api: Api, payload: dict[str, Any]) -> Iterator[dict[str, Any]]:
    for _ in range(_PAGES):
        answer = api.call("ec2", "DescribeInstances", payload)
        if not isinstance(answer.get("reservationSet"), list):
            raise ProtocolError("the answer to DescribeInstances holds no reservationSet", "Check the endpoint URL")
        yield from _instances(answer)
        token = answer.get("nextToken")
        if not token:
            return
        payload = {**payload, "NextToken": token}
    raise ProtocolError("DescribeInstances gives pages without end", "Check the endpoint URL")


def _instances(answer: dict[str, Any]) -> Iterator[dict[str, Any]]:
    for reservation in _list(answer.get("reservationSet")):
        yield from _list(reservation.get("instancesSet"))


def _list(value: object) -> list[dict[str, Any]]:
    return [one for one in value if isinstance(one, dict)] if isinstance(value, list) else []
