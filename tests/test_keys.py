import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from ssm_ssh import keys
from ssm_ssh.errors import StateError, UsageError


@pytest.fixture(autouse=True)
def data_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(keys, "data_folder", lambda: tmp_path / "ssm-ssh")
    return tmp_path / "ssm-ssh"


def test_the_pair_is_one_that_openssh_reads(data_home: Path) -> None:
    line = keys.public_key()
    shown = subprocess.run(["ssh-keygen", "-y", "-f", keys.identity_file()], capture_output=True, text=True, check=True)
    assert shown.stdout.split()[:2] == line.split()
    assert keys.identity_file().parent == data_home


def test_an_existing_pair_is_never_touched(data_home: Path) -> None:
    line = keys.public_key()
    before = keys.identity_file().stat()
    assert keys.public_key() == line
    assert keys.identity_file().stat() == before


def test_a_missing_public_half_is_made_again_from_the_private_one(data_home: Path) -> None:
    line = keys.public_key()
    (data_home / "id_ed25519.pub").unlink()
    assert keys.public_key() == line


@pytest.mark.parametrize("content", [b"", b"garbage", b"-----BEGIN OPENSSH PRIVATE KEY-----\nAAAA\n"])
def test_a_broken_private_key_is_named(data_home: Path, content: bytes) -> None:
    keys.public_key()
    (data_home / "id_ed25519.pub").unlink()
    keys.identity_file().write_bytes(content)
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


def test_a_retired_pair_is_deleted_after_the_grace_period_and_its_name_rests_as_long(data_home: Path) -> None:
    keys.public_key()
    aged(data_home, "id_ed25519", keys.MAX_AGE + 10)
    second = keys.public_key()
    now = (data_home / "id_ed25519_2").stat().st_mtime
    assert keys.public_key(now=now + keys.GRACE - 1) == second
    assert slots(data_home) == {"id_ed25519", "id_ed25519_2"}
    assert keys.public_key(now=now + keys.GRACE + 1) == second
    assert slots(data_home) == {"id_ed25519_2"}
    # However short a pair's life is set: no name is used again while an ssh may have read what was there.
    assert keys.public_key(max_age=0, now=now + keys.GRACE + 2) == second
    assert keys.public_key(max_age=0, now=now + 2 * keys.GRACE + 10) != second
    assert slots(data_home) == {"id_ed25519", "id_ed25519_2"}


def test_a_pair_is_never_replaced_however_short_its_life(data_home: Path) -> None:
    seen: dict[str, bytes] = {}
    now = time.time()
    freed: dict[str, float] = {}
    for step in range(200):
        now += 97
        keys.public_key(max_age=60, now=now)
        for slot in keys.SLOTS:
            path = data_home / slot
            if path.exists():
                content = path.read_bytes()
                if slot not in seen:
                    os.utime(path, (now, now))
                    assert now - freed.get(slot, 0) > keys.GRACE
                    seen[slot] = content
                assert seen[slot] == content, step
            elif slot in seen:
                del seen[slot]
                freed[slot] = now


def test_a_clock_that_went_back_makes_nothing_new(data_home: Path) -> None:
    line = keys.public_key()
    aged(data_home, "id_ed25519", -1e6)
    assert keys.public_key() == line


def test_renew_and_remove(data_home: Path) -> None:
    first = keys.public_key()
    second = keys.renew()
    assert first != second == keys.public_key()
    with pytest.raises(UsageError, match="minutes ago"):
        keys.renew()
    assert keys.remove() == 2
    assert keys.remove() == 0
    assert slots(data_home) == set()
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
