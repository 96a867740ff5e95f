"""What the services act on: the lab's state, and narrow interfaces of the gateway and the instances process."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Awaitable, Callable
from typing import Any, NamedTuple, Protocol, TypeVar

from ssm_ssh.lab.identity.identities import Identity
from ssm_ssh.lab.state import LabState, SessionRecord

T = TypeVar("T")


class ApiError(Exception):
    """A service answers with an error: AWS's `code`, `message` and HTTP `status`."""

    def __init__(self, code: str, message: str = "", status: int = 400) -> None:
        super().__init__(code, message)
        self.code = code
        self.message = message
        self.status = status


class Sessions(Protocol):
    """The gateway, for the API."""

    def open_session(self, session: SessionRecord, content: dict[str, Any]) -> str:
        """Tell the agent to start a session of the document `content`; return the client's token.

        Raises LookupError when the agent is not there.
        """

    def resume_session(self, session_id: str) -> str | None:
        """Return a new token, None when the session is over."""

    def terminate_session(self, session_id: str) -> bool:
        """End a session; False when it was over."""

    def stream_url(self, session_id: str) -> str:
        """Return the URL of a session's data channel."""


class Instances(Protocol):
    """The instances process, for the API. Calls raise rpc.CallFailed."""

    async def call(self, op: str, **args: object) -> dict[str, Any]:
        """Carry out `op` on an instance."""


class ServiceContext(NamedTuple):
    """Everything that a service needs."""

    state: LabState
    sessions: Sessions
    instances: Instances

    def instance_arn(self, instance_id: str) -> str:
        """Return the ARN of an EC2 instance or a managed node."""
        if instance_id.startswith("mi-"):
            return f"arn:aws:ssm:{self.state.region}:{self.state.account}:managed-instance/{instance_id}"
        return f"arn:aws:ec2:{self.state.region}:{self.state.account}:instance/{instance_id}"

    def ssm_arn(self, kind: str, name: str) -> str:
        """Return the ARN of something of Systems Manager's; AWS's own documents have no account."""
        account = "" if kind == "document" and name.startswith("AWS-") else self.state.account
        return f"arn:aws:ssm:{self.state.region}:{account}:{kind}/{name}"


class Operation(NamedTuple):
    """One operation. `resource` gives the ARN that a denial names; `action` is the IAM action when it is another."""

    run: Callable[[Identity, dict[str, Any]], Awaitable[dict[str, Any]]]
    resource: Callable[[dict[str, Any]], str] = lambda _: "*"
    action: str = ""
    free: bool = False  # needs no permission
    modelled: bool = True  # botocore knows it; False: an agent's own call


def page(
    everything: list[T], token: str | None, size: int, *, wrong: str = "InvalidNextToken"
) -> tuple[list[T], str | None]:
    """Return the page that `token` names (None: the first) and the token of the next. Raises ApiError(`wrong`)."""
    start = 0
    if token is not None:
        try:
            word, _, number = base64.urlsafe_b64decode(token).decode().partition(":")
            start = int(number)
        except (binascii.Error, UnicodeDecodeError, ValueError):
            word = ""
        if word != "page" or not 0 <= start <= len(everything):
            raise ApiError(wrong, "The specified token is not valid.")
    end = start + size
    after = base64.urlsafe_b64encode(f"page:{end}".encode()).decode() if end < len(everything) else None
    return everything[start:end], after
