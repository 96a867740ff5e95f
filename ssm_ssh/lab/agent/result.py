"""How a session's task ends."""

from __future__ import annotations

from typing import NamedTuple

CRASH_OUTPUT = (
    "document process failed unexpectedly: ipc messaging received timeout signal , "
    "check [ssm-document-worker]/[ssm-session-worker] log for crash reason"
)


class Result(NamedTuple):
    """How a session's task ended, in the words of agent_task_complete."""

    status: str
    output: str = ""


class Crashed(Exception):
    """The session worker has crashed without a report."""


def failure(text: str) -> Result:
    """Return the result of a task that failed with an error, as the agent words it."""
    return Result("Failed", f"\n----------ERROR-------\n{text}")
