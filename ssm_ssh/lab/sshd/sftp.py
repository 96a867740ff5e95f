"""SFTP of the embedded SSH server: paramiko's, as a program on stdin and stdout, in the place of OpenSSH's sftp-server.

`python -m ssm_ssh.lab.sshd.sftp [UID GID]`: with numbers, root becomes that user once everything is loaded; the
user could not read the modules, for root's Python may be in root's home. See SFTP 3,
https://datatracker.ietf.org/doc/html/draft-ietf-secsh-filexfer-02, and OpenSSH's PROTOCOL, section 4.
"""

from __future__ import annotations

import os
import resource
import struct
import sys
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, ClassVar

import paramiko
from paramiko.sftp import (
    CMD_ATTRS,
    CMD_EXTENDED,
    CMD_EXTENDED_REPLY,
    CMD_FSETSTAT,
    CMD_FSTAT,
    CMD_INIT,
    CMD_NAME,
    CMD_NAMES,
    CMD_READDIR,
    CMD_READLINK,
    CMD_REALPATH,
    CMD_VERSION,
    SFTP_EOF,
    SFTP_FAILURE,
    SFTP_OP_UNSUPPORTED,
    int64,
)

from ssm_ssh.lab.sshd.files import (
    MAX_DATA,
    MAX_PACKET,
    Files,
    Folder,
    OpenFile,
    attempt,
    attributes,
    code_of,
    list_folder,
    long_name,
    real_path,
    set_attributes,
)

_VERSION = 3
# OpenSSH's sftp-server ends so after a packet that it does not understand.
_EXIT_BAD_PACKET = 11
_NAMES_AT_ONCE = 100
_COPY_CHUNK = 1 << 18
_READ_ONLY = 1
_NO_SETUID = 2


class _Message(paramiko.Message):
    """A message whose texts are bytes: a file's name need not be UTF-8."""

    def get_text(self) -> bytes:  # type: ignore[override]
        return self.get_binary()


class _Channel:
    """Stdin and stdout, where paramiko expects a channel of its own."""

    def send(self, data: bytes) -> int:
        return os.write(1, data)

    def recv(self, count: int) -> bytes:
        return os.read(0, count)

    def get_transport(self) -> _Channel:
        return self

    def get_log_channel(self) -> str:
        return "paramiko"

    def get_hexdump(self) -> bool:
        return False

    def get_name(self) -> str:
        return "stdio"


class Server(paramiko.SFTPServer):
    """Paramiko's server, with what OpenSSH's clients use besides, and without what it gets wrong.

    It sets sizes by emptying the file, takes names for UTF-8, does not say what it can do, and knows no status for a
    folder's handle.
    """

    file_table: dict[bytes, OpenFile]  # type: ignore[assignment]
    folder_table: dict[bytes, Folder]  # type: ignore[assignment]

    if TYPE_CHECKING:  # paramiko's own, which its stubs leave out

        def _read_all(self, count: int) -> bytes: ...
        def _send_packet(self, kind: int, message: paramiko.Message) -> None: ...
        def _send_status(self, number: int, code: int) -> None: ...
        def _response(self, number: int, kind: int, *values: object) -> None: ...
        def _send_handle_response(self, number: int, handle: paramiko.SFTPHandle, folder: bool) -> None: ...

    def __init__(self) -> None:
        channel: Any = _Channel()
        super().__init__(channel, "sftp", paramiko.ServerInterface(), Files)
        name = os.environ.get("USER") or str(os.getuid())
        self._users, self._groups = {os.getuid(): name}, {os.getgid(): name}
        self.sock: Any = channel

    def serve(self) -> int:
        """Answer until the end of stdin; returns the exit status."""
        try:
            kind, data = self._read_packet()
            if kind != CMD_INIT:
                return _EXIT_BAD_PACKET
            self._send_hello()
            while True:
                kind, data = self._read_packet()
                message = _Message(data)
                number = message.get_int()
                try:
                    self._process(kind, number, message)
                except (OSError, ValueError) as error:
                    self._send_status(number, code_of(error))
        except EOFError:
            return 0
        except paramiko.SFTPError:
            return _EXIT_BAD_PACKET

    def _send_hello(self) -> None:
        hello = paramiko.Message()
        hello.add_int(_VERSION)
        for name, version in self._EXTENSIONS.items():
            hello.add_string(name)
            hello.add_string(version[0])
        self._send_packet(CMD_VERSION, hello)

    def _read_packet(self) -> tuple[int, bytes]:
        (size,) = struct.unpack(">I", self._read_all(4))
        if not 0 < size <= MAX_PACKET:
            raise paramiko.SFTPError("bad packet")
        data = self._read_all(size)
        return data[0], data[1:]

    def _log(self, level: int, msg: object, *args: object) -> None:
        """Say nothing: stderr is the client's terminal."""

    def _process(self, t: int, request_number: int, msg: _Message) -> None:
        if (own := self._OWN.get(t)) is not None:
            own(self, request_number, msg)
        elif t in CMD_NAMES:
            super()._process(t, request_number, msg)  # type: ignore[misc]
        else:
            self._send_status(request_number, SFTP_OP_UNSUPPORTED)

    # Names

    def _real_path(self, number: int, message: _Message) -> None:
        self._send_name(number, real_path(message.get_binary()))

    def _read_link(self, number: int, message: _Message) -> None:
        self._send_name(number, os.readlink(message.get_binary()))  # noqa: PTH115 -- bytes

    def _send_name(self, number: int, name: bytes) -> None:
        self._response(number, CMD_NAME, 1, name, name, paramiko.SFTPAttributes())

    def _open_folder(self, request_number: int, path: bytes) -> None:
        self._send_handle_response(request_number, Folder(list_folder(path)), True)

    def _read_names(self, number: int, message: _Message) -> None:
        folder = self.folder_table.get(message.get_binary())
        if folder is None:
            self._send_status(number, SFTP_FAILURE)
            return
        now, folder.names = folder.names[:_NAMES_AT_ONCE], folder.names[_NAMES_AT_ONCE:]
        if not now:
            self._send_status(number, SFTP_EOF)
            return
        answer = paramiko.Message()
        answer.add_int(number)
        answer.add_int(len(now))
        for name, status in now:
            answer.add_string(name)
            answer.add_string(long_name(name, status, {**self._groups, **self._users}, time.time()))
            attributes(status)._pack(answer)  # type: ignore[attr-defined]
        self._send_packet(CMD_NAME, answer)

    # Open files

    def _file(self, message: _Message) -> OpenFile:
        handle = message.get_binary()
        if handle not in self.file_table:
            raise OSError("no such handle")
        return self.file_table[handle]

    def _fstat(self, number: int, message: _Message) -> None:
        status = self._file(message).stat()
        if isinstance(status, int):
            self._send_status(number, status)
        else:
            self._response(number, CMD_ATTRS, status)

    def _fsetstat(self, number: int, message: _Message) -> None:
        file = self._file(message)
        self._send_status(number, file.chattr(paramiko.SFTPAttributes._from_msg(message)))  # type: ignore[attr-defined]

    # What OpenSSH has added

    def _extended(self, number: int, message: _Message) -> None:
        name = message.get_binary().decode("utf-8", "replace")
        if name in self._EXTENSIONS:
            self._EXTENSIONS[name][1](self, number, message)
        else:
            self._send_status(number, SFTP_OP_UNSUPPORTED)

    def _posix_rename(self, number: int, message: _Message) -> None:
        self._send_status(number, attempt(os.rename, message.get_binary(), message.get_binary()))

    def _hard_link(self, number: int, message: _Message) -> None:
        self._send_status(number, attempt(os.link, message.get_binary(), message.get_binary()))

    def _fsync(self, number: int, message: _Message) -> None:
        self._send_status(number, attempt(os.fsync, self._file(message).descriptor))

    def _lsetstat(self, number: int, message: _Message) -> None:
        path = message.get_binary()
        wanted = paramiko.SFTPAttributes._from_msg(message)  # type: ignore[attr-defined]
        self._send_status(number, set_attributes(path, wanted, follow=False))

    def _statvfs(self, number: int, message: _Message) -> None:
        self._send_statvfs(number, os.statvfs(message.get_binary()))

    def _fstatvfs(self, number: int, message: _Message) -> None:
        self._send_statvfs(number, os.fstatvfs(self._file(message).descriptor))

    def _send_statvfs(self, number: int, status: os.statvfs_result) -> None:
        flags = (_READ_ONLY if status.f_flag & os.ST_RDONLY else 0) | (
            _NO_SETUID if status.f_flag & os.ST_NOSUID else 0
        )
        values = [status.f_bsize, status.f_frsize, status.f_blocks, status.f_bfree, status.f_bavail]
        values += [status.f_files, status.f_ffree, status.f_favail, status.f_fsid, flags, status.f_namemax]
        self._response(number, CMD_EXTENDED_REPLY, *(int64(value & 0xFFFFFFFFFFFFFFFF) for value in values))

    def _limits(self, number: int, message: _Message) -> None:
        files = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
        # Stdin, stdout and stderr are open already, and a little is left for reading folders.
        handles = max(0, files - 8) if files != resource.RLIM_INFINITY else 0
        limits = (MAX_PACKET, MAX_DATA, MAX_DATA, handles)
        self._response(number, CMD_EXTENDED_REPLY, *map(int64, limits))

    def _expand_path(self, number: int, message: _Message) -> None:
        path = message.get_binary()
        if path.startswith(b"~"):
            user, slash, rest = path[1:].partition(b"/")
            own = os.fsencode(os.environ.get("HOME", "."))
            homes = os.path.dirname(own)  # noqa: PTH120 -- bytes
            path = (os.path.join(homes, user) if user else own) + slash + rest  # noqa: PTH118 -- bytes
        self._send_name(number, real_path(path))

    def _copy_data(self, number: int, message: _Message) -> None:
        source, start, length = self._file(message), message.get_int64(), message.get_int64()
        target, end = self._file(message), message.get_int64()
        left = length or sys.maxsize
        while left > 0:
            data = source.read(start, min(left, _COPY_CHUNK))
            if isinstance(data, int):
                self._send_status(number, data)
                return
            if not data:
                break
            if status := target.write(end, data):
                self._send_status(number, status)
                return
            start, end, left = start + len(data), end + len(data), left - len(data)
        # A length that the file does not have is an error; none means all there is.
        self._send_status(number, SFTP_EOF if length and left else 0)

    def _names_by_id(self, number: int, message: _Message) -> None:
        answers = []
        for names in (self._users, self._groups):
            packed, list_of_names = message.get_binary(), paramiko.Message()
            for (item,) in struct.iter_unpack(">I", packed[: len(packed) // 4 * 4]):
                list_of_names.add_string(names.get(item, ""))
            answers.append(list_of_names.asbytes())
        self._response(number, CMD_EXTENDED_REPLY, *answers)

    _OWN: ClassVar[dict[int, Callable[..., None]]] = {
        CMD_REALPATH: _real_path,
        CMD_READLINK: _read_link,
        CMD_READDIR: _read_names,
        CMD_FSTAT: _fstat,
        CMD_FSETSTAT: _fsetstat,
        CMD_EXTENDED: _extended,
    }
    _EXTENSIONS: ClassVar[dict[str, tuple[str, Callable[..., None]]]] = {
        "posix-rename@openssh.com": ("1", _posix_rename),
        "statvfs@openssh.com": ("2", _statvfs),
        "fstatvfs@openssh.com": ("2", _fstatvfs),
        "hardlink@openssh.com": ("1", _hard_link),
        "fsync@openssh.com": ("1", _fsync),
        "lsetstat@openssh.com": ("1", _lsetstat),
        "limits@openssh.com": ("1", _limits),
        "expand-path@openssh.com": ("1", _expand_path),
        "copy-data": ("1", _copy_data),
        "users-groups-by-id@openssh.com": ("1", _names_by_id),
    }


def main(words: list[str]) -> int:
    """Be sftp-server, as user UID and group GID where `words` holds them; returns the exit status."""
    if words:
        uid, gid = (int(word) for word in words)
        os.setgroups([])
        os.setgid(gid)
        os.setuid(uid)
    return Server().serve()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
