"""The settings file: read with the line of each setting, and edited in place without losing a comment.

Every connection reads it: the standard library parses TOML for that, or tomli, which is the same parser, on Python
3.10, and neither is imported where there is no file. Only `edit`, which setup calls, imports tomlkit.
"""

from __future__ import annotations

import os
import re
import stat
import sys
from pathlib import Path

from ssm_ssh.errors import UsageError
from ssm_ssh.startup import TYPE_CHECKING
from ssm_ssh.storage import atomic_write, leftovers, trouble
from ssm_ssh.text import printable

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

NAME = "config.toml"
_LARGEST = 1 << 20


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
    """Set `changes` (None: remove) in the file; returns whether it changed. Raises UsageError, StateError.

    Comments, order and unknown keys stay. The result is parsed by the standard library and compared before it is
    written, for the file is the user's: a layout that tomlkit gets wrong is left alone.
    """
    before, after = preview(path, changes)
    if after == before:
        return False
    _write(path, after)
    return True


def preview(path: Path, changes: Mapping[str, Any]) -> tuple[bytes | None, bytes | None]:
    """Return the content of the file before and after `edit`, None where there is no file. Raises UsageError."""
    content = _content(path)
    text, before = _parse(content or b"", path)
    wanted = {name: value for name, value in {**before, **changes}.items() if value is not None}
    if wanted == before:
        return content, content
    edited = _edited(text, {name: value for name, value in changes.items() if before.get(name) != value})
    try:
        differs = _parse(edited.encode(), path)[1] != wanted
    except UsageError:
        differs = True
    if differs:
        lines = ", ".join(f"{name} = {_toml(value)}" for name, value in changes.items() if value is not None)
        hint = f"Write there yourself: {lines}" if lines else f"Remove there yourself: {', '.join(changes)}"
        raise UsageError(f"{path} has a layout that cannot be edited safely", hint)
    return content, edited.encode() if wanted or edited.strip() else None


def _edited(text: str, changes: Mapping[str, Any]) -> str:
    """Return the TOML `text` with `changes` made (None: removed); unchanged where tomlkit cannot make them."""
    import tomlkit
    from tomlkit.exceptions import TOMLKitError

    # A new setting would otherwise continue the last line.
    if text and not text.endswith("\n"):
        text += "\n"
    try:
        document = tomlkit.parse(text)
        for name, value in changes.items():
            if value is None:
                document.remove(name)
            else:
                document[name] = _plain(value)
        return tomlkit.dumps(document)
    except TOMLKitError:
        return text


def _toml(value: Any) -> str:  # noqa: ANN401
    import tomlkit

    return str(tomlkit.item(_plain(value)).as_string())


def _plain(value: Any) -> Any:  # noqa: ANN401
    """Return whole seconds without a fraction, as a person writes them."""
    return int(value) if isinstance(value, float) and value.is_integer() else value


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
        # Some systems keep the configuration of all users in files of root, and link to them.
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
        # Some editors write a byte-order mark, which TOML does not allow.
        text = content.decode("utf-8-sig")
        return text, tomllib.loads(text)
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise UsageError(f"{path}:{line} is not UTF-8 text", "Correct or remove it") from None
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        where = re.compile(r"\(at (?:line (\d+), column \d+|(end of document))\)")
        at = where.search(str(error))
        line = int(at[1]) if at and at[1] else content.count(b"\n") + 1
        reason = printable(where.sub("", str(error)), 120).strip()
        raise UsageError(
            f"{path}:{line} is not TOML: {reason}", 'Settings look like: push = "eic", or search = ["prod", "dev"]'
        ) from None


def _line_of(name: str, text: str) -> int:
    word = re.escape(name)
    assignment = re.search(rf"^[ \t]*(?P<q>[\"']?){word}(?P=q)[ \t]*[.=]", text, re.MULTILINE)
    # The header of a table stands for what is in it.
    match = assignment or re.search(rf"^[ \t]*\[+[ \t]*[\"']?{word}\b", text, re.MULTILINE)
    return text.count("\n", 0, match.start()) + 1 if match else 1


def _write(path: Path, content: bytes | None) -> None:
    """Replace the file that `path` is or links to, by a rename; None removes it."""
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
