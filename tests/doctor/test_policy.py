"""What policy documents decide, as far as they tell."""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ssm_ssh.doctor.policy import Decision, decide, decide_text, document, trusts

ACTION = "ssm:UpdateInstanceInformation"
ALLOW: dict[str, Any] = {"Effect": "Allow", "Action": "*", "Resource": "*"}
DENY: dict[str, Any] = {**ALLOW, "Effect": "Deny"}
WHERE: dict[str, Any] = {"Condition": {"StringEquals": {"aws:SourceVpc": "vpc-1"}}}


def policy(*statements: Any) -> dict[str, Any]:  # noqa: ANN401 -- statements of any form
    return {"Version": "2012-10-17", "Statement": list(statements)}


@pytest.mark.parametrize(
    ("statements", "wanted"),
    [
        ([], Decision.NOT_ALLOWED),
        ([ALLOW], Decision.ALLOWED),
        ([ALLOW, DENY], Decision.DENIED),
        ([{**ALLOW, "Action": ["s3:*", "ssm:update*"]}], Decision.ALLOWED),
        ([{**ALLOW, "Action": "SSM:UpdateInstance?nformation"}], Decision.ALLOWED),
        ([{**ALLOW, "Action": "ssm:[Uu]pdate*"}], Decision.NOT_ALLOWED),
        ([{"Effect": "Allow", "NotAction": "iam:*", "Resource": "*"}], Decision.ALLOWED),
        ([{"Effect": "Allow", "NotAction": "ssm:*", "Resource": "*"}], Decision.NOT_ALLOWED),
        ([{**ALLOW, **WHERE}], Decision.DEPENDS),
        ([{**ALLOW, "Resource": "arn:aws:ec2:*:*:instance/*"}], Decision.DEPENDS),
        ([{"Effect": "Allow", "Action": "*", "NotResource": "x"}], Decision.DEPENDS),
        ([{**ALLOW, "Principal": {"AWS": "arn:aws:iam::1:root"}}], Decision.DEPENDS),
        ([{**ALLOW, "Principal": {"AWS": ["*"]}}], Decision.ALLOWED),
        ([ALLOW, {**DENY, **WHERE}], Decision.DEPENDS),
        ([{**DENY, **WHERE}], Decision.NOT_ALLOWED),
        ([{**ALLOW, "Action": "s3:GetObject"}, {**DENY, "Action": "s3:PutObject"}], Decision.NOT_ALLOWED),
        (["nonsense", 7], Decision.NOT_ALLOWED),
    ],
)
def test_statements(statements: list[Any], wanted: Decision) -> None:
    assert decide([policy(*statements)], ACTION) is wanted


def test_one_statement_may_stand_alone_and_documents_count_together() -> None:
    assert decide([{"Statement": ALLOW}], ACTION) is Decision.ALLOWED
    assert decide([{"Statement": ALLOW}, {"Statement": DENY}], ACTION) is Decision.DENIED
    assert decide([], ACTION) is Decision.NOT_ALLOWED


@given(st.lists(st.sampled_from([ALLOW, DENY, {**ALLOW, **WHERE}, {**DENY, **WHERE}])))
def test_the_order_of_statements_does_not_matter_and_a_plain_deny_wins(statements: list[Any]) -> None:
    decision = decide([policy(*statements)], ACTION)
    assert decide([policy(*reversed(statements))], ACTION) is decision
    assert decide([policy(item) for item in statements], ACTION) is decision
    assert decide([policy(*statements, DENY)], ACTION) is Decision.DENIED


def test_documents_as_text() -> None:
    text = json.dumps(policy(ALLOW))
    assert document(text) == document(quote(text)) == policy(ALLOW)
    assert document("") is document("{") is document("%7B") is None
    assert decide_text("", ACTION) is Decision.ALLOWED
    assert decide_text("{", ACTION) is Decision.DEPENDS
    assert decide_text(text, ACTION) is Decision.ALLOWED


@pytest.mark.parametrize(
    ("change", "wanted"),
    [
        ({}, True),
        ({"Principal": {"Service": ["lambda.amazonaws.com", "ec2.amazonaws.com"]}}, True),
        ({"Principal": {"Service": "ec2.amazonaws.com.cn"}}, True),
        ({"Principal": "*"}, True),
        ({"Principal": {"Service": "lambda.amazonaws.com"}}, False),
        ({"Principal": {"AWS": "arn:aws:iam::1:root"}}, False),
        ({"Effect": "Deny"}, False),
        ({"Action": "sts:TagSession"}, False),
    ],
)
def test_trust(change: dict[str, Any], wanted: bool) -> None:
    statement = {"Effect": "Allow", "Principal": {"Service": "ec2.amazonaws.com"}, "Action": "sts:AssumeRole"}
    for trust in (policy({**statement, **change}), {"Statement": {**statement, **change}}):
        assert trusts(trust, "ec2.amazonaws.com") is wanted
    assert not trusts({}, "ec2.amazonaws.com")
