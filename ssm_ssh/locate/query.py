"""PURE: what a TARGET says that is neither an instance id nor an alias: an address, a DNS name or a tag."""

from __future__ import annotations

from ssm_ssh.errors import UsageError
from ssm_ssh.startup import NamedTuple
from ssm_ssh.text import printable

ADDRESS, NAME, TAG = "address", "name", "tag"
"""The kinds of queries."""

_TAG = "tag:"
_LABEL = frozenset("abcdefghijklmnopqrstuvwxyz0123456789-")
_HEX = frozenset("0123456789abcdef:.")
_DIGITS = frozenset("0123456789")
# The first label of the name that EC2 makes of an address, which is what a prompt shows.
# https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/ec2-instance-naming.html
_IP_NAME = "ip-"


class Query(NamedTuple):
    """What instances must have. `values`: an address; a private DNS name, perhaps with `*`; accepted values of `key`.

    `key` is that of a tag. No values: any.
    """

    kind: str
    values: tuple[str, ...]
    key: str = ""


def parse(text: str) -> Query:
    """Return the query that `text` is. Raises UsageError."""
    if text.startswith(_TAG):
        key, equals, values = text[len(_TAG) :].partition("=")
        if not key or not text.isprintable() or (equals and not values):
            raise UsageError(f"'{printable(text, 80)}' is not a tag", "Use tag:KEY=VALUE, for example tag:Name=web-1")
        return Query(TAG, tuple(values.split(",")) if equals else (), key)
    name = text.lower().rstrip(".")
    if _is_address(name):
        return Query(ADDRESS, (name,))
    labels = name.split(".")
    if all(label and _LABEL.issuperset(label) and label[0] != "-" for label in labels):
        if len(labels) > 1:
            return Query(NAME, (name,))
        if name.startswith(_IP_NAME) and len(name.split("-")) == 5:
            return Query(NAME, (f"{name}.*",))
    shown = printable(text, 80)
    raise UsageError(
        f"'{shown}' is neither an instance id nor an alias, private address, private DNS name or tag:KEY=VALUE",
        f"For an instance of this name use tag:Name={shown}; `ssm-ssh sync` makes aliases, `ssm-ssh list` shows ids",
    )


def _is_address(text: str) -> bool:
    parts = text.split(".")
    if len(parts) == 4 and all(_DIGITS.issuperset(part) and 0 < len(part) <= 3 and int(part) < 256 for part in parts):
        return True
    return text.count(":") >= 2 and _HEX.issuperset(text)
