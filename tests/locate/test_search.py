from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from ssm_ssh.aws.api.client import Api
from ssm_ssh.aws.config.settings import load
from ssm_ssh.errors import SsmSshError, TargetNotConnected
from ssm_ssh.locate import search
from ssm_ssh.locate.search import everything, find
from ssm_ssh.locate.selection import Scope
from tests.fleet import Call, Fleet, Instance, an_id, running

WEB = an_id(1)
SPOTS = [Scope(profile, region) for profile in ("prod", "dev") for region in ("eu-west-1", "us-east-1", "ap-south-1")]


@pytest.fixture
def fleet() -> Iterator[Fleet]:
    with running() as fleet:
        yield fleet


@pytest.fixture
def connect(fleet: Fleet, tmp_path: Path) -> Callable[[Scope], Api]:
    env = fleet.environment(tmp_path, {"prod": "eu-west-1", "dev": None})
    return lambda scope: Api(load(profile=scope.profile, region=scope.region, env=env), sleep=lambda _: None)


def test_the_place_that_has_it_is_found(fleet: Fleet, connect: Callable[[Scope], Api]) -> None:
    for place in (("AKPROD", "us-east-1"), ("AKDEV", "ap-south-1")):
        fleet.places = {place: [Instance(WEB, "web")], ("AKDEV", "eu-west-1"): [Instance(an_id(2), "web")]}
        scope, node = find(SPOTS, WEB, connect)
        assert (scope.profile, scope.region) == (place[0][2:].lower(), place[1])
        assert (node.instance_id, node.user) == (WEB, "ubuntu")


def test_all_places_are_asked_at_the_same_time(fleet: Fleet, connect: Callable[[Scope], Api]) -> None:
    everybody = threading.Barrier(len(SPOTS))

    def meet(_: Call) -> None:
        everybody.wait(60)

    fleet.answers["DescribeInstanceInformation"] = meet
    fleet.places["AKDEV", "us-east-1"] = [Instance(WEB)]
    assert find(SPOTS, WEB, connect)[0] == Scope("dev", "us-east-1")


def test_who_has_it_does_not_wait_for_the_others(fleet: Fleet, connect: Callable[[Scope], Api]) -> None:
    later = threading.Event()

    def hold(call: Call) -> None:
        if call.key != "AKPROD":
            later.wait(60)

    fleet.answers["DescribeInstanceInformation"] = hold
    fleet.places["AKPROD", "us-east-1"] = [Instance(WEB)]
    try:
        assert find(SPOTS, WEB, connect)[0] == Scope("prod", "us-east-1")
        assert not later.is_set()
    finally:
        later.set()


def test_found_nowhere_says_where_it_was_looked_for(fleet: Fleet, connect: Callable[[Scope], Api]) -> None:
    def deny(call: Call) -> tuple[int, str] | None:
        return (400, "AccessDeniedException") if call.key == "AKDEV" else None

    fleet.answers["DescribeInstanceInformation"] = fleet.answers["GetConnectionStatus"] = deny
    with pytest.raises(TargetNotConnected) as error:
        find([SPOTS[0], SPOTS[4], Scope("gone", "eu-west-1")], WEB, connect)
    with pytest.raises(SsmSshError, match=f"{WEB} could not be searched for. Tried dev in us-east-1") as unasked:
        find([SPOTS[4], Scope("gone", "eu-west-1")], WEB, connect)
    assert not isinstance(unasked.value, TargetNotConnected)
    said = error.value.message
    assert f"{WEB} was not found" in said
    assert "prod in eu-west-1: not there" in said
    assert "dev in us-east-1: GetConnectionStatus is denied" in said
    assert "gone in eu-west-1: profile 'gone' is not in" in said


def test_patience_ends(fleet: Fleet, connect: Callable[[Scope], Api], monkeypatch: pytest.MonkeyPatch) -> None:
    later = threading.Event()
    fleet.answers["DescribeInstanceInformation"] = lambda _: later.wait(60) and None
    monkeypatch.setattr(search, "_PATIENCE", 0.2)
    try:
        with pytest.raises(
            SsmSshError, match=r"could not be searched for. Tried prod in eu-west-1: .*; prod in us-east-1: "
        ):
            find(SPOTS[:2], WEB, connect)
    finally:
        later.set()


def test_everything_there_is_in_the_order_of_the_places(fleet: Fleet, connect: Callable[[Scope], Api]) -> None:
    fleet.places = {
        ("AKPROD", "eu-west-1"): [Instance(WEB, "web")],
        ("AKDEV", "us-east-1"): [Instance(an_id(2), "web"), Instance(an_id(3), "db")],
    }
    fleet.answers["DescribeInstanceInformation"] = lambda call: (
        (500, "InternalError") if call.region == "ap-south-1" else None
    )
    answers = everything(SPOTS, [], connect)
    assert [one.scope for one in answers] == SPOTS
    names = [
        [(node.name, node.profile, node.region) for node in one.inventory.nodes] if one.inventory else None
        for one in answers
    ]
    assert names == [
        [("web", "prod", "eu-west-1")],
        [],
        None,
        [],
        [("web", "dev", "us-east-1"), ("db", "dev", "us-east-1")],
        None,
    ]
    assert [one.error is not None for one in answers] == [False, False, True, False, False, True]


def test_a_bug_is_not_an_answer(connect: Callable[[Scope], Api]) -> None:
    def broken(_: Scope) -> Api:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        find(SPOTS, WEB, broken)
