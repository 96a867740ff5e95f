"""PURE: from the names that instances carry to names that are safe to give to ssh.

Anyone who may tag an instance chooses its name, and the managed part of ssh's configuration comes first, so a tag
`Name=github.com` must not take over that host. An alias is therefore one plain label without another meaning. If two
instances have the same name, both aliases contain a part of the id, and neither is the bare name.
"""

from __future__ import annotations

import re
import unicodedata

from ssm_ssh.names import LONGEST_LABEL, is_alias_label, is_instance_id
from ssm_ssh.startup import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

# What the resolver takes for an IPv4 address: `ssh 2130706433` goes to 127.0.0.1.
_NUMBER = re.compile(r"[0-9]+|0[xX][0-9a-fA-F]+")
# As many digits of an id as tell instances apart at a glance; where they do not, the whole id is used.
_DIGITS = 8
_BARE, _SHORT, _FULL = range(3)
# Letters that are no letter of ASCII with a mark.
_LETTERS = {"ß": "ss", "ẞ": "SS", "æ": "ae", "Æ": "AE", "œ": "oe", "Œ": "OE", "ø": "o", "Ø": "O", "ł": "l", "Ł": "L"}
_LETTERS |= {"đ": "d", "Đ": "D", "ð": "d", "Ð": "D", "þ": "th", "Þ": "Th", "\u0131": "i"}
# What may stand between words.
_BETWEEN = frozenset(" -_()[]{}")


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
    """The aliases, by instance id, and the instances that have none.

    `shared` are the names that several instances have, so that each alias ends with a part of the id.
    """

    aliases: dict[str, str]
    skipped: list[Skipped]
    shared: dict[str, list[str]]


def choose(instances: Iterable[Named], meaning: Callable[[str], str]) -> Assignment:
    """Return an alias for each of `instances` that can have one; their order does not matter.

    A name that cannot be an alias is spelled with what can (`spell`). It never takes a name that another has as it is.
    `meaning(name)` says what a name means already ("" for nothing): the user's configuration, known_hosts,
    /etc/hosts. A name with a meaning is not used, but may be with a part of the id behind it.
    """
    skipped = []
    names: dict[str, str] = {}
    spelled, vague = set(), set()
    for instance in instances:
        name = spell(instance.name)
        reason = _unfit(name)
        if reason:
            skipped.append(Skipped(instance.instance_id, instance.name, reason))
        elif names.setdefault(instance.instance_id, name) != instance.name:
            spelled.add(instance.instance_id)
            if not _is_told_apart(instance.name):
                vague.add(instance.instance_id)
    exact = {name.lower() for key, name in names.items() if key not in spelled}
    levels = {key: _SHORT if meaning(name) or _NUMBER.fullmatch(name) else _BARE for key, name in names.items()}
    # No bare name equals the name of another instance with its id, whether or not that one needs its id now.
    longer = {_form(key, name, level).lower() for key, name in names.items() for level in (_SHORT, _FULL)}
    for key, name in names.items():
        if name.lower() in longer or (key in spelled and (name.lower() in exact or key in vague)):
            levels[key] = _SHORT
    # A name that was spelled anew makes no other lose its own.
    groups: dict[str, list[str]] = {}
    for key, name in names.items():
        if key not in vague and (key not in spelled or name.lower() not in exact):
            groups.setdefault(name.lower(), []).append(key)
    shared = {min(names[key] for key in keys): sorted(keys) for keys in groups.values() if len(keys) > 1}
    forms = _settle(names, levels)
    for key, form in list(forms.items()):
        reason = meaning(form)
        if reason:
            skipped.append(Skipped(key, names[key], reason))
            del forms[key]
    return Assignment(forms, skipped, shared)


def spell(name: str) -> str:
    """Return `name` as an alias can be spelled; what holds more than words, spaces and brackets comes back as it is.

    A letter with an accent is written without it, other letters than those of ASCII are left out, and what has none is
    called `instance`. Other characters, which shells and ssh give a meaning, are nothing that a name needs.
    """
    if is_alias_label(name) or not name.strip() or not all(c in _BETWEEN or c.isalnum() or _is_mark(c) for c in name):
        return name
    plain = "".join(_LETTERS.get(c, c) for c in unicodedata.normalize("NFKD", name) if not _is_mark(c))
    words = re.sub(r"[^A-Za-z0-9_]+", "-", plain).strip("-_")
    return words or "instance"


def _is_told_apart(name: str) -> bool:
    """True for a name of which `spell` keeps each letter and digit, so that its alias needs nothing of the id."""
    plain = unicodedata.normalize("NFKD", name)
    return any(map(str.isalnum, plain)) and all(c.isascii() or c in _LETTERS or _is_mark(c) for c in plain)


def _is_mark(character: str) -> bool:
    return unicodedata.category(character).startswith("M")


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
        return "an alias has at most 63 letters, digits, - and _, and begins with a letter or digit"
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
    form = name[: LONGEST_LABEL - len(suffix)] + suffix
    # With a part of the id, the name `i` would look like the id of another instance.
    return _form(instance_id, name, _FULL) if is_instance_id(form.lower()) else form


def _suffix(instance_id: str, level: int) -> str:
    return ("", f"-{instance_id[-_DIGITS:]}", f"-{instance_id}")[level]
