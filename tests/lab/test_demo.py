"""The demonstration where there is little: no system sshd, no rsync."""

from __future__ import annotations

import io
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from ssm_ssh.errors import UsageError
from ssm_ssh.lab import LabInstance, LabOptions, demo


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder that the users of instances can look into."""
    with tempfile.TemporaryDirectory(prefix="demo-") as name:
        Path(name).chmod(0o755)
        yield Path(name)


@pytest.mark.e2e
def test_it_works_without_a_system_sshd_and_says_that_rsync_is_missing(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for tool in (
        "sh",
        "ssh",
        "scp",
        "sftp",
        "ssh-keygen",
        "id",
        "tr",
        "printf",
        "cat",
        "stty",
        "setsid",
        "dd",
        "base64",
    ):
        (folder / tool).symlink_to(shutil.which(tool) or f"/missing/{tool}")
    monkeypatch.setenv("PATH", str(folder))
    monkeypatch.setattr(demo, "OPTIONS", LabOptions(instances=1, sshd="embedded"))
    out = io.StringIO()
    assert demo.run(out) == 0, out.getvalue()
    assert "there is no rsync on this machine" in out.getvalue()
    assert "$ rsync" not in out.getvalue()
    assert "Everything that could be shown worked; rsync is not installed." in out.getvalue()
    assert "All of it worked." not in out.getvalue()


@pytest.mark.e2e
def test_a_step_that_goes_wrong_is_marked_and_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    denied = {"operation": "StartSession", "code": "AccessDeniedException", "status": 400, "message": "no", "count": 99}
    monkeypatch.setattr(demo, "OPTIONS", LabOptions(instances=1, faults={"api": denied}))
    out = io.StringIO()
    assert demo.run(out) == 1
    assert "THIS FAILED" in out.getvalue()
    assert "steps failed" in out.getvalue()


class _Lab:
    """A lab whose programs are the test's own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.env = {"PATH": f"{folder}:/usr/bin:/bin"}
        homes = {"ec2-user": "/", "admin": "/"}
        self.instances = [
            LabInstance("i-1", "web", "Linux", ("ec2-user",), 22, "embedded", False, (), homes),
            LabInstance("mi-1", "edge", "Linux", ("admin",), 22, "embedded", True, (), homes),
        ]

    def sessions(self) -> list[dict[str, str]]:
        return []

    def calls(self) -> list[dict[str, str]]:
        return []

    def program(self, name: str, script: str) -> None:
        (self.folder / name).write_text(f"#!/bin/sh\n{script}\n")
        (self.folder / name).chmod(0o755)


_SSH = """case $* in
(*Hello*) echo Hello from ec2-user; exit 7;;
(*tr*) tr a-z A-Z;;
(*mi-1*) echo admin;;
esac"""
_SHELL = "printf '$ '; read line; stty size; printf '$ '; read line"
_SSM_SSH = f"""case $1 in
(exec) echo "it's \\$HOME {{{{ssm:x}}}}"; exit 7;;
(shell) {_SHELL};;
esac"""
_COPY = "for from do [ $# -gt 1 ] || break; shift; done; cp photo.raw photo.back 2>/dev/null; exit"


@pytest.mark.parametrize(
    ("name", "script"),
    [
        ("scp", f"{_COPY} 1"),
        ("scp", "exit 0"),
        ("ssm-ssh", _SSM_SSH.replace("stty size", "echo 24 80")),
        ("ssm-ssh", _SSM_SSH.replace(f"{_SHELL}", f"{_SHELL}; exit 255")),
        ("ssm-ssh", _SSM_SSH.replace("HOME", "PWD")),
        ("ssm-ssh", _SSM_SSH.replace("exit 7", "exit 0")),
        ("ssh", _SSH.replace("Hello from ec2-user", "Hello from nobody")),
        ("ssh", _SSH.replace("echo admin", "echo there is no user admin; exit 255")),
        ("ssh", _SSH.replace("tr a-z A-Z", "cat")),
    ],
    ids=[
        "scp fails, and has copied",
        "scp copies nothing",
        "a shell of another size",
        "a shell that fails",
        "another argument",
        "no exit status",
        "another user",
        "no managed node",
        "other bytes",
    ],
)
def test_nothing_good_is_said_below_a_failure(name: str, script: str, tmp_path: Path) -> None:
    for good in (True, False):
        lab = _Lab(tmp_path / str(good))
        lab.folder.mkdir()
        lab.program("ssh", _SSH)
        lab.program("ssm-ssh", _SSM_SSH)
        lab.program("scp", f"{_COPY} 0")
        lab.program("rsync", "mkdir -p site.back; cp -r site/. site.back; exit 0")
        if not good:
            lab.program(name, script)
        out = io.StringIO()
        status = demo._Demo(lab, out).run()  # type: ignore[arg-type]
        text = out.getvalue()
        assert status == (0 if good else 1), text
        assert ("All of it worked." in text) == good
        assert ("THIS FAILED" in text) != good
        if name == "scp" and not good:
            assert "identical" not in text.partition("by rsync")[0]


def test_without_ssh_it_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(UsageError, match="there is no ssh"):
        demo.run(io.StringIO())
