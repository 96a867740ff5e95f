"""What is done about an instance that is off, in virtual time."""

from __future__ import annotations

import pytest

from ssm_ssh.aws.services.instance_power import PowerState
from ssm_ssh.errors import SsmSshError, TargetMissing, TargetNotConnected
from ssm_ssh.session.power import (
    AGENT,
    AGENT_LIMIT,
    OTHER_CAUSE,
    SETTLING,
    START,
    START_LIMIT,
    STOP_LIMIT,
    WAIT,
    PowerWait,
)

INSTANCE = "i-0123456789abcdef0"
STOPPED, STOPPING, PENDING, RUNNING = (PowerState(word) for word in ("stopped", "stopping", "pending", "running"))


def wait(*, expected: bool = False) -> PowerWait:
    return PowerWait(INSTANCE, "eu-west-1", 0.0, expected=expected)


def test_the_way_from_stopping_to_the_agent() -> None:
    way = wait()
    assert way.look(STOPPING, 0.0) == WAIT
    assert way.shown == f"waiting until {INSTANCE} has stopped, to start it"
    assert way.look(STOPPED, 100.0) == START
    way.started(101.0)
    assert way.look(STOPPED, 103.0) == WAIT  # EC2 does not know yet
    assert way.look(PENDING, 105.0) == WAIT
    assert (way.shown, way.waited(105.5)) == (f"waiting for {INSTANCE} to start", 4)
    assert way.look(RUNNING, 120.0) == AGENT
    assert (way.shown, way.waited(123.0)) == (f"{INSTANCE} runs, waiting for its SSM Agent", 3)


def test_an_instance_that_another_starts_is_waited_for() -> None:
    way = wait()
    assert way.look(PENDING, 0.0) == WAIT
    assert way.look(RUNNING, 10.0) == AGENT


def test_an_instance_that_runs_is_not_waited_for_unless_it_was_started_lately() -> None:
    assert wait().look(RUNNING, 0.0) == OTHER_CAUSE
    assert wait(expected=True).look(RUNNING, 0.0) == AGENT


@pytest.mark.parametrize("power", [None, PowerState(""), PowerState("a new word")])
def test_what_ec2_does_not_explain_has_another_cause(power: PowerState | None) -> None:
    assert wait().look(power, 0.0) == OTHER_CAUSE


@pytest.mark.parametrize("state", ["shutting-down", "terminated"])
def test_what_is_gone_is_never_started(state: str) -> None:
    with pytest.raises(TargetMissing, match=f"{INSTANCE} is {state} in eu-west-1 and cannot be started"):
        wait().look(PowerState(state), 0.0)


def test_each_step_has_a_limit() -> None:
    way = wait()
    way.look(STOPPING, 0.0)
    assert way.look(STOPPING, STOP_LIMIT - 1) == WAIT
    with pytest.raises(SsmSshError, match="has been stopping for 300 s"):
        way.look(STOPPING, STOP_LIMIT)
    way = wait()
    way.look(PENDING, 10.0)
    assert way.look(PENDING, 9.0 + START_LIMIT) == WAIT
    with pytest.raises(SsmSshError, match="does not run 300 s after its start"):
        way.look(PENDING, 10.0 + START_LIMIT)
    way.look(RUNNING, 20.0)
    assert way.look(RUNNING, 19.0 + AGENT_LIMIT) == AGENT
    with pytest.raises(TargetNotConnected, match="its SSM Agent has not connected within 300 s"):
        way.look(RUNNING, 20.0 + AGENT_LIMIT)


@pytest.mark.parametrize(("reason", "shown"), [("", "started"), ("Client.\x1bError: no key", "started: Client. Error")])
def test_an_instance_that_stops_again_says_why(reason: str, shown: str) -> None:
    way = wait()
    way.started(0.0)
    assert way.look(STOPPED, SETTLING - 1) == WAIT
    with pytest.raises(SsmSshError) as failure:
        way.look(PowerState("stopped", reason), SETTLING)
    assert shown in failure.value.message
    assert "\x1b" not in failure.value.message
