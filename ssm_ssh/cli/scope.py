"""What `list` and `sync` have in common: the choice of accounts, regions and tags, and the asking."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING, NamedTuple

from ssm_ssh.errors import UsageError
from ssm_ssh.text import printable

if TYPE_CHECKING:
    import argparse

    from ssm_ssh.aws.config.ini import SharedFiles
    from ssm_ssh.cli.parser import Arguments
    from ssm_ssh.locate.search import Answer
    from ssm_ssh.locate.selection import Spot
    from ssm_ssh.settings.schema import Place, Settings

WHERE = """\
which accounts and regions: what PLACE, --profile and --region say; else the sync setting; else the search setting and
the defaults given to setup, of which AWS_PROFILE and AWS_REGION leave what they name; else AWS_PROFILE, AWS_REGION and
the rest that the AWS CLI reads.
"""


class Asked(NamedTuple):
    """The settings in force, ~/.aws as it is, and what each place answered."""

    settings: Settings
    files: SharedFiles
    answers: list[Answer]


def add_options(parser: Arguments) -> None:
    """Add the options that choose accounts, regions and tags."""
    parser.add_argument("places", metavar="PLACE", nargs="*", help="PROFILE, or PROFILE:REGION,REGION")
    parser.add_argument("--profile", action="append", metavar="P", help="AWS profile; may be repeated")
    parser.add_argument("--region", action="append", metavar="R[,R]", help="AWS region; may be repeated")
    parser.add_argument(
        "--tag",
        action="append",
        metavar="KEY[=VALUE,...]",
        help="only instances with this tag (and one of these values); repeated, all must be there",
    )
    parser.add_argument("--debug", action="store_true", help="tell every call on stderr")


def ask(options: argparse.Namespace, *, tags: tuple[str, ...] = ()) -> Asked:
    """Ask every chosen place. `tags` hold where the options name none. Raises UsageError."""
    from ssm_ssh.aws.config.ini import SharedFiles
    from ssm_ssh.locate.resolver import connector
    from ssm_ssh.locate.search import everything
    from ssm_ssh.log import Log
    from ssm_ssh.settings import schema

    found = schema.load(vars(options))
    files = SharedFiles(os.environ)
    spots = _spots(options, found)
    filters = [_tag(one) for one in options.tag or tags or ()]
    debug = Log(None, debug=options.debug).debug
    return Asked(found, files, everything(spots, filters, connector(found, os.environ, files, debug)))


def complain(answers: list[Answer]) -> int:
    """Say on stderr which places could not tell, and return how many those are."""
    # A spot without a profile is what the environment leaves.
    chosen = os.environ.get("AWS_DEFAULT_PROFILE") or os.environ.get("AWS_PROFILE") or "default profile"
    failed = 0
    nameless: dict[str, list[str]] = {}
    for one in answers:
        name = f"{one.spot.profile or chosen}{f', {one.spot.region}' if one.spot.region else ''}"
        if one.error is not None:
            failed += 1
            print(f"ssm-ssh: {printable(name, 80)}: {one.error.sentence()}", file=sys.stderr)
        elif one.found is not None and one.found.names_error:
            nameless.setdefault(one.found.names_error, []).append(name)
    for why, names in nameless.items():
        print(f"ssm-ssh: {printable(', '.join(names), 200)}: no names: {printable(why)}", file=sys.stderr)
    return failed


def _spots(options: argparse.Namespace, settings: Settings) -> list[Spot]:
    from ssm_ssh.locate.resolver import spots
    from ssm_ssh.locate.selection import Spot, choose, narrow

    regions = [one for words in options.region or () for one in words.split(",")]
    if options.places:
        if options.profile or regions:
            raise UsageError("PLACE and --profile or --region exclude each other", "Use PROFILE:REGION,REGION")
        return spots([_place(one) for one in options.places])
    if not options.profile and not regions:
        if settings.words("sync"):
            return spots(settings.places("sync"))
        if looked_at := narrow(settings, os.environ):
            return list(looked_at)
    choice = choose(settings, os.environ)
    own = "" if choice.by_environment else choice.profile
    # The default region is that of the default profile; others bring their own.
    here = [""] if options.profile else [choice.region]
    return list(dict.fromkeys(Spot(one, region) for one in options.profile or [own] for region in regions or here))


def _place(text: str) -> Place:
    from ssm_ssh.settings.schema import parse_place

    try:
        return parse_place(text)
    except ValueError:
        raise UsageError(f"'{printable(text, 80)}' is no place", "Use PROFILE or PROFILE:REGION,REGION") from None


def _tag(text: str) -> tuple[str, tuple[str, ...]]:
    from ssm_ssh.settings.schema import parse_tag

    try:
        return parse_tag(text)
    except ValueError:
        raise UsageError(f"'{printable(text, 80)}' is no tag", "Use KEY or KEY=VALUE,VALUE") from None
