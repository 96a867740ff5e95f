"""The network of the instance: whether its agent can reach Systems Manager, and what stops it."""

from __future__ import annotations

from ssm_ssh.doctor import reach, vpc
from ssm_ssh.doctor.answers import Answer, Question, Unseen, ask_all, not_checked, unseen
from ssm_ssh.doctor.finding import Finding, State
from ssm_ssh.startup import TYPE_CHECKING
from ssm_ssh.values import objects_member, text_member

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from ssm_ssh.aws.api.client import Api

NAME = "network"
_FILTERED = (
    "DescribeSecurityGroups",
    "DescribeSubnets",
    "DescribeNetworkAcls",
    "DescribeRouteTables",
    "DescribeNatGateways",
    "DescribeVpcEndpoints",
)
_DNS = ("enableDnsSupport", "enableDnsHostnames")
_ENTRIES = "GetManagedPrefixListEntries"


def collect(api: Api, instance: Mapping[str, Any], *, deadline: float | None = None) -> dict[str, Answer]:
    """Return EC2's answers about the VPC of `instance`, a described one."""
    vpc_id = text_member(instance, "vpcId")
    own = [{"Name": "vpc-id", "Value": [vpc_id]}]
    questions = [Question(name, "ec2", name, {"Filter": own}) for name in _FILTERED]
    questions += [Question(name, "ec2", "DescribeVpcAttribute", {"VpcId": vpc_id, "Attribute": name}) for name in _DNS]
    # Only a hint comes from these, so that nothing is unknown without them.
    questions += [
        Question("DescribeVpcs", "ec2", "DescribeVpcs", {"Filter": own}),
        Question("DescribeDhcpOptions", "ec2", "DescribeDhcpOptions"),
    ]
    answers = ask_all(api, questions, deadline=deadline)
    groups = answers["DescribeSecurityGroups"]
    lists = () if isinstance(groups, Unseen) else vpc.prefix_lists(groups)
    entries = ask_all(
        api,
        [Question(name, "ec2", _ENTRIES, {"PrefixListId": name}) for name in lists],
        deadline=deadline,
    )
    answers["prefix lists"] = {
        name: [text_member(item, "cidr") for item in objects_member(answer, "entrySet")]
        for name, answer in entries.items()
        if not isinstance(answer, Unseen)
    }
    refused = [answer for answer in entries.values() if isinstance(answer, Unseen)]
    return answers | ({_ENTRIES: refused[0]} if refused else {})


def check(instance: Mapping[str, Any], answers: Mapping[str, Answer], *, connected: bool) -> list[Finding]:
    """Return what the network lets through. `connected`: the agent has a connection, which proves it."""
    if connected:
        return [Finding(NAME, State.OK, "the agent is connected, so the network lets it through")]
    missing = unseen(answers, (*_FILTERED, *_DNS))
    if missing is not None:
        return [not_checked(NAME, missing)]
    seen = {name: answer for name, answer in answers.items() if not isinstance(answer, Unseen)}
    network = vpc.read(instance, seen)
    if isinstance(network, vpc.Missing):
        return [Finding(NAME, State.NOT_CHECKED, f"EC2 does not show {network.what}", "Check the VPC by hand")]
    found = findings(reach.ways(network))
    lists = answers.get(_ENTRIES)
    if isinstance(lists, Unseen) and found[0].state is State.WARNING:
        return [not_checked(NAME, lists)]
    return found


def findings(ways: list[reach.Way]) -> list[Finding]:
    """Return what stops each way, each cause once; certain causes first."""
    obstacles = {way.obstacle: way for way in ways if way.obstacle is not None}
    if not obstacles:
        words = dict.fromkeys(f"{way.service} by {way.words}" for way in ways)
        return [Finding(NAME, State.OK, f"port 443 is open: {', '.join(words)}")]
    ordered = sorted(obstacles, key=lambda item: (not item.certain, reach.ORDER.index(item.cause)))
    causes = list(dict.fromkeys(item.cause for item in ordered))
    first = {cause: next(item for item in ordered if item.cause == cause) for cause in causes}
    return [
        Finding(f"{NAME}: {item.cause}", State.PROBLEM if item.certain else State.WARNING, item.evidence, item.todo)
        for item in first.values()
    ]
