"""The user's shell in a lab: which program it is, and what it reads at its start instead of the user's own files.

An alias, a function or an exported variable of the user's own files could lead out of the lab, so none of them is read.
"""

from __future__ import annotations

import os
import pwd
import shlex
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from ssm_ssh.lab.folder import write_private

if TYPE_CHECKING:
    from collections.abc import Mapping

PROMPT = "(lab) "


class Shell(NamedTuple):
    """A command, and the environment to start it with."""

    command: tuple[str, ...]
    env: dict[str, str]


def user_shell(env: Mapping[str, str]) -> str:
    """Return the path of the user's shell: SHELL, else that of the password database, else /bin/sh."""
    choices = [env.get("SHELL", "")]
    try:
        choices.append(pwd.getpwuid(os.getuid()).pw_shell)
    except KeyError:
        pass
    return next((path for path in choices if path and shutil.which(path)), "/bin/sh")


def prepare(folder: Path, path: str, env: Mapping[str, str]) -> Shell:
    """Write the startup files of the shell at `path` into the lab's `folder`, and return how it is started.

    The system's own startup files may be read first, so ours lead into the lab again.
    """
    place = folder / "shell"
    place.mkdir(mode=0o700, exist_ok=True)
    enter = f". {shlex.quote(str(folder / 'env.sh'))}\n"
    home = Path(env["HOME"])
    name = Path(path).name
    if name == "bash":
        write_private(place / "bashrc", f"{enter}PS1='{PROMPT}\\w \\$ '\n")
        return Shell((path, "--rcfile", str(place / "bashrc")), dict(env))
    if name == "zsh":
        write_private(place / ".zshrc", f"{enter}PROMPT='{PROMPT}%~ %# '\n")
        return Shell((path,), {**env, "ZDOTDIR": str(place)})
    if name == "fish":
        prompt = f"function fish_prompt; printf '{PROMPT}%s > ' (prompt_pwd); end; set -g fish_greeting"
        return Shell((path, "--init-command", prompt), dict(env))
    if name in ("csh", "tcsh"):
        write_private(home / ".cshrc", f'if ($?prompt) set prompt = "{PROMPT}%~ %# "\n')
    # What POSIX shells read when they are interactive; a shell that does not shows no other prompt.
    write_private(place / "shrc", f"{enter}PS1='{PROMPT}$ '\n")
    return Shell((path,), {**env, "ENV": str(place / "shrc"), "PS1": f"{PROMPT}$ "})
