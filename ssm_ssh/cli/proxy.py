"""`ssm-ssh proxy HOST PORT USER`: what ssh runs as its ProxyCommand. stdout carries SSH bytes alone."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

from ssm_ssh.cli.parser import Arguments
from ssm_ssh.errors import SsmSshError
from ssm_ssh.text import describe_unexpected, printable

if TYPE_CHECKING:
    import argparse

_DESCRIPTION = """\
Carry one SSH connection to HOST through AWS Systems Manager Session Manager. ssh runs this as:
  ProxyCommand ssm-ssh proxy '%h' '%p' '%r'
A public key is pushed for each connection, by EC2 Instance Connect or send-command, and accepted for a minute.
"""

_EPILOG = """\
HOST may say region and profile: i-0123456789abcdef0.eu-west-1.prod, in any order. Otherwise AWS_PROFILE and
AWS_REGION decide, then where the instance was last reached, then the defaults, then a search.

environment: AWS_PROFILE, AWS_REGION and everything else that the AWS CLI reads, HTTPS_PROXY, NO_PROXY,
AWS_CA_BUNDLE; SSM_SSH_PUSH for --push, and so on for each option that `ssm-ssh config` lists.
"""


def run(argv: list[str]) -> int:
    """Run the command; returns the exit status. An error is said in the SSH stream, where ssh shows it."""
    try:
        options = _parser().parse_args(argv)
        return _proxy(options)
    except SsmSshError as error:
        _say_in_band(error.sentence())
    except Exception as error:
        # Help and plans are for people, and no SSH. Some versions of argparse raise here, some do not.
        if isinstance(error, BrokenPipeError) and not {"--dry-run", "--help", "-h"}.isdisjoint(argv):
            raise
        from ssm_ssh.log import Log

        Log(None, debug="--debug" in argv).failure(error)
        _say_in_band(
            f"unexpected error: {printable(describe_unexpected(error))}. Add --debug to the ProxyCommand to see where"
        )
    return 1


def _parser() -> Arguments:
    import argparse

    parser = Arguments(
        prog="ssm-ssh proxy",
        description=_DESCRIPTION,
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("host", metavar="HOST", help="instance id, and after dots a region, a profile, or both")
    parser.add_argument("port", metavar="PORT", nargs="?", default="22", help="sshd's port there (22)")
    parser.add_argument("user", metavar="USER", nargs="?", default="ec2-user", help="user there (ec2-user)")
    parser.add_argument("--profile", help="AWS profile")
    parser.add_argument("--region", help="AWS region")
    parser.add_argument("--default-profile", metavar="P", help="profile where neither name nor environment choose one")
    parser.add_argument("--default-region", metavar="R", help="region where nothing else chooses one")
    parser.add_argument("--search", metavar="PLACES", help="where to look for an unknown instance: 'P:R,R P ...'")
    parser.add_argument("--document", metavar="NAME", help="session document (AWS-StartSSHSession)")
    parser.add_argument(
        "--push",
        metavar="WAY",
        help="how the key gets there: auto, eic (EC2 Instance Connect), send-command, none (it is there already)",
    )
    parser.add_argument("--push-document", metavar="NAME", help="command document of send-command (AWS-RunShellScript)")
    parser.add_argument("--push-lifetime", metavar="S", help="how long send-command's keys are accepted (60 s)")
    parser.add_argument("--key", metavar="KEY", help="the public key that is let in: a file, agent, agent:COMMENT")
    parser.add_argument(
        "--host-keys",
        metavar="POLICY",
        help="a first host key that nothing may confirm: record it and say so, or require that it is verified",
    )
    parser.add_argument("--resume-limit", metavar="S", help="how long to try to get a lost connection back (900 s)")
    parser.add_argument("--dry-run", action="store_true", help="print what would be called with what, call nothing")
    parser.add_argument("--debug", action="store_true", help="tell every step on stderr")
    parser.add_argument("--log-file", metavar="PATH", help="write the log there")
    return parser


def _proxy(options: argparse.Namespace) -> int:
    from pathlib import Path

    from ssm_ssh.auth.push import Wish
    from ssm_ssh.locate.hostname import instance_of
    from ssm_ssh.locate.resolver import locate
    from ssm_ssh.log import open_log
    from ssm_ssh.settings import schema
    from ssm_ssh.target import parse_target
    from ssm_ssh.tunnel.connection import Connection

    _open_standard_descriptors()
    target = parse_target(instance_of(options.host), options.port, options.user)
    chosen = schema.load(vars(options))
    log_file = Path(options.log_file) if options.log_file else None
    log = open_log(log_file, debug=options.debug, subject=target.instance_id)
    located = locate(
        options.host,
        chosen,
        profile=options.profile or "",
        region=options.region or "",
        debug=log.debug,
        may_search=not options.dry_run,
    )
    connection = Connection(
        target,
        located.aws,
        document=chosen.text("document"),
        wish=Wish(
            chosen.text("push"),
            document=chosen.text("push_document"),
            after_denied=chosen.text("push_after_denied") == "yes",
            lifetime=int(chosen.seconds("push_lifetime")),
        ),
        key=chosen.text("key"),
        key_age=chosen.seconds("key_age"),
        host_keys=chosen.text("host_keys"),
        spelled=located.name.spelled,
        log=log,
    )
    if options.dry_run:
        print("\n".join([*located.plan(), *connection.plan()]))
        return 0
    return connection.carry(resume_limit=chosen.seconds("resume_limit"))


def _open_standard_descriptors() -> None:
    """Keep 0, 1 and 2 taken where a caller closed them: a socket of ours must not be taken for ssh's stdin."""
    for fd in (0, 1, 2):
        try:
            os.fstat(fd)
        except OSError:
            os.open(os.devnull, os.O_RDWR)


def _say_in_band(sentence: str) -> None:
    if sys.stdout.isatty():
        print(f"ssm-ssh: {sentence}", file=sys.stderr)
        return
    import select

    from ssm_ssh.ssh.disconnect import disconnect

    try:
        os.write(1, disconnect(sentence))
        # ssh writes before it reads: gone too early, we would make it report a broken pipe instead
        while select.select([0], [], [], 2.0)[0] and os.read(0, 65536):
            pass
    except OSError:
        print(f"ssm-ssh: {sentence}", file=sys.stderr)
