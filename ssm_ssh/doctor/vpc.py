"""PURE: the network of one instance, read from EC2's recorded answers (as ec2_query.decode returns them)."""

from __future__ import annotations

from ssm_ssh.doctor.blocks import Block, block
from ssm_ssh.doctor.packet import ALL_PROTOCOLS, Entry, Rule
from ssm_ssh.startup import TYPE_CHECKING, NamedTuple
from ssm_ssh.values import object_member, objects_member, text_member

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Any

_HIGHEST_PORT = 65535
# The members of a route that name its target, and what the target is.
_TARGETS = {
    "gatewayId": "gateway",
    "natGatewayId": "NAT gateway",
    "egressOnlyInternetGatewayId": "egress-only internet gateway",
    "transitGatewayId": "transit gateway",
    "vpcPeeringConnectionId": "peering connection",
    "networkInterfaceId": "network interface",
    "instanceId": "instance",
    "localGatewayId": "local gateway",
    "carrierGatewayId": "carrier gateway",
    "coreNetworkArn": "core network",
}


class Route(NamedTuple):
    """A route: where packets for `block` go. `kind`: what `target` is; `active` is False for a black hole."""

    block: Block
    kind: str
    target: str
    active: bool


class Acl(NamedTuple):
    """The network ACL of a subnet."""

    acl_id: str
    subnet_id: str
    entries: tuple[Entry, ...]


class Endpoint(NamedTuple):
    """An interface endpoint: the `rules` of its groups inwards, and its `policy` as JSON text."""

    endpoint_id: str
    service: str
    available: bool
    private_dns: bool
    groups: tuple[str, ...]
    rules: tuple[Rule, ...]
    subnets: tuple[str, ...]
    blocks: tuple[Block, ...]  # of its subnets
    policy: str


class Network(NamedTuple):
    """The surroundings of one instance. Empty texts are addresses that it does not have."""

    vpc_id: str
    subnet_id: str
    address: str
    address_6: str
    public_address: str
    groups: tuple[str, ...]
    egress: tuple[Rule, ...]
    acl: Acl
    acls: tuple[Acl, ...]  # of all subnets of the VPC
    table_id: str
    routes: tuple[Route, ...]
    gateways: Mapping[str, str]  # what is wrong with each NAT gateway by id, "" for nothing
    endpoints: tuple[Endpoint, ...]
    dns: bool  # the VPC resolves names, and private DNS names of endpoints
    resolvers: tuple[str, ...] = ()  # DNS servers of the VPC that are not AWS's


class Missing(NamedTuple):
    """Something that EC2's answers do not contain; `what` in words."""

    what: str


def read(instance: Mapping[str, Any], answers: Mapping[str, Mapping[str, Any]]) -> Network | Missing:
    """Return the network of `instance`, a described one.

    `answers`: those of DescribeSecurityGroups, DescribeSubnets, DescribeNetworkAcls, DescribeRouteTables,
    DescribeNatGateways and DescribeVpcEndpoints by their names, those of DescribeVpcAttribute by that of the attribute,
    and "prefix lists": the blocks of each list by its id. Those of DescribeVpcs and DescribeDhcpOptions may be missing.
    """
    subnet_id, vpc_id = text_member(instance, "subnetId"), text_member(instance, "vpcId")
    if not subnet_id:
        return Missing("its subnet")
    lists = answers.get("prefix lists", {})
    groups = {
        text_member(item, "groupId"): item
        for item in objects_member(answers["DescribeSecurityGroups"], "securityGroupInfo")
    }
    mine = tuple(text_member(item, "groupId") for item in objects_member(instance, "groupSet"))
    if not mine or set(mine) - set(groups):
        return Missing("its security groups")
    acls = _acls(answers["DescribeNetworkAcls"])
    acl = next((item for item in acls if item.subnet_id == subnet_id), None)
    if acl is None:
        return Missing("the network ACL of its subnet")
    tables = objects_member(answers["DescribeRouteTables"], "routeTableSet")
    table = _with_subnet(tables, subnet_id) or _main(tables)
    if table is None:
        return Missing("the route table of its subnet")
    subnets = {
        text_member(item, "subnetId"): found
        for item in objects_member(answers["DescribeSubnets"], "subnetSet")
        if (found := block(text_member(item, "cidrBlock"))) is not None
    }
    return Network(
        vpc_id=vpc_id,
        subnet_id=subnet_id,
        address=text_member(instance, "privateIpAddress"),
        address_6=_address_6(instance),
        public_address=text_member(instance, "ipAddress"),
        groups=mine,
        egress=tuple(rule for group in mine for rule in _rules(groups[group], "ipPermissionsEgress", lists)),
        acl=acl,
        acls=acls,
        table_id=text_member(table, "routeTableId"),
        routes=_routes(table, lists),
        gateways={
            text_member(item, "natGatewayId"): _gateway(item, tables, lists)
            for item in objects_member(answers["DescribeNatGateways"], "natGatewaySet")
        },
        endpoints=tuple(
            _endpoint(item, groups, lists, subnets)
            for item in objects_member(answers["DescribeVpcEndpoints"], "vpcEndpointSet")
            if text_member(item, "vpcEndpointType") == "Interface"
        ),
        dns=all(
            text_member(object_member(answers[name], name), "value") == "true"
            for name in ("enableDnsSupport", "enableDnsHostnames")
        ),
        resolvers=_resolvers(answers, vpc_id),
    )


def prefix_lists(answer: Mapping[str, Any]) -> list[str]:
    """Return the ids of the prefix lists that the groups in the answer of DescribeSecurityGroups name."""
    found = {
        text_member(item, "prefixListId")
        for group in objects_member(answer, "securityGroupInfo")
        for direction in ("ipPermissions", "ipPermissionsEgress")
        for rule in objects_member(group, direction)
        for item in objects_member(rule, "prefixListIds")
    }
    return sorted(found - {""})


def _resolvers(answers: Mapping[str, Mapping[str, Any]], vpc_id: str) -> tuple[str, ...]:
    """Return the DNS servers in the DHCP options of the VPC, but for AWS's own."""
    chosen = {
        text_member(item, "dhcpOptionsId")
        for item in objects_member(answers.get("DescribeVpcs", {}), "vpcSet")
        if text_member(item, "vpcId") == vpc_id
    }
    return tuple(
        address
        for item in objects_member(answers.get("DescribeDhcpOptions", {}), "dhcpOptionsSet")
        if text_member(item, "dhcpOptionsId") in chosen
        for part in objects_member(item, "dhcpConfigurationSet")
        if text_member(part, "key") == "domain-name-servers"
        for value in objects_member(part, "valueSet")
        if (address := text_member(value, "value")) not in ("", "AmazonProvidedDNS", "169.254.169.253")
    )


def _with_subnet(items: Sequence[dict[str, Any]], subnet_id: str) -> dict[str, Any] | None:
    for item in items:
        if any(text_member(part, "subnetId") == subnet_id for part in objects_member(item, "associationSet")):
            return item
    return None


def _main(tables: Sequence[dict[str, Any]]) -> dict[str, Any] | None:
    for table in tables:
        if any(text_member(part, "main") == "true" for part in objects_member(table, "associationSet")):
            return table
    return None


def _address_6(instance: Mapping[str, Any]) -> str:
    for interface in objects_member(instance, "networkInterfaceSet"):
        for item in objects_member(interface, "ipv6AddressesSet"):
            return text_member(item, "ipv6Address")
    return ""


def _rules(group: Mapping[str, Any], direction: str, lists: Mapping[str, Any]) -> list[Rule]:
    rules = []
    for item in objects_member(group, direction):
        texts = [text_member(part, "cidrIp") for part in objects_member(item, "ipRanges")]
        texts += [text_member(part, "cidrIpv6") for part in objects_member(item, "ipv6Ranges")]
        names = [text_member(part, "prefixListId") for part in objects_member(item, "prefixListIds")]
        texts += [text for name in names for text in lists.get(name, ())]
        rules.append(
            Rule(
                text_member(item, "ipProtocol"),
                _number(item, "fromPort", 0),
                _number(item, "toPort", _HIGHEST_PORT),
                _blocks(texts),
                tuple(text_member(part, "groupId") for part in objects_member(item, "groups")),
                unknown=any(name not in lists for name in names),
            )
        )
    return rules


def _acls(answer: Mapping[str, Any]) -> tuple[Acl, ...]:
    return tuple(
        Acl(text_member(item, "networkAclId"), text_member(part, "subnetId"), _entries(item))
        for item in objects_member(answer, "networkAclSet")
        for part in objects_member(item, "associationSet")
    )


def _entries(acl: Mapping[str, Any]) -> tuple[Entry, ...]:
    entries = []
    for item in objects_member(acl, "entrySet"):
        network = block(text_member(item, "cidrBlock") or text_member(item, "ipv6CidrBlock"))
        if network is not None:
            ports = object_member(item, "portRange")
            entries.append(
                Entry(
                    _number(item, "ruleNumber", 0),
                    text_member(item, "egress") == "true",
                    text_member(item, "ruleAction") == "allow",
                    text_member(item, "protocol") or ALL_PROTOCOLS,
                    _number(ports, "from", 0),
                    _number(ports, "to", _HIGHEST_PORT),
                    network,
                )
            )
    return tuple(entries)


def _routes(table: Mapping[str, Any], lists: Mapping[str, Any]) -> tuple[Route, ...]:
    routes = []
    for item in objects_member(table, "routeSet"):
        texts = [text_member(item, "destinationCidrBlock") or text_member(item, "destinationIpv6CidrBlock")]
        texts += lists.get(text_member(item, "destinationPrefixListId"), ())
        kind, target = next(
            ((kind, text_member(item, name)) for name, kind in _TARGETS.items() if text_member(item, name)), ("", "")
        )
        active = text_member(item, "state") != "blackhole"
        routes += [Route(network, kind, target, active) for network in _blocks(texts)]
    return tuple(routes)


def _gateway(item: Mapping[str, Any], tables: Sequence[dict[str, Any]], lists: Mapping[str, Any]) -> str:
    """Return what is wrong with a NAT gateway: its state, its kind, or the routes of its own subnet; "" for nothing."""
    state = text_member(item, "state")
    if state != "available":
        return f"is {state or 'gone'}"
    if text_member(item, "connectivityType") == "private":
        return "is private, and leads to no internet"
    table = _with_subnet(tables, text_member(item, "subnetId")) or _main(tables) or {}
    out = [route for route in _routes(table, lists) if route.target.startswith("igw-") and route.active]
    return "" if out else "is in a subnet without a route to an internet gateway"


def _endpoint(
    item: Mapping[str, Any],
    groups: Mapping[str, Mapping[str, Any]],
    lists: Mapping[str, Any],
    blocks: Mapping[str, Block],
) -> Endpoint:
    own = tuple(text_member(part, "groupId") for part in objects_member(item, "groupSet"))
    rules = [rule for group in own if group in groups for rule in _rules(groups[group], "ipPermissions", lists)]
    if set(own) - set(groups):  # of another account, in a shared VPC
        rules.append(Rule(ALL_PROTOCOLS, 0, _HIGHEST_PORT, unknown=True))
    names = item.get("subnetIdSet")
    subnets = tuple(str(name) for name in names) if isinstance(names, list) else ()
    return Endpoint(
        endpoint_id=text_member(item, "vpcEndpointId"),
        service=text_member(item, "serviceName").rpartition(".")[2],
        available=text_member(item, "state").lower() == "available",
        private_dns=text_member(item, "privateDnsEnabled") == "true",
        groups=own,
        rules=tuple(rules),
        subnets=subnets,
        blocks=tuple(blocks[name] for name in subnets if name in blocks),
        policy=text_member(item, "policyDocument"),
    )


def _blocks(texts: Sequence[str]) -> tuple[Block, ...]:
    return tuple(network for network in map(block, texts) if network is not None)


def _number(values: Mapping[str, Any], name: str, default: int) -> int:
    text = text_member(values, name)
    return int(text) if text.lstrip("-").isdigit() and len(text) < 8 else default
