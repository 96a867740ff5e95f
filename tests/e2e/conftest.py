"""One lab for each worker, with the system's own sshd; nothing may be left of what was started in it."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from ssm_ssh.lab import Lab
from tests.e2e.world import OPTIONS, World, until


def _clients(folder: Path) -> list[str]:
    """The command lines of what was started in the lab, its own programs aside (Linux; elsewhere none is found)."""
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            if b"LC_ALL=C.UTF-8\0" in (environ := (entry / "environ").read_bytes()) and os.fsencode(folder) in environ:
                found.append((entry / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace"))
        except OSError:  # it has ended
            continue
    return found


@pytest.fixture(scope="session")
def lab() -> Iterator[Lab]:
    # Not below pytest's own folder: the path of a UNIX socket is limited, and ssh makes long ones in the lab.
    with tempfile.TemporaryDirectory(prefix="e2e-") as base, Lab(OPTIONS, base=Path(base)) as lab:
        yield lab
        until(lambda: not _clients(lab.folder), "the end of every program", 10)
        # The agent says a minute later that it found nobody listening; until then AWS calls a session terminating.
        ended = {"Terminated", "Terminating", "Failed"}
        until(lambda: {one["Status"] for one in lab.sessions()} <= ended, "the end of every session", 10)
        assert lab.log_text() == ""


@pytest.fixture(scope="session")
def shared(lab: Lab) -> World:
    return World(lab)


@pytest.fixture
def world(shared: World) -> Iterator[World]:
    yield shared
    shared.close()


@pytest.fixture
def there(world: World) -> Iterator[Path]:
    """A folder on the instance `web`, of its first user."""
    with world.folder_on(world.web) as folder:
        yield folder
