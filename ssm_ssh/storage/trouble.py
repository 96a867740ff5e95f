"""Why a file or folder cannot be used, in words, with the remedy for that cause."""

from __future__ import annotations

import errno
import os

from ssm_ssh.errors import SsmSshError, StateError
from ssm_ssh.startup import TYPE_CHECKING
from ssm_ssh.storage.locks import WITHOUT_LOCKS

if TYPE_CHECKING:
    from pathlib import Path

# The errors that say that a disk is full.
FULL = frozenset((errno.ENOSPC, errno.EDQUOT, errno.EFBIG))
# The remedies, besides moving the folder.
_REMEDIES = {
    errno.ENOSPC: "Free some space (df -h) or inodes (df -i)",
    errno.EDQUOT: "Free some of your quota",
    errno.EROFS: "Make that file system writable",
    errno.EACCES: "Check who may write there",
    errno.EPERM: "Check who may write there",
    errno.ENOTDIR: "A part of that path is not a folder: move it away",
    errno.EEXIST: "A part of that path is not a folder: move it away",
    errno.EFBIG: "Raise the limit of file sizes (ulimit -f)",
}


def cannot_use(path: Path, error: OSError, *, what: str = "") -> StateError:
    """Return the error to raise where the system refuses to use `path`, introduced by `what` ("the folder ")."""
    reason = error.strerror or type(error).__name__
    remedy = _REMEDIES.get(error.errno or 0, "Check that path and the disk")
    return StateError(f"cannot use {what}{path}: {reason}", _or(remedy, _elsewhere(path)))


def cannot_lock(path: Path, error: OSError) -> StateError:
    """Return the error to raise where `path` cannot be locked."""
    if error.errno not in WITHOUT_LOCKS:
        return cannot_use(path, error)
    elsewhere = _elsewhere(path)
    return StateError(
        f"cannot lock {path}: its file system has no locks ({error.strerror})",
        f"{elsewhere[:1].upper()}{elsewhere[1:]}" if elsewhere else "Move it to a file system with locks",
    )


def _or(remedy: str, other: str) -> str:
    return f"{remedy}, or {other}" if other else remedy


def _elsewhere(path: Path) -> str:
    """Return how to move the ssm-ssh folder that contains `path`, "" if none does."""
    from ssm_ssh.storage import paths

    for variable, folder in (
        ("XDG_DATA_HOME", paths.data_folder),
        ("XDG_STATE_HOME", paths.state_folder),
        ("XDG_CONFIG_HOME", paths.config_folder),
    ):
        try:
            if os.fspath(path).startswith(os.fspath(folder())):
                return f"set {variable} to a folder on another disk and run: ssm-ssh setup"
        except SsmSshError:
            return ""
    return ""
