"""EC2 and EC2 Instance Connect: instances, their consoles, and pushed keys."""

from __future__ import annotations

import base64
import fnmatch
import re
import uuid
from typing import Any

from ssm_ssh.lab.api.context import ApiError, Operation, ServiceContext, page
from ssm_ssh.lab.cloud.site import OTHER_REGION
from ssm_ssh.lab.identity.identities import Identity
from ssm_ssh.lab.state import InstanceRecord
from ssm_ssh.lab.wire import rpc

_STATES = {"pending": 0, "running": 16, "shutting-down": 32, "terminated": 48, "stopping": 64, "stopped": 80}
_PAGE = 1000
_ID = re.compile(r"i-(?:[0-9a-f]{8}|[0-9a-f]{17})")
# https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/ec2-instance-connect-methods.html
_KEY_TYPES = {"ssh-rsa": "RSA", "ssh-ed25519": "ED25519"}


class Ec2:
    """The operations of `ec2` and `ec2-instance-connect`."""

    def __init__(self, context: ServiceContext) -> None:
        self._context = context
        self._state = context.state

    def operations(self) -> dict[str, Operation]:
        """Return EC2's operations by name."""
        return {
            "DescribeInstances": Operation(self.describe_instances),
            "DescribeInstanceStatus": Operation(self.describe_instance_status),
            "DescribeRegions": Operation(self.describe_regions),
            "GetConsoleOutput": Operation(self.get_console_output, self._instance_arn),
        }

    def connect_operations(self) -> dict[str, Operation]:
        """Return EC2 Instance Connect's operations by name."""
        return {"SendSSHPublicKey": Operation(self.send_ssh_public_key, self._instance_arn)}

    def _instance_arn(self, values: dict[str, Any]) -> str:
        return self._context.instance_arn(str(values.get("InstanceId")))

    def _instance(self, instance_id: str) -> InstanceRecord:
        if not _ID.fullmatch(instance_id):
            raise ApiError("InvalidInstanceID.Malformed", f'Invalid id: "{instance_id}"')
        instance = self._state.instance_here(instance_id)
        if instance is None:
            raise ApiError("InvalidInstanceID.NotFound", f"The instance ID '{instance_id}' does not exist")
        return instance

    async def describe_instances(self, _: Identity, values: dict[str, Any]) -> dict[str, Any]:
        """DescribeInstances: by ids, by filters, in pages."""
        if "InstanceIds" in values:
            instances = [self._instance(item) for item in values["InstanceIds"]]
        else:
            instances = [instance for instance in self._state.here() if not instance.hybrid]
        for filter_ in values.get("Filters", []):
            instances = [
                instance
                for instance in instances
                if self._matches(instance, filter_["Name"], filter_.get("Values", []))
            ]
        shown, token = page(
            instances, values.get("NextToken"), values.get("MaxResults", _PAGE), wrong="InvalidParameterValue"
        )
        reservations = [
            {
                "ReservationId": "r-0" + instance.instance_id[-16:],
                "OwnerId": self._state.account,
                "Groups": [],
                "Instances": [self._described(instance)],
            }
            for instance in shown
        ]
        return {"Reservations": reservations, "NextToken": token}

    async def describe_instance_status(self, _: Identity, values: dict[str, Any]) -> dict[str, Any]:
        """DescribeInstanceStatus: of those that run, unless all are asked for."""
        if values.get("InstanceIds"):
            instances = [self._instance(item) for item in values["InstanceIds"]]
        else:
            instances = [instance for instance in self._state.here() if not instance.hybrid]
        if not values.get("IncludeAllInstances"):
            instances = [instance for instance in instances if instance.state == "running"]
        shown, token = page(
            instances, values.get("NextToken"), values.get("MaxResults", _PAGE), wrong="InvalidParameterValue"
        )
        return {"InstanceStatuses": [self._status(instance) for instance in shown], "NextToken": token}

    def _status(self, instance: InstanceRecord) -> dict[str, Any]:
        def summary(status: str) -> dict[str, Any]:
            if instance.state != "running":
                return {"Status": "initializing" if instance.state == "pending" else "not-applicable"}
            detail = {"Name": "reachability", "Status": "passed" if status == "ok" else "failed"}
            return {"Status": status, "Details": [detail]}

        return {
            "InstanceId": instance.instance_id,
            "AvailabilityZone": f"{instance.site.region}a",
            "InstanceState": {"Code": _STATES[instance.state], "Name": instance.state},
            "SystemStatus": summary(instance.site.system_status),
            "InstanceStatus": summary(instance.site.instance_status),
            "Events": [],
        }

    async def describe_regions(self, _: Identity, __: dict[str, Any]) -> dict[str, Any]:
        """DescribeRegions: the lab's, and another one."""
        return {
            "Regions": [
                {
                    "RegionName": name,
                    "Endpoint": f"ec2.{name}.amazonaws.com",
                    "OptInStatus": "opt-in-not-required",
                }
                for name in sorted({self._state.region, OTHER_REGION})
            ]
        }

    def _described(self, instance: InstanceRecord) -> dict[str, Any]:
        return {**self._machine(instance), **_surroundings(instance)}

    def _machine(self, instance: InstanceRecord) -> dict[str, Any]:
        return {
            "InstanceId": instance.instance_id,
            "ImageId": "ami-0" + instance.instance_id[-16:],
            "StateReason": _reason(instance),
            "State": {"Code": _STATES[instance.state], "Name": instance.state},
            "PrivateDnsName": self._dns_name(instance),
            "PublicDnsName": "",
            "InstanceType": "t3.micro",
            "LaunchTime": instance.launched,
            "Placement": {"AvailabilityZone": f"{instance.site.region}a", "GroupName": "", "Tenancy": "default"},
            "Monitoring": {"State": "disabled"},
            "PrivateIpAddress": instance.address,
            "Architecture": "x86_64",
            "RootDeviceName": "/dev/xvda",
            "RootDeviceType": "ebs",
            "VirtualizationType": "hvm",
            "Hypervisor": "xen",
            "PlatformDetails": "Linux/UNIX",
            "Tags": [{"Key": key, "Value": value} for key, value in instance.tags.items()],
        }

    def _dns_name(self, instance: InstanceRecord) -> str:
        return f"ip-{instance.address.replace('.', '-')}.{self._state.region}.compute.internal"

    def _matches(self, instance: InstanceRecord, name: str, patterns: list[str]) -> bool:
        if name.startswith("tag:"):
            values = [instance.tags[name[4:]]] if name[4:] in instance.tags else []
        elif name == "tag-key":
            values = list(instance.tags)
        else:
            facts = {
                "instance-id": instance.instance_id,
                "instance-state-name": instance.state,
                "instance-state-code": str(_STATES[instance.state]),
                "private-ip-address": instance.address,
                "private-dns-name": self._dns_name(instance),
                "network-interface.addresses.private-ip-address": instance.address,
                "network-interface.ipv6-addresses.ipv6-address": "",
                "availability-zone": f"{self._state.region}a",
                "ip-address": "",
                "dns-name": "",
            }
            if name not in facts:
                raise ApiError("InvalidParameterValue", f"The filter '{name}' is invalid")
            values = [facts[name]]
        # EC2 knows * and ? but no brackets.
        return any(fnmatch.fnmatchcase(item, pattern.replace("[", "[[]")) for item in values for pattern in patterns)

    async def get_console_output(self, _: Identity, values: dict[str, Any]) -> dict[str, Any]:
        """GetConsoleOutput: base64, and nothing until the instance has been up for a while."""
        instance = self._instance(values["InstanceId"])
        out: dict[str, Any] = {"InstanceId": instance.instance_id}
        if self._state.clock() < self._state.started + self._state.options.console_delay:
            return {**out, "Timestamp": self._state.clock()}
        try:
            result = await self._context.instances.call("console_output", instance_id=instance.instance_id)
        except rpc.CallFailed as error:
            raise ApiError(error.code, error.message) from None
        text = base64.b64encode(result["output"].encode("utf-8", "surrogateescape")).decode()
        return {**out, "Timestamp": result["timestamp"], "Output": text}

    async def send_ssh_public_key(self, caller: Identity, values: dict[str, Any]) -> dict[str, Any]:
        """SendSSHPublicKey: succeeds whether or not the instance looks keys up."""
        instance_id, user = values["InstanceId"], values["InstanceOSUser"]
        if caller.os_users and user not in caller.os_users:
            action = "ec2-instance-connect:SendSSHPublicKey"
            raise ApiError("AccessDeniedException", caller.denied_sentence(action, self._instance_arn(values)))
        key = values["SSHPublicKey"].strip()
        _check_key(key)
        instance = self._state.instance_here(instance_id)
        if instance is None:
            raise ApiError("EC2InstanceNotFoundException", f"Instance {instance_id} not found")
        if instance.state != "running":
            raise ApiError("EC2InstanceStateInvalidException", f"Instance {instance_id} is not in running state")
        try:
            await self._context.instances.call("push_key", instance_id=instance_id, user=user, public_key=key)
        except rpc.CallFailed as error:
            raise ApiError(error.code, error.message) from None
        return {"RequestId": str(uuid.uuid4()), "Success": True}


def _surroundings(instance: InstanceRecord) -> dict[str, Any]:
    """Return what DescribeInstances shows of an instance's network and role; a terminated instance has neither."""
    site = instance.site
    if instance.state == "terminated":
        return {"PrivateIpAddress": None, "PrivateDnsName": "", "SecurityGroups": [], "NetworkInterfaces": []}
    network = site.vpc
    return {
        "PrivateIpAddress": network.address or None,
        "Ipv6Address": network.address_6 or None,
        "PublicIpAddress": network.public_address or None,
        "PublicDnsName": network.public_name,
        "VpcId": network.vpc_id,
        "SubnetId": network.subnet_id,
        "SecurityGroups": network.groups,
        "NetworkInterfaces": network.described_interfaces,
        "SourceDestCheck": True,
        "IamInstanceProfile": site.role.profile if site.role.has_profile else None,
        "MetadataOptions": {
            "State": "applied",
            "HttpTokens": "required",
            "HttpPutResponseHopLimit": 2,
            "HttpEndpoint": "enabled",
            "HttpProtocolIpv6": "disabled",
            "InstanceMetadataTags": "disabled",
        },
    }


def _reason(instance: InstanceRecord) -> dict[str, str] | None:
    code, message = instance.state_reason
    return {"Code": code, "Message": message} if code else None


def _check_key(key: str) -> None:
    parts = key.split(" ", 2)
    kind = _KEY_TYPES.get(parts[0], "RSA")
    wrong = ApiError(
        "InvalidArgsException",
        f"Invalid input parameter received for Illegal argument exception: {kind} - SSH Public key is invalid",
    )
    try:
        blob = base64.b64decode(parts[1], validate=True)
    except (IndexError, ValueError):
        raise wrong from None
    size = int.from_bytes(blob[:4], "big")
    if "\n" in key or parts[0] not in _KEY_TYPES or blob[4 : 4 + size] != parts[0].encode():
        raise wrong
