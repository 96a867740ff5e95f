import os
import stat
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from ssm_ssh import log
from ssm_ssh.errors import UsageError
from ssm_ssh.log import NAME, Log, open_log
from ssm_ssh.storage.private_dir import Folder


@pytest.fixture(autouse=True)
def state_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(log, "state_folder", lambda: tmp_path / "ssm-ssh")
    return tmp_path / "ssm-ssh"


def test_events_are_printable_lines_in_a_private_file(state_home: Path, capfd: pytest.CaptureFixture[str]) -> None:
    opened = open_log(None, debug=False, subject="i-01234567")
    opened.info("one\r\ntwo \x1b[31m")
    opened.debug("a detail")
    content = (state_home / NAME).read_text()
    assert content.endswith("Z " + f"{os.getpid()} i-01234567 one two [31m\n")
    assert "detail" not in content
    assert stat.S_IMODE((state_home / NAME).stat().st_mode) == 0o600
    assert capfd.readouterr().err == ""


def test_debug_tells_details_on_stderr_too(state_home: Path, capfd: pytest.CaptureFixture[str]) -> None:
    opened = open_log(None, debug=True, subject="x")
    opened.debug("a detail")
    assert capfd.readouterr().err == "ssm-ssh: a detail\n"
    assert "a detail" in (state_home / NAME).read_text()


def test_a_log_that_cannot_be_had_ends_nothing_unless_it_was_asked_for(state_home: Path, tmp_path: Path) -> None:
    state_home.mkdir(mode=0o777)
    state_home.chmod(0o777)
    open_log(None, debug=False, subject="x").info("lost")
    with pytest.raises(UsageError, match="cannot write the log file"):
        open_log(tmp_path / "none" / "log", debug=False, subject="x")


def test_a_large_log_is_kept_once(state_home: Path) -> None:
    open_log(None, debug=False, subject="x").info("old")
    with (state_home / NAME).open("ab") as file:
        file.truncate(2 << 20)
    open_log(None, debug=False, subject="x").info("new")
    assert (state_home / (NAME + ".1")).stat().st_size == 2 << 20
    assert "new" in (state_home / NAME).read_text()


def test_text_from_the_other_end_cannot_fill_the_disk(tmp_path: Path) -> None:
    opened = open_log(tmp_path / "log", debug=False, subject="x")
    for _ in range(1000):
        opened.info("stderr: " + "y" * 5000)
    content = (tmp_path / "log").read_text()
    assert len(content) < (1 << 20) + 200
    assert content.endswith("too much to log: the rest of this connection is left out\n")
    assert content.count("left out") == 1


def test_a_full_disk_silences_the_log_only() -> None:
    full = Log(os.open("/dev/full", os.O_WRONLY), subject="x")
    full.info("one")
    full.info("two")


@pytest.mark.parametrize("debug", [False, True])
def test_unforeseen_errors_bring_their_traceback_only_under_debug(debug: bool, tmp_path: Path) -> None:
    opened = open_log(tmp_path / "log", debug=debug, subject="x")
    try:
        "surprise\u2026".encode("latin-1")
    except UnicodeEncodeError as error:
        opened.failure(error)
    content = (tmp_path / "log").read_text()
    assert "UnicodeEncodeError: 'latin-1' codec" in content
    assert ("Traceback" in content) == debug


def test_the_other_end_has_a_share_of_the_log_and_no_more(tmp_path: Path) -> None:
    opened = open_log(tmp_path / "log", debug=False, subject="x")
    opened.info("before")
    for size in (10, 5000):
        for _ in range(1000):
            opened.foreign("stderr: " + "y" * size)
    opened.info("after")
    content = (tmp_path / "log").read_text()
    assert len(content) < 20_000
    assert content.count("too much text from the other end") == 1
    assert content.endswith(" after\n")


def test_a_file_that_another_process_has_just_changed_is_not_changed_again(
    state_home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    open_log(None, debug=False, subject="x").info("old")
    with (state_home / NAME).open("ab") as file:
        file.truncate(2 << 20)

    @contextmanager
    def turn(folder: Folder, name: str, place: int, patience: float) -> Iterator[None]:
        (state_home / NAME).rename(state_home / (NAME + ".1"))
        os.close(folder.append_to(NAME))
        yield

    monkeypatch.setattr(Folder, "turn", turn)
    open_log(None, debug=False, subject="x").info("new")
    assert (state_home / (NAME + ".1")).stat().st_size == 2 << 20
    assert "new" in (state_home / NAME).read_text()


def test_released_stderr_is_held_by_nothing_of_the_log() -> None:
    """--debug writes there, and --log-file /dev/stderr opens the same pipe once more."""
    program = (
        "import os\n"
        "from pathlib import Path\n"
        "from ssm_ssh.log import open_log\n"
        "log = open_log(Path('/dev/stderr'), debug=True, subject='i')\n"
        "log.info('before'); log.release_stderr(); null = os.open(os.devnull, os.O_RDWR); os.dup2(null, 2)\n"
        "log.info('after'); print('released', flush=True); os.read(0, 1)\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as running:
        assert running.stderr is not None
        told = running.stderr.read()  # though the process lives
        assert running.poll() is None
    assert (told.count(b"before"), told.count(b"after")) == (2, 0)


def test_a_log_file_of_its_own_goes_on_without_stderr(tmp_path: Path) -> None:
    log = open_log(tmp_path / "log", debug=False, subject="i")
    log.release_stderr()
    log.info("after")
    assert (tmp_path / "log").read_text().endswith(" after\n")
    Log(None).release_stderr()
