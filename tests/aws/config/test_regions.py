from __future__ import annotations

import importlib.util

import botocore.session
import pytest

from ssm_ssh.aws.config.endpoints import is_region
from ssm_ssh.aws.config.regions import known_regions, suggestion


def test_they_are_those_of_botocore() -> None:
    session = botocore.session.get_session()
    regions = {
        region
        for partition in session.get_available_partitions()
        for region in session.get_available_regions("ec2", partition_name=partition)
    }
    known = known_regions()
    assert regions <= set(known)
    assert list(known) == sorted(known)
    assert all(map(is_region, known))


def test_without_the_list_there_are_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: None)
    assert known_regions() == ()


@pytest.mark.parametrize(
    ("region", "question"),
    [
        ("eu-wset-1", "Did you mean eu-west-1?"),
        ("us-eats-1", "Did you mean us-east-1?"),
        ("eu-central-1", ""),
        ("xx", ""),
    ],
)
def test_a_mistyped_region_brings_a_suggestion(region: str, question: str) -> None:
    assert suggestion(region) == question
