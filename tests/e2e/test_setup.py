"""From an empty home to a shell on an instance: `ssm-ssh setup`, then plain ssh, as a user who has nothing else."""

from __future__ import annotations

import contextlib
import os
import pwd
import re
import shutil
import subprocess
import sys
import tempfile
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from ssm_ssh.lab import Lab
from tests.e2e.world import LIMIT, World, until

pytestmark = pytest.mark.e2e

PROGRAM = (sys.executable, "-I", "-m", "ssm_ssh")
# What of the lab's environment leads to its AWS. The rest (HOME, XDG_*, the wrappers) stays away.
_AWS = ("AWS_", "SSM_SSH_DEBUG")


# The first is enough; a container may have the second alone.
_CAPABILITIES = {"dac_read_search": 2, "dac_override": 1}


def _tool(name: str) -> str:
    found = shutil.which(name, path=f"{os.environ['PATH']}:/usr/sbin:/sbin")
    assert found is not None, f"{name} is missing"
    return found


def _bounding() -> int:
    status = Path("/proc/self/status").read_text()
    return int(status.split("CapBnd:")[1].split()[0], 16)


class Somebody:
    """A user with an empty home, whose path has spaces and letters beyond ASCII, and who knows the lab's AWS.

    Where the tests are root, the user is a real one, made for the test. Elsewhere it is the tester with the home of
    the lab, where the lab's wrappers make ssh look.
    """

    def __init__(self, lab: Lab, folder: Path) -> None:
        self.name = ""
        self.folder = folder
        self._prefix: list[str] = []
        aws = {name: value for name, value in lab.env.items() if name.startswith(_AWS)}
        # The lab's folder is closed to others.
        ca = folder / "ca.pem"
        shutil.copy(lab.ca_file, ca)
        ca.chmod(0o644)
        aws |= {name: str(ca) for name, value in aws.items() if value == str(lab.ca_file)}
        aws = {name: value for name, value in aws.items() if not value.startswith(str(lab.folder))}
        self.env = {**aws, "LC_ALL": "C.UTF-8", "PATH": os.environ["PATH"], "TERM": "dumb"}
        if os.geteuid() == 0:
            self.home = folder / "a höme" / "of mine"
            self._make_user()
        else:
            self.home = lab.folder / "home"
            shutil.rmtree(self.home / ".ssh", ignore_errors=True)
            self.env |= {"SSM_SSH_LAB": str(lab.folder), "PATH": f"{lab.folder / 'bin'}:{self.env['PATH']}"}
        self.env["HOME"] = str(self.home)
        self.here = folder / "cloned"
        self.here.mkdir()
        for module in ("json", "ssl", "socket", "ssm_ssh", "platformdirs"):
            (self.here / f"{module}.py").write_text("import os\nos.write(2, b'imported from here')\nos._exit(66)\n")

    def _make_user(self) -> None:
        name = f"st{uuid.uuid4().hex[:8]}"
        self.home.parent.mkdir()
        self.home.mkdir(mode=0o700)
        command = [_tool("useradd"), "--no-create-home", "--home-dir", str(self.home), "--shell", "/bin/sh", name]
        subprocess.run(command, check=True, capture_output=True)
        self.name = name
        shutil.chown(self.home, name, name)
        self._prefix = [_tool("runuser"), "-u", name, "--"]
        if subprocess.run([*self._prefix, *PROGRAM, "--version"], capture_output=True, cwd="/").returncode:
            # Root's own Python, in a folder that is closed to others: this user may look into such, but write nowhere.
            able = next(cap for cap, number in _CAPABILITIES.items() if _bounding() >> number & 1)
            self._prefix = [_tool("setpriv"), f"--reuid={name}", f"--regid={name}", "--init-groups"]
            # access(2), by which fish judges a program, would leave the capability out of account.
            self._prefix += ["--securebits=+no_setuid_fixup", f"--inh-caps=+{able}", f"--ambient-caps=+{able}", "--"]

    def run(self, *command: str, expect: int | None = 0, **more: str) -> str:
        """Run a program as that user, in a folder with a hostile json.py and PYTHONPATH leading there."""
        done = subprocess.run(
            [*self._prefix, *command],
            env={**self.env, "PYTHONPATH": ".", **more},
            cwd=self.here,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=LIMIT,
        )
        said = done.stdout.decode(errors="replace")
        assert expect is None or done.returncode == expect, said
        return said

    def setup(self, *words: str, expect: int | None = 0, **more: str) -> str:
        return self.run(*PROGRAM, "setup", *words, expect=expect, **more)

    def processes(self) -> list[str]:
        """The processes of a user who was made for the test; a program that has ended its session may still write."""
        if not self.name:
            return []
        uid, running = pwd.getpwnam(self.name).pw_uid, []
        for status in Path("/proc").glob("[0-9]*/status"):
            with contextlib.suppress(OSError):
                text = status.read_text(errors="replace")
                if f"\nUid:\t{uid}\t" in text and "\nState:\tZ" not in text:
                    running.append(status.parent.name)
        return running

    def close(self) -> None:
        if self.name:
            subprocess.run([_tool("userdel"), "--force", self.name], check=False, capture_output=True)


def _open(world: World) -> set[str]:
    # Tests of forwards before these leave sessions that have failed, and some whose end is still to be reported.
    over = {"Terminated", "Terminating", "Failed"}
    return {one["SessionId"] for one in world.lab.sessions() if one["Status"] not in over}


@pytest.fixture
def somebody(world: World) -> Iterator[Somebody]:
    with tempfile.TemporaryDirectory(prefix="s-") as folder:
        Path(folder).chmod(0o711)
        somebody = Somebody(world.lab, Path(folder))
        try:
            yield somebody
            # The tunnels end their sessions behind ssh's back, and need home and certificate for it.
            until(lambda: _open(world) <= world.abandoned, "the end of every session")
            until(lambda: not somebody.processes(), "the end of every process", left=somebody.processes)
        finally:
            somebody.close()


@pytest.mark.parametrize(
    "shells", ["sh bash", pytest.param("zsh fish", marks=pytest.mark.needs("bash", "zsh", "fish"))]
)
@pytest.mark.parametrize("way", [(), ("--inline",)], ids=["include", "inline"])
def test_from_an_empty_home_to_an_instance(world: World, somebody: Somebody, way: tuple[str, ...], shells: str) -> None:
    said = somebody.setup(*way)
    assert "other hosts have the same settings as before" in said
    for shell in shells.split():
        found = shutil.which(shell)
        assert found is not None, f"{shell} is missing"
        assert somebody.run("ssh", world.web.destination, "id -un", SHELL=found).endswith(f"{world.web.users[0]}\n"), (
            shell
        )
    assert "uses it" in somebody.run(*PROGRAM, "status")
    assert "Nothing to do" in somebody.setup()
    somebody.setup("--remove")
    assert not (somebody.home / ".ssh").exists()


@pytest.mark.parametrize(
    ("key_type", "said"),
    [("rsa", "Trying private key: .*/ssm-ssh/id_rsa$"), ("ed25519", "Offering public key: .*/ssm-ssh/id_ed25519 ")],
)
def test_with_an_rsa_key_ssh_does_not_ask_before_it_signs(
    world: World, somebody: Somebody, key_type: str, said: str
) -> None:
    somebody.setup(SSM_SSH_KEY_TYPE=key_type)
    log = somebody.run("ssh", "-v", world.web.destination, "true")
    assert re.search(said, log.replace("\r", ""), re.MULTILINE)
    assert ("Server accepts key" in log) == (key_type == "ed25519")


def test_an_installation_with_an_ed25519_key_keeps_it(world: World, somebody: Somebody) -> None:
    """Programs may have been told that file."""
    somebody.run(*PROGRAM, "key", "remove")
    somebody.setup(SSM_SSH_KEY_TYPE="ed25519")
    block = somebody.run("cat", str(somebody.home / ".ssh" / "ssm-ssh.config"))
    assert "id_ed25519" in block
    assert "Nothing to do" in somebody.setup()
    somebody.setup(SSM_SSH_KEY_TYPE="rsa")
    assert "id_ed25519" not in somebody.run("cat", str(somebody.home / ".ssh" / "ssm-ssh.config"))
    assert somebody.run("ssh", world.web.destination, "echo there").endswith("there\n")


def test_a_shared_connection_needs_no_other_session(world: World, somebody: Somebody) -> None:
    somebody.setup("--share", "60s")
    before = len(world.sessions(world.web))
    try:
        for word in ("one", "two"):
            assert somebody.run("ssh", world.web.destination, f"echo {word}").endswith(f"{word}\n")
        assert len(world.sessions(world.web)) == before + 1
        assert "Nothing to do" in somebody.setup()
    finally:
        somebody.run("ssh", "-O", "exit", world.web.destination)
    somebody.setup("--share", "no")
    assert "ControlPersist" not in somebody.run("cat", str(somebody.home / ".ssh" / "ssm-ssh.config"))


def test_without_a_path_as_from_cron_or_a_desktop(world: World, somebody: Somebody) -> None:
    somebody.setup()
    ssh = shutil.which("ssh", path=somebody.env["PATH"]) or "ssh"
    assert somebody.run(ssh, world.web.destination, "echo there", PATH="/nowhere").endswith("there\n")


def test_the_other_programs_follow(world: World, somebody: Somebody) -> None:
    somebody.setup()
    web = world.web.destination
    source = somebody.folder / "data"
    source.write_bytes(os.urandom(100_000))
    source.chmod(0o644)
    with world.folder_on(world.web) as there:
        somebody.run("scp", "-q", str(source), f"{web}:{there}/scp")
        (somebody.folder / "batch").write_text(f'put "{source}" "{there}/sftp"\n')
        (somebody.folder / "batch").chmod(0o644)
        somebody.run("sftp", "-q", "-b", str(somebody.folder / "batch"), web)
        for name in ("scp", "sftp"):
            assert (there / name).read_bytes() == source.read_bytes(), name
        somebody.run("ssh", web, f"git init -q --bare {there}/repo")
        assert somebody.run("git", "ls-remote", f"{web}:{there}/repo").strip() == ""


@pytest.mark.needs("rsync")
def test_rsync_follows(world: World, somebody: Somebody) -> None:
    somebody.setup()
    source = somebody.folder / "data"
    source.write_bytes(os.urandom(100_000))
    source.chmod(0o644)
    with world.folder_on(world.web) as there:
        somebody.run("rsync", str(source), f"{world.web.destination}:{there}/rsync")
        assert (there / "rsync").read_bytes() == source.read_bytes()


def _ansible(somebody: Somebody, host: str, user: str, *words: str, expect: int) -> str:
    inventory = f"{host},"
    return somebody.run(
        str(Path(sys.executable).with_name("ansible")),
        *("-i", inventory, "-u", user, "all", *words),
        expect=expect,
        PYTHONPATH="",
        ANSIBLE_NOCOLOR="1",
        ANSIBLE_PYTHON_INTERPRETER="auto_silent",
        # As it comes along, but for the minute that the shared connection would live on.
        ANSIBLE_SSH_ARGS="-C -o ControlMaster=auto -o ControlPersist=2s",
        ANSIBLE_SSH_CONTROL_PATH_DIR=str(somebody.home / "cp"),
    )


def test_ansible_follows_with_shared_connections(world: World, somebody: Somebody) -> None:
    somebody.setup()
    said = _ansible(somebody, world.web.instance_id, world.web.users[0], "-a", "id -un", expect=0)
    assert said.splitlines()[-1] == world.web.users[0]


WRONG = "ec2-user@i-0123456789abcdef0"


@pytest.mark.parametrize(
    "command",
    [
        ("ssh", WRONG, "true"),
        ("ssh", "-oControlMaster=auto", "-oControlPersist=2", "-oControlPath=~/cp-%C", WRONG, "true"),
        ("scp", "/etc/hosts", f"{WRONG}:"),
        ("sftp", WRONG),
        pytest.param(("rsync", "/etc/hosts", f"{WRONG}:"), marks=pytest.mark.needs("rsync")),
        ("git", "ls-remote", f"{WRONG}:repo"),
        ("ansible",),
    ],
    ids=lambda command: " ".join(command[:2]),
)
def test_an_error_can_be_read_in_each_program(somebody: Somebody, command: tuple[str, ...]) -> None:
    somebody.setup()
    if command[0] == "ansible":
        user, host = WRONG.split("@")
        said = _ansible(somebody, host, user, "-m", "ping", expect=4)  # unreachable
    else:
        said = somebody.run(*command, expect=None)
    assert "EC2 knows no instance i-0123456789abcdef0" in said


_PARAMIKO = """
import os, sys, paramiko
config = paramiko.SSHConfig.from_path(os.path.expanduser("~/.ssh/config")).lookup(sys.argv[1])
client = paramiko.SSHClient()
client.set_missing_host_key_policy(paramiko.AutoAddPolicy())
client.connect(config["hostname"], username=sys.argv[2], key_filename=config["identityfile"][0].strip('"'),
    sock=paramiko.ProxyCommand(config["proxycommand"].replace("%r", sys.argv[2])), look_for_keys=False)
print(client.exec_command("id -un")[1].read().decode())
client.close()
"""
_ASYNCSSH = """
import asyncio, os, sys, asyncssh
config = [os.path.expanduser("~/.ssh/config")]
async def main():
    async with asyncssh.connect(sys.argv[1], username=sys.argv[2], config=config) as c:
        print((await c.run("id -un", check=True)).stdout)
asyncio.run(main())
"""


def test_paramiko_finds_what_stands_inline(world: World, somebody: Somebody) -> None:
    somebody.setup("--inline")
    somebody.run("ssh", world.web.destination, "true")
    said = somebody.run(sys.executable, "-I", "-c", _PARAMIKO, world.web.instance_id, world.web.users[0])
    assert world.web.users[0] in said.split()


@pytest.mark.parametrize("way", [(), ("--inline",)], ids=["include", "inline"])
def test_asyncssh_reads_it(world: World, somebody: Somebody, way: tuple[str, ...]) -> None:
    somebody.setup(*way)
    somebody.run("ssh", world.web.destination, "true")
    until(lambda: _open(world) <= world.abandoned, "the end of ssh's session")
    said = somebody.run(sys.executable, "-I", "-c", _ASYNCSSH, world.web.instance_id, world.web.users[0])
    assert world.web.users[0] in said.split()
    # It ends a ProxyCommand with SIGKILL, so no process may be left to end the session.
    world.abandoned |= _open(world)


def test_an_error_is_readable(world: World, somebody: Somebody) -> None:
    somebody.setup()
    said = somebody.run("ssh", "ec2-user@i-0123456789abcdef0", "true", expect=255)
    assert "i-0123456789abcdef0" in said
    assert "Received disconnect" in said
