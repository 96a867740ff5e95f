"""State files: read, changed under a lock, bounded, and never a reason to fail."""

from __future__ import annotations

import json
import threading
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ssm_ssh.errors import StateError
from ssm_ssh.storage.json_store import VERSION, JsonStore, rows, table

STORE = JsonStore("things.json", most=3)


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    folder = tmp_path / "ssm-ssh"
    folder.mkdir(mode=0o700)
    return folder / "things.json"


def test_a_change_is_written_whole_and_privately(file: Path) -> None:
    assert STORE.read() == {}
    with STORE.update() as content:
        table(content, "places")["a"] = 1
        rows(content, "events").append("x")
    assert STORE.read() == STORE.peek() == {"places": {"a": 1}, "events": ["x"]}
    assert json.loads(file.read_bytes()) == {"version": VERSION, "places": {"a": 1}, "events": ["x"]}
    assert file.stat().st_mode & 0o777 == 0o600
    assert {path.name for path in file.parent.iterdir()} == {"things.json", "things.lock"}


def test_an_update_without_a_change_is_not_written(file: Path) -> None:
    with STORE.update() as content:
        assert table(content, "places") == {}
    assert not file.exists()
    with STORE.update() as content:
        table(content, "places")["a"] = 1
    before = file.stat().st_ino
    with STORE.update() as content:
        table(content, "places")["a"] = 1
    assert file.stat().st_ino == before


def test_an_error_leaves_the_file_as_it_was(file: Path) -> None:
    with STORE.update() as content:
        table(content, "places")["a"] = 1
    before = file.read_bytes()
    with suppress(KeyError), STORE.update() as content:
        table(content, "places").clear()
        raise KeyError
    assert file.read_bytes() == before


@pytest.mark.usefixtures("file")
def test_every_table_keeps_what_was_added_last() -> None:
    for number in range(5):
        with STORE.update() as content:
            places = table(content, "places")
            places.pop("1", None)
            places[str(number)] = number
            rows(content, "events").append(number)
    assert STORE.read() == {"places": {"2": 2, "3": 3, "4": 4}, "events": [2, 3, 4]}


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(
    damaged=st.binary(max_size=60)
    | st.sampled_from((b"", b"{", b"[]", b"\xff", b"[" * 100_000, b'{"places": []}', b'{"version": true}'))
    | st.sampled_from((b'{"version": "2", "places": {"b": 1}}', b'{"version": null}', b'{"version": 1.5}'))
)
def test_a_damaged_file_counts_as_empty_and_is_replaced(file: Path, damaged: bytes) -> None:
    file.write_bytes(damaged)
    assert table(STORE.peek(), "places") == {}
    with STORE.update() as content:
        table(content, "places")["a"] = 1
    assert table(STORE.read(), "places") == {"a": 1}


def test_a_file_without_a_version_is_read(file: Path) -> None:
    file.write_bytes(b'{"places": {"a": 1}}')
    assert STORE.read() == {"places": {"a": 1}}


def test_a_file_of_a_later_version_is_left_alone(file: Path) -> None:
    later = b'{"version": 2, "places": {"a": 1}}'
    file.write_bytes(later)
    assert STORE.read() == {}
    with (
        pytest.raises(StateError, match="was written by a later version of ssm-ssh"),
        STORE.update() as content,
    ):
        table(content, "places")["b"] = 2
    assert file.read_bytes() == later


def test_a_folder_that_others_can_read_is_not_used(file: Path) -> None:
    with STORE.update() as content:
        table(content, "places")["a"] = 1
    file.parent.chmod(0o755)
    assert STORE.peek() == {}
    with pytest.raises(StateError):
        STORE.read()
    with pytest.raises(StateError), STORE.update():
        raise AssertionError("not reached")


@pytest.mark.usefixtures("file")
def test_changes_at_the_same_time_lose_nothing() -> None:
    store = JsonStore("things.json", most=100)

    def add(number: int) -> None:
        with store.update() as content:
            table(content, "places")[str(number)] = number

    threads = [threading.Thread(target=add, args=(number,)) for number in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert set(store.read()["places"].values()) == set(range(20))
