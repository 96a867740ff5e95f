"""The client's side of a session's one handshake: what was asked, what was answered, and what still waits for a key."""

from __future__ import annotations

from ssm_ssh.channel import handshake
from ssm_ssh.channel.events import Refused
from ssm_ssh.errors import ProtocolError
from ssm_ssh.startup import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Collection

    from ssm_ssh.channel.events import KeyRequest
    from ssm_ssh.errors import SsmSshError


class Negotiation:
    """Each step returns the HandshakeResponse to send, perhaps b"", and the event for the caller, perhaps None."""

    __slots__ = (
        "_allowed",
        "_client_version",
        "_encryption",
        "_least_agent",
        "_request",
        "agent_version",
        "begun",
        "properties",
        "refused",
        "session_type",
    )

    def __init__(
        self, client_version: str, allowed: Collection[str], *, encryption: bool, least_agent: str = ""
    ) -> None:
        """`allowed`: the session types that succeed; `encryption`: KMS may be asked for a data key.

        `least_agent`: the oldest version of an agent that is accepted.
        """
        self._least_agent = least_agent
        self._client_version = client_version
        self._allowed = allowed
        self._encryption = encryption
        self._request = b""
        self.begun = False
        """The agent has sent its request."""
        self.refused = False
        self.agent_version = ""
        self.session_type = ""
        """Empty until the request has been answered with success."""
        self.properties: dict[str, object] = {}

    @property
    def waits_for_key(self) -> bool:
        """The answer waits for a data key, or for the reason why there is none."""
        return bool(self._request)

    @property
    def silent(self) -> bool:
        """What the agent sends besides its handshake is not delivered: refused, or not encrypted yet."""
        return self.refused or bool(self._request)

    def begin(self, request: bytes) -> tuple[bytes, Refused | KeyRequest | None]:
        """Take the agent's HandshakeRequest. A KeyRequest is answered by `answer`."""
        self.begun = True
        try:
            wanted = handshake.requested_key(request) if self._encryption else None
            # A session that is refused with any key is refused before KMS is asked.
            refused = wanted is not None and self._reply(request, {}).refused is not None
        except ProtocolError as error:
            self.refused = True
            return b"", Refused(error)
        if wanted is None or refused:
            return self._answer(request, None)
        self._request = request
        return b"", wanted

    def answer(self, key: dict[str, object] | SsmSshError) -> tuple[bytes, Refused | KeyRequest | None]:
        """Answer with the result of KMSEncryption, or the error that it ended with."""
        request, self._request = self._request, b""
        return self._answer(request, key)

    def _answer(
        self, request: bytes, key: dict[str, object] | SsmSshError | None
    ) -> tuple[bytes, Refused | KeyRequest | None]:
        try:
            reply = self._reply(request, key)
        except ProtocolError as error:
            self.refused = True
            return b"", Refused(error)
        if reply.refused is None:
            self.session_type = reply.session_type
            return reply.response, None
        self.refused = True
        return reply.response, Refused(reply.refused)

    def _reply(self, request: bytes, key: dict[str, object] | SsmSshError | None) -> handshake.Reply:
        reply = handshake.answer(request, self._client_version, self._allowed, key, least_agent=self._least_agent)
        self.agent_version = reply.agent_version
        self.properties = reply.properties
        return reply
