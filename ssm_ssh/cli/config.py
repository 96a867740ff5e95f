"""`ssm-ssh config`: the settings in force and where they come from, and what would be chosen for a host."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from ssm_ssh.cli import output
from ssm_ssh.cli.parser import Arguments, command_parser
from ssm_ssh.cli.table import Column
from ssm_ssh.errors import SsmSshError

if TYPE_CHECKING:
    from ssm_ssh.settings.schema import Settings

_DESCRIPTION = """\
Show each setting with its value and origin, and the AWS profile and region that apply, to HOST if you name one: an
instance id, with or without a region and a profile after it. Nothing is changed and AWS is not called.

  ssm-ssh config
  ssm-ssh config i-0123456789abcdef0.eu-west-1
"""

_EPILOG = """\
A setting comes from the option of its name, else from SSM_SSH_NAME in the environment, else from the settings file.
In the environment a list is several words: SSM_SSH_SEARCH='prod:eu-west-1,us-east-1 dev'. The file is TOML:

  default_profile = "prod"
  search = ["prod:eu-west-1,us-east-1", "dev"]
  push = "eic"

settings:
"""


_COLUMNS = (Column("SETTING", whole=True), Column("VALUE", whole=True), Column("ORIGIN", wrap=True))


def run(argv: list[str]) -> int:
    """Run the command; returns its exit status."""
    options = _parser().parse_args(argv)
    from ssm_ssh.settings import schema

    settings = schema.load()
    rows = [(known.name, settings.value(known.name), settings.origin(known.name)) for known in schema.SETTINGS]
    chosen = _chosen(settings, options.host or "")
    if options.json:
        objects = {name: {"value": value, "origin": origin} for name, value, origin in [*rows, *chosen]}
        output.as_json({"file": str(settings.path), **objects})
        return 0
    output.table(_COLUMNS, [(name, _shown(value), origin) for name, value, origin in [*rows, *chosen]])
    output.line(f"\nThe settings file is {settings.path}{'' if settings.path.exists() else ', which does not exist'}.")
    return 0


def _parser() -> Arguments:
    from ssm_ssh.settings.schema import SETTINGS

    lines = [f"  {known.name}\n      {known.help}\n      allowed: {known.allowed}" for known in SETTINGS]
    parser = command_parser("config", _DESCRIPTION, epilog=_EPILOG + "\n".join(lines))
    parser.add_argument("host", metavar="HOST", nargs="?", help="instance id to choose profile and region for")
    parser.add_argument("--json", action="store_true", help="for programs: one object")
    return parser


def _chosen(settings: Settings, host: str) -> list[tuple[str, object, str]]:
    """Return profile, region and, where there is one, the search, as they hold for `host` ("": none in particular)."""
    from ssm_ssh.aws.config.endpoints import is_region
    from ssm_ssh.aws.config.ini import SharedFiles
    from ssm_ssh.locate import history, selection
    from ssm_ssh.locate.hostname import interpret, parse
    from ssm_ssh.locate.resolver import aws_settings

    files = SharedFiles(os.environ)
    name = parse(host) if host else None
    choice = selection.choose(
        settings,
        os.environ,
        named=interpret(name, lambda: files.profiles, is_region) if name else None,
        recall=lambda: history.recall(name.instance_id) if name else None,
        configured=lambda: files.profiles,
    )
    if choice.search:
        where = tuple(f"{scope.profile}:{scope.region}".rstrip(":") for scope in choice.search)
        return [("looked for in", where, settings.origin("search"))]
    profile = os.environ.get(choice.profile_from, "") if choice.by_environment else choice.profile or "default"
    if choice.credentials_given:
        profile = ""
    rows: list[tuple[str, object, str]] = [("AWS profile", profile, choice.profile_from or "default")]
    try:
        aws = aws_settings(choice, os.environ, files)
    except SsmSshError as error:
        return [*rows, ("AWS region", "", error.sentence())]
    own = files.profiles.get(aws.profile_name, {}).get("region") == aws.region
    by = choice.region_from or (f"the profile in {files.config_path}" if own else choice.fallback_from)
    return [*rows, ("AWS region", aws.region, by)]


def _shown(value: object) -> str:
    if isinstance(value, tuple):
        return " ".join(map(str, value))
    return f"{value:g}" if isinstance(value, float) else str(value)
