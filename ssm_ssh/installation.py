"""How this installation of ssm-ssh is started by others: by ssh, above all."""

from __future__ import annotations

import sys
from pathlib import Path


def program() -> tuple[str, ...]:
    """Return how to start ssm-ssh with nothing but itself: neither PYTHONPATH nor the current folder slip a module in.

    `-I` with the console script, and not `-m`, which costs a third of the start-up time.
    """
    python = _prefix() / "bin" / Path(sys.executable).name
    start = str(python) if python.exists() else sys.executable
    own = script()
    if own is None:
        return (start, *module("ssm_ssh")[1:])
    # -I leaves out the folder of `pip install --user`; -E does not, and a script's own folder is no current folder.
    return (start, "-E" if in_user_site() else "-I", str(own))


def module(name: str) -> tuple[str, ...]:
    """Return how to start the module `name` of this installation as a program, isolated as above."""
    if in_user_site():
        # -I leaves out the folder of `pip install --user`, and -E would look for it in the home of the moment.
        folder = str(Path(__file__).parent.parent)
        run = "import runpy; runpy.run_module(sys.argv.pop(1), run_name='__main__', alter_sys=True)"
        return (sys.executable, "-I", "-c", f"import sys; sys.path.append({folder!r}); {run}", name)
    return (sys.executable, "-I", "-m", name)


def script() -> Path | None:
    """Return the console script of this installation, if it has one."""
    import sysconfig

    folders = [_prefix() / "bin"]
    if in_user_site():
        folders = [Path(__file__).resolve().parents[4] / "bin"]  # BASE/lib/python3.x/site-packages/ssm_ssh/...
    elif sys.prefix == sys.base_prefix:
        # Debian's pip installs below /usr/local, for a Python in /usr.
        folders.append(Path(sysconfig.get_path("scripts")))
    return next((folder / "ssm-ssh" for folder in folders if (folder / "ssm-ssh").is_file()), None)


def in_user_site() -> bool:
    """Return whether this package was installed by `pip install --user`."""
    import site

    folder = Path(__file__).resolve().parent.parent
    if sys.prefix != sys.base_prefix or folder.name not in {"site-packages", "dist-packages"}:
        return False
    # Not by the name of the user's folder, which depends on HOME, and the lab has a HOME of its own.
    return folder not in [Path(one).resolve() for one in site.getsitepackages()]


def _prefix() -> Path:
    prefix = Path(sys.prefix)
    # install.sh keeps each version in a folder of its own, with the link `venv` to the current one.
    stable = prefix.parent / "venv"
    return stable if stable.is_symlink() and stable.resolve() == prefix.resolve() else prefix
