"""Encryption of a session's data with a KMS data key, and the challenge that proves it.

After amazon-ssm-agent, agent/session/crypto (blockcipher.go, nonce.go).
"""

from __future__ import annotations

import secrets

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

KEY_SIZE = 64
_NONCE = 12


class Cipher:
    """The agent's side of the encryption under the `key` of 64 bytes.

    The first half of the key encrypts what the agent sends, the second half decrypts what the client sends. Nonces
    count up, little-endian, from a random number.
    """

    def __init__(self, key: bytes) -> None:
        if len(key) != KEY_SIZE:
            raise ValueError(f"a data key has {KEY_SIZE} bytes")
        self._encryption, self._decryption = AESGCM(key[: KEY_SIZE // 2]), AESGCM(key[KEY_SIZE // 2 :])
        self._nonce = int.from_bytes(secrets.token_bytes(_NONCE), "little")

    def encrypt(self, data: bytes) -> bytes:
        """Return nonce and ciphertext."""
        nonce = self._nonce.to_bytes(_NONCE, "little")
        self._nonce = (self._nonce + 1) % (1 << 8 * _NONCE)
        return nonce + self._encryption.encrypt(nonce, data, None)

    def decrypt(self, data: bytes) -> bytes:
        """Return the plaintext of nonce and ciphertext. Raises ValueError."""
        try:
            return self._decryption.decrypt(data[:_NONCE], data[_NONCE:], None)
        except (InvalidTag, ValueError):
            raise ValueError("Error decrypting encrypted text, cipher: message authentication failed") from None
