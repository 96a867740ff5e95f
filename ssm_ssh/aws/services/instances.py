"""EC2's DescribeInstances: every instance of a region, or the states of some.

https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_DescribeInstances.html
"""

from __future__ import annotations

from ssm_ssh.aws.services.paging import items, pages
from ssm_ssh.startup import TYPE_CHECKING
from ssm_ssh.values import object_member, objects_member, text_member

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from typing import Any

    from ssm_ssh.aws.api.client import Api

# The most values in one filter, and the most instances on one page.
_FILTER_VALUES, _PAGE_SIZE = 200, 1000


def instance_pages(api: Api) -> Iterator[list[dict[str, Any]]]:
    """Yield all instances of the region, one page at a time. Raises what Api.call raises, and ProtocolError."""
    return _pages(api, {"MaxResults": _PAGE_SIZE})


def instance_states(api: Api, instance_ids: Sequence[str]) -> dict[str, str]:
    """Return EC2's word for the state of each of `instance_ids` that exists here: running, terminated, ...

    EC2 keeps terminated instances for about an hour. Raises what Api.call raises, and ProtocolError for an answer
    that is not complete: an instance missing from it would count as gone.
    """
    states = {}
    for start in range(0, len(instance_ids), _FILTER_VALUES):
        wanted = list(instance_ids[start : start + _FILTER_VALUES])
        for page in _pages(api, {"Filter": [{"Name": "instance-id", "Value": wanted}]}):
            states.update({text_member(instance, "instanceId"): state_of(instance) for instance in page})
    return {instance_id: state for instance_id, state in states.items() if instance_id in instance_ids}


def instances_with(api: Api, name: str, values: Sequence[str]) -> list[dict[str, Any]]:
    """Return the instances of the region that pass the filter `name`. Raises as `instance_states` does."""
    pages = _pages(api, {"Filter": [{"Name": name, "Value": list(values)}], "MaxResults": _PAGE_SIZE})
    return [instance for page in pages for instance in page]


def state_of(instance: dict[str, Any]) -> str:
    """Return EC2's word for the state of a described instance, "" where there is none."""
    return text_member(object_member(instance, "instanceState"), "name")


def _pages(api: Api, payload: dict[str, Any]) -> Iterator[list[dict[str, Any]]]:
    for answer in pages(api, "ec2", "DescribeInstances", payload, "nextToken"):
        yield [
            instance
            for reservation in items(answer, "reservationSet", "DescribeInstances")
            for instance in objects_member(reservation, "instancesSet")
        ]
