"""The types of ssm-ssh's own key pairs: their files, and how they are made.

RSA saves a round trip in each login. If ssh can read a public key beforehand, it first asks sshd whether that key would
be accepted, and signs afterwards. It cannot read the public half of an RSA key in PEM before it needs the private one,
so with no `.pub` file beside it, ssh signs at once (sshconnect2.c, "Trying private key"). Ed25519 keys have no such
format in older versions of ssh.

2048 bits, since EC2 Instance Connect takes only 2048 and 4096, and a pair serves for a day:
https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/ec2-instance-connect-methods.html
"""

from __future__ import annotations

RSA, ED25519 = "rsa", "ed25519"
TYPES = (RSA, ED25519)
_KINDS = {RSA: "ssh-rsa", ED25519: "ssh-ed25519"}
# Not `.pub`, where ssh would read it.
_PUBLIC = {RSA: ".public", ED25519: ".pub"}
_BITS = 2048


def slots(key_type: str) -> tuple[str, str]:
    """Return the two names of private keys."""
    return f"id_{key_type}", f"id_{key_type}_2"


def public_file(key_type: str, slot: str) -> str:
    """Return the name of the public half of `slot`."""
    return slot + _PUBLIC[key_type]


def is_public_key(key_type: str, words: list[str]) -> bool:
    """Return whether `words`, of a public key file, begin with a key of that type."""
    return len(words) >= 2 and words[0] == _KINDS[key_type]


def generate(key_type: str) -> bytes:
    """Return a new private key in the format in which ssh is to find it."""
    from cryptography.hazmat.primitives import serialization

    if key_type == ED25519:
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

        made, form = Ed25519PrivateKey.generate(), serialization.PrivateFormat.OpenSSH
        return made.private_bytes(serialization.Encoding.PEM, form, serialization.NoEncryption())
    from cryptography.hazmat.primitives.asymmetric import rsa

    # PKCS#1, which every program reads that reads RSA keys at all.
    return rsa.generate_private_key(65537, _BITS).private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.TraditionalOpenSSL, serialization.NoEncryption()
    )


def public_line(key_type: str, private: bytes) -> str:
    """Return the public half (`TYPE BASE64`) of a private key. Raises ValueError for anything else, or another type."""
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives import serialization

    load = serialization.load_ssh_private_key if key_type == ED25519 else serialization.load_pem_private_key
    try:
        public = load(private, None).public_key()
    except (TypeError, UnsupportedAlgorithm) as error:  # it has a passphrase
        raise ValueError("not a private key of ssm-ssh") from error
    line = public.public_bytes(serialization.Encoding.OpenSSH, serialization.PublicFormat.OpenSSH).decode("ascii")
    if not is_public_key(key_type, line.split()):
        raise ValueError(f"not a key of type {key_type}")
    return line
