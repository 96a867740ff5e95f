"""The key pair of ssm-ssh's own: made once under a lock, never replaced in place; only its public half travels."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ssm_ssh.errors import StateError
from ssm_ssh.files import open_folder
from ssm_ssh.paths import data_folder

if TYPE_CHECKING:
    from pathlib import Path

    from ssm_ssh.files import Folder

_PRIVATE = "id_ed25519"
_PUBLIC = "id_ed25519.pub"


def identity_file() -> Path:
    """Path of the private key, for ssh's IdentityFile; the file need not exist yet."""
    return data_folder() / _PRIVATE


def public_key() -> str:
    """Return the public key as `ssh-ed25519 BASE64`, making the pair first where there is none.

    ssh opens IdentityFile when it starts, beside us: a key made now still serves this connection, but one replaced
    now would not, so an existing pair is never touched. Raises StateError where the folder or a file is not usable.
    """
    with open_folder(data_folder()) as folder:
        line = _read(folder)
        if line is None:
            with folder.lock("key.lock"):
                line = _read(folder) or _make(folder)
    return line


def _read(folder: Folder) -> str | None:
    public = folder.read(_PUBLIC)
    if public is None:
        return None
    words = public.decode("ascii", "replace").split()
    if len(words) < 2 or words[0] != "ssh-ed25519":
        raise StateError(f"{folder.path / _PUBLIC} is not an Ed25519 public key", "Remove both files of that pair")
    return " ".join(words[:2])


def _make(folder: Folder) -> str:
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    content = folder.read(_PRIVATE)
    if content is None:
        key = Ed25519PrivateKey.generate()
        folder.write(
            _PRIVATE,
            key.private_bytes(
                serialization.Encoding.PEM, serialization.PrivateFormat.OpenSSH, serialization.NoEncryption()
            ),
        )
        public = key.public_key()
    else:  # an earlier run ended between the two writes
        try:
            loaded = serialization.load_ssh_private_key(content, None)
        except (ValueError, TypeError) as error:
            raise StateError(f"{folder.path / _PRIVATE} is not a private key of ours", "Remove it") from error
        if not isinstance(loaded, Ed25519PrivateKey):
            raise StateError(f"{folder.path / _PRIVATE} is not an Ed25519 private key", "Remove it")
        public = loaded.public_key()
    line = public.public_bytes(serialization.Encoding.OpenSSH, serialization.PublicFormat.OpenSSH)
    folder.write(_PUBLIC, line + b" ssm-ssh\n")
    return line.decode("ascii")
