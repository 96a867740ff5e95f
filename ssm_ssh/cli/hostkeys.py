"""`ssm-ssh host-keys`: the host keys that ssh trusts, shown and changed by hand."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ssm_ssh.cli import output
from ssm_ssh.cli.parser import Actions
from ssm_ssh.cli.table import Cell, Column
from ssm_ssh.hostkeys.known_hosts import KNOWN, REFUSED

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterable

    from ssm_ssh.aws.api.client import Api
    from ssm_ssh.ssh.hostkey import HostKey

_DESCRIPTION = """\
ssm-ssh looks up each instance's host key when you first connect, and ssh trusts it from then on.
Without an action, `show` is meant: `ssm-ssh host-keys` and `ssm-ssh host-keys i-...`.
"""

_EPILOG = """\
examples:
  ssm-ssh host-keys                                     all host keys, and those that were refused
  ssm-ssh host-keys refresh i-0123456789abcdef0         ask AWS for the keys of an instance again
"""

_SHOW = """\
examples:
  ssm-ssh host-keys show
  ssm-ssh host-keys show i-0123456789abcdef0            never cuts a fingerprint
  ssm-ssh host-keys show i-0123456789abcdef0 --json
"""

_REFRESH = """\
The console and send-command are asked; only keys that every source reports are trusted.

examples:
  ssm-ssh host-keys refresh i-0123456789abcdef0
  ssm-ssh host-keys refresh i-0123456789abcdef0.eu-west-1 --no-commands
"""

_ACCEPT = """\
Compare the fingerprint with the one on the instance first: ssh-keygen -lf /etc/ssh/ssh_host_ed25519_key.pub

examples:
  ssm-ssh host-keys accept i-0123456789abcdef0
  ssm-ssh host-keys accept i-0123456789abcdef0 SHA256:...
"""

_REMOVE = """\
The next connection looks them up again.

examples:
  ssm-ssh host-keys remove i-0123456789abcdef0
  ssm-ssh host-keys remove mi-0123456789abcdef0
"""

_PRUNE = """\
One account and region are asked which of their instances still exist.

examples:
  ssm-ssh host-keys prune
  ssm-ssh host-keys prune --profile prod --region eu-west-1
"""

# The keys of all instances have a line each. Those of one instance, which may have to be compared, have a fingerprint
# that is never cut, and no host where there is no room for it.
_ALL_COLUMNS = (
    Column("HOST", whole=True),
    Column("TYPE", whole=True, spare=1),
    Column("FINGERPRINT", least=14),
    Column("STATE", least=41, wrap=True),
)
_COLUMNS = (
    Column("HOST", whole=True, spare=2),
    Column("TYPE", whole=True, spare=1),
    Column("FINGERPRINT", whole=True),
    Column("STATE", wrap=True),
)


def run(argv: list[str]) -> int:
    """Run the command; returns the exit status."""
    action, options = _parser().parse(argv)
    return {"show": _show, "refresh": _refresh, "accept": _accept, "remove": _remove, "prune": _prune}[action](options)


def _parser() -> Actions:
    command = Actions("host-keys", _DESCRIPTION, default="show", epilog=_EPILOG)
    show = command.add("show", "show the known and the refused host keys", epilog=_SHOW)
    show.add_argument("instance", metavar="INSTANCE", nargs="?", help="only those of this instance")
    show.add_argument("--json", action="store_true", help="for programs: one array of objects")
    refresh = command.add("refresh", "look up the keys of an instance again, and trust them", epilog=_REFRESH)
    accept = command.add("accept", "trust the key that was refused at the last connection", epilog=_ACCEPT)
    remove = command.add("remove", "forget the keys of an instance", epilog=_REMOVE)
    prune = command.add("prune", "forget the keys of instances that no longer exist", epilog=_PRUNE)
    for parser in (refresh, accept, remove):
        parser.add_argument("instance", metavar="INSTANCE", help="instance id, e.g. i-0123456789abcdef0")
    accept.add_argument("fingerprint", metavar="SHA256:...", nargs="?", default="", help="where several were refused")
    refresh.add_argument("--no-commands", action="store_true", help="ask the console alone, not send-command")
    for parser in (refresh, prune):
        parser.add_argument("--profile", help="AWS profile")
        parser.add_argument("--region", help="AWS region")
    command.tolerate("--profile", "--region", "--no-commands")
    return command


def _instance(word: str) -> str:
    from ssm_ssh.errors import UsageError
    from ssm_ssh.locate.hostname import parse
    from ssm_ssh.suggest import did_you_mean

    try:
        return parse(word).instance_id
    except UsageError as error:
        close = did_you_mean(word, ("show", "refresh", "accept", "remove", "prune"))
        raise UsageError(error.message, close or error.hint) from None


def _api(options: argparse.Namespace, host: str = "") -> Api:
    """Return the API client for `host`; "" stands for no instance in particular."""
    import os

    from ssm_ssh.aws.api.client import Api
    from ssm_ssh.locate.hostname import parse
    from ssm_ssh.locate.resolver import aws_settings, locate
    from ssm_ssh.locate.selection import choose
    from ssm_ssh.log import Log
    from ssm_ssh.settings.schema import load

    log, settings = Log(None, debug=options.debug), load()
    profile, region = options.profile or "", options.region or ""
    if host:
        aws = locate(parse(host), settings, profile=profile, region=region, debug=log.debug).aws
    else:
        aws = aws_settings(choose(settings, os.environ, profile=profile, region=region), os.environ)
    return Api(aws, debug=log.debug)


def _row(name: str, key: HostKey, state: str, style: str = "") -> tuple[str | Cell, ...]:
    return name, key.short, key.fingerprint, Cell(state, style)


def _table(rows: Iterable[tuple[str, HostKey]], state: str) -> None:
    output.table(_COLUMNS, [_row(name, key, state, output.GOOD) for name, key in rows])


def _show(options: argparse.Namespace) -> int:
    from ssm_ssh.hostkeys import admin
    from ssm_ssh.hostkeys.verdict import UNVERIFIED

    instance_id = _instance(options.instance) if options.instance else ""
    known, refused = admin.of(instance_id, KNOWN), admin.of(instance_id, REFUSED)
    if options.json:
        output.as_json(
            [
                {
                    "host": name,
                    "type": key.kind,
                    "fingerprint": key.fingerprint,
                    "trusted": trusted,
                    "comment": comment,
                }
                for entries, trusted in ((known, True), (refused, False))
                for name, key, comment in entries
            ]
        )
        return 0
    rows = [
        _row(name, key, _short(comment), output.CARE if comment.startswith(UNVERIFIED) else output.GOOD)
        for name, key, comment in _one_spelling(known)
    ]
    rows += [
        _row(name, key, f"not trusted: {_short(comment)}", output.BAD) for name, key, comment in _one_spelling(refused)
    ]
    if rows:
        output.table(_COLUMNS if instance_id else _ALL_COLUMNS, rows)
    else:
        output.line(f"No host key of {instance_id} is known" if instance_id else "No host key is known")
    return 0


def _one_spelling(entries: Iterable[tuple[str, HostKey, str]]) -> list[tuple[str, HostKey, str]]:
    """Return a row for each key of an instance and port: of several spellings of the host, the shortest."""
    from ssm_ssh.hostkeys.known_hosts import instance_of

    shortest: dict[tuple[str, str, HostKey], tuple[str, HostKey, str]] = {}
    for name, key, comment in entries:
        port = name.rpartition("]:")[2] if name.startswith("[") else ""
        same = (instance_of(name), port, key)
        if same not in shortest or len(name) < len(shortest[same][0]):
            shortest[same] = name, key, comment
    return list(shortest.values())


def _short(comment: str) -> str:
    """Return `comment` without the fingerprint of the credentials, which says nothing to a person."""
    import re

    return re.sub(r" [0-9a-f]{8}$", "", comment)


def _refresh(options: argparse.Namespace) -> int:
    from ssm_ssh.hostkeys import admin, verify
    from ssm_ssh.hostkeys.sources import aws_sources
    from ssm_ssh.settings.schema import load

    instance_id = _instance(options.instance)
    api = _api(options, options.instance)
    document = load().text("push_document")
    sources = aws_sources(lambda: api, instance_id, commands=not options.no_commands, document=document)
    with output.progress(f"Asking AWS for the host keys of {instance_id} ..."):
        keys, by = admin.refresh(instance_id, sources, verify.origin(api.settings))
    _table(((instance_id, key) for key in sorted(keys)), by)
    return 0


def _accept(options: argparse.Namespace) -> int:
    from ssm_ssh.hostkeys import admin

    _table(admin.accept(_instance(options.instance), options.fingerprint), "accepted")
    return 0


def _remove(options: argparse.Namespace) -> int:
    from ssm_ssh.hostkeys import admin

    instance_id = _instance(options.instance)
    refused = len({key for _, key, _ in admin.of(instance_id, REFUSED)})
    count = admin.remove(instance_id)
    parts = [_count(count, "host key")] if count or not refused else []
    parts += [_count(refused, "refused host key")] if refused else []
    output.line(f"{' and '.join(parts)} of {instance_id} removed")
    return 0


def _count(number: int, what: str) -> str:
    return f"{number} {what}{'' if number == 1 else 's'}"


def _prune(options: argparse.Namespace) -> int:
    from ssm_ssh.auth import push_journal
    from ssm_ssh.hostkeys import admin, verify

    api = _api(options)
    with output.progress("Asking AWS which instances exist ..."):
        gone = admin.prune(api, verify.origin(api.settings))
    for instance_id in gone:
        push_journal.gone(instance_id)
        output.line(f"{instance_id} no longer exists: its host keys are removed")
    if not gone:
        output.line("Nothing to prune")
    return 0
