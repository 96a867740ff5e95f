"""The data key of a session that is encrypted by KMS: which key may be used, and AES-GCM by cryptography.

The instance names the key, so it must not be able to have just any key used with the caller's rights: the key belongs
to the session's own partition, region and account, or the setting `kms_key` names it. The official agent never asks for
encryption in a port session; only a key that the setting names is used there.
"""

from __future__ import annotations

import time

from ssm_ssh.channel.encryption import DATA_KEY, DataKey, encryption_context, halves
from ssm_ssh.errors import EncryptionRefused, ProtocolError
from ssm_ssh.startup import TYPE_CHECKING
from ssm_ssh.text import printable

if TYPE_CHECKING:
    from ssm_ssh.aws.api.client import Api
    from ssm_ssh.channel.events import KeyRequest

# Seconds for both calls; the agent gives up its handshake after 15.
_LIMIT = 12.0
_SHOWN = 160


class _AesGcm:
    """AES-GCM with one key (channel.encryption.Cipher)."""

    def __init__(self, key: bytes) -> None:
        from cryptography.hazmat.primitives.ciphers.aead import AESGCM

        self._cipher = AESGCM(key)

    def seal(self, nonce: bytes, data: bytes) -> bytes:
        """Return `data` encrypted, with its tag."""
        return self._cipher.encrypt(nonce, data, None)

    def open(self, nonce: bytes, data: bytes) -> bytes:
        """Return what was encrypted. Raises ProtocolError."""
        from cryptography.exceptions import InvalidTag

        try:
            return self._cipher.decrypt(nonce, data, None)
        except InvalidTag:
            raise ProtocolError("The agent sent something that the session's key does not decrypt") from None


def data_key(api: Api, session_id: str, target_id: str, request: KeyRequest, *, kms_key: str, port: bool) -> DataKey:
    """Return a data key for the session. Blocks. Raises EncryptionRefused, and what Api.call raises.

    `kms_key`: the setting; `port`: the session carries a TCP connection.
    """
    import random

    from ssm_ssh.aws.services.kms import generate_data_key

    deadline = time.monotonic() + _LIMIT
    _check(api, target_id, request.key_id, kms_key=kms_key, port=port, deadline=deadline)
    context = encryption_context(session_id, target_id, request.challenge)
    blob, key = generate_data_key(api, request.key_id, DATA_KEY, context, deadline=deadline)
    incoming, outgoing = halves(key)
    return DataKey(blob, _AesGcm(incoming), _AesGcm(outgoing), random.SystemRandom().getrandbits)


def _check(api: Api, target_id: str, key_id: str, *, kms_key: str, port: bool, deadline: float) -> None:
    if kms_key and key_id == kms_key:
        return
    shown = printable(key_id, _SHOWN)
    if port:
        raise EncryptionRefused(
            f"{target_id} asks for kms:GenerateDataKey with {shown}, which SSM Agent never does in a port session",
            "If the key is yours, name it: SSM_SSH_KMS_KEY, or kms_key in the settings",
        )
    if not key_id.startswith("arn:"):
        return  # KMS itself looks for such a name in the caller's account and region only
    parts = key_id.split(":")
    from ssm_ssh.aws.config.endpoints import partition

    region = api.settings.region
    own = parts[1:4] == [partition(region).name, "kms", region]
    if own:
        from ssm_ssh.aws.services.kms import caller_account

        own = parts[4:5] == [caller_account(api, deadline=deadline)]
    if not own:
        raise EncryptionRefused(
            f"{target_id} asks for kms:GenerateDataKey with {shown}, which is no key of the session's account "
            f"in {region}",
            "If the key is the right one, name it: SSM_SSH_KMS_KEY, or kms_key in the settings",
        )
