"""The instances that have a private address, a private DNS name or a tag.

EC2 knows the addresses and names of its instances, Systems Manager those of managed nodes (mi-...):
https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_DescribeInstances.html
https://docs.aws.amazon.com/systems-manager/latest/APIReference/API_DescribeInstanceInformation.html
"""

from __future__ import annotations

from ssm_ssh.aws.services.instances import instances_with, state_of
from ssm_ssh.aws.services.inventory import GONE, node_infos, node_of, tag_filter
from ssm_ssh.startup import TYPE_CHECKING
from ssm_ssh.values import text_member

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import Any

    from ssm_ssh.aws.api.client import Api
    from ssm_ssh.aws.services.inventory import Node

# Addresses beyond the first of an interface, and those of version 6, are the interfaces' own.
_ADDRESS = "network-interface.addresses.private-ip-address"
_ADDRESS_6 = "network-interface.ipv6-addresses.ipv6-address"
_NAME = "private-dns-name"
_MANAGED = {"Key": "ResourceType", "Values": ["ManagedInstance"]}


def nodes_with_address(api: Api, address: str) -> list[Node]:
    """Return the instances with this private address. Raises what Api.call raises, and ProtocolError."""
    ec2 = _ec2_nodes(api, _ADDRESS_6 if ":" in address else _ADDRESS, address)
    return ec2 + _managed_nodes(api, lambda info: text_member(info, "IPAddress") == address)


def nodes_with_name(api: Api, name: str) -> list[Node]:
    """Return the instances with this private DNS name, in which `*` stands for anything. Raises as above."""
    ec2 = _ec2_nodes(api, _NAME, name)
    return ec2 + _managed_nodes(api, lambda info: text_member(info, "ComputerName").lower() == name)


def nodes_with_tag(api: Api, key: str, values: Sequence[str]) -> list[Node]:
    """Return the instances with this tag and one of `values` (none: any). Raises as above."""
    return [_node(api, info, {}) for info in node_infos(api, [tag_filter(key, values)])]


def _ec2_nodes(api: Api, name: str, value: str) -> list[Node]:
    return [
        _node(api, {"InstanceId": text_member(instance, "instanceId")}, instance)
        for instance in instances_with(api, name, [value])
        if state_of(instance) not in GONE
    ]


def _managed_nodes(api: Api, accepted: Callable[[dict[str, Any]], bool]) -> list[Node]:
    return [_node(api, info, {}) for info in node_infos(api, [_MANAGED]) if accepted(info)]


def _node(api: Api, info: dict[str, Any], instance: dict[str, Any]) -> Node:
    profile, region = api.settings.profile or "", api.settings.region
    return node_of(info, instance, state=state_of(instance), profile=profile, region=region)
