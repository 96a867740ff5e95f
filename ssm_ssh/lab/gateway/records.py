"""What the gateway is asked to open, and what it shows of a session."""

from __future__ import annotations

from typing import Any, NamedTuple


class SessionOrder(NamedTuple):
    """What the API asks the gateway to open. `document_content` is the session document, still with its parameters."""

    session_id: str
    instance_id: str
    document_name: str
    document_content: dict[str, Any]
    parameters: dict[str, list[str]]
    owner_arn: str = ""
    reason: str = ""
    idle_timeout: float | None = None  # seconds; None: the gateway's
    max_duration: float = 0.0  # seconds; 0: no limit


class SessionView(NamedTuple):
    """One session as others may see it. `status` is DescribeSessions' word; times in seconds since the epoch."""

    session_id: str
    instance_id: str
    status: str
    ended_by: str | None
    output: str
    client_id: str
    client_version: str
    started_at: float
    ended_at: float
    client_connected: bool
    agent_connected: bool
    connections: int
    bytes_up: int
    bytes_down: int


def job_parameters(order: SessionOrder) -> dict[str, Any]:
    """Return the parameters as the agent gets them: a String is one string, a StringList a list."""
    definitions = order.document_content.get("parameters") or {}
    return {
        name: values if definitions.get(name, {}).get("type") == "StringList" else (values[0] if values else "")
        for name, values in order.parameters.items()
    }
