"""PURE: the completion scripts of bash, zsh and fish, made from the descriptions of all commands."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence


class Option(NamedTuple):
    """An option. `values`: the words that may follow it; `kind`: the kind of names that may follow it."""

    names: tuple[str, ...]
    takes_value: bool
    values: tuple[str, ...]
    kind: str
    help: str


class Command(NamedTuple):
    """A command or an action of one.

    `kind`: the kind of names that its arguments are; `words`: its possible first arguments. What a command with
    actions has itself holds where none of them is named.
    """

    name: str
    summary: str
    options: tuple[Option, ...]
    kind: str = ""
    words: tuple[str, ...] = ()
    actions: tuple[Command, ...] = ()


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
    local current=${COMP_WORDS[COMP_CWORD]} before=${COMP_WORDS[COMP_CWORD - 1]} options='' kind='' first=''
    COMPREPLY=()
    if ((COMP_CWORD == 1)); then
        _ssm_ssh_offer "$current" < <(printf '%s\\n' @COMMANDS@)
        return
    fi
    case "${COMP_WORDS[1]} ${COMP_WORDS[2]}" in
@CASES@
    esac
    if [[ $current == -* ]]; then
        _ssm_ssh_offer "$current" < <(printf '%s\\n' $options)
        return
    fi
    if ((COMP_CWORD == 2)) && [[ $first ]]; then
        _ssm_ssh_offer "$current" < <(printf '%s\\n' $first)
    fi
    if [[ $kind ]]; then
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
    local -a offered first
    local kind=''
    if ((CURRENT == 2)); then
        offered=(@COMMANDS@)
        compadd -a offered
        return
    fi
    case "$words[2] $words[3]" in
@CASES@
    esac
    if [[ $words[CURRENT] == -* ]]; then
        compadd -a offered
        return
    fi
    if ((CURRENT == 3 && $#first)); then
        compadd -a first
        if [[ -z $kind ]]; then return; fi
    fi
    if [[ -n $kind ]]; then
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


def _bash(commands: Sequence[Command]) -> str:
    return _fill(_BASH, commands, _bash_case)


def _bash_case(pattern: str, command: Command, first: Sequence[str]) -> Iterator[str]:
    yield f"    {pattern})"
    yield f"        options='{_flags(command.options)}' kind={command.kind} first='{' '.join(first)}'"
    valued = [option for option in command.options if option.takes_value]
    if valued:
        yield "        case $before in"
        for option in valued:
            offer = "return"
            if option.values:
                words = " ".join(option.values)
                offer = f"_ssm_ssh_offer \"$current\" < <(printf '%s\\n' {words}); return"
            elif option.kind:
                offer = f'_ssm_ssh_offer "$current" < <(_ssm_ssh_names {option.kind}); return'
            yield f"        {' | '.join(option.names)}) {offer} ;;"
        yield "        esac"
    yield "        ;;"


def _zsh(commands: Sequence[Command]) -> str:
    return _fill(_ZSH, commands, _zsh_case)


def _zsh_case(pattern: str, command: Command, first: Sequence[str]) -> Iterator[str]:
    yield f"    {pattern})"
    yield f"        offered=({_flags(command.options)}) kind='{command.kind}' first=({' '.join(first)})"
    valued = [option for option in command.options if option.takes_value]
    if valued:
        yield "        case $words[CURRENT-1] in"
        for option in valued:
            offer = "_files; return"
            if option.values:
                offer = f"compadd -- {' '.join(option.values)}; return"
            elif option.kind:
                offer = f"_ssm-ssh_names {option.kind}; return"
            yield f"        {' | '.join(option.names)}) {offer} ;;"
        yield "        esac"
    yield "        ;;"


def _fill(
    template: str, commands: Sequence[Command], case: Callable[[str, Command, Sequence[str]], Iterator[str]]
) -> str:
    lines: list[str] = []
    for command in commands:
        first = [action.name for action in command.actions] or command.words
        for action in command.actions:
            lines += case(f"'{command.name} {action.name}'", action, first)
        lines += case(f"'{command.name} '*", command, first)
    names = " ".join(command.name for command in commands)
    return template.replace("@COMMANDS@", names).replace("@CASES@", "\n".join(lines))


def _fish(commands: Sequence[Command]) -> str:
    lines: list[str] = []
    for command in commands:
        summary = _fish_quoted(command.summary)
        lines.append(f"complete -c ssm-ssh -n __fish_use_subcommand -a {command.name} -d {summary}")
        seen = f"__fish_seen_subcommand_from {command.name}"
        first = [action.name for action in command.actions] or command.words
        if first:
            none = f"{seen}; and not __fish_seen_subcommand_from {' '.join(first)}"
            lines.append(f"complete -c ssm-ssh -n '{none}' -a '{' '.join(first)}'")
            seen = none if command.actions else seen
        lines += _fish_arguments(seen, command)
        for action in command.actions:
            both = f"__fish_seen_subcommand_from {command.name}; and __fish_seen_subcommand_from {action.name}"
            lines += _fish_arguments(both, action)
    return _FISH + "\n".join(lines) + "\n"


def _fish_arguments(condition: str, command: Command) -> Iterator[str]:
    here = f"complete -c ssm-ssh -n '{condition}'"
    if command.kind:
        yield f"{here} -a '(__ssm_ssh_names {command.kind})'"
    for option in command.options:
        names = " ".join(f"-l {name[2:]}" if name.startswith("--") else f"-s {name[1:]}" for name in option.names)
        value = ""
        if option.takes_value:
            value = " -x" if option.values or option.kind else " -r -F"
        if option.values:
            value += f" -a '{' '.join(option.values)}'"
        elif option.kind:
            value += f" -a '(__ssm_ssh_names {option.kind})'"
        yield f"{here} {names}{value} -d {_fish_quoted(option.help)}"


def _fish_quoted(text: str) -> str:
    return "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"


def _flags(options: Sequence[Option]) -> str:
    return " ".join(name for option in options for name in option.names)


SCRIPTS: dict[str, Callable[[Sequence[Command]], str]] = {"bash": _bash, "zsh": _zsh, "fish": _fish}
