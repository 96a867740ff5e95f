"""State files: JSON objects in the state folder that connections read, and change under a lock.

State is a convenience, so it must never be a reason to fail. A file that is damaged counts as empty and is replaced by
the next change; a file that a later version of ssm-ssh wrote counts as empty too, but is left alone. Every file is
written whole or not at all, and every table in it is bounded.
"""

from __future__ import annotations

import json
from contextlib import contextmanager

from ssm_ssh.errors import StateError
from ssm_ssh.startup import TYPE_CHECKING
from ssm_ssh.storage.paths import state_folder
from ssm_ssh.storage.private_dir import open_folder
from ssm_ssh.values import json_object

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any, TypeAlias

# The content of a state file by the name of each table, without its version.
Content: TypeAlias = "dict[str, Any]"
# The version of every state file. A file without a version is one of today.
VERSION = 1


class JsonStore:
    """The state file `name`; each of its tables keeps the `most` entries that were added last."""

    def __init__(self, name: str, *, most: int) -> None:
        self.name = name
        self._lock = name.removesuffix(".json") + ".lock"
        self._most = most

    def read(self) -> Content:
        """Return the content, empty where there is none that can be understood.

        Raises StateError where the folder or the file cannot be used.
        """
        with open_folder(state_folder()) as folder:
            return _decode(folder.read(self.name))[0]

    def peek(self) -> Content:
        """Return the content as `read` does, also empty where the folder or the file cannot be used. Never raises."""
        try:
            return self.read()
        except StateError:
            return {}

    @contextmanager
    def update(self) -> Iterator[Content]:
        """Yield the content to be changed in place, alone; afterwards it is written if it has changed.

        An error in the body leaves the file as it was. Raises StateError where the folder or the file cannot be used,
        or where a later version of ssm-ssh wrote the file.
        """
        with open_folder(state_folder()) as folder, folder.lock(self._lock):
            before = folder.read(self.name)
            content, version = _decode(before)
            if version > VERSION:
                raise StateError(
                    f"{folder.path / self.name} was written by a later version of ssm-ssh",
                    "Use that version, or remove the file",
                )
            yield content
            for value in content.values():
                _keep_last(value, self._most)
            after = json.dumps({"version": VERSION, **content}, separators=(",", ":")).encode("ascii")
            if after != before and (before is not None or any(content.values())):
                folder.write(self.name, after)


def table(content: Content, name: str) -> dict[str, Any]:
    """Return the table `name` of a file's `content`, which is made empty if it is missing or damaged."""
    value = content.get(name)
    if not isinstance(value, dict):
        value = content[name] = {}
    return value


def rows(content: Content, name: str) -> list[Any]:
    """Return the list `name` of a file's `content`, which is made empty if it is missing or damaged."""
    value = content.get(name)
    if not isinstance(value, list):
        value = content[name] = []
    return value


def _decode(data: bytes | None) -> tuple[Content, int]:
    content = json_object(data or b"{}") or {}
    version = content.pop("version", VERSION)
    if not isinstance(version, int) or isinstance(version, bool):
        return {}, VERSION
    return (content if version <= VERSION else {}), version


def _keep_last(value: object, most: int) -> None:
    if isinstance(value, dict):
        for key in list(value)[: max(0, len(value) - most)]:
            del value[key]
    elif isinstance(value, list):
        del value[: max(0, len(value) - most)]
