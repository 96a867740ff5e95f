"""PURE: what security groups and network ACLs let through.

https://docs.aws.amazon.com/vpc/latest/userguide/security-group-rules.html
https://docs.aws.amazon.com/vpc/latest/userguide/nacl-rules.html
"""

from __future__ import annotations

from ssm_ssh.doctor.blocks import Block, Share, covered, overlap, share, together, without
from ssm_ssh.startup import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Sequence

HTTPS = 443
# The ports that Linux, macOS and Windows choose for outgoing connections, so that answers come to them.
ANSWERS = (32768, 60999)
ALL_PROTOCOLS, TCP = "-1", ("tcp", "6")


class Rule(NamedTuple):
    """A rule of a security group: a protocol, its ports from `first` to `last`, and whom it is about.

    `groups`: the members of these groups. `unknown`: it names addresses that could not be read, such as a prefix list.
    """

    protocol: str
    first: int
    last: int
    blocks: tuple[Block, ...] = ()
    groups: tuple[str, ...] = ()
    unknown: bool = False

    def is_about(self, port: int) -> bool:
        """Return whether the rule is about TCP's `port`."""
        return self.protocol == ALL_PROTOCOLS or (self.protocol in TCP and self.first <= port <= self.last)


class Entry(NamedTuple):
    """A rule of a network ACL, in the order of `number`; `egress`: for packets that leave the subnet."""

    number: int
    egress: bool
    allow: bool
    protocol: str
    first: int
    last: int
    block: Block


def groups_allow(rules: Iterable[Rule], port: int, peers: Block, peer_groups: Collection[str] = ()) -> Share:
    """Return how much of `peers` the rules of all groups allow at `port`.

    `peer_groups`: the groups of every peer, of which a rule may allow the members. What could not be read counts as
    allowed in part.
    """
    mine = [rule for rule in rules if rule.is_about(port)]
    if any(set(rule.groups) & set(peer_groups) for rule in mine):
        return Share.ALL
    seen = covered(peers, [item for rule in mine for item in rule.blocks])
    return Share.SOME if seen is Share.NONE and any(rule.unknown for rule in mine) else seen


def acl_allows(entries: Sequence[Entry], ports: tuple[int, int], peers: Block, *, egress: bool) -> Share:
    """Return how much of the packets of `peers` at TCP's `ports` (first and last) an ACL allows in one direction."""
    mine = sorted(entry for entry in entries if entry.egress == egress and entry.protocol in (ALL_PROTOCOLS, *TCP))
    first, last = ports
    # Where one entry begins or ends, another decides.
    edges = {first, last + 1}
    edges |= {edge for entry in mine for edge in (entry.first, entry.last + 1) if first < edge <= last}
    return together(_at(mine, port, peers) for port in sorted(edges - {last + 1}))


def _at(entries: Iterable[Entry], port: int, peers: Block) -> Share:
    left: list[Block] = [peers]
    allowed = denied = False
    for entry in entries:
        if entry.protocol != ALL_PROTOCOLS and not entry.first <= port <= entry.last:
            continue
        if any(overlap(item, entry.block) for item in left):
            allowed, denied = allowed or entry.allow, denied or not entry.allow
            left = without(left, entry.block)
    return share(allowed=allowed, denied=denied or bool(left))
