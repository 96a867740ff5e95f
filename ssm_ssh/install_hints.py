"""How this ssm-ssh was installed, so that a hint names the command that fits."""

from __future__ import annotations

import json
import os
import shlex
import shutil
import sys
from pathlib import Path

from ssm_ssh.installation import in_user_site, script
from ssm_ssh.startup import NamedTuple


class Source(NamedTuple):
    """Where the installed package came from."""

    url: str = ""  # as PEP 508 has it behind "@"; "": a package index
    folder: str = ""  # the checkout, if it was one
    editable: bool = False
    installer: str = "pip"  # what wrote the package's files: pip or uv


def with_extra(extra: str) -> str:
    """Return the shell command that installs ssm-ssh again, with the optional dependencies named `extra`.

    install.sh, uv and pipx leave a file of their own in the environment; where pip and uv took the package from is
    recorded as PEP 610 has it.
    """
    prefix = Path(sys.prefix)
    source = _source()
    wanted = f"ssm-ssh[{extra}]" + (f" @ {source.url}" if source.url else "")
    if (prefix / "made-by-install.sh").exists():  # it installs every extra, so that something was removed
        return _command(str(Path(source.folder, "install.sh")) if source.folder else "./install.sh")
    if (prefix / "uv-receipt.toml").exists():
        return _command("uv", "tool", "install", "--force", wanted)
    if (prefix / "pipx_metadata.json").exists():
        return _command("pipx", "install", "--force", wanted)
    what = ["--editable", f"{source.folder}[{extra}]"] if source.editable else [wanted]
    if source.installer == "uv":
        return _command("uv", "pip", "install", "--python", sys.executable, *what)
    user = ["--user"] if in_user_site() else []
    pip = ["pip"] if os.environ.get("VIRTUAL_ENV") == sys.prefix else [sys.executable, "-m", "pip"]
    return _command(*pip, "install", *user, *what)


def command() -> str:
    """Return what to type in a shell to start this ssm-ssh: its name, where the PATH leads to it."""
    own = script()
    if own is None:
        return _command(sys.executable, "-m", "ssm_ssh")
    listed = shutil.which("ssm-ssh")
    if listed and Path(listed).resolve() == own.resolve():
        return "ssm-ssh"
    if Path("~/.local/bin/ssm-ssh").expanduser().resolve() == own.resolve():
        return "~/.local/bin/ssm-ssh"
    return _command(str(own))


def _source() -> Source:
    import importlib.metadata
    from urllib.parse import unquote, urlsplit

    try:
        package = importlib.metadata.distribution("ssm-ssh")
    except importlib.metadata.PackageNotFoundError:  # started from a checkout that is not installed
        folder = Path(__file__).resolve().parent.parent
        return Source(folder=str(folder), editable=True) if (folder / "pyproject.toml").exists() else Source()
    installer = (package.read_text("INSTALLER") or "pip").strip()
    try:
        recorded = json.loads(package.read_text("direct_url.json") or "")
        url = str(recorded["url"])
        if "vcs_info" in recorded:
            return Source(f"{recorded['vcs_info']['vcs']}+{url}", installer=installer)
        if "dir_info" in recorded:
            folder = Path(unquote(urlsplit(url).path))
            return Source(url, str(folder), bool(recorded["dir_info"].get("editable")), installer)
        return Source(url, installer=installer)
    except (ValueError, KeyError, TypeError):
        return Source(installer=installer)


def _command(*words: str) -> str:
    return shlex.join(words)
