"""Starting and stopping instances of the lab."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.lab.api.conftest import EDGE, STOPPED, WEB, Service, code


@pytest.fixture
def ec2(service: Service) -> Any:  # noqa: ANN401
    service.instances.answers |= {"boot": {}, "fault": {}}
    options = {"pending_seconds": 0.3, "boot_seconds": 0.2, "stopping_seconds": 0.3}
    for name, value in options.items():
        object.__setattr__(service.state.options, name, value)
    return service.client("ec2")


def state(service: Service, instance_id: str) -> str:
    return service.call(lambda: service.state.instances[instance_id].state)


def until(done: Callable[[], object]) -> None:
    deadline = time.monotonic() + 60.0
    while not done():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def words(change: dict[str, Any]) -> tuple[str, str]:
    return change["PreviousState"]["Name"], change["CurrentState"]["Name"]


def test_a_start_takes_its_time_and_the_agent_comes_last(service: Service, ec2: Any) -> None:  # noqa: ANN401
    (change,) = ec2.start_instances(InstanceIds=[STOPPED])["StartingInstances"]
    assert words(change) == ("stopped", "pending")
    (change,) = ec2.start_instances(InstanceIds=[STOPPED])["StartingInstances"]
    assert words(change) == ("pending", "pending")
    until(lambda: state(service, STOPPED) == "running")
    until(lambda: len(service.instances.calls) == 2)
    assert service.instances.calls == [
        ("boot", {"instance_id": STOPPED}),
        ("fault", {"name": "start_agent", "args": {"instance_id": STOPPED}}),
    ]
    (change,) = ec2.start_instances(InstanceIds=[WEB])["StartingInstances"]
    assert words(change) == ("running", "running")


def test_a_stop_takes_its_time_and_says_why(service: Service, ec2: Any) -> None:  # noqa: ANN401
    (change,) = ec2.stop_instances(InstanceIds=[WEB], Hibernate=True)["StoppingInstances"]
    assert words(change) == ("running", "stopping")
    with pytest.raises(ClientError) as error:
        ec2.start_instances(InstanceIds=[WEB])
    assert code(error) == "IncorrectInstanceState"
    until(lambda: state(service, WEB) == "stopped")
    (reservation,) = ec2.describe_instances(InstanceIds=[WEB])["Reservations"]
    assert reservation["Instances"][0]["StateReason"]["Code"] == "Client.UserInitiatedHibernate"
    ec2.start_instances(InstanceIds=[WEB])
    (reservation,) = ec2.describe_instances(InstanceIds=[WEB])["Reservations"]
    assert "StateReason" not in reservation["Instances"][0]


@pytest.mark.parametrize("instance_id", [EDGE, "i-0cccccccccccccccc"])
def test_what_ec2_does_not_know_is_not_started(ec2: Any, instance_id: str) -> None:  # noqa: ANN401
    with pytest.raises(ClientError) as error:
        ec2.start_instances(InstanceIds=[instance_id])
    assert code(error) == "InvalidInstanceID.NotFound"
    with pytest.raises(ClientError) as error:
        ec2.start_instances(InstanceIds=[STOPPED, instance_id])
    assert code(error) == "InvalidInstanceID.NotFound"
    with pytest.raises(ClientError) as error:
        ec2.start_instances(InstanceIds=[STOPPED], DryRun=True)
    assert code(error) == "DryRunOperation"
