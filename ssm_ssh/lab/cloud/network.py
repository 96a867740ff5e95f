# Over 350 lines: the objects of a VPC stand here whole, as EC2 describes them.
"""The VPC of one EC2 instance, as the objects that EC2 describes, with the names of its API.

Each instance has a VPC of its own, so that a fault of a network concerns one instance. By default the instance is in a
private subnet, and reaches Systems Manager through a NAT gateway in a public one.
https://docs.aws.amazon.com/vpc/latest/userguide/VPC_Scenario2.html
"""

from __future__ import annotations

import hashlib
import json

from ssm_ssh.lab.cloud.rules import ANYWHERE, ANYWHERE_6, Object, acl_entry, permission

SERVICES = ("ssm", "ssmmessages", "ec2messages")
# The number of the rule that denies what no other rule of a network ACL allows; it cannot be changed.
_LAST_RULE = 32767
_RANGE, _RANGE_6 = "10.0.0.0/16", "2001:db8:1234:1a00::/56"
_PUBLIC, _SUBNET_6 = "10.0.255.0/24", "2001:db8:1234:1a00::/64"
_ADDRESS_6 = "2001:db8:1234:1a00::4"


class Network:
    """The objects of one VPC. `objects`: by the name of the list that the operation Describe... returns them in."""

    def __init__(self, instance_id: str, address: str, *, region: str, account: str) -> None:
        """`address` is the instance's private address, in 10.0.0.0/16."""
        self._instance_id, self._region, self._account = instance_id, region, account
        self.address = address
        self.address_6 = ""
        self.public_address = ""
        self.zone = f"{region}a"
        self.vpc_id, self.group_id, self.endpoint_group_id = self._id("vpc"), self._id("sg"), self._id("sg", 2)
        self.subnet_id, self.public_subnet_id = self._id("subnet"), self._id("subnet", 2)
        self._gateway_id, self._nat_id, self._exit_id = self._id("igw"), self._id("nat"), self._id("eigw")
        self.dns = {"enableDnsSupport": True, "enableDnsHostnames": True}
        private = ".".join([*address.split(".")[:3], "0/24"])
        self.objects: dict[str, list[Object]] = {
            "Vpcs": [self._vpc()],
            "DhcpOptions": [self._dhcp_options()],
            "Subnets": [self._subnet(self.subnet_id, private), self._subnet(self.public_subnet_id, _PUBLIC)],
            "RouteTables": [],
            "InternetGateways": [
                {
                    "InternetGatewayId": self._gateway_id,
                    "Attachments": [{"State": "available", "VpcId": self.vpc_id}],
                    "OwnerId": account,
                    "Tags": [],
                }
            ],
            "EgressOnlyInternetGateways": [],
            "NatGateways": [self._nat_gateway()],
            "SecurityGroups": [self._group(self.group_id, "instance"), self._group(self.endpoint_group_id, "endpoint")],
            "NetworkAcls": [self._acl()],
            "VpcEndpoints": [],
            "NetworkInterfaces": [],
        }
        self.set_routes([self.route(NatGatewayId=self._nat_id)])
        self._set_interface()

    def _id(self, kind: str, number: int = 1) -> str:
        digest = hashlib.sha256(f"{self._instance_id} {kind} {number}".encode()).hexdigest()
        return f"{kind}-0{digest[:16]}"

    def _vpc(self) -> Object:
        return {
            "VpcId": self.vpc_id,
            "CidrBlock": _RANGE,
            "CidrBlockAssociationSet": [
                {
                    "AssociationId": self._id("vpc-cidr-assoc"),
                    "CidrBlock": _RANGE,
                    "CidrBlockState": {"State": "associated"},
                }
            ],
            "DhcpOptionsId": self._id("dopt"),
            "InstanceTenancy": "default",
            "IsDefault": False,
            "OwnerId": self._account,
            "State": "available",
            "Tags": [],
        }

    def _dhcp_options(self) -> Object:
        domain = f"{self._region}.compute.internal"
        return {
            "DhcpOptionsId": self._id("dopt"),
            "DhcpConfigurations": [
                {"Key": "domain-name", "Values": [{"Value": domain}]},
                {"Key": "domain-name-servers", "Values": [{"Value": "AmazonProvidedDNS"}]},
            ],
            "OwnerId": self._account,
            "Tags": [],
        }

    def _subnet(self, subnet_id: str, block: str) -> Object:
        return {
            "SubnetId": subnet_id,
            "SubnetArn": f"arn:aws:ec2:{self._region}:{self._account}:subnet/{subnet_id}",
            "VpcId": self.vpc_id,
            "CidrBlock": block,
            "AvailabilityZone": self.zone,
            "AvailableIpAddressCount": 250,
            "AssignIpv6AddressOnCreation": False,
            "DefaultForAz": False,
            "EnableDns64": False,
            "Ipv6CidrBlockAssociationSet": [],
            "Ipv6Native": False,
            "MapPublicIpOnLaunch": subnet_id == self.public_subnet_id,
            "OwnerId": self._account,
            "State": "available",
            "Tags": [],
        }

    def _nat_gateway(self) -> Object:
        return {
            "NatGatewayId": self._nat_id,
            "VpcId": self.vpc_id,
            "SubnetId": self.public_subnet_id,
            "ConnectivityType": "public",
            "State": "available",
            "NatGatewayAddresses": [
                {
                    "AllocationId": self._id("eipalloc"),
                    "NetworkInterfaceId": self._id("eni", 2),
                    "PrivateIp": "10.0.255.10",
                    "PublicIp": "198.51.100.10",
                }
            ],
            "Tags": [],
        }

    def _group(self, group_id: str, name: str) -> Object:
        return {
            "GroupId": group_id,
            "GroupName": name,
            "Description": name,
            "OwnerId": self._account,
            "VpcId": self.vpc_id,
            "IpPermissions": [],
            "IpPermissionsEgress": [permission("-1", blocks=(ANYWHERE,))],
            "Tags": [],
        }

    def _acl(self) -> Object:
        acl_id = self._id("acl")
        return {
            "NetworkAclId": acl_id,
            "VpcId": self.vpc_id,
            "IsDefault": True,
            "OwnerId": self._account,
            "Associations": [
                {
                    "NetworkAclAssociationId": self._id("aclassoc", number),
                    "NetworkAclId": acl_id,
                    "SubnetId": subnet_id,
                }
                for number, subnet_id in enumerate((self.subnet_id, self.public_subnet_id), 1)
            ],
            "Entries": [
                entry
                for egress in (True, False)
                for entry in (
                    acl_entry(100, egress=egress, action="allow"),
                    acl_entry(_LAST_RULE, egress=egress, action="deny"),
                )
            ],
            "Tags": [],
        }

    # Changes

    def route(self, destination: str = ANYWHERE, *, state: str = "active", **target: str) -> Object:
        """Return a route to `target` (GatewayId, NatGatewayId or EgressOnlyInternetGatewayId)."""
        key = "DestinationIpv6CidrBlock" if ":" in destination else "DestinationCidrBlock"
        return {key: destination, "Origin": "CreateRoute", "State": state, **target}

    def set_routes(self, routes: list[Object]) -> None:
        """Make `routes`, and the local one, those of the instance's subnet; the public subnet has the main table."""
        local = {
            "DestinationCidrBlock": _RANGE,
            "GatewayId": "local",
            "Origin": "CreateRouteTable",
            "State": "active",
        }
        tables = []
        for number, (subnet_id, own) in enumerate(
            ((self.subnet_id, routes), ("", [self.route(GatewayId=self._gateway_id)])), 1
        ):
            table_id = self._id("rtb", number)
            association = {
                "RouteTableAssociationId": self._id("rtbassoc", number),
                "RouteTableId": table_id,
                "Main": not subnet_id,
                "AssociationState": {"State": "associated"},
                **({"SubnetId": subnet_id} if subnet_id else {}),
            }
            tables.append(
                {
                    "RouteTableId": table_id,
                    "VpcId": self.vpc_id,
                    "OwnerId": self._account,
                    "Associations": [association],
                    "Routes": [local, *own],
                    "PropagatingVgws": [],
                    "Tags": [],
                }
            )
        self.objects["RouteTables"] = tables

    def lose_nat(self) -> None:
        """Delete the NAT gateway: the route to it stays as a black hole."""
        self.objects["NatGateways"][0]["State"] = "deleted"
        self.set_routes([self.route(NatGatewayId=self._nat_id, state="blackhole")])

    def use_internet_gateway(self, public_address: str) -> None:
        """Put the instance into a subnet with a route to the internet gateway; "" for no public address."""
        self.set_routes([self.route(GatewayId=self._gateway_id)])
        self.public_address = public_address
        self._set_interface()

    def use_ipv6_only(self) -> None:
        """Give the instance an IPv6 address and no other, with a way out."""
        for association in ("Ipv6CidrBlockAssociationSet",):
            self.objects["Vpcs"][0][association] = [
                {
                    "AssociationId": self._id("vpc-cidr-assoc", 2),
                    "Ipv6CidrBlock": _RANGE_6,
                    "Ipv6CidrBlockState": {"State": "associated"},
                }
            ]
            self.objects["Subnets"][0][association] = [
                {
                    "AssociationId": self._id("subnet-cidr-assoc"),
                    "Ipv6CidrBlock": _SUBNET_6,
                    "Ipv6CidrBlockState": {"State": "associated"},
                }
            ]
        subnet = self.objects["Subnets"][0]
        subnet["Ipv6Native"], subnet["AssignIpv6AddressOnCreation"] = True, True
        del subnet["CidrBlock"]
        self.objects["EgressOnlyInternetGateways"] = [
            {
                "EgressOnlyInternetGatewayId": self._exit_id,
                "Attachments": [{"State": "attached", "VpcId": self.vpc_id}],
                "Tags": [],
            }
        ]
        self.set_routes([self.route(ANYWHERE_6, EgressOnlyInternetGatewayId=self._exit_id)])
        self.objects["SecurityGroups"][0]["IpPermissionsEgress"].append(permission("-1", blocks_6=(ANYWHERE_6,)))
        self.objects["NetworkAcls"][0]["Entries"] += [
            acl_entry(101, egress=egress, action="allow", block=ANYWHERE_6) for egress in (True, False)
        ]
        self.address, self.address_6 = "", _ADDRESS_6
        self._set_interface()

    def use_endpoints(
        self,
        services: tuple[str, ...] = SERVICES,
        *,
        private_dns: bool = True,
        sources: tuple[str, ...] = (_RANGE,),
        policy: Object | None = None,
    ) -> None:
        """Take the way to the internet away, and add endpoints for `services`.

        `sources` may reach their port 443; `policy` is the document of each, all being allowed by default.
        """
        self.set_routes([])
        allowed = [permission("tcp", 443, 443, blocks=sources)] if sources else []
        self.objects["SecurityGroups"][1]["IpPermissions"] = allowed
        everything = {"Statement": [{"Action": "*", "Effect": "Allow", "Principal": "*", "Resource": "*"}]}
        self.objects["VpcEndpoints"] = [
            {
                "VpcEndpointId": self._id("vpce", number),
                "VpcEndpointType": "Interface",
                "VpcId": self.vpc_id,
                "ServiceName": f"com.amazonaws.{self._region}.{service}",
                "State": "available",
                "PolicyDocument": json.dumps(policy or everything),
                "RouteTableIds": [],
                "SubnetIds": [self.subnet_id],
                "Groups": [{"GroupId": self.endpoint_group_id, "GroupName": "endpoint"}],
                "IpAddressType": "ipv4",
                "DnsOptions": {"DnsRecordIpType": "ipv4"},
                "PrivateDnsEnabled": private_dns,
                "RequesterManaged": False,
                "NetworkInterfaceIds": [self._id("eni", 10 + number)],
                "DnsEntries": [],
                "OwnerId": self._account,
                "Tags": [],
            }
            for number, service in enumerate(services, 1)
        ]

    def close_egress(self) -> None:
        """Let the instance's group allow nothing outwards."""
        self.objects["SecurityGroups"][0]["IpPermissionsEgress"] = []

    def set_acl(self, entries: list[Object]) -> None:
        """Make `entries` and the last rules those of the network ACL."""
        last = [acl_entry(_LAST_RULE, egress=egress, action="deny") for egress in (True, False)]
        self.objects["NetworkAcls"][0]["Entries"] = [*entries, *last]

    # What an instance shows

    def _set_interface(self) -> None:
        addresses = [self._private_address()] if self.address else []
        interface = {
            "NetworkInterfaceId": self._id("eni"),
            "SubnetId": self.subnet_id,
            "VpcId": self.vpc_id,
            "AvailabilityZone": self.zone,
            "Description": "",
            "Groups": self.groups,
            "InterfaceType": "interface",
            "Ipv6Addresses": [{"Ipv6Address": self.address_6}] if self.address_6 else [],
            "OwnerId": self._account,
            "PrivateIpAddress": self.address or None,
            "PrivateIpAddresses": addresses,
            "SourceDestCheck": True,
            "Status": "in-use",
            "Attachment": {
                "AttachmentId": self._id("eni-attach"),
                "DeviceIndex": 0,
                "InstanceId": self._instance_id,
                "Status": "attached",
            },
            "Association": self._association(),
            "TagSet": [],
        }
        self.objects["NetworkInterfaces"] = [interface]

    def _association(self) -> Object | None:
        if not self.public_address:
            return None
        return {"IpOwnerId": "amazon", "PublicDnsName": self.public_name, "PublicIp": self.public_address}

    def _private_address(self) -> Object:
        out: Object = {"Primary": True, "PrivateIpAddress": self.address}
        association = self._association()
        return out if association is None else {**out, "Association": association}

    @property
    def public_name(self) -> str:
        """The public DNS name, "" for none."""
        host = f"ec2-{self.public_address.replace('.', '-')}.{self._region}.compute.amazonaws.com"
        return host if self.public_address else ""

    @property
    def groups(self) -> list[Object]:
        """The groups of the instance, as DescribeInstances names them."""
        return [{"GroupId": self.group_id, "GroupName": "instance"}]

    @property
    def described_interfaces(self) -> list[Object]:
        """The interfaces as DescribeInstances shows them."""
        hidden = ("AvailabilityZone", "TagSet")
        return [
            {key: value for key, value in interface.items() if key not in hidden}
            for interface in self.objects["NetworkInterfaces"]
        ]
