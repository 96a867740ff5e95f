"""Every two causes at once: the one to put right first is named first, and nothing is named that is not wrong."""

from __future__ import annotations

import itertools

import pytest

from ssm_ssh.doctor import reach
from ssm_ssh.doctor.finding import State
from tests.doctor.conftest import Account
from tests.doctor.test_remote import CAUSES, examine
from tests.lab.api.conftest import WEB

# An instance has one way to Systems Manager and one network ACL, so that only one of each can be wrong.
WAYS = {name for name in CAUSES if name.startswith(("endpoint_", "no_route", "no_nat", "no_public", "ipv6"))}
ACLS = {"acl_out_closed", "acl_in_closed"}
# The lab's endpoints are in the subnet of the instance, within which no network ACL applies.
WITHIN = {"endpoint_group_closed", "endpoint_policy"}
ORDER = [
    *("instance", "status checks", "instance profile", "trust", "role"),
    *(f"network: {cause}" for cause in reach.ORDER),
    *("agent", "agent version"),
]


def exclude_each_other(first: str, second: str) -> bool:
    return any({first, second} <= group for group in (WAYS, ACLS))


@pytest.mark.parametrize("first", CAUSES)
def test_of_two_causes_the_one_to_put_right_first_comes_first(account: Account, first: str) -> None:
    for second in itertools.islice(CAUSES, list(CAUSES).index(first) + 1, None):
        if exclude_each_other(first, second):
            continue
        account.heal(WEB)
        account.fault(first, WEB)
        account.fault(second, WEB)
        findings = examine(account, WEB)
        problems = [item.name for item in findings if item.state is State.PROBLEM]
        pair = {second} if first in ACLS and second in WITHIN else {first, second}
        names = sorted({CAUSES[name][0] for name in pair}, key=ORDER.index)
        assert problems[0] == names[0], (first, second, findings)
        assert set(problems) <= set(names), (first, second, findings)
