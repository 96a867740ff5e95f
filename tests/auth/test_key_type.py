import subprocess
from pathlib import Path

import pytest

from ssm_ssh.auth import key_type
from ssm_ssh.auth.key_type import ED25519, RSA, TYPES


@pytest.mark.parametrize("kind", TYPES)
def test_openssh_derives_the_same_public_half(kind: str, tmp_path: Path) -> None:
    private = key_type.generate(kind)
    path = tmp_path / "key"
    path.touch(0o600)
    path.write_bytes(private)
    shown = subprocess.run(["ssh-keygen", "-y", "-f", path], capture_output=True, text=True, check=True)
    assert shown.stdout.split()[:2] == key_type.public_line(kind, private).split()


def test_ssh_reads_an_ed25519_public_half_from_the_private_file_and_not_an_rsa_one(tmp_path: Path) -> None:
    """That decides whether ssh asks sshd before it signs. -1 is a type that ssh does not know yet."""
    for kind, known in ((ED25519, True), (RSA, False)):
        path = tmp_path / kind
        path.touch(0o600)
        path.write_bytes(key_type.generate(kind))
        argv = ["ssh", "-F", "none", "-v", "-o", "ProxyCommand=false", "-o", f"IdentityFile={path}", "nowhere"]
        shown = subprocess.run(argv, capture_output=True, text=True, check=False)
        assert (f"identity file {path} type -1" not in shown.stderr) == known
        assert f"identity file {path} type" in shown.stderr


def test_an_rsa_key_has_a_length_that_ec2_instance_connect_takes() -> None:
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    key = load_pem_private_key(key_type.generate(RSA), None)
    assert getattr(key, "key_size", 0) in (2048, 4096)


@pytest.mark.parametrize("content", [b"", b"garbage", key_type.generate(RSA)])
def test_another_file_is_no_ed25519_key(content: bytes) -> None:
    with pytest.raises(ValueError, match=r"."):
        key_type.public_line(ED25519, content)


@pytest.mark.parametrize("content", [b"", b"garbage", b"-----BEGIN RSA PRIVATE KEY-----\nAAAA\n"])
def test_another_file_is_no_rsa_key(content: bytes) -> None:
    with pytest.raises(ValueError, match=r"."):
        key_type.public_line(RSA, content)
