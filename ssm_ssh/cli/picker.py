"""The choice of an instance by a person: fzf where it is installed, else a list in the terminal."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from argparse import Namespace
from typing import TYPE_CHECKING, Any, NamedTuple

from ssm_ssh.cli import output, scope
from ssm_ssh.cli.display import columns as width_of
from ssm_ssh.cli.display import visible
from ssm_ssh.cli.picker_list import CANCELLED, PICKED, PickerList
from ssm_ssh.errors import TargetNotConnected, UsageError
from ssm_ssh.text import printable

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from ssm_ssh.aws.services.inventory import Node

# Lines of the list in a terminal.
_MOST_ROWS = 16
# fzf's statuses for "no match" and "interrupted": https://man.archlinux.org/man/fzf.1
_NOTHING_CHOSEN = (1, 130)


class Picked(NamedTuple):
    """An instance, and the profile and region that know it ("": those of the environment)."""

    instance_id: str
    profile: str
    region: str


def pick(arguments: Mapping[str, Any]) -> Picked:
    """Return the instance that the user chooses among those of `ssm-ssh list`.

    `arguments`: profile, region and debug of the command. Raises UsageError where there is no terminal,
    KeyboardInterrupt where the user chooses none, and TargetNotConnected where there is nothing to choose from.
    """
    if not (os.isatty(0) and os.isatty(2)):
        raise UsageError("no TARGET is given, and there is no terminal to choose on", "See: ssm-ssh list")
    one = {name: [arguments[name]] if arguments[name] else None for name in ("profile", "region")}
    asked = scope.ask(Namespace(places=[], tag=None, debug=arguments["debug"], **one))
    scope.complain(asked.answers)
    nodes = [node for answer in asked.answers if answer.inventory for node in answer.inventory.nodes]
    # The last key decides among equals; instances that cannot be reached come last.
    nodes.sort(key=lambda node: (node.ping != "Online", node.name == "", node.name.lower(), node.instance_id))
    if not nodes:
        raise TargetNotConnected("there is no instance to choose", "See: ssm-ssh list", operation="list")
    lines = _lines(nodes)
    fzf = shutil.which("fzf")
    number = _by_fzf(fzf, lines) if fzf else _by_list(lines)
    if number is None:
        raise KeyboardInterrupt
    node = nodes[number]
    return Picked(node.instance_id, node.profile, node.region)


def _lines(nodes: Sequence[Node]) -> list[str]:
    """Return one line for each node, in columns. Names come from tags, so they are made harmless."""
    unicode = (sys.stderr.encoding or "").lower().replace("-", "") == "utf8"
    show = visible if unicode else printable
    rows = [
        (
            show(node.name, 40),
            node.instance_id,
            show(node.platform, 30),
            "" if node.ping == "Online" else show(node.ping, 20),
            show(f"{node.profile or 'default'}/{node.region}", 60),
        )
        for node in nodes
    ]
    widths = [max(width_of(row[column]) for row in rows) for column in range(len(rows[0]))]
    return [
        "  ".join(cell + " " * (size - width_of(cell)) for cell, size in zip(row, widths, strict=True)).rstrip()
        for row in rows
    ]


def _by_fzf(fzf: str, lines: Sequence[str]) -> int | None:
    """Return the number of the line that the user chooses in fzf, None for none. Raises UsageError where it fails."""
    options = ["--delimiter=\t", "--with-nth=2..", "--no-multi", "--prompt=instance> ", "--height=50%", "--reverse"]
    given = "".join(f"{number}\t{line}\n" for number, line in enumerate(lines))
    done = subprocess.run([fzf, *options], input=given.encode(), stdout=subprocess.PIPE, check=False)
    if done.returncode in _NOTHING_CHOSEN:
        return None
    # A user's FZF_DEFAULT_OPTS may have more printed: the choice is the last line.
    chosen = done.stdout.decode(errors="replace").strip("\n").rpartition("\n")[2].partition("\t")[0]
    if done.returncode or not chosen.isdigit() or int(chosen) >= len(lines):
        raise UsageError(f"fzf failed with status {done.returncode}", "Name TARGET, or check FZF_DEFAULT_OPTS")
    return int(chosen)


def _by_list(lines: Sequence[str]) -> int | None:
    """Return the number of the line that the user chooses in a list of our own, None for none."""
    import select

    from ssm_ssh.shell.terminal import Terminal

    terminal = Terminal(0, 2, 2)
    choice = PickerList(lines)
    below = 0
    terminal.enter_raw()
    try:
        while True:
            columns, rows = terminal.size() or (80, 24)
            shown = choice.screen(columns, min(rows, _MOST_ROWS))
            # Back to the prompt's line, everything below it cleared, and the list anew; the cursor ends in the prompt.
            up = f"\x1b[{below}A" if below else ""
            terminal.write(f"{up}\r\x1b[J{chr(13).join(f'{line}{chr(10)}' for line in shown)}".encode())
            below = len(shown)
            while terminal.backlog:
                select.select([], [terminal.output], [])
                terminal.flush()
            select.select([terminal.input], [], [])
            end = choice.feed(terminal.read(4096))
            if terminal.ended or terminal.broken or end == CANCELLED:
                return None
            if end == PICKED:
                return choice.choice
    finally:
        if below:
            terminal.write(f"\x1b[{below}A\r\x1b[J".encode())
        terminal.close()
        output.flush()
