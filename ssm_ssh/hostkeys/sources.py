"""The sources of an instance's host keys: its console and, by Run Command, its own files.

Run Command is the word of the agent, as the session itself is, so an impostor of the agent can forge both. The console
is independent of it.
"""

from __future__ import annotations

import time

from ssm_ssh.errors import AccessDenied, SsmSshError
from ssm_ssh.startup import TYPE_CHECKING, NamedTuple
from ssm_ssh.text import printable

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from ssm_ssh.aws.api.client import Api
    from ssm_ssh.ssh.hostkey import HostKey, Shown

CONSOLE, COMMAND = "the console", "send-command"
# Seconds. The console takes one call. A command takes one to three, seldom half a minute; sshd waits for two minutes.
_CONSOLE_LIMIT, _COMMAND_LIMIT = 15.0, 60.0
# Seconds that all sources together take at most.
LIMIT = _CONSOLE_LIMIT + _COMMAND_LIMIT
# How a source answered: with keys, with none, with contradictory ones, not at all.
REPORTED, EMPTY, AMBIGUOUS, DENIED, FAILED = "reported", "empty", "ambiguous", "denied", "failed"


class Report(NamedTuple):
    """The answer of one source: its `status`, the `keys` it shows, and in words the `reason` if it is not REPORTED.

    EMPTY with keys: the source shows none of the type in question.
    """

    source: str
    status: str
    keys: frozenset[HostKey] = frozenset()
    reason: str = ""


class Sources(NamedTuple):
    """How to ask each source. The calls block; None for a source that such an instance does not have."""

    console: Callable[[], Report] | None
    command: Callable[[], Report] | None


def aws_sources(
    api: Callable[[], Api],
    instance_id: str,
    *,
    commands: bool = True,
    document: str = "",
    still_wanted: Callable[[], bool] = lambda: True,
) -> Sources:
    """Return how to ask AWS about `instance_id`.

    `commands`: Run Command may be used, with the command document `document` ("" for AWS-RunShellScript).
    `still_wanted`: whether the connection still needs the answer, asked before a command is sent.
    """

    def console() -> Report:
        from ssm_ssh.hostkeys import console

        return _report(
            CONSOLE, lambda: console.host_keys(api(), instance_id, deadline=time.monotonic() + _CONSOLE_LIMIT)
        )

    def command() -> Report:
        from ssm_ssh.hostkeys import instance_files

        if not commands:
            return Report(COMMAND, DENIED, reason="send-command is not allowed by the settings")
        if not still_wanted():
            return Report(COMMAND, FAILED, reason="the connection has ended")
        return _report(
            COMMAND, lambda: instance_files.host_keys(api(), instance_id, timeout=_COMMAND_LIMIT, document=document)
        )

    return Sources(console if instance_id.startswith("i-") else None, command)


def reasons(reports: Iterable[Report]) -> str:
    """Return in a few words why sources did not report keys."""
    return "; ".join(printable(report.reason, 200) for report in reports if report.reason) or "no source can be asked"


def _report(source: str, call: Callable[[], Shown]) -> Report:
    try:
        shown = call()
    except AccessDenied as error:
        return Report(source, DENIED, reason=error.message)
    except SsmSshError as error:
        return Report(source, FAILED, reason=error.message)
    if shown.doubt:
        return Report(source, AMBIGUOUS, reason=shown.doubt)
    if not shown.keys:
        return Report(source, EMPTY, reason=f"{source} shows no host key")
    return Report(source, REPORTED, shown.keys)
