"""The way of a packet to Systems Manager: every step of both ways, and which obstacle is named."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ssm_ssh.doctor.packet import Entry, Rule
from ssm_ssh.doctor.reach import ORDER, Obstacle, ways
from ssm_ssh.doctor.vpc import Acl, Endpoint, Network, Route
from tests.doctor.blocks import net

EVERYWHERE, EVERYWHERE_6, NEAR, FAR = net("0.0.0.0/0"), net("::/0"), net("10.0.1.0/24"), net("10.0.2.0/24")
ALL = Rule("-1", 0, 65535, (EVERYWHERE,))
HTTPS_IN = Rule("tcp", 443, 443, (net("10.0.0.0/16"),))
OPEN = tuple(Entry(100, egress, True, "-1", 0, 65535, EVERYWHERE) for egress in (True, False))
LOCAL = Route(net("10.0.0.0/16"), "gateway", "local", True)
NAT = Route(EVERYWHERE, "NAT gateway", "nat-1", True)
GATEWAY = Route(EVERYWHERE, "gateway", "igw-1", True)
ACL, FAR_ACL = Acl("acl-1", "subnet-1", OPEN), Acl("acl-2", "subnet-2", OPEN)
BASE = Network(
    vpc_id="vpc-1",
    subnet_id="subnet-1",
    address="10.0.1.5",
    address_6="",
    public_address="",
    groups=("sg-1",),
    egress=(ALL,),
    acl=ACL,
    acls=(ACL, FAR_ACL),
    table_id="rtb-1",
    routes=(LOCAL, NAT),
    gateways={"nat-1": ""},
    endpoints=(),
    dns=True,
)


def endpoint(service: str = "ssm", **changes: Any) -> Endpoint:  # noqa: ANN401 -- members of any type
    base = Endpoint(f"vpce-{service}", service, True, True, ("sg-2",), (HTTPS_IN,), ("subnet-1",), (NEAR,), "")
    return base._replace(**changes)


def both(**changes: Any) -> tuple[Endpoint, ...]:  # noqa: ANN401
    return endpoint("ssm", **changes), endpoint("ssmmessages", **changes)


CLOSED = BASE._replace(routes=(LOCAL,))
NO_443_OUT = (Entry(90, True, False, "6", 443, 443, EVERYWHERE), *OPEN)
SOME_443_OUT = (Entry(90, True, False, "6", 443, 443, net("52.0.0.0/8")), *OPEN)
NEAR_OUT = (Entry(90, True, True, "6", 443, 443, net("10.0.0.0/8")), OPEN[1])
NO_443_IN = (Entry(90, False, False, "6", 443, 443, EVERYWHERE), *OPEN)
FEW_ANSWERS = (OPEN[0], Entry(100, False, True, "6", 1024, 40000, EVERYWHERE))
S3_ONLY = json.dumps({"Statement": [{"Effect": "Allow", "Action": "s3:*", "Resource": "*", "Principal": "*"}]})
ONE_VPC = json.dumps(
    {"Statement": [{"Effect": "Allow", "Action": "*", "Resource": "*", "Condition": {"StringEquals": {"a": "b"}}}]}
)
PUBLIC = Route(net("52.0.0.0/8"), "NAT gateway", "nat-1", True)
PEER = Route(net("10.0.0.0/8"), "peering connection", "pcx-1", True)


def cut(**changes: Any) -> Network:  # noqa: ANN401
    return BASE._replace(**changes)


@pytest.mark.parametrize(
    ("network", "words"),
    [
        (BASE, "the NAT gateway nat-1"),
        (cut(routes=(LOCAL, GATEWAY), public_address="198.51.100.1"), "the internet gateway igw-1"),
        (cut(endpoints=both()), "endpoint vpce-"),
        (CLOSED._replace(endpoints=both()), "endpoint vpce-"),
        (cut(endpoints=both(private_dns=False)), "the NAT gateway nat-1"),
        (cut(endpoints=both(), dns=False), "the NAT gateway nat-1"),
        (cut(endpoints=both(available=False)), "the NAT gateway nat-1"),
        (cut(resolvers=("10.0.0.9",)), "the NAT gateway nat-1"),
        (CLOSED._replace(endpoints=both(subnets=("subnet-2",), blocks=(FAR,))), "endpoint vpce-"),
        (CLOSED._replace(endpoints=both(rules=(Rule("-1", 0, 65535, groups=("sg-1",)),))), "endpoint vpce-"),
        (CLOSED._replace(egress=(Rule("tcp", 443, 443, groups=("sg-2",)),), endpoints=both()), "endpoint vpce-"),
        (CLOSED._replace(endpoints=both(blocks=())), "endpoint vpce-"),
        (
            CLOSED._replace(
                address="",
                address_6="2001:db8::5",
                egress=(Rule("-1", 0, 65535, (EVERYWHERE_6,)),),
                endpoints=both(rules=(Rule("-1", 0, 65535, (EVERYWHERE_6,)),), blocks=()),
            ),
            "endpoint vpce-",
        ),
    ],
)
def test_open_ways(network: Network, words: str) -> None:
    for way in ways(network):
        assert way.obstacle is None
        assert way.words.startswith(words)


@pytest.mark.parametrize(
    ("network", "cause", "evidence"),
    [
        (CLOSED, "route", "rtb-1 of subnet-1 has no route out of the VPC"),
        (cut(routes=(LOCAL, NAT._replace(active=False)), gateways={}), "nat", "nat-1, which is gone"),
        (cut(routes=(LOCAL, NAT._replace(active=False))), "nat", "nat-1, which does not take the route"),
        (cut(gateways={"nat-1": "is failed"}), "nat", "nat-1, which is failed"),
        (cut(routes=(LOCAL, GATEWAY._replace(active=False))), "route", "is a black hole: igw-1 is gone"),
        (cut(routes=(LOCAL, Route(EVERYWHERE, "", "", False))), "route", "is a black hole: its target is gone"),
        (cut(routes=(LOCAL, GATEWAY)), "public address", "no public address"),
        (cut(address="", address_6="2001:db8::5"), "ipv6", "an IPv6 address only"),
        (cut(egress=(HTTPS_IN,)), "egress", "(sg-1) allow no TCP port 443 outwards to the internet"),
        (cut(acl=ACL._replace(entries=NEAR_OUT)), "acl outbound", "denies requests"),
        (cut(egress=()), "egress", "(sg-1) allow no TCP port 443 outwards to the internet"),
        (cut(acl=ACL._replace(entries=NO_443_OUT)), "acl outbound", "denies requests (outbound TCP 443)"),
        (cut(acl=ACL._replace(entries=OPEN[:1])), "acl inbound", "denies answers (inbound TCP 32768-60999)"),
        (CLOSED._replace(endpoints=both(), dns=False), "dns", "does not resolve its private DNS name"),
        (CLOSED._replace(endpoints=both(private_dns=False)), "endpoint dns", "has no private DNS name"),
        (CLOSED._replace(endpoints=both(available=False)), "endpoint", "has endpoints for ssm and ssmmessages, none"),
        (CLOSED._replace(endpoints=(endpoint("ec2messages"),)), "endpoint", "none that is available for ssm"),
        (CLOSED._replace(endpoints=(endpoint("s3"),)), "route", "no route out of the VPC"),
        (cut(endpoints=both(rules=())), "endpoint group", "(sg-2) do not let the instance reach port 443"),
        (cut(endpoints=both(rules=(), groups=())), "endpoint group", "() do not let"),
        (cut(endpoints=both(policy=S3_ONLY)), "endpoint policy", "does not allow ssm"),
        (cut(egress=(), endpoints=both()), "egress", "outwards to the endpoint vpce-"),
        (
            cut(endpoints=both(subnets=("subnet-2",), blocks=(FAR,)), acl=ACL._replace(entries=NO_443_OUT)),
            "acl outbound",
            "acl-1 of subnet-1 denies requests",
        ),
        (
            cut(
                endpoints=both(subnets=("subnet-2",), blocks=(FAR,)),
                acls=(ACL, FAR_ACL._replace(entries=NO_443_IN)),
            ),
            "acl inbound",
            "acl-2 of subnet-2 denies requests (inbound TCP 443)",
        ),
        (
            cut(
                endpoints=both(subnets=("subnet-2",), blocks=(FAR,)),
                acls=(ACL, FAR_ACL._replace(entries=OPEN[1:])),
            ),
            "acl outbound",
            "acl-2 of subnet-2 denies answers (outbound TCP 32768-60999)",
        ),
    ],
)
def test_obstacles(network: Network, cause: str, evidence: str) -> None:
    for way in ways(network):
        assert way.obstacle is not None
        assert (way.obstacle.cause, way.obstacle.certain) == (cause, True)
        assert evidence in way.obstacle.evidence
        assert way.obstacle.todo
        assert cause in ORDER


@pytest.mark.parametrize(
    ("network", "cause", "evidence"),
    [
        (cut(routes=(LOCAL, PUBLIC)), "route", "to some public addresses only"),
        (cut(routes=(LOCAL, PEER)), "route", "to the peering connection pcx-1, where endpoints may be"),
        (cut(routes=(LOCAL, Route(EVERYWHERE, "transit gateway", "tgw-1", True))), "route", "transit gateway tgw-1"),
        (cut(egress=(Rule("tcp", 443, 443, (net("52.0.0.0/8"),)),)), "egress", "to some addresses only"),
        (cut(acl=ACL._replace(entries=SOME_443_OUT)), "acl outbound", "in part"),
        (cut(acl=ACL._replace(entries=FEW_ANSWERS)), "acl inbound", "in part"),
        (cut(endpoints=both(rules=(Rule("tcp", 443, 443, unknown=True),))), "endpoint group", "a prefix list"),
        (cut(endpoints=both(policy=ONE_VPC)), "endpoint policy", "depends on its conditions"),
        (cut(endpoints=both(), address=""), "ipv6", "no address"),
        (cut(endpoints=both(), resolvers=("10.0.0.9",)), "dns", "DNS servers of its own (10.0.0.9)"),
    ],
)
def test_what_cannot_be_told_from_outside(network: Network, cause: str, evidence: str) -> None:
    for way in ways(network):
        assert way.obstacle is not None
        assert (way.obstacle.cause, way.obstacle.certain) == (cause, False)
        assert evidence in way.obstacle.evidence


def test_what_is_certain_is_named_before_what_is_not() -> None:
    transit = Route(EVERYWHERE, "transit gateway", "tgw-1", True)
    for way in ways(cut(routes=(LOCAL, transit), egress=())):
        assert way.obstacle is not None
        assert way.obstacle.cause == "egress"


def test_each_service_has_a_way_of_its_own() -> None:
    first, second = ways(CLOSED._replace(endpoints=(endpoint("ssm"),)))
    assert (first.service, first.obstacle) == ("ssm", None)
    assert second.obstacle == Obstacle(
        "endpoint",
        "vpc-1 has endpoints for ssm, none that is available for ssmmessages, and no way to the internet",
        "Create an interface endpoint for ssmmessages in vpc-1, with private DNS",
    )


RULES = st.lists(st.sampled_from([ALL, HTTPS_IN, Rule("tcp", 80, 80, (EVERYWHERE,))]), max_size=3).map(tuple)


@given(
    egress=RULES,
    routes=st.lists(st.sampled_from([LOCAL, NAT, GATEWAY, PUBLIC]), max_size=3).map(tuple),
    entries=st.sampled_from([OPEN, NO_443_OUT, SOME_443_OUT, FEW_ANSWERS, ()]),
    public=st.sampled_from(["", "198.51.100.1"]),
    endpoints=st.sampled_from([(), both(), both(rules=()), both(private_dns=False)]),
)
def test_more_is_never_less(
    egress: tuple[Rule, ...],
    routes: tuple[Route, ...],
    entries: tuple[Entry, ...],
    public: str,
    endpoints: tuple[Endpoint, ...],
) -> None:
    """A way that is open stays open when the groups allow more and the instance gets a public address."""
    network = cut(
        egress=egress, routes=routes, acl=ACL._replace(entries=entries), public_address=public, endpoints=endpoints
    )
    more = network._replace(egress=(*egress, ALL), public_address="198.51.100.1")
    for before, after in zip(ways(network), ways(more), strict=True):
        assert before.obstacle is not None or after.obstacle is None
