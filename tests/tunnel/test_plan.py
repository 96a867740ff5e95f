from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from ssm_ssh.aws.config.settings import load
from ssm_ssh.errors import UsageError
from ssm_ssh.settings.options import ConnectionOptions
from ssm_ssh.target import Target, parse_target
from ssm_ssh.tunnel.destination import SshDestination
from ssm_ssh.tunnel.plan import describe

if TYPE_CHECKING:
    from pathlib import Path


def destination(instance_id: str, port: int = 22) -> SshDestination:
    return SshDestination(parse_target(instance_id), port, "root")


def test_plan(tmp_path: Path, target: Target) -> None:
    env = {"HOME": str(tmp_path), "AWS_REGION": "eu-west-1", "AWS_SECRET_ACCESS_KEY": "CANARY"}
    lines = describe(load(env=env), destination(target.instance_id), ConnectionOptions(), method="eic")
    assert lines[0] == "profile default, region eu-west-1"
    assert [line.partition(" at ")[0] for line in lines[1:]] == [
        "ec2-instance-connect:SendSSHPublicKey",
        "ssm:StartSession",
        "ssmmessages:OpenDataChannel",
        "only if the host key is unknown: ec2:GetConsoleOutput",
        "only if the host key is unknown, and the console does not show it, and push is not eic: ssm:SendCommand",
        "ssm:TerminateSession",
    ]
    assert lines[4].endswith('ec2.eu-west-1.amazonaws.com: {"InstanceId": "i-0123456789abcdef0"}')
    assert "at ssm.eu-west-1.amazonaws.com: " in lines[2]
    assert '"portNumber": ["22"]' in lines[2]
    assert "ssmmessages.eu-west-1.amazonaws.com" in lines[3]
    assert "CANARY" not in "".join(lines)


@pytest.mark.parametrize(
    ("instance", "method", "calls"),
    [
        ("i-0123456789abcdef0", "send-command", ["ec2:GetConsoleOutput", "ssm:SendCommand"]),
        ("i-0123456789abcdef0", "none", ["ec2:GetConsoleOutput"]),
        ("mi-0123456789abcdef0", "send-command", ["ssm:SendCommand"]),
        ("mi-0123456789abcdef0", "none", []),
    ],
)
def test_how_a_host_key_would_be_looked_up(tmp_path: Path, instance: str, method: str, calls: list[str]) -> None:
    env = {"HOME": str(tmp_path), "AWS_REGION": "eu-west-1"}
    lines = describe(load(env=env), destination(instance), ConnectionOptions(), method=method)
    found = [line for line in lines if line.startswith("only if the host key is unknown")]
    assert [line.partition(": ")[2].partition(" at ")[0] for line in found] == calls


def test_a_command_document_of_ones_own_is_named(tmp_path: Path, target: Target) -> None:
    env = {"HOME": str(tmp_path), "AWS_REGION": "eu-west-1"}
    lines = describe(
        load(env=env),
        destination(target.instance_id),
        ConnectionOptions(push_document="SsmSsh-PushKey"),
        method="send-command",
    )
    commands = [line for line in lines if "ssm:SendCommand" in line]
    assert len(commands) == 2
    assert all('"DocumentName": "SsmSsh-PushKey", "Data": "(' in line for line in commands)


def test_without_a_push(tmp_path: Path) -> None:
    env = {"HOME": str(tmp_path), "AWS_REGION": "eu-west-1"}
    node = destination("mi-0123456789abcdef0", 2222)
    assert len(describe(load(env=env), node, ConnectionOptions(), method="none")) == 4
    with pytest.raises(UsageError):
        describe(load(env=env), node, ConnectionOptions(), method="eic")
