"""An agent's calls of AWS's APIs with its instance's role: KMS, the Parameter Store and CloudWatch Logs."""

from __future__ import annotations

import asyncio
import base64
import json
import ssl
from typing import Any
from urllib.parse import urlsplit

from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from ssm_ssh.lab.agent.service import AgentCredentials, exchange

_TARGETS = {"kms": "TrentService", "ssm": "AmazonSSM", "logs": "Logs_20140328"}
_TIMEOUT = 15.0


class ApiRefused(Exception):
    """A call failed; the text is what the official agent's SDK makes of it."""


class AgentApi:
    """The API at `url` (https://HOST:PORT), called as one instance's agent calls it."""

    def __init__(
        self, url: str, *, region: str, credentials: AgentCredentials, tls: ssl.SSLContext | None = None
    ) -> None:
        parts = urlsplit(url)
        self._url, self._netloc = url, parts.netloc
        self._host, self._port = parts.hostname or "127.0.0.1", parts.port or 443
        self._region = region
        self._credentials = Credentials(*credentials) if credentials.token else Credentials(*credentials[:2])
        self._tls = tls if parts.scheme == "https" else None

    async def decrypt(self, sealed: bytes, context: dict[str, str], key_id: str) -> bytes:
        """kms:Decrypt. Raises ApiRefused."""
        blob = base64.b64encode(sealed).decode()
        answer = await self._call(
            "kms", "Decrypt", {"CiphertextBlob": blob, "EncryptionContext": context, "KeyId": key_id}
        )
        return base64.b64decode(answer["Plaintext"])

    async def parameters(self, names: list[str]) -> tuple[dict[str, str], list[str]]:
        """ssm:GetParameters: return the values by name, and the names that there are not. Raises ApiRefused."""
        answer = await self._call("ssm", "GetParameters", {"Names": names})
        values = {entry["Name"]: entry["Value"] for entry in answer.get("Parameters", [])}
        return values, list(answer.get("InvalidParameters", []))

    async def log_group_is_encrypted(self, name: str) -> bool:
        """logs:DescribeLogGroups: whether the group exists with a key; not, where the call is refused."""
        try:
            answer = await self._call("logs", "DescribeLogGroups", {"logGroupNamePrefix": name})
        except ApiRefused:
            return False
        return any(group["logGroupName"] == name and "kmsKeyId" in group for group in answer.get("logGroups", []))

    async def _call(self, service: str, operation: str, values: dict[str, Any]) -> dict[str, Any]:
        body = json.dumps(values).encode()
        headers = {
            "Host": self._netloc,
            "Content-Type": "application/x-amz-json-1.1",
            "X-Amz-Target": f"{_TARGETS[service]}.{operation}",
        }
        request = AWSRequest(method="POST", url=f"{self._url}/", data=body, headers=headers)
        SigV4Auth(self._credentials, service, self._region).add_auth(request)
        whole = {**dict(request.headers.items()), "Content-Length": str(len(body)), "Connection": "close"}
        head = "POST / HTTP/1.1\r\n" + "".join(f"{name}: {value}\r\n" for name, value in whole.items()) + "\r\n"
        try:
            status, text = await asyncio.wait_for(
                exchange(self._host, self._port, self._tls, head.encode() + body), _TIMEOUT
            )
            answer = json.loads(text or "{}")
        except (OSError, ValueError, asyncio.TimeoutError, asyncio.IncompleteReadError) as error:
            raise ApiRefused(f"RequestError: send request failed\ncaused by: {error}") from error
        if status != 200:
            code = str(answer.get("__type", "UnknownError")).rpartition("#")[2]
            message = answer.get("message") or answer.get("Message") or ""
            raise ApiRefused(f"{code}: {message}\n\tstatus code: {status}, request id: ")
        return dict(answer)
