"""A TARGET that is neither an instance id nor an alias."""

from __future__ import annotations

import pytest

from ssm_ssh.errors import UsageError
from ssm_ssh.locate.query import ADDRESS, NAME, TAG, Query, parse


@pytest.mark.parametrize(
    ("text", "query"),
    [
        ("10.0.3.17", Query(ADDRESS, ("10.0.3.17",))),
        ("2001:DB8::1", Query(ADDRESS, ("2001:db8::1",))),
        ("ip-10-0-3-17.eu-west-1.compute.internal", Query(NAME, ("ip-10-0-3-17.eu-west-1.compute.internal",))),
        ("DB.corp.example.", Query(NAME, ("db.corp.example",))),
        ("ip-10-0-3-17", Query(NAME, ("ip-10-0-3-17.*",))),
        ("tag:Env=prod", Query(TAG, ("prod",), "Env")),
        ("tag:Env=prod,test", Query(TAG, ("prod", "test"), "Env")),
        ("tag:Env", Query(TAG, (), "Env")),
        ("tag:a=b=c@d", Query(TAG, ("b=c@d",), "a")),
    ],
)
def test_what_it_means(text: str, query: Query) -> None:
    assert parse(text) == query


@pytest.mark.parametrize(
    "text",
    ["web", "", "-x.y", "a..b", "x y.z", "10.0.3.256.", "ip-10", "tag:", "tag:=x", "tag:k=", "tag:a\n=b", "a_b.c"],
)
def test_anything_else_is_refused_with_what_may_be_meant(text: str) -> None:
    if text == "10.0.3.256.":
        assert parse(text).kind == NAME  # labels may be numbers
        return
    with pytest.raises(UsageError) as caught:
        parse(text)
    assert "tag:" in caught.value.sentence()
