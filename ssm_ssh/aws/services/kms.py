"""KMS and STS, as far as the encryption of a session needs them: a data key, and the caller's account.

https://docs.aws.amazon.com/kms/latest/APIReference/API_GenerateDataKey.html
https://docs.aws.amazon.com/STS/latest/APIReference/API_GetCallerIdentity.html
"""

from __future__ import annotations

from binascii import Error, a2b_base64

from ssm_ssh.errors import ProtocolError
from ssm_ssh.startup import TYPE_CHECKING
from ssm_ssh.values import object_member, text_member

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ssm_ssh.aws.api.client import Api


def generate_data_key(
    api: Api, key_id: str, size: int, context: Mapping[str, str], *, deadline: float | None = None
) -> tuple[bytes, bytes]:
    """Return a data key of `size` bytes: encrypted by the KMS key, and plain. Raises what Api.call raises."""
    payload = {"KeyId": key_id, "NumberOfBytes": size, "EncryptionContext": dict(context)}
    answer = api.call("kms", "GenerateDataKey", payload, target=key_id, deadline=deadline)
    try:
        blob, plain = (a2b_base64(text_member(answer, name)) for name in ("CiphertextBlob", "Plaintext"))
    except (Error, ValueError):
        blob = plain = b""
    if not blob or not plain:
        raise ProtocolError("GenerateDataKey's answer lacks CiphertextBlob or Plaintext", "Check the endpoint URL")
    return blob, plain


def caller_account(api: Api, *, deadline: float | None = None) -> str:
    """Return the id of the account that the credentials belong to. Raises what Api.call raises."""
    answer = api.call("sts", "GetCallerIdentity", {}, deadline=deadline)
    account = text_member(object_member(answer, "GetCallerIdentityResult") or answer, "Account")
    if not account:
        raise ProtocolError("GetCallerIdentity's answer names no account", "Check the endpoint URL")
    return account
