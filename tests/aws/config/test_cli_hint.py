"""Each command of the AWS CLI that a hint names is one that the AWS CLI takes, by its own parser (v1, from PyPI)."""

from __future__ import annotations

import ast
import os
import re
import shlex
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from unittest import mock

import pytest

import ssm_ssh
from ssm_ssh.aws.api.errors import explain
from ssm_ssh.aws.api.refusal import Refusal
from ssm_ssh.aws.config import cli_hint
from ssm_ssh.aws.config.settings import load
from ssm_ssh.errors import UsageError

PROFILES = ["", "prod", "team:prod", "my own", "it's", "--odd", "$HOME", "é"]
Parse = Callable[[str], int]


@pytest.fixture(scope="module")
def parse(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Parse]:
    """The CLI as far as it decides whether a command line is right: nothing is called, nothing is asked."""
    folder = tmp_path_factory.mktemp("cli")
    (folder / "config").write_text("".join(f"[profile {shlex.quote(name)}]\n" for name in PROFILES if name))
    env = {"HOME": str(folder), "AWS_CONFIG_FILE": str(folder / "config"), "AWS_DEFAULT_REGION": "eu-west-1"}
    with mock.patch.dict(os.environ, env, clear=True), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from awscli import clidriver
        from awscli.customizations.configure.configure import ConfigureCommand
        from awscli.customizations.configure.set import ConfigureSetCommand

        driver = clidriver.create_clidriver()
        with (
            mock.patch.object(clidriver.CLIOperationCaller, "invoke", return_value=0),
            mock.patch.object(ConfigureCommand, "_run_main", return_value=0),
            mock.patch.object(ConfigureSetCommand, "_run_main", return_value=0),
        ):

            def run(command: str) -> int:
                program, *arguments = shlex.split(command)
                assert program == "aws"
                try:
                    return int(driver.main(arguments) or 0)
                except SystemExit as end:
                    return int(end.code or 0)

            yield run


def test_the_parser_refuses_what_is_wrong(parse: Parse) -> None:
    for wrong in (
        "aws ec2 start-instances i-0123456789abcdef0",
        "aws sso login --profile prod",
        "aws configure sso",
        "aws sts get-caller-identity --profle prod",
    ):
        assert parse(wrong) != 0


@pytest.mark.parametrize("profile", PROFILES)
def test_every_command_is_taken(parse: Parse, profile: str) -> None:
    for command in (
        cli_hint.configure(profile),
        cli_hint.set_region(profile),
        cli_hint.whoami(profile),
        cli_hint.start_instance("i-0123456789abcdef0", "eu-west-1", profile),
    ):
        assert parse(command) == 0, command


def test_hints_as_they_are_shown(parse: Parse, tmp_path: Path) -> None:
    (tmp_path / "config").write_text("[profile 'my own']\n")
    env = {"AWS_CONFIG_FILE": str(tmp_path / "config"), "HOME": str(tmp_path)}
    hints = []
    for values in ({"profile": "my own"}, {"profile": None}):
        with pytest.raises(UsageError) as caught:
            load(env=env, **values)
        hints.append(caught.value.hint)
    with pytest.raises(UsageError) as caught:
        load(profile="new one", region="eu-west-1", env={"HOME": str(tmp_path)})
    hints.append(caught.value.hint)
    refusal = Refusal("SendSSHPublicKey", "i-0123456789abcdef0", 400, "EC2InstanceStateInvalidException", "")
    hints.append(explain(refusal, load(profile="my own", region="eu-west-1", env=env)).hint)
    for hint in hints:
        command = re.search(r"aws .*", hint)
        assert command is not None, hint
        assert parse(command[0]) == 0, hint


def test_no_hint_writes_a_command_of_its_own() -> None:
    """So that the list above is complete."""
    root = Path(ssm_ssh.__file__).parent
    for path in root.rglob("*.py"):
        if path == Path(cli_hint.__file__) or "lab" in path.relative_to(root).parts:
            continue
        tree = ast.parse(path.read_text())
        documented = [node for node in ast.walk(tree) if hasattr(node, "body") and isinstance(node.body, list)]
        docstrings = {ast.get_docstring(node, clean=False) for node in documented if _may_have_docstring(node)}
        for node in ast.walk(tree):
            if isinstance(node, ast.Constant) and isinstance(node.value, str) and node.value not in docstrings:
                found = re.search(r"\baws (?!command)[a-z0-9-]+ [a-z]|\baws configure", node.value)
                assert found is None, f"{path}:{node.lineno}: {node.value!r}"


def _may_have_docstring(node: ast.AST) -> bool:
    return isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef)
