"""`ssm-ssh sessions` in a lab."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ssm_ssh.aws.api.client import Api
from ssm_ssh.aws.config.settings import load
from ssm_ssh.aws.services.sessions import start_session
from ssm_ssh.cli.main import main
from ssm_ssh.lab import InstanceOptions, Lab, LabOptions
from ssm_ssh.session import records
from ssm_ssh.storage import process_mark
from tests.e2e.policies import documented, without
from tests.e2e.ptys import PtyProgram

POLICY, SHELLS = documented("A policy for sessions"), documented("A policy for shells")
WEB, DB = "i-0123456789abcdef0", "i-0123456789abcdef1"
HOSTILE = "why\x1b]0;owned\x07\r\nroot# \u202e"
_RECORD = (
    "import os, sys, time; from ssm_ssh.session import records; from ssm_ssh.aws.config.settings import load; "
    "records.opened(sys.argv[1], sys.argv[2], '', load(), time.time(), purpose='shell'); os._exit(0)"
)


@pytest.fixture(scope="module")
def lab() -> Iterator[Lab]:
    # Sessions of one's own have to be started by something.
    start = next(statement for statement in SHELLS["Statement"] if statement["Action"] == ["ssm:StartSession"])
    with_shells = {**POLICY, "Statement": [*POLICY["Statement"], start]}
    policies = {
        "documented": with_shells,
        "no-list": without(with_shells, "ssm:DescribeSessions"),
        "no-end": without(with_shells, "ssm:TerminateSession"),
    }
    instances = (InstanceOptions(name="web", instance_id=WEB), InstanceOptions(name="db", instance_id=DB))
    options = LabOptions(instances=instances, policies=policies, pacing=False, preferences={"maxSessionDuration": "90"})
    with tempfile.TemporaryDirectory(prefix="sessions-") as base, Lab(options, base=Path(base)) as lab:
        yield lab


@pytest.fixture(autouse=True)
def admin(lab: Lab, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    become(lab, "admin", monkeypatch)
    for kind in ("CONFIG", "STATE", "DATA"):
        monkeypatch.setenv(f"XDG_{kind}_HOME", str(tmp_path / kind))
    yield
    become(lab, "admin", monkeypatch)
    for session in open_sessions(lab):
        main(["sessions", "end", session["SessionId"], "--yes"])


def become(lab: Lab, identity: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AWS_SESSION_TOKEN", raising=False)
    for name, value in lab.env_for(identity).items():
        if name.startswith("AWS_"):
            monkeypatch.setenv(name, value)


def start(instance_id: str = WEB, reason: str = "", document: str = "") -> str:
    return start_session(Api(load()), instance_id, document, {}, reason=reason).id


def open_sessions(lab: Lab) -> list[dict[str, Any]]:
    return [session for session in lab.sessions() if session["Status"] not in ("Terminated", "Terminating", "Failed")]


def open_ids(lab: Lab) -> set[str]:
    return {session["SessionId"] for session in open_sessions(lab)}


def listed(capsys: pytest.CaptureFixture[str], *words: str) -> list[dict[str, Any]]:
    assert main(["sessions", *words, "--json"]) == 0
    sessions: list[dict[str, Any]] = json.loads(capsys.readouterr().out)
    return sessions


def ids(capsys: pytest.CaptureFixture[str], *words: str) -> list[str]:
    return [session["session_id"] for session in listed(capsys, *words)]


def leave_behind(session_id: str, instance_id: str = WEB) -> None:
    """Record a session by a process that has ended since."""
    subprocess.run([sys.executable, "-c", _RECORD, session_id, instance_id], check=True)


def test_the_callers_sessions_are_shown_by_default(
    lab: Lab, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    become(lab, "temporary", monkeypatch)
    theirs = start()
    become(lab, "admin", monkeypatch)
    first, second = start(reason="a reason"), start(DB)
    assert ids(capsys) == [second, first]
    assert ids(capsys, WEB) == [first]
    assert ids(capsys, f"{DB}.{lab.env['AWS_REGION']}") == [second]
    assert set(ids(capsys, "--all")) == {first, second, theirs}
    assert main(["sessions", WEB, "--all"]) == 0
    head, *lines = capsys.readouterr().out.splitlines()
    assert head.split() == ["SESSION", "TARGET", "STATE", "SINCE", "WHO", "DOCUMENT", "HERE", "REASON"]
    assert {line.split()[0] for line in lines} == {first, theirs}
    assert "Operator/temporary" in next(line for line in lines if line.startswith(theirs))


def test_what_is_known_of_a_session(lab: Lab, capsys: pytest.CaptureFixture[str]) -> None:
    session_id = start(reason="a reason")
    (session,) = listed(capsys)
    assert session["owner"].endswith(":user/admin")
    assert session["started"].endswith("Z")
    assert {key: session[key] for key in ("target", "reason", "document", "ended", "local", "region")} == {
        "target": WEB,
        "reason": "a reason",
        "document": "SSM-SessionManagerRunShell",
        "ended": None,
        "local": None,
        "region": lab.env["AWS_REGION"],
    }
    assert session["state"] in ("Connecting", "Connected")
    assert session["max_duration_minutes"] == "90"
    assert main(["sessions", "end", session_id, "--yes"]) == 0
    capsys.readouterr()
    assert ids(capsys) == []
    history = listed(capsys, "--history")
    assert history[0]["session_id"] == session_id
    assert history[0]["state"] == "Terminated"
    assert history[0]["ended"] >= history[0]["started"]


def test_hostile_text_reaches_no_terminal(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    payload = {"Target": WEB, "Reason": HOSTILE.replace("\n", "")}
    api = Api(load())
    api.call("ssm", "StartSession", payload)
    for terminal in (False, True):
        monkeypatch.setattr("sys.stdout.isatty", lambda terminal=terminal: terminal)
        monkeypatch.setenv("NO_COLOR", "1")
        assert main(["sessions"]) == 0
        shown = capsys.readouterr().out
        assert "owned" in shown
        assert not set(shown) & set("\x1b\x07\r\u202e")
        assert len(shown.splitlines()) >= 2


def test_the_processes_of_this_machine_and_their_orphans_are_marked(capsys: pytest.CaptureFixture[str]) -> None:
    mine, orphan, elsewhere = start(), start(), start()
    records.opened(mine, WEB, "", load(), 1.0, purpose="shell")
    leave_behind(orphan)
    local = {session["session_id"]: session["local"] for session in listed(capsys)}
    assert local[mine] == {"pid": os.getpid(), "orphan": False, "purpose": "shell"}
    assert local[orphan]["orphan"] is True
    assert local[elsewhere] is None
    assert main(["sessions"]) == 0
    lines = {line.split()[0]: line for line in capsys.readouterr().out.splitlines()[1:]}
    assert f"process {os.getpid()}" in lines[mine]
    assert "orphan" in lines[orphan]
    assert "orphan" not in lines[elsewhere]


def test_orphans_are_ended_and_nothing_else(lab: Lab, capsys: pytest.CaptureFixture[str]) -> None:
    mine, orphan = start(), start()
    records.opened(mine, WEB, "", load(), 1.0)
    leave_behind(orphan)
    assert main(["sessions", "end", "--orphans", "--yes"]) == 0
    assert f"ended {orphan}" in capsys.readouterr().out
    assert open_ids(lab) == {mine}
    assert [record.session_id for record in records.read_all()] == [mine]
    assert main(["sessions", "end", "--orphans", "--yes"]) == 0
    assert "No such session is open" in capsys.readouterr().err


def test_a_record_of_another_machine_or_boot_makes_no_orphan(
    lab: Lab, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    session_id = start()
    monkeypatch.setattr(process_mark, "own", lambda: f"{os.getpid()}-1-{'0' * 12}")
    records.opened(session_id, WEB, "", load(), 1.0)
    assert listed(capsys)[0]["local"]["orphan"] is False
    assert main(["sessions", "end", "--orphans", "--yes"]) == 0
    assert open_ids(lab) == {session_id}


def test_an_orphan_whose_account_does_not_answer_is_unknown(
    lab: Lab, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    orphan = start()
    leave_behind(orphan)
    become(lab, "no-list", monkeypatch)
    assert main(["sessions"]) == 1
    said = capsys.readouterr()
    assert "ssm:DescribeSessions" in said.err
    line = next(line for line in said.out.splitlines() if line.startswith(orphan))
    assert "unknown" in line
    # Other credentials may be those of another account.
    assert main(["sessions", "end", "--orphans", "--yes"]) == 1
    assert "other credentials" in capsys.readouterr().err
    assert open_ids(lab) == {orphan}


def test_ending_by_id_beginning_target_or_all_of_mine(
    lab: Lab, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    become(lab, "temporary", monkeypatch)
    theirs = start()
    become(lab, "admin", monkeypatch)
    first, second, third, fourth, fifth = (start(instance) for instance in (WEB, WEB, WEB, DB, DB))
    assert main(["sessions", "end", first, second[:-2], "--yes"]) == 0
    assert open_ids(lab) == {third, fourth, fifth, theirs}
    assert main(["sessions", "end", DB, "--yes"]) == 0
    assert open_ids(lab) == {third, theirs}
    assert main(["sessions", "end", "--mine", "--yes"]) == 0
    assert open_ids(lab) == {theirs}
    assert main(["sessions", "end", theirs, "--yes"]) == 0
    assert open_ids(lab) == set()
    capsys.readouterr()
    assert main(["sessions", "end", "--mine", "--yes"]) == 0
    assert "No such session is open" in capsys.readouterr().err


def test_an_ambiguous_beginning_is_listed_and_ends_nothing(lab: Lab, capsys: pytest.CaptureFixture[str]) -> None:
    first, second = start(), start()
    assert main(["sessions", "end", "admin-", "--yes"]) == 2
    said = capsys.readouterr()
    assert first in said.out
    assert second in said.out
    assert "admin- is the beginning of 2 sessions" in said.err
    assert open_ids(lab) == {first, second}


@pytest.mark.parametrize("words", [[], ["adm"], ["nothing-like-it"], [f"admin-{'0' * 26}"], ["i-0aaaaaaaaaaaaaaaa"]])
def test_what_means_no_session_is_an_error(lab: Lab, capsys: pytest.CaptureFixture[str], words: list[str]) -> None:
    session_id = start()
    assert main(["sessions", "end", *words, "--yes"]) == (1 if words else 2)
    assert len(capsys.readouterr().err.splitlines()) == 1
    assert open_ids(lab) == {session_id}


def test_without_a_terminal_ending_needs_yes(lab: Lab, capsys: pytest.CaptureFixture[str]) -> None:
    session_id = start()
    with Path(os.devnull).open(encoding="ascii") as null:
        saved = os.dup(0)
        os.dup2(null.fileno(), 0)
        try:
            assert main(["sessions", "end", session_id]) == 2
        finally:
            os.dup2(saved, 0)
            os.close(saved)
    assert "--yes" in capsys.readouterr().err
    assert open_ids(lab) == {session_id}


@pytest.mark.parametrize(("answer", "status"), [(b"y\n", 0), (b"\n", 1), (b"no\n", 1)])
def test_a_person_is_asked(lab: Lab, tmp_path: Path, answer: bytes, status: int) -> None:
    session_id = start()
    command = (sys.executable, "-m", "ssm_ssh", "sessions", "end", session_id)
    program = PtyProgram(command, dict(os.environ), tmp_path, columns=200)
    program.expect("End this session? [y/N]")
    assert session_id.encode() in program.output
    program.type(answer)
    assert program.end() == status
    program.close()
    assert (session_id in open_ids(lab)) is (status == 1)


def test_ctrl_c_at_the_question_ends_nothing(lab: Lab, tmp_path: Path) -> None:
    session_id = start()
    command = (sys.executable, "-m", "ssm_ssh", "sessions", "end", session_id)
    program = PtyProgram(command, dict(os.environ), tmp_path, columns=200)
    program.expect("[y/N]")
    program.type(b"\x03")
    assert program.end() == 130
    program.close()
    assert b"Traceback" not in program.output
    assert session_id in open_ids(lab)


def test_the_documented_policy_is_enough_for_ones_own(
    lab: Lab, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    theirs = start()
    own = start_as(lab, "documented", monkeypatch)
    assert set(ids(capsys, "--all")) == {own, theirs}
    assert main(["sessions", "end", theirs, own, "--all", "--yes"]) == 1
    said = capsys.readouterr()
    assert f"ended {own}" in said.out
    assert len(said.err.splitlines()) == 1
    assert f"{theirs} is not ended" in said.err
    assert "ssm:TerminateSession" in said.err
    assert open_ids(lab) == {theirs}


def test_throttling_is_waited_for_and_reported_at_last(lab: Lab, capsys: pytest.CaptureFixture[str]) -> None:
    session_id = start()
    try:
        lab.fault("throttle", operation="DescribeSessions", count=1)
        assert ids(capsys) == [session_id]
        lab.fault("throttle", operation="DescribeSessions", count=0)
        assert main(["sessions"]) == 1
        assert "AWS throttles DescribeSessions" in capsys.readouterr().err
    finally:
        lab.clear_faults()


def test_a_denied_permission_is_named(
    lab: Lab, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    own = start_as(lab, "no-end", monkeypatch)
    assert main(["sessions", "end", own, "--yes"]) == 1
    assert "ssm:TerminateSession" in capsys.readouterr().err
    own = start_as(lab, "no-list", monkeypatch)
    assert main(["sessions"]) == 1
    assert "ssm:DescribeSessions" in capsys.readouterr().err
    assert main(["sessions", "end", "--mine", "--yes"]) == 1
    assert "ssm:DescribeSessions" in capsys.readouterr().err
    assert main(["sessions", "end", own, "--yes"]) == 0  # a whole id needs no list
    assert own not in open_ids(lab)


def start_as(lab: Lab, identity: str, monkeypatch: pytest.MonkeyPatch) -> str:
    """Become `identity`, and start a session."""
    become(lab, identity, monkeypatch)
    return start()
