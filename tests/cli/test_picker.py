"""The choice of an instance: fzf where it is installed, else a list."""

from __future__ import annotations

import os
from argparse import Namespace
from pathlib import Path

import pytest

from ssm_ssh.aws.services.inventory import Inventory, Node
from ssm_ssh.cli import picker, scope
from ssm_ssh.errors import TargetNotConnected, UsageError
from ssm_ssh.locate.search import Answer
from ssm_ssh.locate.selection import Scope

ARGUMENTS = {"profile": None, "region": "eu-west-1", "debug": False}
WEB, DB, OLD = "i-00000000000000001", "i-00000000000000002", "i-00000000000000003"


def node(instance_id: str, name: str, *, ping: str = "Online") -> Node:
    return Node(instance_id, name, "Ubuntu 24.04", "ubuntu", "3.3", ping, "10.0.0.4", "running", "prod", "eu-west-1")


class Asked:
    def __init__(self, *nodes: Node) -> None:
        self.nodes: tuple[Node, ...] = nodes
        self.options = Namespace()

    def __call__(self, options: Namespace) -> scope.Asked:
        self.options = options
        inventory = Inventory(list(self.nodes), "", "prod", "eu-west-1")
        return scope.Asked(None, None, [Answer(Scope("prod", ""), inventory, None)])  # type: ignore[arg-type]


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Asked:
    nodes = (node(OLD, "old", ping="ConnectionLost"), node(WEB, "web \x1b[2J"), node(DB, "db"))
    asked = Asked(*nodes)
    monkeypatch.setattr(scope, "ask", asked)
    monkeypatch.setattr(os, "isatty", lambda fd: True)
    monkeypatch.setenv("PATH", str(tmp_path))
    return asked


def fzf(tmp_path: Path, script: str) -> None:
    (tmp_path / "fzf").write_text(f"#!/bin/sh\n{script}\n")
    (tmp_path / "fzf").chmod(0o755)


def test_fzf_is_given_harmless_lines_and_its_choice_counts(asked: Asked, tmp_path: Path) -> None:
    fzf(tmp_path, f"PATH=/usr/bin:/bin; cat > {tmp_path}/lines; echo query; sed -n 2p {tmp_path}/lines")
    assert picker.pick(ARGUMENTS) == picker.Picked(WEB, "prod", "eu-west-1")
    lines = (tmp_path / "lines").read_text().splitlines()
    assert [line.split("\t")[0] for line in lines] == ["0", "1", "2"]
    assert [line.split()[2] if "web" not in line else WEB for line in lines] == [DB, WEB, OLD]
    assert all(line.replace("\t", "").isprintable() for line in lines)
    assert "ConnectionLost" in lines[2]
    assert asked.options.region == ["eu-west-1"]
    assert asked.options.profile is None


@pytest.mark.parametrize("status", [1, 130])
def test_no_choice_is_an_interruption(asked: Asked, tmp_path: Path, status: int) -> None:
    fzf(tmp_path, f"exit {status}")
    with pytest.raises(KeyboardInterrupt):
        picker.pick(ARGUMENTS)


@pytest.mark.parametrize("script", ["exit 2", "echo nonsense", "echo 99"])
def test_a_fzf_that_fails_is_reported(asked: Asked, tmp_path: Path, script: str) -> None:
    fzf(tmp_path, script)
    with pytest.raises(UsageError, match="fzf failed"):
        picker.pick(ARGUMENTS)


def test_without_a_terminal_there_is_no_choice(asked: Asked, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "isatty", lambda fd: fd == 0)
    with pytest.raises(UsageError, match="no TARGET"):
        picker.pick(ARGUMENTS)


def test_without_an_instance_there_is_nothing_to_choose(asked: Asked) -> None:
    asked.nodes = ()
    with pytest.raises(TargetNotConnected):
        picker.pick(ARGUMENTS)
