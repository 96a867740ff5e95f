from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from ssm_ssh.aws.api import Api
from ssm_ssh.aws.discovery import Node, knows, nodes
from ssm_ssh.aws.settings import load
from ssm_ssh.errors import AccessDenied, AwsError, NetworkError, ProtocolError
from tests.fleet import Fleet, Instance, an_id, running

WEB, EDGE = an_id(1), f"mi-{2:017x}"


@pytest.fixture
def fleet() -> Iterator[Fleet]:
    with running() as fleet:
        yield fleet


@pytest.fixture
def api(fleet: Fleet, tmp_path: Path) -> Api:
    env = fleet.environment(tmp_path, {"prod": "eu-west-1"})
    return Api(load(profile="prod", env=env), sleep=lambda _: None)


def denied(_: object) -> tuple[int, str]:
    return 400, "AccessDeniedException"


def unauthorized(_: object) -> tuple[int, str]:
    return 403, "UnauthorizedOperation"


def test_what_both_services_know_is_one_node(fleet: Fleet, api: Api) -> None:
    fleet.places["AKPROD", "eu-west-1"] = [
        Instance(WEB, "web", "Amazon Linux"),
        Instance(EDGE, "edge", "Debian GNU/Linux"),
        Instance(an_id(3), None, "Microsoft Windows Server", state="stopped", ping="ConnectionLost"),
    ]
    found = nodes(api)
    assert found.nameless == ""
    common = {"agent_version": "3.3.1611.0", "address": "10.0.0.4", "profile": "prod", "region": "eu-west-1"}
    assert found.nodes == [
        Node(WEB, "web", "Amazon Linux 24.04", "ec2-user", ping="Online", state="running", **common),
        Node(EDGE, "edge", "Debian GNU/Linux 24.04", "admin", ping="Online", state="", **common),
        Node(an_id(3), "", "Microsoft Windows Server 24.04", "", ping="ConnectionLost", state="stopped", **common),
    ]


def test_all_pages_are_read(fleet: Fleet, api: Api) -> None:
    fleet.places["AKPROD", "eu-west-1"] = [Instance(an_id(number), f"web-{number}") for number in range(1230)]
    found = nodes(api)
    assert [(one.instance_id, one.name) for one in found.nodes] == [(an_id(n), f"web-{n}") for n in range(1230)]
    assert fleet.count("DescribeInstanceInformation") == 25
    assert fleet.count("DescribeInstances") == 2


def test_the_dead_are_not_found(fleet: Fleet, api: Api) -> None:
    states = ("terminated", "shutting-down", "", "stopped", "pending")
    fleet.places["AKPROD", "eu-west-1"] = [
        Instance(an_id(number), "web", state=state, ping="ConnectionLost") for number, state in enumerate(states)
    ]
    assert [one.state for one in nodes(api).nodes] == ["stopped", "pending"]


def test_tags_are_asked_for(fleet: Fleet, api: Api) -> None:
    fleet.places["AKPROD", "eu-west-1"] = [
        Instance(an_id(1), "a", tags={"Env": "prod", "Team": "x"}),
        Instance(an_id(2), "b", tags={"Env": "test", "Team": "x"}),
        Instance(an_id(3), "c", tags={"Env": "prod"}),
        Instance(an_id(4), "d", tags={"Env": "dev", "Team": "x"}),
    ]
    assert [one.name for one in nodes(api, tags=[("Env", ("prod", "test")), ("Team", ())]).nodes] == ["a", "b"]


def test_without_ec2_there_are_no_names(fleet: Fleet, api: Api) -> None:
    fleet.places["AKPROD", "eu-west-1"] = [Instance(WEB, "web"), Instance(EDGE, "edge")]
    fleet.answers["DescribeInstances"] = unauthorized
    found = nodes(api)
    assert [one.name for one in found.nodes] == ["", "edge"]
    assert "DescribeInstances" in found.nameless


@pytest.mark.parametrize("operation", ["DescribeInstances", "DescribeInstanceInformation"])
def test_other_failures_are_failures(fleet: Fleet, api: Api, operation: str) -> None:
    fleet.answers[operation] = lambda _: (500, "InternalError")
    with pytest.raises(AwsError):
        nodes(api)


def test_pages_without_end(fleet: Fleet, api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    forever = json.dumps({"InstanceInformationList": [], "NextToken": "again"})
    monkeypatch.setattr(Fleet, "_DescribeInstanceInformation", lambda *_: forever)
    with pytest.raises(ProtocolError, match="without end"):
        nodes(api)


@pytest.mark.parametrize(
    "answer", [{}, {"InstanceInformationList": None}, {"InstanceInformationList": [1, {}, {"InstanceId": "x.y"}]}]
)
def test_odd_answers_hold_nothing(
    fleet: Fleet, api: Api, monkeypatch: pytest.MonkeyPatch, answer: dict[str, Any]
) -> None:
    monkeypatch.setattr(Fleet, "_DescribeInstanceInformation", lambda *_: json.dumps(answer))
    monkeypatch.setattr(Fleet, "_DescribeInstances", lambda *_: "<R><reservationSet>x</reservationSet></R>")
    assert nodes(api).nodes == []
    assert knows(api, WEB) is None


def test_one_instance_is_known_here_or_not(fleet: Fleet, api: Api) -> None:
    fleet.places["AKPROD", "eu-west-1"] = [Instance(WEB, "web", ping="ConnectionLost")]
    found = knows(api, WEB)
    assert found
    assert (found.instance_id, found.user, found.ping, found.region) == (WEB, "ubuntu", "ConnectionLost", "eu-west-1")
    assert knows(api, an_id(9)) is None
    assert {one.operation for one in fleet.calls} == {"DescribeInstanceInformation"}


@pytest.mark.parametrize("code", ["InvalidInstanceId", "InvalidInstanceIdException"])
def test_an_id_that_the_service_refuses_is_not_here(fleet: Fleet, api: Api, code: str) -> None:
    fleet.answers["DescribeInstanceInformation"] = lambda _: (400, code)
    assert knows(api, WEB) is None


def test_who_may_not_describe_may_ask_for_a_connection(fleet: Fleet, api: Api) -> None:
    fleet.places["AKPROD", "eu-west-1"] = [Instance(WEB), Instance(an_id(2), ping="ConnectionLost")]
    fleet.answers["DescribeInstanceInformation"] = denied
    assert knows(api, WEB)
    assert knows(api, an_id(2)) is None
    assert knows(api, an_id(3)) is None
    fleet.answers["GetConnectionStatus"] = denied
    with pytest.raises(AccessDenied):
        knows(api, WEB)


def test_nobody_answers(tmp_path: Path) -> None:
    with running() as fleet:
        env = fleet.environment(tmp_path, {"prod": "eu-west-1"})
    make: Callable[[], Api] = lambda: Api(load(profile="prod", env=env), sleep=lambda _: None)  # noqa: E731
    with pytest.raises(NetworkError):
        nodes(make())
    with pytest.raises(NetworkError):
        knows(make(), WEB)
