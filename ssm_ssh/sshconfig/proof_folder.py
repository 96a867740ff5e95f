"""A private folder for copies of the user's configuration, which ssh is asked about before anything changes."""

from __future__ import annotations

import contextlib
import os
import shutil
from typing import TYPE_CHECKING

from ssm_ssh.storage import leftovers, trouble
from ssm_ssh.storage.paths import state_folder
from ssm_ssh.storage.private_dir import open_folder

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

# The names of folders for the proof begin so; what follows identifies the process (in older versions: random letters).
_PROOF, _PROOF_BEFORE = "proof-", "[a-z0-9_]{8}"


@contextlib.contextmanager
def proof_folder() -> Iterator[Path]:
    """Make a private folder for copies of the configuration; folders of killed runs are removed."""
    with open_folder(state_folder()) as state:
        for left in list(state.path.glob(f"{_PROOF}*")):
            with contextlib.suppress(OSError):
                if leftovers.is_left_over(left.name, _PROOF, left.lstat().st_mtime, _PROOF_BEFORE):
                    shutil.rmtree(left, ignore_errors=True)
        folder = state.path / leftovers.temporary(_PROOF)
        try:
            folder.mkdir(mode=0o700)
        except OSError as error:
            raise trouble.cannot_use(folder, error) from error
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def write_private(path: Path, content: bytes) -> None:
    """Write a new file that is the user's alone. Raises StateError."""
    try:
        fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        with os.fdopen(fd, "wb") as file:
            file.write(content)
    except OSError as error:
        raise trouble.cannot_use(path, error) from error
