"""The real process, killed at every system call of its writes, and many of them at once."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.sshconfig.home import Home

STRACE = shutil.which("strace") or "strace"
ORIGINAL = b"Host web\r\n  User caf\xe9"
TEMPORARY = ".ssm-ssh-new-"


# Between two of these nothing on the disk changes, so dying at the next one is dying at any call before it.
CHANGING = {
    *("openat", "write", "pwrite64", "fchmod", "fchown", "fsetxattr", "fsync", "ftruncate", "close", "mkdir", "rmdir"),
    *("link", "linkat", "rename", "renameat", "renameat2", "unlink", "unlinkat"),
}


class Call(NamedTuple):
    """The `number`th call of a name by the process."""

    name: str
    number: int


def traced(home: Home, log: Path, *options: str, words: tuple[str, ...] = ("setup",)) -> int:
    """Run `ssm-ssh WORDS` under strace (its own calls, not those of ssh); returns its status."""
    command = [STRACE, "-qq", "-o", str(log), "-e", "signal=none", *options, *home.command(*words)]
    done = subprocess.run(command, env=home.env, cwd="/", stdin=subprocess.DEVNULL, capture_output=True, timeout=120)
    return done.returncode


def calls_of_writes(log: Path) -> list[Call]:
    """The changing calls from the first that names a temporary file of ours to just behind the last."""
    counts: dict[str, int] = {}
    calls, marked = [], []
    for line in log.read_text(errors="replace").split("\n"):
        found = re.match(r"(\w+)\(", line)
        if found is None or found[1] not in CHANGING:
            continue
        name = found[1]
        counts[name] = counts.get(name, 0) + 1
        calls.append(Call(name, counts[name]))
        if TEMPORARY in line:
            marked.append(len(calls))
    assert marked, "no write was seen"
    return calls[marked[0] - 1 : marked[-1] + 4]


@pytest.mark.needs("strace")
@pytest.mark.timeout(900)
@pytest.mark.parametrize("words", [("setup",), ("setup", "--inline"), ("setup", "--remove")], ids=" ".join)
def test_killed_at_any_call_the_file_is_the_old_or_the_new_one(tmp_path: Path, words: tuple[str, ...]) -> None:
    home, log = Home(tmp_path / "home"), tmp_path / "log"
    home.write(ORIGINAL)
    # The key and the folders are made the first time only: each run from here on makes the same calls.
    home.run("setup")
    if "--remove" not in words:
        home.run("setup", "--remove")
    old = home.contents()
    assert traced(home, log, "-e", f"trace={','.join(CHANGING)}", words=words) == 0
    new = home.contents()
    assert old["config"] != new["config"]
    calls = calls_of_writes(log)
    assert {"openat", "write", "fsync"} <= {call.name for call in calls}
    killed = 0
    for call in calls:
        for file in home.place.folder.iterdir():
            file.unlink()
        for name, content in old.items():
            (home.place.folder / name).write_bytes(content)
            (home.place.folder / name).chmod(0o600)
        status = traced(home, log, "-e", f"inject={call.name}:signal=KILL:when={call.number}", words=words)
        killed += status != 0
        found = home.contents()
        assert found["config"] in (old["config"], new["config"]), call
        if home.line in found["config"]:
            # What the line includes is there, and whole.
            assert found["ssm-ssh.config"] in (old.get("ssm-ssh.config"), new.get("ssm-ssh.config")), call
        for name in found.keys() - {"config", "ssm-ssh.config"}:
            assert name.startswith(TEMPORARY), call
        assert home.ssh.ask("web").value("user"), call
        home.run(*words)
        assert home.contents() == new, call
    assert killed == len(calls), "the calls of one run are not those of another"


@pytest.mark.parametrize("content", [ORIGINAL, None], ids=["a file", "none"])
def test_twenty_at_once_make_one_line(tmp_path: Path, content: bytes | None) -> None:
    home = Home(tmp_path / "home")
    if content is None:
        home.place.folder.rmdir()
    else:
        home.write(content)
    running = [
        subprocess.Popen(
            home.command("setup"), env=home.env, cwd="/", stdin=subprocess.DEVNULL, stdout=-1, stderr=subprocess.STDOUT
        )
        for _ in range(20)
    ]
    said = [one.communicate(timeout=120)[0].decode() for one in running]
    assert [one.returncode for one in running] == [0] * 20, said
    # The one that made the folder need not be the one that made the file first: then it notes the former in the latter.
    assert sum("Nothing to do" in one for one in said) in ({19} if content is not None else {18, 19}), said
    assert sum("Made " in one for one in said) == 1, said
    found = home.contents()
    assert set(found) == {"config", "ssm-ssh.config"}
    assert found["config"].count(b"Include") == 1
    assert found["config"].startswith(home.line)
    assert found["config"].endswith(content or b"")
    home.run("setup", "--remove")
    if content is None:
        assert not home.place.folder.exists()
    else:
        assert home.contents() == {"config": content}
