"""The settings file: read with the line of each setting, and edited in place without losing a comment.

TOML is parsed by the standard library, or by tomli, which is the same parser, on Python 3.10; neither is imported
where there is no file.
"""

from __future__ import annotations

import os
import re
import stat
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ssm_ssh.errors import UsageError
from ssm_ssh.storage import atomic_write, leftovers, trouble
from ssm_ssh.text import printable

if TYPE_CHECKING:
    from collections.abc import Mapping

NAME = "config.toml"
_LARGEST = 1 << 20
_AT = re.compile(r"\(at (?:line (\d+), column \d+|(end of document))\)")


def read(path: Path) -> dict[str, tuple[Any, str]]:
    """Return each setting of the file at `path` with its origin, `path:line`; nothing where there is no file.

    Raises UsageError for a file that cannot be read or parsed, or that others could have written.
    """
    content = _content(path)
    if content is None:
        return {}
    text, values = _parse(content, path)
    return {name: (value, f"{path}:{_line_of(name, text)}") for name, value in values.items()}


def edit(path: Path, changes: Mapping[str, Any]) -> bool:
    """Set `changes` (None: take out) in the file; returns whether it changed. Raises UsageError, StateError.

    What comes out is parsed and compared before it is written: an unusual layout is left to its author.
    """
    content = _content(path)
    text, before = _parse(content or b"", path)
    wanted = {**before, **changes}
    wanted = {name: value for name, value in wanted.items() if value is not None}
    if wanted == before:
        return False
    lines = text.splitlines(keepends=True)
    for name, value in changes.items():
        if before.get(name) != value:
            lines = _put(lines, name, value)
    new = "".join(lines)
    if not _says(new, wanted):
        said = ", ".join(f"{name} = {_toml(value)}" for name, value in changes.items() if value is not None)
        raise UsageError(f"{path} is laid out in a way that cannot be edited safely", f"Write there yourself: {said}")
    _write(path, new.encode() if wanted or new.strip() else None)
    return True


def _content(path: Path) -> bytes | None:
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        raise UsageError(f"cannot read the settings in {path}: {error.strerror}", "Correct or remove it") from error
    try:
        status = os.fstat(fd)
        if not stat.S_ISREG(status.st_mode):
            raise UsageError(f"{path} is not a plain file", "Remove it")
        # A link to a file of root's is how some systems keep everybody's configuration.
        if status.st_uid not in (os.geteuid(), 0) or status.st_mode & stat.S_IWOTH:
            raise UsageError(
                f"{path} belongs to another user or can be written by everybody", f"Run: chmod 600 '{path}'"
            )
        with os.fdopen(fd, "rb", closefd=False) as file:
            return file.read(_LARGEST)
    finally:
        os.close(fd)


def _parse(content: bytes, path: Path | None) -> tuple[str, dict[str, Any]]:
    if sys.version_info >= (3, 11):
        import tomllib
    else:
        import tomli as tomllib
    try:
        # A byte-order mark is what some editors put there, and TOML does not know.
        text = content.decode("utf-8-sig")
        return text, tomllib.loads(text)
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise UsageError(f"{path}:{line} is not UTF-8 text", "Correct or remove it") from None
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        at = _AT.search(str(error))
        line = int(at[1]) if at and at[1] else content.count(b"\n") + 1
        said = printable(_AT.sub("", str(error)), 120).strip()
        raise UsageError(
            f"{path}:{line} is not TOML: {said}", 'Settings look like: push = "eic", or search = ["prod", "dev"]'
        ) from None


def _line_of(name: str, text: str) -> int:
    found = re.search(_assignment(name), text, re.MULTILINE)
    # A table's header stands for what is in it.
    found = found or re.search(rf"^[ \t]*\[+[ \t]*[\"']?{re.escape(name)}\b", text, re.MULTILINE)
    return text.count("\n", 0, found.start()) + 1 if found else 1


def _assignment(name: str) -> str:
    return rf"^[ \t]*(?P<q>[\"']?){re.escape(name)}(?P=q)[ \t]*[.=]"


def _put(lines: list[str], name: str, value: Any) -> list[str]:  # noqa: ANN401
    """Return `lines` with the setting replaced, taken out, or added behind the others."""
    start = next((number for number, line in enumerate(lines) if re.match(_assignment(name), line)), None)
    new = [] if value is None else [f"{name} = {_toml(value)}\n"]
    if start is None:
        # Behind the first [table], it would be that table's.
        at = next((number for number, line in enumerate(lines) if line.lstrip().startswith("[")), len(lines))
        if at and not lines[at - 1].endswith("\n"):
            lines[at - 1] += "\n"
        return [*lines[:at], *new, *lines[at:]]
    end = start + 1
    # An array may go on over several lines.
    while end < len(lines) and not _says("".join(lines[start:end])):
        end += 1
    return [*lines[:start], *new, *lines[end:]]


def _says(text: str, values: dict[str, Any] | None = None) -> bool:
    """Return whether `text` is TOML, and says `values` where they are given."""
    try:
        found = _parse(text.encode(), None)[1]
    except UsageError:
        return False
    return values is None or found == values


def _toml(value: Any) -> str:  # noqa: ANN401
    if isinstance(value, str):
        escaped = "".join(c if c.isprintable() and c not in '"\\' else f"\\U{ord(c):08x}" for c in value)
        return f'"{escaped}"'
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(_toml, value))}]"
    return f"{value:g}"


def _write(path: Path, content: bytes | None) -> None:
    """Replace the file, by a rename where a link leads to; None removes it."""
    target = Path(os.path.realpath(path))
    try:
        if content is None:
            target.unlink()
            return
        target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        mode = stat.S_IMODE(target.stat().st_mode) if target.exists() else 0o600
        folder = os.open(target.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            leftovers.sweep(folder, f".{target.name}.")
            atomic_write.replace(folder, target.name, content, prepare=lambda fd: os.fchmod(fd, mode))
        finally:
            os.close(folder)
    except OSError as error:
        raise trouble.cannot_use(path, error) from error
