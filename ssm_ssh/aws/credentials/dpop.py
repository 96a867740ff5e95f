"""Proof of possession of a private key (DPoP), which sign-in requires with each request for a token.

https://www.rfc-editor.org/rfc/rfc9449. botocore makes it with awscrt, which is large and which an installed botocore
loads at every start. Key pair and signature are plain ECDSA on P-256, for which `cryptography` suffices.
"""

from __future__ import annotations

import base64
import json

from ssm_ssh.aws.credentials.base64url import unpadded
from ssm_ssh.errors import CredentialsError
from ssm_ssh.startup import TYPE_CHECKING

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey

_SIZE = 32
# A SEC1 key up to its private number: version 1, then 32 bytes. The curve after it is optional.
_SEC1_START = b"\x02\x01\x01\x04\x20"


class DpopKey:
    """A private key on P-256, with the methods of awscrt's keys that botocore calls."""

    def __init__(self, key: EllipticCurvePrivateKey) -> None:
        self._key = key

    def __repr__(self) -> str:
        return "DpopKey()"

    def get_public_coords(self) -> tuple[bytes, bytes]:
        """Return x and y, 32 bytes each."""
        numbers = self._key.public_key().public_numbers()
        return numbers.x.to_bytes(_SIZE, "big"), numbers.y.to_bytes(_SIZE, "big")

    def sign(self, digest: bytes) -> bytes:
        """Return the signature of a SHA-256 `digest`, in DER."""
        from cryptography.hazmat.primitives.asymmetric.ec import ECDSA
        from cryptography.hazmat.primitives.asymmetric.utils import Prehashed
        from cryptography.hazmat.primitives.hashes import SHA256

        return self._key.sign(digest, ECDSA(Prehashed(SHA256())))

    def pem(self) -> str:
        """Return the key in the format of the cache: SEC1 in PEM."""
        from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

        return self._key.private_bytes(Encoding.PEM, PrivateFormat.TraditionalOpenSSL, NoEncryption()).decode("ascii")


class CrtEc:
    """The part of `awscrt.crypto.EC` that botocore uses."""

    @staticmethod
    def new_key_from_der_data(der: bytes) -> DpopKey:
        """Return the key in `der`, SEC1 or PKCS #8. Raises ValueError for anything else."""
        from cryptography.exceptions import UnsupportedAlgorithm
        from cryptography.hazmat.primitives.asymmetric import ec
        from cryptography.hazmat.primitives.serialization import load_der_private_key

        try:
            key = load_der_private_key(der, None)
        except (ValueError, TypeError, UnsupportedAlgorithm):
            at = der.find(_SEC1_START) + len(_SEC1_START)
            if not 0 < at - len(_SEC1_START) <= 4 or len(der) < at + _SIZE:
                raise ValueError("not a private key") from None
            key = ec.derive_private_key(int.from_bytes(der[at : at + _SIZE], "big"), ec.SECP256R1())
        if not isinstance(key, ec.EllipticCurvePrivateKey) or key.curve.name != "secp256r1":
            raise ValueError("not a private key on P-256")
        return DpopKey(key)

    @staticmethod
    def decode_der_signature(signature: bytes) -> tuple[bytes, bytes]:
        """Return r and s of a DER signature; botocore 1.41 joins them without padding."""
        pair = CrtEc.decode_der_signature_to_padded_pair(signature)
        return pair[:_SIZE], pair[_SIZE:]

    @staticmethod
    def decode_der_signature_to_padded_pair(signature: bytes, pad_to: int = _SIZE) -> bytes:
        """Return r and s of a DER signature, `pad_to` bytes each."""
        from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature

        r, s = decode_dss_signature(signature)
        return r.to_bytes(pad_to, "big") + s.to_bytes(pad_to, "big")


def new_key() -> DpopKey:
    """Return a new key."""
    from cryptography.hazmat.primitives.asymmetric import ec

    return DpopKey(ec.generate_private_key(ec.SECP256R1()))


def load_key(pem: str) -> DpopKey:
    """Return the key in `pem`. Raises CredentialsError if it is not a key."""
    lines = [line for line in pem.splitlines() if not line.startswith("-----")]
    try:
        return CrtEc.new_key_from_der_data(base64.b64decode("".join(lines)))
    except ValueError:
        raise CredentialsError("the key in the sign-in's cache is unusable", "Log in again") from None


def proof(key: DpopKey, url: str, *, now: float, token_id: str) -> str:
    """Return the DPoP header for a POST to `url` at `now` (seconds since the epoch); `token_id` is used only once."""
    import hashlib

    x, y = key.get_public_coords()
    jwk = {"kty": "EC", "x": unpadded(x), "y": unpadded(y), "crv": "P-256"}
    header = {"typ": "dpop+jwt", "alg": "ES256", "jwk": jwk}
    payload = {"htm": "POST", "htu": url, "iat": int(now), "jti": token_id}
    signed = ".".join(unpadded(json.dumps(part, separators=(",", ":")).encode()) for part in (header, payload))
    signature = key.sign(hashlib.sha256(signed.encode()).digest())
    return f"{signed}.{unpadded(CrtEc.decode_der_signature_to_padded_pair(signature))}"
