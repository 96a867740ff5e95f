"""Half of a crowd is killed while it connects: the others succeed, and nothing is left of those that died."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from ssm_ssh.auth.key_type import ED25519, slots
from ssm_ssh.lab import InstanceOptions, Lab, LabOptions
from tests.e2e.world import until

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(900)]

# Every lock is refused, as by a file system that has none.
_PROXY = """\
import errno, fcntl, os, sys
def refuse(*arguments):
    raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))
if {refused}:
    fcntl.flock = fcntl.lockf = refuse
from ssm_ssh.cli.main import main
sys.exit(main(sys.argv[1:]))
"""
# `tests/long crowd` makes it 200, which takes minutes.
CROWD = int(os.environ.get("SSM_SSH_TEST_CROWD", "24"))


@pytest.mark.parametrize("refused", [False, True], ids=["with locks", "without locks"])
def test_half_of_a_crowd_is_killed(tmp_path_factory: pytest.TempPathFactory, refused: bool) -> None:
    folder = tmp_path_factory.mktemp("k")
    script = folder / "proxy.py"
    script.write_text(_PROXY.format(refused=refused))
    with Lab(LabOptions(instances=tuple(InstanceOptions() for _ in range(8))), base=folder) as lab:

        def connect(number: int) -> subprocess.Popen[str]:
            where = lab.instances[number % len(lab.instances)]
            return subprocess.Popen(
                [
                    "ssh",
                    "-oConnectTimeout=300",
                    f"-oProxyCommand={sys.executable} {script} proxy %n %p %r",
                    where.destination,
                    f"echo {number}",
                ],
                env=lab.env,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
                start_new_session=True,
            )

        started = [connect(number) for number in range(CROWD)]
        chance = random.Random(CROWD)
        for number in chance.sample(range(0, CROWD, 2), CROWD // 2):
            time.sleep(chance.random() * 0.2)  # at any moment of a connection
            try:
                os.killpg(started[number].pid, signal.SIGKILL)
            except ProcessLookupError:  # it has succeeded already
                continue
        said = [process.communicate(timeout=600) for process in started]
        survivors = {number: said[number] for number in range(1, CROWD, 2)}
        assert {number: stdout for number, (stdout, _) in survivors.items()} == {
            number: f"{number}\n" for number in survivors
        }, [stderr for stdout, stderr in survivors.values() if not stdout][:3]

        # The next connection finds what the last of the killed may have left.
        assert connect(0).communicate(timeout=300)[0] == "0\n"
        data, state = (Path(lab.env[name]) / "ssm-ssh" for name in ("XDG_DATA_HOME", "XDG_STATE_HOME"))

        def left() -> list[str]:
            return [path.name for place in (data, state) for path in place.glob(".*")]

        # ssh does not wait for its ProxyCommand, which may be noting what it has learned.
        until(lambda: not left(), "the end of every temporary file", 30, left)
        for path in state.glob("*.json"):
            json.loads(path.read_bytes())
        for slot in slots(ED25519):
            made = subprocess.run(["ssh-keygen", "-y", "-f", data / slot], capture_output=True, text=True, check=True)
            assert made.stdout.split()[:2] == (data / f"{slot}.pub").read_text().split()[:2]
        lines = (data / "known_hosts").read_text().splitlines()
        assert len(lines) == len(set(lines)) >= len(lab.instances)
