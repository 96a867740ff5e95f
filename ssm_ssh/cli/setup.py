"""`ssm-ssh setup`: make plain ssh reach instances by their ids, or take that back."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from ssm_ssh.cli import output
from ssm_ssh.cli.parser import Arguments, command_parser

if TYPE_CHECKING:
    import argparse

    from ssm_ssh.sshconfig.install import Done

_DESCRIPTION = """\
Make ssh, scp, sftp, rsync, git and whatever else uses OpenSSH reach instances by their ids:

  ssm-ssh setup
  ssh ec2-user@i-0123456789abcdef0

ssm-ssh keeps its rules in a file of its own, ~/.ssh/ssm-ssh.config, and puts one line before everything else in
~/.ssh/config, which includes it. Nothing else of that file changes. Before, ssh itself is asked (ssh -G) whether every
other host stays as it is; afterwards it is asked again, and if the answer differs everything is put back.
Running it again after an upgrade rewrites ssm-ssh's own file alone.
"""

_EPILOG = """\
Only names that are instance ids are ssm-ssh's: i- with 8 or 17 hexadecimal digits, mi- with 17.
A backup of ~/.ssh/config is kept; --remove takes everything back to the byte and leaves keys and known hosts alone.

exit status: 0 done, or nothing to do; 1 it could not be done, nothing has changed; 2 the call or a file is not usable.
"""


def run(argv: list[str]) -> int:
    """Run the command; returns its exit status."""
    options = _parser().parse_args(argv)
    from ssm_ssh.sshconfig import effective, install, locations

    where, ssh = locations.find_place(), effective.find_ssh()
    if options.remove:
        done = install.take_away(where, ssh, dry_run=options.dry_run)
        _tell(done, "Nothing to remove: ssh's configuration holds nothing of ssm-ssh.", dry_run=options.dry_run)
        return 0
    _check_choice(options)
    from ssm_ssh.auth import keypair
    from ssm_ssh.install_hints import command
    from ssm_ssh.sshconfig.desired import compose

    if not options.dry_run:
        _store(options)
        keypair.public_key()
    done = install.set_up(
        where,
        ssh,
        lambda before: compose(where, before, dry_run=options.dry_run),
        inline=options.inline,
        dry_run=options.dry_run,
    )
    _tell(
        done,
        "Nothing to do: ssh is set up, and everything is current.",
        dry_run=options.dry_run,
        next_step=f"Next: {command()} list, which shows your instances, then: ssh ec2-user@i-...",
    )
    return 0


def _parser() -> Arguments:
    import argparse

    parser = command_parser("setup", _DESCRIPTION, epilog=_EPILOG)
    parser.add_argument("--dry-run", action="store_true", help="show what would change as a diff, change nothing")
    parser.add_argument("--remove", action="store_true", help="take everything back")
    parser.add_argument(
        "--inline",
        action=argparse.BooleanOptionalAction,
        default=None,
        help="keep the rules in ~/.ssh/config itself, between two marks, for programs that do not follow Include "
        "(paramiko); --no-inline goes back. Otherwise it stays as it is",
    )
    parser.add_argument("--profile", help="default profile, where nothing else chooses one ('': none)")
    parser.add_argument("--region", help="default region, where nothing else chooses one ('': none)")
    parser.add_argument(
        "--search",
        action="append",
        metavar="PROFILE[:REGION,...] ...",
        help="where to look for an instance that nothing else places; several in quotes, or repeated ('': nowhere)",
    )
    return parser


def _check_choice(options: argparse.Namespace) -> None:
    """Refuse a profile that is not there, or a region that cannot be, before it is written down."""
    from ssm_ssh.aws.config import settings

    if options.region:
        settings.check_region(options.region)
    if options.profile:
        # Any region will do: this is about the profile.
        settings.load(profile=options.profile, region=options.region or "us-east-1", env=os.environ)


def _store(options: argparse.Namespace) -> None:
    """Write what was given into the settings file, where every command looks."""
    from ssm_ssh.settings import schema

    changes: dict[str, str | float | list[str] | None] = {}
    if options.profile is not None:
        changes["default_profile"] = options.profile or None
    if options.region is not None:
        changes["default_region"] = options.region or None
    if options.search is not None:
        changes["search"] = _places(options.search) or None
    if changes and schema.store(changes):
        output.line(f"Changed {schema.load().path}")


def _places(values: list[str]) -> list[str]:
    """Return the places that `values` of --search name: one each, or several words, as in SSM_SSH_SEARCH."""
    from ssm_ssh.aws.config.ini import SharedFiles
    from ssm_ssh.settings.schema import parse_place

    profiles = SharedFiles(os.environ).profiles

    def is_place(value: str) -> bool:
        try:
            return parse_place(value).profile in profiles
        except ValueError:
            return False

    # A profile's name may hold spaces.
    return [place for value in values for place in ([value] if is_place(value) else value.split())]


def _tell(done: Done, nothing: str, *, dry_run: bool, next_step: str = "") -> None:
    from ssm_ssh.text import printable

    changes = done.plan.changes
    if not changes:
        output.line(nothing)
    elif dry_run:
        output.raw(_diff(done))
    else:
        for seen, content in changes:
            verb = "Removed" if content is None else "Made" if seen.content is None else "Changed"
            output.line(f"{verb} {seen.path}")
        if done.backup is not None:
            output.line(f"Kept the configuration as it was in {done.backup}")
        if done.hosts:
            output.line(f"ssh itself confirms that other hosts stay as they were (asked about {done.hosts})")
    sudo = os.environ.get("SUDO_USER", "")
    if sudo and os.geteuid() == 0:
        output.line(f"Warning: this is root's configuration, not that of {printable(sudo, 60)}")
    for note in done.notes:
        output.line(f"Warning: {note.line()}")
    if next_step and not dry_run:
        output.line(next_step)


def _diff(done: Done) -> str:
    import difflib

    def lines(content: bytes | None) -> list[str]:
        if content is None:
            return []
        # What a terminal would take for a command is shown, not sent.
        text = content.decode("utf-8", "backslashreplace")
        shown = "".join(c if c.isprintable() or c in "\n\t" else c.encode("unicode_escape").decode() for c in text)
        return shown.split("\n")

    out = []
    for seen, content in done.plan.changes:
        names = (
            "/dev/null" if seen.content is None else str(seen.path),
            "/dev/null" if content is None else str(seen.path),
        )
        out += [line.rstrip("\n") for line in difflib.unified_diff(lines(seen.content), lines(content), *names, n=2)]
    return "".join(f"{line}\n" for line in out)
