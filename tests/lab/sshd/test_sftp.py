# Over 350 lines: each request is sent to both servers by one client.
"""The embedded server's SFTP against OpenSSH's sftp-server, request by request, and against the clients there are."""

from __future__ import annotations

import contextlib
import os
import stat
import struct
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import IO

import paramiko
import pytest

from ssm_ssh.lab.sshd.openssh import find_sftp_server

OWN = [sys.executable, "-I", "-m", "ssm_ssh.lab.sshd.sftp"]
SERVERS = [
    pytest.param(OWN, id="embedded"),
    pytest.param([find_sftp_server()], id="OpenSSH", marks=pytest.mark.needs("sftp-server")),
]
# https://datatracker.ietf.org/doc/html/draft-ietf-secsh-filexfer-02
INIT, OPEN, CLOSE, READ, WRITE, LSTAT, FSTAT = 1, 3, 4, 5, 6, 7, 8
SETSTAT, FSETSTAT, OPENDIR, READDIR = 9, 10, 11, 12
REMOVE, MKDIR, RMDIR, REALPATH, STAT, RENAME, READLINK, SYMLINK, EXTENDED = 13, 14, 15, 16, 17, 18, 19, 20, 200
STATUS, HANDLE, DATA, NAME, ATTRS, EXTENDED_REPLY = 101, 102, 103, 104, 105, 201
OK, EOF, NO_FILE, DENIED, FAILURE, BAD_MESSAGE, UNSUPPORTED = 0, 1, 2, 3, 4, 5, 8
R, W, APPEND, CREATE, TRUNCATE, EXCLUSIVE = 1, 2, 4, 8, 16, 32


def text(value: bytes | str) -> bytes:
    data = value.encode() if isinstance(value, str) else value
    return struct.pack(">I", len(data)) + data


def attrs(size: int | None = None, mode: int | None = None, times: tuple[int, int] | None = None) -> bytes:
    flags, body = 0, b""
    if size is not None:
        flags, body = flags | 1, body + struct.pack(">Q", size)
    if mode is not None:
        flags, body = flags | 4, body + struct.pack(">I", mode)
    if times is not None:
        flags, body = flags | 8, body + struct.pack(">II", *times)
    return struct.pack(">I", flags) + body


class Client:
    """SFTP by hand: a request at a time, and its answer as (type, what follows the request's number)."""

    def __init__(self, command: list[str], folder: Path) -> None:
        env = {"HOME": str(folder), "USER": "ec2-user", "PATH": os.environ["PATH"], "TZ": "UTC", "LC_ALL": "C"}
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=folder, env=env)
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.stdin: IO[bytes] = self.process.stdin
        self.stdout: IO[bytes] = self.process.stdout
        self.send(INIT, struct.pack(">I", 3))
        kind, data = self.receive()
        assert (kind, data[:4]) == (2, struct.pack(">I", 3))
        words, rest = [], data[4:]
        while rest:
            (count,) = struct.unpack(">I", rest[:4])
            words.append(rest[4 : 4 + count])
            rest = rest[4 + count :]
        self.extensions = dict(zip(words[::2], words[1::2], strict=True))

    def send(self, kind: int, data: bytes) -> None:
        self.stdin.write(struct.pack(">IB", len(data) + 1, kind) + data)
        self.stdin.flush()

    def receive(self) -> tuple[int, bytes]:
        size, kind = struct.unpack(">IB", self.stdout.read(5))
        return kind, self.stdout.read(size - 1)

    def ask(self, kind: int, *parts: bytes) -> tuple[int, bytes]:
        self.send(kind, struct.pack(">I", 7) + b"".join(parts))
        answer, data = self.receive()
        assert data[:4] == struct.pack(">I", 7)
        return answer, data[4:]

    def status(self, kind: int, *parts: bytes) -> int:
        answer, data = self.ask(kind, *parts)
        assert answer == STATUS, (answer, data)
        return int(struct.unpack(">I", data[:4])[0])

    def extended(self, name: str, *parts: bytes) -> tuple[int, bytes]:
        return self.ask(EXTENDED, text(name), *parts)

    def open(self, name: bytes | str, flags: int, how: bytes = attrs()) -> bytes:
        answer, data = self.ask(OPEN, text(name), struct.pack(">I", flags), how)
        assert answer == HANDLE, (answer, data)
        return data

    def names(self, kind: int, path: bytes | str) -> list[bytes]:
        answer, data = self.ask(kind, text(path))
        assert answer == NAME, (answer, data)
        (count,) = struct.unpack(">I", data[4:8])
        return [data[8 : 8 + count]]

    def close(self) -> int:
        self.stdin.close()
        self.stdout.read()
        self.stdout.close()
        return self.process.wait(30)


@pytest.fixture(params=SERVERS)
def client(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Client]:
    made = Client(request.param, tmp_path)
    yield made
    made.process.kill()
    with contextlib.suppress(BrokenPipeError):
        made.stdin.close()
    made.stdout.close()
    made.process.wait()


def test_the_end_of_input_is_a_good_end(client: Client) -> None:
    client.open("x", W | CREATE)
    assert client.close() == 0


def test_a_packet_that_is_too_long_ends_it(client: Client) -> None:
    with contextlib.suppress(BrokenPipeError):
        client.send(REALPATH, bytes(300_000))
    with contextlib.suppress(BrokenPipeError):
        client.stdin.close()
    assert client.stdout.read() == b""
    assert client.process.wait(30) == 11


def test_sizes_modes_and_times_are_set_on_handles_and_paths(client: Client, tmp_path: Path) -> None:
    file = tmp_path / "f"
    file.write_bytes(b"0123456789")
    handle = client.open("f", R | W)
    for kind, what in ((FSETSTAT, handle), (SETSTAT, text("f"))):
        # What was there stays, up to the new size.
        assert client.status(kind, what, attrs(size=4)) == OK
        assert file.read_bytes() == b"0123"
        assert client.status(kind, what, attrs(size=10)) == OK
        assert file.read_bytes() == b"0123" + bytes(6)
        assert client.status(kind, what, attrs(mode=0o100640, times=(1_000_000_000, 1_100_000_000))) == OK
        found = file.stat()
        assert (stat.S_IMODE(found.st_mode), found.st_atime, found.st_mtime) == (0o640, 1e9, 1.1e9)
        assert client.status(kind, what, attrs(mode=0o600, size=4)) == OK
        file.write_bytes(b"0123456789")
    file.unlink()
    assert client.status(FSETSTAT, handle, attrs(mode=0o644)) == OK  # the file, not its name
    assert client.status(SETSTAT, text("f"), attrs(mode=0o644)) == NO_FILE
    assert client.status(FSETSTAT, text("nonsense"), attrs(mode=0o644)) == FAILURE
    answer, data = client.ask(FSTAT, handle)
    assert answer == ATTRS
    assert struct.unpack(">IQ", data[:12]) == (0b1111, 10)
    assert client.status(FSTAT, text("nonsense")) == FAILURE


def test_files_are_opened_as_asked(client: Client, tmp_path: Path) -> None:
    file = tmp_path / "f"
    assert client.status(OPEN, text("f"), struct.pack(">I", R), attrs()) == NO_FILE
    handle = client.open("f", W | CREATE | EXCLUSIVE, attrs(mode=0o600))
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert client.status(OPEN, text("f"), struct.pack(">I", W | CREATE | EXCLUSIVE), attrs()) == FAILURE
    assert client.status(WRITE, handle, struct.pack(">Q", 5), text(b"hole")) == OK
    assert file.read_bytes() == bytes(5) + b"hole"
    assert client.status(READ, handle, struct.pack(">QI", 0, 10)) == NO_FILE  # EBADF, in OpenSSH's table
    assert client.status(CLOSE, handle) == OK
    handle = client.open("f", W | APPEND)
    assert client.status(WRITE, handle, struct.pack(">Q", 0), text(b"end")) == OK
    assert file.read_bytes() == bytes(5) + b"holeend"
    handle = client.open("f", R)
    assert client.ask(READ, handle, struct.pack(">QI", 5, 4)) == (DATA, text(b"hole"))
    assert client.status(READ, handle, struct.pack(">QI", 12, 4)) == EOF
    # Never more than a packet holds, however much is asked for.
    os.truncate(file, 1 << 20)
    answer, data = client.ask(READ, handle, struct.pack(">QI", 0, 0xFFFFFFFF))
    assert (answer, len(data) - 4) == (DATA, 256 * 1024 - 1024)
    assert client.open("f", W | TRUNCATE)
    assert file.read_bytes() == b""
    assert client.status(OPEN, text("f/x"), struct.pack(">I", R), attrs()) == NO_FILE
    assert client.status(OPEN, text("n" * 300), struct.pack(">I", R), attrs()) == BAD_MESSAGE


def test_names_are_bytes(client: Client, tmp_path: Path) -> None:
    name = b"latin-\xfc\nline"
    client.open(name, W | CREATE)
    assert os.listdir(os.fsencode(tmp_path)) == [name]  # noqa: PTH208
    answer, handle = client.ask(OPENDIR, text("."))
    assert answer == HANDLE
    answer, data = client.ask(READDIR, handle)
    assert answer == NAME
    assert text(name) in data
    assert struct.unpack(">I", data[:4]) == (3,)  # with . and ..
    assert client.status(READDIR, handle) == EOF
    assert client.status(CLOSE, handle) == OK
    assert client.status(READDIR, handle) == FAILURE
    assert client.names(REALPATH, name) == [os.fsencode(tmp_path.resolve()) + b"/" + name]
    assert client.status(SYMLINK, text(name), text(b"link-\xff")) == OK
    assert client.names(READLINK, b"link-\xff") == [name]
    assert client.status(REMOVE, text(name)) == OK


def test_a_file_from_before_1970_does_not_hide_its_folder(client: Client, tmp_path: Path) -> None:
    (tmp_path / "old").touch()
    os.utime(tmp_path / "old", (-5, -5))
    _, handle = client.ask(OPENDIR, text("."))
    answer, data = client.ask(READDIR, handle)
    assert answer == NAME
    assert text("old") in data
    assert client.ask(STAT, text("old"))[0] == ATTRS


def test_renaming_goes_over_nothing_unless_asked(client: Client, tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / name).write_text(name)
    assert client.status(RENAME, text("a"), text("b")) == FAILURE
    assert client.status(RENAME, text("a"), text("c")) == OK
    assert client.status(RENAME, text("a"), text("d")) == NO_FILE
    assert client.extended("posix-rename@openssh.com", text("c"), text("b"))[1][:4] == struct.pack(">I", OK)
    assert (tmp_path / "b").read_text() == "a"
    (tmp_path / "link").symlink_to("nowhere")
    assert client.status(RENAME, text("b"), text("link")) == FAILURE


def test_folders_and_links(client: Client, tmp_path: Path) -> None:
    assert client.status(MKDIR, text("d"), attrs(mode=0o700)) == OK
    assert stat.S_IMODE((tmp_path / "d").stat().st_mode) == 0o700
    assert client.status(MKDIR, text("d"), attrs()) == FAILURE
    (tmp_path / "d" / "x").touch()
    assert client.status(RMDIR, text("d")) == FAILURE
    assert client.status(REMOVE, text("d/x")) == OK
    assert client.status(SYMLINK, text("d"), text("l")) == OK
    assert client.status(SYMLINK, text("d"), text("l")) == FAILURE
    top = os.fsencode(tmp_path.resolve())
    assert client.names(REALPATH, "l") == [top + b"/d"]
    assert client.names(REALPATH, "l/new") == [top + b"/d/new"]
    assert client.names(REALPATH, ".") == [top]
    assert client.names(REALPATH, "") == [top]
    assert client.status(REALPATH, text("none/new")) == NO_FILE
    assert client.status(READLINK, text("d")) == BAD_MESSAGE
    assert client.status(OPENDIR, text("none")) == NO_FILE
    mode = struct.unpack(">I", client.ask(LSTAT, text("l"))[1][20:24])[0]
    assert stat.S_ISLNK(mode)
    assert client.status(RMDIR, text("d")) == OK
    assert client.status(STAT, text("l")) == NO_FILE


def test_what_openssh_adds(client: Client, tmp_path: Path) -> None:
    wanted = {
        b"posix-rename@openssh.com": b"1",
        b"statvfs@openssh.com": b"2",
        b"fstatvfs@openssh.com": b"2",
        b"hardlink@openssh.com": b"1",
        b"fsync@openssh.com": b"1",
        b"lsetstat@openssh.com": b"1",
        b"limits@openssh.com": b"1",
        b"expand-path@openssh.com": b"1",
    }
    assert wanted.items() <= client.extensions.items()
    (tmp_path / "f").write_bytes(b"0123456789")
    handle = client.open("f", R | W)
    done = struct.pack(">I", OK)
    assert client.extended("hardlink@openssh.com", text("f"), text("g"))[1][:4] == done
    assert (tmp_path / "g").samefile(tmp_path / "f")
    assert client.extended("fsync@openssh.com", handle)[1][:4] == done
    (tmp_path / "l").symlink_to("f")
    assert client.extended("lsetstat@openssh.com", text("l"), attrs(times=(1, 2)))[1][:4] == done
    assert (tmp_path / "l").lstat().st_mtime == 2
    assert (tmp_path / "f").stat().st_mtime != 2
    for name, part in (("statvfs@openssh.com", text("f")), ("fstatvfs@openssh.com", handle)):
        answer, data = client.extended(name, part)
        assert (answer, len(data)) == (EXTENDED_REPLY, 88)
        assert struct.unpack(">11Q", data)[10] == os.statvfs(tmp_path).f_namemax
    answer, data = client.extended("limits@openssh.com")
    assert answer == EXTENDED_REPLY
    assert struct.unpack(">4Q", data)[:3] == (262144, 261120, 261120)
    assert client.extended("no-such@example.org", text("x"))[1][:4] == struct.pack(">I", UNSUPPORTED)


def test_copies_are_made_there(client: Client, tmp_path: Path) -> None:
    if b"copy-data" not in client.extensions:  # OpenSSH before 9.0
        return
    data = os.urandom(700_000)
    (tmp_path / "f").write_bytes(data)
    source, target = client.open("f", R), client.open("g", W | CREATE)
    answer = client.extended("copy-data", source, struct.pack(">QQ", 0, 0), target, struct.pack(">Q", 0))
    assert answer[1][:4] == struct.pack(">I", OK)
    assert (tmp_path / "g").read_bytes() == data


def test_a_tilde_is_the_home(tmp_path: Path) -> None:
    home = tmp_path / "home" / "ec2-user"
    home.mkdir(parents=True)
    client = Client(OWN, home)
    for path, wanted in (("~", home), ("~/x", home / "x"), ("~deploy", home.parent / "deploy"), ("x", home / "x")):
        answer, data = client.extended("expand-path@openssh.com", text(path))
        assert answer == NAME, data
        assert text(os.fsencode(wanted.resolve())) in data
    answer, data = client.extended("users-groups-by-id@openssh.com", text(struct.pack(">I", os.getuid())), text(b""))
    assert (answer, data) == (EXTENDED_REPLY, text(text("ec2-user")) + text(b""))
    assert client.close() == 0


# --- clients ----------------------------------------------------------------------------------------------------------


def test_openssh_carries_a_batch_out(tmp_path: Path) -> None:
    folder = tmp_path / "far"
    folder.mkdir()
    (tmp_path / "big").write_bytes(os.urandom(3 << 20))
    server = tmp_path / "server"
    server.write_text(f"#!/bin/sh\ncd '{folder}' && exec {' '.join(OWN)}\n")
    server.chmod(0o755)
    batch = f"""put -fp {tmp_path}/big big\nls -la\ndf\nln big hard\nln -s big soft\ncp big copy\nchmod 600 copy
rename copy moved\nget -p big {tmp_path}/back\nmkdir d\nrm hard\nls -l moved\n"""
    (tmp_path / "batch").write_text(batch)
    done = subprocess.run(["sftp", "-b", tmp_path / "batch", "-D", server], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done
    data = (tmp_path / "big").read_bytes()
    assert (tmp_path / "back").read_bytes() == data
    assert sorted(path.name for path in folder.iterdir()) == ["big", "d", "moved", "soft"]
    assert (folder / "moved").read_bytes() == data
    assert stat.S_IMODE((folder / "moved").stat().st_mode) == 0o600


def test_paramiko_uses_all_that_it_can(tmp_path: Path) -> None:
    process = subprocess.Popen(OWN, stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=tmp_path)
    assert process.stdin is not None
    assert process.stdout is not None
    stdin, stdout = process.stdin, process.stdout

    class _Pipes:
        def send(self, data: bytes) -> int:
            return os.write(stdin.fileno(), data)

        def recv(self, count: int) -> bytes:
            return os.read(stdout.fileno(), count)

        def get_name(self) -> str:
            return "pipes"

        def close(self) -> None:
            stdin.close()
            stdout.close()

    pipes = _Pipes()
    sftp = paramiko.SFTPClient(pipes)  # type: ignore[arg-type]
    data = bytes(range(256)) * 1000
    with sftp.open("one", "wb") as file:
        file.write(data)
        file.chmod(0o600)
        file.truncate(200_000)
        file.utime((5, 6))
    assert ((tmp_path / "one").read_bytes(), (tmp_path / "one").stat().st_mtime) == (data[:200_000], 6)
    with sftp.open("one", "r+b") as file:
        file.seek(1)
        file.write(b"x")
    with sftp.open("one", "ab") as file:
        file.write(b"end")
    with sftp.open("one", "rb") as file:
        assert file.read() == data[:1] + b"x" + data[2:200_000] + b"end"
        assert file.stat().st_size == 200_003
    with pytest.raises(OSError, match="Failure"):
        sftp.open("one", "xb")
    sftp.truncate("one", 3)
    assert (tmp_path / "one").read_bytes() == data[:1] + b"x" + data[2:3]
    sftp.mkdir("folder")
    sftp.rename("one", "folder/two")
    sftp.symlink("folder/two", "link")
    assert sftp.readlink("link") == "folder/two"
    sftp.posix_rename("link", "folder/two")
    assert [one.filename for one in sftp.listdir_attr("folder") if one.filename not in (".", "..")] == ["two"]
    sftp.remove("folder/two")
    sftp.rmdir("folder")
    with pytest.raises(FileNotFoundError):
        sftp.stat("folder")
    pipes.close()
    assert process.wait(30) == 0
