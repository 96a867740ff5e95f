"""`ssm-ssh completion`: print a script that makes a shell complete commands, options, profiles, regions and instances.

Names of instances and profiles come from others. They are offered only if they are plain words, and neither `eval` nor
`compgen -W`, which expands its words, ever sees them.
"""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING

from ssm_ssh.cli import output
from ssm_ssh.cli.completion_scripts import SCRIPTS, Command, Option
from ssm_ssh.cli.parser import Actions, Arguments, command_parser

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable

_DESCRIPTION = """\
Print a script that makes a shell complete ssm-ssh: commands, actions, options, AWS profiles and regions, and the
instances that ssm-ssh knows from earlier connections and from sync. AWS is not called.

  bash   echo 'source <(ssm-ssh completion bash)' >> ~/.bashrc
  zsh    echo 'source <(ssm-ssh completion zsh)' >> ~/.zshrc            (below compinit)
  fish   ssm-ssh completion fish > ~/.config/fish/completions/ssm-ssh.fish

ssh itself completes the aliases that `ssm-ssh sync` makes, since it knows them as hosts.
"""

# What a shell may be offered: an id, most names of profiles and regions, with other regions behind them.
_PLAIN = re.compile(r"[A-Za-z0-9_.@:,=+-]+")
# The kinds of names that arguments are, by their names in the parsers. The commands that take a `target` know aliases,
# the others take ids alone.
_KINDS = {
    "host": "instances",
    "instance": "instances",
    "target": "targets",
    "words": "targets",
    "sessions": "sessions",
    "places": "profiles",
    "profile": "profiles",
    "default_profile": "profiles",
    "region": "regions",
    "default_region": "regions",
    "fault": "faults",
}


def run(argv: list[str]) -> int:
    """Run the command; returns its exit status."""
    options = _parser().parse_args(argv)
    if options.list:
        output.raw("".join(f"{name}\n" for name in _names(options.list)))
        return 0
    if not options.shell:
        output.raw(_parser().format_help())
        return 2
    output.raw(SCRIPTS[options.shell]([_described(name, summary) for name, summary in _commands().items()]))
    return 0


def _parser() -> Arguments:
    import argparse

    parser = command_parser("completion", _DESCRIPTION)
    parser.add_argument("shell", nargs="?", choices=tuple(SCRIPTS), help="the shell that the script is for")
    parser.add_argument("--list", choices=tuple(_SOURCES), help=argparse.SUPPRESS)
    return parser


def _commands() -> dict[str, str]:
    from ssm_ssh.cli.main import COMMANDS

    return COMMANDS


# --- names ------------------------------------------------------------------------------------------------------------


def _names(kind: str) -> list[str]:
    """Return the names that can be offered, plain words alone. A source that cannot be read offers none."""
    from ssm_ssh.errors import SsmSshError

    try:
        names = _SOURCES[kind]()
    except (SsmSshError, OSError):
        return []
    return [name for name in dict.fromkeys(names) if _PLAIN.fullmatch(name) and not name.startswith("-")]


def _instances() -> list[str]:
    from ssm_ssh.errors import SsmSshError
    from ssm_ssh.locate.history import recall_all
    from ssm_ssh.names import is_instance_id
    from ssm_ssh.sshconfig.locations import find_place

    names = [learned.instance_id for learned in recall_all()]
    try:
        content = find_place().managed.read_text(encoding="ascii", errors="replace")
    except (SsmSshError, OSError):
        return names
    # Every alias leads to an instance.
    names += re.findall(r"^[ \t]+HostName (\S+)$", content, re.MULTILINE)
    return [name for name in names if is_instance_id(name)]


def _targets() -> list[str]:
    """Return the aliases that `sync` made, and the instances."""
    from ssm_ssh.errors import SsmSshError
    from ssm_ssh.names import is_alias_label
    from ssm_ssh.sshconfig.locations import find_place

    try:
        content = find_place().managed.read_text(encoding="ascii", errors="replace")
    except (SsmSshError, OSError):
        content = ""
    aliases = re.findall(r"^Host (\S+)$", content, re.MULTILINE)
    return [alias for alias in aliases if is_alias_label(alias)] + _instances()


def _sessions() -> list[str]:
    """Return the sessions that programs of this machine have recorded, then the targets."""
    from ssm_ssh.session.records import read_all

    return [record.session_id for record in read_all()] + _targets()


def _profiles() -> list[str]:
    from ssm_ssh.aws.config.ini import SharedFiles

    return sorted(SharedFiles(os.environ).profiles)


def _regions() -> list[str]:
    from ssm_ssh.aws.config.regions import known_regions

    return list(known_regions())


def _faults() -> list[str]:
    from ssm_ssh.lab import named_faults

    return ["help", *named_faults.names()]


_SOURCES: dict[str, Callable[[], list[str]]] = {
    "instances": _instances,
    "targets": _targets,
    "sessions": _sessions,
    "profiles": _profiles,
    "regions": _regions,
    "faults": _faults,
}


# --- commands ---------------------------------------------------------------------------------------------------------


def _described(name: str, summary: str) -> Command:
    """Return the command `name` as its own parser describes it."""
    import importlib

    made = importlib.import_module(f"ssm_ssh.cli.{name.replace('-', '')}")._parser()
    if not isinstance(made, Actions):
        return _from_parser(name, summary, made)
    actions = tuple(_from_parser(action, "", parser) for action, parser in made.actions.items())
    default = next(action for action in actions if action.name == made.default)
    return default._replace(name=name, summary=summary, actions=actions)


def _from_parser(name: str, summary: str, parser: Arguments) -> Command:
    words = [action for action in parser._actions if not action.option_strings]
    first = words[0] if words else None
    return Command(
        name,
        summary,
        tuple(
            _option(action, parser)
            for action in parser._actions
            if action.option_strings and action.help != "==SUPPRESS=="
        ),
        kind=_KINDS.get(first.dest, "") if first else "",
        words=tuple(map(str, first.choices or ())) if first else (),
    )


def _option(action: argparse.Action, parser: Arguments) -> Option:
    return Option(
        tuple(action.option_strings),
        takes_value=action.nargs != 0,
        values=tuple(map(str, action.choices or ())) or _choices(action.dest),
        kind=_KINDS.get(action.dest, ""),
        help=(action.help or "") % {"default": action.default, "prog": parser.prog},
    )


def _choices(name: str) -> tuple[str, ...]:
    """Return the words that the setting `name` may be, nothing where it is no such setting."""
    from ssm_ssh.settings.schema import SETTINGS

    allowed = next((setting.allowed for setting in SETTINGS if setting.name == name), "")
    return tuple(allowed.split(", ")) if re.fullmatch(r"[a-z-]+(, [a-z-]+)+", allowed) else ()
