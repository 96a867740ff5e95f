"""The files that AWS tools share, ~/.aws/config and ~/.aws/credentials, read as botocore reads them.

The rules for section names, nesting, merging and profiles are those of botocore's `configloader` and
`Session.full_config`; tests compare both on the same files.
"""

from __future__ import annotations

import os

from ssm_ssh.errors import UsageError
from ssm_ssh.startup import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    Values = dict[str, "str | dict[str, str]"]
    Sections = dict[str, Values]


class SharedFiles:
    """The contents of both files.

    `profiles` are merged from both and hold the settings. `own_profiles` are those of the config file, `credentials`
    the sections of the credentials file; static keys come from one of these two. Values may be secrets, so the repr
    shows only the files.
    """

    __slots__ = (
        "config_path",
        "credentials",
        "credentials_path",
        "own_profiles",
        "profiles",
        "services",
        "sso_sessions",
        "unreadable",
    )

    def __init__(self, env: Mapping[str, str]) -> None:
        self.config_path = expand(env.get("AWS_CONFIG_FILE") or "~/.aws/config", env)
        self.credentials_path = expand(env.get("AWS_SHARED_CREDENTIALS_FILE") or "~/.aws/credentials", env)
        self.unreadable: list[str] = []
        config = self._read(self.config_path)
        self.credentials = self._read(self.credentials_path)
        self.own_profiles, self.services, self.sso_sessions = _classify(config)
        self.profiles = {name: dict(values) for name, values in self.own_profiles.items()}
        for name, values in self.credentials.items():
            self.profiles.setdefault(name, {}).update(values)

    def __repr__(self) -> str:
        return f"SharedFiles({self.config_path!r}, {self.credentials_path!r})"

    def _read(self, path: str) -> Sections:
        try:
            # pathlib would add its import time to every connection.
            with open(path, encoding="utf-8") as file:  # noqa: PTH123
                text = file.read()
        except (FileNotFoundError, IsADirectoryError, NotADirectoryError):
            return {}
        except UnicodeDecodeError:
            raise UsageError(f"{path} is not UTF-8 text", "Correct or remove it") from None
        except OSError:
            # botocore continues without an unreadable file; errors about missing settings name it.
            self.unreadable.append(path)
            return {}
        return parse(text, path)


def expand(path: str, env: Mapping[str, str]) -> str:
    """Return `path` with a leading `~` (HOME of `env` if set) and `$VARIABLES` expanded."""
    if "$" in path:
        path = os.path.expandvars(path)
    home = env.get("HOME")
    if home and (path == "~" or path.startswith("~/")):
        return home + path[1:]
    return os.path.expanduser(path)  # noqa: PTH111


def parse(text: str, path: str) -> Sections:
    """Return the sections of one INI file, with indented blocks as dictionaries.

    Raises UsageError with file and line only: the messages of configparser quote lines, which may hold secret keys.
    """
    import configparser

    parser = configparser.RawConfigParser()
    try:
        parser.read_string(text, path)
        sections = {name: dict(parser.items(name)) for name in parser.sections()}
    except configparser.Error as error:
        first = getattr(error, "errors", None)
        line = first[0][0] if first else getattr(error, "lineno", None)
        at = f" at line {line}" if isinstance(line, int) else ""
        raise UsageError(
            f"{path} cannot be parsed{at}", "Write sections as [profile NAME] and settings as name = value"
        ) from None
    nested: Sections = {}
    for name, values in sections.items():
        nested[name] = {
            key: _nested(value, key, path) if value and value.startswith("\n") else value
            for key, value in values.items()
        }
    return nested


def _nested(block: str, key: str, path: str) -> dict[str, str]:
    values: dict[str, str] = {}
    for line in block.splitlines():
        name, equals, value = line.strip().partition("=")
        if equals:
            values[name.strip()] = value.strip()
        elif name:
            raise UsageError(f"{path} cannot be parsed: a line of '{key}' is not name = value", "Correct that block")
    return values


def _classify(sections: Sections) -> tuple[Sections, Sections, Sections]:
    """Return the profiles, the `services` sections and the `sso-session` sections of a config file."""
    profiles: Sections = {}
    services: Sections = {}
    sso_sessions: Sections = {}
    for section, values in sections.items():
        if section.startswith("profile"):
            if name := _second_word(section):
                profiles[name] = values
        elif section.startswith("services"):
            if name := _second_word(section):
                services[name] = values
        elif section.startswith("sso-session"):
            if name := _second_word(section):
                sso_sessions[name] = values
        elif section == "default":
            profiles[section] = values
    return profiles, services, sso_sessions


def _second_word(section: str) -> str | None:
    if section.isascii() and section.isprintable() and not any(c in section for c in "\"'\\"):
        words = section.split()
    else:
        import shlex

        try:
            words = shlex.split(section)
        except ValueError:
            return None
    return words[1] if len(words) == 2 else None
