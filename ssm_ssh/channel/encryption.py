"""The encryption of a session by a KMS data key, which both ends hold: AES-GCM with the nonce in front.

The first half of the data key encrypts what the agent sends, the second half what the client sends
(amazon-ssm-agent, agent/session/crypto/blockcipher.go; plugin, src/encryption/encrypter.go). The algorithm itself comes
in, because this package loads no cryptography.
"""

from __future__ import annotations

import json
from binascii import a2b_base64, b2a_base64

from ssm_ssh.channel.events import KeyRequest
from ssm_ssh.channel.limits import KMS_CHALLENGE, KMS_KEY_NAME
from ssm_ssh.errors import ProtocolError
from ssm_ssh.startup import TYPE_CHECKING, NamedTuple, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable

DATA_KEY = 64
"""Bytes of the data key: two AES-256 keys."""
NONCE = 12
_TAG = 16


class Cipher(Protocol):
    """AES-GCM with one key, without associated data."""

    def seal(self, nonce: bytes, data: bytes) -> bytes:
        """Return `data` encrypted, with its tag."""

    def open(self, nonce: bytes, data: bytes) -> bytes:
        """Return what `seal` was given. Raises ProtocolError unless the tag is right."""


class DataKey(NamedTuple):
    """A data key: `blob` is its encrypted form for the agent, the ciphers have its halves.

    `random_bits(n)` has to be fit for nonces: SystemRandom().getrandbits.
    """

    blob: bytes
    incoming: Cipher
    outgoing: Cipher
    random_bits: Callable[[int], int]


class Encryption:
    """Encrypts and decrypts the payloads of one session."""

    __slots__ = ("_incoming", "_nonce", "_outgoing")

    def __init__(self, incoming: Cipher, outgoing: Cipher, random_bits: Callable[[int], int]) -> None:
        """`random_bits` has to be fit for nonces, of which each is used once: SystemRandom().getrandbits."""
        self._incoming = incoming
        self._outgoing = outgoing
        self._nonce = random_bits

    def encrypt(self, payload: bytes) -> bytes:
        """Return `payload` as it goes to the agent, 28 bytes longer."""
        nonce = self._nonce(8 * NONCE).to_bytes(NONCE, "big")
        return nonce + self._outgoing.seal(nonce, payload)

    def decrypt(self, payload: bytes) -> bytes:
        """Return what the agent has encrypted. Raises ProtocolError for anything else."""
        if len(payload) < NONCE + _TAG:
            raise ProtocolError("The agent sent something that is not encrypted in an encrypted session")
        return self._incoming.open(payload[:NONCE], payload[NONCE:])

    def answer(self, challenge: bytes) -> bytes:
        """Return the EncChallengeResponse to an EncChallengeRequest's payload. Raises ProtocolError."""
        try:
            encrypted = a2b_base64(json.loads(challenge)["Challenge"])
        except (ValueError, KeyError, TypeError, RecursionError):
            raise ProtocolError("The agent's encryption challenge cannot be read") from None
        again = _base64(self.encrypt(self.decrypt(encrypted)))
        return json.dumps({"Challenge": again}, separators=(",", ":")).encode()


def halves(key: bytes) -> tuple[bytes, bytes]:
    """Return the keys for what comes in and for what goes out. Raises ProtocolError for a data key of another size."""
    if len(key) != DATA_KEY:
        raise ProtocolError(f"KMS made a data key of {len(key)} bytes, not {DATA_KEY}")
    return key[: DATA_KEY // 2], key[DATA_KEY // 2 :]


def encryption_context(session_id: str, target_id: str, challenge: str) -> dict[str, str]:
    """Return the encryption context of a session's data key, which the agent repeats to decrypt it."""
    context = {"aws:ssm:SessionId": session_id, "aws:ssm:TargetId": target_id}
    return {**context, "aws:ssm:RandomChallenge": challenge} if challenge else context


def key_request(parameters: object) -> KeyRequest:
    """Return what the parameters of a KMSEncryption action ask for. Raises ProtocolError."""
    fields = parameters if isinstance(parameters, dict) else {}
    key_id, challenge = fields.get("KMSKeyId"), fields.get("Challenge") or ""
    usable = isinstance(key_id, str) and 0 < len(key_id) <= KMS_KEY_NAME
    if not usable or not isinstance(challenge, str) or len(challenge) > KMS_CHALLENGE:
        raise ProtocolError("The agent's request for KMS encryption names no usable key")
    assert isinstance(key_id, str)
    return KeyRequest(key_id, challenge)


def key_result(blob: bytes, challenge: str) -> dict[str, object]:
    """Return the ActionResult of a KMSEncryption action that succeeded."""
    result: dict[str, object] = {"KMSCipherTextKey": _base64(blob)}
    if challenge:
        result["ChallengeAcknowledgement"] = True
    return result


def _base64(data: bytes) -> str:
    return b2a_base64(data, newline=False).decode()
