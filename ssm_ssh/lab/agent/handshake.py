"""The agent's side of a session's handshake: versions, the session's type, and encryption.

After amazon-ssm-agent, agent/session/datachannel/datachannel.go (PerformHandshake) and agent/session/crypto.
"""

from __future__ import annotations

import asyncio
import base64
import json
import secrets
import time
from collections.abc import Callable
from typing import Any, NamedTuple

from ssm_ssh.lab.agent.api import AgentApi, ApiRefused
from ssm_ssh.lab.agent.cipher import KEY_SIZE, Cipher
from ssm_ssh.lab.agent.versions import at_least
from ssm_ssh.lab.wire import message as am

_CHALLENGE = 64
_RANDOM = 16
ENCRYPTED = "This session is encrypted using AWS KMS."
OLD_CLIENT = (
    "Please update session manager plugin version (minimum required version 1.2.312.0) "
    "for fully support of separate StdOut/StdErr output.\r\n"
)
# The newest plugin that does not know separate outputs.
_OLD_CLIENT_VERSION = "1.2.295"
TIMED_OUT = "Handshake timed out. Please ensure that you have the latest version of the session manager plugin."


class HandshakeFailed(Exception):
    """The handshake failed; the text is the official agent's."""


class Encryption(NamedTuple):
    """What the encryption of one session needs. `key_id` is what the preferences name, as a client is told it."""

    key_id: str
    api: AgentApi
    session_id: str
    instance_id: str
    require_challenge: bool = False


class Handshake:
    """The handshake of one session. `send(payload_type, payload)` sends a stream message; times in seconds."""

    def __init__(
        self, version: str, send: Callable[[int, bytes], object], *, timeout: float, ready_delay: float = 0.0
    ) -> None:
        self.client_version = ""
        self.complete = False  # or skipped: stream data counts
        self.cipher: Cipher | None = None  # once the keys are agreed
        self._version = version
        self._send = send
        self._timeout = timeout
        self._ready_delay = ready_delay
        self._encryption: Encryption | None = None
        self._random = ""
        self._challenge = b""
        loop = asyncio.get_running_loop()
        self._response: asyncio.Future[str] = loop.create_future()
        self._confirmed: asyncio.Future[str] = loop.create_future()

    @property
    def answered(self) -> bool:
        """True once the client has answered the request."""
        return self._response.done()

    def skip(self) -> None:
        """Do without a handshake."""
        self.complete = True

    async def perform(
        self, session_type: str, properties: object, *, encryption: Encryption | None = None, separate: bool = False
    ) -> None:
        """Send the request, wait for the response and send the completion. Raises HandshakeFailed."""
        started = time.monotonic_ns()
        self._encryption = encryption
        parameters = {"SessionType": session_type, "Properties": properties}
        actions: list[dict[str, Any]] = [{"ActionType": "SessionType", "ActionParameters": parameters}]
        if encryption is not None:
            self._random = base64.b64encode(secrets.token_bytes(_RANDOM)).decode()
            key = {"KMSKeyId": encryption.key_id, "Challenge": self._random}
            actions.append({"ActionType": "KMSEncryption", "ActionParameters": key})
        self._tell(am.P_HANDSHAKE_REQUEST, {"AgentVersion": self._version, "RequestedClientActions": actions})
        await self._wait(self._response, TIMED_OUT)
        if self.cipher is not None:
            self._challenge = secrets.token_bytes(_CHALLENGE)
            sealed = base64.b64encode(self.cipher.encrypt(self._challenge)).decode()
            self._tell(am.P_ENC_CHALLENGE_REQUEST, {"Challenge": sealed})
            await self._wait(self._confirmed, "Timed out waiting for encryption challenge.")
        old = separate and self.client_version and not at_least(self.client_version, _OLD_CLIENT_VERSION, above=True)
        message = (OLD_CLIENT if old else "") + (ENCRYPTED if self.cipher is not None else "")
        elapsed = time.monotonic_ns() - started
        self._tell(am.P_HANDSHAKE_COMPLETE, {"HandshakeTimeToComplete": elapsed, "CustomerMessage": message})
        if self._ready_delay:
            await asyncio.sleep(self._ready_delay)
        self.complete = True

    def _tell(self, payload_type: int, values: dict[str, Any]) -> None:
        self._send(payload_type, json.dumps(values, separators=(",", ":")).encode())

    async def _wait(self, answer: asyncio.Future[str], late: str) -> None:
        try:
            error = await asyncio.wait_for(asyncio.shield(answer), self._timeout)
        except asyncio.TimeoutError:
            raise HandshakeFailed(late) from None
        if error:
            raise HandshakeFailed(error)

    # From the data channel, within its read loop

    async def on_response(self, payload: bytes) -> bool:
        """Take a HandshakeResponse; return whether the session goes on. Raises ValueError for what is unreadable."""
        if self._response.done():
            # A second response is never read: the official agent's reader blocks forever.
            await asyncio.Event().wait()
        try:
            response = json.loads(payload)
            actions = list(response.get("ProcessedClientActions") or [])
            self.client_version = str(response.get("ClientVersion"))
            error = ""
            for action in actions:
                # As in the official agent, the last error counts.
                error = await self._processed(action) or error
        except (AttributeError, TypeError, KeyError) as wrong:
            raise ValueError(str(wrong)) from wrong
        self._response.set_result(error)
        return not error

    async def _processed(self, action: dict[str, Any]) -> str:
        kind, status = action.get("ActionType"), action.get("ActionStatus")
        if status != 1:
            return f"{kind} failed on client with status {status} error: {action.get('Error')}"
        if kind == "KMSEncryption" and self._encryption is not None:
            return await self._agree(self._encryption, action.get("ActionResult") or {})
        return ""

    async def _agree(self, encryption: Encryption, result: dict[str, Any]) -> str:
        acknowledged = bool(result.get("ChallengeAcknowledgement"))
        if encryption.require_challenge and not acknowledged:
            return "client does not support required encryption context random challenge"
        context = {"aws:ssm:SessionId": encryption.session_id, "aws:ssm:TargetId": encryption.instance_id}
        if acknowledged:
            context["aws:ssm:RandomChallenge"] = self._random
        try:
            sealed = base64.b64decode(result.get("KMSCipherTextKey") or "", validate=True)
            key = await encryption.api.decrypt(sealed, context, encryption.key_id)
        except ApiRefused as refused:
            return f"Fetching data key failed: Unable to retrieve data key, Error when decrypting data key {refused}"
        if len(key) != KEY_SIZE:
            return f"Fetching data key failed: a data key of {len(key)} bytes"
        self.cipher = Cipher(key)
        return ""

    def on_challenge(self, payload: bytes) -> None:
        """Take an EncChallengeResponse. Raises ValueError for a wrong one, which the official agent waits on."""
        if self.cipher is None:
            raise ValueError("no keys are agreed")
        values = json.loads(payload)
        sealed = base64.b64decode(values["Challenge"], validate=True) if isinstance(values, dict) else b""
        if self.cipher.decrypt(sealed) != self._challenge:
            raise ValueError("Encryption challenge does not match!")
        if not self._confirmed.done():
            self._confirmed.set_result("")
