"""`ssm-ssh proxy HOST PORT USER`: what ssh runs as its ProxyCommand. stdout carries SSH bytes alone."""

from __future__ import annotations

import os
import sys

from ssm_ssh.cli import output, simple_arguments
from ssm_ssh.errors import SsmSshError, UsageError
from ssm_ssh.startup import TYPE_CHECKING
from ssm_ssh.text import describe_unexpected, printable

if TYPE_CHECKING:
    from typing import Any

    from ssm_ssh.cli.parser import Arguments

_DESCRIPTION = """\
Carry one SSH connection to HOST through AWS Systems Manager Session Manager. ssh runs this as:
  ProxyCommand ssm-ssh proxy '%h' '%p' '%r'
A public key is pushed for each connection, by EC2 Instance Connect or send-command, and accepted for a minute.
"""

_EPILOG = """\
HOST may contain a region and a profile, in any order: i-0123456789abcdef0.eu-west-1.prod. Otherwise AWS_PROFILE and
AWS_REGION decide, then the place where the instance was last reached, then the defaults, then a search.

environment: AWS_PROFILE, AWS_REGION and everything else that the AWS CLI reads, HTTPS_PROXY, NO_PROXY,
AWS_CA_BUNDLE; SSM_SSH_PUSH for --push, and so on for each option that `ssm-ssh config` lists.
"""


def run(argv: list[str]) -> int:
    """Run the command; returns the exit status. Errors go into the SSH stream, where ssh shows them.

    A dry run is for a person: its errors go to stderr.
    """
    report = output.error if "--dry-run" in argv else _report_in_band
    try:
        return _proxy(_arguments(argv))
    except SsmSshError as error:
        report(error.sentence())
    except Exception as error:
        # Help and plans go to people, not to ssh. Whether argparse raises here depends on its version.
        if isinstance(error, BrokenPipeError) and not {"--dry-run", "--help", "-h"}.isdisjoint(argv):
            raise
        from ssm_ssh.log import Log

        Log(None, debug="--debug" in argv).failure(error)
        report(
            f"unexpected error: {printable(describe_unexpected(error))}. Add --debug to the ProxyCommand to see where"
        )
    return 1


def _arguments(argv: list[str]) -> dict[str, Any]:
    """Return what `argv` says. Raises UsageError."""
    if not any("'" in word or '"' in word for word in argv):
        return plain_arguments(argv) or vars(_parser().parse_args(argv))
    from ssm_ssh.aws.config.ini import SharedFiles
    from ssm_ssh.cli import quotes

    words = quotes.rejoin(argv)
    arguments = plain_arguments(words) or vars(_parser().parse_args(words))
    return quotes.unquote(arguments, lambda: SharedFiles(os.environ).profiles, os.path.lexists)


# Options with a value. argparse takes these and the switches too, see _parser().
_OPTIONS = (
    *("--profile", "--region", "--default-profile", "--default-region", "--search", "--document", "--push"),
    *("--push-document", "--push-lifetime", "--key", "--key-type", "--host-keys", "--resume-limit", "--log-file"),
)
_SWITCHES = ("--dry-run", "--start", "--debug")
_PORT, _USER = "22", "ec2-user"


def _parser() -> Arguments:
    from ssm_ssh.cli.parser import command_parser

    parser = command_parser("proxy", _DESCRIPTION, epilog=_EPILOG)
    parser.add_argument("host", metavar="HOST", help="instance id, and after dots a region, a profile, or both")
    parser.add_argument("port", metavar="PORT", nargs="?", default=_PORT, help="sshd's port there (22)")
    parser.add_argument("user", metavar="USER", nargs="?", default=_USER, help="user there (ec2-user)")
    parser.add_argument("--profile", help="AWS profile")
    parser.add_argument("--region", help="AWS region")
    parser.add_argument("--default-profile", metavar="P", help="profile where neither HOST nor environment names one")
    parser.add_argument("--default-region", metavar="R", help="region where nothing else names one")
    parser.add_argument("--search", metavar="PLACES", help="where to look for an unknown instance: 'P:R,R P ...'")
    parser.add_argument("--document", metavar="NAME", help="session document (AWS-StartSSHSession)")
    parser.add_argument(
        "--push",
        metavar="WAY",
        help="how the key gets there: auto, eic (EC2 Instance Connect), send-command, none (it is there already)",
    )
    parser.add_argument("--push-document", metavar="NAME", help="command document of send-command (AWS-RunShellScript)")
    parser.add_argument("--push-lifetime", metavar="S", help="how long send-command's keys are accepted (60 s)")
    parser.add_argument("--key", metavar="KEY", help="the public key to log in with: a file, agent, agent:COMMENT")
    parser.add_argument("--key-type", metavar="TYPE", help="ssm-ssh's own key pair that ssh was given: rsa or ed25519")
    parser.add_argument(
        "--host-keys",
        metavar="POLICY",
        help="policy for a first host key: record it, or require that a source confirms it",
    )
    parser.add_argument("--resume-limit", metavar="S", help="how long to try to resume a lost connection (900 s)")
    parser.add_argument("--start", action="store_true", help="start the instance if it is stopped (SSM_SSH_START)")
    parser.add_argument("--dry-run", action="store_true", help="show the AWS calls without making them")
    parser.add_argument("--log-file", metavar="PATH", help="write the log there")
    return parser


def plain_arguments(argv: list[str]) -> dict[str, Any] | None:
    """Return what argparse would make of `argv`, None where only argparse can tell.

    ssh calls this program as setup has written it, with options and then HOST PORT USER. argparse costs each
    connection eight milliseconds; it is needed for everything else, and for its errors.
    """
    plain = simple_arguments.read(argv, _OPTIONS, _SWITCHES)
    if plain is None or not 1 <= len(plain[1]) <= 3:
        return None
    values, words = plain
    values["host"], values["port"], values["user"] = [*words, *(_PORT, _USER)[len(words) - 1 :]]
    return values


def _proxy(arguments: dict[str, Any]) -> int:
    from pathlib import Path

    from ssm_ssh.auth.key_type import ED25519, TYPES
    from ssm_ssh.locate.hostname import parse
    from ssm_ssh.locate.resolver import locate
    from ssm_ssh.log import open_log
    from ssm_ssh.settings import schema
    from ssm_ssh.settings.options import connection_options
    from ssm_ssh.tunnel.connection import Connection
    from ssm_ssh.tunnel.destination import parse_destination

    output.open_standard_descriptors()
    name = parse(arguments["host"])
    destination = parse_destination(name.target, arguments["port"], arguments["user"], name.spelled)
    # Which pair ssh was given depends on the block that started this, not on the settings of today.
    key_type = arguments.pop("key_type") or ED25519
    if key_type not in TYPES:
        raise UsageError(f"--key-type is '{key_type[:40]}'", f"Use {' or '.join(TYPES)}")
    settings = schema.load({**arguments, "start": "always" if arguments["start"] else None})
    log_file = Path(arguments["log_file"]) if arguments["log_file"] else None
    log = open_log(log_file, debug=arguments["debug"], subject=name.instance_id)
    located = locate(
        name,
        settings,
        profile=arguments["profile"] or "",
        region=arguments["region"] or "",
        debug=log.debug,
        may_search=not arguments["dry_run"],
    )
    connection = Connection(destination, located.aws, connection_options(settings, key_type), log)
    if arguments["dry_run"]:
        output.line("\n".join([*located.plan(), *connection.plan()]))
        return 0
    return connection.carry()


def _report_in_band(sentence: str) -> None:
    if sys.stdout.isatty():
        output.error(sentence)
        return
    import select

    from ssm_ssh.ssh.disconnect import disconnect

    try:
        os.write(1, disconnect(sentence))
        # ssh writes before it reads, and reports a broken pipe instead if this process is gone by then.
        while select.select([0], [], [], 2.0)[0] and os.read(0, 65536):
            pass
    except OSError:
        output.error(sentence)
