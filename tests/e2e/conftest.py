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


def _open(world: World) -> list[dict[str, object]]:
    """The sessions that nobody has ended."""
    # The agent says a minute later that it found nobody listening; until then AWS calls an ended session terminating.
    over = {"Terminated", "Terminating", "Failed"}
    return [
        one for one in world.lab.sessions() if one["Status"] not in over and one["SessionId"] not in world.abandoned
    ]


@pytest.fixture(scope="session")
def shared() -> Iterator[World]:
    # Not below pytest's own folder: the path of a UNIX socket is limited, and ssh makes long ones in the lab.
    with tempfile.TemporaryDirectory(prefix="e2e-") as base, Lab(OPTIONS, base=Path(base)) as lab:
        world = World(lab)
        yield world
        until(lambda: not _clients(lab.folder), "the end of every program", 10, lambda: _clients(lab.folder))
        until(lambda: not _open(world), "the end of every session", 10, lambda: _open(world))
        assert lab.log_text() == ""


@pytest.fixture
def world(shared: World) -> Iterator[World]:
    yield shared
    shared.close()


@pytest.fixture
def there(world: World) -> Iterator[Path]:
    """A folder on the instance `web`, of its first user."""
    with world.folder_on(world.web) as folder:
        yield folder
