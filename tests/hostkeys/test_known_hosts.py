from __future__ import annotations

import os
import stat
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ssm_ssh.errors import StateError
from ssm_ssh.hostkeys import known_hosts
from ssm_ssh.hostkeys.known_hosts import KNOWN, REFUSED, Entry, HostFile, instance_of, names, one_at_a_time
from ssm_ssh.storage import private_dir
from tests.ssh.streams import ed25519

INSTANCE = "i-0123456789abcdef0"
OTHER = "mi-0123456789abcdef1"
ONE, TWO, THREE = ed25519(1), ed25519(2), ed25519(3)


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(known_hosts, "data_folder", lambda: tmp_path / "data")
    return tmp_path / "data"


@pytest.fixture
def file(home: Path) -> HostFile:
    return HostFile()


# --- names ------------------------------------------------------------------------------------------------------------


def test_names_are_those_that_ssh_looks_up() -> None:
    assert names(INSTANCE, 22) == (INSTANCE,)
    assert names(INSTANCE, 2222) == (f"[{INSTANCE}]:2222",)
    assert names(INSTANCE, 22, f"{INSTANCE}.EU-west-1.Prod") == (INSTANCE, f"{INSTANCE}.eu-west-1.prod")
    assert names(INSTANCE, 2222, f"{INSTANCE}.x") == (f"[{INSTANCE}]:2222", f"[{INSTANCE}.x]:2222")
    assert names(INSTANCE, 22, INSTANCE.upper()) == (INSTANCE,)


@given(st.text())
def test_no_spelling_becomes_more_than_a_name(spelled: str) -> None:
    own, *others = names(INSTANCE, 22, spelled)
    assert own == INSTANCE
    for name in others:
        assert name == spelled.lower()
        assert not set(name) & set(" ,*?!|@#\n\r\t[]\"'")


@pytest.mark.parametrize("name", [INSTANCE, f"[{INSTANCE}]:2222", f"{INSTANCE}.eu-west-1", f"[{INSTANCE}.x.y]:1"])
def test_a_name_belongs_to_its_instance(name: str) -> None:
    assert instance_of(name) == INSTANCE


@pytest.mark.parametrize("name", ["", "web", f"x{INSTANCE}", INSTANCE + "0", f"{INSTANCE}-x", "github.com"])
def test_other_names_belong_to_none(name: str) -> None:
    assert instance_of(name) != INSTANCE


# --- the file ---------------------------------------------------------------------------------------------------------


def test_a_recorded_key_is_found_under_each_name(file: HostFile, home: Path) -> None:
    assert file.keys(INSTANCE) == frozenset()
    under = names(INSTANCE, 22, f"{INSTANCE}.x")
    file.record(under, {ONE, TWO}, "console, today")
    for name in under:
        assert file.keys(name) == {ONE, TWO}
    assert file.keys(OTHER) == frozenset()
    text = (home / KNOWN).read_text()
    assert text == "".join(f"{INSTANCE},{INSTANCE}.x {key.line} console, today\n" for key in sorted({ONE, TWO}))
    assert known_hosts.path() == home / KNOWN
    assert stat.S_IMODE((home / KNOWN).stat().st_mode) == 0o600


def test_recording_replaces_and_leaves_others_alone(file: HostFile) -> None:
    file.record([INSTANCE, f"[{INSTANCE}]:2222"], {ONE, TWO})
    file.record([OTHER], {ONE})
    file.record([INSTANCE], {THREE})
    assert file.keys(INSTANCE) == {THREE}
    assert file.keys(f"[{INSTANCE}]:2222") == {ONE, TWO}
    assert file.keys(OTHER) == {ONE}


def test_recording_the_same_again_writes_nothing(file: HostFile, home: Path) -> None:
    file.record([INSTANCE], {ONE}, "x")
    before = (home / KNOWN).stat()
    file.record([INSTANCE], {ONE}, "x")
    assert (home / KNOWN).stat().st_ino == before.st_ino


def test_lines_of_others_are_kept_as_they_are(file: HostFile, home: Path) -> None:
    foreign = (
        f"# a comment\n@cert-authority * {ONE.line}\n@revoked * {TWO.line}\n|1|aGFzaA==|aGFzaA== {ONE.line}\n"
        f"*.example.com {ONE.line}\n!x {ONE.line}\n{INSTANCE} ssh-rsa broken\nü {ONE.line}\n{INSTANCE}\t{ONE.line}\n"
    )
    file.record([INSTANCE], {ONE})
    ours = (home / KNOWN).read_text()
    (home / KNOWN).write_text(foreign + ours)
    assert file.keys(INSTANCE) == {ONE}
    file.record([INSTANCE], {TWO})
    assert (home / KNOWN).read_text() == foreign + f"{INSTANCE} {TWO.line}\n"
    file.remove(lambda name: name == INSTANCE)
    assert (home / KNOWN).read_text() == foreign


def test_removing_deletes_names_and_lines_without_names(file: HostFile) -> None:
    file.record([INSTANCE, f"{INSTANCE}.x"], {ONE, TWO})
    assert file.remove(lambda name: name == INSTANCE) == 2
    assert file.keys(f"{INSTANCE}.x") == {ONE, TWO}
    assert file.remove(lambda name: instance_of(name) == INSTANCE) == 2
    assert file.entries() == []
    assert file.remove(lambda _: True) == 0


def test_a_comment_is_one_line(file: HostFile) -> None:
    file.record([INSTANCE], {ONE}, f"x\n* {TWO.line}\r\x1b")
    assert [entry.key for entry in file.entries()] == [ONE]
    assert file.entries()[0].comment.startswith("x * ssh-ed25519")


def test_the_two_files_are_apart(home: Path) -> None:
    HostFile(REFUSED).record([INSTANCE], {ONE})
    assert HostFile(KNOWN).keys(INSTANCE) == frozenset()
    assert HostFile(REFUSED).keys(INSTANCE) == {ONE}


def test_a_file_that_others_can_write_is_not_used(file: HostFile, home: Path) -> None:
    file.record([INSTANCE], {ONE})
    (home / KNOWN).chmod(0o666)
    with pytest.raises(StateError):
        file.keys(INSTANCE)
    with pytest.raises(StateError):
        file.record([INSTANCE], {TWO})


def test_a_link_is_not_followed(file: HostFile, home: Path, tmp_path: Path) -> None:
    file.record([INSTANCE], {ONE})
    (home / KNOWN).rename(tmp_path / "elsewhere")
    (home / KNOWN).symlink_to(tmp_path / "elsewhere")
    with pytest.raises(StateError):
        file.keys(INSTANCE)


def test_ssh_keygen_finds_a_recorded_key(file: HostFile, home: Path) -> None:
    file.record(names(INSTANCE, 2222), {ONE}, "console, today, eu-central-1 default")
    command = ["ssh-keygen", "-l", "-F", f"[{INSTANCE}]:2222", "-f", str(home / KNOWN)]
    found = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert f"{ONE.fingerprint}" in found


def test_a_hundred_concurrent_writers_lose_nothing(file: HostFile, home: Path) -> None:
    ids = [f"i-{number:017x}" for number in range(25)]
    with ThreadPoolExecutor(16) as pool:
        list(pool.map(lambda number: file.record([ids[number % 25]], {ed25519(number % 25)}), range(100)))
    assert {entry.names[0]: entry.key for entry in file.entries()} == {one: ed25519(n) for n, one in enumerate(ids)}
    assert len((home / KNOWN).read_bytes().splitlines()) == 25


ids = st.sampled_from([INSTANCE, OTHER, f"[{INSTANCE}]:2222", "a", "b.c"])
keys = st.integers(1, 4).map(ed25519)


@given(st.lists(st.tuples(st.sets(ids, min_size=1), st.sets(keys)), max_size=12))
def test_the_file_is_a_map_from_names_to_keys(changes: list[tuple[set[str], set[object]]]) -> None:
    content: dict[str, bytes] = {}
    expected: dict[str, frozenset[object]] = {}

    class Memory:
        def __enter__(self) -> Memory:
            return self

        def __exit__(self, *args: object) -> None:
            pass

        def read(self, name: str) -> bytes | None:
            return content.get(name)

        def write(self, name: str, data: bytes) -> None:
            content[name] = data

        def lock(self, name: str) -> Memory:
            return self

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(known_hosts, "open_folder", lambda _: Memory())
        file = HostFile()
        for under, some in changes:
            file.record(sorted(under), some)
            expected.update({name: frozenset(some) for name in under})
        for name, some in expected.items():
            assert file.keys(name) == some
        lines = content.get(KNOWN, b"").split(b"\n")[:-1]
        pairs = [(name, entry.key) for entry in file.entries() for name in entry.names]
        assert len(set(pairs)) == len(pairs)
        assert len(lines) == len(set(lines))


@given(st.binary(max_size=200))
def test_any_content_is_read(content: bytes) -> None:
    for line in content.split(b"\n"):
        entry = known_hosts._entry(line)
        assert entry is None or isinstance(entry, Entry)


# --- one at a time ----------------------------------------------------------------------------------------------------

_HOLD = """
import sys
from pathlib import Path
from ssm_ssh.hostkeys import known_hosts as knownhosts
knownhosts.data_folder = lambda: Path(sys.argv[1])
with knownhosts.one_at_a_time(sys.argv[2], 60):
    print("held", flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def holder(home: Path) -> Iterator[subprocess.Popen[str]]:
    root = str(Path(__file__).parents[2])
    process = subprocess.Popen(
        [sys.executable, "-c", _HOLD, home, INSTANCE],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": root},
    )
    assert process.stdout is not None
    assert process.stdin is not None
    assert process.stdout.readline() == "held\n"
    yield process
    process.stdin.close()
    process.wait()
    process.stdout.close()


def test_another_process_waits_for_its_turn(holder: subprocess.Popen[str], monkeypatch: pytest.MonkeyPatch) -> None:
    waited = []

    def let_go(_seconds: float) -> None:
        waited.append(1)
        if holder.poll() is None:
            holder.kill()
            holder.wait()

    monkeypatch.setattr(private_dir.time, "sleep", let_go)
    with one_at_a_time(INSTANCE, 60):
        assert waited


def test_other_instances_do_not_wait(holder: subprocess.Popen[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(private_dir.time, "sleep", lambda _: pytest.fail("it waited"))
    with one_at_a_time(OTHER, 60):
        pass


def test_patience_ends(holder: subprocess.Popen[str]) -> None:
    with one_at_a_time(INSTANCE, 0):
        assert holder.poll() is None
