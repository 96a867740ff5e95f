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
Configure ssh, scp, sftp, rsync, git and other programs that use OpenSSH to reach instances by their ids:

  ssm-ssh setup
  ssh ec2-user@i-0123456789abcdef0

ssm-ssh keeps its rules in its own file, ~/.ssh/ssm-ssh.config, and adds one line at the top of ~/.ssh/config to include
it. Nothing else in that file changes. Before and after the change, setup asks ssh itself (ssh -G) whether all other
hosts have the same settings; if not, it reverts the change. After an upgrade, run it again to update the rules.
"""

_EPILOG = """\
The rules match only instance ids (i- with 8 or 17 hexadecimal digits, mi- with 17), and names for which your own
configuration has such an id as HostName, unless it has a ProxyCommand or ProxyJump for them.
setup keeps a backup of ~/.ssh/config. --remove restores the file exactly, and keeps keys and known hosts.

exit status: 0 done, or nothing to do; 1 failed, and nothing was changed; 2 wrong arguments, or an unusable file.
"""

# A list longer than this is for a file, not for a person.
_SHOWN = 10


def run(argv: list[str]) -> int:
    """Run the command; returns its exit status."""
    options = _parser().parse_args(argv)
    from ssm_ssh.names import is_duration
    from ssm_ssh.sshconfig import effective, install, locations, sharing

    where, ssh = locations.find_place(), effective.find_ssh()
    if options.remove:
        done = install.uninstall(where, ssh, dry_run=options.dry_run)
        _tell(done, options.dry_run, nothing="Nothing to remove: ssh's configuration does not use ssm-ssh.")
        return 0
    _check_choice(options)
    from ssm_ssh.auth import keypair
    from ssm_ssh.auth.key_type import ED25519
    from ssm_ssh.install_hints import command
    from ssm_ssh.settings import schema
    from ssm_ssh.sshconfig.desired import compose, own_key_type

    if is_duration(options.share or ""):  # what cannot be is refused before anything is stored
        sharing.options(where.folder, options.share or "")
    stored = _store(options, dry_run=options.dry_run)
    if not options.dry_run:
        for key_type in dict.fromkeys((own_key_type(schema.load()), ED25519)):
            keypair.public_key(key_type)
    done = install.set_up(
        where,
        ssh,
        lambda before: compose(where, before, dry_run=options.dry_run, share=options.share),
        inline=options.inline,
        dry_run=options.dry_run,
    )
    _tell(
        done,
        options.dry_run,
        nothing="" if stored else "Nothing to do: ssh is set up and up to date.",
        next_step=f"Next: {command()} list, which shows your instances, then: ssh ec2-user@i-...",
    )
    return 0


def _parser() -> Arguments:
    import argparse

    parser = command_parser("setup", _DESCRIPTION, epilog=_EPILOG)
    parser.add_argument("--dry-run", action="store_true", help="show the change as a diff, without making it")
    parser.add_argument("--remove", action="store_true", help="revert all changes")
    parser.add_argument(
        "--inline",
        action=argparse.BooleanOptionalAction,
        default=None,
        help="keep the rules in ~/.ssh/config itself, between two marks, for programs that do not follow Include "
        "(paramiko); --no-inline goes back. Otherwise it stays as it is",
    )
    parser.add_argument(
        "--share",
        nargs="?",
        const="10m",
        metavar="TIME",
        help="have ssh share one connection to an instance, and keep it for TIME after its last use (10m); no: do not. "
        "Otherwise it stays as it is",
    )
    parser.add_argument("--profile", help="default profile, if nothing else chooses one ('': none)")
    parser.add_argument("--region", help="default region, if nothing else chooses one ('': none)")
    parser.add_argument(
        "--search",
        action="append",
        metavar="PROFILE[:REGION,...] ...",
        help="where to search for an instance that nothing else locates; several in quotes, or repeated ('': nowhere)",
    )
    return parser


def _check_choice(options: argparse.Namespace) -> None:
    """Refuse profiles that are not configured and impossible regions before they are stored.

    A region that is not in botocore's list causes a warning only, because AWS opens new ones.
    """
    from ssm_ssh.aws.config import settings
    from ssm_ssh.settings.schema import parse_place

    profiles, regions = [options.profile or ""], [options.region or ""]
    for text in _places(options.search or []):
        try:
            place = parse_place(text)
        except ValueError:
            continue  # reported with what is allowed when it is stored
        profiles.append(place.profile)
        regions += place.regions
    for region in filter(None, dict.fromkeys(regions)):
        settings.check_region(region)
    for profile in filter(None, dict.fromkeys(profiles)):
        # Any region will do: this is about the profile.
        settings.load(profile=profile, region="us-east-1", env=os.environ)
    for region in filter(None, dict.fromkeys(regions)):
        _warn_of_unknown(region)


def _warn_of_unknown(region: str) -> None:
    from ssm_ssh.aws.config.regions import known_regions, suggestion

    known = known_regions()
    if known and region not in known:
        output.note(f"Warning: the region '{region}' is not a known one. {suggestion(region)}".rstrip())


def _store(options: argparse.Namespace, *, dry_run: bool) -> bool:
    """Write what was given into the settings file, where every command looks, or show that change in a dry run.

    Returns whether the file changes.
    """
    from ssm_ssh.settings import schema

    changes: dict[str, str | float | list[str] | None] = {}
    if options.profile is not None:
        changes["default_profile"] = options.profile or None
    if options.region is not None:
        changes["default_region"] = options.region or None
    if options.share is not None:
        changes["share"] = None if options.share == "no" else options.share
    if options.search is not None:
        changes["search"] = _places(options.search) or None
    path, before, after = schema.preview(changes)
    if before == after:
        return False
    if dry_run:
        output.raw(_diff(str(path), before, after))
    else:
        schema.store(changes)
        output.line(f"{_verb(before, after)} {path}")
    return True


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


def _tell(done: Done, dry_run: bool, *, nothing: str, next_step: str = "") -> None:
    from ssm_ssh.text import printable

    changes = done.plan.changes
    if not changes:
        if nothing:
            output.line(nothing)
    elif dry_run:
        output.raw("".join(_diff(str(seen.path), seen.content, content) for seen, content in changes))
    else:
        for seen, content in changes:
            output.line(f"{_verb(seen.content, content)} {seen.path}")
        if done.backup is not None:
            output.line(f"Saved the previous configuration as {done.backup}")
        if done.hosts:
            output.line(f"ssh confirms that other hosts have the same settings as before (asked about {done.hosts})")
    if done.names and (changes or dry_run):
        output.line(f"Your own names for instances go through ssm-ssh too: {_some(done.names)}")
    sudo = os.environ.get("SUDO_USER", "")
    if sudo and os.geteuid() == 0:
        output.line(f"Warning: this is root's configuration, not that of {printable(sudo, 60)}")
    for note in done.notes:
        output.line(f"Warning: {note.line()}")
    if next_step and changes and not dry_run:
        output.line("Programs with an SSH client of their own, such as Paramiko and PuTTY: see docs/compatibility.md")
    if next_step and not dry_run:
        output.line(next_step)


def _some(names: tuple[str, ...]) -> str:
    more = len(names) - _SHOWN
    return ", ".join(names[:_SHOWN]) + (f" and {more} more" if more > 0 else "")


def _verb(before: bytes | None, after: bytes | None) -> str:
    return "Removed" if after is None else "Made" if before is None else "Changed"


def _diff(path: str, before: bytes | None, after: bytes | None) -> str:
    """Return how the content of `path` changes, as a unified diff. None: no file."""
    import difflib

    def lines(content: bytes | None) -> list[str]:
        if content is None:
            return []
        # What a terminal would take for a command is shown, not sent.
        text = content.decode("utf-8", "backslashreplace")
        shown = "".join(c if c.isprintable() or c in "\n\t" else c.encode("unicode_escape").decode() for c in text)
        return shown.split("\n")

    names = ("/dev/null" if before is None else path, "/dev/null" if after is None else path)
    diff = difflib.unified_diff(lines(before), lines(after), *names, n=2)
    return "".join(f"{line.rstrip(chr(10))}\n" for line in diff)
