"""No secret reaches a log, stderr, an argument list or a file, at any verbosity."""

from __future__ import annotations

import os
import threading
from pathlib import Path

import pytest

from ssm_ssh.auth.key_type import ED25519, slots
from tests.e2e.test_endings import proxies
from tests.e2e.world import World, read_until, until

pytestmark = pytest.mark.e2e


def debugging(world: World, tmp_path: Path) -> str:
    """An ssh_config like the lab's whose ProxyCommand tells everything."""
    config = world.lab.ssh_config.read_text()
    loud = config.replace(" proxy ", f" proxy --debug --log-file '{tmp_path}/log' ")
    assert loud != config
    path = tmp_path / "config"
    path.write_text(loud)
    return str(path)


def argument_lists(world: World, stop: threading.Event, seen: set[bytes]) -> None:
    marker = os.fsencode(world.lab.folder)
    while not stop.is_set():
        for entry in Path("/proc").glob("[0-9]*"):
            try:
                if marker in (entry / "environ").read_bytes():
                    seen.add((entry / "cmdline").read_bytes())
            except OSError:
                continue


@pytest.mark.parametrize("identity", ["admin", "temporary"])
def test_no_secret_is_told(world: World, tmp_path: Path, identity: str) -> None:
    keys = world.lab.identities[identity]
    proxy = "http://user:prOxy%2Dpassw0rd@127.0.0.1:9"
    env = world.env_of(identity) | {"HTTPS_PROXY": proxy, "NO_PROXY": "127.0.0.1"}
    seen: set[bytes] = set()
    stop = threading.Event()
    watcher = threading.Thread(target=argument_lists, args=(world, stop, seen))
    watcher.start()
    try:
        ssh = ("/usr/bin/ssh", "-F", debugging(world, tmp_path), "-v", world.web.destination)
        running = world.start(*ssh, "echo ready; cat", env=env)
        read_until(running.stdout, b"ready\n")
        world.lab.fault("cut", side="client")
        running.stdin.write(b"after the cut\n")
        read_until(running.stdout, b"after the cut\n")
        until(lambda: any(b"proxy" in words.split(b"\0") for words in list(seen)), "a look at the tunnel's arguments")
        said = running.finish().stderr
    finally:
        stop.set()
        watcher.join()
        world.lab.clear_faults()
    until(lambda: not proxies(world), "the end of the tunnel")
    log = (tmp_path / "log").read_text()
    assert "resumed" in log
    assert "StartSession" in log
    told = said.encode() + log.encode() + b"\n".join(seen)
    for folder in ("XDG_DATA_HOME", "XDG_STATE_HOME", "XDG_CONFIG_HOME", "XDG_CACHE_HOME"):
        for path in Path(env[folder]).rglob("*"):
            if path.is_file() and path.name not in slots(ED25519):
                told += path.read_bytes()
    private = (Path(env["XDG_DATA_HOME"]) / "ssm-ssh" / "id_ed25519").read_bytes().splitlines()[2]
    secrets = {
        "secret key": keys["SecretAccessKey"].encode(),
        "session token": keys["SessionToken"].encode(),
        "proxy password": b"prOxy",
        "signature": b"Signature=",
        "authorization": b"AWS4-HMAC",
        "token value": b"TokenValue",
        "stream url": b"role=publish_subscribe",
        "private key": private,
    }
    assert [name for name, secret in secrets.items() if secret and secret in told] == []


def test_another_user_gets_nothing_from_the_folders(world: World) -> None:
    world.ssh("true")
    for folder in ("XDG_DATA_HOME", "XDG_STATE_HOME"):
        for path in (ours := Path(world.env[folder]) / "ssm-ssh", *ours.rglob("*")):
            assert path.lstat().st_mode & 0o077 == 0, path
            assert path.lstat().st_uid == os.geteuid()
