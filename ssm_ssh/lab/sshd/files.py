"""Files as the embedded SSH server's SFTP sees them: names are bytes, and every call is the operating system's own.

What a client may do is what the user may do on this machine; OpenSSH's sftp-server adds no rule of its own either.
"""

from __future__ import annotations

import errno
import os
import stat
import time
from collections.abc import Callable, Mapping

import paramiko
from paramiko.sftp import (
    SFTP_BAD_MESSAGE,
    SFTP_FAILURE,
    SFTP_NO_SUCH_FILE,
    SFTP_OK,
    SFTP_OP_UNSUPPORTED,
    SFTP_PERMISSION_DENIED,
)

# OpenSSH's sftp-server: a packet of 256 KiB, less 1 KiB for what stands around the data.
MAX_PACKET = 256 * 1024
MAX_DATA = MAX_PACKET - 1024
# ls shows the year instead of the time of day for files that are older than half a year.
_HALF_A_YEAR = 365 * 24 * 3600 // 2

# After OpenSSH's errno_to_portable; everything else is SSH_FX_FAILURE.
_CODES = {
    **dict.fromkeys((errno.ENOENT, errno.ENOTDIR, errno.EBADF, errno.ELOOP), SFTP_NO_SUCH_FILE),
    **dict.fromkeys((errno.EPERM, errno.EACCES, errno.EFAULT), SFTP_PERMISSION_DENIED),
    **dict.fromkeys((errno.ENAMETOOLONG, errno.EINVAL), SFTP_BAD_MESSAGE),
    errno.ENOSYS: SFTP_OP_UNSUPPORTED,
}


def code_of(error: OSError | ValueError) -> int:
    """Return the status of SFTP for an error of the system's; ValueError is a name with a null byte in it."""
    return _CODES.get(error.errno or 0, SFTP_FAILURE) if isinstance(error, OSError) else SFTP_BAD_MESSAGE


def attempt(call: Callable[..., object], *arguments: object, **more: object) -> int:
    """Make a system call and return the status of SFTP."""
    try:
        call(*arguments, **more)
    except (OSError, ValueError) as error:
        return code_of(error)
    return SFTP_OK


def attributes(status: os.stat_result) -> paramiko.SFTPAttributes:
    """Return a file's attributes; times before 1970 and after 2106 are cut to 32 bits, as in OpenSSH."""
    made = paramiko.SFTPAttributes.from_stat(status)
    made.st_atime = int(status.st_atime) & 0xFFFFFFFF
    made.st_mtime = int(status.st_mtime) & 0xFFFFFFFF
    return made


def set_attributes(file: bytes | int, wanted: paramiko.SFTPAttributes, *, follow: bool = True) -> int:
    """Set what `wanted` holds on a path or an open file, each whatever happens to the others; returns a status.

    Without `follow` a symlink's own attributes are set, of which size and mode are none.
    """
    way = {} if follow else {"follow_symlinks": False}
    calls: list[int] = []
    if wanted.st_size is not None:
        calls.append(attempt(os.truncate, file, wanted.st_size) if follow else SFTP_BAD_MESSAGE)
    if wanted.st_mode is not None:
        calls.append(attempt(os.chmod, file, wanted.st_mode & 0o7777) if follow else SFTP_OP_UNSUPPORTED)
    if wanted.st_atime is not None and wanted.st_mtime is not None:
        calls.append(attempt(os.utime, file, (wanted.st_atime, wanted.st_mtime), **way))
    if wanted.st_uid is not None and wanted.st_gid is not None:
        calls.append(attempt(os.chown, file, wanted.st_uid, wanted.st_gid, **way))
    return next((code for code in reversed(calls) if code != SFTP_OK), SFTP_OK)


def long_name(name: bytes, status: os.stat_result, names: Mapping[int, str], now: float) -> bytes:
    """Return a line as of `ls -l`; `names` are the users and groups that are known by number."""
    layout = "%b %e %H:%M" if 0 <= now - status.st_mtime < _HALF_A_YEAR else "%b %e  %Y"
    try:
        date = time.strftime(layout, time.localtime(status.st_mtime))
    except (OverflowError, ValueError, OSError):
        date = str(int(status.st_mtime))
    owner, group = (names.get(number, str(number)) for number in (status.st_uid, status.st_gid))
    line = f"{stat.filemode(status.st_mode)} {status.st_nlink:3} {owner:8} {group:8} {status.st_size:8} {date} "
    return line.encode("utf-8", "surrogateescape") + name


class OpenFile(paramiko.SFTPHandle):
    """An open file."""

    def __init__(self, descriptor: int, flags: int) -> None:
        super().__init__(flags)
        self.descriptor = descriptor
        self._append = bool(flags & os.O_APPEND)

    def close(self) -> None:
        """Close it."""
        os.close(self.descriptor)

    def read(self, offset: int, length: int) -> bytes | int:
        """Return up to `length` bytes; none at the end of the file."""
        try:
            return os.pread(self.descriptor, min(length, MAX_DATA), offset)
        except (OSError, OverflowError) as error:
            return code_of(error) if isinstance(error, OSError) else SFTP_FAILURE

    def write(self, offset: int, data: bytes) -> int:  # type: ignore[override]
        """Write all of `data` at `offset`, or at the end of a file that was opened to append."""
        try:
            while data:
                count = os.write(self.descriptor, data) if self._append else os.pwrite(self.descriptor, data, offset)
                offset, data = offset + count, data[count:]
        except (OSError, OverflowError) as error:
            return code_of(error) if isinstance(error, OSError) else SFTP_FAILURE
        return SFTP_OK

    def stat(self) -> paramiko.SFTPAttributes | int:
        """Return what fstat says."""
        try:
            return attributes(os.fstat(self.descriptor))
        except OSError as error:
            return code_of(error)

    def chattr(self, attr: paramiko.SFTPAttributes) -> int:
        """Set what `attr` holds."""
        return set_attributes(self.descriptor, attr)


class Folder(paramiko.SFTPHandle):
    """An open folder, and what of it has not been told yet."""

    def __init__(self, names: list[tuple[bytes, os.stat_result]]) -> None:
        super().__init__()
        self.names = names


def list_folder(path: bytes) -> list[tuple[bytes, os.stat_result]]:
    """Return the names in a folder and what they are, `.` and `..` among them. Raises OSError."""
    names = []
    for name in (b".", b"..", *os.listdir(path)):  # noqa: PTH208 -- bytes
        try:
            names.append((name, os.lstat(os.path.join(path, name))))  # noqa: PTH118 -- bytes
        except FileNotFoundError:
            continue  # removed meanwhile
    return names


class Files(paramiko.SFTPServerInterface):
    """The machine's files for the user that this process is; relative names are below the current folder."""

    def stat(self, path: bytes) -> paramiko.SFTPAttributes | int:  # type: ignore[override]
        """Return a file's attributes, symlinks followed."""
        return self._stat(os.stat, path)

    def lstat(self, path: bytes) -> paramiko.SFTPAttributes | int:  # type: ignore[override]
        """Return a file's own attributes."""
        return self._stat(os.lstat, path)

    def _stat(self, call: Callable[[bytes], os.stat_result], path: bytes) -> paramiko.SFTPAttributes | int:
        try:
            return attributes(call(path))
        except (OSError, ValueError) as error:
            return code_of(error)

    def open(self, path: bytes, flags: int, attr: paramiko.SFTPAttributes) -> paramiko.SFTPHandle | int:  # type: ignore[override]
        """Open a file with open(2)'s `flags`; a new one gets the mode of `attr`, less the umask."""
        mode = attr.st_mode & 0o7777 if attr.st_mode is not None else 0o666
        try:
            return OpenFile(os.open(path, flags, mode), flags)
        except (OSError, ValueError) as error:
            return code_of(error)

    def remove(self, path: bytes) -> int:  # type: ignore[override]
        """Remove a file."""
        return attempt(os.unlink, path)

    def rename(self, oldpath: bytes, newpath: bytes) -> int:  # type: ignore[override]
        """Rename; a name that exists is an error, as in SFTP 3."""
        if os.path.lexists(newpath):
            return SFTP_FAILURE
        return attempt(os.rename, oldpath, newpath)

    def mkdir(self, path: bytes, attr: paramiko.SFTPAttributes) -> int:  # type: ignore[override]
        """Make a folder with the mode of `attr`, less the umask."""
        return attempt(os.mkdir, path, attr.st_mode & 0o7777 if attr.st_mode is not None else 0o777)

    def rmdir(self, path: bytes) -> int:  # type: ignore[override]
        """Remove an empty folder."""
        return attempt(os.rmdir, path)

    def chattr(self, path: bytes, attr: paramiko.SFTPAttributes) -> int:  # type: ignore[override]
        """Set a file's attributes, symlinks followed."""
        return set_attributes(path, attr)

    def symlink(self, target_path: bytes, path: bytes) -> int:  # type: ignore[override]
        """Make the symlink `path`."""
        return attempt(os.symlink, target_path, path)


def real_path(path: bytes) -> bytes:
    """Return the absolute name of `path` without symlinks; the last part may be missing. Raises OSError."""
    try:
        return os.path.realpath(path or b".", strict=True)
    except FileNotFoundError:
        folder, name = os.path.split(path.rstrip(b"/"))
        return os.path.join(os.path.realpath(folder or b".", strict=True), name)  # noqa: PTH118 -- bytes
