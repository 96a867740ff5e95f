"""`ssm-ssh lab --demo`: ssh, scp and rsync through a lab, each command shown with what it said and how it ended."""

from __future__ import annotations

import filecmp
import os
import secrets
import shlex
import shutil
import subprocess
import time
from pathlib import Path
from typing import TextIO

from ssm_ssh.errors import UsageError
from ssm_ssh.lab import Lab, LabOptions
from ssm_ssh.text import printable

OPTIONS = LabOptions(instances=3)
# A command of the demonstration takes about a second; one that takes this long has hung.
_DEADLINE = 60


def run(out: TextIO) -> int:
    """Write the demonstration to `out`; returns 0 when everything in it went as it should, else 1.

    Raises UsageError when there is no ssh, and what `Lab` raises when the lab cannot start.
    """
    if not shutil.which("ssh"):
        raise UsageError("there is no ssh on this machine", "Install OpenSSH's client")
    out.write(
        "Starting an AWS of this machine's own: an API, a gateway, and instances with agents and SSH servers ...\n"
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

    def run(self) -> int:
        self.folder.mkdir(mode=0o700)
        for one in self.lab.instances:
            self._say(f"  {one.instance_id:<21}{one.name:<9}{one.platform}, user {one.users[0]}")
        host = f"{self.lab.instances[0].users[0]}@{self.lab.instances[0].instance_id}"
        self._commands(host)
        self._copies(host)
        self._what_aws_saw()
        self._say(f"\n{self.failed} of these steps failed." if self.failed else "\nAll of it worked.")
        return 1 if self.failed else 0

    def _commands(self, host: str) -> None:
        self._title("A command on an instance, with its output and its exit status")
        self._shell("ssh", host, 'echo "Hello from $(id -un)"; exit 7', status=7)
        self._title("Standard input goes there, standard output comes back")
        self._shell("ssh", host, "tr a-z A-Z", given="every byte counts\n", wanted="EVERY BYTE COUNTS\n")

    def _copies(self, host: str) -> None:
        self._title("A file of 1 MB there and back")
        (self.folder / "photo.raw").write_bytes(secrets.token_bytes(1_000_000))
        self._shell("scp", "photo.raw", f"{host}:")
        self._shell("scp", f"{host}:photo.raw", "photo.back")
        self._same("photo.raw", "photo.back")

        self._title("A folder there and back by rsync")
        if not self._has("rsync"):
            self._say("  left out: there is no rsync on this machine")
            return
        (self.folder / "site" / "pages").mkdir(parents=True)
        for name in ("index.html", "pages/one.html", "pages/two.html"):
            (self.folder / "site" / name).write_text(f"<h1>{name}</h1>\n")
        self._shell("rsync", "-a", "--stats", "site", f"{host}:", only="Number of regular files transferred")
        self._shell("rsync", "-a", f"{host}:site/", "site.back")
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

    def _open_sessions(self) -> int:
        return sum(one["Status"] in ("Connecting", "Connected", "Terminating") for one in self.lab.sessions())

    def _shell(
        self, *command: str, status: int = 0, given: str = "", wanted: str | None = None, only: str = ""
    ) -> None:
        """Show and run a command; it is to end with `status` and, if given, say `wanted`; of its output show `only`."""
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
            self._verdict(False, f"no end within {_DEADLINE} s")
            return
        for line in done.stdout.splitlines():
            if only in line:
                self._say(f"  {printable(line)}")
        self._verdict(done.returncode == status and wanted in (None, done.stdout), f"exit status {done.returncode}")

    def _same(self, first: str, second: str) -> None:
        self._say(f"$ cmp {first} {second}")
        try:
            same = filecmp.cmp(self.folder / first, self.folder / second, shallow=False)
        except OSError:
            same = False
        self._verdict(same, "identical" if same else "different")

    def _has(self, program: str) -> bool:
        return shutil.which(program, path=self.lab.env.get("PATH", os.defpath)) is not None

    def _verdict(self, good: bool, what: str) -> None:
        self.failed += not good
        self._say(f"  [{what}]" if good else f"  [{what}: THIS IS NOT AS IT SHOULD BE]")

    def _title(self, text: str) -> None:
        self._say(f"\n{text}")

    def _say(self, line: str) -> None:
        self.out.write(f"{line}\n")
