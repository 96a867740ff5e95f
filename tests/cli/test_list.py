from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from ssm_ssh.cli import list as command
from ssm_ssh.cli.main import main
from tests.fleet import Fleet, Instance, an_id, running

HOSTILE = "\x1b]0;owned\x07\r\nroot@host# "


@pytest.fixture
def fleet(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Fleet]:
    with running() as fleet:
        env = fleet.environment(tmp_path, {"prod": "eu-west-1", "dev": "us-east-1", "none": None})
        for name in ("AWS_PROFILE", "AWS_ACCESS_KEY_ID", "AWS_REGION"):
            monkeypatch.delenv(name, raising=False)
        for name in ("CONFIG", "STATE", "DATA"):
            monkeypatch.setenv(f"XDG_{name}_HOME", str(tmp_path / name))
        for name, value in env.items():
            monkeypatch.setenv(name, value)
        fleet.places = {
            ("AKPROD", "eu-west-1"): [
                Instance(an_id(1), "web", tags={"Env": "prod"}),
                Instance(an_id(2), "Db", "Amazon Linux", tags={"Env": "prod"}),
                Instance(f"mi-{3:017x}", "edge", "Debian GNU/Linux", ping="ConnectionLost"),
            ],
            ("AKDEV", "us-east-1"): [Instance(an_id(4), "web"), Instance(an_id(5), state="stopped", ping="Inactive")],
        }
        yield fleet


def run(capsys: pytest.CaptureFixture[str], *words: str, status: int = 0) -> tuple[list[str], str]:
    assert main(["list", *words]) == status
    said = capsys.readouterr()
    return said.out.splitlines(), said.err


def ids(capsys: pytest.CaptureFixture[str], *words: str) -> list[str]:
    lines, _ = run(capsys, "--json", *words)
    return [one["instance_id"] for one in json.loads("\n".join(lines))]


def test_the_table(fleet: Fleet, capsys: pytest.CaptureFixture[str]) -> None:
    lines, errors = run(capsys, "prod", "dev")
    assert errors == ""
    assert lines[0].split() == ["NAME", "ID", "PLATFORM", "USER", "AGENT", "PING", "ADDRESS", "PROFILE/REGION"]
    prod, dev = "10.0.0.4  prod/eu-west-1", "10.0.0.4  dev/us-east-1"
    assert lines[1:] == [
        f"Db    i-00000000000000002   Amazon Linux 24.04      ec2-user  3.3.1611.0  Online              {prod}",
        f"edge  mi-00000000000000003  Debian GNU/Linux 24.04  admin     3.3.1611.0  ConnectionLost      {prod}",
        f"web   i-00000000000000001   Ubuntu 24.04            ubuntu    3.3.1611.0  Online              {prod}",
        f"web   i-00000000000000004   Ubuntu 24.04            ubuntu    3.3.1611.0  Online              {dev}",
        f"      i-00000000000000005   Ubuntu 24.04            ubuntu    3.3.1611.0  Inactive (stopped)  {dev}",
    ]


def test_the_terminals_width(fleet: Fleet, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    monkeypatch.setenv("NO_COLOR", "1")
    fleet.places["AKPROD", "eu-west-1"].append(Instance(an_id(6), "a-name-that-is-longer-than-its-column"))
    for width in (120, 100, 80, 76):
        monkeypatch.setenv("COLUMNS", str(width))
        lines, _ = run(capsys, "prod")
        assert max(map(len, lines)) <= width
        assert [re.findall(r"m?i-[0-9a-f]{17}", line) for line in lines[2:]] == [
            [an_id(2)],
            [f"mi-{3:017x}"],
            [an_id(1)],
        ]
        assert lines[1].startswith("a-name-that")
    assert "\u2026  i-00000000000000006" in lines[1]
    assert lines[0].split() == ["NAME", "ID", "USER", "PING", "PROFILE/REGION"]


def test_a_narrow_terminal_shows_regions_whole(
    fleet: Fleet, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    monkeypatch.setenv("NO_COLOR", "1")
    monkeypatch.setenv("COLUMNS", "80")
    fleet.places["AKPROD", "eu-central-1"] = [Instance(an_id(6), "a-name-that-is-longer")]
    (head, line), _ = run(capsys, "--profile", "prod", "--region", "eu-central-1")
    assert "PLATFORM" not in head
    assert line.endswith("  prod/eu-central-1")
    assert len(line) <= 80


def test_a_person_is_told_which_names_are_shared(
    fleet: Fleet, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    monkeypatch.setenv("NO_COLOR", "1")
    _, errors = run(capsys, "prod", "dev")
    assert errors == (
        "2 instances are named web: after sync, their aliases end with a part of the id (web-00000001, web-00000004)\n"
    )
    assert run(capsys, "prod")[1] == ""


def test_tags_that_match_nothing_are_named(fleet: Fleet, capsys: pytest.CaptureFixture[str]) -> None:
    _, errors = run(capsys, "prod", "--tag", "Nme")
    assert errors == "No instance matches the tags.\n"


def test_a_region_in_place_of_a_profile(fleet: Fleet, capsys: pytest.CaptureFixture[str]) -> None:
    _, errors = run(capsys, "eu-west-1", status=2)
    assert errors == "ssm-ssh: 'eu-west-1' is a region, not a profile. Use --region eu-west-1\n"


def test_names_that_are_not_ascii_are_shown_on_a_terminal(
    fleet: Fleet, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    fleet.places["AKPROD", "eu-west-1"] = [
        Instance(an_id(1), "caf\xe9-\u6771\u4eac"),
        Instance(an_id(2), "x\u202ey"),
    ]
    lines, _ = run(capsys, "prod")
    assert [line.split()[0] for line in lines[1:]] == ["caf?-??", "x?y"]
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    monkeypatch.setenv("NO_COLOR", "1")
    lines, _ = run(capsys, "prod")
    assert [line.split()[0] for line in lines[1:]] == ["caf\xe9-\u6771\u4eac", "x?y"]


def test_for_programs(fleet: Fleet, capsys: pytest.CaptureFixture[str]) -> None:
    lines, _ = run(capsys, "--json", "--tag", "Env=prod,test", "prod")
    assert json.loads("\n".join(lines))[1] == {
        "name": "web",
        "instance_id": an_id(1),
        "platform": "Ubuntu 24.04",
        "user": "ubuntu",
        "agent_version": "3.3.1611.0",
        "ping_status": "Online",
        "private_address": "10.0.0.4",
        "state": "running",
        "profile": "prod",
        "region": "eu-west-1",
    }


def test_whose_instances(
    fleet: Fleet, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    prod, dev = [an_id(2), f"mi-{3:017x}", an_id(1)], [an_id(4), an_id(5)]
    assert ids(capsys, "--profile", "prod") == prod
    assert ids(capsys, "--profile", "dev", "--profile", "prod", "--region", "us-east-1,ap-south-1") == dev
    assert ids(capsys, "prod:us-east-1", "dev:us-east-1") == dev
    assert ids(capsys, "prod", "--online") == [an_id(2), an_id(1)]
    monkeypatch.setenv("AWS_PROFILE", "dev")
    assert ids(capsys) == dev
    assert ids(capsys, "--region", "eu-west-1") == []
    monkeypatch.setenv("SSM_SSH_SEARCH", "prod:eu-west-1")
    assert ids(capsys) == dev  # as for ssh: the profile that the environment names is not looked for elsewhere
    monkeypatch.delenv("AWS_PROFILE")
    assert ids(capsys) == prod
    monkeypatch.setenv("SSM_SSH_DEFAULT_PROFILE", "dev")
    assert set(ids(capsys)) == {*prod, *dev}
    monkeypatch.setenv("SSM_SSH_SYNC", "dev")
    assert ids(capsys) == dev


@pytest.mark.parametrize(
    ("env", "asked"),
    [
        ({}, [("AKDEV", "us-east-1"), ("AKPROD", "ap-south-1"), ("AKPROD", "eu-west-1")]),
        ({"AWS_PROFILE": "prod"}, [("AKPROD", "ap-south-1"), ("AKPROD", "eu-west-1")]),
        ({"AWS_DEFAULT_PROFILE": "dev"}, [("AKDEV", "us-east-1")]),
        ({"AWS_REGION": "us-west-2"}, [("AKDEV", "us-west-2"), ("AKPROD", "us-west-2")]),
        ({"AWS_PROFILE": "prod", "AWS_REGION": "us-west-2"}, [("AKPROD", "us-west-2")]),
        (
            {"AWS_ACCESS_KEY_ID": "AKENV", "AWS_SECRET_ACCESS_KEY": "secret", "AWS_REGION": "us-west-2"},
            [("AKENV", "us-west-2")],
        ),
        ({"AWS_PROFILE": "prod", "SSM_SSH_SYNC": "dev:eu-north-1"}, [("AKDEV", "eu-north-1")]),
    ],
)
def test_the_environment_narrows_the_search_as_it_does_for_ssh(
    fleet: Fleet,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    env: dict[str, str],
    asked: list[tuple[str, str]],
) -> None:
    monkeypatch.setenv("SSM_SSH_SEARCH", "prod:eu-west-1,ap-south-1 dev:us-east-1")
    for name, value in env.items():
        monkeypatch.setenv(name, value)
    ids(capsys)
    assert sorted({(call.key, call.region) for call in fleet.calls}) == asked


def test_the_default_region_is_that_of_the_default_profile(
    fleet: Fleet, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSM_SSH_DEFAULT_PROFILE", "none")
    monkeypatch.setenv("SSM_SSH_DEFAULT_REGION", "us-east-1")
    assert ids(capsys) == []
    assert next((one.key, one.region) for one in fleet.calls) == ("AKNONE", "us-east-1")
    assert ids(capsys, "--profile", "prod")[0] == an_id(2)


def test_a_place_that_fails_is_named_as_the_environment_names_it(
    fleet: Fleet, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    fleet.answers["DescribeInstanceInformation"] = lambda _: (400, "AccessDeniedException")
    monkeypatch.setenv("SSM_SSH_SEARCH", "prod:eu-west-1 dev:us-east-1")
    monkeypatch.setenv("AWS_PROFILE", "prod")
    _, errors = run(capsys, status=1)
    assert errors.startswith("ssm-ssh: prod, eu-west-1: ")


def test_a_place_that_fails_does_not_hide_the_others(fleet: Fleet, capsys: pytest.CaptureFixture[str]) -> None:
    fleet.answers["DescribeInstanceInformation"] = lambda call: (
        (400, "AccessDeniedException") if call.key == "AKDEV" else None
    )
    lines, errors = run(capsys, "prod", "dev", "gone", "none", status=1)
    assert len(lines) == 4
    assert [line.split(":")[1] for line in errors.splitlines()] == [" dev", " gone", " none"]
    assert "DescribeInstanceInformation is denied" in errors
    assert "no AWS region" in errors


def test_no_names_without_ec2(fleet: Fleet, capsys: pytest.CaptureFixture[str]) -> None:
    fleet.answers["DescribeInstances"] = lambda _: (403, "UnauthorizedOperation")
    lines, errors = run(capsys, "prod")
    assert len(lines) == 4
    assert "ssm-ssh: prod: no names: DescribeInstances" in errors


def test_why_names_are_missing_is_said_once(fleet: Fleet, capsys: pytest.CaptureFixture[str]) -> None:
    fleet.answers["DescribeInstances"] = lambda _: (500, "InternalError")
    lines, errors = run(capsys, "prod", "prod:eu-west-1")
    assert len(lines) == 4
    assert errors.startswith("ssm-ssh: prod, prod, eu-west-1: no names: ")
    assert len(errors.splitlines()) == 1


def test_an_unreachable_ec2_costs_the_names(
    fleet: Fleet, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL_EC2", "https://ec2.invalid")
    lines, errors = run(capsys, "prod")
    assert len(lines) == 4
    assert "prod: no names: the name of ec2.invalid:443 does not resolve" in errors


def test_where_nothing_could_be_asked_nothing_is_absent(fleet: Fleet, capsys: pytest.CaptureFixture[str]) -> None:
    fleet.places = {}
    fleet.answers["DescribeInstanceInformation"] = lambda call: (
        (400, "AccessDeniedException") if call.key == "AKDEV" else None
    )
    _, errors = run(capsys, "dev", status=1)
    assert "No instance" not in errors
    _, errors = run(capsys, "dev", "prod", status=1)
    assert "No instance is known to Systems Manager in the places that answered." in errors


def test_hostile_names_stay_in_their_line(fleet: Fleet, capsys: pytest.CaptureFixture[str]) -> None:
    fleet.places = {("AKPROD", "eu-west-1"): [Instance(an_id(1), HOSTILE, HOSTILE)]}
    lines, _ = run(capsys, "prod")
    assert len(lines) == 2
    assert all(line.isprintable() for line in lines)
    lines, _ = run(capsys, "prod", "--json")
    assert all(line.isprintable() for line in lines)


def test_nothing_is_there(fleet: Fleet, capsys: pytest.CaptureFixture[str]) -> None:
    fleet.places = {}
    lines, errors = run(capsys, "prod")
    assert lines == []
    assert "No instance" in errors
    assert ids(capsys, "prod") == []


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["prod:"], "'prod:' is not a place"),
        (["--tag", "=x"], "'=x' is not a tag"),
        (["prod", "--profile", "dev"], "exclude each other"),
        (["--nothing"], "unexpected argument '--nothing'"),
    ],
)
def test_wrong_calls(fleet: Fleet, capsys: pytest.CaptureFixture[str], words: list[str], said: str) -> None:
    _, errors = run(capsys, *words, status=2)
    assert said in errors
    assert len(errors.splitlines()) == 1


def test_what_follows_a_colon_and_is_no_region_belongs_to_the_profile(
    fleet: Fleet, capsys: pytest.CaptureFixture[str]
) -> None:
    _, errors = run(capsys, "prod:EU", status=1)
    assert "profile 'prod:EU' is not in" in errors


def test_help_names_what_it_needs() -> None:
    text = command._parser().format_help()
    assert "ec2:DescribeInstances" in text
    assert "exit status" in text
