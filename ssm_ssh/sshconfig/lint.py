"""What in the user's own configuration still has a say about connections to instances, and what to do about it.

Our rules come first, so whatever they set is settled. This is about the rest, and about rules that lost their effect.
"""

from __future__ import annotations

from pathlib import PurePath
from typing import TYPE_CHECKING, NamedTuple

from ssm_ssh.sshconfig.effective import IDS
from ssm_ssh.sshconfig.own_names import attached, leads_to_instance
from ssm_ssh.sshconfig.patterns import is_host_name, matches_list
from ssm_ssh.text import printable

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from ssm_ssh.sshconfig.effective import Outcome
    from ssm_ssh.sshconfig.locations import Place
    from ssm_ssh.sshconfig.parser import Directive

# What the ssh_config of a system sends to every host: Debian 13 the first three, Fedora and RHEL the last.
_HARMLESS = ("LANG", "COLORTERM", "NO_COLOR", "XMODIFIERS")
# Seconds. A session needs one to three to start, a question for an MFA code longer.
_SHORT_TIMEOUT = 15


class Note(NamedTuple):
    """Something to tell. `place`: `file:line`, or "" where it is not known; `danger`: the instance gains by it."""

    place: str
    text: str
    advice: str
    danger: bool = False

    def line(self) -> str:
        """Return the note as a printable line."""
        start = f"{self.place}: " if self.place else ""
        return printable(f"{start}{self.text}. {self.advice}", 500)


def notes(
    place: Place, directives: list[Directive], outcome: Outcome, other: Outcome, names: Sequence[str] = ()
) -> list[Note]:
    """Return what is to be told.

    `directives` are the user's; `outcome` and `other` are what ssh makes of it all for two different ids; `names` are
    the user's own names that our rules take.
    """
    result = [*_overtaken(place, directives), *_names(place, directives, names)]
    for keyword, wrong, text, advice, danger in _RULES:
        value = outcome.value(keyword)
        if wrong(value):
            result.append(Note(_origin(place, directives, keyword), f"{text} ({keyword} {value})", advice, danger))
    path = outcome.value("controlpath")
    if path not in ("", "none") and path == other.value("controlpath"):
        text = f"ControlPath is the same for different instances ({path})"
        result.append(Note(_origin(place, directives, "controlpath"), text, "Use %C in it", danger=True))
    sent = [name for name in outcome.values("sendenv") if name not in _HARMLESS and not name.startswith("LC_")]
    if sent:
        text = f"SendEnv sends {', '.join(sent)} to instances"
        result.append(Note(_origin(place, directives, "sendenv"), text, _ONLY_OTHERS, danger=True))
    allowed = outcome.value("pubkeyacceptedalgorithms").split(",")
    # Our own pairs have these names; what the user's own keys need is theirs to know.
    ours = PurePath(outcome.value("identityfile")).name.removesuffix("_2")
    needed = _ALGORITHMS.get(ours, allowed)
    if allowed != [""] and not set(needed) & set(allowed):
        text = "ssm-ssh's key is of a type that you do not allow"
        advice = f"Add {needed[0]} to PubkeyAcceptedAlgorithms"
        result.append(Note(_origin(place, directives, "pubkeyacceptedalgorithms"), text, advice))
    return result


_ALGORITHMS = {"id_rsa": ["rsa-sha2-512", "rsa-sha2-256"], "id_ed25519": ["ssh-ed25519"]}
_ONLY_OTHERS = "Set it for the hosts that need it, not under Host *"


def _is(*values: str) -> Callable[[str], bool]:
    return lambda value: value.lower() in values


def _set_and_not(*values: str) -> Callable[[str], bool]:
    return lambda value: value != "" and value.lower() not in values


def _short(value: str) -> bool:
    return value.isascii() and value.isdigit() and 0 < int(value) < _SHORT_TIMEOUT


def _no_public_key(value: str) -> bool:
    return value != "" and "publickey" not in value.split(",")


# keyword of `ssh -G`, when it is worth a word, what to say, what to do, whether the instance gains by it
_RULES: tuple[tuple[str, Callable[[str], bool], str, str, bool], ...] = (
    (
        "forwardagent",
        _set_and_not("no"),
        "your agent is forwarded to instances: anyone who is root there can use your keys",
        _ONLY_OTHERS,
        True,
    ),
    ("forwardx11", _is("yes"), "X11 is forwarded to instances", _ONLY_OTHERS, True),
    ("tunnel", _set_and_not("no", "false"), "a network tunnel to instances is requested", _ONLY_OTHERS, True),
    (
        "hostkeyalias",
        _set_and_not("none"),
        "HostKeyAlias makes ssh look for the keys of all instances under a single name",
        "Set it for the one host that it is meant for",
        False,
    ),
    (
        "knownhostscommand",
        _set_and_not("none"),
        "KnownHostsCommand can vouch for keys of instances, too",
        _ONLY_OTHERS,
        True,
    ),
    ("port", _set_and_not("22"), "connections to instances use another port", _ONLY_OTHERS, False),
    (
        "remotecommand",
        _set_and_not("none"),
        "RemoteCommand keeps scp, sftp, rsync and git from working with instances",
        _ONLY_OTHERS,
        False,
    ),
    (
        "connecttimeout",
        _short,
        "ConnectTimeout may be too short for a session to start",
        f"Use at least {_SHORT_TIMEOUT} seconds",
        False,
    ),
    (
        "preferredauthentications",
        _no_public_key,
        "public keys are not tried",
        "Add publickey to PreferredAuthentications",
        False,
    ),
)


def _origin(place: Place, directives: list[Directive], keyword: str) -> str:
    """Return `file:line` of the first directive that may have set `keyword` for instances."""
    for directive in directives:
        if directive.keyword == keyword and (directive.section is None or directive.section.applies_to(IDS[0])):
            return f"{place.shown(directive.file)}:{directive.line}"
    return ""


def _overtaken(place: Place, directives: list[Directive]) -> list[Note]:
    """Return the user's own sections for ids: what they share with ours has no effect any more."""
    result = []
    for directive in directives:
        if directive.keyword not in ("host", "match") or directive.section is None:
            continue
        own = [pattern for pattern in directive.section.patterns if pattern.strip("*") not in ("", "!")]
        if any(matches_list(name, own) for name in IDS):
            text = f"'{directive.section.text}' also matches instances; if both set an option, ssm-ssh's rules win"
            result.append(
                Note(f"{place.shown(directive.file)}:{directive.line}", text, "Remove it if ssm-ssh replaces it")
            )
    return result


def _names(place: Place, directives: list[Directive], taken: Sequence[str]) -> list[Note]:
    """Return the user's own names for instances that our rules do not take: they go by the name that was typed."""
    result = []
    using = attached(place, directives)
    for directive in directives:
        section = directive.section
        if section is None or not leads_to_instance(directive):
            continue
        if any((other.file, other.line) == (section.file, section.line) for other in using):
            continue
        if taken and section.patterns and all(word in map(str.lower, taken) for word in section.patterns):
            continue
        text = f"'{section.text}' stands for {directive.words[0]}, but ssm-ssh's rules do not apply to it"
        if any(_is_proxy_for(section.patterns, other) for other in directives):
            text += ", because it has a proxy of its own"
            advice = "Remove its ProxyCommand or ProxyJump, and run ssm-ssh setup, if ssm-ssh is to connect it"
        elif section.kind == "host" and all(map(is_host_name, section.patterns)):
            advice = "Run: ssm-ssh setup"
        else:
            advice = f"Add this as the last line of that section: Include ~/.ssh/{place.managed.name}"
            advice += ". Then run: ssm-ssh setup"
        result.append(Note(f"{place.shown(directive.file)}:{directive.line}", text, advice))
    return result


def _is_proxy_for(names: Sequence[str], directive: Directive) -> bool:
    """True for a ProxyCommand or ProxyJump that may hold for one of `names`."""
    if directive.keyword not in ("proxycommand", "proxyjump") or directive.words[:1] == ("none",):
        return False
    return directive.section is None or any(directive.section.applies_to(name) for name in names)
