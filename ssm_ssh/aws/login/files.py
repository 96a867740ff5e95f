"""The folders under ~/.aws where AWS tools store logins, read and written as they do, but atomically."""

from __future__ import annotations

import json
import os
from contextlib import contextmanager
from pathlib import Path

from ssm_ssh.aws.config.ini import expand
from ssm_ssh.errors import StateError
from ssm_ssh.startup import TYPE_CHECKING
from ssm_ssh.storage.private_dir import Folder
from ssm_ssh.values import json_object

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from typing import Any


def sso_folder(env: Mapping[str, str]) -> Path:
    """Return the folder of SSO tokens and registrations."""
    return Path(expand("~/.aws/sso/cache", env))


def sign_in_folder(env: Mapping[str, str]) -> Path:
    """Return the folder of sign-ins, which a variable of the AWS CLI may set."""
    return Path(expand(env.get("AWS_LOGIN_CACHE_DIRECTORY") or "~/.aws/login/cache", env))


def read_document(folder: Path, name: str) -> dict[str, Any]:
    """Return the document `name`, empty if it is missing or unusable."""
    try:
        return json_object((folder / name).read_bytes()) or {}
    except OSError:
        return {}


def write_document(folder: Path, name: str, document: Mapping[str, Any]) -> None:
    """Write `document` atomically to the file `name` with mode 0600; create missing folders with mode 0700.

    Raises StateError if it cannot be written.
    """
    with _open(folder) as opened:
        opened.write(name, json.dumps(document).encode("ascii"))


@contextmanager
def _open(path: Path) -> Iterator[Folder]:
    # Unlike a folder of ssm-ssh, this one may be readable by all, as the AWS CLI creates it, or a link, as people set
    # up for ~/.aws. If others can write to it, their access is removed, because it holds secrets.
    try:
        for missing in reversed([folder for folder in (path, *path.parents) if not folder.exists()]):
            missing.mkdir(mode=0o700, exist_ok=True)
        fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError as error:
        raise StateError(
            f"cannot store the login in {path}: {error.strerror}", "Check that folder, its owner and the disk"
        ) from error
    with Folder(path, fd) as folder:
        status = os.fstat(fd)
        if status.st_uid != os.geteuid():
            raise StateError(
                f"the folder {path} belongs to another user",
                "Under sudo, HOME is that user's: run ssm-ssh as yourself, or with sudo -H",
            )
        if status.st_mode & 0o022:
            os.fchmod(fd, 0o700)
        yield folder
