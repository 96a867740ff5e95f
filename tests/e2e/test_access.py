"""How keys get in, with the real ssh and the real sshd: by which way, for how long, and what is never called."""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from ssm_ssh.lab import InstanceOptions, Lab, LabInstance, LabOptions

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(300)]

EC2 = ("eic", "denied", "allowed", "forbidden", "vain", "wrong", "short", "aborted", "idle", "unavailable", "long")
HYBRID = ("node", "killed", "loopback", "eic-only", "key-there", "commands-denied", "nobody", "ecdsa", "agent")
OPTIONS = LabOptions(
    instances=(
        *(InstanceOptions(name=name, users=("ec2-user", "deploy")) for name in EC2),
        *(InstanceOptions(name=name, hybrid=True, users=("admin",), eic=False) for name in HYBRID),
    ),
    pacing=False,
)


def until(done: Callable[[], object], what: str, limit: float = 60.0) -> None:
    deadline = time.monotonic() + limit
    while not done():
        assert time.monotonic() < deadline, f"never came: {what}"
        time.sleep(0.05)


class Here:
    """A lab, and what ssh does in it."""

    def __init__(self, lab: Lab) -> None:
        self.lab = lab
        self.state = Path(lab.env["HOME"]) / ".local" / "state" / "ssm-ssh"

    def instance(self, name: str) -> LabInstance:
        return next(one for one in self.lab.instances if one.name == name)

    def ssh(
        self, one: LabInstance, *options: str, user: str = "", command: str = "echo in", identity: str = "", **env: str
    ) -> subprocess.CompletedProcess[str]:
        whole = {**(self.lab.env_for(identity) if identity else self.lab.env), **env}
        destination = f"{user or one.users[0]}@{one.instance_id}"
        return subprocess.run(
            ["ssh", *options, destination, command],
            env=whole,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=120,
        )

    def let_in(self, one: LabInstance, *options: str, **more: str) -> str:
        """Log in; returns what was said on stderr."""
        done = self.ssh(one, *options, **more)
        assert (done.returncode, done.stdout) == (0, "in\n"), done
        return done.stderr

    def calls(self, one: LabInstance, operation: str) -> int:
        """How often an operation was called for an instance; a command counts that puts a key in place."""
        return sum(self._about(call) == one.instance_id for call in self.lab.calls(operation))

    def _about(self, call: dict) -> str:  # type: ignore[type-arg]
        values = call["parameters"]
        return str(values.get("InstanceId") or (values.get("InstanceIds") or [""])[0])

    def keys(self, one: LabInstance) -> str:
        path = Path(one.homes[one.users[0]]) / ".ssh" / "authorized_keys"
        return path.read_text() if path.exists() else ""

    def memory(self) -> dict:  # type: ignore[type-arg]
        path = self.state / "push.json"
        return json.loads(path.read_text()) if path.exists() else {}

    def probed(self, one: LabInstance, user: str = "ec2-user") -> bool:
        return f"{one.instance_id} {user}" in self.memory().get("probes", {})

    def sessions_over(self, one: LabInstance) -> bool:
        found = [s["Status"] for s in self.lab.sessions() if s["Target"] == one.instance_id]
        return set(found) <= {"Terminated", "Terminating", "Failed"}


@pytest.fixture(scope="module")
def here() -> Iterator[Here]:
    with tempfile.TemporaryDirectory(prefix="e2e-") as base, Lab(OPTIONS, base=Path(base)) as lab:
        yield Here(lab)


def test_by_ec2_instance_connect_nothing_is_run(here: Here) -> None:
    one = here.instance("eic")
    assert here.let_in(one) == ""
    assert (here.calls(one, "SendSSHPublicKey"), here.calls(one, "SendCommand")) == (1, 0)
    assert here.keys(one) == ""


def test_one_key_is_offered_and_taken(here: Here) -> None:
    """Each key that is refused before it costs a round trip, and one of the tries that sshd allows."""
    one = here.instance("eic")
    here.let_in(one)
    done = here.ssh(one, "-v")
    assert done.returncode == 0
    assert done.stderr.count("Offering public key: ") == 1


def test_a_managed_node_is_entered_by_send_command(here: Here) -> None:
    one = here.instance("node")
    here.let_in(one)
    assert (here.calls(one, "SendSSHPublicKey"), here.keys(one).count("\n")) == (0, 1)
    # The next one shares what is in place.
    before = here.calls(one, "SendCommand")
    here.let_in(one)
    assert here.calls(one, "SendCommand") == before


def test_a_minute_later_the_entry_is_gone(here: Here) -> None:
    one = here.instance("long")
    here.let_in(one, SSM_SSH_PUSH="send-command", SSM_SSH_PUSH_LIFETIME="15")
    assert " ssm-ssh-" in here.keys(one)
    until(lambda: here.keys(one) == "", "the removal")
    done = here.ssh(one, SSM_SSH_PUSH="none")
    assert (done.returncode, "Permission denied" in done.stderr) == (255, True)


def test_the_entry_goes_though_the_client_was_killed(here: Here) -> None:
    one = here.instance("killed")
    ssh = subprocess.Popen(
        ["ssh", one.destination, "sleep 60"],
        env={**here.lab.env, "SSM_SSH_PUSH_LIFETIME": "15"},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    until(lambda: here.keys(one), "the entry")
    os.killpg(ssh.pid, signal.SIGKILL)
    ssh.wait()
    until(lambda: here.keys(one) == "", "the removal")


def _sshd_port(one: LabInstance) -> str:
    """The port of this machine at which the instance's sshd really listens."""
    config = str(Path(one.homes[one.users[0]]).parent.parent / "etc" / "ssh" / "sshd_config")
    for entry in Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError):
            line = entry.read_bytes().replace(b"\0", b" ").decode(errors="replace")
            if found := re.search(rf"sshd: .*{re.escape(config)} -p (\d+) \[listener\]", line):
                return found[1]
    raise AssertionError("its sshd does not run")


@pytest.mark.needs("sshd", "nss_wrapper")
def test_the_entry_opens_nothing_from_elsewhere(here: Here) -> None:
    one = here.instance("loopback")
    here.let_in(one)
    port = _sshd_port(one)
    # The lab's own options with the address of whoever comes; nothing of Session Manager's is on the way.
    direct = ("-oProxyCommand=none", "-oStrictHostKeyChecking=no", "-oUserKnownHostsFile=/dev/null")
    direct += ("-oHostName=127.0.0.1",)
    assert here.ssh(one, *direct, f"-p{port}", "-b127.0.0.1").stdout == "in\n"
    away = here.ssh(one, *direct, f"-p{port}", "-b127.0.0.2")
    assert (away.returncode, "Permission denied" in away.stderr) == (255, True)


def test_what_is_denied_is_not_done_by_other_means(here: Here) -> None:
    one = here.instance("denied")
    done = here.ssh(one, identity="no-eic")
    assert done.returncode == 255
    assert "ec2-instance-connect:SendSSHPublicKey" in " ".join(done.stderr.split())
    assert here.calls(one, "SendCommand") == 0


def test_unless_the_settings_allow_it(here: Here) -> None:
    one = here.instance("allowed")
    said = here.let_in(one, identity="no-eic", SSM_SSH_PUSH_AFTER_DENIED="yes")
    assert "ec2-instance-connect:SendSSHPublicKey is denied" in said
    assert "using send-command, as the settings allow" in said


@pytest.mark.parametrize(("name", "way"), [("forbidden", "none"), ("eic-only", "eic"), ("key-there", "none")])
def test_a_way_that_is_not_wanted_is_not_taken(here: Here, name: str, way: str) -> None:
    one = here.instance(name)
    # Its host key is not to be looked up by a command either.
    assert here.ssh(one, SSM_SSH_PUSH=way).returncode == 255
    assert here.calls(one, "SendCommand") == 0
    assert here.calls(one, "SendSSHPublicKey") == 0


def test_send_command_alone_when_asked_for(here: Here) -> None:
    one = here.instance("eic")
    before = here.calls(one, "SendSSHPublicKey")
    here.let_in(one, SSM_SSH_PUSH="send-command")
    assert here.calls(one, "SendSSHPublicKey") == before


def test_commands_that_are_denied_are_named(here: Here) -> None:
    done = here.ssh(here.instance("commands-denied"), identity="no-commands")
    assert done.returncode == 255
    assert "ssm:SendCommand" in " ".join(done.stderr.split())


def test_a_user_who_is_not_there_is_told_with_who_is(here: Here) -> None:
    done = here.ssh(here.instance("nobody"), user="ec2-user")
    assert done.returncode == 255
    assert "there is no user ec2-user; users there:" in (said := " ".join(done.stderr.split()))
    assert "admin" in said


def test_where_ec2_instance_connect_cannot_serve_the_same_connection_goes_on(here: Here) -> None:
    one = here.instance("unavailable")
    here.lab.fault("api", operation="SendSSHPublicKey", code="EC2InstanceUnavailableException", count=0)
    try:
        said = here.let_in(one)
    finally:
        here.lab.clear_faults()
    assert "EC2 Instance Connect cannot be used here (EC2InstanceUnavailableException): using send-command" in said


def test_a_key_type_that_it_does_not_take(here: Here, tmp_path: Path) -> None:
    one = here.instance("unavailable")
    key = tmp_path / "mine"
    subprocess.run(["ssh-keygen", "-q", "-t", "ecdsa", "-N", "", "-f", key], check=True)
    said = here.let_in(one, f"-oIdentityFile={key}", SSM_SSH_KEY=f"{key}.pub")
    assert "it accepts RSA and Ed25519 keys, not ecdsa-sha2-nistp256" in said
    assert "ecdsa-sha2-nistp256" in here.keys(one)


def test_a_key_in_the_agent(here: Here, tmp_path: Path) -> None:
    one = here.instance("agent")
    key = tmp_path / "mine"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "my key", "-f", key], check=True)
    with tempfile.TemporaryDirectory(prefix="a-") as folder:
        socket = f"{folder}/s"
        agent = subprocess.Popen(["ssh-agent", "-D", "-a", socket], stdout=subprocess.DEVNULL)
        try:
            until(lambda: Path(socket).exists(), "the agent")
            env = {"SSH_AUTH_SOCK": socket}
            subprocess.run(["ssh-add", "-q", key], env={**os.environ, **env}, check=True, capture_output=True)
            key.unlink()
            here.let_in(
                one, f"-oIdentityFile={key}.pub", f"-oIdentityAgent={socket}", SSM_SSH_KEY="agent:my key", **env
            )
        finally:
            agent.kill()
            agent.wait()


def test_accepted_in_vain_is_found_out_and_the_next_connection_says_why_it_goes_the_other_way(here: Here) -> None:
    one = here.instance("vain")
    here.lab.fault("ineffective_eic", instance_id=one.instance_id)
    done = here.ssh(one)
    assert (done.returncode, "Permission denied (publickey)" in done.stderr) == (255, True)
    until(lambda: one.instance_id in here.memory().get("eic", {}), "the probe's finding")
    assert here.calls(one, "SendCommand") == 0
    until(lambda: here.sessions_over(one), "the end of the probe's sessions")
    done = here.ssh(one, "-v")
    assert (done.returncode, done.stdout) == (0, "in\n")
    notice = f"ssm-ssh: EC2 Instance Connect accepted the key for {one.instance_id} on "
    assert notice in done.stderr
    assert (
        "but sshd there did not (ec2-instance-connect missing, or SELinux): using send-command until 2" in done.stderr
    )
    # Said while ssh waits, before it logs in.
    assert done.stderr.index(notice) < done.stderr.index("Authenticated to")
    assert here.memory()["eic"][one.instance_id]["until"] > time.time() + 80000


def test_a_wrong_user_is_not_taken_for_that(here: Here) -> None:
    one = here.instance("wrong")
    refused = here.ssh(one, user="nobody")
    assert refused.returncode == 255
    assert "no such identity" not in refused.stderr  # which would lead whoever reads it astray
    until(lambda: here.probed(one, "nobody"), "the probe")
    until(lambda: here.calls(one, "SendSSHPublicKey") == 3, "its pushes: for that user, and for the usual one")
    until(lambda: here.sessions_over(one), "the end of its sessions")
    assert one.instance_id not in here.memory().get("eic", {})
    assert here.calls(one, "SendCommand") == 0
    notice = "ssh logs in as nobody, which was refused before; the usual user is ec2-user"

    def told() -> bool:
        again = here.ssh(one, user="nobody")
        assert again.returncode == 255
        return f"ssm-ssh: {notice}: ssh ec2-user@{one.instance_id}" in again.stderr

    # No login waits longer than two seconds for the name, which a busy machine may take.
    until(told, "the usual user", limit=200)
    until(lambda: here.sessions_over(one), "the end of that session")


def test_a_short_command_is_not_even_suspected(here: Here) -> None:
    one = here.instance("short")
    for _ in range(3):
        here.let_in(one)
    until(lambda: here.sessions_over(one), "the end of every session")
    assert not here.probed(one)
    assert here.calls(one, "SendSSHPublicKey") == 1


@pytest.mark.parametrize(("name", "number"), [("aborted", signal.SIGINT), ("idle", signal.SIGTERM)])
def test_a_tunnel_that_is_ended_is_not_suspected(here: Here, name: str, number: signal.Signals) -> None:
    one = here.instance(name)
    ssh = subprocess.Popen(
        ["ssh", "-v", "-N", one.destination],
        env=here.lab.env,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        start_new_session=True,
    )
    assert ssh.stderr is not None
    with ssh:
        for line in ssh.stderr:
            if b"Entering interactive session" in line:
                break
        os.killpg(ssh.pid, number)
    until(lambda: here.sessions_over(one), "the end of the session")
    assert not here.probed(one)
