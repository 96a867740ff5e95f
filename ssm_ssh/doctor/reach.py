"""PURE: whether an instance's packets reach port 443 of Systems Manager, and what stops them first.

A packet takes one of two ways: to an interface endpoint in the VPC, where the service's name resolves to it, or to the
internet. Each step of the way says yes, no, or that it cannot be told.
https://docs.aws.amazon.com/systems-manager/latest/userguide/setup-create-vpc.html
"""

from __future__ import annotations

from ipaddress import ip_network

from ssm_ssh.doctor.blocks import Block, Share, block, together, without
from ssm_ssh.doctor.packet import ANSWERS, HTTPS, acl_allows, groups_allow
from ssm_ssh.doctor.policy import Decision, decide_text
from ssm_ssh.startup import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from ssm_ssh.doctor.vpc import Acl, Endpoint, Network, Route

# Without them an agent neither registers nor takes sessions.
SERVICES = ("ssm", "ssmmessages")
# One call of each service that the agent makes, which a policy of an endpoint must allow.
_CALLS = {"ssm": "ssm:UpdateInstanceInformation", "ssmmessages": "ssmmessages:CreateControlChannel"}
_INTERNET: Block = ip_network("0.0.0.0/0")
# None of these leads to Systems Manager: https://www.iana.org/assignments/iana-ipv4-special-registry
_PRIVATE = ("10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16", "172.16.0.0/12", "192.168.0.0/16")
_OPEN_443 = "Allow TCP port 443"
# What leads to other networks, which may have endpoints of their own.
_ELSEWHERE = ("transit gateway", "peering connection", "core network")
# The causes of obstacles, in the order in which they are put right: a way first, then what stops packets on it.
ORDER = (
    *("ipv6", "dns", "endpoint", "endpoint dns", "route", "nat", "public address"),
    *("egress", "acl outbound", "acl inbound", "endpoint group", "endpoint policy"),
)


class Obstacle(NamedTuple):
    """What stops packets. `cause` names it for programs, `certain` is False for what cannot be told from outside."""

    cause: str
    evidence: str
    todo: str
    certain: bool = True


class Way(NamedTuple):
    """The way to one service: in words, and the first obstacle on it (None: open)."""

    service: str
    words: str
    obstacle: Obstacle | None


def ways(network: Network) -> list[Way]:
    """Return the way to each service that the agent needs."""
    return [_way(network, service) for service in SERVICES]


def _way(network: Network, service: str) -> Way:
    mine = [item for item in network.endpoints if item.service == service and item.available]
    named = [item for item in mine if item.private_dns]
    if named and network.dns:
        words = f"endpoint {named[0].endpoint_id}"
        return Way(service, words, _first(_to_endpoint(network, named[0])))
    obstacle = _first(_to_internet(network))
    if obstacle is not None and obstacle.cause in ("route", "nat", "public address", "ipv6"):
        obstacle = _endpoint_obstacle(network, service, mine) or obstacle
    return Way(service, _out(network), obstacle)


def _first(steps: Iterator[Obstacle]) -> Obstacle | None:
    """Return the first certain obstacle, else the first one of all."""
    doubts = []
    for step in steps:
        if step.certain:
            return step
        doubts.append(step)
    return doubts[0] if doubts else None


def _endpoint_obstacle(network: Network, service: str, mine: Sequence[Endpoint]) -> Obstacle | None:
    """Return why the VPC's endpoints do not serve where nothing leads to the internet; None where it has none."""
    if mine and not network.dns:
        return Obstacle(
            "dns",
            f"{network.vpc_id} has an endpoint for {service}, and does not resolve its private DNS name",
            f"Turn on enableDnsSupport and enableDnsHostnames of {network.vpc_id}",
        )
    if mine:
        return Obstacle(
            "endpoint dns",
            f"the endpoint {mine[0].endpoint_id} for {service} has no private DNS name, "
            "so that the agent looks for the service on the internet, where nothing leads",
            f"Turn on private DNS names of {mine[0].endpoint_id}",
        )
    others = [item.service for item in network.endpoints if item.service in (*SERVICES, "ec2messages")]
    if others:
        return Obstacle(
            "endpoint",
            f"{network.vpc_id} has endpoints for {' and '.join(sorted(set(others)))}, none that is available for "
            f"{service}, and no way to the internet",
            f"Create an interface endpoint for {service} in {network.vpc_id}, with private DNS",
        )
    return None


def _to_endpoint(network: Network, endpoint: Endpoint) -> Iterator[Obstacle]:
    """Yield what is in the way to an endpoint. Its addresses are those of the VPC, which are not asked for."""
    source = block(network.address) or block(network.address_6)
    if source is None:
        yield Obstacle("ipv6", f"{network.subnet_id} shows no address of the instance", "", certain=False)
        return
    # An endpoint without known subnets is next to the instance, or as far away as the VPC reaches.
    if network.resolvers:
        yield Obstacle(
            "dns",
            f"{network.vpc_id} has DNS servers of its own ({', '.join(network.resolvers)}), which may not know the "
            f"private name of {endpoint.endpoint_id}",
            "Let them forward Systems Manager's names to the VPC's own resolver",
            certain=False,
        )
    peers = endpoint.blocks or (source.supernet(new_prefix=16 if source.version == 4 else 56),)
    yield from _egress(network, peers, endpoint.groups, f"the endpoint {endpoint.endpoint_id}")
    if network.subnet_id not in endpoint.subnets:
        yield from _acl(network.acl, peers)
        for acl in network.acls:
            if acl.subnet_id in endpoint.subnets:
                yield from _acl(acl, (source,), serving=True)
    seen = groups_allow(endpoint.rules, HTTPS, source, network.groups)
    if seen is Share.NONE:
        yield Obstacle(
            "endpoint group",
            f"the security groups of {endpoint.endpoint_id} ({', '.join(endpoint.groups)}) do not let the instance "
            "reach port 443",
            f"{_OPEN_443} inwards from {source} in {endpoint.groups[0] if endpoint.groups else 'a group of it'}",
        )
    elif seen is Share.SOME:
        text = f"whether the groups of {endpoint.endpoint_id} let the instance in depends on a prefix list"
        yield Obstacle("endpoint group", text, "", certain=False)
    decision = decide_text(endpoint.policy, _CALLS[endpoint.service])
    if decision is Decision.DEPENDS:
        text = f"whether the policy of {endpoint.endpoint_id} allows the agent depends on its conditions"
        yield Obstacle("endpoint policy", text, "", certain=False)
    elif decision is not Decision.ALLOWED:
        yield Obstacle(
            "endpoint policy",
            f"the policy of the endpoint {endpoint.endpoint_id} does not allow {_CALLS[endpoint.service]}",
            "Allow the actions of the agent in the endpoint's policy",
        )


def _to_internet(network: Network) -> Iterator[Obstacle]:
    if not network.address and network.address_6:
        yield Obstacle(
            "ipv6",
            "the instance has an IPv6 address only, and the agent's default endpoints have none",
            "Give the subnet IPv4 addresses as well, or add endpoints for ssm and ssmmessages to the VPC",
        )
    else:
        yield from _route(network)
        public = _public()
        yield from _egress(network, public, (), "the internet")
        yield from _acl(network.acl, public)


def _public() -> list[Block]:
    """Return the addresses on the internet: all but the private ones."""
    left = [_INTERNET]
    for private in _PRIVATE:
        left = without(left, ip_network(private))
    return left


def _default_route(network: Network) -> Route | None:
    """Return the route to an address that no narrower route is for."""
    routes = [route for route in network.routes if route.block == _INTERNET]
    return routes[0] if routes else None


def _route(network: Network) -> Iterator[Obstacle]:
    route = _default_route(network)
    if route is None:
        public = [item for item in network.routes if item.block.version == 4 and item.block.is_global]
        if public:
            text = f"{network.table_id} has routes to some public addresses only, perhaps not to Systems Manager's"
            yield Obstacle("route", text, f"Add a route for {_INTERNET} to {network.table_id}", certain=False)
            return
        other = [item for item in network.routes if item.kind in _ELSEWHERE and item.active]
        if other:
            yield Obstacle(
                "route",
                f"{network.table_id} has no route to the internet, and one for {other[0].block} to the "
                f"{other[0].kind} {other[0].target}, where endpoints may be that EC2 does not show here",
                f"Check that {' and '.join(SERVICES)} are reached by {other[0].target}",
                certain=False,
            )
            return
        yield Obstacle(
            "route",
            f"the route table {network.table_id} of {network.subnet_id} has no route out of the VPC",
            f"Add a route for {_INTERNET} to a NAT gateway, or create endpoints for ssm and ssmmessages",
        )
    elif route.kind == "NAT gateway" and (network.gateways.get(route.target, "is gone") or not route.active):
        why = network.gateways.get(route.target, "is gone") or "does not take the route"
        yield Obstacle(
            "nat",
            f"the route of {network.subnet_id} leads to the NAT gateway {route.target}, which {why}",
            f"Create a NAT gateway in a public subnet, and replace the route in {network.table_id}",
        )
    elif not route.active:
        yield Obstacle(
            "route",
            f"the route for {_INTERNET} in {network.table_id} is a black hole: {route.target or 'its target'} is gone",
            f"Replace the route in {network.table_id}",
        )
    elif route.target.startswith("igw-"):
        if not network.public_address:
            yield Obstacle(
                "public address",
                f"the route of {network.subnet_id} leads to the internet gateway {route.target}, and the instance has "
                "no public address",
                "Give the instance an Elastic IP address, or route its subnet to a NAT gateway",
            )
    elif route.kind != "NAT gateway":
        text = f"the route for {_INTERNET} leads to the {route.kind} {route.target}, beyond which EC2 shows nothing"
        yield Obstacle("route", text, f"Check that {route.target} leads to the internet", certain=False)


def _egress(network: Network, peers: Sequence[Block], peer_groups: Sequence[str], where: str) -> Iterator[Obstacle]:
    seen = together(groups_allow(network.egress, HTTPS, item, peer_groups) for item in peers)
    groups = ", ".join(network.groups)
    if seen is Share.NONE:
        text = f"the security groups of the instance ({groups}) allow no TCP port 443 outwards to {where}"
        yield Obstacle("egress", text, f"{_OPEN_443} outwards in {network.groups[0]}")
    elif seen is Share.SOME:
        text = f"the security groups of the instance ({groups}) allow port 443 outwards to some addresses only"
        yield Obstacle("egress", text, f"{_OPEN_443} outwards in {network.groups[0]}", certain=False)


def _acl(acl: Acl, peers: Sequence[Block], *, serving: bool = False) -> Iterator[Obstacle]:
    """Yield what a network ACL does to requests and to their answers: it keeps no state.

    `serving`: it is that of an endpoint's subnet, which requests enter and answers leave.
    """
    for ports, words in (((HTTPS, HTTPS), "requests"), (ANSWERS, "answers")):
        egress = (words == "requests") != serving
        seen = together(acl_allows(acl.entries, ports, item, egress=egress) for item in peers)
        span = f"{ports[0]}-{ports[1]}" if ports[0] < ports[1] else str(ports[0])
        direction = "outbound" if egress else "inbound"
        todo = f"Add an {direction} rule that allows TCP {span} to {acl.acl_id}"
        if seen is Share.NONE:
            text = f"the network ACL {acl.acl_id} of {acl.subnet_id} denies {words} ({direction} TCP {span})"
            yield Obstacle(f"acl {direction}", text, todo)
        elif seen is Share.SOME:
            text = f"the network ACL {acl.acl_id} of {acl.subnet_id} allows {words} ({direction} TCP {span}) in part"
            yield Obstacle(f"acl {direction}", text, todo, certain=False)


def _out(network: Network) -> str:
    """Return the way to the internet in words."""
    route = _default_route(network)
    if route is None:
        return "the internet"
    return f"the {'internet gateway' if route.target.startswith('igw-') else route.kind} {route.target}"
