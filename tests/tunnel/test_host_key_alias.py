"""What is read of the ssh that started this process, shown by a process of the same name and arguments."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from ssm_ssh.tunnel.host_key_alias import _files, host_key_alias

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="only Linux shows another process's arguments")


def waiting(folder: Path, *words: str) -> subprocess.Popen[bytes]:
    """A process that has an ssh's name and arguments, and as `ssh -G` tells the arguments that it was given."""
    (folder / "ssh").symlink_to(sys.executable)
    return subprocess.Popen([folder / "ssh", "-c", "input()", *words], stdin=subprocess.PIPE, executable=sys.executable)


def test_a_process_that_is_no_ssh_is_not_asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(subprocess, "run", lambda *_, **__: pytest.fail("asked"))
    process = waiting(tmp_path, "-oHostKeyAlias=web")
    try:
        assert host_key_alias(process.pid) == ""
    finally:
        process.communicate(b"\n")
    assert host_key_alias(process.pid) == ""
    assert host_key_alias(0) == ""


def test_a_configuration_is_named_apart_from_its_option_or_joined_to_it() -> None:
    assert _files([b"ssh", b"-F", b"/a", b"web"])[0] == "/a"
    assert _files([b"ssh", b"-F/b", b"web"])[0] == "/b"
