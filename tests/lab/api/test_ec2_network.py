"""EC2's network objects through botocore: what is described, filtered, paged and asked for as a dry run."""

from __future__ import annotations

from typing import Any

import pytest
from botocore.exceptions import ClientError

from ssm_ssh.lab.cloud.faults import FAULTS
from tests.lab.api.conftest import EDGE, OFF, STOPPED, WEB, Service, code, message

DESCRIBED = {
    "describe_vpcs": "Vpcs",
    "describe_dhcp_options": "DhcpOptions",
    "describe_subnets": "Subnets",
    "describe_route_tables": "RouteTables",
    "describe_internet_gateways": "InternetGateways",
    "describe_nat_gateways": "NatGateways",
    "describe_security_groups": "SecurityGroups",
    "describe_network_acls": "NetworkAcls",
    "describe_network_interfaces": "NetworkInterfaces",
}


def network(service: Service) -> Any:  # noqa: ANN401 -- the network of an EC2 instance
    return service.state.instances[WEB].site.network


def without_nothing(value: Any) -> Any:  # noqa: ANN401 -- an object of EC2's
    """The object as it arrives: members that are None are not sent."""
    if isinstance(value, dict):
        return {key: without_nothing(item) for key, item in value.items() if item is not None}
    return [without_nothing(item) for item in value] if isinstance(value, list) else value


@pytest.mark.parametrize("operation", DESCRIBED)
def test_objects_arrive_as_the_lab_has_them(service: Service, operation: str) -> None:
    name = DESCRIBED[operation]
    client = service.client("ec2")
    found = getattr(client, operation)()[name]
    mine = network(service).objects[name]
    assert found[: len(mine)] == without_nothing(mine)
    pages = client.get_paginator(operation).paginate(PaginationConfig={"PageSize": 5})
    assert [item for page in pages for item in page[name]] == found


def test_objects_that_faults_bring(service: Service) -> None:
    client = service.client("ec2")
    service.call(lambda: FAULTS["endpoint_without_dns"].change(service.state.instances[WEB].site))
    endpoints = client.describe_vpc_endpoints()["VpcEndpoints"]
    assert [item["ServiceName"].rpartition(".")[2] for item in endpoints] == ["ssm", "ssmmessages", "ec2messages"]
    assert [item["PrivateDnsEnabled"] for item in endpoints] == [False] * 3
    service.call(lambda: FAULTS["ipv6_only"].change(service.state.instances[OFF].site))
    [exit_gateway] = client.describe_egress_only_internet_gateways()["EgressOnlyInternetGateways"]
    assert exit_gateway["Attachments"][0]["State"] == "attached"
    [reservation] = client.describe_instances(InstanceIds=[OFF])["Reservations"]
    assert "PrivateIpAddress" not in reservation["Instances"][0]
    assert reservation["Instances"][0]["Ipv6Address"].startswith("2001:db8:")


def test_objects_by_id_and_by_filter(service: Service) -> None:
    client, mine = service.client("ec2"), network(service)
    [subnet] = client.describe_subnets(SubnetIds=[mine.subnet_id])["Subnets"]
    assert subnet["SubnetId"] == mine.subnet_id

    def tables(name: str, value: str) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = client.describe_route_tables(
            Filters=[{"Name": name, "Values": [value]}, {"Name": "vpc-id", "Values": [mine.vpc_id]}]
        )["RouteTables"]
        return found

    [own] = tables("association.subnet-id", mine.subnet_id)
    [main] = tables("association.main", "true")
    assert [route.get("NatGatewayId", "") for route in own["Routes"]] == [
        "",
        mine.objects["NatGateways"][0]["NatGatewayId"],
    ]
    assert main["Routes"][1]["GatewayId"].startswith("igw-")
    gateways = client.describe_nat_gateways(Filters=[{"Name": "vpc-id", "Values": [mine.vpc_id]}])["NatGateways"]
    assert [item["VpcId"] for item in gateways] == [mine.vpc_id]
    assert tables("tag:Name", "x") == tables("tag-key", "Name") == []


@pytest.mark.parametrize(
    ("operation", "arguments", "expected"),
    [
        ("describe_subnets", {"SubnetIds": ["subnet-1"]}, "InvalidSubnetID.NotFound"),
        ("describe_security_groups", {"GroupIds": ["sg-1"]}, "InvalidGroup.NotFound"),
        ("describe_vpcs", {"Filters": [{"Name": "colour", "Values": ["red"]}]}, "InvalidParameterValue"),
        ("describe_vpc_attribute", {"VpcId": "vpc-1", "Attribute": "enableDnsSupport"}, "InvalidVpcID.NotFound"),
        ("get_managed_prefix_list_entries", {"PrefixListId": "pl-1"}, "InvalidPrefixListID.NotFound"),
        ("describe_vpcs", {"DryRun": True}, "DryRunOperation"),
        ("describe_instances", {"DryRun": True}, "DryRunOperation"),
    ],
)
def test_what_is_refused(service: Service, operation: str, arguments: dict[str, Any], expected: str) -> None:
    with pytest.raises(ClientError) as error:
        getattr(service.client("ec2"), operation)(**arguments)
    assert code(error) == expected


def test_a_dry_run_of_what_is_not_allowed(service: Service) -> None:
    with pytest.raises(ClientError) as error:
        service.client("ec2", "sessions-only").describe_vpcs(DryRun=True)
    assert code(error) == "UnauthorizedOperation"
    assert "ec2:DescribeVpcs" in message(error)


def test_dns_and_prefix_lists(service: Service) -> None:
    client, vpc = service.client("ec2"), network(service).vpc_id
    answer = client.describe_vpc_attribute(VpcId=vpc, Attribute="enableDnsHostnames")
    assert answer["EnableDnsHostnames"] == {"Value": True}
    service.call(lambda: network(service).dns.update(enableDnsSupport=False))
    assert client.describe_vpc_attribute(VpcId=vpc, Attribute="enableDnsSupport")["EnableDnsSupport"] == {
        "Value": False
    }
    [prefix] = client.describe_managed_prefix_lists()["PrefixLists"]
    assert prefix["PrefixListName"] == "com.amazonaws.eu-central-1.s3"
    entries = client.get_managed_prefix_list_entries(PrefixListId=prefix["PrefixListId"])["Entries"]
    assert all(entry["Cidr"].endswith("/22") for entry in entries)


def test_an_instance_shows_its_network_and_profile(service: Service) -> None:
    client, mine = service.client("ec2"), network(service)
    [reservation] = client.describe_instances(InstanceIds=[WEB])["Reservations"]
    [instance] = reservation["Instances"]
    assert (instance["VpcId"], instance["SubnetId"]) == (mine.vpc_id, mine.subnet_id)
    assert instance["SecurityGroups"] == [{"GroupId": mine.group_id, "GroupName": "instance"}]
    assert instance["IamInstanceProfile"]["Arn"].endswith(":instance-profile/SSMInstanceProfile")
    assert [item["PrivateIpAddress"] for item in instance["NetworkInterfaces"]] == ["10.0.0.4"]
    assert "PublicIpAddress" not in instance
    service.call(lambda: FAULTS["public_address"].change(service.state.instances[WEB].site))
    [reservation] = client.describe_instances(InstanceIds=[WEB])["Reservations"]
    assert reservation["Instances"][0]["PublicIpAddress"] == "198.51.100.20"


def test_status_checks(service: Service) -> None:
    client = service.client("ec2")
    service.call(lambda: FAULTS["status_check_failed"].change(service.state.instances[WEB].site))
    [status, _] = client.describe_instance_status()["InstanceStatuses"]
    assert (status["SystemStatus"]["Status"], status["InstanceStatus"]["Status"]) == ("ok", "impaired")
    everything = client.describe_instance_status(IncludeAllInstances=True)["InstanceStatuses"]
    assert [item["InstanceId"] for item in everything] == [WEB, OFF, STOPPED]
    assert everything[2]["InstanceStatus"] == {"Status": "not-applicable"}


def test_an_instance_of_another_region_and_of_another_account(service: Service) -> None:
    site = service.state.instances[WEB].site
    service.call(lambda: FAULTS["other_region"].change(site))
    elsewhere = {"region_name": "eu-west-1"}
    for region, found in (({}, []), (elsewhere, [WEB])):
        client = service.client("ec2", **region)
        shown = client.describe_instances(Filters=[{"Name": "instance-id", "Values": [WEB]}])["Reservations"]
        assert [item["Instances"][0]["InstanceId"] for item in shown] == found
        status = service.client("ssm", **region).get_connection_status(Target=WEB)["Status"]
        assert status == ("connected" if found else "notconnected")
    assert {item["RegionName"] for item in client.describe_regions()["Regions"]} == {"eu-central-1", "eu-west-1"}
    service.call(lambda: FAULTS["other_account"].change(site))
    with pytest.raises(ClientError) as error:
        client.describe_instances(InstanceIds=[WEB])
    assert code(error) == "InvalidInstanceID.NotFound"
    with pytest.raises(ClientError) as error:
        service.client("ssm", **elsewhere).start_session(Target=WEB)
    assert code(error) == "TargetNotConnected"


def test_managed_nodes_have_no_network(service: Service) -> None:
    assert service.state.instances[EDGE].site.network is None
    with pytest.raises(LookupError):
        _ = service.state.instances[EDGE].site.vpc
