"""A login in the browser, and ssh with it: before the connection, and in the middle of it."""

from __future__ import annotations

import os
import pty
import select
import shutil
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.world import World

pytestmark = pytest.mark.e2e


@pytest.fixture(autouse=True)
def logged_out(world: World) -> Iterator[None]:
    yield
    for name in ("sso", "login", "cli"):
        shutil.rmtree(Path(world.lab.env["HOME"], ".aws", name), ignore_errors=True)


def keys(world: World) -> list[str]:
    return [call["access_key"] for call in world.lab.calls("StartSession")]


@pytest.mark.parametrize("profile", ["sso", "sso-inline", "sign-in"])
def test_ssh_after_a_login(world: World, profile: str) -> None:
    before = len(keys(world))
    done = world.run("ssh", f"{world.web.destination}.{profile}", "true", expect=255)
    assert f"Run: ssm-ssh login {profile}" in done.stderr
    world.run("ssm-ssh", "login", profile)
    world.run("ssh", f"{world.web.destination}.{profile}", "true")
    new = keys(world)[before:]
    assert new, "no session was started"
    assert new[-1].startswith("ASIA")  # an earlier test's proxy may still have been starting one of its own


def on_a_terminal(world: World, answers: dict[bytes, bytes], *command: str) -> tuple[int, str]:
    """Run `command` on a terminal of its own, typing each answer once its question is seen; return status and text."""
    pid, terminal = pty.fork()
    if pid == 0:
        os.execvpe(command[0], list(command), world.lab.env)
    seen, until = b"", time.monotonic() + 120
    left = dict(answers)
    try:
        while time.monotonic() < until:
            if not select.select([terminal], [], [], 0.2)[0]:
                continue
            try:
                piece = os.read(terminal, 4096)
            except OSError:
                break
            seen += piece
            for question in [text for text in left if text in seen]:
                os.write(terminal, left.pop(question))
    finally:
        os.close(terminal)
        status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    return status, seen.decode()


def test_ssh_on_a_terminal_offers_the_login_and_goes_on(world: World) -> None:
    ssh = shutil.which("ssh", path=world.lab.env["PATH"])
    assert ssh
    target = f"{world.web.destination}.sso"
    status, seen = on_a_terminal(world, {b"[Y/n] ": b"\n"}, ssh, target, "echo reached $((40 + 2))")
    assert status == 0, seen
    assert seen.count("Log in now?") == 1
    assert "reached 42" in seen


def test_a_no_ends_the_connection_with_the_command(world: World) -> None:
    ssh = shutil.which("ssh", path=world.lab.env["PATH"])
    assert ssh
    status, seen = on_a_terminal(world, {b"[Y/n] ": b"n\n"}, ssh, f"{world.web.destination}.sso", "true")
    assert status == 255
    assert "Run: ssm-ssh login sso" in seen
