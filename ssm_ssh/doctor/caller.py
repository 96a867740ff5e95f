"""Who asks: the credentials, how long they last, whether AWS takes them, and whether the clocks agree."""

from __future__ import annotations

from ssm_ssh.doctor.finding import Finding, State
from ssm_ssh.errors import AwsError, NetworkError
from ssm_ssh.startup import TYPE_CHECKING
from ssm_ssh.text import printable
from ssm_ssh.values import object_member, text_member

if TYPE_CHECKING:
    from typing import Any

    from ssm_ssh.aws.api.client import Api
    from ssm_ssh.errors import SsmSshError

# Seconds. A session does not end when the credentials do, but nothing can be resumed after that.
_SOON = 600.0
# Seconds of difference from AWS's clock that deserve a word; AWS refuses signatures from five minutes on:
# https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-troubleshooting.html
_DIFFERENT, _REFUSED = 60.0, 300.0


def collect(api: Api, *, deadline: float | None = None) -> dict[str, Any]:
    """Return AWS's answer to who the caller is. Raises SsmSshError where there are no credentials, or no answer."""
    api.credentials.get()
    answer = api.call("sts", "GetCallerIdentity", {}, deadline=deadline)
    return object_member(answer, "GetCallerIdentityResult") or answer


def check(answer: dict[str, Any], *, expires: float | None, now: float, skew: float | None) -> list[Finding]:
    """PURE: return what is known of the caller and the clock. `expires`, `now`: epoch seconds.

    `skew`: how many seconds this computer's clock is behind AWS's, None where AWS has not said.
    """
    arn = printable(text_member(answer, "Arn"), 200)
    left = "" if expires is None else f", valid for {_left(expires - now)}"
    soon = expires is not None and expires - now < _SOON
    found = [Finding("identity", State.NOTE if soon else State.OK, f"{arn}{left}")]
    return [*found, *_clock(skew)]


def _clock(skew: float | None) -> list[Finding]:
    if skew is None:
        return []
    if abs(skew) < _DIFFERENT:
        return [Finding("clock", State.OK, "this computer's clock agrees with AWS's")]
    direction = "behind" if skew > 0 else "ahead of"
    text = f"this computer's clock is {abs(skew):.0f} s {direction} AWS's"
    if abs(skew) < _REFUSED:
        text += ". From five minutes on, AWS refuses calls"
    else:
        text += ", which makes AWS refuse the calls of other programs. ssm-ssh corrects that"
    return [Finding("clock", State.WARNING, text, "Set the clock")]


def failed(error: SsmSshError) -> Finding:
    """PURE: return what it means that nothing is known of the caller."""
    if isinstance(error, NetworkError):
        name = "connection to AWS"
    elif isinstance(error, AwsError):
        name = "identity"
    else:
        name = "credentials"
    return Finding(name, State.PROBLEM, error.message, error.hint)


def _left(seconds: float) -> str:
    from ssm_ssh.session.endings import duration

    return duration(max(0.0, seconds))
