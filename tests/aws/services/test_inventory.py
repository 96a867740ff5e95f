from __future__ import annotations

import json
import socket
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from ssm_ssh.aws.api.client import Api
from ssm_ssh.aws.config.settings import load
from ssm_ssh.aws.services import inventory
from ssm_ssh.aws.services.inventory import Node, find_node, list_nodes
from ssm_ssh.errors import AccessDenied, AwsError, NetworkError, ProtocolError
from tests.fleet import Call, Fleet, Instance, an_id, running

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
    found = list_nodes(api)
    assert found.names_error == ""
    common = {"agent_version": "3.3.1611.0", "address": "10.0.0.4", "profile": "prod", "region": "eu-west-1"}
    assert found.nodes == [
        Node(WEB, "web", "Amazon Linux 24.04", "ec2-user", ping="Online", state="running", **common),
        Node(EDGE, "edge", "Debian GNU/Linux 24.04", "admin", ping="Online", state="", **common),
        Node(an_id(3), "", "Microsoft Windows Server 24.04", "", ping="ConnectionLost", state="stopped", **common),
    ]


def test_all_pages_are_read(fleet: Fleet, api: Api) -> None:
    fleet.places["AKPROD", "eu-west-1"] = [Instance(an_id(number), f"web-{number}") for number in range(1230)]
    found = list_nodes(api)
    assert [(one.instance_id, one.name) for one in found.nodes] == [(an_id(n), f"web-{n}") for n in range(1230)]
    assert fleet.count("DescribeInstanceInformation") == 25
    assert fleet.count("DescribeInstances") == 2


def test_the_dead_are_not_found(fleet: Fleet, api: Api) -> None:
    states = ("terminated", "shutting-down", "", "stopped", "pending")
    fleet.places["AKPROD", "eu-west-1"] = [
        Instance(an_id(number), "web", state=state, ping="ConnectionLost") for number, state in enumerate(states)
    ]
    assert [one.state for one in list_nodes(api).nodes] == ["stopped", "pending"]


def test_tags_are_asked_for(fleet: Fleet, api: Api) -> None:
    fleet.places["AKPROD", "eu-west-1"] = [
        Instance(an_id(1), "a", tags={"Env": "prod", "Team": "x"}),
        Instance(an_id(2), "b", tags={"Env": "test", "Team": "x"}),
        Instance(an_id(3), "c", tags={"Env": "prod"}),
        Instance(an_id(4), "d", tags={"Env": "dev", "Team": "x"}),
    ]
    assert [one.name for one in list_nodes(api, tags=[("Env", ("prod", "test")), ("Team", ())]).nodes] == ["a", "b"]


def test_without_ec2_there_are_no_names(fleet: Fleet, api: Api) -> None:
    fleet.places["AKPROD", "eu-west-1"] = [Instance(WEB, "web"), Instance(EDGE, "edge")]
    fleet.answers["DescribeInstances"] = unauthorized
    found = list_nodes(api)
    assert [one.name for one in found.nodes] == ["", "edge"]
    assert "DescribeInstances" in found.names_error


def test_a_failure_of_systems_manager_is_a_failure(fleet: Fleet, api: Api) -> None:
    fleet.answers["DescribeInstanceInformation"] = lambda _: (500, "InternalError")
    with pytest.raises(AwsError):
        list_nodes(api)


def broken(_: Call) -> tuple[int, str]:
    return 500, "InternalError"


def throttled(_: Call) -> tuple[int, str]:
    return 400, "RequestLimitExceeded"


@pytest.mark.parametrize("trouble", [broken, throttled, unauthorized])
def test_a_failure_of_ec2_costs_the_names_only(
    fleet: Fleet, api: Api, trouble: Callable[[Call], tuple[int, str]]
) -> None:
    fleet.places["AKPROD", "eu-west-1"] = [Instance(WEB, "web"), Instance(EDGE, "edge")]
    fleet.answers["DescribeInstances"] = trouble
    answer = list_nodes(api)
    assert [(node.instance_id, node.name) for node in answer.nodes] == [(WEB, ""), (EDGE, "edge")]
    assert "DescribeInstances" in answer.names_error


def closed_port() -> str:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return f"http://127.0.0.1:{listener.getsockname()[1]}"


@pytest.mark.parametrize("url", ["closed", "https://ec2.invalid", "ftp://nonsense"])
def test_an_ec2_that_cannot_be_reached_costs_the_names_only(fleet: Fleet, tmp_path: Path, url: str) -> None:
    fleet.places["AKPROD", "eu-west-1"] = [Instance(WEB, "web")]
    env = fleet.environment(tmp_path, {"prod": "eu-west-1"})
    env["AWS_ENDPOINT_URL_EC2"] = closed_port() if url == "closed" else url
    answer = list_nodes(Api(load(profile="prod", env=env), sleep=lambda _: None))
    assert [node.instance_id for node in answer.nodes] == [WEB]
    assert answer.names_error


def test_an_ec2_that_stays_silent_costs_the_names_only(fleet: Fleet, api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    fleet.places["AKPROD", "eu-west-1"] = [Instance(WEB, "web")]
    later = threading.Event()
    fleet.answers["DescribeInstances"] = lambda _: later.wait(60) and None
    monkeypatch.setattr(inventory, "_FIRST_SILENCE", 0.2)
    try:
        answer = list_nodes(api)
    finally:
        later.set()
    assert [node.instance_id for node in answer.nodes] == [WEB]
    assert answer.names_error == "EC2 does not answer DescribeInstances in time"


def test_names_of_the_pages_that_came_are_told(fleet: Fleet, api: Api) -> None:
    fleet.places["AKPROD", "eu-west-1"] = [
        Instance(an_id(number), f"web-{number}", state="terminated" if number == 0 else "running")
        for number in range(1001)
    ]
    fleet.answers["DescribeInstances"] = lambda call: throttled(call) if "NextToken" in call.payload else None
    answer = list_nodes(api)
    assert answer.names_error
    assert [node.name for node in answer.nodes] == [f"web-{number}" for number in range(1, 1000)] + [""]


def test_pages_without_end(fleet: Fleet, api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    forever = json.dumps({"InstanceInformationList": [], "NextToken": "again"})
    monkeypatch.setattr(Fleet, "_DescribeInstanceInformation", lambda *_: forever)
    with pytest.raises(ProtocolError, match="without end"):
        list_nodes(api)


@pytest.mark.parametrize(
    ("answer", "whole"),
    [
        ({}, False),
        ({"InstanceInformationList": None}, False),
        ({"InstanceInformationList": [1, {}, {"InstanceId": "x.y"}]}, True),
    ],
)
def test_an_answer_without_a_list_is_not_an_empty_one(
    fleet: Fleet, api: Api, monkeypatch: pytest.MonkeyPatch, answer: dict[str, Any], whole: bool
) -> None:
    monkeypatch.setattr(Fleet, "_DescribeInstanceInformation", lambda *_: json.dumps(answer))
    monkeypatch.setattr(Fleet, "_DescribeInstances", lambda *_: "<R><reservationSet>x</reservationSet></R>")
    if whole:
        assert list_nodes(api).nodes == []
        assert "reservationSet" in list_nodes(api).names_error
        assert find_node(api, WEB) is None
        return
    for ask in (lambda: list_nodes(api), lambda: find_node(api, WEB)):
        with pytest.raises(ProtocolError, match="InstanceInformationList"):
            ask()


def test_one_instance_is_known_here_or_not(fleet: Fleet, api: Api) -> None:
    fleet.places["AKPROD", "eu-west-1"] = [Instance(WEB, "web", ping="ConnectionLost")]
    found = find_node(api, WEB)
    assert found
    assert (found.instance_id, found.user, found.ping, found.region) == (WEB, "ubuntu", "ConnectionLost", "eu-west-1")
    assert find_node(api, an_id(9)) is None
    assert {one.operation for one in fleet.calls} == {"DescribeInstanceInformation"}


@pytest.mark.parametrize("code", ["InvalidInstanceId", "InvalidInstanceIdException"])
def test_an_id_that_the_service_refuses_is_not_here(fleet: Fleet, api: Api, code: str) -> None:
    fleet.answers["DescribeInstanceInformation"] = lambda _: (400, code)
    assert find_node(api, WEB) is None


def test_who_may_not_describe_may_ask_for_a_connection(fleet: Fleet, api: Api) -> None:
    fleet.places["AKPROD", "eu-west-1"] = [Instance(WEB), Instance(an_id(2), ping="ConnectionLost")]
    fleet.answers["DescribeInstanceInformation"] = denied
    assert find_node(api, WEB)
    for number in (2, 3):  # it may be here, and its agent off
        with pytest.raises(AccessDenied, match="its agent is not connected"):
            find_node(api, an_id(number))
    fleet.answers["GetConnectionStatus"] = denied
    with pytest.raises(AccessDenied):
        find_node(api, WEB)


def test_nobody_answers(tmp_path: Path) -> None:
    with running() as fleet:
        env = fleet.environment(tmp_path, {"prod": "eu-west-1"})
    make: Callable[[], Api] = lambda: Api(load(profile="prod", env=env), sleep=lambda _: None)  # noqa: E731
    with pytest.raises(NetworkError):
        list_nodes(make())
    with pytest.raises(NetworkError):
        find_node(make(), WEB)
