"""Where a forward to a remote host leads: what the agent refuses, and the addresses that it dials in turn.

After amazon-ssm-agent, agent/session/plugins/port/port.go, and its list of denied addresses.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from ipaddress import IPv4Network, ip_address, ip_network
from typing import NamedTuple

Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]
# Metadata service, DNS, time and instance services of a VPC.
DENIED = frozenset(
    ip_address(address)
    for address in (
        *("169.254.169.254", "fd00:ec2::254", "169.254.169.253", "fd00:ec2::253", "169.254.169.123", "fd00:ec2::123"),
        *("169.254.169.250", "169.254.169.251", "fd00:ec2::240"),
    )
)
# The lab's VPC.
VPC = ip_network("10.0.0.0/16")
assert isinstance(VPC, IPv4Network)
_RESERVED = frozenset((*(VPC.network_address + number for number in range(4)), VPC.broadcast_address))


class Forbidden(Exception):
    """The agent does not forward there; the text is the official agent's."""


class Network(NamedTuple):
    """The network as an instance sees it.

    `resolve(instance_id, host)` returns addresses, and raises OSError for a name that does not exist.
    `open_address(instance_id, address, port)` connects, or raises OSError.
    """

    resolve: Callable[[str, str], Awaitable[list[str]]]
    open_address: Callable[[str, str, int], Awaitable[Streams]]


async def resolve(network: Network, instance_id: str, host: str, *, denies_loopback: bool) -> list[str]:
    """Return the addresses of `host`. Raises Forbidden; a name that does not exist ends the session in the same way."""
    try:
        addresses = await network.resolve(instance_id, host)
    except OSError:
        raise Forbidden(f"lookup {host}: no such host") from None
    for text in addresses:
        address = ip_address(text.partition("%")[0])
        if address in DENIED or address in _RESERVED or (denies_loopback and address.is_loopback):
            raise Forbidden(f"Forwarding to IP address {host} is forbidden.")
    return addresses


async def dial(network: Network, instance_id: str, addresses: list[str], port: int) -> Streams:
    """Connect to the first address that answers. Raises the first OSError."""
    first: OSError | None = None
    for address in addresses:
        try:
            return await network.open_address(instance_id, address, port)
        except OSError as error:
            first = first or error
    raise first or OSError("missing address")
