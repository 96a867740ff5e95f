"""The host keys of one instance: made on this machine, kept where its sshd would keep them."""

from __future__ import annotations

import os
from pathlib import Path

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

# ssh-keygen -A makes these; RSA takes as long as everything else in a lab together, so it is made on demand only.
KINDS = ("ed25519", "ecdsa")


def _generate(kind: str) -> ed25519.Ed25519PrivateKey | ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey:
    if kind == "ed25519":
        return ed25519.Ed25519PrivateKey.generate()
    if kind == "ecdsa":
        return ec.generate_private_key(ec.SECP256R1())
    return rsa.generate_private_key(65537, 2048)


def make_host_keys(folder: Path, comment: str, owner: tuple[int, int], kinds: tuple[str, ...] = KINDS) -> list[str]:
    """Write `ssh_host_KIND_key` and `.pub` for each kind into `folder`; return the public lines, "type base64".

    Kinds are "ed25519", "ecdsa" and "rsa". The private files are 0600 and belong to `owner` (uid, gid), under whom
    sshd runs. Keys that are there already are replaced.
    """
    lines = []
    for kind in kinds:
        key = _generate(kind)
        private = key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.OpenSSH, serialization.NoEncryption()
        )
        line = key.public_key().public_bytes(serialization.Encoding.OpenSSH, serialization.PublicFormat.OpenSSH)
        path = folder / f"ssh_host_{kind}_key"
        path.unlink(missing_ok=True)
        path.touch(mode=0o600)
        path.write_bytes(private)
        os.chown(path, *owner)
        public = path.with_name(path.name + ".pub")
        public.write_text(f"{line.decode()} {comment}\n")
        public.chmod(0o644)
        lines.append(line.decode())
    return lines
