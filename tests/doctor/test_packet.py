"""Security groups and network ACLs, compared with looking at each packet."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ssm_ssh.doctor.blocks import Block, Share
from ssm_ssh.doctor.packet import Entry, Rule, acl_allows, groups_allow
from tests.doctor.blocks import BLOCKS, WHOLE, net

PORTS = st.integers(1, 6)
PROTOCOLS = st.sampled_from(["-1", "6", "17", "tcp"])
ENTRIES = st.lists(
    st.builds(Entry, st.integers(1, 9), st.booleans(), st.booleans(), PROTOCOLS, PORTS, PORTS, BLOCKS),
    max_size=6,
    unique_by=lambda entry: (entry.number, entry.egress),
)
RULES = st.lists(
    st.builds(Rule, PROTOCOLS, PORTS, PORTS, st.lists(BLOCKS, max_size=3).map(tuple), st.just(()), st.just(False)),
    max_size=4,
)


def of(allowed: list[bool]) -> Share:
    return Share.ALL if all(allowed) else Share.SOME if any(allowed) else Share.NONE


@given(rules=RULES, port=PORTS, peers=BLOCKS)
def test_groups_allow_what_any_rule_allows(rules: list[Rule], port: int, peers: Block) -> None:
    allowed = [
        any(
            (rule.protocol == "-1" or (rule.protocol in ("tcp", "6") and rule.first <= port <= rule.last))
            and any(address in item for item in rule.blocks)
            for rule in rules
        )
        for address in peers
    ]
    assert groups_allow(rules, port, peers) is of(allowed)


def test_rules_about_groups_and_prefix_lists() -> None:
    about = Rule("tcp", 443, 443, groups=("sg-1",))
    assert groups_allow([about], 443, WHOLE, ["sg-1", "sg-2"]) is Share.ALL
    assert groups_allow([about], 443, WHOLE, ["sg-2"]) is Share.NONE
    assert groups_allow([about], 80, WHOLE, ["sg-1"]) is Share.NONE
    unknown = Rule("tcp", 443, 443, unknown=True)
    assert groups_allow([unknown], 443, WHOLE) is Share.SOME
    assert groups_allow([unknown], 80, WHOLE) is Share.NONE
    assert groups_allow([unknown, Rule("-1", 0, 65535, (WHOLE,))], 443, WHOLE) is Share.ALL


@given(entries=ENTRIES, first=PORTS, more=st.integers(0, 3), peers=BLOCKS, egress=st.booleans())
def test_the_first_entry_that_matches_decides(
    entries: list[Entry], first: int, more: int, peers: Block, egress: bool
) -> None:
    allowed = []
    for port in range(first, first + more + 1):
        for address in peers:
            deciding = [
                entry
                for entry in sorted(entries)
                if entry.egress == egress
                and (entry.protocol == "-1" or (entry.protocol in ("tcp", "6") and entry.first <= port <= entry.last))
                and address in entry.block
            ]
            allowed.append(bool(deciding) and deciding[0].allow)
    assert acl_allows(entries, (first, first + more), peers, egress=egress) is of(allowed)


@pytest.mark.parametrize(
    ("numbers", "wanted"), [((90, 100), Share.NONE), ((100, 90), Share.ALL)], ids=["deny-first", "allow-first"]
)
def test_the_order_is_that_of_the_numbers(numbers: tuple[int, int], wanted: Share) -> None:
    everyone = net("0.0.0.0/0")
    deny = Entry(numbers[0], True, False, "6", 443, 443, everyone)
    allow = Entry(numbers[1], True, True, "-1", 0, 65535, everyone)
    assert acl_allows([allow, deny], (443, 443), everyone, egress=True) is wanted
    assert acl_allows([allow, deny], (443, 443), everyone, egress=False) is Share.NONE
