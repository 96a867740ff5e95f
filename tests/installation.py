"""A home folder, a checkout and a PATH for install.sh, and programs that stand for Python's and uv's on that PATH."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parent.parent
PYTHON = Path(sys.base_prefix, "bin", f"python{sys.version_info.major}.{sys.version_info.minor}")
# All that install.sh may count on besides Python.
TOOLS = (
    "sh",
    "cat",
    "chmod",
    "dirname",
    "ln",
    "mkdir",
    "mktemp",
    "readlink",
    "rm",
    "rmdir",
    "sed",
    "sort",
    "uname",
    "id",
)


class Place(NamedTuple):
    """A home folder, a checkout and a PATH for install.sh."""

    home: Path
    checkout: Path
    path: Path

    @property
    def data(self) -> Path:
        return self.home / ".local/share/ssm-ssh"

    @property
    def link(self) -> Path:
        return self.home / ".local/bin/ssm-ssh"

    def environment(self, **more: str) -> dict[str, str]:
        kept = {k: v for k, v in os.environ.items() if k.startswith(("PIP_", "SSL_")) or k.lower().endswith("_proxy")}
        python = "" if (self.path / "python3").exists() else str(PYTHON)
        return {**kept, "HOME": str(self.home), "PATH": str(self.path), "PYTHON": python, **more}

    def run(self, *args: str, stdin: int = subprocess.DEVNULL, **more: str) -> subprocess.CompletedProcess[str]:
        """Run install.sh from a folder that has a `json.py`, which nothing is to import."""
        (self.home.parent / "json.py").write_text("raise SystemExit('imported from the current folder')")
        return subprocess.run(
            ["sh", str(self.checkout / "install.sh"), *args],
            env=self.environment(PYTHONPATH=".", **more),
            cwd=self.home.parent,
            stdin=stdin,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=500,
        )

    def program(self, *args: str, **more: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [str(self.link), *args],
            env=self.environment(PYTHONPATH=".", **more),
            cwd=self.home.parent,
            capture_output=True,
            text=True,
            timeout=60,
        )

    def contents(self) -> list[str]:
        return sorted(str(file.relative_to(self.home)) for file in self.home.rglob("*"))


def make_place(folder: Path) -> Place:
    place = Place(folder / "a home", folder / "a checkout", folder / "bin")
    place.home.mkdir()
    place.path.mkdir()
    for tool in TOOLS:
        (place.path / tool).symlink_to(shutil.which(tool) or f"/missing/{tool}")
    place.checkout.mkdir()
    for name in ("pyproject.toml", "README.md", "LICENSE", "install.sh"):
        shutil.copy(ROOT / name, place.checkout)
    ignore = shutil.ignore_patterns("__pycache__")
    for name in ("ssm_ssh", "requirements", "installer"):
        shutil.copytree(ROOT / name, place.checkout / name, ignore=ignore)
    return place


def change(place: Place) -> None:
    """Make the checkout differ from what is installed."""
    with (place.checkout / "README.md").open("a") as readme:
        readme.write("\nchanged\n")


def environments(place: Place) -> set[str]:
    return {folder.name for folder in place.data.glob("venv-*")}


def write_program(file: Path, script: str) -> None:
    file.write_text(f"#!/bin/sh\n{script}")
    file.chmod(0o755)


def fake_python(
    place: Place, name: str, *, version: str = "3.11.2", missing: tuple[str, ...] = (), real: Path = PYTHON
) -> Path:
    """Put `name` on the PATH: Python `version` (in words; otherwise it is `real`) that lacks the modules `missing`."""
    file = place.path / name
    lacks = "".join(f"    *import*{module}*) exit 1 ;;\n" for module in missing)
    script = f"""case "$*" in
    *version_info*sys.executable*) echo {version}; echo '{file}' ;;
{lacks}    *) exec '{real}' "$@" ;;
esac
"""
    write_program(file, script)
    return file


def fake_uv(place: Place, *, fails: str = "") -> None:
    """Put a uv on the PATH that makes environments which see these tests' own packages, in no time.

    `fails`: a shell command for `uv pip install` to run instead.
    """
    packages = sysconfig.get_path("purelib")
    script = f"""set -e
case "$1 $2" in
    'venv '*)
        for last; do :; done
        site="$last/lib/python{sys.version_info.major}.{sys.version_info.minor}/site-packages"
        mkdir -p "$last/bin" "$site"
        ln -s '{PYTHON}' "$last/bin/python"
        echo 'home = {PYTHON.parent}' >"$last/pyvenv.cfg"
        echo '{packages}' >"$site/tests.pth"
        echo '{place.checkout}' >>"$site/tests.pth" ;;
    'pip install') {fails or ":"} ;;
    *) echo "error: no $1" >&2; exit 2 ;;
esac
"""
    write_program(place.path / "uv", script)


def make_quick(place: Place) -> Place:
    """Have install.sh find a Python without pip and the uv above, so that an installation takes a second."""
    fake_python(place, "python3", missing=("ensurepip",))
    fake_uv(place)
    return place
