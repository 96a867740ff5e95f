"""`ssm-ssh proxy HOST PORT USER`: what ssh runs as its ProxyCommand. stdout carries SSH bytes alone."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

from ssm_ssh.cli.arguments import Arguments, seconds
from ssm_ssh.errors import SsmSshError, UsageError
from ssm_ssh.text import printable

if TYPE_CHECKING:
    import argparse

_DESCRIPTION = """\
Carry one SSH connection to HOST through AWS Systems Manager Session Manager. ssh runs this as:
  ProxyCommand ssm-ssh proxy '%h' '%p' '%r'
The key of ssm-ssh is pushed through EC2 Instance Connect for each connection and accepted for 60 seconds.
"""

_EPILOG = """\
environment: AWS_PROFILE, AWS_REGION and everything else that the AWS CLI reads, HTTPS_PROXY, NO_PROXY,
AWS_CA_BUNDLE; SSM_SSH_DOCUMENT, SSM_SSH_PUSH, SSM_SSH_HOST_KEYS and SSM_SSH_RESUME_LIMIT stand in for the options of
those names.
"""


def run(argv: list[str]) -> int:
    """Run the command; returns the exit status. An error is said in the SSH stream, where ssh shows it."""
    try:
        options = _parser().parse_args(argv)
        return _proxy(options)
    except SsmSshError as error:
        _say_in_band(error.sentence())
    except Exception as error:
        if "--debug" in argv:
            raise
        _say_in_band(f"unexpected error: {printable(repr(error))}. Add --debug to the ProxyCommand to see where")
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
    env = os.environ.get
    parser.add_argument("host", metavar="HOST", help="instance id: i-... or mi-...")
    parser.add_argument("port", metavar="PORT", nargs="?", default="22", help="sshd's port there (22)")
    parser.add_argument("user", metavar="USER", nargs="?", default="ec2-user", help="user there (ec2-user)")
    parser.add_argument("--profile", help="AWS profile")
    parser.add_argument("--region", help="AWS region")
    parser.add_argument("--default-profile", metavar="P", help="profile where the environment chooses none")
    parser.add_argument("--default-region", metavar="R", help="region where the environment chooses neither")
    parser.add_argument("--document", default=env("SSM_SSH_DOCUMENT") or "AWS-StartSSHSession", help="session document")
    parser.add_argument(
        "--push",
        choices=("auto", "eic", "none"),
        default=env("SSM_SSH_PUSH") or "auto",
        help="how the key gets there: auto, eic (EC2 Instance Connect), none (it is there already)",
    )
    parser.add_argument(
        "--host-keys",
        choices=("record", "require"),
        default=env("SSM_SSH_HOST_KEYS") or "record",
        help="a first host key that nothing may confirm: record it and say so, or require that it is verified",
    )
    parser.add_argument(
        "--resume-limit",
        type=seconds,
        default=env("SSM_SSH_RESUME_LIMIT") or "900",
        metavar="S",
        help="how long to try to get a lost connection back (900 seconds)",
    )
    parser.add_argument("--dry-run", action="store_true", help="print what would be called with what, call nothing")
    parser.add_argument("--debug", action="store_true", help="tell every step on stderr")
    parser.add_argument("--log-file", metavar="PATH", help="write the log there")
    return parser


def _proxy(options: argparse.Namespace) -> int:
    from pathlib import Path

    from ssm_ssh.connect import Connection
    from ssm_ssh.defaults import choose
    from ssm_ssh.log import open_log
    from ssm_ssh.target import parse_target

    _open_standard_descriptors()
    if options.host_keys not in ("record", "require"):
        raise UsageError("SSM_SSH_HOST_KEYS is neither 'record' nor 'require'", "Set it to one of them, or unset it")
    target = parse_target(options.host, options.port, options.user)
    log_file = Path(options.log_file) if options.log_file else None
    log = open_log(log_file, debug=options.debug, subject=target.instance_id)
    chosen = choose(
        os.environ,
        profile=options.profile or "",
        region=options.region or "",
        default_profile=options.default_profile or "",
        default_region=options.default_region or "",
    )
    connection = Connection(
        target,
        profile=chosen.profile or None,
        region=chosen.region or None,
        document=options.document,
        push=options.push,
        host_keys=options.host_keys,
        spelled=options.host,
        log=log,
    )
    if options.dry_run:
        print("\n".join(connection.plan()))
        return 0
    return connection.carry(resume_limit=options.resume_limit)


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
