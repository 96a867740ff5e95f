"""How this installation of ssm-ssh is started by others: by ssh, above all."""

from __future__ import annotations

import sys
from pathlib import Path


def program() -> tuple[str, ...]:
    """Return how to start ssm-ssh with nothing but itself: neither PYTHONPATH nor the current folder slip a module in.

    `-I` with the console script, and not `-m`, which costs a third of the start-up time.
    """
    prefix = Path(sys.prefix)
    # install.sh keeps each version in a folder of its own, with the link `venv` to the current one.
    stable = prefix.parent / "venv"
    if stable.is_symlink() and stable.resolve() == prefix.resolve():
        prefix = stable
    python = prefix / "bin" / Path(sys.executable).name
    start = (str(python) if python.exists() else sys.executable, "-I")
    script = prefix / "bin" / "ssm-ssh"
    return (*start, str(script)) if script.is_file() else (*start, "-m", "ssm_ssh")
