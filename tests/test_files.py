import errno
import os
import stat
from collections.abc import Callable
from pathlib import Path

import pytest

from ssm_ssh import files
from ssm_ssh.errors import StateError
from ssm_ssh.files import open_folder


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return tmp_path / "a" / "b"


def next_descriptor() -> int:
    fd = os.dup(0)
    os.close(fd)
    return fd


def mode(path: Path) -> int:
    return stat.S_IMODE(path.lstat().st_mode)


def test_folder_and_files_are_private_whatever_the_umask(home: Path) -> None:
    old = os.umask(0)
    try:
        with open_folder(home) as folder:
            folder.write("file", b"content")
            os.close(folder.append_to("log"))
    finally:
        os.umask(old)
    assert mode(home) == 0o700
    assert mode(home / "file") == mode(home / "log") == 0o600


def test_what_is_written_is_read_and_nothing_else_is_left(home: Path) -> None:
    with open_folder(home) as folder:
        assert folder.read("file") is None
        folder.write("file", b"one")
        folder.write("file", b"two")
        assert folder.read("file") == b"two"
        assert folder.remove("file")
        assert not folder.remove("file")
    assert list(home.iterdir()) == []


def test_a_failed_write_leaves_the_old_content_and_no_temporary(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(fd: int) -> None:
        raise OSError(28, "No space left on device")

    with open_folder(home) as folder:
        folder.write("file", b"old")
        monkeypatch.setattr(files.os, "fsync", full)
        with pytest.raises(StateError, match="No space left"):
            folder.write("file", b"new")
        assert folder.read("file") == b"old"
    assert [path.name for path in home.iterdir()] == ["file"]


def test_links_are_not_followed(home: Path, tmp_path: Path) -> None:
    victim = tmp_path / "victim"
    victim.write_bytes(b"precious")
    with open_folder(home) as folder:
        (home / "link").symlink_to(victim)
        for use in (folder.read, folder.append_to, folder.modified):
            with pytest.raises(StateError, match="link is a symbolic link"):
                use("link")
        folder.write("link", b"ours")  # a rename replaces the link itself
        assert folder.read("link") == b"ours"
    assert victim.read_bytes() == b"precious"


def test_a_folder_that_is_a_link_is_refused(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir(mode=0o700)
    (tmp_path / "link").symlink_to(tmp_path / "real")
    with pytest.raises(StateError, match="is a symbolic link"):
        open_folder(tmp_path / "link")
    (tmp_path / "real").rmdir()
    with pytest.raises(StateError, match="is a symbolic link"):
        open_folder(tmp_path / "link")


@pytest.mark.parametrize("bits", [0o750, 0o701, 0o777])
def test_a_folder_open_to_others_is_refused(home: Path, bits: int) -> None:
    home.mkdir(parents=True)
    home.chmod(bits)
    with pytest.raises(StateError, match="is open to other users"):
        open_folder(home)


def test_a_folder_of_somebody_else_is_refused(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    home.mkdir(parents=True, mode=0o700)
    monkeypatch.setattr(files.os, "geteuid", lambda: home.stat().st_uid + 1)
    with pytest.raises(StateError, match="belongs to another user"):
        open_folder(home)


def test_a_file_in_the_place_of_the_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(StateError, match="cannot use the folder"):
        open_folder(tmp_path / "file")


@pytest.mark.parametrize("make", [os.mkfifo, os.mkdir])
def test_what_is_no_file_is_refused_whatever_is_done_with_it(home: Path, make: Callable[[Path], None]) -> None:
    with open_folder(home) as folder:
        make(home / "odd")
        free = next_descriptor()
        for use in (folder.read, folder.append_to, folder.modified):
            with pytest.raises(StateError, match="odd is not a plain file"):
                use("odd")
        assert next_descriptor() == free


def test_a_folder_is_not_written_over(home: Path) -> None:
    with open_folder(home) as folder:
        (home / "odd").mkdir()
        with pytest.raises(StateError, match="odd is not a plain file"):
            folder.write("odd", b"content")
    assert [one.name for one in home.iterdir()] == ["odd"]


def test_a_fifo_or_a_file_that_others_may_write_is_refused(home: Path) -> None:
    with open_folder(home) as folder:
        os.mkfifo(home / "fifo")
        with pytest.raises(StateError, match="not a plain file"):
            folder.read("fifo")
        folder.write("open", b"")
        (home / "open").chmod(0o666)
        with pytest.raises(StateError, match="written by others"):
            folder.read("open")


def test_a_file_beyond_measure_is_refused_and_not_cut(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(files, "_LARGEST", 10)
    with open_folder(home) as folder:
        folder.write("name", b"x" * 10)
        assert folder.read("name") == b"x" * 10
        folder.write("name", b"x" * 11)
        with pytest.raises(StateError, match="larger"):
            folder.read("name")


def test_a_lock_is_held_by_one(home: Path) -> None:
    import fcntl

    with open_folder(home) as folder, folder.lock("lock"):
        with (home / "lock").open("ab") as other, pytest.raises(BlockingIOError):
            fcntl.flock(other, fcntl.LOCK_EX | fcntl.LOCK_NB)
    with (home / "lock").open("ab") as other:
        fcntl.flock(other, fcntl.LOCK_EX | fcntl.LOCK_NB)


def test_replace_moves_a_file_and_ignores_a_missing_one(home: Path) -> None:
    with open_folder(home) as folder:
        folder.write("log", b"1")
        folder.replace("log", "log.1")
        folder.replace("log", "log.1")
        assert folder.read("log.1") == b"1"


def no_locks(*_: object) -> None:
    raise OSError(errno.ENOLCK, "No locks available")


def test_without_locks_nobody_waits_for_a_turn(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(files.fcntl, "lockf", no_locks)
    monkeypatch.setattr(files.time, "sleep", lambda _: pytest.fail("it waited"))
    done = []
    with open_folder(home) as folder, folder.turn("turns", 7, 60.0):
        done.append(1)
    assert done


def test_without_locks_what_needs_one_is_refused_in_words(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(files.fcntl, "flock", no_locks)
    with (
        open_folder(home) as folder,
        pytest.raises(StateError, match=r"cannot use .*/lock: No locks available"),
        folder.lock("lock"),
    ):
        pytest.fail("it went on")


def test_what_a_killed_write_left_is_removed_and_nothing_else(home: Path) -> None:
    with open_folder(home) as folder:
        for name in (".key.12.ab", ".key.pub.12.ab", ".key_2.12.ab", "key", ".key"):
            folder.write(name, b"")
        folder.tidy("key")
    assert {path.name for path in home.iterdir()} == {".key_2.12.ab", "key", ".key"}


def test_a_time_can_be_given(home: Path) -> None:
    with open_folder(home) as folder:
        folder.write("file", b"", modified=1e9)
        assert folder.modified("file") == 1e9
        folder.stamp("file", 2e9)
        assert folder.modified("file") == 2e9
        with pytest.raises(StateError, match="nothing"):
            folder.stamp("nothing", 1.0)
