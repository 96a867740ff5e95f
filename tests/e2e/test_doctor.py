"""`ssm-ssh doctor` as a user runs it, against a lab with real sessions."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from ssm_ssh.lab import InstanceOptions, Lab, LabInstance, LabOptions
from tests.e2e.policies import documented, without
from tests.e2e.world import until

pytestmark = pytest.mark.e2e

POLICY = documented("A policy for the doctor")
READING = ("Describe", "Get", "List", "Simulate")
OWN = {"StartSession", "TerminateSession", "CreateDataChannel", "OpenDataChannel"}
AGENTS = {"CreateControlChannel", "OpenControlChannel"}


@pytest.fixture(scope="module")
def opened() -> Iterator[Lab]:
    options = LabOptions(
        instances=(
            InstanceOptions(name="web"),
            InstanceOptions(name="edge", hybrid=True, eic=False),
            InstanceOptions(name="off", connected=False),
        ),
        policies={"doctor": POLICY, "bare": {"Version": "2012-10-17", "Statement": POLICY["Statement"][:2]}},
        pacing=False,
    )
    with tempfile.TemporaryDirectory(prefix="e2e-") as base, Lab(options, base=Path(base)) as lab:
        yield lab
        # Whatever the tests below have broken: the doctor only looks, and its one session is all that it starts.
        made = {call["operation"] for call in lab.calls()}
        assert {name for name in made if not name.startswith(READING)} <= OWN | AGENTS


@pytest.fixture
def lab(opened: Lab) -> Iterator[Lab]:
    yield opened
    opened.clear_faults()


def examine(lab: Lab, *words: str, identity: str = "doctor", status: int | None = 0) -> dict[str, tuple[str, str]]:
    """Return the findings by name: state and evidence."""
    command = [sys.executable, "-m", "ssm_ssh", "doctor", "--json", *words]
    done = subprocess.run(command, env=lab.env_for(identity), capture_output=True, text=True, timeout=120)
    assert "Traceback" not in done.stderr
    assert status is None or done.returncode == status, (done.stdout, done.stderr)
    return {item["check"]: (item["state"], item["evidence"]) for item in json.loads(done.stdout)}


def web(lab: Lab) -> LabInstance:
    return lab.instances[0]


def test_a_healthy_target_needs_no_more_than_the_policy_and_leaves_nothing_behind(lab: Lab) -> None:
    before = len(lab.calls())
    for one in lab.instances[:2]:
        found = examine(lab, one.instance_id)
        # The policy lets nothing be pushed.
        assert {name for name, (state, _) in found.items() if state not in ("ok", "note")} == {"setup", "rights: keys"}
        assert found["session"][1].startswith("sshd answers on port 22")
        assert found["rights"][0] == "ok"
    made = [call["operation"] for call in lab.calls()[before:]]
    assert {name for name in made if not name.startswith(READING)} <= OWN
    until(lambda: all(one["Status"] in ("Terminated", "Terminating") for one in lab.sessions()), "the sessions' ends")


def test_without_a_session_it_says_so(lab: Lab) -> None:
    before = len(lab.calls("StartSession"))
    found = examine(lab, web(lab).instance_id, "--no-session", status=9)
    assert found["session"] == ("not checked", "not tried, as --no-session asks")
    assert len(lab.calls("StartSession")) == before


def test_an_agent_that_is_away_is_the_cause(lab: Lab) -> None:
    found = examine(lab, lab.instances[2].instance_id, status=16)
    assert found["agent"][0] == "problem"
    assert found["instance"][0] == "ok"


def test_a_port_that_nothing_listens_on_is_the_cause(lab: Lab) -> None:
    lab.fault("stop_sshd", instance_id=web(lab).instance_id)
    try:
        found = examine(lab, web(lab).instance_id, status=18)
        assert "nothing listens on port 22" in found["sshd"][1]
    finally:
        lab.fault("start_sshd", instance_id=web(lab).instance_id)


def test_a_real_refusal_counts_more_than_the_simulation(lab: Lab) -> None:
    lab.fault("deny", action="ssm:StartSession", policy="service control policy")
    found = examine(lab, web(lab).instance_id, status=12)
    assert found["rights"][0] == "problem"
    assert "service control policy" in found["rights"][1]


def test_a_network_that_does_not_reach_aws(lab: Lab) -> None:
    env = {**lab.env, "AWS_ENDPOINT_URL_STS": "https://127.0.0.1:9"}
    command = [sys.executable, "-m", "ssm_ssh", "doctor", "--json", web(lab).instance_id]
    done = subprocess.run(command, env=env, capture_output=True, text=True, timeout=120)
    assert done.returncode == 10, done
    [problem] = [item for item in json.loads(done.stdout) if item["state"] == "problem"]
    assert (problem["check"], "refuses connections" in problem["evidence"]) == ("connection to AWS", True)


def test_an_endpoint_that_is_out_of_reach_is_never_called_good(lab: Lab) -> None:
    lab.fault("unreachable", service="ssm", how="closed")
    found = examine(lab, web(lab).instance_id, status=10)
    assert found["connection to AWS"][0] == "problem"
    assert "agent" not in found or found["agent"][0] == "not checked"


def test_a_certificate_that_is_not_trusted_is_named_by_its_issuer(lab: Lab) -> None:
    lab.fault("unreachable", service="ssm", how="untrusted")
    found = examine(lab, web(lab).instance_id, status=10)
    state, evidence = found["connection to AWS"]
    assert state == "problem"
    assert "has an unknown issuer. It is issued by '" in evidence


def test_a_proxy_that_refuses_connections_is_named(lab: Lab) -> None:
    env = {**lab.env_for("doctor"), "HTTPS_PROXY": "http://127.0.0.1:9"}
    command = [sys.executable, "-m", "ssm_ssh", "doctor", "--json", web(lab).instance_id]
    done = subprocess.run(command, env=env, capture_output=True, text=True, timeout=120)
    assert done.returncode == 10, done
    [problem] = [item for item in json.loads(done.stdout) if item["state"] == "problem"]
    assert "the proxy 127.0.0.1:9 refuses connections" in problem["evidence"]


def test_credentials_that_aws_refuses(lab: Lab) -> None:
    env = {**lab.env, "AWS_SECRET_ACCESS_KEY": "wrong" * 8}
    command = [sys.executable, "-m", "ssm_ssh", "doctor", "--json", web(lab).instance_id]
    done = subprocess.run(command, env=env, capture_output=True, text=True, timeout=120)
    assert done.returncode == 11, done
    assert {item["check"] for item in json.loads(done.stdout) if item["state"] == "problem"} <= {
        "identity",
        "credentials",
    }


ACTIONS = sorted({action for statement in POLICY["Statement"] for action in statement["Action"]})


@pytest.mark.long
@pytest.mark.parametrize("action", ACTIONS)
def test_without_any_one_permission_nothing_is_called_good_that_was_not_seen(action: str) -> None:
    options = LabOptions(instances=1, policies={"doctor": without(POLICY, action)}, pacing=False)
    with tempfile.TemporaryDirectory(prefix="e2e-") as base, Lab(options, base=Path(base)) as lab:
        found = examine(lab, web(lab).instance_id, status=None)
        if action in ("ssm:StartSession", "ssmmessages:OpenDataChannel"):
            assert "problem" in {state for state, _ in found.values()}, found
        else:
            assert {state for state, _ in found.values()} <= {"ok", "note", "warning", "not checked"}, found
        for _, (state, evidence) in found.items():
            assert state != "not checked" or "permission" in evidence or "Session" in evidence, evidence


def test_sessions_alone_are_enough_to_see_that_they_work(lab: Lab) -> None:
    found = examine(lab, web(lab).instance_id, identity="bare")
    assert found["session"][0] == "ok"
    assert found["instance"][0] == "not checked"


def test_a_table_ends_with_the_first_thing_to_do(lab: Lab) -> None:
    command = [sys.executable, "-m", "ssm_ssh", "doctor", lab.instances[2].instance_id]
    began = time.monotonic()
    done = subprocess.run(command, env=lab.env_for("doctor"), capture_output=True, text=True, timeout=120)
    assert time.monotonic() - began < 60
    assert done.returncode == 16
    assert done.stdout.splitlines()[-1].startswith("The first thing to put right: agent: ")
    assert done.stderr.startswith("One session with ")


def test_without_a_target_the_credentials_are_checked(lab: Lab) -> None:
    found = examine(lab)
    assert found["identity"][0] == "ok"
    assert "instance" not in found
