"""Keys of the user's own: from a file, from the agent; and private halves that are never taken."""

from __future__ import annotations

import os
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from ssm_ssh.auth import identity, keypair
from ssm_ssh.errors import UsageError


def made(folder: Path, kind: str, comment: str = "me") -> Path:
    path = folder / f"id_{kind}"
    subprocess.run(["ssh-keygen", "-q", "-t", kind, "-N", "", "-C", comment, "-f", path], check=True)
    return path


def choose(key: str, **env: str) -> identity.UserKey:
    return identity.choose(key, max_age=86400, env=env)


def test_the_own_pair_is_the_default(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(keypair, "data_folder", lambda: tmp_path / "data")
    key = choose("")
    assert (key.ours, key.kind, key.for_eic) == (True, "ssh-ed25519", True)
    assert identity.identity_files("") == keypair.identity_files()


@pytest.mark.parametrize(("kind", "for_eic"), [("ed25519", True), ("rsa", True), ("ecdsa", False)])
def test_a_file(tmp_path: Path, kind: str, for_eic: bool) -> None:
    path = made(tmp_path, kind, "a comment with {{ssm:/x}}")
    key = choose(f"{path}.pub")
    assert key == identity.UserKey(" ".join(Path(f"{path}.pub").read_text().split()[:2]), ours=False)
    assert key.for_eic == for_eic
    assert identity.identity_files(f"{path}.pub") == (path,)
    path.unlink()
    assert identity.identity_files(f"{path}.pub") == (Path(f"{path}.pub"),)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "holds no public key"),
        (b"\x00\xff" * 100, "holds no public key"),
        (b"ssh-ed25519 AAAA\n", "holds no public key"),
        (b"-----BEGIN OPENSSH PRIVATE KEY-----\n", "is a private key"),
    ],
)
def test_a_file_without_a_public_key_is_refused(tmp_path: Path, content: bytes, words: str) -> None:
    (tmp_path / "key").write_bytes(content)
    with pytest.raises(UsageError, match=words):
        choose(str(tmp_path / "key"))
    with pytest.raises(UsageError, match="cannot be read"):
        choose(str(tmp_path / "nothing"))


@pytest.mark.parametrize("make", [os.mkfifo, os.mkdir])
def test_a_path_that_is_not_a_plain_file_is_refused(tmp_path: Path, make: Callable[[Path], None]) -> None:
    make(tmp_path / "key")
    with pytest.raises(UsageError, match="key is not a file"):
        choose(str(tmp_path / "key"))
    with pytest.raises(UsageError, match="/dev/zero is not a file"):
        choose("/dev/zero")


@pytest.mark.parametrize(
    "key", ["id.pub", "keys/id.pub", "./id.pub", "agentkey.pub", "agents", "~nobody-of-that-name/x"]
)
def test_a_path_that_depends_on_the_current_folder_is_refused(
    tmp_path: Path, key: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    made(tmp_path, "ed25519").with_suffix(".pub").rename(tmp_path / "id.pub")
    monkeypatch.chdir(tmp_path)
    for use in (choose, identity.identity_files):
        with pytest.raises(UsageError) as caught:
            use(key)
        assert key in caught.value.message
        assert "setting `key`" in caught.value.hint


def test_a_path_in_the_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    path = made(tmp_path, "ed25519")
    assert choose("~/id_ed25519.pub").line in Path(f"{path}.pub").read_text()
    assert identity.identity_files("~/id_ed25519.pub") == (path,)


@pytest.fixture
def agent() -> Iterator[str]:
    with tempfile.TemporaryDirectory(prefix="a-") as folder:
        socket = f"{folder}/s"
        process = subprocess.Popen(["ssh-agent", "-D", "-a", socket], stdout=subprocess.DEVNULL)
        deadline = time.monotonic() + 30
        while not Path(socket).exists():
            assert time.monotonic() < deadline
            time.sleep(0.01)
        yield socket
        process.kill()
        process.wait()


def add(agent: str, path: Path) -> None:
    env = {**os.environ, "SSH_AUTH_SOCK": agent}
    subprocess.run(["ssh-add", "-q", path], env=env, check=True, capture_output=True)


def test_a_key_in_the_agent(tmp_path: Path, agent: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(UsageError, match="holds no key"):
        choose("agent", SSH_AUTH_SOCK=agent)
    first, second = made(tmp_path, "ed25519", "first"), made(tmp_path, "ecdsa", "second one")
    add(agent, first)
    assert choose("agent", SSH_AUTH_SOCK=agent).kind == "ssh-ed25519"
    add(agent, second)
    with pytest.raises(UsageError, match="2 such keys: first, second one"):
        choose("agent", SSH_AUTH_SOCK=agent)
    assert choose("agent:second one", SSH_AUTH_SOCK=agent).kind == "ecdsa-sha2-nistp256"
    shown = subprocess.run(["ssh-keygen", "-l", "-f", first], capture_output=True, text=True, check=True).stdout.split()
    assert choose(f"agent:{shown[1]}", SSH_AUTH_SOCK=agent).kind == "ssh-ed25519"
    with pytest.raises(UsageError, match="no key 'third'"):
        choose("agent:third", SSH_AUTH_SOCK=agent)
    import ssm_ssh.storage.paths

    monkeypatch.setattr(ssm_ssh.storage.paths, "data_folder", lambda: tmp_path / "data")
    env = {"SSH_AUTH_SOCK": agent}
    (file,) = identity.identity_files("agent:first")
    assert "does not offer" in identity.problem("agent:first", env=env)
    assert not file.parent.exists(), "to ask changes nothing"
    identity.export_agent_key("agent:first", env=env)
    assert identity.problem("agent:first", env=env) == ""
    assert "does not offer" in identity.problem("agent:second one", env=env)
    assert "2 such keys" in identity.problem("agent", env=env)
    assert file.read_text().split() == Path(f"{first}.pub").read_text().split()[:2]


def test_problems_of_a_file(tmp_path: Path) -> None:
    path = f"{made(tmp_path, 'ed25519')}.pub"
    for key in ("", path):
        assert identity.problem(key, env={}) == ""
    Path(path).unlink()
    assert "cannot be used: the public key" in identity.problem(path, env={})
    assert "no ssh-agent" in identity.problem("agent", env={})


def test_no_agent(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="there is no ssh-agent"):
        choose("agent")
    with pytest.raises(UsageError, match="does not answer"):
        choose("agent", SSH_AUTH_SOCK=str(tmp_path / "gone"))
