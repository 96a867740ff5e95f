"""What TARGET means: an id, an alias, an address, a DNS name or a tag; and never one of several."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ssm_ssh.cli import target
from ssm_ssh.errors import SsmSshError, TargetNotConnected, UsageError
from ssm_ssh.locate.resolver import Located
from ssm_ssh.sshconfig import managed_file
from ssm_ssh.sshconfig.managed_file import Alias, Managed
from tests.fleet import Fleet, Instance, an_id, running

NODE = f"mi-{3:017x}"
NONE: dict[str, Any] = dict.fromkeys(("profile", "region", "reason", "resume_limit", "log_file")) | {"debug": False}


@pytest.fixture
def fleet(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Fleet]:
    with running() as fleet:
        env = fleet.environment(tmp_path, {"prod": "eu-west-1", "dev": "us-east-1"})
        for name in ("AWS_ACCESS_KEY_ID", "AWS_REGION", "AWS_DEFAULT_PROFILE"):
            monkeypatch.delenv(name, raising=False)
        for name in ("CONFIG", "STATE", "DATA"):
            monkeypatch.setenv(f"XDG_{name}_HOME", str(tmp_path / name))
        for name, value in {**env, "AWS_PROFILE": "prod", "SSM_SSH_LAB": str(tmp_path)}.items():
            monkeypatch.setenv(name, value)
        fleet.places = {
            ("AKPROD", "eu-west-1"): [
                Instance(an_id(1), "web", tags={"Env": "prod", "Team": "a"}, address="10.0.0.1"),
                Instance(an_id(2), "web", tags={"Env": "prod"}, address="10.0.0.2"),
                Instance(an_id(9), "old", state="terminated", address="10.0.0.1"),
                Instance(NODE, "edge.corp.example", address="192.168.0.3"),
            ],
            ("AKDEV", "us-east-1"): [
                Instance(an_id(4), "web", tags={"Env": "dev"}, address="10.0.0.4"),
                Instance(an_id(5), "copy", tags={"Env": "dev"}, address="10.0.0.1"),
            ],
        }
        yield fleet


def chosen(text: str, **options: str) -> Located:
    return target.choose(text, NONE | options).located


def place(located: Located) -> tuple[str, str, str]:
    return located.name.instance_id, located.aws.profile_name, located.aws.region


def search_everywhere(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AWS_PROFILE")
    monkeypatch.setenv("SSM_SSH_SEARCH", "prod dev")


@pytest.mark.parametrize(
    ("text", "instance_id"),
    [
        ("10.0.0.1", an_id(1)),
        ("192.168.0.3", NODE),
        ("ip-10-0-0-2.eu-west-1.compute.internal", an_id(2)),
        ("IP-10-0-0-2", an_id(2)),
        ("edge.corp.example", NODE),
        ("tag:Team=a", an_id(1)),
        ("tag:Team", an_id(1)),
    ],
)
def test_it_is_looked_up(fleet: Fleet, text: str, instance_id: str) -> None:
    assert place(chosen(text)) == (instance_id, "prod", "eu-west-1")


def test_an_id_and_its_labels_cost_no_call(fleet: Fleet) -> None:
    assert place(chosen(f"{an_id(7)}.dev.us-east-1")) == (an_id(7), "dev", "us-east-1")
    assert place(chosen(an_id(7), profile="dev", region="us-west-2")) == (an_id(7), "dev", "us-west-2")
    assert fleet.calls == []


def test_a_resource_name_of_ec2_is_an_id(fleet: Fleet) -> None:
    assert place(chosen(f"{an_id(7)}.eu-west-3.compute.internal")) == (an_id(7), "prod", "eu-west-3")
    assert place(chosen(f"{an_id(7)}.ec2.internal")) == (an_id(7), "prod", "us-east-1")
    assert fleet.calls == []


def test_an_alias_has_its_own_profile_and_region(fleet: Fleet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AWS_PROFILE")
    aliases = (Alias("web-1", an_id(1), "ubuntu", "dev", "us-east-1"), Alias("db", an_id(2)))
    (tmp_path / ".ssh").mkdir()
    (tmp_path / ".ssh" / "ssm-ssh.config").write_text(
        managed_file.render(Managed(("/usr/bin/ssm-ssh",), (Path("/key"),), Path("/known"), aliases=aliases))
    )
    assert place(chosen("web-1")) == (an_id(1), "dev", "us-east-1")
    assert place(chosen("web-1", region="us-west-2")) == (an_id(1), "dev", "us-west-2")
    assert place(chosen("web-1.prod")) == (an_id(1), "prod", "eu-west-1")
    assert place(chosen("db", profile="prod")) == (an_id(2), "prod", "eu-west-1")
    assert fleet.calls == []


def test_several_matches_are_listed_and_none_is_chosen(fleet: Fleet, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(UsageError, match="tag:Env=prod matches 2 instances"):
        chosen("tag:Env=prod")
    lines = capsys.readouterr().err.splitlines()
    assert [line.split()[0] for line in lines] == [an_id(1), an_id(2)]
    assert all("prod, eu-west-1" in line for line in lines)


def test_matches_in_several_places_are_as_many(
    fleet: Fleet, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    search_everywhere(monkeypatch)
    assert place(chosen("10.0.0.4")) == (an_id(4), "dev", "us-east-1")
    with pytest.raises(UsageError, match="matches 2 instances"):
        chosen("10.0.0.1")
    assert "dev, us-east-1" in capsys.readouterr().err
    assert place(chosen("10.0.0.1", profile="dev")) == (an_id(5), "dev", "us-east-1")


def test_a_match_is_not_the_only_one_where_a_place_could_not_be_asked(
    fleet: Fleet, monkeypatch: pytest.MonkeyPatch
) -> None:
    search_everywhere(monkeypatch)
    fleet.answers["DescribeInstances"] = lambda call: (403, "UnauthorizedOperation") if call.key == "AKDEV" else None
    with pytest.raises(SsmSshError) as caught:
        chosen("10.0.0.2")
    assert "dev" in caught.value.message
    assert f"{an_id(2)} matches elsewhere" in caught.value.message
    with pytest.raises(SsmSshError) as caught:
        chosen("10.0.0.2", profile="dev")
    assert "DescribeInstances" in caught.value.sentence()


def test_no_match_names_the_places(fleet: Fleet, monkeypatch: pytest.MonkeyPatch) -> None:
    search_everywhere(monkeypatch)
    with pytest.raises(TargetNotConnected) as caught:
        chosen("10.9.9.9")
    assert "prod" in caught.value.message
    assert "dev" in caught.value.message


def test_anything_else_says_what_a_target_is(fleet: Fleet) -> None:
    with pytest.raises(UsageError, match="neither an instance id nor an alias"):
        chosen("web")
    with pytest.raises(UsageError) as caught:
        chosen(f"ubuntu@{an_id(1)}")
    assert "--user ubuntu" in caught.value.hint


def test_the_log_and_the_settings_are_those_of_the_options(fleet: Fleet, tmp_path: Path) -> None:
    made = target.choose(an_id(7), NONE | {"resume_limit": "5", "log_file": str(tmp_path / "log")})
    made.log.info("hello")
    assert an_id(7) in (tmp_path / "log").read_text()
    assert made.settings.seconds("resume_limit") == 5.0
    assert made.instance_id == an_id(7)
