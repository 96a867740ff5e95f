"""Rules of security groups and network ACLs, with the names of EC2's API."""

from __future__ import annotations

from typing import Any

ANYWHERE, ANYWHERE_6 = "0.0.0.0/0", "::/0"

Object = dict[str, Any]


def permission(
    protocol: str,
    first: int | None = None,
    last: int | None = None,
    *,
    blocks: tuple[str, ...] = (),
    blocks_6: tuple[str, ...] = (),
    groups: tuple[str, ...] = (),
    lists: tuple[str, ...] = (),
) -> Object:
    """Return a rule of a security group: `protocol` ("-1": all), ports, and who is meant."""
    ports = {} if first is None else {"FromPort": first, "ToPort": last}
    return {
        "IpProtocol": protocol,
        **ports,
        "IpRanges": [{"CidrIp": block} for block in blocks],
        "Ipv6Ranges": [{"CidrIpv6": block} for block in blocks_6],
        "UserIdGroupPairs": [{"GroupId": group} for group in groups],
        "PrefixListIds": [{"PrefixListId": name} for name in lists],
    }


def acl_entry(
    number: int,
    *,
    egress: bool,
    action: str,
    block: str = ANYWHERE,
    ports: tuple[int, int] | None = None,
) -> Object:
    """Return a rule of a network ACL for all protocols, or for the TCP `ports` from first to last."""
    key = "Ipv6CidrBlock" if ":" in block else "CidrBlock"
    out: Object = {key: block, "Egress": egress, "RuleAction": action, "RuleNumber": number, "Protocol": "-1"}
    if ports:
        out |= {"Protocol": "6", "PortRange": {"From": ports[0], "To": ports[1]}}
    return out
