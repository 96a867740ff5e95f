"""One lab in which `ssm-ssh setup` has been run, and the versions of the programs that passed."""

from __future__ import annotations

import json
import os
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from ssm_ssh.lab import Lab
from tests.compatibility.programs import FOLDER, PROGRAMS, VERSIONS
from tests.e2e.world import OPTIONS, World

# Where tests/compatibility/install has put what is not Debian's.
INSTALLED = Path(os.environ.get("SSM_SSH_COMPATIBILITY", FOLDER.parents[1] / ".compatibility"))


@pytest.fixture(scope="session")
def environment() -> dict[str, str]:
    """What makes the programs of PyPI and npm available."""
    subprocess.run([str(FOLDER / "install"), str(INSTALLED)], check=True, stdin=subprocess.DEVNULL)
    return {
        "PATH": os.pathsep.join([str(INSTALLED / "bin"), str(INSTALLED / "venv" / "bin")]),
        "NODE_PATH": str(INSTALLED / "node_modules"),
    }


@pytest.fixture(scope="session")
def shared(environment: dict[str, str]) -> Iterator[World]:
    with tempfile.TemporaryDirectory(prefix="compat-") as base, Lab(OPTIONS, base=Path(base)) as lab:
        world = World(lab)
        # Behind the lab's ssh, and before what this machine may have in other versions.
        first, _, rest = world.env["PATH"].partition(os.pathsep)
        world.env |= {
            "PATH": os.pathsep.join([first, environment["PATH"], rest]),
            "NODE_PATH": environment["NODE_PATH"],
        }
        yield world


@pytest.fixture
def world(shared: World) -> Iterator[World]:
    shared.run("ssm-ssh", "setup", "--no-inline")
    yield shared
    shared.close()


@pytest.fixture(scope="session")
def versions() -> Iterator[dict[str, str]]:
    """The versions by key, which are written down at the end."""
    known: dict[str, str] = json.loads(VERSIONS.read_text(encoding="utf-8")) if VERSIONS.exists() else {}
    yield known
    kept = {key: known[key] for key in PROGRAMS if key in known}
    VERSIONS.write_text(json.dumps(kept, indent=2) + "\n", encoding="utf-8")
