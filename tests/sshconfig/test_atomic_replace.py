from __future__ import annotations

import os
import re
import stat
from pathlib import Path

import pytest

from ssm_ssh.errors import StateError, UsageError
from ssm_ssh.sshconfig import atomic_replace
from ssm_ssh.sshconfig.atomic_replace import Changed, look
from ssm_ssh.storage import leftovers


@pytest.fixture(params=["exchange", "rename"])
def way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Where the system exchanges two names in one step, and where it cannot."""
    if request.param == "rename":
        monkeypatch.setattr(atomic_replace, "_swap", lambda one, other: False)
    return str(request.param)


def names(folder: Path) -> list[str]:
    return [one.name for one in folder.iterdir()]


def make(folder: Path, content: bytes = b"old", mode: int = 0o600) -> Path:
    file = folder / "config"
    file.write_bytes(content)
    file.chmod(mode)
    return file


@pytest.mark.parametrize("mode", [0o600, 0o400, 0o644, 0o640])
def test_the_content_changes_and_the_mode_stays(tmp_path: Path, way: str, mode: int) -> None:
    file = make(tmp_path, mode=mode)
    now = atomic_replace.replace(look(file), b"new")
    assert file.read_bytes() == b"new" == now.content
    assert stat.S_IMODE(file.stat().st_mode) == mode
    assert names(tmp_path) == ["config"]


def test_extended_attributes_stay(tmp_path: Path, way: str) -> None:
    file = make(tmp_path)
    os.setxattr(file, "user.test", b"kept")
    atomic_replace.replace(look(file), b"new")
    assert os.getxattr(file, "user.test") == b"kept"


def test_links_stay_and_their_end_changes(tmp_path: Path, way: str) -> None:
    elsewhere = tmp_path / "dotfiles"
    elsewhere.mkdir()
    file = make(elsewhere)
    (tmp_path / "between").symlink_to("dotfiles/config")
    link = tmp_path / "link"
    link.symlink_to("between")
    atomic_replace.replace(look(link), b"new")
    assert link.readlink() == Path("between")
    assert file.read_bytes() == b"new"
    assert not file.is_symlink()


def test_a_link_to_nothing_gets_its_file(tmp_path: Path) -> None:
    link = tmp_path / "link"
    link.symlink_to("config")
    atomic_replace.replace(look(link), b"new")
    assert link.is_symlink()
    assert (tmp_path / "config").read_bytes() == b"new"
    assert stat.S_IMODE((tmp_path / "config").stat().st_mode) == 0o600


def edit_in_place(file: Path) -> None:
    with file.open("ab") as opened:
        opened.write(b" and theirs")


def edit_by_rename(file: Path) -> None:
    other = file.with_name("theirs")
    other.write_bytes(b"theirs")
    other.replace(file)


def same_bytes_by_rename(file: Path) -> None:
    other = file.with_name("theirs")
    other.write_bytes(file.read_bytes())
    other.replace(file)


def remove(file: Path) -> None:
    file.unlink()


EDITS = (edit_in_place, edit_by_rename, same_bytes_by_rename, remove)


@pytest.mark.parametrize("edit", EDITS)
def test_an_edit_between_look_and_replacement_stands(tmp_path: Path, way: str, edit: object) -> None:
    file = make(tmp_path)
    seen = look(file)
    edit(file)  # type: ignore[operator]
    left = file.read_bytes() if file.exists() else None
    with pytest.raises(Changed):
        atomic_replace.replace(seen, b"new")
    assert (file.read_bytes() if file.exists() else None) == left
    with pytest.raises(Changed):
        atomic_replace.remove(seen)
    assert set(names(tmp_path)) <= {"config"}


@pytest.mark.parametrize("edit", [edit_in_place, edit_by_rename, same_bytes_by_rename])
def test_an_edit_in_the_last_moment_stands_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, edit: object) -> None:
    file = make(tmp_path)
    seen = look(file)
    swap, left = atomic_replace._swap, b""

    def late(one: Path, other: Path) -> bool:
        nonlocal left
        if not left:  # behind the comparison, before the first exchange
            edit(file)  # type: ignore[operator]
            left = file.read_bytes()
        return swap(one, other)

    monkeypatch.setattr(atomic_replace, "_swap", late)
    with pytest.raises(Changed):
        atomic_replace.replace(seen, b"new")
    assert file.read_bytes() == left
    assert names(tmp_path) == ["config"]


def test_a_new_file_does_not_replace_one_that_came_meanwhile(tmp_path: Path) -> None:
    seen = look(tmp_path / "config")
    make(tmp_path, b"theirs")
    with pytest.raises(Changed):
        atomic_replace.replace(seen, b"new")
    assert (tmp_path / "config").read_bytes() == b"theirs"
    assert names(tmp_path) == ["config"]


def test_a_full_disk_leaves_the_old_file(tmp_path: Path, way: str, monkeypatch: pytest.MonkeyPatch) -> None:
    file = make(tmp_path)

    def full(fd: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(StateError, match="No space left"):
        atomic_replace.replace(look(file), b"new")
    assert file.read_bytes() == b"old"
    assert names(tmp_path) == ["config"]


def test_what_a_replacement_would_part_is_refused(tmp_path: Path) -> None:
    file = make(tmp_path)
    os.link(file, tmp_path / "second")
    with pytest.raises(UsageError, match="hard link"):
        atomic_replace.check_replaceable(look(file))


def test_what_is_no_plain_file_is_refused(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path, tmp_path / "pipe"):
        with pytest.raises(UsageError):
            look(path)


def test_only_our_own_leftovers_are_swept(tmp_path: Path) -> None:
    make(tmp_path)
    living = leftovers.temporary(atomic_replace._TEMPORARY)
    killed = re.sub(r"(\d+)-\d+-", r"\1-1-", living, count=1)  # the same process id, but another start
    for name in (living, killed, f"{atomic_replace._TEMPORARY}note"):
        (tmp_path / name).write_bytes(b"half")
    atomic_replace.sweep(tmp_path)
    assert set(names(tmp_path)) == {"config", living, f"{atomic_replace._TEMPORARY}note"}
