"""Instances that are off: started by ssh, shell, exec and forward where that is wanted, and by nothing else."""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from ssm_ssh.lab import InstanceOptions, Lab, LabInstance, LabOptions
from tests.e2e.policies import documented, without
from tests.e2e.ptys import PtyProgram
from tests.e2e.world import LIMIT, Done, Running, until

COMMAND = (sys.executable, "-m", "ssm_ssh")
POLICY = {
    "Version": "2012-10-17",
    "Statement": [
        *documented("A policy for commands")["Statement"],
        *documented("A policy for starting instances")["Statement"],
    ],
}
NAMES = ("ssh", "exec", "shell", "forward", "left", "asked", "full", "policy")


@pytest.fixture(scope="module")
def lab() -> Iterator[Lab]:
    instances = (
        *(InstanceOptions(name=name, state="stopped") for name in NAMES),
        InstanceOptions(name="never", state="stopped"),
        InstanceOptions(name="gone", state="terminated"),
        InstanceOptions(name="edge", hybrid=True, connected=False),
    )
    policies = {
        "starter": POLICY,
        "no-start-instances": without(POLICY, "ec2:StartInstances"),
        "no-look": without(POLICY, "ec2:DescribeInstances"),
    }
    options = LabOptions(
        instances=instances,
        policies=policies,
        pacing=False,
        pending_seconds=0.5,
        boot_seconds=0.5,
        stopping_seconds=0.5,
    )
    with tempfile.TemporaryDirectory(prefix="start-") as base, Lab(options, base=Path(base)) as lab:
        run(lab, *COMMAND, "setup")
        yield lab


def instance(lab: Lab, name: str) -> LabInstance:
    return next(each for each in lab.instances if each.name == name)


def run(lab: Lab, *words: str, identity: str = "admin", start: str = "") -> Done:
    env = lab.env_for(identity)
    return Running(words, {**env, "SSM_SSH_START": start} if start else env).finish(limit=3 * LIMIT)


def starts(lab: Lab, name: str) -> int:
    wanted = instance(lab, name).instance_id
    calls = lab.calls("StartInstances")
    return sum(call["parameters"].get("InstanceIds") == [wanted] and not call["error"] for call in calls)


def progress(lab: Lab, name: str) -> str:
    return f"ssm-ssh: waiting for {instance(lab, name).instance_id} to start"


def test_ssh_starts_an_instance_and_logs_in(lab: Lab) -> None:
    done = run(lab, "ssh", instance(lab, "ssh").destination, "echo", "here", start="always")
    assert (done.status, done.text) == (0, "here\n")
    assert done.whole_stderr.replace("\r", "").splitlines()[0] == progress(lab, "ssh")
    assert starts(lab, "ssh") == 1


def test_exec_starts_an_instance(lab: Lab) -> None:
    done = run(
        lab, *COMMAND, "exec", "--start", instance(lab, "exec").instance_id, "--", "sh", "-c", "echo here; exit 3"
    )
    assert (done.status, done.text) == (3, "here\n")
    assert done.whole_stderr.splitlines()[0] == progress(lab, "exec")
    assert starts(lab, "exec") == 1


@pytest.mark.long
def test_a_forward_starts_an_instance_once_for_all_destinations(lab: Lab) -> None:
    words = ("forward", "--start", instance(lab, "forward").instance_id, "-L", "0:localhost:22", "-L", "0:localhost:23")
    done = run(lab, *COMMAND, *words, "--", "echo", "ready")
    assert (done.status, done.text) == (0, "ready\n")
    assert starts(lab, "forward") >= 1


@pytest.mark.long
def test_a_shell_asks_on_its_terminal_and_shows_one_line(lab: Lab, tmp_path: Path) -> None:
    wanted = instance(lab, "shell").instance_id
    program = PtyProgram((*COMMAND, "shell", wanted), {**lab.env, "TERM": "xterm"}, tmp_path, columns=120)
    try:
        program.expect(f"{wanted} is stopped. Start it? [y/N]", limit=3 * LIMIT)
        program.type(b"y\r")
        end = program.expect(f"waiting for {wanted} to start (", limit=3 * LIMIT)
        program.expect("$ ", after=end, limit=3 * LIMIT)
        assert not any("waiting" in line for line in program.lines)
        program.type(b"exit\r")
        assert program.end(3 * LIMIT) == 0
    finally:
        program.close()
    assert starts(lab, "shell") == 1


def test_ssh_asks_on_the_terminal_and_enter_starts_nothing(lab: Lab, tmp_path: Path) -> None:
    wanted = instance(lab, "asked")
    program = PtyProgram(("ssh", wanted.destination, "true"), {**lab.env, "TERM": "xterm"}, tmp_path, columns=120)
    try:
        program.expect("Start it? [y/N]", limit=3 * LIMIT)
        program.type(b"\r")
        assert program.end(3 * LIMIT) == 255
    finally:
        program.close()
    assert f"{wanted.instance_id} is stopped in".encode() in program.output
    assert starts(lab, "asked") == 0


def test_without_a_terminal_the_error_says_that_it_is_stopped(lab: Lab) -> None:
    wanted = instance(lab, "never")
    command = (*COMMAND, "exec", wanted.instance_id, "--", "true")
    for words, start in ((("ssh", wanted.destination, "true"), ""), (command, "ask"), (command, "never")):
        done = run(lab, *words, start=start)
        assert done.status == 255
        assert f"{wanted.instance_id} is stopped in" in done.said
        assert f"aws ec2 start-instances --instance-ids {wanted.instance_id}" in done.said
    assert starts(lab, "never") == 0


def test_what_cannot_be_started_says_so(lab: Lab) -> None:
    gone, edge = instance(lab, "gone").instance_id, instance(lab, "edge").instance_id
    done = run(lab, *COMMAND, "exec", "--start", gone, "--", "true")
    assert (done.status, f"{gone} is terminated" in done.stderr) == (255, True)
    done = run(lab, *COMMAND, "exec", "--start", edge, "--", "true")
    assert (done.status, "managed node, which AWS cannot start" in done.stderr) == (255, True)


@pytest.mark.long
def test_if_ssh_leaves_first_the_next_says_since_when_it_starts(lab: Lab) -> None:
    ssh = Running(("ssh", instance(lab, "left").destination, "true"), {**lab.env, "SSM_SSH_START": "always"})
    until(lambda: starts(lab, "left"), "the start")
    ssh.process.kill()
    ssh.finish()
    done = run(lab, "ssh", instance(lab, "left").destination, "echo", "here")
    assert (done.status, done.text) == (0, "here\n")
    # On a busy machine it may be up before the second comes.
    lines = [line for line in done.whole_stderr.splitlines() if "since" in line]
    assert all(
        line.startswith(f"ssm-ssh: {instance(lab, 'left').instance_id} has been starting since ") for line in lines
    )
    assert starts(lab, "left") == 1


def test_no_capacity_is_one_line(lab: Lab) -> None:
    lab.fault("api", operation="StartInstances", code="InsufficientInstanceCapacity", status=500)
    done = run(lab, *COMMAND, "exec", "--start", instance(lab, "full").instance_id, "--", "true")
    assert done.status == 255
    assert done.stderr.startswith(f"ssm-ssh: EC2 has no capacity to start {instance(lab, 'full').instance_id}")
    assert len(done.stderr.splitlines()) == 1


def test_the_documented_policies_are_enough(lab: Lab) -> None:
    wanted = instance(lab, "policy").instance_id
    done = run(lab, *COMMAND, "exec", "--start", wanted, "--", "true", identity="no-start-instances")
    assert (done.status, "ec2:StartInstances" in done.stderr) == (255, True)
    done = run(lab, *COMMAND, "exec", "--start", wanted, "--", "true", identity="no-look")
    assert (done.status, "ec2:DescribeInstances" in done.stderr) == (255, True)
    done = run(lab, *COMMAND, "exec", wanted, "--", "true", identity="no-look")
    assert (done.status, "is not connected" in done.stderr) == (255, True)
    assert starts(lab, "policy") == 0
    assert run(lab, *COMMAND, "exec", "--start", wanted, "--", "true", identity="starter").status == 0
    assert starts(lab, "policy") == 1


def test_other_commands_start_nothing_and_a_running_instance_costs_nothing(lab: Lab) -> None:
    before = len(lab.calls("StartInstances"))
    for words in (("list",), ("sync",), ("status",), ("sessions",), ("completion", "bash")):
        run(lab, *COMMAND, *words, start="always")
    assert len(lab.calls("StartInstances")) == before
    wanted = instance(lab, "exec").instance_id
    run(lab, *COMMAND, "exec", "--start", wanted, "--", "true")
    looks = len(lab.calls("DescribeInstances"))
    assert run(lab, *COMMAND, "exec", "--start", wanted, "--", "true").status == 0
    assert len(lab.calls("DescribeInstances")) == looks
