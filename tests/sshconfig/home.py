"""A home folder of its own with an ssh that reads it, as `ssm-ssh setup` and its parts find it."""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

from ssm_ssh.sshconfig import include
from ssm_ssh.sshconfig.effective import Ssh
from ssm_ssh.sshconfig.locations import Place

SSH = shutil.which("ssh") or "/usr/bin/ssh"
_LIMIT = 120.0


class Home:
    """`path` is a home; `ssh` reads `~/.ssh/config` there, with all of ssh's checks, and the system's file."""

    def __init__(self, path: Path) -> None:
        self.path = path
        (path / ".ssh").mkdir(parents=True, mode=0o700)
        self.place = Place(path)
        self.config = self.place.config
        self.entry = path / "entry"
        self.entry.write_text(f'Include "{self.config}"\nInclude "/etc/ssh/ssh_config"\n')
        self.ssh = Ssh(SSH, ("-F", str(self.entry)))
        (path / "bin").mkdir()
        program = path / "bin" / "ssh"
        program.write_text(f'#!/bin/sh\nexec {SSH} -F {shlex.quote(str(self.entry))} "$@"\n')
        program.chmod(0o755)
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("XDG_", "AWS_", "SSM_SSH"))}
        self.env = {
            **kept,
            "HOME": str(path),
            # What makes setup take HOME for the home: ssh's own idea of ~ cannot be changed for a test.
            "SSM_SSH_LAB": str(path),
            "PATH": f"{path / 'bin'}{os.pathsep}{os.environ['PATH']}",
        }

    def command(self, *words: str) -> list[str]:
        return [sys.executable, "-I", "-m", "ssm_ssh", *words]

    def run(self, *words: str, expect: int | None = 0, cwd: Path | None = None, **more: str) -> str:
        """Run ssm-ssh; returns everything that it said."""
        done = subprocess.run(
            self.command(*words),
            env={**self.env, **more},
            cwd=cwd or "/",
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=_LIMIT,
        )
        said = done.stdout.decode(errors="replace")
        assert expect is None or done.returncode == expect, said
        return said

    def write(self, content: bytes | str, mode: int = 0o600) -> bytes:
        raw = content.encode() if isinstance(content, str) else content
        self.config.write_bytes(raw)
        self.config.chmod(mode)
        return raw

    @property
    def line(self) -> bytes:
        """The line that setup puts first."""
        return include.include_line(str(self.place.managed))

    def contents(self) -> dict[str, bytes]:
        """What is in ~/.ssh."""
        return {one.name: one.read_bytes() for one in sorted((self.path / ".ssh").iterdir()) if one.is_file()}

    def says(self, host: str) -> str:
        """What ssh makes of a host."""
        outcome = self.ssh.ask(host)
        return f"{outcome.status}\n{outcome.output}"
