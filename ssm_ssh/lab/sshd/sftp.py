"""SFTP of the embedded SSH server where the system has no sftp-server: paramiko's, kept within the instance's homes."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import IO

import paramiko
from paramiko.sftp import SFTP_OK

from ssm_ssh.lab.accounts.userland import Userland


def serve_sftp(channel: paramiko.Channel, server: paramiko.ServerInterface, land: Userland, user: str) -> None:
    """Serve SFTP to `user` on `channel`; returns at once, and closes the channel at the end."""
    paramiko.SFTPServer(channel, "sftp", server, Files, land.folder / "home", land.home(user)).start()


def _answer(error: OSError) -> int:
    return paramiko.SFTPServer.convert_errno(error.errno or 0)


class _Handle(paramiko.SFTPHandle):
    """One open file; paramiko reads and writes through `readfile` and `writefile`."""

    def __init__(self, flags: int, file: IO[bytes]) -> None:
        super().__init__(flags)
        self.readfile = self.writefile = file

    def stat(self) -> paramiko.SFTPAttributes | int:
        """Return what fstat says."""
        return paramiko.SFTPAttributes.from_stat(os.fstat(self.readfile.fileno()))

    def chattr(self, attr: paramiko.SFTPAttributes) -> int:
        """Set what `attr` holds."""
        return _set(Path(self.readfile.name), attr)


def _set(path: Path, attr: paramiko.SFTPAttributes) -> int:
    try:
        paramiko.SFTPServer.set_file_attr(str(path), attr)
    except OSError as error:
        return _answer(error)
    return SFTP_OK


class Files(paramiko.SFTPServerInterface):
    """The files below `top`; relative names are below `home`. What leads out of `top` is denied."""

    def __init__(self, server: paramiko.ServerInterface, top: Path, home: Path) -> None:
        super().__init__(server)
        self._top = top.resolve()
        self._home = home.resolve()

    def canonicalize(self, path: str) -> str:
        """Return the absolute name of `path`."""
        return os.path.normpath(self._home / path)

    def _inside(self, path: str) -> Path:
        """Return the name; its folder, with symlinks followed, must be within. Raises PermissionError."""
        whole = Path(self.canonicalize(path))
        real = whole.parent.resolve() / whole.name
        if self._top not in (real, *real.parents):
            raise PermissionError(13, "outside the instance")
        return real

    def _followed(self, path: str) -> Path:
        """Like `_inside`, with the last part followed too."""
        return self._inside(str(self._inside(path).resolve()))

    def list_folder(self, path: str) -> list[paramiko.SFTPAttributes] | int:
        """Return the entries of a folder."""
        try:
            with os.scandir(self._followed(path)) as entries:
                return [paramiko.SFTPAttributes.from_stat(one.stat(follow_symlinks=False), one.name) for one in entries]
        except OSError as error:
            return _answer(error)

    def stat(self, path: str) -> paramiko.SFTPAttributes | int:
        """Return a file's attributes, symlinks followed."""
        try:
            return paramiko.SFTPAttributes.from_stat(self._followed(path).stat())
        except OSError as error:
            return _answer(error)

    def lstat(self, path: str) -> paramiko.SFTPAttributes | int:
        """Return a file's own attributes."""
        try:
            return paramiko.SFTPAttributes.from_stat(self._inside(path).lstat())
        except OSError as error:
            return _answer(error)

    def open(self, path: str, flags: int, attr: paramiko.SFTPAttributes) -> paramiko.SFTPHandle | int:
        """Open a file with open(2)'s `flags`."""
        try:
            mode = attr.st_mode if attr.st_mode is not None else 0o666
            descriptor = os.open(self._followed(path), flags, mode & 0o777)
            access = flags & os.O_ACCMODE
            word = "rb" if access == os.O_RDONLY else "r+b" if access == os.O_RDWR else "wb"
            # "wb" on a descriptor truncates nothing: open(2) has done what the flags said.
            return _Handle(flags, os.fdopen(descriptor, word))
        except OSError as error:
            return _answer(error)

    def remove(self, path: str) -> int:
        """Remove a file."""
        return self._try(os.unlink, path)

    def rename(self, oldpath: str, newpath: str) -> int:
        """Rename; a name that exists is an error, as in SFTP 3."""
        return self._try(_rename_new, oldpath, newpath)

    def posix_rename(self, oldpath: str, newpath: str) -> int:
        """Rename over what is there."""
        return self._try(os.replace, oldpath, newpath)

    def mkdir(self, path: str, attr: paramiko.SFTPAttributes) -> int:
        """Make a folder."""
        return self._try(os.mkdir, path)

    def rmdir(self, path: str) -> int:
        """Remove an empty folder."""
        return self._try(os.rmdir, path)

    def chattr(self, path: str, attr: paramiko.SFTPAttributes) -> int:
        """Set a file's attributes."""
        try:
            return _set(self._followed(path), attr)
        except OSError as error:
            return _answer(error)

    def readlink(self, path: str) -> str | int:
        """Return what a symlink says."""
        try:
            return str(self._inside(path).readlink())
        except OSError as error:
            return _answer(error)

    def symlink(self, target_path: str, path: str) -> int:
        """Make the symlink `path`; where it leads is judged when it is used."""
        try:
            self._inside(path).symlink_to(target_path)
        except OSError as error:
            return _answer(error)
        return SFTP_OK

    def _try(self, call: Callable[..., object], *paths: str) -> int:
        try:
            call(*(self._inside(path) for path in paths))
        except OSError as error:
            return _answer(error)
        return SFTP_OK


def _rename_new(old: Path, new: Path) -> None:
    if new.exists() or new.is_symlink():
        raise FileExistsError(17, "exists")
    old.rename(new)
