from __future__ import annotations

import json
from pathlib import Path

import pytest

from ssm_ssh.cli import main
from ssm_ssh.hostkeys import admin, known_hosts
from ssm_ssh.hostkeys.known_hosts import KNOWN, REFUSED, HostFile
from ssm_ssh.ssh.hostkey import HostKey
from tests.ssh.streams import ed25519

INSTANCE, NODE = "i-0123456789abcdef0", "mi-0123456789abcdef1"
KEY, OTHER = ed25519(1), ed25519(2)


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(known_hosts, "data_folder", lambda: tmp_path / "data")
    for name in ("HOME", "XDG_CONFIG_HOME", "XDG_STATE_HOME"):
        monkeypatch.setenv(name, str(tmp_path))
    monkeypatch.setenv("AWS_REGION", "eu-central-1")


def know(name: str, key: HostKey, file: str = KNOWN) -> None:
    HostFile(file).record([name], {key}, "console, 2026-01-01, eu-central-1 default")


def run(*words: str) -> int:
    return main.main(["host-keys", *words])


def test_all_or_one_instance_is_shown(capsys: pytest.CaptureFixture[str]) -> None:
    assert run() == 0
    assert capsys.readouterr().out == "No host key is known\n"
    know(INSTANCE, KEY)
    know(f"[{NODE}]:2222", OTHER)
    comment = "console, 2026-01-01, eu-central-1 default"
    first = [INSTANCE, "ED25519", KEY.fingerprint, comment]
    second = [f"[{NODE}]:2222", "ED25519", OTHER.fingerprint, comment]
    for words, rows in (((), [first, second]), ((INSTANCE,), [first]), (("show", f"{NODE}.eu-west-1"), [second])):
        assert run(*words) == 0
        head, *lines = capsys.readouterr().out.splitlines()
        assert head.split() == ["HOST", "TYPE", "FINGERPRINT", "STATE"]
        assert [line.split(maxsplit=3) for line in lines] == rows
        assert run(*words, "--json") == 0
        shown = json.loads(capsys.readouterr().out)
        assert [[key["host"], key["fingerprint"], key["comment"]] for key in shown] == [
            [host, fingerprint, text] for host, _, fingerprint, text in rows
        ]
        assert all(key["trusted"] for key in shown)


@pytest.mark.parametrize("host", [INSTANCE, NODE])
def test_eighty_columns_hold_a_line_for_each_key(
    host: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    monkeypatch.setenv("NO_COLOR", "1")
    monkeypatch.setenv("COLUMNS", "80")
    comment = "console, 2026-01-01, eu-central-1 default"
    HostFile(KNOWN).record([host, f"{host}.eu-central-1"], {KEY, OTHER}, f"{comment} 6cf3cc4c")
    assert run() == 0
    _, *lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 2
    assert all(line.startswith(f"{host}  SHA256:") and line.endswith(comment) for line in lines)
    assert max(map(len, lines)) <= 80
    assert run(host) == 0
    shown = capsys.readouterr().out
    assert KEY.fingerprint in shown
    assert max(map(len, shown.splitlines())) <= 80


def test_ports_of_an_instance_have_rows_of_their_own(capsys: pytest.CaptureFixture[str]) -> None:
    HostFile(KNOWN).record([INSTANCE, f"{INSTANCE}.prod"], {KEY}, "console")
    HostFile(KNOWN).record([f"[{INSTANCE}]:2222"], {KEY}, "console")
    assert run() == 0
    assert [line.split()[0] for line in capsys.readouterr().out.splitlines()[1:]] == [INSTANCE, f"[{INSTANCE}]:2222"]


def test_what_was_refused_is_shown_and_can_be_accepted(capsys: pytest.CaptureFixture[str]) -> None:
    know(INSTANCE, KEY, REFUSED)
    assert run(INSTANCE) == 0
    assert "not trusted" in capsys.readouterr().out
    assert run("accept", INSTANCE, OTHER.fingerprint) == 1
    assert run("accept", INSTANCE, KEY.fingerprint) == 0
    assert f"{INSTANCE}  ED25519  {KEY.fingerprint}  accepted\n" in capsys.readouterr().out
    assert HostFile(KNOWN).keys(INSTANCE) == {KEY}


def test_removing_says_how_many(capsys: pytest.CaptureFixture[str]) -> None:
    know(INSTANCE, KEY)
    assert run("remove", INSTANCE) == 0
    assert run("remove", INSTANCE) == 0
    assert capsys.readouterr().out == f"1 host key of {INSTANCE} removed\n0 host keys of {INSTANCE} removed\n"
    know(INSTANCE, KEY, REFUSED)
    assert run("remove", INSTANCE) == 0
    assert capsys.readouterr().out == f"1 refused host key of {INSTANCE} removed\n"
    know(INSTANCE, KEY)
    know(INSTANCE, OTHER, REFUSED)
    assert run("remove", INSTANCE) == 0
    assert capsys.readouterr().out == f"1 host key and 1 refused host key of {INSTANCE} removed\n"


def test_refreshing_and_pruning_go_by_region_and_profile(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = []

    def refresh(instance_id: str, ways: object, origin: str) -> tuple[frozenset[HostKey], str]:
        seen.append((instance_id, origin))
        return frozenset({KEY}), "console"

    monkeypatch.setattr(admin, "refresh", refresh)
    monkeypatch.setattr(admin, "prune", lambda api, origin: seen.append(("prune", origin)) or [INSTANCE])
    assert run("refresh", f"{INSTANCE}.us-east-1") == 0
    assert run("prune", "--region", "eu-west-1") == 0
    assert [(what, origin.rpartition(" ")[0]) for what, origin in seen] == [
        (INSTANCE, "us-east-1 default"),
        ("prune", "eu-west-1 default"),
    ]
    assert KEY.fingerprint in capsys.readouterr().out


@pytest.mark.parametrize("words", [("refresh", "--no-commands", INSTANCE), ("--no-commands", "refresh", INSTANCE)])
def test_options_may_stand_anywhere(words: tuple[str, ...], monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[bool] = []

    def sources(*_: object, commands: bool, document: str) -> None:
        seen.append(commands)

    monkeypatch.setattr("ssm_ssh.hostkeys.sources.aws_sources", sources)
    monkeypatch.setattr(admin, "refresh", lambda *_: (frozenset({KEY}), "console"))
    assert run(*words) == 0
    assert seen == [False]


@pytest.mark.parametrize(
    ("words", "usage"),
    [
        (("--help",), "usage: ssm-ssh host-keys [-h] [--debug] ACTION ..."),
        (("refresh", "--help"), "usage: ssm-ssh host-keys refresh [-h] [--debug] [--no-commands] [--profile PROFILE]"),
    ],
)
def test_the_usage_names_action_and_instance(
    words: tuple[str, ...], usage: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    with pytest.raises(SystemExit) as ended:
        run(*words)
    assert ended.value.code == 0
    out = capsys.readouterr().out
    assert usage in out
    assert ("ACTION" in out) != ("[--region REGION] INSTANCE" in out)


@pytest.mark.parametrize("action", ["show", "remove", "accept"])
def test_options_that_an_action_does_not_need_are_ignored_as_ever(action: str) -> None:
    know(INSTANCE, KEY, REFUSED)
    assert run(action, INSTANCE, "--profile", "p", "--region=r", "--no-commands") == 0


def test_a_mistyped_action_brings_a_suggestion(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("refersh", INSTANCE) == 2
    assert run("refersh") == 2
    assert "Did you mean refresh?" in capsys.readouterr().err


@pytest.mark.parametrize(
    "words",
    [
        ("accept",),
        ("refresh",),
        ("remove",),
        ("web",),
        ("remove", "web"),
        ("show", INSTANCE, "x"),
        ("accept", INSTANCE, "a", "b"),
        ("prune", INSTANCE),
        ("--nonsense",),
        ("remove", INSTANCE + "\x1b[2J"),
    ],
)
def test_wrong_calls_are_said_in_one_line(words: tuple[str, ...], capsys: pytest.CaptureFixture[str]) -> None:
    assert run(*words) == 2
    said = capsys.readouterr()
    assert said.out == ""
    assert len(said.err.splitlines()) == 1
    assert said.err.rstrip("\n").isprintable()
    assert "?." not in said.err
