"""AWS's sentence for a denied action: the action, its resource, and the kind of policy that denies it."""

from __future__ import annotations

import re

from ssm_ssh.startup import NamedTuple
from ssm_ssh.text import printable

_ACTION = r"not authorized to perform: ([A-Za-z0-9-]+:[A-Za-z0-9*]+)(?: on (?:the )?resource: (\S+))?"
# The kinds of policies: https://docs.aws.amazon.com/IAM/latest/UserGuide/troubleshoot_access-denied.html
_POLICY = r"([A-Za-z -]{1,50}?(?:policy|boundary|[a-z](?=[:.,]|$)))"
_DENY = rf"with an explicit deny(?: in (?:an? |the )?{_POLICY}(?=[\s:.,]|$))?"
_NONE_ALLOWS = rf"because no {_POLICY} allows"


class Denial(NamedTuple):
    """A denied action. `text` names it, its resource and the reason; members are "" if AWS did not name them.

    `policy` is the kind of policy that denies, `reason` how it denies, `explicit` whether no other policy can allow it.
    """

    action: str
    text: str
    policy: str
    reason: str
    explicit: bool


def read_denial(message: str) -> Denial:
    """Parse AWS's sentence for a denial. All members of the Denial are printable."""
    deny, lacking = re.search(_DENY, message), re.search(_NONE_ALLOWS, message)
    policy = printable((deny and deny[1]) or (lacking and lacking[1]) or "", 60)
    reason = f"no {policy} allows it" if policy else ""
    if deny:
        reason = f"an explicit deny in the {policy or 'policy'}"
    named = re.search(_ACTION, message)
    if named is None:
        return Denial("", "", policy, reason, explicit=deny is not None)
    resource = printable(named[2] or "", 140).rstrip(".,")
    text = f"{named[1]} is {'denied' if deny else 'not allowed'}{f' on {resource}' if resource else ''}"
    return Denial(named[1], f"{text}: {reason}" if reason else text, policy, reason, explicit=deny is not None)
