"""The users of one instance: accounts, scratch homes and the environment in which their programs run.

A lab started by an ordinary user runs everything as that user; nss_wrapper gives the single uid the names and homes of
the instance's users. A lab started by root gives each instance its own uid, so that nothing a user of the instance does
runs as root; the homes are below folders that only the lab's group can traverse.

Without nss_wrapper, HOME and USER are still right, and the programs of programs.py, which come first in PATH, report
the same names. Only a program that asks the C library for a name can tell the difference.
"""

from __future__ import annotations

import contextlib
import ctypes
import grp
import os
import pwd
import shlex
import shutil
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ssm_ssh.lab.accounts import programs, sudo
from ssm_ssh.lab.hidden_programs import is_hidden

# Debian's policy leaves 60000-64999 to packages that ask for them, systemd 61184-65519 to its dynamic users, and
# neither has given out these: https://systemd.io/UIDS-GIDS/
LAB_GROUP = 61000
FIRST_UID = 61001
LAST_UID = 61183

PATH = "/usr/local/bin:/usr/bin:/bin"
ROOT_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_WRAPPER_PLACES = ("/usr/lib/*/libnss_wrapper.so", "/usr/lib64/libnss_wrapper.so", "/usr/lib/libnss_wrapper.so")


# bash takes \u in its prompt from the password database.
_PROFILE = """PATH={tools}:$PATH
if [ -n "${{BASH_VERSION:-}}" ] && [ -n "${{PS1:-}}" ]; then eval 'PS1=${{PS1//\\\\u/$USER}}'; fi
"""


def find_nss_wrapper() -> str:
    """Return the path of libnss_wrapper.so; "" when it is not installed."""
    if is_hidden("nss_wrapper"):
        return ""
    for pattern in _WRAPPER_PLACES:
        for path in sorted(Path("/").glob(pattern[1:])):
            # A multi-arch system may have the library of another architecture too.
            with contextlib.suppress(OSError):
                ctypes.CDLL(str(path), mode=os.RTLD_LAZY)
                return str(path)
    return ""


def machines_folder(folder: Path) -> Path:
    """Return a folder for the instances' files: `folder` itself, or, for root, a new one that the lab's group may pass.

    Only root can enter the folder of root's lab, so the uids of its instances cannot. Their homes are therefore made in
    the temporary directory, and the file `elsewhere` in `folder` records where, for the cleanup.
    """
    if os.geteuid() != 0:
        return folder
    other = Path(tempfile.mkdtemp(prefix="ssm-ssh-lab-"))
    os.chown(other, 0, LAB_GROUP)
    other.chmod(0o710)
    (folder / "elsewhere").write_text(str(other))
    return other


def remove_machines_folder(folder: Path) -> None:
    """Remove what `machines_folder(folder)` made elsewhere, if anything."""
    with contextlib.suppress(OSError):
        other = Path((folder / "elsewhere").read_text())
        if other.name.startswith("ssm-ssh-lab-") and other.lstat().st_uid == 0:
            shutil.rmtree(other, ignore_errors=True)
        (folder / "elsewhere").unlink()


class Accounts:
    """The accounts of one instance below `folder` (which is made), the `number`-th of its lab.

    `users` are the names that may log in; "root" is there besides, for Run Command alone.
    """

    def __init__(self, folder: Path, users: Sequence[str], number: int, nss_wrapper: str) -> None:
        self.folder = folder
        self.users = tuple(users)
        self.nss_wrapper = nss_wrapper
        self.as_root = os.geteuid() == 0
        self.uid = FIRST_UID + number % (LAST_UID - FIRST_UID + 1) if self.as_root else os.getuid()
        self.gid = LAB_GROUP if self.as_root else os.getgid()
        self.shell = "/bin/bash" if Path("/bin/bash").exists() else "/bin/sh"
        self.etc = folder / "etc"
        self.etc_ssh = folder / "etc" / "ssh"
        self.run = folder / "run"
        self.bin = folder / "bin"
        self.tools = folder / "tools"
        self.sudo = folder / "sudo"  # the folder of the program that the agent's sessions have
        self.eic = folder / "eic"
        self.root_home = folder / "root"

    def home(self, user: str) -> Path:
        """Return the scratch home of `user`."""
        return self.root_home if user == "root" else self.folder / "home" / user

    def build(self) -> None:
        """Make the folders, the homes and the password files. May be called again after `demolish`."""
        if self.as_root and (taken := self._taken()):
            raise FileExistsError(f"{taken} belongs to another user or group of this machine")
        passable = 0o710 if self.as_root else 0o700
        for path in (
            self.folder,
            self.folder / "home",
            self.etc,
            self.etc_ssh,
            self.eic,
            self.run,
            self.bin,
            self.tools,
            self.sudo,
        ):
            path.mkdir(mode=0o700, exist_ok=True)
            self._give(path, 0 if self.as_root else self.uid, passable)
        self.root_home.mkdir(mode=0o700, exist_ok=True)
        for user in self.users:
            for path in (self.home(user), self.home(user) / ".ssh"):
                path.mkdir(mode=0o700, exist_ok=True)
                self._give(path, self.uid, 0o700)
        for user in (*self.users, "root"):
            self.write(self.passwd(user), self._passwd_text(user))
        groups = "".join(f"{user}:*:{self.gid}:\n" for user in self.users)
        self.write(self.etc / "group", f"{groups}root:*:{0 if self.as_root else self.gid}:\n")
        if not self.nss_wrapper:
            account = programs.Account(
                tools=self.tools,
                passwd=self.passwd(self.users[0]),
                group=self.etc / "group",
                other_uid=self.identity("") if self.as_root else None,
            )
            for name, text in programs.programs(account).items():
                self.write(self.tools / name, text, executable=True)
            for user in self.users:
                self._profile(self.home(user) / ".profile")

    def add(self, user: str) -> None:
        """Make another user, who may not log in with a key but may use sudo; nothing when there is one."""
        if user not in (*self.users, "root"):
            self.users = (*self.users, user)
            self.build()
            known = {
                name: (str(self.home(name)), "/bin/sh" if name == "root" else self.shell, self.names(name))
                for name in (*self.users, "root")
            }
            text = sudo.script(known, path=self.session_path(), caller=user, root=not self.as_root)
            self.write(self.sudo / "sudo", text, executable=True)

    def session_path(self) -> str:
        """Return PATH for the sessions of the agent."""
        tools = [] if self.nss_wrapper else [str(self.tools)]
        return ":".join([str(self.sudo), *tools, ROOT_PATH])

    def _taken(self) -> str:
        with contextlib.suppress(KeyError):
            pwd.getpwuid(self.uid)
            return f"uid {self.uid}"
        with contextlib.suppress(KeyError):
            grp.getgrgid(self.gid)
            return f"gid {self.gid}"
        return ""

    def _give(self, path: Path, uid: int, mode: int) -> None:
        os.chown(path, uid, self.gid)
        path.chmod(mode)

    def write(self, path: Path, text: str, *, executable: bool = False) -> None:
        """Write a file that the instance's users can read but not change, atomically."""
        new = path.with_name(f".{path.name}.new")
        new.touch(mode=0o600)
        new.write_text(text)
        mode = 0o640 if self.as_root else 0o600
        self._give(new, 0 if self.as_root else self.uid, mode | 0o110 if executable else mode)
        new.replace(path)

    def _profile(self, path: Path) -> None:
        """Write a login shell's start file, where there is none, that takes back what /etc/profile does to PATH."""
        if not path.exists():
            path.write_text(_PROFILE.format(tools=shlex.quote(str(self.tools))))
            self._give(path, self.uid, 0o644)

    def passwd(self, user: str) -> Path:
        """Return the password file in which `user` is the first name of the uid."""
        return self.etc / f"passwd.{user}"

    def _passwd_text(self, first: str) -> str:
        # Several names can share a uid, and the first line names it, so each user has a file that begins with that
        # user. The password is not "x", which would refer to the machine's own shadow file.
        names = sorted((*self.users, "root"), key=lambda name: name != first)
        ids = dict.fromkeys(self.users, (self.uid, self.gid))
        ids["root"] = (0, 0) if self.as_root else (self.uid, self.gid)
        return "".join(
            f"{name}:*:{ids[name][0]}:{ids[name][1]}:{name}:{self.home(name)}:"
            f"{'/bin/sh' if name == 'root' else self.shell}\n"
            for name in names
        )

    def names(self, user: str) -> dict[str, str]:
        """Return the environment that gives the uid the name and home of `user`."""
        if not self.nss_wrapper:
            return {programs.VARIABLE: str(self.passwd(user))}
        return {
            "LD_PRELOAD": self.nss_wrapper,
            "NSS_WRAPPER_PASSWD": str(self.passwd(user)),
            "NSS_WRAPPER_GROUP": str(self.etc / "group"),
        }

    def environment(self, user: str) -> dict[str, str]:
        """Return all that a program of `user` gets, as sshd would give it."""
        return {
            "HOME": str(self.home(user)),
            "USER": user,
            "LOGNAME": user,
            "SHELL": "/bin/sh" if user == "root" else self.shell,
            "PATH": self.path(user),
            **self.names(user),
        }

    def path(self, user: str) -> str:
        """Return PATH for `user`."""
        tools = [] if self.nss_wrapper else [str(self.tools)]
        return ":".join([str(self.bin), *tools, ROOT_PATH] if user == "root" else [*tools, PATH])

    def identity(self, user: str) -> dict[str, Any]:
        """Return the arguments of subprocess.Popen that make the child `user`."""
        if self.as_root and user != "root":
            return {"user": self.uid, "group": self.gid, "extra_groups": []}
        return {}

    def demolish(self) -> None:
        """Remove everything."""
        shutil.rmtree(self.folder, ignore_errors=True)
