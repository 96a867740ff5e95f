"""Records of open sessions: whose they are, when their sessions count as left behind, and when they go."""

from __future__ import annotations

import os
import stat
import time
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ssm_ssh.aws.config.settings import load
from ssm_ssh.errors import StateError
from ssm_ssh.session import records
from ssm_ssh.storage import process_mark

INSTANCE = "i-0123456789abcdef0"


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    return tmp_path / "ssm-ssh" / "sessions"


def record(session_id: str = "alice-0123", **env: str) -> str:
    (Path(os.environ["XDG_STATE_HOME"]) / "config").write_text("[profile prod]\n")
    whole = {"AWS_CONFIG_FILE": f"{os.environ['XDG_STATE_HOME']}/config", **env}
    chosen = load(profile=None if env else "prod", region="eu-west-1", env=whole)
    return records.opened(session_id, INSTANCE, "AWS-StartSSHSession", chosen, time.time(), purpose="ssh")


@pytest.fixture
def ended(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every process of this machine has ended."""
    monkeypatch.setattr(process_mark, "_is_running", lambda pid: False)


def age(folder: Path, name: str, seconds: float) -> None:
    when = time.time() - seconds
    os.utime(folder / name, (when, when))


def test_a_record_is_private_and_tells_whose_session_it_is(folder: Path) -> None:
    name = record()
    assert stat.S_IMODE((folder / name).stat().st_mode) == 0o600
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    (read,) = records.read_all()
    assert (read.session_id, read.instance_id, read.profile, read.region) == (
        "alice-0123",
        INSTANCE,
        "prod",
        "eu-west-1",
    )
    assert (read.pid, read.host, read.name, read.left_behind) == (os.getpid(), os.uname().nodename, name, False)
    assert record("b", AWS_ACCESS_KEY_ID="AKIDEXAMPLE", AWS_SECRET_ACCESS_KEY="s3cret") != name
    assert {read.profile for read in records.read_all()} == {"prod", ""}
    assert not any(secret in path.read_text() for path in folder.iterdir() for secret in ("s3cret", "AKIDEXAMPLE"))


def test_the_session_of_a_running_process_is_not_left_behind() -> None:
    record()
    assert records.left_behind(time.time()) == []


@pytest.mark.usefixtures("ended")
def test_the_session_of_an_ended_process_is_left_behind_until_its_record_is_closed() -> None:
    name = record()
    assert records.left_behind(time.time()) == [name]
    assert [read.left_behind for read in records.read_all()] == [True]
    records.closed(name)
    assert records.left_behind(time.time()) == []
    assert not records.exists(name)
    records.closed(name)


@pytest.mark.parametrize("boot", [b"another machine or boot", b""])
def test_what_another_machine_or_boot_has_recorded_is_not_judged(
    folder: Path, monkeypatch: pytest.MonkeyPatch, boot: bytes
) -> None:
    """Homes may be shared, and process ids mean nothing on another machine."""
    name = record()
    monkeypatch.setattr(process_mark, "_is_running", lambda pid: False)
    monkeypatch.setattr(process_mark, "_boot", lambda: boot)
    if not boot:  # a system that tells no boots: not even its own records are judged
        name = record("bob-1")
    assert records.left_behind(time.time()) == []
    assert not any(read.left_behind for read in records.read_all())
    assert records.exists(name)


@pytest.mark.usefixtures("ended")
def test_what_could_not_be_ended_is_tried_again_later(folder: Path) -> None:
    name = record()
    records.tried(name)
    assert records.left_behind(time.time()) == []
    assert not records.exists(name)
    age(folder, f"{name}.tried", 700)
    assert records.left_behind(time.time()) == [f"{name}.tried"]
    records.tried(f"{name}.tried")
    assert records.left_behind(time.time()) == []
    read = records.read(f"{name}.tried")
    assert read is not None
    assert read.session_id == "alice-0123"


def test_a_record_of_another_machine_goes_when_no_session_can_last_so_long(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = record()
    monkeypatch.setattr(process_mark, "_boot", lambda: b"another")
    age(folder, name, 86400)
    records.left_behind(time.time())
    assert records.exists(name)
    age(folder, name, 3 * 86400)
    records.left_behind(time.time())
    assert not records.exists(name)


def test_reading_makes_no_folder(folder: Path) -> None:
    assert records.read_all() == []
    assert not folder.exists()


def test_files_of_others_are_neither_read_nor_removed(folder: Path) -> None:
    record()
    (folder / "notes").write_text("{}")
    assert len(records.read_all()) == 1
    assert records.left_behind(time.time() + 1e9) == []
    assert (folder / "notes").exists()
    assert records.read("../connections.json") is None


def test_a_record_that_others_can_write_is_not_believed(folder: Path) -> None:
    name = record()
    (folder / name).chmod(0o666)
    with pytest.raises(StateError):
        records.read(name)
    assert records.read_all() == []


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=30)
@given(st.binary(max_size=60) | st.sampled_from([b"{}", b'{"version":1}', b'{"version":2}', b"[]"]))
def test_a_damaged_record_is_no_record(folder: Path, content: bytes) -> None:
    name = record()
    (folder / name).write_bytes(content)
    assert records.read(name) is None


@pytest.mark.parametrize(
    ("key", "value"), [("session_id", "a b"), ("session_id", 1), ("started", "x"), ("pid", None), ("region", [])]
)
def test_a_record_with_a_wrong_value_is_no_record(folder: Path, key: str, value: object) -> None:
    import json

    name = record()
    (folder / name).write_text(json.dumps({**json.loads((folder / name).read_text()), key: value}))
    assert records.read(name) is None
