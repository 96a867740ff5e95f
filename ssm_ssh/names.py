"""PURE: what names look like: instances, users, regions, documents, profiles and aliases.

Each rule stands here once, so that a setting, an option and a call accept the same names. The checks compare
characters instead of matching patterns because every connection makes them, and compiling a pattern costs more.
"""

from __future__ import annotations

from ssm_ssh.errors import UsageError

_DIGITS = frozenset("0123456789")
_HEX_DIGITS = frozenset("0123456789abcdef")
_LOWER = frozenset("abcdefghijklmnopqrstuvwxyz")
_ALPHANUMERIC = _LOWER | frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZ") | _DIGITS

# EC2 ids have 8 (before 2016) or 17 hex digits, managed nodes have 17:
# https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/resource-ids.html
# https://docs.aws.amazon.com/systems-manager/latest/APIReference/API_StartSession.html
_ID_LENGTHS = {"i": (8, 17), "mi": (17,)}

_LONGEST_SESSION = 96

# What useradd of any Linux distribution accepts, plus the dots and domain parts of directory services. A quote, a
# shell character, white space or a leading dash never passes.
_USER_FIRST = _ALPHANUMERIC | {"_"}
_USER_REST = _ALPHANUMERIC | frozenset("._@+-")
# What sshd accepts besides, because a directory has such names: DOMAIN\\user, names with spaces or other letters.
_DIRECTORY_USER_REST = _USER_REST | frozenset("\\ ~")
_LONGEST_USER = 64

# A region becomes part of a host name, so it is one DNS label.
_LABEL = _LOWER | _DIGITS | {"-"}
LONGEST_LABEL = 63

# The model of StartSession and SendCommand:
# https://docs.aws.amazon.com/systems-manager/latest/APIReference/API_StartSession.html
_DOCUMENT = _ALPHANUMERIC | frozenset("_-.:/")
_SHORTEST_DOCUMENT, _LONGEST_DOCUMENT = 3, 128

_ALIAS = _ALPHANUMERIC | frozenset("_-")
_LONGEST_PROFILE = 256

INSTANCE_HINT = "Use i- with 8 or 17 hex digits, or mi- with 17, for example: ssh ec2-user@i-0123456789abcdef0"
USER_HINT = (
    f"Use letters, digits, and . _ - @ + \\ (at most {_LONGEST_USER}), for example: ssh ec2-user@i-0123456789abcdef0"
)
REGION_HINT = "Use a name such as eu-central-1"
DOCUMENT_HINT = f"Use {_SHORTEST_DOCUMENT} to {_LONGEST_DOCUMENT} letters, digits and _ - . : /"


def is_instance_id(text: str) -> bool:
    """Return whether `text` is the id of an EC2 instance (`i-`) or of a managed node (`mi-`)."""
    prefix, _, digits = text.partition("-")
    return len(digits) in _ID_LENGTHS.get(prefix, ()) and _HEX_DIGITS.issuperset(digits)


def is_session_id(text: str) -> bool:
    """Return whether `text` can be the whole id of a session: a name, and what makes it unique, 17 or more characters.

    https://docs.aws.amazon.com/systems-manager/latest/APIReference/API_StartSession.html
    """
    name, _, unique = text.rpartition("-")
    return bool(name) and len(text) <= _LONGEST_SESSION and len(unique) >= 17 and (_LOWER | _DIGITS).issuperset(unique)


def is_user(text: str) -> bool:
    """Return whether `text` can be a user's name for sshd: one of Linux, or one that a directory service may have."""
    return is_plain_user(text) or _is_directory_user(text)


def is_plain_user(text: str) -> bool:
    """Return whether `text` can be a user's name on Linux; a `$` may end it, as for Samba's machine accounts."""
    name = text.removesuffix("$")
    return 0 < len(name) <= _LONGEST_USER and name[0] in _USER_FIRST and _USER_REST.issuperset(name)


def _is_directory_user(text: str) -> bool:
    """Return whether a directory may have the user `text`, and each shell and version of ssh takes it literally.

    To fish two backslashes are one, and one at the end takes the quote along that follows it.
    """
    return (
        0 < len(text) <= _LONGEST_USER
        and (text[0].isalnum() or text[0] == "_")
        and all(c in _DIRECTORY_USER_REST or (not c.isascii() and c.isprintable() and c.isalnum()) for c in text)
        and "\\\\" not in text
        # Without a domain, a space is a slip.
        and (" " not in text or "\\" in text or "@" in text)
        and text[-1] not in "\\ "
    )


def check_user(text: str) -> str:
    """Return `text` if it can be a user's name. Raises UsageError."""
    if not is_user(text):
        raise UsageError(f"'{text[:80]}' is not a user name", USER_HINT)
    return text


def is_region(text: str) -> bool:
    """Return whether `text` can be a region's name, whether or not AWS has such a region today."""
    return 0 < len(text) <= LONGEST_LABEL and _LABEL.issuperset(text) and not text.startswith("-") and text[-1] != "-"


def is_document(text: str) -> bool:
    """Return whether `text` can be the name or ARN of a Systems Manager document."""
    return _SHORTEST_DOCUMENT <= len(text) <= _LONGEST_DOCUMENT and _DOCUMENT.issuperset(text)


def is_profile(text: str) -> bool:
    """Return whether `text` can be the name of an AWS profile in the settings file."""
    return 0 < len(text) <= _LONGEST_PROFILE and text.isprintable() and text == text.strip()


def is_alias_label(text: str) -> bool:
    """Return whether `text` has the form of an alias: one label of a host name, underscores allowed."""
    return 0 < len(text) <= LONGEST_LABEL and text[0] in _ALPHANUMERIC and _ALIAS.issuperset(text)


def is_duration(text: str) -> bool:
    """Return whether `text` is "" or `no`, or a time as ssh's ControlPersist takes it: 90, 90s, 10m, 1h."""
    number = text[:-1] if text[-1:] in ("s", "m", "h") else text
    return text in ("", "no") or (0 < len(number) <= 5 and _DIGITS.issuperset(number) and int(number) > 0)
