"""The file that ssm-ssh owns whole: what it is to say (`Managed`), how that is written, and how it is read back.

To change aliases, change `Managed.aliases` and lets `sshconfig.install` write the file; the renderer knows
nothing of AWS. Every option here is understood by OpenSSH 7.6 and later.
"""

from __future__ import annotations

import math
import re
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from ssm_ssh import __version__
from ssm_ssh.auth.key_type import ED25519
from ssm_ssh.errors import UsageError
from ssm_ssh.names import check_user, is_alias_label, is_plain_user
from ssm_ssh.sshconfig.patterns import LONGEST_LIST, host_lines, id_patterns, is_host_name, suffix_patterns
from ssm_ssh.target import parse_target

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

# The first words of our file, by which it is recognised.
MARK = "# Made by `ssm-ssh setup`"
_MADE = "# made here: "
# '%r' stands between quotes in a shell's command line: so no user name with a quote, nor one that ends with a
# backslash, which to fish takes the quote behind it along.
_USERS = "*,!*\\,!*'*"
# sshconf knows Host alone; names like this stand in for our Match lines while it writes and reads.
_STAND_IN = "@"
_OF_ALIAS = f"{_STAND_IN}{_STAND_IN}"
_OF_USER = f"{_STAND_IN}user"
# Host lines with patterns precede our Match lines, for parsers that ignore those.
_NO_ALIAS = re.compile(r"^(?:Match .*|host .*|Host .*[? ].*)$", re.MULTILINE)
_OF_USER_BLOCK = re.compile(r'^Match host "([^"\n]*)" user ', re.MULTILINE)
# Versions before 0.2 wrote no host before originalhost.
_OF_ALIAS_BLOCK = re.compile(
    r'^Match (?:host "[^"\n]*" )?originalhost "([^"\n]*)" .*\n +ProxyCommand (.*)$', re.MULTILINE
)
# Seconds between the probes with which ssh finds out whether the server is there.
_ALIVE_INTERVAL = 30
# ssh's patience beyond what the tunnel may take to come back.
_ALIVE_MARGIN = 300.0
# What the shell that ssh starts, ssh's own quoting, its tokens (%), its patterns (Include), a comment or env (=) cannot
# all be brought to take literally, in every version.
_UNSAFE = re.compile(r"[\"'`$\\%!*?\[\]#=]")
# Profile names go into a shell's command line between double quotes.
_WORD = re.compile(r"[A-Za-z0-9_.@/+=,:-]+(?: [A-Za-z0-9_.@/+=,:-]+)*")


class Alias(NamedTuple):
    """A name of its own for an instance. Empty `profile` or `region`: chosen as for the bare id."""

    name: str
    instance_id: str
    user: str = ""
    profile: str = ""
    region: str = ""


class Managed(NamedTuple):
    """What our file says. `program`: how to start ssm-ssh, up to the command's name; absolute paths.

    `key_type` is the type of the pair in `identity_files`. `environment` is set for the program, `suffixes` are
    patterns of what may follow an id and a dot, `options` are further lines (keyword, value) for every instance, `made`
    names what setup had to make: `folder`, `config`. `names` are hosts of the user's own configuration that stand for
    instances there (`Host web`, `HostName i-...`).
    """

    program: tuple[str, ...]
    identity_files: tuple[Path, ...]
    known_hosts: Path
    key_type: str = ED25519
    resume_limit: float = 900.0
    environment: tuple[tuple[str, str], ...] = ()
    suffixes: tuple[str, ...] = ()
    aliases: tuple[Alias, ...] = ()
    options: tuple[tuple[str, str], ...] = ()
    made: frozenset[str] = frozenset()
    names: tuple[str, ...] = ()


def check_path(path: str, what: str) -> str:
    """Return `path` if it can stand in ssh's configuration; raises UsageError that names `what` otherwise."""
    if not path.startswith("/"):
        raise UsageError(f"the path of {what} is not absolute: {path}")
    if _UNSAFE.search(path) or not path.isprintable():
        raise UsageError(
            f"{what} is at {path!r}, which cannot be quoted safely in ssh's configuration",
            "Move it to a path without quotes, $, `, \\, %, !, *, ?, #, =, brackets and control characters",
        )
    return path


def check_word(value: str, what: str) -> str:
    """Return a profile or region that can stand in ssh's configuration; raises UsageError otherwise."""
    if not _WORD.fullmatch(value):
        raise UsageError(f"'{value[:80]}' cannot be used as {what} in ssh's configuration")
    return value


def proxy_command(managed: Managed, *options: str) -> str:
    """Return the value of ProxyCommand, `options` being further options of `ssm-ssh proxy`, each with its value.

    Double quotes, because they mean the same to sh, bash, zsh, fish, csh and to what splits the line itself; single
    ones around the tokens, because a host name may hold what double quotes do not stop.
    """
    words = [f'"{check_path(managed.program[0], "ssm-ssh")}"']
    words += [
        f'"{check_path(word, "ssm-ssh")}"' if "/" in word else check_word(word, "a word")
        for word in managed.program[1:]
    ]
    if managed.environment:
        pairs = [f'"{check_word(name, "a variable")}={check_path(value, name)}"' for name, value in managed.environment]
        words = ["/usr/bin/env", *pairs, *words]
    words.append("proxy")
    # A value is told from an option by its position alone: a profile may be called --region.
    for option, value in zip(options[::2], options[1::2], strict=True):
        words += [option, f'"{check_word(value, "a value")}"']
    if managed.key_type != ED25519:  # the default of `ssm-ssh proxy`, which blocks of earlier versions rely on
        words += ["--key-type", managed.key_type]
    return " ".join([*words, "'%h'", "'%p'", "'%r'"])


def body(managed: Managed) -> list[tuple[str, str]]:
    """Return what holds for every instance, as (keyword, value); keywords may repeat."""
    count = math.ceil((managed.resume_limit + _ALIVE_MARGIN) / _ALIVE_INTERVAL)
    identities = [("IdentityFile", f'"{check_path(str(path), "the key")}"') for path in managed.identity_files]
    return [
        # `HostName %h.example.com` or a canonical name under the user's Host * would lead elsewhere.
        ("HostName", "%h"),
        ("CanonicalizeHostname", "no"),
        ("ProxyCommand", proxy_command(managed)),
        ("ProxyUseFdpass", "no"),
        *identities,
        ("IdentitiesOnly", "yes"),
        ("PubkeyAuthentication", "yes"),
        # The key pair is deleted after a day, and an agent would keep it in memory.
        ("AddKeysToAgent", "no"),
        # ssm-ssh itself checks host keys and writes this file; nothing else may have a say.
        ("StrictHostKeyChecking", "yes"),
        ("UserKnownHostsFile", f'"{check_path(str(managed.known_hosts), "the list of host keys")}"'),
        # Not `none`, which older versions take for a file's name in the current folder.
        ("GlobalKnownHostsFile", "/dev/null"),
        ("UpdateHostKeys", "no"),
        ("VerifyHostKeyDNS", "no"),
        ("CheckHostIP", "no"),
        # The agent sends at most a kilobyte a millisecond: text comes several times as fast when compressed, and what
        # cannot be compressed as fast as without.
        ("Compression", "yes"),
        # Together longer than a lost tunnel is tried to be got back, or ssh would give up first.
        ("ServerAliveInterval", str(_ALIVE_INTERVAL)),
        ("ServerAliveCountMax", str(count)),
        *managed.options,
    ]


def render(managed: Managed) -> str:
    """Return the whole file. Raises UsageError where a path, name or value cannot be written safely."""
    conf = _sshconf("")
    # What stands instead of each stand-in.
    heads = {}
    for alias in managed.aliases:
        conf.add(check_alias(alias).name, **_fields(_alias_lines(alias)))
        options = _alias_options(alias)
        if options:
            name = f"{_OF_ALIAS}{alias.name}"
            conf.add(name, ProxyCommand=[proxy_command(managed, *options)])
            # Only where the lines above have led to the instance: for Match, upper case is lower case.
            # In small letters, or JSch would forget the section that has the alias's HostName.
            heads[name] = [f"host {alias.name}", _match(f'host "{alias.instance_id}" originalhost "{alias.name}"')]
    for number, patterns in enumerate([id_patterns(), *suffix_patterns(managed.suffixes)]):
        conf.add(f"{_STAND_IN}{number}", **_fields(body(managed)))
        heads[f"{_STAND_IN}{number}"] = [*host_lines(patterns.split(",")), _match(f'host "{patterns}"')]
    for number, some in enumerate(_lines_of(managed.names)):
        # The user's own HostName counts, also when it changes.
        conf.add(f"{_OF_USER}{number}", **_fields([line for line in body(managed) if line[0] != "HostName"]))
        heads[f"{_OF_USER}{number}"] = [*host_lines(some), _match(f'host "{",".join(some)}"')]
    text = "\n".join(line for line in conf.config().split("\n") if line)
    # Blank lines part the blocks.
    text = re.sub(r"^Host ", "\nHost ", text, flags=re.MULTILINE)
    text = re.sub(rf"^Host ({_STAND_IN}\S+)$", lambda match: "\n".join(heads[match[1]]), text, flags=re.MULTILINE)
    made = f"{_MADE}{' '.join(sorted(managed.made))}\n" if managed.made else ""
    return (
        f"{MARK} ({__version__}), which overwrites this file: changes are lost.\n"
        f"# To remove it, run: ssm-ssh setup --remove\n{made}{text}\n"
    )


def _match(criteria: str) -> str:
    # `host` comes first: kevinburke/ssh_config, go-git's parser, refuses a file with any other first criterion.
    return f'Match {criteria} user "{_USERS}"'


def _lines_of(names: Sequence[str]) -> Iterator[list[str]]:
    """Yield `names` in parts that fit a line. Raises UsageError for what is no plain name."""
    some: list[str] = []
    for name in names:
        if not is_host_name(name):
            raise UsageError(f"'{name[:80]}' cannot be a name in ssh's configuration")
        if some and len(",".join((*some, name))) > LONGEST_LIST:
            yield some
            some = []
        some.append(name)
    if some:
        yield some


class Stored(NamedTuple):
    """What an existing file of ssm-ssh stores."""

    aliases: tuple[Alias, ...] = ()
    made: frozenset[str] = frozenset()
    names: tuple[str, ...] = ()


def read(text: str) -> Stored:
    """Return what a file that `render` wrote keeps for the next one; parts that cannot be read are left out."""
    lines = text.split("\n")
    made = next((line[len(_MADE) :].split() for line in lines if line.startswith(_MADE)), [])
    hosts_only = _NO_ALIAS.sub(f"Host {_STAND_IN}", text)
    chosen = dict(_OF_ALIAS_BLOCK.findall(text))
    aliases = []
    # Each block by itself: sshconf goes through all lines for each host.
    for block in re.split(r"^(?=Host )", hosts_only, flags=re.MULTILINE)[1:]:
        conf = _sshconf(block)
        name = next(iter(conf.hosts()), _STAND_IN)
        values = conf.host(name)
        if name.startswith(_STAND_IN) or not isinstance(values.get("hostname"), str):
            continue
        profile, region = _chosen(chosen.get(name, ""), "--profile", "--region")
        alias = Alias(name, values["hostname"], str(values.get("user", "")).strip('"'), profile, region)
        try:
            aliases.append(check_alias(alias))
        except UsageError:
            continue
    names = [name for some in _OF_USER_BLOCK.findall(text) for name in some.split(",") if is_host_name(name)]
    return Stored(tuple(aliases), frozenset(made), tuple(names))


def check_alias(alias: Alias) -> Alias:
    """Return `alias` if each of its parts can be written; raises UsageError otherwise."""
    if not is_alias_label(alias.name):
        raise UsageError(f"'{alias.name[:80]}' cannot be an alias", "Use letters, digits, - and _, at most 63")
    parse_target(alias.instance_id)
    if alias.user:
        check_user(alias.user)
    for value, what in ((alias.profile, "a profile"), (alias.region, "a region")):
        if value:
            check_word(value, what)
    return alias


def _alias_lines(alias: Alias) -> list[tuple[str, str]]:
    # HostName makes the rules for ids apply as well; what stands here comes first and wins.
    # A backslash or space by itself would change or end the word.
    name = alias.user if is_plain_user(alias.user) else f'"{alias.user}"'
    user = [("User", name)] if alias.user else []
    return [("HostName", alias.instance_id), *user]


def _alias_options(alias: Alias) -> list[str]:
    profile = ["--profile", alias.profile] if alias.profile else []
    region = ["--region", alias.region] if alias.region else []
    return [*profile, *region]


def _fields(lines: Sequence[tuple[str, str]]) -> dict[str, list[str]]:
    fields: dict[str, list[str]] = {}
    for keyword, value in lines:
        fields.setdefault(keyword, []).append(value)
    return fields


def _chosen(command: str, *options: str) -> tuple[str, ...]:
    following = dict(re.findall(r'(--[a-z-]+) "([^"]*)"', command))
    return tuple(following.get(option, "") for option in options)


def _sshconf(text: str) -> Any:  # noqa: ANN401  (sshconf has no types)
    import sshconf

    class Quiet(sshconf.SshConfigFile):  # type: ignore[misc]
        def parse(self, lines: list[str]) -> None:
            # It calls re.split() in a way that Python 3.13 and later warn of.
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", DeprecationWarning)
                super().parse(lines)

    # Split here: str.splitlines() would also split at characters that are part of a value.
    return Quiet(text.split("\n"))
