import subprocess
import sys
from pathlib import Path

import pytest

from ssm_ssh import keys
from ssm_ssh.errors import StateError


@pytest.fixture(autouse=True)
def data_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(keys, "data_folder", lambda: tmp_path / "ssm-ssh")
    return tmp_path / "ssm-ssh"


def test_the_pair_is_one_that_openssh_reads(data_home: Path) -> None:
    line = keys.public_key()
    shown = subprocess.run(["ssh-keygen", "-y", "-f", keys.identity_file()], capture_output=True, text=True, check=True)
    assert shown.stdout.split()[:2] == line.split()
    assert keys.identity_file().parent == data_home


def test_an_existing_pair_is_never_touched(data_home: Path) -> None:
    line = keys.public_key()
    before = keys.identity_file().stat()
    assert keys.public_key() == line
    assert keys.identity_file().stat() == before


def test_a_missing_public_half_is_made_again_from_the_private_one(data_home: Path) -> None:
    line = keys.public_key()
    (data_home / "id_ed25519.pub").unlink()
    assert keys.public_key() == line


@pytest.mark.parametrize("content", [b"", b"garbage", b"-----BEGIN OPENSSH PRIVATE KEY-----\nAAAA\n"])
def test_a_broken_private_key_is_named(data_home: Path, content: bytes) -> None:
    keys.public_key()
    (data_home / "id_ed25519.pub").unlink()
    keys.identity_file().write_bytes(content)
    with pytest.raises(StateError, match="id_ed25519"):
        keys.public_key()


def test_a_broken_public_key_is_named(data_home: Path) -> None:
    keys.public_key()
    (data_home / "id_ed25519.pub").write_text("ssh-rsa AAAA\n")
    with pytest.raises(StateError, match="not an Ed25519 public key"):
        keys.public_key()


def test_twenty_processes_at_once_make_one_pair(tmp_path: Path) -> None:
    program = (
        "import sys, pathlib; from ssm_ssh import keys; keys.data_folder = lambda: pathlib.Path(sys.argv[1]);"
        "print(keys.public_key())"
    )
    started = [
        subprocess.Popen([sys.executable, "-c", program, str(tmp_path / "shared")], stdout=subprocess.PIPE, text=True)
        for _ in range(20)
    ]
    lines = {process.communicate()[0] for process in started}
    assert len(lines) == 1
    assert lines.pop().startswith("ssh-ed25519 ")
