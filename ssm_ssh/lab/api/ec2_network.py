"""EC2's network objects: what Describe... returns of VPCs and what is in them. Nothing here changes them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from ssm_ssh.lab.api.context import ApiError, Operation, ServiceContext, page
from ssm_ssh.lab.api.filters import chosen
from ssm_ssh.lab.identity.identities import Identity

_PAGE = 1000
Object = dict[str, Any]


class _Kind(NamedTuple):
    """A kind of object: the member that identifies it, the prefix of EC2's error, and where filters look."""

    identifier: str
    error: str
    paths: Mapping[str, str]

    @property
    def wanted(self) -> str:
        """The member of the request that names some of them."""
        return f"{self.identifier}s"


# By the operation without "Describe", which is the member of the answer too.
# https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_Operations.html
_KINDS: dict[str, _Kind] = {
    "Vpcs": _Kind(
        "VpcId",
        "InvalidVpcID",
        {
            "vpc-id": "VpcId",
            "cidr": "CidrBlock",
            "is-default": "IsDefault",
            "state": "State",
            "dhcp-options-id": "DhcpOptionsId",
            "owner-id": "OwnerId",
        },
    ),
    "DhcpOptions": _Kind(
        "DhcpOptionsId",
        "InvalidDhcpOptionID",
        {"dhcp-options-id": "DhcpOptionsId", "key": "DhcpConfigurations.Key", "owner-id": "OwnerId"},
    ),
    "Subnets": _Kind(
        "SubnetId",
        "InvalidSubnetID",
        {
            "subnet-id": "SubnetId",
            "vpc-id": "VpcId",
            "availability-zone": "AvailabilityZone",
            "cidr-block": "CidrBlock",
            "ipv6-native": "Ipv6Native",
            "state": "State",
            "owner-id": "OwnerId",
        },
    ),
    "RouteTables": _Kind(
        "RouteTableId",
        "InvalidRouteTableID",
        {
            "route-table-id": "RouteTableId",
            "vpc-id": "VpcId",
            "association.subnet-id": "Associations.SubnetId",
            "association.main": "Associations.Main",
            "association.route-table-id": "Associations.RouteTableId",
            "route.destination-cidr-block": "Routes.DestinationCidrBlock",
            "route.gateway-id": "Routes.GatewayId",
            "route.nat-gateway-id": "Routes.NatGatewayId",
            "route.state": "Routes.State",
            "owner-id": "OwnerId",
        },
    ),
    "InternetGateways": _Kind(
        "InternetGatewayId",
        "InvalidInternetGatewayID",
        {
            "internet-gateway-id": "InternetGatewayId",
            "attachment.vpc-id": "Attachments.VpcId",
            "attachment.state": "Attachments.State",
            "owner-id": "OwnerId",
        },
    ),
    "EgressOnlyInternetGateways": _Kind("EgressOnlyInternetGatewayId", "InvalidGatewayID", {}),
    "NatGateways": _Kind(
        "NatGatewayId",
        "InvalidNatGatewayID",
        {"nat-gateway-id": "NatGatewayId", "vpc-id": "VpcId", "subnet-id": "SubnetId", "state": "State"},
    ),
    "SecurityGroups": _Kind(
        "GroupId",
        "InvalidGroup",
        {
            "group-id": "GroupId",
            "group-name": "GroupName",
            "vpc-id": "VpcId",
            "description": "Description",
            "owner-id": "OwnerId",
        },
    ),
    "NetworkAcls": _Kind(
        "NetworkAclId",
        "InvalidNetworkAclID",
        {
            "network-acl-id": "NetworkAclId",
            "vpc-id": "VpcId",
            "association.subnet-id": "Associations.SubnetId",
            "default": "IsDefault",
            "owner-id": "OwnerId",
        },
    ),
    "VpcEndpoints": _Kind(
        "VpcEndpointId",
        "InvalidVpcEndpointId",
        {
            "vpc-endpoint-id": "VpcEndpointId",
            "vpc-id": "VpcId",
            "service-name": "ServiceName",
            "vpc-endpoint-state": "State",
            "vpc-endpoint-type": "VpcEndpointType",
        },
    ),
    "NetworkInterfaces": _Kind(
        "NetworkInterfaceId",
        "InvalidNetworkInterfaceID",
        {
            "network-interface-id": "NetworkInterfaceId",
            "vpc-id": "VpcId",
            "subnet-id": "SubnetId",
            "group-id": "Groups.GroupId",
            "attachment.instance-id": "Attachment.InstanceId",
            "private-ip-address": "PrivateIpAddress",
            "addresses.private-ip-address": "PrivateIpAddresses.PrivateIpAddress",
            "association.public-ip": "Association.PublicIp",
            "status": "Status",
            "owner-id": "OwnerId",
        },
    ),
}


class Ec2Network:
    """The operations of `ec2` about networks, for the VPCs of all instances."""

    def __init__(self, context: ServiceContext) -> None:
        self._state = context.state

    def operations(self) -> dict[str, Operation]:
        """Return the operations by name."""
        return {
            **{f"Describe{name}": Operation(self._describer(name)) for name in _KINDS},
            "DescribeVpcAttribute": Operation(self.describe_vpc_attribute),
            "DescribeManagedPrefixLists": Operation(self.describe_managed_prefix_lists),
            "GetManagedPrefixListEntries": Operation(self.get_managed_prefix_list_entries),
        }

    def _all(self, name: str) -> list[Object]:
        return [
            item
            for instance in self._state.here()
            if instance.site.network is not None
            for item in instance.site.network.objects[name]
        ]

    def _describer(self, name: str) -> Any:  # noqa: ANN401 -- what Operation takes
        kind = _KINDS[name]

        async def describe(_: Identity, values: dict[str, Any]) -> dict[str, Any]:
            objects = self._all(name)
            if values.get(kind.wanted):
                objects = [_one(objects, kind, str(item)) for item in values[kind.wanted]]
            # NAT gateways have their own word for it.
            filters = values.get("Filters") or values.get("Filter") or []
            objects = chosen(objects, filters, kind.paths)
            shown, token = page(
                objects, values.get("NextToken"), values.get("MaxResults", _PAGE), wrong="InvalidParameterValue"
            )
            return {name: shown, "NextToken": token}

        return describe

    async def describe_vpc_attribute(self, _: Identity, values: dict[str, Any]) -> dict[str, Any]:
        """DescribeVpcAttribute: one attribute of one VPC."""
        vpc_id, attribute = str(values.get("VpcId")), str(values.get("Attribute"))
        for instance in self._state.here():
            network = instance.site.network
            if network is not None and network.vpc_id == vpc_id:
                if attribute not in network.dns:
                    raise ApiError("InvalidParameterValue", f"Value ({attribute}) for parameter attribute is invalid.")
                member = attribute[:1].upper() + attribute[1:]
                return {"VpcId": vpc_id, member: {"Value": network.dns[attribute]}}
        raise ApiError("InvalidVpcID.NotFound", f"The vpc ID '{vpc_id}' does not exist")

    def _prefix_lists(self) -> list[Object]:
        """Return the lists of AWS's own that every region has, here one."""
        region = self._state.asked_region
        return [
            {
                "PrefixListId": "pl-6ea54007",
                "PrefixListName": f"com.amazonaws.{region}.s3",
                "PrefixListArn": f"arn:aws:ec2:{region}:aws:prefix-list/pl-6ea54007",
                "AddressFamily": "IPv4",
                "State": "create-complete",
                "OwnerId": "AWS",
            }
        ]

    async def describe_managed_prefix_lists(self, _: Identity, values: dict[str, Any]) -> dict[str, Any]:
        """DescribeManagedPrefixLists."""
        kind = _Kind("PrefixListId", "InvalidPrefixListID", {"prefix-list-id": "PrefixListId", "owner-id": "OwnerId"})
        lists = self._prefix_lists()
        if values.get(kind.wanted):
            lists = [_one(lists, kind, str(item)) for item in values[kind.wanted]]
        return {"PrefixLists": chosen(lists, values.get("Filters", []), kind.paths)}

    async def get_managed_prefix_list_entries(self, _: Identity, values: dict[str, Any]) -> dict[str, Any]:
        """GetManagedPrefixListEntries: the addresses of S3, none of which are Systems Manager's."""
        wanted = str(values.get("PrefixListId"))
        if wanted not in [item["PrefixListId"] for item in self._prefix_lists()]:
            raise ApiError("InvalidPrefixListID.NotFound", f"The prefix list ID '{wanted}' does not exist.")
        return {"Entries": [{"Cidr": "52.219.44.0/22"}, {"Cidr": "3.5.136.0/22"}]}


def _one(objects: list[Object], kind: _Kind, wanted: str) -> Object:
    for item in objects:
        if item[kind.identifier] == wanted:
            return item
    noun = kind.identifier.removesuffix("Id")
    raise ApiError(f"{kind.error}.NotFound", f"The {noun} ID '{wanted}' does not exist")
