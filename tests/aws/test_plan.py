from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from ssm_ssh.aws.plan import describe
from ssm_ssh.aws.settings import load
from ssm_ssh.errors import UsageError
from ssm_ssh.target import Target, parse_target

if TYPE_CHECKING:
    from pathlib import Path


def test_plan(tmp_path: Path, target: Target) -> None:
    env = {"HOME": str(tmp_path), "AWS_REGION": "eu-west-1", "AWS_SECRET_ACCESS_KEY": "CANARY"}
    lines = describe(load(env=env), target)
    assert lines[0] == "profile default, region eu-west-1"
    assert [line.split()[0] for line in lines[1:]] == [
        "ec2-instance-connect:SendSSHPublicKey",
        "ssm:StartSession",
        "ssmmessages:OpenDataChannel",
        "ssm:TerminateSession",
    ]
    assert "at ssm.eu-west-1.amazonaws.com: " in lines[2]
    assert '"portNumber": ["22"]' in lines[2]
    assert "ssmmessages.eu-west-1.amazonaws.com" in lines[3]
    assert "CANARY" not in "".join(lines)


def test_without_a_push(tmp_path: Path) -> None:
    env = {"HOME": str(tmp_path), "AWS_REGION": "eu-west-1"}
    target = parse_target("mi-0123456789abcdef0", "2222", "root")
    assert len(describe(load(env=env), target, way="none")) == 4
    with pytest.raises(UsageError):
        describe(load(env=env), target, way="eic")
