"""The network of an instance, read from EC2's answers as they are decoded."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from ssm_ssh.doctor.packet import Entry, Rule
from ssm_ssh.doctor.vpc import Missing, Network, Route, prefix_lists, read
from tests.doctor.blocks import net

INSTANCE: dict[str, Any] = {
    "vpcId": "vpc-1",
    "subnetId": "subnet-1",
    "privateIpAddress": "10.0.1.5",
    "groupSet": [{"groupId": "sg-1"}],
    "networkInterfaceSet": [{"ipv6AddressesSet": []}, {"ipv6AddressesSet": [{"ipv6Address": "2001:db8::5"}]}],
}
GROUPS = [
    {
        "groupId": "sg-1",
        "ipPermissions": "",
        "ipPermissionsEgress": [
            {
                "ipProtocol": "tcp",
                "fromPort": "443",
                "toPort": "443",
                "ipRanges": [{"cidrIp": "10.0.0.0/16"}, {"cidrIp": "nonsense"}],
                "ipv6Ranges": [{"cidrIpv6": "::/0"}],
                "groups": [{"groupId": "sg-2"}],
                "prefixListIds": [{"prefixListId": "pl-1"}, {"prefixListId": "pl-2"}],
            }
        ],
    },
    {"groupId": "sg-2", "ipPermissions": [{"ipProtocol": "-1"}], "ipPermissionsEgress": ""},
]
ANSWERS: dict[str, Any] = {
    "DescribeSecurityGroups": {"securityGroupInfo": GROUPS},
    "DescribeSubnets": {"subnetSet": [{"subnetId": "subnet-1", "cidrBlock": "10.0.1.0/24"}, {"subnetId": "subnet-6"}]},
    "DescribeNetworkAcls": {
        "networkAclSet": [
            {
                "networkAclId": "acl-1",
                "associationSet": [{"subnetId": "subnet-1"}, {"subnetId": "subnet-2"}],
                "entrySet": [
                    {
                        "ruleNumber": "100",
                        "protocol": "6",
                        "ruleAction": "allow",
                        "egress": "true",
                        "cidrBlock": "0.0.0.0/0",
                        "portRange": {"from": "443", "to": "443"},
                    },
                    {"ruleNumber": "101", "ruleAction": "deny", "egress": "false", "ipv6CidrBlock": "::/0"},
                    {"ruleNumber": "102"},
                ],
            }
        ]
    },
    "DescribeRouteTables": {
        "routeTableSet": [
            {"routeTableId": "rtb-0", "associationSet": [{"main": "true"}], "routeSet": ""},
            {
                "routeTableId": "rtb-1",
                "associationSet": [{"main": "false", "subnetId": "subnet-1"}],
                "routeSet": [
                    {"destinationCidrBlock": "10.0.0.0/16", "gatewayId": "local", "state": "active"},
                    {"destinationCidrBlock": "0.0.0.0/0", "natGatewayId": "nat-1", "state": "blackhole"},
                    {"destinationPrefixListId": "pl-1", "gatewayId": "vpce-9", "state": "active"},
                    {"destinationIpv6CidrBlock": "::/0"},
                ],
            },
            {
                "routeTableId": "rtb-2",
                "associationSet": [{"subnetId": "subnet-2"}],
                "routeSet": [{"destinationCidrBlock": "0.0.0.0/0", "gatewayId": "igw-1", "state": "active"}],
            },
        ]
    },
    "DescribeNatGateways": {
        "natGatewaySet": [
            {"natGatewayId": "nat-1", "state": "available", "connectivityType": "public", "subnetId": "subnet-2"},
            {"natGatewayId": "nat-2", "state": "available", "connectivityType": "private", "subnetId": "subnet-2"},
            {"natGatewayId": "nat-3", "state": "deleted", "subnetId": "subnet-2"},
            {"natGatewayId": "nat-4", "subnetId": "subnet-2"},
            {"natGatewayId": "nat-5", "state": "available", "subnetId": "subnet-3"},
        ]
    },
    "DescribeVpcEndpoints": {
        "vpcEndpointSet": [
            {"vpcEndpointId": "vpce-9", "vpcEndpointType": "Gateway", "serviceName": "com.amazonaws.r.s3"},
            {
                "vpcEndpointId": "vpce-1",
                "vpcEndpointType": "Interface",
                "serviceName": "com.amazonaws.eu-central-1.ssm",
                "state": "Available",
                "privateDnsEnabled": "true",
                "groupSet": [{"groupId": "sg-2"}, {"groupId": "sg-elsewhere"}],
                "subnetIdSet": ["subnet-1", "subnet-6"],
                "policyDocument": "{}",
            },
            {"vpcEndpointId": "vpce-2", "vpcEndpointType": "Interface", "serviceName": "x.ssmmessages"},
        ]
    },
    "enableDnsSupport": {"enableDnsSupport": {"value": "true"}},
    "enableDnsHostnames": {"enableDnsHostnames": {"value": "true"}},
    "prefix lists": {"pl-1": ["52.219.0.0/16"]},
}


def network(**changes: Any) -> Network:  # noqa: ANN401 -- answers
    found = read(INSTANCE, {**ANSWERS, **changes})
    assert isinstance(found, Network)
    return found


def test_the_instance() -> None:
    seen = network()
    assert (seen.vpc_id, seen.subnet_id, seen.groups) == ("vpc-1", "subnet-1", ("sg-1",))
    assert (seen.address, seen.address_6, seen.public_address) == ("10.0.1.5", "2001:db8::5", "")
    bare = read({**INSTANCE, "networkInterfaceSet": []}, ANSWERS)
    assert isinstance(bare, Network)
    assert bare.address_6 == ""


def test_rules_and_entries() -> None:
    seen = network()
    blocks = (net("10.0.0.0/16"), net("::/0"), net("52.219.0.0/16"))
    assert seen.egress == (Rule("tcp", 443, 443, blocks, ("sg-2",), unknown=True),)
    assert seen.acl.entries == (
        Entry(100, True, True, "6", 443, 443, net("0.0.0.0/0")),
        Entry(101, False, False, "-1", 0, 65535, net("::/0")),
    )
    assert [acl.subnet_id for acl in seen.acls] == ["subnet-1", "subnet-2"]
    assert prefix_lists(ANSWERS["DescribeSecurityGroups"]) == ["pl-1", "pl-2"]


def test_routes_and_gateways() -> None:
    seen = network()
    assert seen.table_id == "rtb-1"
    assert seen.routes == (
        Route(net("10.0.0.0/16"), "gateway", "local", True),
        Route(net("0.0.0.0/0"), "NAT gateway", "nat-1", False),
        Route(net("52.219.0.0/16"), "gateway", "vpce-9", True),
        Route(net("::/0"), "", "", True),
    )
    assert seen.gateways == {
        "nat-1": "",
        "nat-2": "is private, and leads to no internet",
        "nat-3": "is deleted",
        "nat-4": "is gone",
        "nat-5": "is in a subnet without a route to an internet gateway",
    }


def test_the_main_table_is_for_subnets_without_one() -> None:
    tables = copy.deepcopy(ANSWERS["DescribeRouteTables"])
    tables["routeTableSet"][1]["associationSet"] = [{"subnetId": "subnet-9"}]
    assert network(DescribeRouteTables=tables).table_id == "rtb-0"


def test_endpoints() -> None:
    first, second = network().endpoints
    assert (first.service, first.available, first.private_dns) == ("ssm", True, True)
    assert first.rules == (Rule("-1", 0, 65535), Rule("-1", 0, 65535, unknown=True))
    assert (first.subnets, first.blocks) == (("subnet-1", "subnet-6"), (net("10.0.1.0/24"),))
    assert (second.service, second.available, second.private_dns, second.subnets) == ("ssmmessages", False, False, ())
    assert network().dns
    assert not network(enableDnsSupport={"enableDnsSupport": {"value": "false"}}).dns


def test_dns_servers_of_the_vpc() -> None:
    assert network().resolvers == ()
    vpcs = {"vpcSet": [{"vpcId": "vpc-1", "dhcpOptionsId": "dopt-1"}, {"vpcId": "vpc-2", "dhcpOptionsId": "dopt-2"}]}
    servers = [{"value": "AmazonProvidedDNS"}, {"value": "10.0.0.9"}]
    configuration: list[dict[str, Any]] = [{"key": "domain-name", "valueSet": []}, {"key": "domain-name-servers"}]
    options = [
        {"dhcpOptionsId": "dopt-1", "dhcpConfigurationSet": configuration},
        {"dhcpOptionsId": "dopt-2", "dhcpConfigurationSet": [{"key": "domain-name-servers", "valueSet": servers}]},
    ]
    answers = {"DescribeVpcs": vpcs, "DescribeDhcpOptions": {"dhcpOptionsSet": options}}
    assert network(**answers).resolvers == ()
    configuration[1]["valueSet"] = servers
    assert network(**answers).resolvers == ("10.0.0.9",)


@pytest.mark.parametrize(
    ("instance", "changes", "what"),
    [
        ({"subnetId": ""}, {}, "its subnet"),
        ({"groupSet": []}, {}, "its security groups"),
        ({"groupSet": [{"groupId": "sg-9"}]}, {}, "its security groups"),
        ({}, {"DescribeNetworkAcls": {}}, "the network ACL of its subnet"),
        ({}, {"DescribeRouteTables": {"routeTableSet": [{"associationSet": ""}]}}, "the route table of its subnet"),
    ],
)
def test_what_answers_do_not_contain(instance: dict[str, Any], changes: dict[str, Any], what: str) -> None:
    assert read({**INSTANCE, **instance}, {**ANSWERS, **changes}) == Missing(what)
