"""Disks that refuse: each command says in one line what was refused and what helps, and none is surprised."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.sshconfig.home import Home

ID = "i-0123456789abcdef0"

# Everything below HOME refuses to be changed. What makes a file of no size succeeds on a disk that is full.
_COMMAND = """\
import errno, os, sys
number, below = int(sys.argv[1]), os.environ["HOME"]
full = number != errno.EROFS
WRITES = os.O_WRONLY | os.O_RDWR | os.O_CREAT

def refuse(path, *, made=False, dir_fd=None):
    if dir_fd is not None:
        path = os.path.join(os.readlink(f"/proc/self/fd/{dir_fd}"), os.fspath(path))
    if not isinstance(path, int) and os.fsdecode(path).startswith(below) and not made:
        raise OSError(number, os.strerror(number), os.fsdecode(path))

def wrap(name, *, made=False):
    real = getattr(os, name)
    def wrapped(path, *arguments, dir_fd=None, **more):
        refuse(path, made=made, dir_fd=dir_fd)
        return real(path, *arguments, **more) if dir_fd is None else real(path, *arguments, dir_fd=dir_fd, **more)
    setattr(os, name, wrapped)

real_open, real_write, real_fdopen = os.open, os.write, os.fdopen
def opened(path, flags, mode=0o777, *, dir_fd=None):
    if flags & WRITES:
        refuse(path, made=full, dir_fd=dir_fd)
    return real_open(path, flags, mode, dir_fd=dir_fd)
def fdopen(fd, mode="r", *arguments, **more):
    if "w" in mode or "a" in mode:
        refuse(os.readlink(f"/proc/self/fd/{fd}"))
    return real_fdopen(fd, mode, *arguments, **more)
os.open, os.fdopen = opened, fdopen
wrap("mkdir")
if not full:
    for name in ("unlink", "rmdir", "utime", "chmod"):
        wrap(name)

from ssm_ssh.cli.main import main
sys.exit(main(sys.argv[2:]))
"""

CHANGING = {
    "setup": ["setup"],
    "setup with a default": ["setup", "--region", "eu-west-1"],
    "a new key": ["key", "renew"],
}
COMMANDS = {
    **CHANGING,
    "a dry run": ["setup", "--dry-run"],
    "taking it back": ["setup", "--remove"],
    "status": ["status"],
    "config": ["config"],
    "list": ["list"],
    "sync": ["sync"],
    "key": ["key"],
    "removing keys": ["key", "remove"],
    "host keys": ["host-keys"],
    "removing host keys": ["host-keys", "remove", ID],
    "completion": ["completion", "bash"],
    "a lab": ["lab"],
    "a connection": ["proxy", ID, "22", "ec2-user"],
}
ENV = {
    "AWS_ACCESS_KEY_ID": "AKIAIOSFODNN7EXAMPLE",
    "AWS_SECRET_ACCESS_KEY": "x" * 40,
    "AWS_REGION": "eu-central-1",
    "AWS_EC2_METADATA_DISABLED": "true",
    "AWS_ENDPOINT_URL": "http://127.0.0.1:9",
}


def said(home: Home, number: int, words: list[str]) -> str:
    """Run the command on a disk that refuses with `number`; returns all that it said."""
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", _COMMAND, str(number), *words],
        env={**home.env, **ENV},
        cwd="/",
        stdin=subprocess.DEVNULL,
        capture_output=True,
        timeout=120,
    )
    return (done.stdout + done.stderr).decode(errors="replace")


@pytest.fixture(params=["new", "set up"])
def home(request: pytest.FixtureRequest, tmp_path: Path) -> Home:
    made = Home(tmp_path / "home")
    made.write("Host web\n")
    if request.param == "set up":
        made.run("setup")
    return made


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT, errno.EROFS])
def test_no_command_is_surprised_by_a_disk_that_refuses(home: Home, number: int) -> None:
    before = home.contents()
    for name, words in COMMANDS.items():
        text = said(home, number, words)
        for wrong in ("Traceback", "unexpected", "OSError", "of your own"):
            assert wrong not in text, (name, text)
        if os.strerror(number) in text:
            (line,) = [line for line in text.splitlines() if os.strerror(number) in line]
            assert len(line) < 500, name
            assert "or set XDG_" in line or ".ssh" in line, (name, line)
    if number != errno.EROFS:  # taking it back needs no room
        return
    assert home.contents() == before


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EROFS])
def test_what_must_write_says_what_helps(tmp_path: Path, number: int) -> None:
    home = Home(tmp_path / "home")
    for name, words in CHANGING.items():
        assert os.strerror(number) in said(home, number, words), name
    assert home.contents() == {}
