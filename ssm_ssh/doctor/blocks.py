"""PURE: sets of addresses, and which part of one the rules of a network allow."""

from __future__ import annotations

from enum import Enum
from ipaddress import IPv4Network, IPv6Network, ip_network

from ssm_ssh.startup import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import TypeAlias

Block: TypeAlias = IPv4Network | IPv6Network


class Share(Enum):
    """How much of a set of addresses is allowed."""

    ALL = "all"
    SOME = "some"
    NONE = "none"


def block(text: str) -> Block | None:
    """Return the block of addresses that `text` spells (10.0.0.0/16), None where it spells none."""
    try:
        return ip_network(text, strict=False)
    except ValueError:
        return None


def without(blocks: Iterable[Block], taken: Block) -> list[Block]:
    """Return what is left of `blocks` when `taken` is removed."""
    left: list[Block] = []
    for item in blocks:
        if not overlap(item, taken):
            left.append(item)
        elif item.prefixlen < taken.prefixlen:
            left += item.address_exclude(taken)  # type: ignore[arg-type]  # of one version, as they overlap
    return left


def overlap(first: Block, second: Block) -> bool:
    """Return whether the blocks have an address in common. Those of different versions have none."""
    return first.version == second.version and first.overlaps(second)


def covered(whole: Block, parts: Iterable[Block]) -> Share:
    """Return how much of `whole` the `parts` cover together."""
    left: list[Block] = [whole]
    for part in parts:
        left = without(left, part)
    return share(allowed=left != [whole], denied=bool(left))


def share(*, allowed: bool, denied: bool) -> Share:
    """Return the share of a set of which a part is `allowed`, and a part `denied`."""
    if allowed:
        return Share.SOME if denied else Share.ALL
    return Share.NONE


def together(shares: Iterable[Share]) -> Share:
    """Return the share of a set whose parts have these `shares`; of no parts all is allowed."""
    seen = set(shares)
    return share(allowed=seen != {Share.NONE}, denied=bool(seen - {Share.ALL}))
