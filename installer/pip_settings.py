"""The package index and the way to it, as pip is set to use them, without pip.

pip's order, from weak to strong: the files of the machine, of the user, the one that PIP_CONFIG_FILE names, and the
environment (https://pip.pypa.io/en/stable/topics/configuration/).
"""

from __future__ import annotations

import configparser
import os
import sys
import urllib.parse
import urllib.request
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

MACHINE_FILE = Path("/etc/pip.conf")
"""What pip reads on every system, whatever the XDG folders are."""


DEFAULT_INDEX = "https://pypi.org/simple"


class Settings(NamedTuple):
    """Where packages come from. URLs may hold credentials: they are not to be shown."""

    indexes: tuple[str, ...]  # in the order in which they are asked
    find_links: tuple[str, ...]
    cert: str
    proxy: str
    trusted_hosts: tuple[str, ...]
    explicit: bool  # the first index was chosen by somebody

    @property
    def host(self) -> str:
        """The first index's host, for people."""
        return (urllib.parse.urlsplit(self.indexes[0]).hostname or self.indexes[0]) if self.indexes else "(none)"

    def proxy_shown(self) -> str:
        """Return host and port of the proxy on the way to the first index, or ""."""
        scheme = urllib.parse.urlsplit(self.indexes[0]).scheme if self.indexes else "https"
        proxies = urllib.request.getproxies()
        url = self.proxy or proxies.get(scheme) or proxies.get("all") or ""
        if not url or (not self.proxy and urllib.request.proxy_bypass(self.host)):
            return ""
        return urllib.parse.urlsplit(url if "//" in url else f"//{url}").netloc.rpartition("@")[2]


def load(env: Mapping[str, str] = os.environ) -> Settings:
    """Read pip's settings from its files and `env`. A file that cannot be read counts as empty, as it does to pip."""
    sections: dict[str, dict[str, str]] = {"global": {}, "install": {}}
    for file in _files(env):
        parser = configparser.RawConfigParser()
        try:
            parser.read(file, encoding="utf-8")
        except (OSError, UnicodeDecodeError, configparser.Error):
            continue
        for section, read in sections.items():
            if parser.has_section(section):
                read |= {name.replace("_", "-"): value for name, value in parser.items(section)}
    # What is said of the command outweighs what is said of all, whichever file says it.
    values = sections["global"] | sections["install"]
    values |= {k[4:].lower().replace("_", "-"): v for k, v in env.items() if k.startswith("PIP_") and v}
    without = values.get("no-index", "").lower() in {"1", "true", "yes", "on", "y", "t"}
    first = values.get("index-url", "").strip() or DEFAULT_INDEX
    return Settings(
        indexes=() if without else (first, *values.get("extra-index-url", "").split()),
        find_links=tuple(values.get("find-links", "").split()),
        cert=values.get("cert", ""),
        proxy=values.get("proxy", ""),
        trusted_hosts=tuple(values.get("trusted-host", "").split()),
        explicit=bool(values.get("index-url")),
    )


def _files(env: Mapping[str, str]) -> list[Path]:
    chosen = env.get("PIP_CONFIG_FILE", "")
    if chosen == os.devnull:
        return []
    home = Path(env.get("HOME", "/"))
    if sys.platform == "darwin":
        machine = [Path("/Library/Application Support/pip/pip.conf"), MACHINE_FILE]
        support = home / "Library/Application Support/pip"
        user = (support if support.is_dir() else home / ".config/pip") / "pip.conf"
    else:
        folders = env.get("XDG_CONFIG_DIRS") or "/etc/xdg"
        machine = [*(Path(folder, "pip/pip.conf") for folder in folders.split(":")), MACHINE_FILE]
        user = Path(env.get("XDG_CONFIG_HOME") or home / ".config", "pip/pip.conf")
    return [*machine, home / ".pip/pip.conf", user, *([Path(chosen)] if chosen else [])]


def for_uv(settings: Settings, env: Mapping[str, str]) -> dict[str, str]:
    """Return what to add to `env` so that uv uses pip's index, unless uv has been given one."""
    if any(env.get(name) for name in ("UV_DEFAULT_INDEX", "UV_INDEX_URL", "UV_INDEX", "UV_CONFIG_FILE")):
        return {}
    more = {"UV_DEFAULT_INDEX": settings.indexes[0]} if settings.explicit and settings.indexes else {}
    if settings.cert and not env.get("SSL_CERT_FILE"):
        more["SSL_CERT_FILE"] = settings.cert
    return more
