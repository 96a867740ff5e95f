"""PURE: from the names that instances carry to names that are safe to give to ssh.

Anyone who may tag an instance chooses its name, and the managed part of ssh's configuration comes first, so a tag
`Name=github.com` must not take over that host. An alias is therefore one plain label without another meaning. If two
instances have the same name, both aliases contain a part of the id, and neither is the bare name.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple

from ssm_ssh.names import LONGEST_LABEL, is_alias_label, is_instance_id

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

# What the resolver takes for an IPv4 address: `ssh 2130706433` goes to 127.0.0.1.
_NUMBER = re.compile(r"[0-9]+|0[xX][0-9a-fA-F]+")
# As many digits of an id as tell instances apart at a glance; where they do not, the whole id is used.
_DIGITS = 8
_BARE, _SHORT, _FULL = range(3)


class Named(NamedTuple):
    """An instance and what it is called."""

    instance_id: str
    name: str


class Skipped(NamedTuple):
    """An instance that gets no alias, and why not."""

    instance_id: str
    name: str
    reason: str


class Assignment(NamedTuple):
    """The aliases, by instance id, and the instances that have none."""

    aliases: dict[str, str]
    skipped: list[Skipped]


def choose(instances: Iterable[Named], meaning: Callable[[str], str]) -> Assignment:
    """Return an alias for each of `instances` that can have one; their order does not matter.

    `meaning(name)` says what a name means already ("" for nothing): the user's configuration, known_hosts,
    /etc/hosts. A name with a meaning is not used, but may be with a part of the id behind it.
    """
    skipped = []
    names: dict[str, str] = {}
    for instance in instances:
        reason = _unfit(instance.name)
        if reason:
            skipped.append(Skipped(instance.instance_id, instance.name, reason))
        else:
            names.setdefault(instance.instance_id, instance.name)
    levels = {key: _SHORT if meaning(name) or _NUMBER.fullmatch(name) else _BARE for key, name in names.items()}
    # No bare name equals the name of another instance with its id, whether or not that one needs its id now.
    longer = {_form(key, name, level).lower() for key, name in names.items() for level in (_SHORT, _FULL)}
    for key, name in names.items():
        if name.lower() in longer:
            levels[key] = _SHORT
    forms = _settle(names, levels)
    for key, form in list(forms.items()):
        reason = meaning(form)
        if reason:
            skipped.append(Skipped(key, names[key], reason))
            del forms[key]
    return Assignment(forms, skipped)


def base_of(alias: str, instance_id: str) -> str:
    """Return the name that `alias`, made by `choose`, stands for, without what tells instances apart."""
    for level in (_FULL, _SHORT):
        suffix = _suffix(instance_id, level)
        if alias.endswith(suffix) and len(alias) > len(suffix):
            return alias[: -len(suffix)]
    return alias


def is_alias(name: str) -> bool:
    """Return whether `name` can be an alias at all."""
    return not _unfit(name)


def _unfit(name: str) -> str:
    if not name:
        return "it has no name"
    if not is_alias_label(name):
        return "an alias has at most 63 letters, digits, - and _, and begins with a letter or digit"
    # Case is of no account: ssh and others lower-case names here and there.
    if is_instance_id(name.lower()):
        return "its name is the id of an instance"
    return ""


def _settle(names: dict[str, str], levels: dict[str, int]) -> dict[str, str]:
    """Return the forms, those that are the same made longer until none are."""
    while True:
        groups: dict[str, list[str]] = {}
        forms = {key: _form(key, names[key], level) for key, level in levels.items()}
        for key, form in forms.items():
            groups.setdefault(form.lower(), []).append(key)
        same = [key for keys in groups.values() if len(keys) > 1 for key in keys if levels[key] < _FULL]
        if not same:
            return forms
        for key in same:
            levels[key] += 1


def _form(instance_id: str, name: str, level: int) -> str:
    suffix = _suffix(instance_id, level)
    return name[: LONGEST_LABEL - len(suffix)] + suffix


def _suffix(instance_id: str, level: int) -> str:
    return ("", f"-{instance_id[-_DIGITS:]}", f"-{instance_id}")[level]
