"""STS and KMS: the caller's identity, and the data keys of an encrypted session."""

from __future__ import annotations

import base64
import json
import secrets
import uuid
from typing import Any

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from ssm_ssh.lab.api.context import ApiError, Operation
from ssm_ssh.lab.identity.identities import Identity
from ssm_ssh.lab.state import LabState

_NONCE = 12
_SIZES = {"AES_256": 32, "AES_128": 16}


class Account:
    """The operations of `sts` and `kms`; the lab has one KMS key, with the alias `alias/lab`."""

    alias = "alias/lab"

    def __init__(self, state: LabState) -> None:
        self._state = state
        self._master = AESGCM(secrets.token_bytes(32))
        self._key_id = str(uuid.uuid4())
        self.key_arn = f"arn:aws:kms:{state.region}:{state.account}:key/{self._key_id}"

    def sts_operations(self) -> dict[str, Operation]:
        """Return STS's operations by name."""
        return {"GetCallerIdentity": Operation(self.get_caller_identity, free=True)}

    def kms_operations(self) -> dict[str, Operation]:
        """Return KMS's operations by name."""
        return {
            "GenerateDataKey": Operation(self.generate_data_key, lambda _: self.key_arn),
            "Decrypt": Operation(self.decrypt, lambda _: self.key_arn),
        }

    async def get_caller_identity(self, caller: Identity, _: dict[str, Any]) -> dict[str, Any]:
        """GetCallerIdentity."""
        return {"UserId": caller.user_id, "Account": self._state.account, "Arn": caller.arn}

    def _check_key(self, name: str) -> None:
        prefix = self.key_arn.rpartition("key/")[0]
        if name not in (self._key_id, self.key_arn, self.alias, prefix + self.alias):
            raise ApiError("NotFoundException", f"Key '{name}' does not exist")

    async def generate_data_key(self, _: Identity, values: dict[str, Any]) -> dict[str, Any]:
        """GenerateDataKey: bound to its encryption context."""
        self._check_key(values["KeyId"])
        if ("KeySpec" in values) == ("NumberOfBytes" in values):
            raise ApiError("ValidationException", "Please specify either number of bytes or key spec.")
        size = values.get("NumberOfBytes") or _SIZES[values["KeySpec"]]
        plain, nonce = secrets.token_bytes(size), secrets.token_bytes(_NONCE)
        sealed = nonce + self._master.encrypt(nonce, plain, _context(values))
        return {"CiphertextBlob": sealed, "Plaintext": plain, "KeyId": self.key_arn}

    async def decrypt(self, _: Identity, values: dict[str, Any]) -> dict[str, Any]:
        """Decrypt: only under the context that it was encrypted with."""
        if "KeyId" in values:
            self._check_key(values["KeyId"])
        try:
            sealed = base64.b64decode(values["CiphertextBlob"], validate=True)
            plain = self._master.decrypt(sealed[:_NONCE], sealed[_NONCE:], _context(values))
        except (ValueError, InvalidTag):
            raise ApiError("InvalidCiphertextException", "") from None
        return {"Plaintext": plain, "KeyId": self.key_arn, "EncryptionAlgorithm": "SYMMETRIC_DEFAULT"}


def _context(values: dict[str, Any]) -> bytes:
    return json.dumps(values.get("EncryptionContext", {}), sort_keys=True).encode()
