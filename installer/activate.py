"""Put a finished environment in use, or nothing of it."""

from __future__ import annotations

import errno
import fcntl
import os
from contextlib import suppress
from pathlib import Path

from installer.faults import Fault, no_space


def lock(descriptor: int, file: Path) -> bool:
    """Wait until no other installation is at work; False if `file` is meanwhile another than `descriptor`'s."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        print("Waiting for another install.sh ...", flush=True)
        fcntl.flock(descriptor, fcntl.LOCK_EX)
    try:
        return os.path.samestat(os.fstat(descriptor), file.stat())
    except FileNotFoundError:
        return False


def write_program(folder: Path) -> None:
    """Write `folder`/ssm-ssh instead of pip's: isolated (-I), so that no other folder slips a module in."""
    start = f"#!{folder}/python -I\n"
    if " " in str(folder) or len(start) > 127:  # what Linux, before 5.1, and macOS can take in such a line
        start = f"#!/bin/sh\n'''exec' \"{folder}/python\" -I \"$0\" \"$@\"\n' '''\n"
    program = folder / "ssm-ssh"
    program.write_text(start + "import sys\nfrom ssm_ssh.cli.main import entry\nsys.exit(entry())\n")
    program.chmod(0o755)


def activate(new: Path, venv: Path, link: Path, program: Path, mark: str) -> None:
    """Make `link` lead to `program`, and `venv` to the environment `new`, of which `mark` tells the content.

    Raises Fault; then both links are as before.
    """
    ours = link.is_symlink() and link.readlink() == program
    try:
        (new / "made-by-install.sh").write_text(f"{mark}\n")
        Path(f"{new}.link").symlink_to(new.name)
        if not ours:
            link.symlink_to(program)  # fails where anything has that name
        try:
            Path(f"{new}.link").replace(venv)  # in one step: at no moment is there no program
        except BaseException:
            if not ours:
                with suppress(OSError):
                    link.unlink()
            raise
    except OSError as error:
        raise fault(error, new.parent) from error


def fault(error: OSError, root: Path) -> Fault:
    """Return what `error`, raised while writing below `root`, means."""
    if error.errno in {errno.ENOSPC, errno.EDQUOT}:
        return no_space(root)
    return Fault(f"cannot write {error.filename2 or error.filename or root}: {error.strerror}")
