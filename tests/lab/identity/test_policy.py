from __future__ import annotations

from typing import Any

import pytest

from ssm_ssh.lab.identity.identities import user
from ssm_ssh.lab.identity.policy import allows

WEB = "arn:aws:ec2:eu-central-1:123456789012:instance/i-0123456789abcdef0"
NODE = "arn:aws:ssm:eu-central-1:123456789012:managed-instance/mi-0123456789abcdef0"
SESSION = "arn:aws:ssm:eu-central-1:123456789012:session/"


def policy(*statements: dict[str, Any]) -> dict[str, Any]:
    return {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", **one} for one in statements]}


def test_action_and_resource_must_both_match() -> None:
    one = policy({"Action": "ssm:Start*", "Resource": "arn:aws:ec2:*:*:instance/*"})
    assert allows(one, "ssm:StartSession", WEB, {}, "")
    assert allows(one, "SSM:startsession", WEB, {}, "")
    assert not allows(one, "ssm:StartSession", NODE, {}, "")
    assert not allows(one, "ssm:SendCommand", WEB, {}, "")
    assert not allows(policy(), "ssm:StartSession", WEB, {}, "")


def test_a_deny_wins() -> None:
    both = policy({"Action": "*", "Resource": "*"}, {"Effect": "Deny", "Action": "ssm:*", "Resource": NODE})
    assert allows(both, "ssm:StartSession", WEB, {}, "")
    assert not allows(both, "ssm:StartSession", NODE, {}, "")


def test_conditions() -> None:
    one = policy(
        {"Action": "*", "Resource": "*", "Condition": {"StringEquals": {"ec2:osuser": ["ec2-user", "ubuntu"]}}}
    )
    assert allows(one, "a:B", WEB, {"ec2:osuser": "ubuntu"}, "")
    assert not allows(one, "a:B", WEB, {"ec2:osuser": "root"}, "")
    assert not allows(one, "a:B", WEB, {}, "")
    unknown = policy({"Action": "*", "Resource": "*", "Condition": {"DateLessThan": {"aws:CurrentTime": "x"}}})
    with pytest.raises(ValueError, match="DateLessThan"):
        allows(unknown, "a:B", WEB, {}, "")


def test_the_callers_own_sessions() -> None:
    one = policy({"Action": "ssm:*", "Resource": SESSION + "${aws:userid}-*"})
    alice = user("alice", "123456789012", policy=one)
    assert alice.refused("ssm:ResumeSession", [SESSION + "alice-0abc"], {}) == ""
    assert alice.refused("ssm:ResumeSession", [SESSION + "bob-0abc"], {}) == SESSION + "bob-0abc"


def test_every_resource_of_a_call_counts() -> None:
    alice = user("alice", "123456789012", policy=policy({"Action": "*", "Resource": WEB}))
    assert alice.refused("ssm:StartSession", [WEB], {}) == ""
    assert alice.refused("ssm:StartSession", [WEB, NODE], {}) == NODE
