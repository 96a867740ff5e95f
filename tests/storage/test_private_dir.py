import errno
import os
import re
import stat
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from ssm_ssh.errors import StateError
from ssm_ssh.storage import atomic_write, leftovers, locks, private_dir
from ssm_ssh.storage.paths import data_folder
from ssm_ssh.storage.private_dir import Folder, open_folder


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return tmp_path / "a" / "b"


def next_descriptor() -> int:
    fd = os.dup(0)
    os.close(fd)
    return fd


def mode(path: Path) -> int:
    return stat.S_IMODE(path.lstat().st_mode)


def test_a_home_is_not_made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path / "removed"))
    with pytest.raises(StateError, match=f"the home folder {tmp_path}/removed does not exist"):
        open_folder(tmp_path / "removed" / ".local" / "state" / "ssm-ssh")
    assert list(tmp_path.iterdir()) == []
    with open_folder(tmp_path / "elsewhere" / "ssm-ssh") as folder:
        assert folder.path.is_dir()


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


def test_a_written_file_is_read_and_no_other_file_is_left(home: Path) -> None:
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
        monkeypatch.setattr(atomic_write.os, "fsync", full)
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
    monkeypatch.setattr(atomic_write.os, "geteuid", lambda: home.stat().st_uid + 1)
    with pytest.raises(StateError, match="belongs to another user"):
        open_folder(home)


def test_a_file_in_the_place_of_the_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(StateError, match="cannot use the folder"):
        open_folder(tmp_path / "file")


@pytest.mark.parametrize("make", [os.mkfifo, os.mkdir])
def test_every_operation_refuses_a_name_that_is_not_a_plain_file(home: Path, make: Callable[[Path], None]) -> None:
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
    monkeypatch.setattr(private_dir, "_LARGEST", 10)
    with open_folder(home) as folder:
        folder.write("name", b"x" * 10)
        assert folder.read("name") == b"x" * 10
        folder.write("name", b"x" * 11)
        with pytest.raises(StateError, match="larger"):
            folder.read("name")


def test_a_lock_has_one_holder(home: Path) -> None:
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


def without_locks(monkeypatch: pytest.MonkeyPatch, number: int) -> None:
    """Have every lock be refused, as by a file system that has none."""

    def refuse(*arguments: object) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(locks.fcntl, "flock", refuse)
    monkeypatch.setattr(locks.fcntl, "lockf", refuse)


def read_only(folder: Folder, name: str) -> int:
    raise StateError(f"cannot use {folder.path / name}: {os.strerror(errno.EROFS)}")


@pytest.mark.parametrize("number", [errno.ENOLCK, errno.ENOTSUP, errno.EINVAL, errno.ENOSYS])
def test_without_locks_a_single_process_works(home: Path, monkeypatch: pytest.MonkeyPatch, number: int) -> None:
    without_locks(monkeypatch, number)
    done = []
    with open_folder(home) as folder, folder.lock("lock"), folder.turn("turns", 7, 60.0):
        done.append(1)
    assert done


def test_without_locks_two_processes_still_take_turns(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    without_locks(monkeypatch, errno.ENOLCK)
    child = """if True:
        import errno, os, sys, time
        from pathlib import Path
        from ssm_ssh.storage import locks
        from ssm_ssh.storage.private_dir import open_folder
        def refuse(*arguments):
            raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))
        locks.fcntl.flock = locks.fcntl.lockf = refuse
        with open_folder(Path(sys.argv[1])) as folder:
            for _ in range(100):
                with folder.lock("lock"):
                    number = int(folder.read("number") or 0)
                    time.sleep(0.001)
                    folder.write("number", str(number + 1).encode())
    """
    children = [subprocess.Popen([sys.executable, "-c", child, str(home)]) for _ in range(3)]
    assert [one.wait(60) for one in children] == [0, 0, 0]
    with open_folder(home) as folder:
        assert folder.read("number") == b"300"


def test_without_locks_a_turn_that_others_have_is_waited_for(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    without_locks(monkeypatch, errno.ENOLCK)
    pauses: list[float] = []
    with open_folder(home) as folder, folder.turn("turns", 7, 60.0):
        with folder.turn("turns", 8, 60.0):
            pass
        monkeypatch.setattr(private_dir.time, "sleep", pauses.append)
        with folder.turn("turns", 7, 0.05):
            pass
    assert pauses


def test_without_locks_and_without_a_stand_in_the_cause_and_the_setting_are_named(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    without_locks(monkeypatch, errno.ENOLCK)
    monkeypatch.setattr(locks.sys, "platform", "darwin")
    monkeypatch.setenv("XDG_STATE_HOME", str(home.parent))
    with (
        open_folder(home) as folder,
        pytest.raises(StateError, match=r"cannot lock .*/lock: its file system has no locks") as caught,
        folder.lock("lock"),
    ):
        pytest.fail("it went on")
    with open_folder(home.parent / "ssm-ssh") as folder, pytest.raises(StateError) as caught, folder.lock("lock"):
        pytest.fail("it went on")
    assert caught.value.hint == "Set XDG_STATE_HOME to a folder on another disk and run: ssm-ssh setup"


def test_a_turn_needs_no_disk_that_can_be_written(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    done = []
    with open_folder(home) as folder:
        monkeypatch.setattr(Folder, "append_to", read_only)
        with folder.turn("turns", 7, 60.0):
            done.append(1)
    assert done


def test_temporary_files_of_killed_processes_are_removed_and_no_others(home: Path) -> None:
    gone = subprocess.Popen([sys.executable, "-c", ""])
    name = leftovers.temporary(".key.")
    pid = str(os.getpid())
    dead = [name.replace(pid, str(gone.pid), 1), re.sub(r"(\d+)-(\d+)-", rf"{pid}-1-", name, count=1)]
    other_boot = re.sub(r"-[0-9a-f]{12}\.", "-0123456789ab.", name)
    kept = [name, other_boot, ".key.note", "key", f".key.{pid}.0123abcd"]
    old = [re.sub(r"[0-9a-f]{8}$", "00000000", other_boot), ".key.12.0123abcd"]
    assert gone.wait(60) == 0
    with open_folder(home) as folder:
        for one in (*dead, *kept, *old):
            (home / one).write_bytes(b"half")
        for one in old:
            os.utime(home / one, (1e9, 1e9))
        folder.write("other", b"")
        assert {path.name for path in home.iterdir()} == {*kept, "other"}


def test_a_folder_is_swept_when_it_is_opened_first(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    home.mkdir(mode=0o700, parents=True)
    (home / re.sub(r"(\d+)-(\d+)-", f"{os.getpid()}-1-", leftovers.temporary(".x."), count=1)).touch()
    open_folder(home).__exit__(None, None, None)
    assert list(home.iterdir()) == []


@pytest.mark.parametrize(
    ("number", "remedy"),
    [
        (errno.ENOSPC, "Free some space (df -h) or inodes (df -i), or set XDG_DATA_HOME"),
        (errno.EDQUOT, "Free some of your quota, or set XDG_DATA_HOME"),
        (errno.EROFS, "Make that file system writable, or set XDG_DATA_HOME"),
        (errno.EACCES, "Check who may write there, or set XDG_DATA_HOME"),
    ],
)
def test_the_message_names_the_cause_and_its_remedy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int, remedy: str
) -> None:
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))

    def refuse(*arguments: object, **more: object) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(Path, "mkdir", refuse)
    with pytest.raises(StateError, match=os.strerror(number)) as caught:
        open_folder(data_folder())
    assert caught.value.hint.startswith(remedy)


def test_temporary_files_of_one_name_are_discarded_and_no_others(home: Path) -> None:
    with open_folder(home) as folder:
        for name in (".key.12.ab", ".key.pub.12.ab", ".key_2.12.ab", "key", ".key"):
            folder.write(name, b"")
        folder.discard_temporaries("key")
    assert {path.name for path in home.iterdir()} == {".key_2.12.ab", "key", ".key"}


def test_a_time_can_be_given(home: Path) -> None:
    with open_folder(home) as folder:
        folder.write("file", b"", modified=1e9)
        assert folder.modified("file") == 1e9
        folder.set_modified("file", 2e9)
        assert folder.modified("file") == 2e9
        with pytest.raises(StateError, match="nothing"):
            folder.set_modified("nothing", 1.0)
