"""Filters of EC2: lists on the way, true and false as words, wildcards."""

from __future__ import annotations

import pytest

from ssm_ssh.lab.api.context import ApiError
from ssm_ssh.lab.api.filters import chosen, values

PATHS = {"name": "Name", "part": "Parts.Name", "main": "Parts.Main", "deep": "Name.Deep"}
ITEM = {
    "Name": "a[1]",
    "Parts": [{"Name": "x", "Main": True}, {"Name": "y"}],
    "Tags": [{"Key": "Team", "Value": "red"}],
}


@pytest.mark.parametrize(
    ("name", "wanted"),
    [
        ("name", ["a[1]"]),
        ("part", ["x", "y"]),
        ("main", ["true"]),
        ("deep", []),
        ("tag:Team", ["red"]),
        ("tag:team", []),
        ("tag-key", ["Team"]),
    ],
)
def test_values_at_paths(name: str, wanted: list[str]) -> None:
    assert values(ITEM, name, PATHS) == wanted


@pytest.mark.parametrize(
    ("filters", "passes"),
    [
        ([], True),
        ([{"Name": "name", "Values": ["a[[]1]"]}], False),
        ([{"Name": "name", "Values": ["b", "a[?]"]}], True),
        ([{"Name": "part", "Values": ["z"]}], False),
        ([{"Name": "part", "Values": ["y"]}, {"Name": "main", "Values": ["false"]}], False),
    ],
)
def test_all_filters_must_pass(filters: list[dict[str, object]], passes: bool) -> None:
    assert chosen([ITEM], filters, PATHS) == ([ITEM] if passes else [])


def test_an_unknown_filter() -> None:
    with pytest.raises(ApiError, match="colour"):
        chosen([ITEM], [{"Name": "colour", "Values": ["red"]}], PATHS)
