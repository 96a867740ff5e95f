"""AWS's sentence for a denied action: which action, on what, and which kind of policy denies."""

from __future__ import annotations

import re
from typing import NamedTuple

from ssm_ssh.text import printable

_ACTION = re.compile(r"not authorized to perform: ([A-Za-z0-9-]+:[A-Za-z0-9*]+)(?: on (?:the )?resource: (\S+))?")
# Which kind of policy denies: https://docs.aws.amazon.com/IAM/latest/UserGuide/troubleshoot_access-denied.html
_POLICY = r"([A-Za-z -]{1,50}?(?:policy|boundary|[a-z](?=[:.,]|$)))"
_DENY = re.compile(rf"with an explicit deny(?: in (?:an? |the )?{_POLICY}(?=[\s:.,]|$))?")
_NONE_ALLOWS = re.compile(rf"because no {_POLICY} allows")


class Denial(NamedTuple):
    """What AWS says of a denied action: `text` names it, its resource and the reason; "" for what AWS did not say.

    `policy` is the kind of policy that denies, `reason` what it does, `explicit` whether no other can allow it.
    """

    action: str
    text: str
    policy: str
    reason: str
    explicit: bool


def read_denial(message: str) -> Denial:
    """Read AWS's sentence for a denial. All of the Denial is printable."""
    deny, lacking = _DENY.search(message), _NONE_ALLOWS.search(message)
    policy = printable((deny and deny[1]) or (lacking and lacking[1]) or "", 60)
    reason = f"no {policy} allows it" if policy else ""
    if deny:
        reason = f"an explicit deny in the {policy or 'policy'}"
    named = _ACTION.search(message)
    if named is None:
        return Denial("", "", policy, reason, explicit=deny is not None)
    resource = printable(named[2] or "", 140).rstrip(".,")
    text = f"{named[1]} is {'denied' if deny else 'not allowed'}{f' on {resource}' if resource else ''}"
    return Denial(named[1], f"{text}: {reason}" if reason else text, policy, reason, explicit=deny is not None)
