"""`ssm-ssh completion`: what makes a shell complete commands, options, profiles and instances.

Names of instances and profiles come from others. They are offered only if they are plain words, and neither `eval` nor
`compgen -W`, which expands its words, ever sees them.
"""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING, NamedTuple

from ssm_ssh.cli.parser import Arguments

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable

_DESCRIPTION = """\
Print a script that makes a shell complete ssm-ssh: commands, options, AWS profiles, and the instances that ssm-ssh
knows from earlier connections and from sync. AWS is not called.

  bash   echo 'source <(ssm-ssh completion bash)' >> ~/.bashrc
  zsh    echo 'source <(ssm-ssh completion zsh)' >> ~/.zshrc            (behind compinit)
  fish   ssm-ssh completion fish > ~/.config/fish/completions/ssm-ssh.fish

ssh itself completes the aliases that `ssm-ssh sync` makes, since it knows them as hosts.
"""

_SHELLS = ("bash", "zsh", "fish")
# What may be offered, in each shell: an id, an alias, most profiles' names, with regions behind them.
_PLAIN = re.compile(r"[A-Za-z0-9_.@:,=+-]+")
# What the words behind a command are.
_WORDS = {
    "list": "profiles",
    "sync": "profiles",
    "login": "profiles",
    "config": "instances",
    "proxy": "instances",
    "host-keys": "instances",
}


class Option(NamedTuple):
    """An option as a shell is told of it. `values`: the words that may follow it, `kind`: where others come from."""

    names: tuple[str, ...]
    takes_value: bool
    values: tuple[str, ...]
    kind: str
    help: str


def run(argv: list[str]) -> int:
    """Run the command; returns its exit status."""
    options = _parser().parse_args(argv)
    if options.list:
        print("".join(f"{one}\n" for one in _names(options.list)), end="")
        return 0
    if not options.shell:
        print(_parser().format_help(), end="")
        return 2
    known = {name: _options(name) for name in _commands()}
    print({"bash": _bash, "zsh": _zsh, "fish": _fish}[options.shell](known), end="")
    return 0


def _parser() -> Arguments:
    import argparse

    parser = Arguments(
        prog="ssm-ssh completion",
        description=_DESCRIPTION,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("shell", nargs="?", choices=_SHELLS, help="which shell the script is for")
    parser.add_argument("--list", choices=("instances", "profiles"), help=argparse.SUPPRESS)
    return parser


def _commands() -> dict[str, str]:
    from ssm_ssh.cli.main import COMMANDS

    return COMMANDS


def _names(kind: str) -> list[str]:
    """Return what can be offered, plain words alone. What cannot be read is not offered."""
    from ssm_ssh.errors import SsmSshError

    found: list[str] = []
    try:
        if kind == "profiles":
            from ssm_ssh.aws.config.ini import SharedFiles

            found = sorted(SharedFiles(os.environ).profiles)
        else:
            from ssm_ssh.locate.history import recall_all
            from ssm_ssh.sshconfig.locations import find_place

            found = [one.instance_id for one in recall_all()]
            content = find_place().managed.read_text(encoding="ascii", errors="replace")
            found += re.findall(r"^Host (\S+)$", content, re.MULTILINE)
    except (SsmSshError, OSError):
        pass
    return [one for one in dict.fromkeys(found) if _PLAIN.fullmatch(one) and not one.startswith("-")]


def _options(command: str) -> list[Option]:
    """Return the options of a command, as its own parser has them."""
    import importlib

    module = importlib.import_module(f"ssm_ssh.cli.{command.replace('-', '')}")
    make = getattr(module, "_parser", None)
    if make is None:
        return [Option(("-h", "--help"), takes_value=False, values=(), kind="", help="show help")]
    parser: argparse.ArgumentParser = make()
    return [
        Option(
            tuple(one.option_strings),
            takes_value=one.nargs != 0,
            values=tuple(map(str, one.choices or ())) or _choices(one.dest),
            kind="profiles" if one.dest in ("profile", "default_profile") else "",
            help=(one.help or "") % {"default": one.default, "prog": parser.prog},
        )
        for one in parser._actions
        if one.option_strings and one.help != "==SUPPRESS=="
    ]


def _choices(name: str) -> tuple[str, ...]:
    """Return the words that the setting `name` may be, nothing where it is no such setting."""
    from ssm_ssh.settings.schema import SETTINGS

    allowed = next((one.allowed for one in SETTINGS if one.name == name), "")
    return tuple(allowed.split(", ")) if re.fullmatch(r"[a-z-]+(, [a-z-]+)+", allowed) else ()


# --- the scripts ------------------------------------------------------------------------------------------------------

_BASH = """\
# bash completion for ssm-ssh, made by: ssm-ssh completion bash

_ssm_ssh_offer() {
    local name
    while IFS= read -r name; do
        case $name in '' | *[!A-Za-z0-9_.@:,=+-]*) continue ;; esac
        if [[ $name == "$1"* ]]; then COMPREPLY+=("$name"); fi
    done
}

_ssm_ssh_names() {
    command ssm-ssh completion --list "$1" 2>/dev/null </dev/null
}

_ssm_ssh() {
    local current=${COMP_WORDS[COMP_CWORD]} before=${COMP_WORDS[COMP_CWORD - 1]} options='' kind=''
    COMPREPLY=()
    if ((COMP_CWORD == 1)); then
        _ssm_ssh_offer "$current" < <(printf '%s\\n' @COMMANDS@)
        return
    fi
    case ${COMP_WORDS[1]} in
@CASES@
    esac
    if [[ $current == -* ]]; then
        _ssm_ssh_offer "$current" < <(printf '%s\\n' $options)
    elif [[ $kind ]]; then
        _ssm_ssh_offer "$current" < <(_ssm_ssh_names "$kind")
    fi
}

complete -o default -F _ssm_ssh ssm-ssh
"""

_ZSH = """\
#compdef ssm-ssh
# zsh completion for ssm-ssh, made by: ssm-ssh completion zsh

_ssm-ssh_names() {
    local -a names
    names=(${(f)"$(command ssm-ssh completion --list $1 2>/dev/null </dev/null)"})
    names=(${names:#*[^A-Za-z0-9_.@:,=+-]*})
    compadd -a names
}

_ssm-ssh() {
    local -a offered
    local kind=''
    if ((CURRENT == 2)); then
        offered=(@COMMANDS@)
        compadd -a offered
        return
    fi
    case $words[2] in
@CASES@
    esac
    if [[ $words[CURRENT] == -* ]]; then
        compadd -a offered
    elif [[ -n $kind ]]; then
        _ssm-ssh_names $kind
    else
        _files
    fi
}

if [[ $funcstack[1] == _ssm-ssh ]]; then
    _ssm-ssh "$@"
else
    compdef _ssm-ssh ssm-ssh
fi
"""

_FISH = """\
# fish completion for ssm-ssh, made by: ssm-ssh completion fish

function __ssm_ssh_names
    command ssm-ssh completion --list $argv[1] 2>/dev/null </dev/null | string match -r '^[A-Za-z0-9_.@:,=+-]+$'
end

complete -c ssm-ssh -e
complete -c ssm-ssh -f
"""


def _bash(known: dict[str, list[Option]]) -> str:
    return _fill(_BASH, known, _bash_case)


def _bash_case(command: str, options: list[Option]) -> list[str]:
    lines = [f"    {command})", f"        options='{_flags(options)}' kind={_WORDS.get(command, '')}"]
    valued = [one for one in options if one.takes_value]
    if valued:
        lines.append("        case $before in")
        for one in valued:
            offer = "return"
            if one.values:
                words = " ".join(one.values)
                offer = f"_ssm_ssh_offer \"$current\" < <(printf '%s\\n' {words}); return"
            elif one.kind:
                offer = f'_ssm_ssh_offer "$current" < <(_ssm_ssh_names {one.kind}); return'
            lines.append(f"        {' | '.join(one.names)}) {offer} ;;")
        lines.append("        esac")
    return [*lines, "        ;;"]


def _zsh(known: dict[str, list[Option]]) -> str:
    return _fill(_ZSH, known, _zsh_case)


def _zsh_case(command: str, options: list[Option]) -> list[str]:
    lines = [f"    {command})", f"        offered=({_flags(options)}) kind={_WORDS.get(command, chr(39) * 2)}"]
    valued = [one for one in options if one.takes_value]
    if valued:
        lines.append("        case $words[CURRENT-1] in")
        for one in valued:
            offer = "_files; return"
            if one.values:
                offer = f"compadd -- {' '.join(one.values)}; return"
            elif one.kind:
                offer = f"_ssm-ssh_names {one.kind}; return"
            lines.append(f"        {' | '.join(one.names)}) {offer} ;;")
        lines.append("        esac")
    return [*lines, "        ;;"]


def _fish(known: dict[str, list[Option]]) -> str:
    lines = []
    for command, options in known.items():
        summary = _fish_quoted(_commands()[command])
        lines.append(f"complete -c ssm-ssh -n __fish_use_subcommand -a {command} -d {summary}")
        here = f"complete -c ssm-ssh -n '__fish_seen_subcommand_from {command}'"
        if command in _WORDS:
            lines.append(f"{here} -a '(__ssm_ssh_names {_WORDS[command]})'")
        for one in options:
            names = " ".join(f"-l {name[2:]}" if name.startswith("--") else f"-s {name[1:]}" for name in one.names)
            value = ""
            if one.takes_value:
                value = " -x" if one.values or one.kind else " -r -F"
            if one.values:
                value += f" -a '{' '.join(one.values)}'"
            elif one.kind:
                value += f" -a '(__ssm_ssh_names {one.kind})'"
            lines.append(f"{here} {names}{value} -d {_fish_quoted(one.help)}")
    return _FISH + "\n".join(lines) + "\n"


def _fish_quoted(text: str) -> str:
    return "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"


def _flags(options: list[Option]) -> str:
    return " ".join(name for one in options for name in one.names)


def _fill(template: str, known: dict[str, list[Option]], case: Callable[[str, list[Option]], list[str]]) -> str:
    cases = "\n".join(line for command, options in known.items() for line in case(command, options))
    return template.replace("@COMMANDS@", " ".join(known)).replace("@CASES@", cases)
