"""`ssm-ssh host-keys`: the host keys that ssh is to trust, by hand."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from ssm_ssh.cli.parser import Arguments
from ssm_ssh.errors import UsageError
from ssm_ssh.hostkeys.known_hosts import KNOWN, REFUSED
from ssm_ssh.text import printable

if TYPE_CHECKING:
    from ssm_ssh.aws.api.client import Api

_ACTIONS = ("show", "refresh", "accept", "remove", "prune")

_USAGE = "%(prog)s [ACTION] [INSTANCE] [--profile PROFILE] [--region REGION] [--no-commands] [--debug]"

_DESCRIPTION = """\
Each instance's host key is looked up when you first connect, and ssh trusts it from then on.

  ssm-ssh host-keys                      show all of them, and those that were refused
  ssm-ssh host-keys i-...                show those of an instance
  ssm-ssh host-keys refresh i-...        ask its console and send-command anew, and trust what both say
  ssm-ssh host-keys accept i-... [SHA256:...]
                                         trust the key that was refused when you last connected
  ssm-ssh host-keys remove i-...         forget its keys
  ssm-ssh host-keys prune                forget those of instances that are no more, in one account and region
"""


def run(argv: list[str]) -> int:
    """Run the command; returns the exit status."""
    options = _parser().parse_intermixed_args(argv)
    words: list[str] = options.words
    action = words.pop(0) if words and words[0] in _ACTIONS else "show"
    most = {"show": 1, "accept": 2, "prune": 0}.get(action, 1)
    if len(words) > most:
        raise UsageError(f"'{printable(words[most], 80)}' is too much", "See: ssm-ssh host-keys --help")
    if action == "prune":
        return _prune(options)
    if not words and action != "show":
        raise UsageError(f"{action} needs to be told of which instance", f"Run: ssm-ssh host-keys {action} i-...")
    instance_id = _instance(words[0]) if words else ""
    if action == "show":
        return _show(instance_id)
    if action == "refresh":
        return _refresh(options, words[0], instance_id)
    if action == "accept":
        return _accept(instance_id, words[1] if len(words) == 2 else "")
    return _remove(instance_id)


def _parser() -> Arguments:
    parser = Arguments(
        prog="ssm-ssh host-keys",
        usage=_USAGE,
        description=_DESCRIPTION,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("words", nargs="*", help=argparse.SUPPRESS)
    parser.add_argument("--profile", help="AWS profile")
    parser.add_argument("--region", help="AWS region")
    parser.add_argument("--no-commands", action="store_true", help="refresh: do not use send-command")
    parser.add_argument("--debug", action="store_true", help="tell every step on stderr")
    return parser


def _instance(word: str) -> str:
    from ssm_ssh.locate.hostname import instance_of
    from ssm_ssh.target import parse_target

    return parse_target(instance_of(word), "22", "ec2-user").instance_id


def _api(options: argparse.Namespace, host: str = "") -> Api:
    """Return the way to AWS for `host`, "" for no instance in particular."""
    import os

    from ssm_ssh.aws.api.client import Api
    from ssm_ssh.locate.resolver import aws_settings, locate
    from ssm_ssh.locate.selection import choose
    from ssm_ssh.log import Log
    from ssm_ssh.settings.schema import load

    log, settings = Log(None, debug=options.debug), load()
    profile, region = options.profile or "", options.region or ""
    if host:
        found = locate(host, settings, profile=profile, region=region, debug=log.debug).aws
    else:
        found = aws_settings(choose(settings, os.environ, profile=profile, region=region), os.environ)
    return Api(found, debug=log.debug)


def _show(instance_id: str) -> int:
    from ssm_ssh.hostkeys import admin

    known, refused = admin.of(instance_id, KNOWN), admin.of(instance_id, REFUSED)
    for name, key, comment in known:
        print(f"{key.described(name)}  {comment}".rstrip())
    for name, key, comment in refused:
        print(f"{key.described(name)}  not trusted: {comment}")
    if not known and not refused:
        print(f"no host key of {instance_id} is known" if instance_id else "no host key is known")
    return 0


def _refresh(options: argparse.Namespace, host: str, instance_id: str) -> int:
    from ssm_ssh.hostkeys import admin, verify
    from ssm_ssh.hostkeys.sources import aws_sources
    from ssm_ssh.settings.schema import load

    api = _api(options, host)
    document = load().text("push_document")
    sources = aws_sources(lambda: api, instance_id, commands=not options.no_commands, document=document)
    keys, by = admin.refresh(instance_id, sources, verify.origin(api.settings))
    for key in sorted(keys):
        print(f"{key.described(instance_id)}  {by}")
    return 0


def _accept(instance_id: str, fingerprint: str) -> int:
    from ssm_ssh.hostkeys import admin

    for name, key in admin.accept(instance_id, fingerprint):
        print(f"{key.described(name)}  accepted")
    return 0


def _remove(instance_id: str) -> int:
    from ssm_ssh.hostkeys import admin

    refused = len({key for _, key, _ in admin.of(instance_id, REFUSED)})
    count = admin.remove(instance_id)
    said = [_count(count, "host key")] if count or not refused else []
    said += [_count(refused, "refused host key")] if refused else []
    print(f"{' and '.join(said)} of {instance_id} removed")
    return 0


def _count(number: int, what: str) -> str:
    return f"{number} {what}{'' if number == 1 else 's'}"


def _prune(options: argparse.Namespace) -> int:
    from ssm_ssh.auth import push_journal
    from ssm_ssh.hostkeys import admin, verify

    api = _api(options)
    gone = admin.prune(api, verify.origin(api.settings))
    for instance_id in gone:
        push_journal.gone(instance_id)
        print(f"{instance_id} is no more: its host keys are removed")
    if not gone:
        print("nothing to prune")
    return 0
