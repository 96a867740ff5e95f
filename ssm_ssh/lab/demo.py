"""`ssm-ssh lab --demo`: ssh, scp and rsync through a lab, each shown with its output and exit status."""

from __future__ import annotations

import contextlib
import fcntl
import filecmp
import os
import pty
import secrets
import select
import shlex
import shutil
import struct
import subprocess
import termios
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TextIO

from ssm_ssh.errors import UsageError
from ssm_ssh.install_hints import command
from ssm_ssh.installation import program
from ssm_ssh.lab import Lab, LabInstance, LabOptions
from ssm_ssh.text import printable

OPTIONS = LabOptions(instances=3)
# A command of the demonstration takes about a second; one that takes this long has hung.
_DEADLINE = 60


def run(out: TextIO) -> int:
    """Write the demonstration to `out`; return 0 when every step succeeded, else 1.

    Raises UsageError when there is no ssh, and what `Lab` raises when the lab cannot start.
    """
    if not shutil.which("ssh"):
        raise UsageError("there is no ssh on this machine", "Install OpenSSH's client")
    out.write(
        "Starting a simulated AWS on this machine: an API, a gateway, and instances with agents and SSH servers ...\n"
    )
    out.flush()
    with Lab(OPTIONS) as lab:
        return _Demo(lab, out).run()


class _Demo:
    def __init__(self, lab: Lab, out: TextIO) -> None:
        self.lab = lab
        self.out = out
        self.folder = Path(lab.folder) / "demo"
        self.failed = 0
        self.left_out = ""  # a program that is not installed

    def run(self) -> int:
        self.folder.mkdir(mode=0o700)
        for instance in self.lab.instances:
            self._say(f"  {instance.instance_id:<21}{instance.name:<9}{instance.platform}, user {instance.users[0]}")
        first = self.lab.instances[0]
        self._commands(first)
        for item in self.lab.instances:
            if item.hybrid:
                self._title("A machine outside EC2, which receives the key through Run Command")
                self._shell("ssh", item.destination, "id -un", wanted=f"{item.users[0]}\n")
        self._shell_session(first)
        self._exec(first)
        self._forward(first)
        self._copies(first.destination)
        self._what_aws_saw()
        steps = "1 step" if self.failed == 1 else f"{self.failed} steps"
        if self.failed:
            self._say(f"\n{steps} failed: see above.")
        elif self.left_out:
            self._say(f"\nEverything that could be shown worked; {self.left_out} is not installed.")
        else:
            self._say("\nAll of it worked.")
        if not self.failed:
            self._say(f"Next: {command()} setup, and your own ssh reaches instances through Session Manager")
        return 1 if self.failed else 0

    def _commands(self, instance: LabInstance) -> None:
        host = instance.destination
        self._title("A command on an instance, with its output and its exit status")
        wanted = f"Hello from {instance.users[0]}\n"
        self._shell("ssh", host, 'echo "Hello from $(id -un)"; exit 7', status=7, wanted=wanted)
        self._title("Standard input reaches the command, and its standard output comes back")
        self._shell("ssh", host, "tr a-z A-Z", given="every byte counts\n", wanted="EVERY BYTE COUNTS\n")

    def _shell_session(self, instance: LabInstance) -> None:
        self._title("A shell without SSH, on a terminal of 101 columns and 33 rows")
        self._say(f"$ ssm-ssh shell {instance.instance_id}")
        self.out.flush()
        found = shutil.which("ssm-ssh", path=self.lab.env.get("PATH"))
        start = (found,) if found else program()
        shown, status = _on_terminal([*start, "shell", instance.instance_id], self.lab.env, ("stty size", "exit"))
        for line in shown.splitlines():
            self._say(f"  {printable(line)}")
        self._verdict(status == 0 and "33 101" in shown, f"exit status {status}")

    def _exec(self, instance: LabInstance) -> None:
        self._title("A command without SSH: its arguments arrive as they are, its exit status comes back")
        words = ("sh", "-c", 'printf "%s\\n" "$0"; exit 7', "it's $HOME {{ssm:x}}")
        wanted = words[-1] + "\n"
        self._shell(*self._program(), "exec", instance.instance_id, "--", *words, status=7, wanted=wanted)

    def _program(self) -> list[str]:
        return ["ssm-ssh"] if self._has("ssm-ssh") else shlex.split(command())

    def _forward(self, instance: LabInstance) -> None:
        self._title("A port of the instance on this machine, for as long as a command runs")
        if not self._has("ssh-keyscan"):
            self._say("  left out: there is no ssh-keyscan on this machine")
            self.left_out = "ssh-keyscan"
            return
        forward = (*self._program(), "forward", instance.instance_id, "0:22", "--")
        self._shell(*forward, "sh", "-c", "ssh-keyscan -p $SSM_SSH_FORWARD_PORT 127.0.0.1", only="forwarding")

    def _copies(self, host: str) -> None:
        self._title("A file of 1 MB there and back")
        (self.folder / "photo.raw").write_bytes(secrets.token_bytes(1_000_000))
        if self._shell("scp", "photo.raw", f"{host}:") and self._shell("scp", f"{host}:photo.raw", "photo.back"):
            self._same("photo.raw", "photo.back")

        self._title("A folder there and back by rsync")
        if not self._has("rsync"):
            self._say("  left out: there is no rsync on this machine")
            self.left_out = "rsync"
            return
        (self.folder / "site" / "pages").mkdir(parents=True)
        for name in ("index.html", "pages/one.html", "pages/two.html"):
            (self.folder / "site" / name).write_text(f"<h1>{name}</h1>\n")
        there = self._shell("rsync", "-a", "--stats", "site", f"{host}:", only="Number of regular files transferred")
        if there and self._shell("rsync", "-a", f"{host}:site/", "site.back"):
            for name in ("index.html", "pages/one.html", "pages/two.html"):
                self._same(f"site/{name}", f"site.back/{name}")

    def _what_aws_saw(self) -> None:
        self._title("What AWS saw of it")
        # ssh does not wait for its ProxyCommand, which may be just about to end the last session.
        deadline = time.monotonic() + _DEADLINE
        while (left := self._open_sessions()) and time.monotonic() < deadline:
            time.sleep(0.05)
        counts: dict[str, int] = {}
        for call in self.lab.calls():
            if not call["operation"].endswith("Channel"):  # the agents' doings, and the data channels
                counts[call["operation"]] = counts.get(call["operation"], 0) + 1
        for operation, count in sorted(counts.items()):
            self._say(f"  {count:>2} x {operation}")
        self._verdict(not left, f"{left} sessions left open")
        if not left:
            self._say("  (An agent ends a session when its SSH server closes the connection;")
            self._say("  ssm-ssh ends the others with TerminateSession.)")

    def _open_sessions(self) -> int:
        return sum(session["Status"] in ("Connecting", "Connected", "Terminating") for session in self.lab.sessions())

    def _shell(
        self, *command: str, status: int = 0, given: str = "", wanted: str | None = None, only: str = ""
    ) -> bool:
        """Show and run a command, and return whether it ended with `status` and, if given, with the output `wanted`.

        Of its output the lines with `only` are shown, or all if it failed.
        """
        shown = shlex.join(command)
        self._say(f"$ printf {shlex.quote(given)} | {shown}".replace("\n", "\\n") if given else f"$ {shown}")
        self.out.flush()
        try:
            done = subprocess.run(
                command,
                cwd=self.folder,
                env=self.lab.env,
                input=given,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                errors="replace",
                timeout=_DEADLINE,
                check=False,
            )
        except subprocess.TimeoutExpired:
            return self._verdict(False, f"no end within {_DEADLINE} s")
        good = done.returncode == status and wanted in (None, done.stdout)
        for line in done.stdout.splitlines():
            if only in line or not good:
                self._say(f"  {printable(line)}")
        return self._verdict(good, f"exit status {done.returncode}")

    def _same(self, first: str, second: str) -> None:
        self._say(f"$ cmp {first} {second}")
        try:
            same = filecmp.cmp(self.folder / first, self.folder / second, shallow=False)
        except OSError:
            same = False
        self._verdict(same, "identical" if same else "different")

    def _has(self, program: str) -> bool:
        return shutil.which(program, path=self.lab.env.get("PATH", os.defpath)) is not None

    def _verdict(self, good: bool, what: str) -> bool:
        self.failed += not good
        self._say(f"  [{what}]" if good else f"  [{what}: THIS FAILED]")
        return good

    def _title(self, text: str) -> None:
        self._say(f"\n{text}")

    def _say(self, line: str) -> None:
        self.out.write(f"{line}\n")


def _on_terminal(command: Sequence[str], env: Mapping[str, str], lines: Sequence[str]) -> tuple[str, int | None]:
    """Run `command` on a terminal, and type each of `lines` at a prompt; returns its output and exit status.

    The status is None for a command that has not ended in time, and is killed.
    """
    master, slave = pty.openpty()
    fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 33, 101, 0, 0))
    process = subprocess.Popen(command, env=env, stdin=slave, stdout=slave, stderr=slave, start_new_session=True)
    os.close(slave)
    deadline = time.monotonic() + _DEADLINE
    shown, typed, read = b"", 0, 0
    try:
        while (left := deadline - time.monotonic()) > 0 and select.select([master], [], [], left)[0]:
            with contextlib.suppress(OSError):  # how Linux reports the end of the other side
                if data := os.read(master, 65536):
                    shown += data
                    if typed < len(lines) and shown[read:].endswith((b"$ ", b"# ")):
                        os.write(master, lines[typed].encode() + b"\r")
                        typed, read = typed + 1, len(shown)
                    continue
            break
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(max(1.0, deadline - time.monotonic()))
    finally:
        process.kill()
        os.close(master)
    return shown.decode(errors="replace"), process.poll()
