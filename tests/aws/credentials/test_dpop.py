from __future__ import annotations

import base64
import json

import pytest
from botocore.credentials import _build_dpop_header
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from ssm_ssh.aws.credentials import dpop
from ssm_ssh.errors import CredentialsError


def decoded(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


def checked(header: str) -> dict[str, object]:
    """Return the payload of a proof whose signature is right."""
    head, body, signature = header.split(".")
    jwk, raw = json.loads(decoded(head))["jwk"], decoded(signature)
    x, y = (int.from_bytes(decoded(jwk[name]), "big") for name in ("x", "y"))
    pair = encode_dss_signature(int.from_bytes(raw[:32], "big"), int.from_bytes(raw[32:], "big"))
    public = ec.EllipticCurvePublicNumbers(x, y, ec.SECP256R1()).public_key()
    public.verify(pair, f"{head}.{body}".encode(), ec.ECDSA(SHA256()))
    payload: dict[str, object] = json.loads(decoded(body))
    return payload


def test_a_proof() -> None:
    payload = checked(dpop.proof(dpop.new_key(), "https://h/v1/token", now=5.9, token_id="once"))
    assert payload == {"htm": "POST", "htu": "https://h/v1/token", "iat": 5, "jti": "once"}


def test_botocore_makes_the_same_with_our_key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("botocore.credentials.EC", dpop.CrtEc)
    key = dpop.new_key()
    theirs = _build_dpop_header(key, "https://h/v1/token", uid="once", ts=5)
    ours = dpop.proof(key, "https://h/v1/token", now=5.0, token_id="once")
    assert theirs.rpartition(".")[0] == ours.rpartition(".")[0]
    assert checked(theirs) == checked(ours)


def test_both_forms_in_which_botocore_takes_a_signature_apart() -> None:
    signature = encode_dss_signature(1, 2)
    assert dpop.CrtEc.decode_der_signature(signature) == (bytes(31) + b"\1", bytes(31) + b"\2")
    assert dpop.CrtEc.decode_der_signature_to_padded_pair(signature, pad_to=32) == bytes(31) + b"\1" + bytes(31) + b"\2"


def test_a_key_survives_the_cache() -> None:
    key = dpop.new_key()
    assert key.pem().startswith("-----BEGIN EC PRIVATE KEY-----\n")
    assert dpop.load_key(key.pem()).get_public_coords() == key.get_public_coords()


def test_the_forms_in_which_other_programs_keep_a_key() -> None:
    private = ec.generate_private_key(ec.SECP256R1())
    coordinates = dpop.DpopKey(private).get_public_coords()
    pkcs8 = private.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())
    # SEC1 without the curve and the public key, which RFC 5915 leaves optional.
    number = private.private_numbers().private_value.to_bytes(32, "big")
    bare = b"\x30\x25\x02\x01\x01\x04\x20" + number
    for der in (pkcs8, bare):
        assert dpop.CrtEc.new_key_from_der_data(der).get_public_coords() == coordinates


@pytest.mark.parametrize("pem", ["", "x", "-----BEGIN EC PRIVATE KEY-----\nAAAA\n-----END EC PRIVATE KEY-----\n"])
def test_what_is_no_key(pem: str) -> None:
    with pytest.raises(CredentialsError):
        dpop.load_key(pem)


def test_a_key_on_another_curve() -> None:
    other = ec.generate_private_key(ec.SECP384R1())
    with pytest.raises(ValueError, match="P-256"):
        dpop.CrtEc.new_key_from_der_data(other.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption()))
