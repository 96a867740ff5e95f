"""Blocks of addresses for tests: any within 10.0.0.0/28, small enough to look at each address."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv4Network, IPv6Network, ip_network

from hypothesis import strategies as st

WHOLE = IPv4Network("10.0.0.0/28")
ADDRESSES = list(WHOLE)


def net(text: str) -> IPv4Network | IPv6Network:
    """The block that `text` spells."""
    return ip_network(text)


def small(draw_length: int, number: int) -> IPv4Network:
    """The block of this prefix length that has the address of this number."""
    return IPv4Network((ADDRESSES[number], draw_length), strict=False)


BLOCKS = st.builds(small, st.integers(28, 32), st.integers(0, len(ADDRESSES) - 1))
ADDRESS: st.SearchStrategy[IPv4Address] = st.sampled_from(ADDRESSES)
