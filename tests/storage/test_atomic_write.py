"""Files written whole or not at all."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from ssm_ssh.storage import atomic_write, leftovers


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[int]:
    fd = os.open(tmp_path, os.O_RDONLY | os.O_DIRECTORY)
    yield fd
    os.close(fd)


def names(folder: int) -> set[str]:
    return set(os.listdir(folder))


def test_a_file_is_replaced_by_a_new_one(folder: int, tmp_path: Path) -> None:
    file = tmp_path / "file"
    other = tmp_path / "other"
    other.write_bytes(b"theirs")
    file.symlink_to(other)
    atomic_write.replace(folder, "file", b"ours", prepare=lambda fd: os.fchmod(fd, 0o640))
    assert (file.read_bytes(), file.is_symlink(), file.stat().st_mode & 0o777) == (b"ours", False, 0o640)
    assert other.read_bytes() == b"theirs"
    assert names(folder) == {"file", "other"}


@pytest.mark.parametrize("name", ["fsync", "rename"])
def test_a_failure_leaves_the_file_and_nothing_else(
    folder: int, tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, "full")

    (tmp_path / "file").write_bytes(b"before")
    monkeypatch.setattr(atomic_write.os, name, fail)
    with pytest.raises(OSError, match="full"):
        atomic_write.replace(folder, "file", b"after")
    assert names(folder) == {"file"}
    assert (tmp_path / "file").read_bytes() == b"before"


def test_a_preparation_that_fails_leaves_nothing(folder: int) -> None:
    def fail(_: int) -> None:
        raise ValueError

    with pytest.raises(ValueError):  # noqa: PT011 - raised above
        atomic_write.write_temporary(folder, ".x.", b"content", prepare=fail)
    assert names(folder) == set()


def test_a_file_system_without_fsync_will_do(folder: int, monkeypatch: pytest.MonkeyPatch) -> None:
    def unsupported(_: int) -> None:
        raise OSError(errno.EINVAL, "unsupported")

    monkeypatch.setattr(atomic_write.os, "fsync", unsupported)
    atomic_write.replace(folder, "file", b"content")
    assert names(folder) == {"file"}


def test_a_temporary_file_identifies_this_process(folder: int) -> None:
    name = atomic_write.write_temporary(folder, ".x.", b"content")
    assert names(folder) == {name}
    leftovers.sweep(folder, ".x.")
    assert names(folder) == {name}, "the process is running"
