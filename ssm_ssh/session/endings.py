"""PURE: why a session that was not for ssh has ended, in sentences that a person can act on.

The gateway closes a session's channel with a text, or without one. Without one, an ended program, TerminateSession and
a limit of the account look the same: what is not known is not claimed.
"""

from __future__ import annotations

from ssm_ssh.errors import SessionEnded
from ssm_ssh.text import printable

# Words of the service: "Your session timed out due to inactivity and has been terminated."
# (https://github.com/aws/amazon-ssm-agent/issues/261). The words for the maximum duration are not published.
_IDLE = ("inactiv", "idle")
_DURATION = ("duration", "maximum session", "max session", "time limit")
# What the agent's core puts in front of the result of a session that failed.
_AGENT_ERROR = "ERROR-------"
_LONGEST_REASON = 240
# An idle limit is a whole number of minutes from 1 to 60, counted by the service, which closes some seconds later.
# https://docs.aws.amazon.com/systems-manager/latest/userguide/session-preferences-timeout.html
_MINUTE, _LONGEST_IDLE, _LATE = 60.0, 60, 20.0
# Likewise from 1 to 1440 minutes.
# https://docs.aws.amazon.com/systems-manager/latest/userguide/session-preferences-max-timeout.html
_LONGEST_SESSION = 1440

IDLE_HINT = "The limit is idleSessionTimeout in the account's Session Manager preferences"
DURATION_HINT = "The limit is maxSessionDuration in the account's Session Manager preferences"


def duration(seconds: float) -> str:
    """Return `seconds` as people say it, in its two largest units: 45 s, 20 min, 1 h 5 min."""
    whole = int(seconds + 0.5)
    if whole < 60:
        return f"{whole} s"
    minutes = (whole + 30) // 60 if whole >= 600 else whole // 60
    if minutes < 60:
        rest = whole - 60 * minutes
        return f"{minutes} min" + (f" {rest} s" if whole < 600 and rest else "")
    hours, rest = divmod(minutes, 60)
    return f"{hours} h" + (f" {rest} min" if rest else "")


def never_began(reason: str, instance_id: str) -> SessionEnded:
    """Return the error of a session that ended before it served its purpose; `reason`: the gateway's, perhaps ""."""
    why = _shown(reason)
    return SessionEnded(
        f"the SSM Agent on {instance_id} ended the session before it began: {why or 'no reason given'}",
        "" if why else "Restart it there (systemctl restart amazon-ssm-agent), or read its log",
    )


def ended(reason: str, instance_id: str, *, lasted: float, idle: float) -> SessionEnded:
    """Return the error of a session that the gateway closed with a `reason` that is not empty.

    `lasted`: seconds since the session began; `idle`: seconds since something was last sent to the instance.
    """
    words = reason.lower()
    if any(word in words for word in _IDLE):
        return SessionEnded(
            f"the idle limit ended the session with {instance_id}: nothing was sent for {duration(idle)}", IDLE_HINT
        )
    if any(word in words for word in _DURATION):
        return SessionEnded(
            f"the maximum duration ended the session with {instance_id} after {duration(lasted)}", DURATION_HINT
        )
    why = _shown(reason)
    return SessionEnded(f"the session with {instance_id} was ended after {duration(lasted)}: {why}")


def is_agent_error(reason: str) -> bool:
    """Return whether the agent has ended the session itself, because it could not start what was asked for."""
    return _AGENT_ERROR in reason


def broken_off(instance_id: str) -> SessionEnded:
    """Return the error of a session that the gateway closed without a reason, before its purpose was served."""
    return SessionEnded(f"the session with {instance_id} was ended, and no reason was given")


def presumed(instance_id: str, *, lasted: float, idle: float) -> str:
    """Return a notice about a session that the gateway closed without a reason, though no program seems to have ended.

    The arguments are those of `ended`. A limit is named where the time fits it, and never as a fact.
    """
    after = f"the session with {instance_id} ended after {duration(lasted)}, and no reason was given"
    if _fits(idle, _LONGEST_IDLE):
        return f"{after}. Nothing was sent for {duration(idle)}, so the account's idle limit may have ended it"
    if _fits(lasted, _LONGEST_SESSION):
        return f"{after}. The account's maximum duration, TerminateSession or a process there may have ended it"
    return f"{after}. TerminateSession or a process there may have ended it"


def _shown(reason: str) -> str:
    return printable(reason.replace("-" * 10, "").replace(_AGENT_ERROR, "").strip(" :\r\n"), _LONGEST_REASON)


def _fits(seconds: float, most: int) -> bool:
    minutes = int(seconds // _MINUTE)
    return 1 <= minutes <= most and seconds - minutes * _MINUTE <= _LATE
