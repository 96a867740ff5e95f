"""The parts of the documentation that are generated from the code: `python -m tests.docs` updates all of them.

A part stands between two comments that name it. docs/commands.md and docs/messages.md are made as a whole.
"""

from __future__ import annotations

import argparse
import re
from collections.abc import Callable, Iterator
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import Any, NamedTuple

from ssm_ssh.auth import push_journal, singleflight
from ssm_ssh.auth.key_type import ED25519, RSA, slots
from ssm_ssh.cli.exec import split
from ssm_ssh.cli.main import COMMANDS
from ssm_ssh.cli.parser import Actions
from ssm_ssh.doctor import causes
from ssm_ssh.hostkeys import known_hosts
from ssm_ssh.locate import history
from ssm_ssh.session import records, starting
from ssm_ssh.settings.schema import SETTINGS
from ssm_ssh.settings.toml_file import NAME as SETTINGS_FILE
from ssm_ssh.storage import notices
from ssm_ssh.tunnel import outcomes
from tests import layers, messages, waits
from tests.compatibility import programs
from tests.doctor.test_remote import CAUSES
from tests.e2e import peers

ROOT = Path(__file__).parents[1]
COMMAND_PAGE = ROOT / "docs" / "commands.md"

COMMANDS_INTRODUCTION = """\
# Commands

`python -m tests.docs` generates this page from the commands themselves. `ssm-ssh COMMAND --help`
shows the same with examples. An unusable argument ends every command with exit status 2, except
`shell` and `exec`, which fail with 255, as ssh does.
"""


class File(NamedTuple):
    """A file of ssm-ssh's below one of its folders."""

    folder: str
    name: str
    content: str


CONFIG, DATA, STATE = "~/.config/ssm-ssh", "~/.local/share/ssm-ssh", "~/.local/state/ssm-ssh"
FILES = (
    File(CONFIG, SETTINGS_FILE, "the settings"),
    *(File(DATA, slot, "a key pair, current or next, with `.public`") for slot in slots(RSA)),
    *(File(DATA, slot, "another, for programs that do not read ssh's, with `.pub`") for slot in slots(ED25519)),
    File(DATA, "agent_key.pub", "the public half of the key in ssh-agent that ssh offers"),
    File(DATA, known_hosts.KNOWN, "the host keys that ssh trusts"),
    File(DATA, known_hosts.REFUSED, "the host keys that were refused"),
    File(STATE, "ssm-ssh.log", "a few lines for each connection"),
    File(STATE, starting.NAME, "which instances were started a short time ago"),
    File(STATE, history.NAME, "where each instance was last reached, its platform and its users"),
    File(STATE, push_journal.NAME, "which way of pushing keys works for an instance, and entries to be removed"),
    File(STATE, singleflight.NAME, "the pushes of the last seconds, which simultaneous connections share"),
    File(STATE, outcomes.NAME, "how the last connections ended"),
    File(STATE, f"{records.FOLDER}/", "a file for each open session, so that it is ended if its process is killed"),
    File(STATE, "forwards.json", "the forwards in the background, for `forward --list` and `--stop`"),
    File(STATE, notices.NAME, "which notices were given, so that they are not repeated"),
)


def settings_table() -> list[str]:
    """Return the table of all settings, as Markdown lines."""
    rows = [
        f"| `{one.name}` | {_default(one.default)} | {_cell(one.allowed)} | {_cell(one.help)} |" for one in SETTINGS
    ]
    return ["| Setting | Default | Allowed | Meaning |", "|---|---|---|---|", *rows]


def files_table() -> list[str]:
    """Return the table of all files, as Markdown lines."""
    rows = [f"| `{one.folder}/{one.name}` | {one.content} |" for one in FILES]
    return ["| File | Content |", "|---|---|", *rows]


def _made(command: str) -> Any:  # noqa: ANN401 - Arguments, or Actions
    return import_module(f"ssm_ssh.cli.{command.replace('-', '')}")._parser()


def parser_of(command: str) -> argparse.ArgumentParser:
    """Return the parser of a command."""
    made = _made(command)
    return made.parser if isinstance(made, Actions) else made


def parse(command: str, words: list[str]) -> argparse.Namespace:
    """Return what `command` reads from its arguments. Raises UsageError where it refuses them."""
    made = _made(command)
    if isinstance(made, Actions):
        # A page may name an action without its arguments.
        return argparse.Namespace() if words and words[0] in made.actions and not words[1:] else made.parse(words)[1]
    if command == "exec":  # what follows the target is another program's
        words = split(words)[0]
    options: argparse.Namespace = made.parse_args(words)
    return options


def commands_page() -> str:
    """Return docs/commands.md as it must be."""
    parts = [COMMANDS_INTRODUCTION]
    for command, purpose in COMMANDS.items():
        parser = parser_of(command)
        parts.append(f"## ssm-ssh {command}\n\n{purpose[0].upper()}{purpose[1:]}.\n")
        parts += _arguments(parser)
        for name, sub in _subparsers(parser):
            about = f"\n\n{(sub.description or '').strip()}" if sub.description else ""
            parts.append(f"### ssm-ssh {command} {name}{about}\n")
            parts += _arguments(sub)
    return "\n".join(parts)


def _subparsers(parser: argparse.ArgumentParser) -> Iterator[tuple[str, argparse.ArgumentParser]]:
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            yield from action.choices.items()


def _arguments(parser: argparse.ArgumentParser) -> list[str]:
    rows = []
    for action in parser._actions:
        if action.help == argparse.SUPPRESS or isinstance(action, argparse._HelpAction | argparse._SubParsersAction):
            continue
        value = action.metavar if isinstance(action.metavar, str) else ""
        if not value and action.choices:
            value = "{" + ",".join(map(str, action.choices)) + "}"
        if not value and action.nargs != 0:
            value = action.dest.upper()
        names = [" ".join(filter(None, (name, value))) for name in action.option_strings] or [value]
        shown = ", ".join(f"`{name}`".replace("|", "\\|") for name in names)
        rows.append(f"| {shown} | {_cell((action.help or '').replace('%%', '%'))} |")
    return ["| Argument | Meaning |\n|---|---|\n" + "\n".join(rows) + "\n"] if rows else []


def _default(value: object) -> str:
    if isinstance(value, tuple):
        return " ".join(f"`{one}`" for one in value) or "-"
    return f"`{value:g}`" if isinstance(value, float) else f"`{value}`" if value else "-"


def _cell(text: str) -> str:
    """Return `text` as a cell of a table: names with underscores and signs as code."""
    text = re.sub(r"\s+", " ", text).replace("|", "\\|")
    return re.sub(r"(?<![`\w])(\['?\"[^\]]*\]|\[\"[^\]]*\]|docs/[\w.-]+)(?![`\w])", r"`\1`", text)


def doctor_layers() -> list[str]:
    """Return the order in which the doctor looks for causes, and the exit status of each layer."""
    rows = [f"| {number} | {one.title} | {one.status} |" for number, one in enumerate(causes.LAYERS, 1)]
    return ["| | layer | exit status |", "|---|---|---|", *rows]


def doctor_causes() -> list[str]:
    """Return what the doctor says of each cause that the lab can produce."""
    rows = []
    for fault, (name, evidence) in CAUSES.items():
        rows.append(f"| `{fault.replace('_', '-')}` | {causes.layer(name).title} | {name} | … {_cell(evidence)} … |")
    return ["| fault | layer | check | what it says |", "|---|---|---|---|", *rows]


MADE = "generated by python -m tests.docs"
SECTIONS: dict[tuple[str, str], Callable[[], list[str]]] = {
    ("docs/configuration.md", "settings"): settings_table,
    ("docs/configuration.md", "files"): files_table,
    ("docs/waits.md", "before-login"): lambda: waits.table(waits.BEFORE_LOGIN),
    ("docs/waits.md", "open-session"): lambda: waits.table(waits.OPEN_SESSION),
    ("docs/waits.md", "other-sessions"): lambda: waits.table(waits.OTHER_SESSIONS),
    ("docs/waits.md", "starting"): lambda: waits.table(waits.STARTING),
    ("docs/waits.md", "back-pressure"): lambda: waits.table(waits.BACK_PRESSURE),
    ("docs/security.md", "peers"): peers.table,
    ("docs/troubleshooting.md", "doctor-layers"): doctor_layers,
    ("docs/troubleshooting.md", "doctor-causes"): doctor_causes,
    **{("docs/compatibility.md", name): partial(programs.table, name) for name in programs.SECTIONS},
}


def with_section(text: str, name: str, lines: list[str]) -> str:
    """Return a page with the part `name` made from the code."""
    begin, end = f"<!-- {name}: {MADE} -->", f"<!-- end of {name} -->"
    before, rest = text.split(begin)
    return before + begin + "\n".join(["", *lines, ""]) + end + rest.split(end)[1]


def pages() -> dict[Path, str]:
    """Return each page that is made from the code, wholly or in part, as it must be."""
    wanted = {
        layers.ARCHITECTURE: layers.with_picture(layers.ARCHITECTURE.read_text(encoding="utf-8")),
        messages.MESSAGES: messages.page(),
        COMMAND_PAGE: commands_page(),
    }
    for (page, name), lines in SECTIONS.items():
        path = ROOT / page
        text = wanted[path] if path in wanted else path.read_text(encoding="utf-8")
        wanted[path] = with_section(text, name, lines())
    return wanted


if __name__ == "__main__":
    for path, text in pages().items():
        path.write_text(text, encoding="utf-8")
