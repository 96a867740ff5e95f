"""What a lab knows: instances, sessions, identities and the log of calls. One process owns it; nothing here does I/O.

The API writes down what was asked for; the gateway, which owns tokens and data channels, reports what became of it.
"""

from __future__ import annotations

import secrets
import string
import time
from collections import deque
from collections.abc import Callable
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any

from ssm_ssh.lab.cloud.site import Site
from ssm_ssh.lab.identity.identities import Identity, agent_role, cast, user
from ssm_ssh.lab.options import InstanceOptions, LabOptions

# Session ids end in 26 characters of base36 today.
_ID_ALPHABET = string.ascii_lowercase + string.digits
# The log must not grow without bound in a lab that runs for weeks.
_CALLS_KEPT = 10_000
_SESSIONS_KEPT = 10_000


@dataclass
class InstanceRecord:
    """One instance, as the services see it. `online`: the agent's control channel is open, as the gateway reports."""

    options: InstanceOptions
    instance_id: str
    identity: Identity  # of the agent's role
    address: str
    launched: float
    site: Site
    online: bool = False
    last_ping: float = 0.0
    agent_version: str = ""
    state: str = "running"
    state_reason: tuple[str, str] = ("", "")  # code and message, as EC2 has them
    host_keys: tuple[str, ...] = ()  # "type base64"
    tags: dict[str, str] = field(default_factory=dict)

    @property
    def hybrid(self) -> bool:
        """True for a managed node, which EC2 does not know."""
        return self.instance_id.startswith("mi-")

    @property
    def ping_status(self) -> str:
        """The status as Systems Manager names it: Online, or ConnectionLost."""
        return "Online" if self.online else "ConnectionLost"


@dataclass
class SessionRecord:
    """One session as the API knows it. Only the gateway knows its tokens."""

    session_id: str
    target: str
    document: str
    parameters: dict[str, list[str]]
    owner: str
    access_key: str
    reason: str
    start: float
    status: str = "Connecting"  # Connecting, Connected, Disconnected, Terminating, Terminated, Failed
    end: float = 0.0
    ended_by: str | None = None  # api, flag, agent, idle, ...
    output: str = ""  # why it ended, in the agent's or the gateway's words
    resumes: int = 0
    max_minutes: str = ""  # the maximum duration, as the account's preferences write it

    @property
    def over(self) -> bool:
        """True when the session has ended."""
        return self.status in ("Terminating", "Terminated", "Failed")

    def public(self) -> dict[str, Any]:
        """Return the session as JSON values."""
        return {
            "SessionId": self.session_id,
            "Target": self.target,
            "Document": self.document,
            "Parameters": self.parameters,
            "Owner": self.owner,
            "Reason": self.reason,
            "Status": self.status,
            "StartDate": self.start,
            "EndDate": self.end or None,
            "ended_by": self.ended_by,
            "output": self.output,
            "resumes": self.resumes,
        }


@dataclass(frozen=True)
class Call:
    """One call of the API, or one WebSocket upgrade (`operation` OpenDataChannel, OpenControlChannel)."""

    time: float
    service: str
    operation: str
    parameters: dict[str, Any]
    status: int
    error: str
    access_key: str
    arrived: float = 0.0
    """When the request was complete; `time` is that of the answer."""


class LabState:
    """Everything one lab knows. `clock` returns seconds since the epoch."""

    def __init__(self, options: LabOptions, *, clock: Callable[[], float] = time.time) -> None:
        self.options = options
        self.clock = clock
        self.region = options.region
        self.account = "".join(secrets.choice(string.digits[1:]) for _ in range(12))
        # What the lab's person types into its pages, and where IAM Identity Center is.
        self.password = secrets.token_urlsafe(16)
        self.start_url = f"https://d-{secrets.token_hex(5)}.awsapps.com/start"
        self.started = clock()
        people = [
            *cast(self.account),
            *(user(name, self.account, policy=policy) for name, policy in options.policies.items()),
        ]
        self.identities: dict[str, Identity] = {identity.access_key: identity for identity in people}
        self.instances: dict[str, InstanceRecord] = {}
        self.sessions: dict[str, SessionRecord] = {}
        self._calls: deque[Call] = deque(maxlen=_CALLS_KEPT)
        # Each connection is a task of its own, and answers one request after another.
        self.asked: ContextVar[str] = ContextVar("region that is asked", default="")
        for number, instance in enumerate(options.chosen()):
            self._add_instance(instance, number)

    # Instances

    @property
    def asked_region(self) -> str:
        """The region of the request that is being answered; the lab's own, unless `asked` says another."""
        return self.asked.get() or self.region

    def here(self) -> list[InstanceRecord]:
        """Return the instances that the account has in the region that is asked."""
        region = self.asked_region
        return [
            instance
            for instance in self.instances.values()
            if instance.site.region == region and not instance.site.foreign
        ]

    def instance_here(self, instance_id: str) -> InstanceRecord | None:
        """Return an instance of `here`, None where the account has none of that id there."""
        return next((instance for instance in self.here() if instance.instance_id == instance_id), None)

    def _add_instance(self, options: InstanceOptions, number: int) -> None:
        instance_id = options.instance_id or ("mi-" if options.hybrid else "i-") + "0" + secrets.token_hex(8)
        identity = agent_role(self.account, instance_id)
        self.identities[identity.access_key] = identity
        address = f"10.0.{number // 250}.{number % 250 + 4}"
        self.instances[instance_id] = InstanceRecord(
            options=options,
            instance_id=instance_id,
            identity=identity,
            address=address,
            launched=self.started,
            site=self.new_site(instance_id, address),
            agent_version=options.agent_version,
            state=options.state,
            tags={"Name": options.name} if options.name else {},
        )

    def new_site(self, instance_id: str, address: str) -> Site:
        """Return the surroundings of an instance with nothing wrong."""
        return Site(instance_id, address, region=self.region, account=self.account)

    def identity(self, name: str) -> Identity:
        """Return the identity called `name`. Raises KeyError."""
        for identity in self.identities.values():
            if identity.name == name:
                return identity
        raise KeyError(name)

    def agent_connected(self, instance_id: str, agent_version: str = "") -> None:
        """Note that the agent's control channel is open, or has received a message."""
        instance = self.instances[instance_id]
        instance.online = True
        instance.last_ping = self.clock()
        instance.agent_version = agent_version or instance.agent_version

    def agent_gone(self, instance_id: str) -> None:
        """Note that the agent's control channel is closed."""
        self.instances[instance_id].online = False

    # Sessions

    def new_session(
        self, owner: Identity, *, target: str, document: str, parameters: dict[str, list[str]], reason: str
    ) -> SessionRecord:
        """Record a session that is about to be opened, under a new id."""
        session = SessionRecord(
            session_id=f"{owner.session_name}-{''.join(secrets.choice(_ID_ALPHABET) for _ in range(26))}",
            target=target,
            document=document,
            parameters=parameters,
            owner=owner.arn,
            access_key=owner.access_key,
            reason=reason,
            start=self.clock(),
        )
        while len(self.sessions) >= _SESSIONS_KEPT:
            del self.sessions[
                next((key for key, session in self.sessions.items() if session.over), next(iter(self.sessions)))
            ]
        self.sessions[session.session_id] = session
        return session

    def session_changed(self, session_id: str, status: str, ended_by: str | None, output: str) -> None:
        """Record the state of a session, as the gateway reports it."""
        session = self.sessions.get(session_id)
        if session is None:
            return
        session.status = status
        session.ended_by = session.ended_by or ended_by
        session.output = output or session.output
        if session.over and not session.end:
            session.end = self.clock()

    # The log of calls

    def log(
        self,
        service: str,
        operation: str,
        parameters: dict[str, Any],
        *,
        status: int = 200,
        error: str = "",
        access_key: str = "",
        arrived: float | None = None,
    ) -> None:
        """Log one call. `parameters` must contain no token and no signature."""
        now = self.clock()
        arrived = now if arrived is None else arrived
        self._calls.append(Call(now, service, operation, parameters, status, error, access_key, arrived))

    def calls(self, operation: str | None = None) -> list[Call]:
        """Return the calls in order, all or those of one operation."""
        return [call for call in self._calls if operation in (None, call.operation)]
