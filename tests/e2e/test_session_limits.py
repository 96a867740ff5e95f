"""Shells and commands that the account's limits end: which limit it was, and how long the session was."""

from __future__ import annotations

import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from ssm_ssh.lab import Lab, LabOptions
from tests.e2e.ptys import PtyProgram

pytestmark = [pytest.mark.e2e, pytest.mark.long, pytest.mark.timeout(300)]
# Seconds. A session begins within them on a busy machine, too.
LIMIT = 20.0


@contextmanager
def lab_with(options: LabOptions) -> Iterator[Lab]:
    with tempfile.TemporaryDirectory(prefix="limits-") as base, Lab(options, base=Path(base)) as lab:
        yield lab
        assert lab.log_text() == ""


def shell(lab: Lab) -> PtyProgram:
    env = {**lab.env, "TERM": "xterm", "LC_ALL": "C.UTF-8"}
    return PtyProgram([sys.executable, "-m", "ssm_ssh", "shell", lab.instances[0].instance_id], env, Path(lab.folder))


def check(program: PtyProgram, sentence: str) -> None:
    """Wait for the end of a shell that a limit ended; `sentence` has a group for its seconds."""
    try:
        assert program.end(120) == 255
        assert program.restored
        told = re.search(sentence, program.output.decode())
        assert told, program.output
        assert LIMIT - 5 <= int(told[1]) <= LIMIT + 60
    finally:
        program.close()


def test_the_idle_limit_ends_a_shell_and_is_named() -> None:
    with lab_with(LabOptions(instances=1, pacing=False, idle_timeout=LIMIT)) as lab:
        program = shell(lab)
        program.expect("$ ")
        check(program, r"the idle limit ended the session with i-\w+: nothing was sent for (\d+) s")
        assert b"idleSessionTimeout" in program.output


def test_the_maximum_duration_ends_shells_and_commands_and_is_named() -> None:
    with lab_with(LabOptions(instances=1, pacing=False, max_duration=LIMIT)) as lab:
        command = [sys.executable, "-m", "ssm_ssh", "exec", lab.instances[0].instance_id, "sleep", "100"]
        with subprocess.Popen(command, env=lab.env, stderr=subprocess.PIPE, text=True) as running:
            program = shell(lab)
            program.expect("$ ")
            check(program, r"the maximum duration ended the session with i-\w+ after (\d+) s")
            assert b"maxSessionDuration" in program.output
            _, told = running.communicate(timeout=120)
        assert running.returncode == 254
        assert "is unknown: the maximum duration ended the session" in told
