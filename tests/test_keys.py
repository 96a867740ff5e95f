import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization

from ssm_ssh import keys
from ssm_ssh.errors import StateError


@pytest.fixture(autouse=True)
def data_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(keys, "data_folder", lambda: tmp_path / "ssm-ssh")
    return tmp_path / "ssm-ssh"


def test_the_pair_is_one_that_openssh_reads(data_home: Path) -> None:
    line = keys.public_key()
    shown = subprocess.run(
        ["ssh-keygen", "-y", "-f", keys.identity_files()[0]], capture_output=True, text=True, check=True
    )
    assert shown.stdout.split()[:2] == line.split()
    assert keys.identity_files()[0].parent == data_home


def test_an_existing_pair_is_never_touched(data_home: Path) -> None:
    line = keys.public_key()
    before = keys.identity_files()[0].stat()
    assert keys.public_key() == line
    assert keys.identity_files()[0].stat() == before


def test_a_missing_public_half_is_made_again_from_the_private_one(data_home: Path) -> None:
    line = keys.public_key()
    (data_home / "id_ed25519.pub").unlink()
    assert keys.public_key() == line


@pytest.mark.parametrize("content", [b"", b"garbage", b"-----BEGIN OPENSSH PRIVATE KEY-----\nAAAA\n"])
def test_a_broken_private_key_is_named(data_home: Path, content: bytes) -> None:
    keys.public_key()
    (data_home / "id_ed25519.pub").unlink()
    keys.identity_files()[0].write_bytes(content)
    with pytest.raises(StateError, match="id_ed25519"):
        keys.public_key()


def test_a_broken_public_key_is_named(data_home: Path) -> None:
    keys.public_key()
    (data_home / "id_ed25519.pub").write_text("ssh-rsa AAAA\n")
    with pytest.raises(StateError, match="not an Ed25519 public key"):
        keys.public_key()


def aged(folder: Path, slot: str, seconds: float) -> None:
    """Make a pair older."""
    when = (folder / slot).stat().st_mtime - seconds
    os.utime(folder / slot, (when, when))


def slots(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir() if path.name in keys.SLOTS}


def test_an_old_pair_is_retired_by_a_new_one_beside_it(data_home: Path) -> None:
    first = keys.public_key()
    aged(data_home, "id_ed25519", keys.MAX_AGE + 10)
    before = (data_home / "id_ed25519").read_bytes()
    second = keys.public_key()
    assert second != first
    assert keys.public_key() == second
    assert (data_home / "id_ed25519").read_bytes() == before
    assert keys.identity_files() == (data_home / "id_ed25519", data_home / "id_ed25519_2")
    assert [(pair.line, what) for pair, what in keys.show()] == [(first, "retired"), (second, "current")]


def test_the_private_half_of_a_retired_pair_is_deleted_after_the_grace_period(data_home: Path) -> None:
    first = keys.public_key()
    aged(data_home, "id_ed25519", keys.MAX_AGE + 10)
    second = keys.public_key()
    now = (data_home / "id_ed25519_2").stat().st_mtime
    assert keys.public_key(now=now + keys.GRACE - 1) == second
    assert slots(data_home) == {"id_ed25519", "id_ed25519_2"}
    assert keys.public_key(now=now + keys.GRACE + 1) == second
    assert slots(data_home) == {"id_ed25519_2"}
    # Its public half keeps ssh from complaining that a file is missing.
    assert (data_home / "id_ed25519.pub").read_text().startswith(first)


def test_a_pair_that_has_served_its_time_is_there_until_a_connection_replaces_it(data_home: Path) -> None:
    line = keys.public_key()
    aged(data_home, "id_ed25519", 7200)
    assert [what for _, what in keys.show()] == ["current"]
    assert [what for _, what in keys.show(max_age=3600)] == ["current, to be replaced by the next connection"]
    aged(data_home, "id_ed25519", keys.MAX_AGE)
    assert [(pair.line, what) for pair, what in keys.show()] == [
        (line, "current, to be replaced by the next connection")
    ]
    keys.public_key()
    assert [what for _, what in keys.show()] == ["retired", "current"]


def test_no_connection_can_lose_its_key_however_short_the_life_of_a_pair(data_home: Path) -> None:
    """An ssh reads both names when it starts, and logs in within the grace period by what its proxy has pushed."""
    now = time.time()
    began: list[tuple[float, dict[str, str], str]] = []
    born: dict[str, float] = {}
    for step in range(300):
        now += 97
        before = {slot: read(data_home, slot) for slot in keys.SLOTS}
        pushed = keys.public_key(max_age=60, now=now)
        for slot in keys.SLOTS:
            path = data_home / slot
            if path.exists():
                when = born.setdefault(path.read_bytes().hex(), now)
                os.utime(path, (when, when))
        began.append((now, before, pushed))
        began = [one for one in began if now - one[0] < keys.GRACE - 100]
        for _, known, key in began:
            # Each name is offered with the public half that was read, or with what was missing then and is there now.
            slot = next(slot for slot in keys.SLOTS if (known[slot] or read(data_home, slot)) == key)
            private = data_home / slot
            assert private.exists(), step
            shown = serialization.load_ssh_private_key(private.read_bytes(), None).public_key()
            assert (
                shown.public_bytes(serialization.Encoding.OpenSSH, serialization.PublicFormat.OpenSSH) == key.encode()
            )
    assert len(born) > 10
    assert keys.show(now=now)


def public_half(path: Path) -> str:
    shown = serialization.load_ssh_private_key(path.read_bytes(), None).public_key()
    return shown.public_bytes(serialization.Encoding.OpenSSH, serialization.PublicFormat.OpenSSH).decode()


def read(folder: Path, slot: str) -> str:
    path = folder / f"{slot}.pub"
    return " ".join(path.read_text().split()[:2]) if path.exists() else ""


def test_a_pair_that_was_made_under_the_first_name_rests_before_it_is_used(data_home: Path) -> None:
    keys.public_key()
    aged(data_home, "id_ed25519", keys.MAX_AGE + 10)
    second = keys.public_key()
    now = (data_home / "id_ed25519_2").stat().st_mtime + keys.GRACE + 1
    assert keys.renew(now=now) == keys.GRACE
    os.utime(data_home / "id_ed25519", (now, now))
    assert keys.public_key(now=now + 1) == second
    assert [what for _, what in keys.show(now=now + 1)] == ["current", "resting"]
    assert keys.public_key(now=now + keys.GRACE) == read(data_home, "id_ed25519") != second
    assert slots(data_home) == {"id_ed25519", "id_ed25519_2"}
    keys.public_key(now=now + 2 * keys.GRACE + 1)
    assert slots(data_home) == {"id_ed25519"}
    assert not (data_home / "id_ed25519_2.pub").exists()


def test_a_clock_that_went_back_makes_nothing_new(data_home: Path) -> None:
    line = keys.public_key()
    aged(data_home, "id_ed25519", -1e6)
    assert keys.public_key() == line


def test_renew_and_remove(data_home: Path) -> None:
    first = keys.public_key()
    assert keys.renew() == 0
    second = keys.public_key()
    assert first != second
    with pytest.raises(StateError, match="minutes ago"):
        keys.renew()
    assert keys.remove() == 2
    assert keys.remove() == 0
    assert slots(data_home) == set()
    assert keys.show() == []
    assert keys.public_key() not in (first, second)


def test_twenty_processes_at_once_make_one_pair(tmp_path: Path) -> None:
    program = (
        "import sys, pathlib; from ssm_ssh import keys; keys.data_folder = lambda: pathlib.Path(sys.argv[1]);"
        "print(keys.public_key())"
    )
    started = [
        subprocess.Popen([sys.executable, "-c", program, str(tmp_path / "shared")], stdout=subprocess.PIPE, text=True)
        for _ in range(20)
    ]
    lines = {process.communicate()[0] for process in started}
    assert len(lines) == 1
    assert lines.pop().startswith("ssh-ed25519 ")
