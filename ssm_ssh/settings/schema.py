# Over 350 lines: the table of all settings, and the checks of their values.
"""What can be set, and where a value comes from: a flag, else SSM_SSH_*, else the settings file, else the default.

The file is TOML without tables, `config.toml` in the platform's configuration folder; see `toml_file`. The setting
`resume_limit` is `SSM_SSH_RESUME_LIMIT` in the environment and `--resume-limit` on the command line.
"""

from __future__ import annotations

import os
import re

from ssm_ssh import names
from ssm_ssh.errors import UsageError
from ssm_ssh.startup import TYPE_CHECKING, NamedTuple
from ssm_ssh.text import printable

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path
    from typing import Any

    # What a setting may be, once checked.
    Value = str | float | tuple[str, ...]

# Text after a colon that looks like this is a region; profiles may have colons in their names. Compiled when needed.
LIKE_REGION = r"(?:fips-)?[a-z]{2,4}(?:-[a-z0-9]+)+-[0-9]"
_LONGEST = 1024
# A day: by then credentials have expired, so nothing that takes longer can succeed.
_LONGEST_SECONDS = 86400.0
# A login takes a while, and the result of a command arrives late; remote.script.LONGEST_LIFETIME.
_SHORTEST_PUSH, _LONGEST_PUSH = 15.0, 600.0


class Place(NamedTuple):
    """Where to look: a profile and regions; no regions: the one that the profile itself names."""

    profile: str
    regions: tuple[str, ...]


class Setting(NamedTuple):
    """One setting. `check` turns a string or a TOML value into what is used, or raises ValueError."""

    name: str
    default: Value
    check: Callable[[Any], Value]
    allowed: str
    help: str

    @property
    def variable(self) -> str:
        """The environment variable that sets it."""
        return f"SSM_SSH_{self.name.upper()}"

    @property
    def flag(self) -> str:
        """The option that sets it, on the commands that have it."""
        return f"--{self.name.replace('_', '-')}"


class Origin(NamedTuple):
    """A value, and in words where it comes from."""

    value: Value
    origin: str


class Settings:
    """The values in force; see SETTINGS for their names."""

    def __init__(self, values: Mapping[str, Origin], path: Path) -> None:
        self.path = path
        self._values = values

    def origin(self, name: str) -> str:
        """Return where the value of `name` comes from: `--flag`, `SSM_SSH_NAME`, `/path/config.toml:3`, `default`."""
        return self._values[name].origin

    def value(self, name: str) -> Value:
        """Return the value of `name`."""
        return self._values[name].value

    def text(self, name: str) -> str:
        """Return a setting that is text."""
        value = self._values[name].value
        assert isinstance(value, str)
        return value

    def seconds(self, name: str) -> float:
        """Return a setting that is a time in seconds."""
        value = self._values[name].value
        assert isinstance(value, float)
        return value

    def words(self, name: str) -> tuple[str, ...]:
        """Return a setting that is a list."""
        value = self._values[name].value
        assert isinstance(value, tuple)
        return value

    def places(self, name: str) -> tuple[Place, ...]:
        """Return a setting that is a list of places."""
        return tuple(parse_place(word) for word in self.words(name))


def parse_place(text: str) -> Place:
    """Return the place that `PROFILE` or `PROFILE:REGION,REGION` names. Raises ValueError.

    A colon that no region follows belongs to the profile's name: `team:prod` is a profile.
    """
    profile, colon, regions = text.rpartition(":")
    if not colon or (regions and not any("," in word or re.match(LIKE_REGION, word) for word in regions.split())):
        profile, colon, regions = text, "", ""
    region_names = tuple(regions.split(",")) if colon else ()
    if not names.is_profile(profile) or not all(names.is_region(name) for name in region_names):
        raise ValueError(f"not a place: {text}")
    return Place(profile, region_names)


def parse_tag(text: str) -> tuple[str, tuple[str, ...]]:
    """Return key and accepted values of a tag filter: `KEY` (any value) or `KEY=VALUE,VALUE`. Raises ValueError."""
    key, equals, values = text.partition("=")
    if not key or not text.isprintable() or len(text) > _LONGEST or (equals and not values):
        raise ValueError(f"not a tag: {text}")
    return key, tuple(values.split(",")) if equals else ()


def _text(allowed: Callable[[str], object]) -> Callable[[Any], Value]:
    def check(value: Any) -> Value:  # noqa: ANN401
        text = _plain(value)
        if not allowed(text):
            raise ValueError(value)
        return text

    return check


def _plain(value: object) -> str:
    """Return text as it is, and a TOML integer as its digits: an account number may be a profile's name."""
    if isinstance(value, bool) or not isinstance(value, str | int):
        raise ValueError(value)  # noqa: TRY004 - the only error of a check
    return str(value)


def _maybe(allowed: Callable[[str], object]) -> Callable[[Any], Value]:
    return _text(lambda value: not value or allowed(value))


def _choice(*choices: str) -> Callable[[Any], Value]:
    return _text(lambda value: value in choices)


def _yes_or_no(value: Any) -> Value:  # noqa: ANN401
    """Take TOML's booleans, and the words by which other programs' settings say yes and no."""
    word = str(value).lower() if isinstance(value, bool | str | int) else ""
    if word in ("yes", "true", "on", "1"):
        return "yes"
    if word in ("no", "false", "off", "0"):
        return "no"
    raise ValueError(value)


def _seconds(value: Any) -> Value:  # noqa: ANN401
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        raise ValueError(value)  # noqa: TRY004 - the only error of a check
    number = float(value)
    if not 0 <= number <= _LONGEST_SECONDS:
        raise ValueError(value)
    return number


def _lifetime(value: Any) -> Value:  # noqa: ANN401
    number = _seconds(value)
    if not isinstance(number, float) or not number.is_integer() or not _SHORTEST_PUSH <= number <= _LONGEST_PUSH:
        raise ValueError(value)
    return number


def _words(parse: Callable[[str], object]) -> Callable[[Any], Value]:
    def check(value: Any) -> Value:  # noqa: ANN401
        words = value.split() if isinstance(value, str) else value
        if not isinstance(words, list | tuple):
            raise ValueError(value)  # noqa: TRY004 - the only error of a check
        texts = tuple(map(_plain, words))
        for text in texts:
            parse(text)
        return texts

    return check


_PUSH = ("auto", "eic", "send-command", "none")
_HOST_KEYS = ("record", "require")
_START = ("ask", "never", "always")
_A_PLACE = 'PROFILE or PROFILE:REGION,REGION, for example ["prod:eu-west-1,eu-central-1", "dev"]'

SETTINGS: tuple[Setting, ...] = (
    Setting(
        "default_profile",
        "",
        _maybe(names.is_profile),
        "the name of an AWS profile",
        "AWS profile if neither the host name, the environment nor an earlier connection chooses one",
    ),
    Setting(
        "default_region",
        "",
        _maybe(names.is_region),
        "the name of a region, such as eu-central-1",
        "AWS region if neither the host name, the environment, an earlier connection nor the profile chooses one",
    ),
    Setting("search", (), _words(parse_place), _A_PLACE, "where to look for an instance that nothing else locates"),
    Setting(
        "document",
        "AWS-StartSSHSession",
        _text(names.is_document),
        "the name or ARN of a session document",
        "session document to start",
    ),
    Setting("push", "auto", _choice(*_PUSH), ", ".join(_PUSH), "how to push the public key to the instance"),
    Setting(
        "push_after_denied",
        "no",
        _yes_or_no,
        "no, yes, or a TOML boolean",
        "whether to use Run Command (root on the instance) if EC2 Instance Connect is denied",
    ),
    Setting(
        "push_document",
        "AWS-RunShellScript",
        _text(names.is_document),
        "the name or ARN of a command document",
        "command document for Run Command: AWS-RunShellScript, or that of docs/push-document.md",
    ),
    Setting(
        "push_lifetime",
        60.0,
        _lifetime,
        "seconds from 15 to 600",
        "how long a key that Run Command pushes is accepted",
    ),
    Setting(
        "key",
        "",
        _text(str.isprintable),
        "a public key file, agent, agent:COMMENT or agent:SHA256:...",
        "key to push instead of ssm-ssh's own",
    ),
    Setting(
        "share",
        "",
        _text(names.is_duration),
        "no, or a time such as 90s, 10m or 1h",
        "how long ssh keeps a connection for others to share, from the next setup on; like `setup --share`",
    ),
    Setting(
        "key_type",
        "auto",
        _choice("auto", "rsa", "ed25519"),
        "auto, rsa or ed25519",
        "type of ssm-ssh's own key pair from the next setup on; auto: rsa, or ed25519 where that is in use",
    ),
    Setting("key_age", 86400.0, _seconds, "seconds from 0 to 86400", "how long ssm-ssh uses a key pair of its own"),
    Setting(
        "host_keys",
        "record",
        _choice(*_HOST_KEYS),
        ", ".join(_HOST_KEYS),
        "what to do with a first host key that cannot be verified: record it with a notice, or refuse it",
    ),
    Setting(
        "resume_limit",
        900.0,
        _seconds,
        "seconds from 0 to 86400",
        "how long to try to restore a lost connection",
    ),
    Setting(
        "start",
        "ask",
        _choice(*_START),
        ", ".join(_START),
        "whether ssh, shell, exec and forward start an instance that is stopped; without a terminal, ask means never",
    ),
    Setting(
        "half_close_wait",
        10.0,
        _seconds,
        "seconds from 0 to 86400",
        "how long `ssm-ssh forward` waits for the server once a program has finished sending",
    ),
    Setting(
        "kms_key",
        "",
        _text(str.isprintable),
        "the ARN of a KMS key",
        "key of another account, or for port sessions, that a session may be encrypted with",
    ),
    Setting(
        "user",
        "",
        _maybe(names.is_user),
        "the name of a user",
        "user of every alias that sync creates, instead of the platform's usual one",
    ),
    Setting(
        "sync",
        (),
        _words(parse_place),
        _A_PLACE,
        "where `ssm-ssh sync` and `list` search, instead of the setting search",
    ),
    Setting(
        "sync_tags",
        (),
        _words(parse_tag),
        'KEY or KEY=VALUE,VALUE, for example ["Env=prod,test", "Team"]',
        "tags that an instance must have to get an alias",
    ),
)

_BY_NAME = {setting.name: setting for setting in SETTINGS}


def load(flags: Mapping[str, object] | None = None, env: Mapping[str, str] | None = None) -> Settings:
    """Return the values in force. `flags`: what was given on the command line, by name; None: not given.

    Raises UsageError for a value that is not allowed, with its file and line. Names in `flags` that are no settings
    are ignored.
    """
    from ssm_ssh.settings.toml_file import NAME, read
    from ssm_ssh.storage.paths import config_folder

    env = os.environ if env is None else env
    path = config_folder() / NAME
    stored = read(path)
    for name, (_, origin) in stored.items():
        if name not in _BY_NAME:
            from ssm_ssh.suggest import did_you_mean

            raise UsageError(
                f"'{printable(name, 40)}' in {origin} is not a setting",
                did_you_mean(name, _BY_NAME) or f"Settings: {', '.join(_BY_NAME)}",
            )
    values = {}
    for setting in SETTINGS:
        given = flags.get(setting.name) if flags else None
        if given is not None:
            values[setting.name] = _checked(setting, given, setting.flag)
        elif env.get(setting.variable):
            values[setting.name] = _checked(setting, env[setting.variable], setting.variable)
        elif setting.name in stored:
            values[setting.name] = _checked(setting, *stored[setting.name])
        else:
            values[setting.name] = Origin(setting.default, "default")
    return Settings(values, path)


def store(changes: Mapping[str, str | float | list[str] | None]) -> bool:
    """Write `changes` to the settings file (None: remove). Returns whether it changed; raises as `preview` does."""
    from ssm_ssh.settings.toml_file import edit

    return edit(preview(changes)[0], changes)


def preview(changes: Mapping[str, str | float | list[str] | None]) -> tuple[Path, bytes | None, bytes | None]:
    """Return the settings file, and its content before and after `store` (None: no file). Raises UsageError."""
    from ssm_ssh.settings import toml_file
    from ssm_ssh.storage.paths import config_folder

    for name, value in changes.items():
        if value is not None:
            _checked(_BY_NAME[name], value, "setup")
    path = config_folder() / toml_file.NAME
    return path, *toml_file.preview(path, changes)


def _checked(setting: Setting, value: object, origin: str) -> Origin:
    try:
        return Origin(setting.check(value), origin)
    except ValueError:
        shown = value if isinstance(value, str) else repr(value)
        raise UsageError(
            f"{setting.name} is '{printable(shown, 80)}' by {origin}", f"Allowed: {setting.allowed}"
        ) from None
