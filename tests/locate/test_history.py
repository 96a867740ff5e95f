from __future__ import annotations

import json
import threading
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as effort
from hypothesis import strategies as st

from ssm_ssh.errors import StateError
from ssm_ssh.locate import history
from ssm_ssh.locate.history import KnownInstance, recall, recall_all, remember
from ssm_ssh.storage.json_store import JsonStore

WEB = "i-0123456789abcdef0"


@pytest.fixture(autouse=True)
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    monkeypatch.setenv("HOME", str(tmp_path))
    from ssm_ssh.storage.paths import state_folder

    return state_folder() / "instances.json"


def an_id(number: int) -> str:
    return f"i-{number:017x}"


def test_what_was_learned_is_known(file: Path) -> None:
    assert recall(WEB) is None
    assert recall_all() == []
    assert remember([KnownInstance(WEB, "prod", "eu-west-1", "ubuntu")])
    assert recall(WEB) == KnownInstance(WEB, "prod", "eu-west-1", "ubuntu")
    assert recall(an_id(1)) is None
    assert file.stat().st_mode & 0o777 == 0o600


def test_nothing_new_is_not_written(file: Path) -> None:
    remember([KnownInstance(WEB, "prod", "eu-west-1", "ubuntu")])
    before = file.stat()
    assert not remember([KnownInstance(WEB, "prod", "eu-west-1")])
    assert not remember([])
    assert file.stat().st_ino == before.st_ino
    assert remember([KnownInstance(WEB, "dev", "eu-west-1")])
    assert recall(WEB) == KnownInstance(WEB, "dev", "eu-west-1", "ubuntu")


def test_logins_add_up_to_a_few() -> None:
    remember([KnownInstance(WEB, "prod", "eu-west-1", logins=("a",))])
    assert not remember([KnownInstance(WEB, "prod", "eu-west-1", logins=("a",))])
    for number in range(9):
        remember([KnownInstance(WEB, "prod", "eu-west-1", logins=(f"u{number}",))])
    found = recall(WEB)
    assert found
    assert found.logins == tuple(f"u{number}" for number in range(1, 9))


def test_the_oldest_go(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(history, "_STORE", JsonStore(history.NAME, most=3))
    remember(KnownInstance(an_id(number), "p", "r") for number in range(3))
    remember([KnownInstance(an_id(0), "q", "r")])
    remember([KnownInstance(an_id(3), "p", "r")])
    assert [one.instance_id for one in recall_all()] == [an_id(2), an_id(0), an_id(3)]


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{",
        b"[]",
        b'{"instances": []}',
        b"\xff",
        b"[" * 100_000,
        json.dumps({"instances": {WEB: []}}).encode(),
        json.dumps({"instances": {WEB: {"profile": 1}}}).encode(),
        json.dumps({"instances": {WEB: {"profile": "x" * 1000}}}).encode(),
        json.dumps({"instances": {WEB: {"profile": "p", "logins": "x"}}}).encode(),
        json.dumps({"instances": {WEB: {"profile": "p", "logins": [1]}}}).encode(),
        json.dumps({"instances": {"github.com": {"profile": "p", "region": "r"}}}).encode(),
    ],
)
def test_what_cannot_be_read_is_forgotten(file: Path, content: bytes) -> None:
    remember([KnownInstance(WEB, "prod", "eu-west-1")])
    file.write_bytes(content)
    assert recall(WEB) is None
    assert recall_all() == []
    assert remember([KnownInstance(WEB, "prod", "eu-west-1")])
    assert recall(WEB) == KnownInstance(WEB, "prod", "eu-west-1")


def test_a_folder_that_is_not_ours_is_as_good_as_none(file: Path) -> None:
    remember([KnownInstance(WEB, "prod", "eu-west-1")])
    file.parent.chmod(0o755)
    assert recall(WEB) is None
    assert recall_all() == []
    with pytest.raises(StateError):
        remember([KnownInstance(WEB, "dev", "eu-west-1")])


def test_many_at_once_lose_nothing() -> None:
    threads = [
        threading.Thread(target=remember, args=([KnownInstance(an_id(number), "p", "r")],)) for number in range(20)
    ]
    for one in threads:
        one.start()
    for one in threads:
        one.join()
    assert {one.instance_id for one in recall_all()} == {an_id(number) for number in range(20)}


words = st.text(max_size=9)
entries = st.builds(
    KnownInstance, st.integers(0, 5).map(an_id), words, words, words, st.lists(words, max_size=2).map(tuple)
)


@effort(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=40, deadline=None)
@given(st.lists(entries, max_size=8))
def test_the_latest_word_counts(file: Path, news: list[KnownInstance]) -> None:
    file.unlink(missing_ok=True)
    for one in news:
        remember([one])
    found = {one.instance_id: one for one in recall_all()}
    assert set(found) == {one.instance_id for one in news}
    for key, one in found.items():
        about = [other for other in news if other.instance_id == key]
        for name in ("profile", "region", "user"):
            said = [getattr(other, name) for other in about if getattr(other, name)]
            assert getattr(one, name) == (said[-1] if said else "")
        assert set(one.logins) <= {login for other in about for login in other.logins}
        assert set(about[-1].logins) <= set(one.logins)
