"""What can be wrong with an instance's surroundings, by name: a cause each, as a user can meet it."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from ssm_ssh.lab.cloud.role import policy
from ssm_ssh.lab.cloud.rules import acl_entry
from ssm_ssh.lab.cloud.site import OTHER_REGION, Site

EC2, HYBRID = "i-", "mi-"
# The account's preferences for Session Manager, which are no instance's.
PREFERENCES = "preferences"


class CloudFault(NamedTuple):
    """A fault of an instance's surroundings, carried out by `change`.

    `prefix`: the ids of the instances that can have it. `offline`: the agent loses its connection. `state`: what EC2
    calls the instance then ("": as before). `restart`: the agent starts again with the version `agent`.
    """

    summary: str
    change: Callable[[Site], None] = lambda _: None
    prefix: str = EC2
    offline: bool = True
    state: str = ""
    agent: str = ""


def _status(site: Site) -> None:
    site.instance_status = "impaired"


def _other_region(site: Site) -> None:
    site.region = OTHER_REGION


def _other_account(site: Site) -> None:
    site.foreign = True


def _unregistered(site: Site) -> None:
    site.registered = False


def _no_profile(site: Site) -> None:
    site.role.has_profile = False
    site.registered = False


def _wrong_trust(site: Site) -> None:
    site.role.trust_other()
    site.registered = False


def _lacks_actions(site: Site) -> None:
    site.role.lack_actions()
    site.registered = False


def _acl_out(site: Site) -> None:
    site.vpc.set_acl(
        [
            acl_entry(90, egress=True, action="deny", ports=(443, 443)),
            acl_entry(100, egress=True, action="allow"),
            acl_entry(100, egress=False, action="allow"),
        ]
    )


def _acl_in(site: Site) -> None:
    site.vpc.set_acl(
        [
            acl_entry(100, egress=True, action="allow"),
            acl_entry(100, egress=False, action="allow", ports=(22, 22)),
            acl_entry(110, egress=False, action="allow", ports=(443, 443)),
        ]
    )


def _expired(site: Site) -> None:
    site.activation_expired = True


def _standard(site: Site) -> None:
    site.standard_tier = True


_STORAGE_ONLY = {**policy(("s3:*",))}
_STORAGE_ONLY["Statement"][0]["Principal"] = "*"

FAULTS: dict[str, CloudFault] = {
    "terminated": CloudFault("The instance is terminated; EC2 still knows it.", state="terminated"),
    "pending": CloudFault("The instance starts, and its agent does not run yet.", state="pending"),
    "status_check_failed": CloudFault("EC2's check of the instance fails, and the agent is gone.", _status),
    "other_region": CloudFault(f"The instance is in {OTHER_REGION}.", _other_region),
    "other_account": CloudFault("The instance is in another account.", _other_account),
    "never_registered": CloudFault("The agent has never run.", _unregistered),
    "agent_old": CloudFault("The agent is too old for Session Manager.", prefix="", offline=False, agent="2.2.619.0"),
    "activation_expired": CloudFault(
        "The agent of a managed node is gone, and the activation has expired.", _expired, prefix=HYBRID
    ),
    "standard_tier": CloudFault(
        "The account's managed nodes have the standard tier.", _standard, prefix=HYBRID, offline=False
    ),
    "no_profile": CloudFault("The instance has no instance profile.", _no_profile),
    "wrong_trust": CloudFault("The instance's role trusts another service than EC2.", _wrong_trust),
    "role_lacks_actions": CloudFault("The instance's role does not allow what the agent does.", _lacks_actions),
    "agent_not_restarted": CloudFault("The profile was attached later, and the agent waits.", _unregistered),
    "egress_closed": CloudFault("The security group allows nothing outwards.", lambda site: site.vpc.close_egress()),
    "acl_out_closed": CloudFault("The network ACL denies port 443 outwards.", _acl_out),
    "acl_in_closed": CloudFault("The network ACL denies answers, which come to high ports.", _acl_in),
    "no_route": CloudFault("No route leads out of the subnet.", lambda site: site.vpc.set_routes([])),
    "no_nat": CloudFault("The NAT gateway is deleted, and the route to it is left.", lambda site: site.vpc.lose_nat()),
    "no_public_address": CloudFault(
        "The route leads to an internet gateway, and the instance has no public address.",
        lambda site: site.vpc.use_internet_gateway(""),
    ),
    "endpoint_missing": CloudFault(
        "The VPC has no endpoint for ssmmessages, and no way to the internet.",
        lambda site: site.vpc.use_endpoints(("ssm", "ec2messages")),
    ),
    "endpoint_group_closed": CloudFault(
        "The security group of the endpoints does not let the instance in.",
        lambda site: site.vpc.use_endpoints(sources=()),
    ),
    "endpoint_without_dns": CloudFault(
        "The endpoints have no private DNS names.", lambda site: site.vpc.use_endpoints(private_dns=False)
    ),
    "endpoint_policy": CloudFault(
        "The policy of the endpoints does not allow Systems Manager.",
        lambda site: site.vpc.use_endpoints(policy=_STORAGE_ONLY),
    ),
    "ipv6_only": CloudFault("The instance has an IPv6 address only.", lambda site: site.vpc.use_ipv6_only()),
    "public_address": CloudFault(
        "No fault: the instance reaches the internet by its own public address.",
        lambda site: site.vpc.use_internet_gateway("198.51.100.20"),
        offline=False,
    ),
    "endpoints": CloudFault(
        "No fault: the instance reaches Systems Manager by endpoints.",
        lambda site: site.vpc.use_endpoints(),
        offline=False,
    ),
}
