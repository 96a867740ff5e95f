"""The same causes in an independent stand-in for EC2 and IAM: moto's server, with VPCs built by boto3."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple, TypeAlias

import boto3
import pytest

from ssm_ssh.aws.api.client import Api
from ssm_ssh.aws.config.settings import load
from ssm_ssh.doctor import remote
from ssm_ssh.doctor.finding import Finding, State
from ssm_ssh.doctor.instance import Place

pytestmark = pytest.mark.long

REGION = "eu-central-1"
# boto3 makes its clients while it runs; no type tells what they are.
Client: TypeAlias = Any
SERVER = """
import sys
from moto.server import ThreadedMotoServer
server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
server.start()
print(server.get_host_and_port()[1], flush=True)
sys.stdin.read()
server.stop()
"""
CORE = "arn:aws:iam::aws:policy/AmazonSSMManagedInstanceCore"
STORAGE = "arn:aws:iam::aws:policy/AmazonS3ReadOnlyAccess"


class Moto(NamedTuple):
    """A server: its URL, clients of it, and an image."""

    url: str
    ec2: Client
    iam: Client
    image: str


@pytest.fixture(scope="module")
def moto() -> Iterator[Moto]:
    """A server of its own, which ends with its standard input."""
    process = subprocess.Popen(
        [sys.executable, "-I", "-W", "ignore", "-c", SERVER],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env={"MOTO_IAM_LOAD_MANAGED_POLICIES": "true", "PATH": "/usr/bin:/bin"},
        text=True,
    )
    assert process.stdout is not None
    url = f"http://127.0.0.1:{process.stdout.readline().strip()}"
    session = boto3.Session("AKIAIOSFODNN7EXAMPLE", "secret", region_name=REGION)
    ec2, iam = session.client("ec2", endpoint_url=url), session.client("iam", endpoint_url=url)
    image = ec2.describe_images(Owners=["amazon"])["Images"][0]["ImageId"]
    yield Moto(url, ec2, iam, image)
    ec2.close()
    iam.close()
    process.communicate()


class World:
    """A VPC with a private subnet, built with boto3."""

    def __init__(self, moto: Moto) -> None:
        self._moto = moto
        self.ec2, self.iam = moto.ec2, moto.iam
        self.vpc = self.ec2.create_vpc(CidrBlock="10.1.0.0/16")["Vpc"]["VpcId"]
        for name in ("EnableDnsSupport", "EnableDnsHostnames"):
            self.ec2.modify_vpc_attribute(VpcId=self.vpc, **{name: {"Value": True}})
        self.subnet = self._subnet("10.1.1.0/24")
        self.table = self.ec2.create_route_table(VpcId=self.vpc)["RouteTable"]["RouteTableId"]
        self.ec2.associate_route_table(RouteTableId=self.table, SubnetId=self.subnet)
        self.group = self.new_group("instance")
        self.profile = ""

    def _subnet(self, block: str) -> str:
        return str(self.ec2.create_subnet(VpcId=self.vpc, CidrBlock=block)["Subnet"]["SubnetId"])

    def new_group(self, name: str) -> str:
        group = self.ec2.create_security_group(GroupName=name, Description=name, VpcId=self.vpc)
        return str(group["GroupId"])

    def internet_gateway(self) -> str:
        gateway = self.ec2.create_internet_gateway()["InternetGateway"]["InternetGatewayId"]
        self.ec2.attach_internet_gateway(InternetGatewayId=gateway, VpcId=self.vpc)
        return str(gateway)

    def nat(self) -> str:
        """A NAT gateway in a public subnet, and the route to it."""
        public = self._subnet("10.1.2.0/24")
        table = self.ec2.create_route_table(VpcId=self.vpc)["RouteTable"]["RouteTableId"]
        self.ec2.associate_route_table(RouteTableId=table, SubnetId=public)
        self.ec2.create_route(RouteTableId=table, DestinationCidrBlock="0.0.0.0/0", GatewayId=self.internet_gateway())
        address = self.ec2.allocate_address(Domain="vpc")["AllocationId"]
        gateway = self.ec2.create_nat_gateway(SubnetId=public, AllocationId=address)["NatGateway"]["NatGatewayId"]
        self.ec2.create_route(RouteTableId=self.table, DestinationCidrBlock="0.0.0.0/0", NatGatewayId=gateway)
        return str(gateway)

    def endpoints(self, *, private_dns: bool = True, is_open: bool = True, services: str = "ssm ssmmessages") -> None:
        group = self.new_group("endpoint")
        if is_open:
            pair = [{"GroupId": self.group}]
            rule = {"IpProtocol": "tcp", "FromPort": 443, "ToPort": 443, "UserIdGroupPairs": pair}
            self.ec2.authorize_security_group_ingress(GroupId=group, IpPermissions=[rule])
        for service in services.split():
            self.ec2.create_vpc_endpoint(
                VpcEndpointType="Interface",
                VpcId=self.vpc,
                ServiceName=f"com.amazonaws.{REGION}.{service}",
                SubnetIds=[self.subnet],
                SecurityGroupIds=[group],
                PrivateDnsEnabled=private_dns,
            )

    def role(self, name: str, *, service: str = "ec2.amazonaws.com", policy: str = CORE) -> None:
        """A profile of this `name` with a role, for the instance that is launched next."""
        statement = {"Effect": "Allow", "Principal": {"Service": service}, "Action": "sts:AssumeRole"}
        trust = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
        self.iam.create_role(RoleName=name, AssumeRolePolicyDocument=trust)
        self.iam.attach_role_policy(RoleName=name, PolicyArn=policy)
        self.iam.create_instance_profile(InstanceProfileName=name)
        self.iam.add_role_to_instance_profile(InstanceProfileName=name, RoleName=name)
        self.profile = name

    def launch(self) -> str:
        more = {"IamInstanceProfile": {"Name": self.profile}} if self.profile else {}
        [instance] = self.ec2.run_instances(
            ImageId=self._moto.image,
            MinCount=1,
            MaxCount=1,
            SubnetId=self.subnet,
            SecurityGroupIds=[self.group],
            **more,
        )["Instances"]
        return str(instance["InstanceId"])

    def examine(self, instance_id: str) -> list[Finding]:
        env = {
            "AWS_ACCESS_KEY_ID": "AKIAIOSFODNN7EXAMPLE",
            "AWS_SECRET_ACCESS_KEY": "secret",
            "AWS_ENDPOINT_URL": self._moto.url,
            "AWS_CONFIG_FILE": "/dev/null",
            "AWS_SHARED_CREDENTIALS_FILE": "/dev/null",
            "AWS_MAX_ATTEMPTS": "1",  # moto does not know the calls about the agent, and says so with 500
        }
        recorded = remote.collect(Api(load(region=REGION, env=env)), instance_id)
        return remote.check(recorded, instance_id, Place(REGION, REGION))


def healthy(world: World) -> None:
    world.nat()


def by_endpoints(world: World) -> None:
    world.endpoints()


def no_egress(world: World) -> None:
    world.nat()
    rule = {"IpProtocol": "-1", "IpRanges": [{"CidrIp": "0.0.0.0/0"}]}
    world.ec2.revoke_security_group_egress(GroupId=world.group, IpPermissions=[rule])


def narrow_egress(world: World) -> None:
    no_egress(world)
    rule = {"IpProtocol": "tcp", "FromPort": 80, "ToPort": 80, "IpRanges": [{"CidrIp": "0.0.0.0/0"}]}
    world.ec2.authorize_security_group_egress(GroupId=world.group, IpPermissions=[rule])


def no_route(_: World) -> None:
    """A new route table has the local route only."""


def deleted_nat(world: World) -> None:
    world.ec2.delete_nat_gateway(NatGatewayId=world.nat())


def no_public_address(world: World) -> None:
    world.ec2.create_route(
        RouteTableId=world.table, DestinationCidrBlock="0.0.0.0/0", GatewayId=world.internet_gateway()
    )


def endpoint_without_dns(world: World) -> None:
    world.endpoints(private_dns=False)


def endpoint_group_closed(world: World) -> None:
    world.endpoints(is_open=False)


def endpoint_missing(world: World) -> None:
    world.endpoints(services="ssm")


def acl_closed(world: World) -> None:
    world.nat()
    [acl] = world.ec2.describe_network_acls(Filters=[{"Name": "association.subnet-id", "Values": [world.subnet]}])[
        "NetworkAcls"
    ]
    world.ec2.create_network_acl_entry(
        NetworkAclId=acl["NetworkAclId"],
        RuleNumber=50,
        Protocol="6",
        RuleAction="deny",
        Egress=True,
        CidrBlock="0.0.0.0/0",
        PortRange={"From": 443, "To": 443},
    )


@pytest.mark.parametrize(
    ("build", "problem"),
    [
        (healthy, ""),
        (by_endpoints, ""),
        (no_egress, "network: egress"),
        (narrow_egress, "network: egress"),
        (no_route, "network: route"),
        (deleted_nat, "network: nat"),
        (no_public_address, "network: public address"),
        (endpoint_without_dns, "network: endpoint dns"),
        (endpoint_group_closed, "network: endpoint group"),
        (endpoint_missing, "network: endpoint"),
        (acl_closed, "network: acl outbound"),
    ],
)
def test_networks(moto: Moto, build: Callable[[World], None], problem: str) -> None:
    world = World(moto)
    build(world)
    world.role(f"Good-{build.__name__}")
    findings = world.examine(world.launch())
    assert [item.name for item in findings if item.state is State.PROBLEM] == ([problem] if problem else []), findings
    seen = {item.name for item in findings if item.state is State.OK}
    assert {"instance", "status checks", "instance profile", "trust", "role"} <= seen
    assert ("network" in seen) == (not problem)


def test_roles(moto: Moto) -> None:
    world = World(moto)
    world.nat()
    without = world.launch()
    world.role("WrongTrust", service="lambda.amazonaws.com")
    wrong = world.launch()
    world.role("LacksActions", policy=STORAGE)
    lacking = world.launch()
    for instance_id, problem in ((without, "instance profile"), (wrong, "trust"), (lacking, "role")):
        findings = world.examine(instance_id)
        assert [item.name for item in findings if item.state is State.PROBLEM] == [problem], findings


def test_an_instance_that_is_stopped_and_one_that_does_not_exist(moto: Moto) -> None:
    world = World(moto)
    instance_id = world.launch()
    world.ec2.stop_instances(InstanceIds=[instance_id])
    assert world.examine(instance_id)[0].evidence == "it is stopped"
    assert "there is no i-0fffffffffffffffe" in world.examine("i-0fffffffffffffffe")[0].evidence
