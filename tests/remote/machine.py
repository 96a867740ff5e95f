"""A machine for the script: a throw-away user with a home, an sshd of any version, and shells to choose from."""

from __future__ import annotations

import contextlib
import os
import pwd
import re
import secrets
import shutil
import signal
import stat
import subprocess
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

from ssm_ssh.remote.script import request, script

AS_ROOT = os.geteuid() == 0
KEY = "ssh-ed25519 " + "A" * 67 + "B"
ID = "0123456789abcdef"
SYSTEM_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
# What stands for every shell that may be a Linux's /bin/sh. `alpine` has busybox's programs alone.
SHELLS = ("dash", "bash", "busybox")

_SSHD = """#!/bin/sh
case "$1" in
-V) printf '%s\\n' "$(cat {0}/version)" >&2; exit 1;;
-T) cat {0}/refusal >&2; [ -s {0}/refusal ] && exit 255; printf '%s\\n' "$*" >{0}/asked; cat {0}/config;;
esac
"""
# Where the tests are not root's, root is whoever runs them, under another name.
_ID = '#!/bin/sh\ncase "$1" in -u) echo 0;; -G) echo {gid};; esac\n'
_GETENT = """#!/bin/sh
[ $# -eq 1 ] && exec cat {0}/passwd
while read -r line; do case $line in "$2":*) echo "$line";; esac; done <{0}/passwd
"""
_SETPRIV = '#!/bin/sh\nwhile :; do case "$1" in --*) shift 2;; *) break;; esac; done\nexec "$@"\n'


class Done(NamedTuple):
    status: int
    stdout: str
    stderr: str

    @property
    def last(self) -> str:
        return self.stdout.rstrip("\n").rpartition("\n")[2]


def until(done: object, what: str, limit: float = 30.0) -> None:
    deadline = time.monotonic() + limit
    while not done():  # type: ignore[operator]
        assert time.monotonic() < deadline, f"never came: {what}"
        time.sleep(0.02)


def without_the_usual_folders(program: str) -> str:
    """The script, with no programs but those of the PATH that it is run with."""
    text, count = re.subn(r"^left=\$PATH:\S+", "left=$PATH", program, flags=re.MULTILINE)
    assert count == 1
    return text


class Machine:
    """`folder` is passable by everybody and root's; `home` is the user's."""

    def __init__(self) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="ssm-ssh-script-"))
        self.folder.chmod(0o755)
        self.bin = self._made("bin")
        self.home = self.folder / "home"
        self.run_folder = self._made("run") / "ssm-ssh"
        self.user = f"ssmssh{secrets.token_hex(3)}" if AS_ROOT else pwd.getpwuid(os.getuid()).pw_name
        if AS_ROOT:
            subprocess.run(
                ["useradd", "-M", "-N", "-d", self.home, "-s", "/bin/bash", self.user], check=True, capture_output=True
            )
        account = pwd.getpwnam(self.user)
        self.uid, self.gid = account.pw_uid, account.pw_gid
        self._tool("sshd", _SSHD.format(self.folder))
        if not AS_ROOT:
            (self.folder / "passwd").write_text(f"{self.user}:x:{self.uid}:{self.gid}::{self.home}:/bin/bash\n")
            self._tool("id", _ID.format(gid=self.gid))
            self._tool("getent", _GETENT.format(self.folder))
            self._tool("setpriv", _SETPRIV)
        self._made("shells")
        for shell in SHELLS:
            (self.folder / "shells" / shell).mkdir()
            (self.folder / "shells" / shell / "sh").symlink_to(shutil.which(shell) or "/nonexistent")
        self.fresh()

    def _made(self, name: str) -> Path:
        path = self.folder / name
        path.mkdir()
        return path

    def _tool(self, name: str, text: str) -> None:
        (self.bin / name).write_text(text)
        (self.bin / name).chmod(0o755)

    def fresh(self) -> None:
        """Make everything as it was at first."""
        self.end_processes()
        for path in (self.home, self.run_folder, self.folder / "hasty"):
            shutil.rmtree(path, ignore_errors=True)
        self.home.mkdir()
        self.give(self.home, 0o755)
        self.sshd()

    def give(self, path: Path, mode: int | None = None) -> None:
        """Make `path` the user's."""
        os.chown(path, self.uid, self.gid, follow_symlinks=False)
        if mode is not None:
            path.chmod(mode)

    def sshd(self, version: str = "OpenSSH_9.2p1 Debian-2, OpenSSL 3.0", **config: str) -> None:
        """Choose what sshd is; with `config` what it says of itself."""
        said = {"pubkeyauthentication": "yes", "strictmodes": "yes", "authorizedkeysfile": ".ssh/authorized_keys"}
        (self.folder / "version").write_text(version)
        (self.folder / "config").write_text("".join(f"{key} {value}\n" for key, value in (said | config).items()))
        (self.folder / "refusal").write_text("")

    @property
    def keys(self) -> Path:
        return self.home / ".ssh" / "authorized_keys"

    def put(self, content: bytes, mode: int = 0o600) -> None:
        """Write the user's authorized_keys."""
        if not self.keys.parent.exists():
            self.keys.parent.mkdir()
            self.give(self.keys.parent, 0o700)
        self.keys.write_bytes(content)
        self.give(self.keys, mode)

    def program(self, data: str, shell: str, text: str | None = None) -> str:
        text = text or script(data, shell=str(self.folder / "shells" / shell / "sh"))
        return re.sub(r"(?<![\w/])/run/ssm-ssh", str(self.run_folder), text)

    def run(  # noqa: PLR0917
        self,
        shell: str = "dash",
        action: str = "push",
        user: str | None = None,
        key: str = KEY,
        entry_id: str = ID,
        lifetime: int = 60,
        *,
        needs_expiry: bool = False,
        data: str | None = None,
        text: str | None = None,
        path: str | None = None,
        env: dict[str, str] | None = None,
    ) -> Done:
        """Run the script as Run Command would."""
        if data is None:
            data = request(action, user or self.user, key, entry_id, lifetime=lifetime, needs_expiry=needs_expiry)
        file = self.folder / f"script-{secrets.token_hex(4)}"
        file.write_text(self.program(data, shell, text))
        done = subprocess.run(
            [self.folder / "shells" / shell / "sh", file],
            capture_output=True,
            text=True,
            stdin=subprocess.DEVNULL,
            cwd="/",
            timeout=120,
            start_new_session=True,
            env={"PATH": path or f"{self.bin}:{SYSTEM_PATH}", "SECRET_OF_ROOT": "1", "TZ": "Asia/Tokyo", **(env or {})},
        )
        file.unlink()
        return Done(done.returncode, done.stdout, done.stderr)

    def as_user(self, *command: str | Path) -> subprocess.Popen[bytes]:
        """Start a program as the user."""
        ids = {"user": self.uid, "group": self.gid, "extra_groups": []} if AS_ROOT else {}
        return subprocess.Popen(command, cwd="/", start_new_session=True, **ids)  # type: ignore[call-overload,no-any-return]

    def processes(self) -> list[int]:
        """What the script left running, wherever it went."""
        found = []
        for entry in Path("/proc").glob("[0-9]*"):
            with contextlib.suppress(OSError):
                if os.fsencode(self.folder) in (entry / "environ").read_bytes() + (entry / "cmdline").read_bytes():
                    found.append(int(entry.name))
        return [pid for pid in found if pid != os.getpid()]

    def end_processes(self) -> None:
        def none_left() -> bool:
            found = self.processes()
            for pid in found:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            return not found

        until(none_left, "the end of what was just being started")

    def close(self) -> None:
        self.end_processes()
        if AS_ROOT:
            subprocess.run(["userdel", "-f", self.user], check=False, capture_output=True)
        shutil.rmtree(self.folder, ignore_errors=True)


class Treasure:
    """A folder and a file of root's that the user must neither read nor change."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder / f"treasure-{secrets.token_hex(3)}"
        self.folder.mkdir(mode=0o755)
        self.shadow = self.folder / "shadow"
        self.shadow.write_text("root:secret:1:0:::::\n")
        self.shadow.chmod(0o600)
        self.before = self.state()

    def state(self) -> dict[str, object]:
        return {
            str(path): (path.read_bytes() if path.is_file() else b"", *_facts(path))
            for path in (self.folder, *sorted(self.folder.rglob("*")))
        }

    def check(self) -> None:
        assert self.state() == self.before


def _facts(path: Path) -> tuple[int, ...]:
    status = path.lstat()
    return (status.st_uid, status.st_gid, stat.S_IMODE(status.st_mode), status.st_ino, status.st_mtime_ns)
