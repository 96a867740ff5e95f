"""What `list` and `sync` share: the choice of accounts, regions and tags, and the calls to them."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, NamedTuple

from ssm_ssh.cli import output
from ssm_ssh.errors import UsageError
from ssm_ssh.text import printable

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable

    from ssm_ssh.aws.api.client import Api
    from ssm_ssh.aws.config.ini import SharedFiles
    from ssm_ssh.cli.parser import Arguments
    from ssm_ssh.locate.search import Answer
    from ssm_ssh.locate.selection import Scope
    from ssm_ssh.settings.schema import Place, Settings

WHERE = """\
Accounts and regions come from PLACE, --profile and --region; else from the setting `sync`; else from the setting
`search` and the defaults of setup, narrowed by AWS_PROFILE and AWS_REGION; else from AWS_PROFILE, AWS_REGION and the
other settings of the AWS CLI.
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


class Places(NamedTuple):
    """The settings in force, ~/.aws as it is, the chosen places, and what makes the Api of each."""

    settings: Settings
    files: SharedFiles
    scopes: list[Scope]
    connect: Callable[[Scope], Api]

    @property
    def names(self) -> str:
        """The first places, for a line about what is being asked."""
        return f"{', '.join(map(name_of, self.scopes[:3]))}{' and more' * (len(self.scopes) > 3)}"


def choose(options: argparse.Namespace) -> Places:
    """Return the places that `options` choose. Calls nothing. Raises UsageError."""
    from ssm_ssh.aws.config.ini import SharedFiles
    from ssm_ssh.locate.resolver import connector
    from ssm_ssh.log import Log
    from ssm_ssh.settings import schema

    settings = schema.load(vars(options))
    files = SharedFiles(os.environ)
    for text in options.places:
        _refuse_region(text, files)
    debug = Log(None, debug=options.debug).debug
    return Places(settings, files, _scopes(options, settings), connector(settings, os.environ, files, debug))


def ask(options: argparse.Namespace, *, tags: tuple[str, ...] = ()) -> Asked:
    """Ask every chosen place. `tags` hold where the options name none. Raises UsageError."""
    from ssm_ssh.locate.search import everything

    chosen = choose(options)
    filters = [_tag(text) for text in options.tag or tags or ()]
    with output.progress(f"Asking AWS about {chosen.names} ..."):
        answers = everything(chosen.scopes, filters, chosen.connect)
    return Asked(chosen.settings, chosen.files, answers)


def complain(answers: list[Answer]) -> int:
    """Report on stderr the places that failed, and return their number."""
    failed = 0
    nameless: dict[str, list[str]] = {}
    for answer in answers:
        name = name_of(answer.scope)
        if answer.error is not None:
            failed += 1
            output.error(f"{printable(name, 80)}: {answer.error.sentence()}")
        elif answer.inventory is not None and answer.inventory.names_error:
            nameless.setdefault(answer.inventory.names_error, []).append(name)
    for why, names in nameless.items():
        output.error(f"{printable(', '.join(names), 200)}: no names: {printable(why)}")
    return failed


def name_of(scope: Scope) -> str:
    """Return a place as people name it; it may hold outside text."""
    # A scope without a profile stands for what the environment chooses.
    chosen = os.environ.get("AWS_DEFAULT_PROFILE") or os.environ.get("AWS_PROFILE") or "default profile"
    return f"{scope.profile or chosen}{f', {scope.region}' if scope.region else ''}"


def _scopes(options: argparse.Namespace, settings: Settings) -> list[Scope]:
    from ssm_ssh.locate.resolver import scopes
    from ssm_ssh.locate.selection import Scope, choose, narrow

    regions = [region for words in options.region or () for region in words.split(",")]
    if options.places:
        if options.profile or regions:
            raise UsageError("PLACE and --profile or --region exclude each other", "Use PROFILE:REGION,REGION")
        return scopes([_place(text) for text in options.places])
    if not options.profile and not regions:
        if settings.words("sync"):
            return scopes(settings.places("sync"))
        if looked_at := narrow(settings, os.environ):
            return list(looked_at)
    choice = choose(settings, os.environ)
    own = "" if choice.by_environment else choice.profile
    # The default region belongs to the default profile; other profiles have their own.
    default = [""] if options.profile else [choice.region]
    return list(
        dict.fromkeys(Scope(profile, region) for profile in options.profile or [own] for region in regions or default)
    )


def _place(text: str) -> Place:
    from ssm_ssh.settings.schema import parse_place

    try:
        return parse_place(text)
    except ValueError:
        raise UsageError(f"'{printable(text, 80)}' is not a place", "Use PROFILE or PROFILE:REGION,REGION") from None


def _refuse_region(text: str, files: SharedFiles) -> None:
    """Raise UsageError if `text` is a region where a profile belongs."""
    import re

    from ssm_ssh.settings.schema import LIKE_REGION

    if re.fullmatch(LIKE_REGION, text) and text not in files.profiles:
        raise UsageError(f"'{printable(text, 80)}' is a region, not a profile", f"Use --region {text}")


def _tag(text: str) -> tuple[str, tuple[str, ...]]:
    from ssm_ssh.settings.schema import parse_tag

    try:
        return parse_tag(text)
    except ValueError:
        raise UsageError(f"'{printable(text, 80)}' is not a tag", "Use KEY or KEY=VALUE,VALUE") from None
