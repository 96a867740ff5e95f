"""All local checks, in the order in which a person reads them: nothing is changed, and AWS is not called."""

from __future__ import annotations

from ssm_ssh.doctor import account, configuration, credentials, keys, past
from ssm_ssh.doctor.finding import Finding, State
from ssm_ssh.errors import StateError
from ssm_ssh.startup import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable


class Check(NamedTuple):
    """A check: its name, and the function that makes it. What it cannot read it raises as StateError."""

    name: str
    run: Callable[[], list[Finding]]


LOCAL = (
    Check("version", configuration.version),
    Check("setup", configuration.check),
    Check("profile", account.check),
    Check("credentials", credentials.check),
    Check("key", keys.check_key),
    Check("files", keys.check_files),
    Check("connections", past.check_connections),
    Check("sessions", past.check_sessions),
    Check("host keys", past.check_host_keys),
    Check("removals", past.check_removals),
)


def run(checks: Iterable[Check] = LOCAL) -> list[Finding]:
    """Return the findings of all `checks`, in their order. Raises UsageError where a setting is unusable."""
    findings: list[Finding] = []
    for check in checks:
        try:
            findings += check.run()
        except StateError as error:
            findings.append(Finding(check.name, State.NOT_CHECKED, error.message, error.hint))
    return findings
