"""What `shell`, `exec` and `forward` have in common: TARGET, and the options that choose account and region.

TARGET is an instance id with labels, an alias of `ssm-ssh sync`, a private address, a private DNS name or a tag. Only
the first two cost no call of AWS; several matches are listed, and none is chosen.
"""

from __future__ import annotations

import os

from ssm_ssh.errors import SsmSshError, TargetNotConnected, UsageError
from ssm_ssh.names import is_instance_id
from ssm_ssh.startup import TYPE_CHECKING, NamedTuple
from ssm_ssh.text import printable

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import Any

    from ssm_ssh.cli.parser import Arguments
    from ssm_ssh.locate.resolver import Located
    from ssm_ssh.locate.search import Found
    from ssm_ssh.log import Log
    from ssm_ssh.settings.schema import Settings

# For simple_arguments.read: options with a value, and without.
OPTIONS = ("--profile", "--region", "--reason", "--resume-limit", "--log-file")
SWITCHES = ("--start", "--debug")

WHAT = "instance id (i-... or mi-...), alias, private address, private DNS name, or tag:KEY=VALUE"
EPILOG = """\
TARGET may contain a region and a profile, as for ssh: i-0123456789abcdef0.eu-west-1.prod. Otherwise --profile and
--region, AWS_PROFILE and AWS_REGION, the place where the instance was last reached, the defaults of setup and a search
decide, in this order. An address, a DNS name and a tag are looked up; if several instances match, they are listed.
"""
# Suffixes of the names that EC2 gives instances by their ids, before which a region may stand.
# https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/ec2-instance-naming.html
_RESOURCE_NAMES = ((".compute.internal", ""), (".ec2.internal", "us-east-1"))


class Chosen(NamedTuple):
    """The instance, the account and region to ask for it, the settings in force, and the log."""

    located: Located
    settings: Settings
    log: Log

    @property
    def instance_id(self) -> str:
        """The instance's id."""
        return self.located.name.instance_id


def add_options(parser: Arguments) -> None:
    """Add the options of every such command. TARGET itself is added by the command."""
    parser.add_argument("--profile", help="AWS profile")
    parser.add_argument("--region", help="AWS region")
    parser.add_argument("--reason", help="what the audit trail shows (by default the command, who runs it and where)")
    parser.add_argument("--resume-limit", metavar="S", help="how long to try to resume a lost connection (900 s)")
    parser.add_argument("--start", action="store_true", help="start the instance if it is stopped")
    parser.add_argument("--log-file", metavar="PATH", help="write the log there")


def picked(arguments: Mapping[str, Any]) -> dict[str, Any]:
    """Return `arguments` with the target, profile and region that the user chooses. Raises as `picker.pick` does."""
    from ssm_ssh.cli import picker

    node = picker.pick(arguments)
    return {**arguments, "target": node.instance_id, "profile": node.profile or None, "region": node.region}


def choose(target: str, arguments: Mapping[str, Any], *settings_too: str) -> Chosen:
    """Return the instance that `target` means, and how to reach it. `arguments` are those of `add_options`.

    `settings_too` names further arguments that stand for the setting of the same name. Raises UsageError, and what a
    look-up raises.
    """
    from pathlib import Path

    from ssm_ssh.log import Log, open_log
    from ssm_ssh.settings import schema

    start = "always" if arguments.get("start") else None
    settings = schema.load({**{name: arguments[name] for name in ("resume_limit", *settings_too)}, "start": start})
    debug = Log(None, debug=arguments["debug"]).debug
    located = _locate(target, settings, arguments["profile"] or "", arguments["region"] or "", debug)
    path = Path(arguments["log_file"]) if arguments["log_file"] else None
    log = open_log(path, debug=arguments["debug"], subject=located.name.instance_id)
    return Chosen(located, settings, log)


def find(target: str, profile: str, region: str, debug: Callable[[str], None]) -> Located:
    """Return the instance that `target` means, and where it is, for a command that starts no session with it.

    `profile` and `region` are the options, "" for none. Raises UsageError, and what a look-up raises.
    """
    from ssm_ssh.settings import schema

    return _locate(target, schema.load(), profile, region, debug)


def _locate(target: str, settings: Settings, profile: str, region: str, debug: Callable[[str], None]) -> Located:
    from ssm_ssh.locate.hostname import parse
    from ssm_ssh.locate.resolver import locate

    if "@" in target and not target.startswith("tag:"):
        user, _, host = target.rpartition("@")
        shown = printable(host, 80)
        raise UsageError(
            f"'{printable(target, 80)}' names a user, as for ssh",
            f"Use {shown}, with --user {printable(user, 40)} where the command has that option",
        )
    first, dot, labels = target.partition(".")
    if is_instance_id(first.lower()):
        spelled, suffix_region = _without_suffix(target)
        return locate(parse(spelled), settings, profile=profile, region=region or suffix_region, debug=debug)
    from ssm_ssh.sshconfig.alias_lookup import find_alias

    alias = find_alias(first)
    if alias is not None:
        name = parse(f"{alias.instance_id}{dot}{labels}")
        if dot:  # labels say more than what the alias was made with
            return locate(name, settings, profile=profile, region=region, debug=debug)
        return locate(name, settings, profile=profile or alias.profile, region=region or alias.region, debug=debug)
    return _look_up(target, settings, profile, region, debug)


def _without_suffix(target: str) -> tuple[str, str]:
    """Return an instance id with its labels, and the region that the suffix of a resource name stands for."""
    for suffix, region in _RESOURCE_NAMES:
        if target.lower().endswith(suffix):
            return target[: -len(suffix)], region
    return target, ""


def _look_up(target: str, settings: Settings, profile: str, region: str, debug: Callable[[str], None]) -> Located:
    from ssm_ssh.aws.config.ini import SharedFiles
    from ssm_ssh.cli import output
    from ssm_ssh.locate import query
    from ssm_ssh.locate.hostname import parse
    from ssm_ssh.locate.resolver import Located, aws_settings, connector
    from ssm_ssh.locate.search import look_up
    from ssm_ssh.locate.selection import SEARCH, Scope, choose

    wanted = query.parse(target)
    env, files = os.environ, SharedFiles(os.environ)
    selection = choose(settings, env, named=("", ""), profile=profile, region=region)
    own = Scope("" if selection.by_environment else selection.profile, selection.region)
    scopes = selection.search or (own,)
    shown = printable(target, 80)
    with output.progress(f"Looking for {shown} ..."):
        answers = look_up(scopes, wanted, connector(settings, env, files, debug))
    scope, node = _only(answers, shown)
    selection = selection._replace(
        profile=scope.profile or selection.profile,
        region=node.region,
        profile_from=selection.profile_from or (SEARCH if selection.search else ""),
        region_from=selection.region_from or SEARCH,
        search=(),
    )
    return Located(parse(node.instance_id), aws_settings(selection, env, files), selection)


def _only(answers: list[Found], shown: str) -> tuple[Any, Any]:
    """Return the only match and its place. Raises SsmSshError where there is none, or where it may not be the only."""
    from ssm_ssh.cli import output

    matches = {(node.instance_id, node.region): (answer.scope, node) for answer in answers for node in answer.nodes}
    failed = next((answer for answer in answers if answer.error is not None), None)
    if len(matches) > 1:
        for _, node in matches.values():
            name = f" ({printable(node.name, 60)})" if node.name else ""
            output.note(f"  {node.instance_id}{name} {printable(_place(node.profile, node.region), 80)}")
        raise UsageError(f"{shown} matches {len(matches)} instances", "Use the id of one of them")
    if failed is not None and failed.error is not None:
        place = printable(_place(failed.scope.profile, failed.scope.region), 80)
        if len(answers) == 1:
            raise failed.error
        known = f", and {next(iter(matches))[0]} matches elsewhere" if matches else ""
        raise SsmSshError(
            f"{shown} could not be looked up in {place}: {failed.error.message}{known}",
            "Use the instance's id, or choose the place by --profile and --region",
        )
    if not matches:
        places = ", ".join(_place(answer.scope.profile, answer.scope.region) for answer in answers)
        raise TargetNotConnected(
            f"no instance matches {shown} in {printable(places, 200)}", "See: ssm-ssh list", operation="look-up"
        )
    return next(iter(matches.values()))


def _place(profile: str, region: str) -> str:
    return f"{profile or 'the default profile'}{f', {region}' if region else ''}"
