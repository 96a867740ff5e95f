"""EC2's state of one instance, and its start."""

from __future__ import annotations

from typing import Any, cast

import pytest

from ssm_ssh.aws.api.client import Api
from ssm_ssh.aws.services.instance_power import PowerState, power_state, start_instance

INSTANCE = "i-0123456789abcdef0"


class FakeApi:
    """Answers DescribeInstances with `instances`."""

    def __init__(self, *instances: dict[str, Any]) -> None:
        self.instances = list(instances)
        self.asked: list[tuple[str, dict[str, Any], str]] = []

    def call(self, _: str, operation: str, payload: dict[str, Any], target: str = "") -> dict[str, Any]:
        self.asked.append((operation, payload, target))
        return {"reservationSet": [{"instancesSet": self.instances}]}


def described(state: str, **more: object) -> dict[str, Any]:
    return {"instanceId": INSTANCE, "instanceState": {"name": state}, **more}


@pytest.mark.parametrize(
    ("instance", "power"),
    [
        (described("running"), PowerState("running")),
        (
            described("stopped", stateReason={"code": "Client.UserInitiatedShutdown", "message": "by a user"}),
            PowerState("stopped", "by a user"),
        ),
        (
            described("stopped", stateReason={"code": "Client.UserInitiatedHibernate", "message": "m"}),
            PowerState("stopped", "m", hibernated=True),
        ),
        (described("stopped", stateReason="text"), PowerState("stopped")),
        ({"instanceId": "i-0123456789abcdef1"}, None),
    ],
)
def test_the_state_is_that_of_the_instance(instance: dict[str, Any], power: PowerState | None) -> None:
    assert power_state(cast("Api", FakeApi(instance)), INSTANCE) == power


def test_no_instance_has_no_state() -> None:
    assert power_state(cast("Api", FakeApi()), INSTANCE) is None


def test_a_start_names_the_instance() -> None:
    fake = FakeApi()
    start_instance(cast("Api", fake), INSTANCE)
    assert fake.asked == [("StartInstances", {"InstanceId": [INSTANCE]}, INSTANCE)]
