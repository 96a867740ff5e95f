"""An instance that restarts under a shared connection and Ansible: each command ends or goes on within 90 seconds."""

from __future__ import annotations

import json
import sys
import tempfile
import time
from pathlib import Path

import pytest

from ssm_ssh.lab import InstanceOptions, Lab, LabOptions
from tests.e2e.peers import OPEN
from tests.e2e.world import Done, Running, until

pytestmark = [pytest.mark.e2e, pytest.mark.long, pytest.mark.timeout(400)]


def test_ansible_over_a_shared_connection_goes_on_after_a_restart(tmp_path: Path) -> None:
    with (
        tempfile.TemporaryDirectory(prefix="r-") as base,
        Lab(LabOptions(instances=(InstanceOptions(name="web"),), pacing=False), base=Path(base)) as lab,
    ):
        (web,) = lab.instances
        sockets = Path(base, "c")
        sockets.mkdir(mode=0o700)
        hosts = {web.instance_id: {"ansible_user": web.users[0], "ansible_python_interpreter": "auto_silent"}}
        inventory = tmp_path / "inventory.json"
        inventory.write_text(json.dumps({"all": {"hosts": hosts}}))
        env = {
            **lab.env,
            "LC_ALL": "C.UTF-8",
            "ANSIBLE_NOCOLOR": "1",
            "ANSIBLE_SSH_CONTROL_PATH_DIR": str(sockets),
        }
        program = str(Path(sys.executable).with_name("ansible"))

        def run(*command: str) -> Done:
            running = Running(command, env, tmp_path)
            done = running.finish(limit=200)
            running.close()
            return done

        def ping() -> tuple[Done, float]:
            began = time.monotonic()
            done = run(program, "-i", str(inventory), "all", "-m", "ping")
            return done, time.monotonic() - began

        try:
            first, _ = ping()
            assert first.status == 0, first
            assert list(sockets.iterdir()), "no connection is shared"
            lab.fault("restart_instance", instance_id=web.instance_id)
            until(lambda: web.instance_id in lab.online(), "the instance")
            during, seconds = ping()
            assert seconds <= OPEN, during
            until(lambda: not list(sockets.iterdir()), "the end of the shared connection", OPEN)
            after, _ = ping()
            assert after.status == 0, after
            status = run(sys.executable, "-m", "ssm_ssh", "status")
            assert "has acknowledged nothing for" in status.stdout.decode()
        finally:
            for path in sockets.iterdir():
                run("ssh", f"-oControlPath={path}", "-Oexit", "any")
