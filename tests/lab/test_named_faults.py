"""Faults by their names on the command line: what they mean, and what is said of those that mean nothing."""

from __future__ import annotations

import json
from typing import Any

import pytest

from ssm_ssh.errors import UsageError
from ssm_ssh.lab import named_faults
from ssm_ssh.lab.cloud.faults import FAULTS as CLOUD_FAULTS
from ssm_ssh.lab.cloud.faults import PREFERENCES
from ssm_ssh.lab.faults.faults import Faults
from ssm_ssh.lab.machines.faults import FAULTS as INSTANCE_FAULTS
from ssm_ssh.lab.machines.instances import Instances

INSTANCES = {"i-0aaaaaaaaaaaaaaaa": "web-1", "i-0bbbbbbbbbbbbbbbb": "db-1"}
EDGE = {"mi-0ccccccccccccccccc": "edge-1"}
WEB, DB = INSTANCES


def calls(text: str) -> list[tuple[str, dict[str, Any]]]:
    return named_faults.calls(named_faults.parse(text), INSTANCES)


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("cut=100000", ("cut", {"after": 100_000})),
        ("cut=after=100000,side=agent,mid-frame=true", ("cut", {"after": 100_000, "side": "agent", "mid_frame": True})),
        ("delay=0.5,jitter=1", ("delay", {"seconds": 0.5, "jitter": 1.0})),
        ("lose-acks", ("lose_acks", {})),
        ("lose=0.1,types=acknowledge+x", ("lose", {"probability": 0.1, "types": ["acknowledge", "x"]})),
        ("throttle=StartSession,count=3", ("throttle", {"operation": "StartSession", "count": 3})),
        ('api={"code": "Odd", "message": "a, b=c"}', ("api", {"code": "Odd", "message": "a, b=c"})),
        ("stall=instance=db-1", ("stall", {"instance": DB})),
        ("kill-agent=web-1", ("kill_agent", {"instance_id": WEB})),
        ("kill_agent=" + WEB, ("kill_agent", {"instance_id": WEB})),
        ("agent-quirk=mute,instance=web-1", ("agent_quirk", {"kind": "mute", "instance_id": WEB})),
        ("agent-down=db-1", ("kill_agent", {"instance_id": DB})),
        ("instance-rebuilt=db-1", ("swap_host_key", {"console": True, "instance_id": DB})),
        ("eic-denied", ("deny", {"action": "ec2-instance-connect:SendSSHPublicKey"})),
        ("eic-denied=explicit=yes", ("deny", {"action": "ec2-instance-connect:SendSSHPublicKey", "explicit": True})),
    ],
)  # fmt: skip
def test_what_a_fault_means(text: str, wanted: tuple[str, dict[str, Any]]) -> None:
    assert calls(text) == [wanted]


def test_a_fault_concerns_the_instances_that_can_have_it() -> None:
    everything = {**INSTANCES, **EDGE}
    for text, wanted in (("no-route", [*INSTANCES]), ("standard-tier", [*EDGE]), ("agent-old", [*everything])):
        chosen = named_faults.calls(named_faults.parse(text), everything)
        assert [values["instance_id"] for _, values in chosen] == wanted
    with pytest.raises(UsageError, match="can have the fault 'standard-tier'"):
        named_faults.calls(named_faults.parse("standard-tier=web-1"), everything)


def test_a_cause_can_be_several_faults() -> None:
    denied, preferred = calls("kms-denied")
    assert denied == ("deny", {"action": "kms:GenerateDataKey", "policy": "identity-based policy"})
    assert preferred == ("preferences", {"kmsKeyId": "alias/lab"})


def test_a_fault_of_no_particular_instance_is_one_of_each() -> None:
    assert calls("agent-down") == [("kill_agent", {"instance_id": WEB}), ("kill_agent", {"instance_id": DB})]


@pytest.mark.parametrize(
    ("text", "reason", "hint"),
    [
        ("agnt-down", "there is no fault 'agnt-down'", "Did you mean agent-down?"),
        ("qqqq", "there is no fault 'qqqq'", "For a list: ssm-ssh lab --fault help"),
        ("clear", "there is no fault 'clear'", ""),
        ("start-agent", "there is no fault 'start-agent'", ""),
        ("cut=afer=1", "the fault 'cut' has no parameter 'afer'", "Did you mean after?"),
        ("cut=soon", "the fault 'cut': after cannot be 'soon'", "Use a whole number"),
        ("cut=mid_frame=perhaps", "the fault 'cut': mid_frame cannot be 'perhaps'", "Use true or false"),
        ("cut=side=middle", "side cannot be 'middle'", "Use one of: client, agent, both"),
        ("cut={", "not a JSON object: {", ""),
        ("delay", "the fault 'delay' needs seconds", "For example: --fault delay=0.2"),
        ("expire-tokens=1", "the fault 'expire-tokens' takes no value", ""),
        ("agent-quirk=hng", "the fault 'agent-quirk': kind cannot be 'hng'", "Did you mean hung?"),
        ("agent-down=wb-1", "the lab has no instance 'wb-1'", "Did you mean web-1?"),
        ("eic-denied=action=ssm:SendCommand", "the fault 'eic-denied' has no parameter 'action'", ""),
    ],
)
def test_what_means_nothing(text: str, reason: str, hint: str) -> None:
    with pytest.raises(UsageError) as caught:
        calls(text)
    assert caught.value.message == reason
    assert hint in caught.value.hint


@pytest.mark.parametrize("name", named_faults.names())
def test_every_fault_is_described_and_can_be_set(name: str) -> None:
    assert named_faults.summary(name).endswith((".", "once"))
    assert named_faults.summary(name) in named_faults.reference(name).replace("\n", " ")
    needed = [one.name for one in named_faults.parameters(named_faults.inner_name(name)) if one.required]
    given = "" if name in named_faults.CAUSES else ",".join(f"{one}={named_faults.EXAMPLES[one]}" for one in needed)
    for fault, values in named_faults.calls(named_faults.parse(f"{name}={given}"), {**INSTANCES, **EDGE}):
        json.dumps(values)
        if fault in CLOUD_FAULTS or fault == PREFERENCES:
            assert values
        elif fault in INSTANCE_FAULTS:
            assert fault in ("kill_agent", "agent_quirk") or hasattr(Instances, fault)
        else:
            assert Faults().fault(fault, **values) == 1


def test_the_list_has_each_fault_on_a_line() -> None:
    assert [line.split()[0] for line in named_faults.listing()] == named_faults.names()
