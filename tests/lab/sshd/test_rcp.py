"""The far side of `scp -O` where OpenSSH's scp does not run, against OpenSSH's scp on the near side."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from ssm_ssh.lab.sshd import rcp
from tests.e2e.trees import content, make_tree

RCP = [sys.executable, "-I", "-S", str(Path(rcp.__file__))]


class Scp:
    """scp -O whose ssh runs the command in a shell of this machine, with the lab's `scp` first in PATH."""

    def __init__(self, folder: Path) -> None:
        tools = folder / "tools"
        tools.mkdir()
        self.ssh = tools / "ssh"
        self.far = folder / "far"
        self.far.mkdir()
        scripts = {
            "scp": f'exec {" ".join(RCP)} "$@"',
            "ssh": f'for last do :; done\ncd {self.far} && PATH={tools}:$PATH exec sh -c "$last"',
        }
        for name, script in scripts.items():
            (tools / name).write_text(f"#!/bin/sh\n{script}\n")
            (tools / name).chmod(0o755)

    def __call__(self, *words: str | Path, expect: int = 0) -> str:
        command = ["scp", "-O", "-q", "-S", str(self.ssh), *map(str, words)]
        done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60)
        assert done.returncode == expect, done
        return done.stderr


@pytest.fixture
def scp(tmp_path: Path) -> Scp:
    return Scp(tmp_path)


def test_a_tree_goes_there_and_back_with_times_and_modes(scp: Scp, tmp_path: Path) -> None:
    tree = make_tree(tmp_path / "tree")
    (tree / "deep" / "er").chmod(0o2711)
    for path in (tree / "newline", tree / "deep" / "er", tree):
        os.utime(path, (1_000_000_000, 1_100_000_000))
    scp("-rp", tree, "h:up")
    scp("-rp", "h:up", tmp_path / "back")
    for copy in (scp.far / "up", tmp_path / "back"):
        assert content(copy) == content(tree)
        assert (copy / "newline").stat().st_mtime == copy.stat().st_mtime == 1_100_000_000
        assert stat.S_IMODE((copy / "newline").stat().st_mode) == 0o750
    assert stat.S_IMODE((scp.far / "up" / "deep" / "er").stat().st_mode) == 0o2711


def test_the_umask_counts_where_modes_are_not_preserved(scp: Scp, tmp_path: Path) -> None:
    file = tmp_path / "f"
    file.write_text("x")
    file.chmod(0o666)
    before = os.umask(0o027)
    try:
        scp(file, "h:new")
        scp(file, "h:old")
        (scp.far / "old").chmod(0o600)
        scp(file, "h:old")
    finally:
        os.umask(before)
    assert stat.S_IMODE((scp.far / "new").stat().st_mode) == 0o640
    assert stat.S_IMODE((scp.far / "old").stat().st_mode) == 0o600  # it was there


def test_a_longer_file_is_cut(scp: Scp, tmp_path: Path) -> None:
    (tmp_path / "f").write_text("short")
    (scp.far / "f").write_text("much longer")
    scp(tmp_path / "f", "h:f")
    assert (scp.far / "f").read_text() == "short"


def test_patterns_are_the_shells_and_names_are_bytes(scp: Scp, tmp_path: Path) -> None:
    for name in (b"a1", b"a2", b"a\xff", b"b"):
        Path(os.fsdecode(os.fsencode(scp.far) + b"/" + name)).write_bytes(name)
    (tmp_path / "here").mkdir()
    scp("h:a*", tmp_path / "here")
    assert sorted(map(os.fsencode, os.listdir(tmp_path / "here"))) == [b"a1", b"a2", b"a\xff"]  # noqa: PTH208


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (("h:none", "here"), "none: No such file or directory"),
        (("h:folder", "here"), "folder: not a regular file"),
        (("here", "there", "h:none/"), "none/: No such file or directory"),
        (("here", "there", "h:file"), "file: Not a directory"),
        (("here", "h:none/x"), "none/x: No such file or directory"),
    ],
)
def test_what_goes_wrong_is_said(scp: Scp, tmp_path: Path, words: tuple[str, ...], sentence: str) -> None:
    (scp.far / "folder").mkdir()
    (scp.far / "file").touch()
    for name in ("here", "there"):
        (tmp_path / name).touch()
    stderr = scp(*(word if word.startswith("h:") else tmp_path / word for word in words), expect=1)
    assert f"scp: {sentence}" in stderr
    assert "Traceback" not in stderr


def test_a_missing_file_does_not_stop_the_others(scp: Scp, tmp_path: Path) -> None:
    for name in ("a", "c"):
        (scp.far / name).touch()
    scp("h:a", "h:b", "h:c", tmp_path, expect=1)
    assert (tmp_path / "a").exists()
    assert (tmp_path / "c").exists()


def test_a_full_disk_is_said(scp: Scp, tmp_path: Path) -> None:
    (tmp_path / "f").write_bytes(bytes(100_000))
    assert "/dev/full: No space left on device" in scp(tmp_path / "f", "h:/dev/full", expect=1)


@pytest.mark.parametrize(
    "line", [b"C0644 1 ../x", b"C0644 1 ..", b"C0644 1 a/b", b"D0755 0 .", b"C0644 1", b"Xnonsense", b"D0755 0 d"]
)
def test_a_bad_line_writes_nothing(tmp_path: Path, line: bytes) -> None:
    far = tmp_path / "far"
    far.mkdir()
    done = subprocess.run([*RCP, "-t", "."], cwd=far, input=line + b"\nx\0", capture_output=True, timeout=60)
    assert done.returncode == 1
    assert done.stdout.startswith(b"\0\x01scp: ")
    assert done.stderr == b""
    assert [path.name for path in tmp_path.rglob("*")] == ["far"]


def test_an_end_in_the_middle_of_a_file_is_an_error(tmp_path: Path) -> None:
    done = subprocess.run([*RCP, "-t", "f"], cwd=tmp_path, input=b"C0644 10 f\nabc", capture_output=True, timeout=60)
    assert (done.returncode, done.stderr) == (1, b"")
