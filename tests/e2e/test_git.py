"""The real git through the tunnel."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from tests.e2e.world import World

pytestmark = pytest.mark.e2e


class Git:
    """git, as somebody whose settings are nobody's."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.env = {**world.env, "GIT_CONFIG_NOSYSTEM": "1", "GIT_TERMINAL_PROMPT": "0"}
        for who in ("AUTHOR", "COMMITTER"):
            self.env |= {f"GIT_{who}_NAME": "A", f"GIT_{who}_EMAIL": "a@example.org"}

    def __call__(self, cwd: Path, *words: str, expect: int | None = 0) -> str:
        return self.world.run("git", *words, cwd=cwd, env=self.env, expect=expect).text.strip()

    def commit(self, cwd: Path, name: str, content: bytes) -> str:
        (cwd / name).write_bytes(content)
        self(cwd, "add", "-A")
        self(cwd, "commit", "-qm", name)
        return self(cwd, "rev-parse", "HEAD")


@pytest.mark.parametrize("form", ["url", "scp-like"])
def test_clone_push_and_fetch(world: World, there: Path, tmp_path: Path, form: str) -> None:
    git = Git(world)
    world.ssh(f"git init -q --bare --initial-branch=main '{there}/a repo.git'")
    address = f"ssh://{world.web.destination}{there}/a repo.git"
    if form == "scp-like":
        address = f"{world.web.destination}:{there}/a repo.git"

    git(tmp_path, "init", "-q", "--initial-branch=main", "one")
    one = tmp_path / "one"
    git(one, "remote", "add", "origin", address)
    git.commit(one, "ü b", b"\n")
    first = git.commit(one, "big.bin", random.Random(7).randbytes(2 << 20))
    git(one, "push", "-q", "-u", "origin", "main")

    git(tmp_path, "clone", "-q", address, "two")
    two = tmp_path / "two"
    assert git(two, "rev-parse", "HEAD") == first
    assert (two / "big.bin").read_bytes() == (one / "big.bin").read_bytes()

    second = git.commit(two, "more", b"more\n")
    git(two, "push", "-q")
    git(one, "fetch", "-q")
    assert git(one, "rev-parse", "origin/main") == second
    git(one, "fsck", "--strict")


def test_another_port_and_a_path_in_the_home(world: World, tmp_path: Path) -> None:
    git = Git(world)
    with world.folder_on(world.db) as folder:
        commands = (
            f"git init -q --bare --initial-branch=main {folder}/r.git",
            f"cd {folder}",
            "git clone -q r.git w",
            "cd w",
            "git -c user.name=A -c user.email=a@example.org commit -q --allow-empty -m there",
            "git push -q",
        )
        world.run("ssh", "-p2222", world.db.destination, " && ".join(commands))
        git(tmp_path, "clone", "-q", f"ssh://{world.db.destination}:2222/~/{folder.name}/r.git", "one")
        assert git(tmp_path / "one", "log", "--format=%s") == "there"
