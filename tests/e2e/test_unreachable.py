"""Endpoints that cannot be reached while others can: what takes over, how soon, and what is not remembered."""

from __future__ import annotations

import contextlib
import os
import select
import socket
import socketserver
import subprocess
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from ssm_ssh.lab import InstanceOptions, Lab, LabOptions

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(300)]

EIC = "AWS_ENDPOINT_URL_EC2_INSTANCE_CONNECT"
# Seconds from the first call to SendCommand: three, and what a busy machine makes of them.
TAKEOVER = 3.0 * float(os.environ.get("SSM_SSH_TEST_SLOWNESS", "10"))

# Endpoints that do not answer, which would keep a push by EC2 Instance Connect alone waiting.
QUIET = ("silent", "mute")


@pytest.fixture(scope="module")
def lab() -> Iterator[Lab]:
    options = LabOptions(instances=(InstanceOptions(name="web", users=("ec2-user",)),), pacing=False)
    with tempfile.TemporaryDirectory(prefix="e2e-") as base, Lab(options, base=Path(base)) as lab:
        yield lab
        assert lab.log_text() == ""


@pytest.fixture(autouse=True)
def anew(lab: Lab) -> Iterator[None]:
    """No fault, and no push that another connection could share."""
    yield
    lab.clear_faults()
    for name in ("pushes.json", "push.json"):
        (Path(lab.env["HOME"]) / ".local/state/ssm-ssh" / name).unlink(missing_ok=True)


class Refusing(socketserver.ThreadingTCPServer):
    """A proxy that answers CONNECT to one port with `status`, and tunnels to all others."""

    allow_reuse_address = True
    daemon_threads = True

    def __init__(self, port: int, status: int) -> None:
        super().__init__(("127.0.0.1", 0), _Tunnel)
        self.refused, self.status = port, status
        threading.Thread(target=self.serve_forever, kwargs={"poll_interval": 0.05}).start()


class _Tunnel(socketserver.BaseRequestHandler):
    server: Refusing

    def handle(self) -> None:
        data = b""
        while b"\r\n\r\n" not in data:
            data += self.request.recv(4096)
        port = int(data.split()[1].rpartition(b":")[2])
        if port == self.server.refused:
            self.request.sendall(f"HTTP/1.1 {self.server.status} No\r\nContent-Length: 0\r\n\r\n".encode())
            return
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port)) as other:
            self.request.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
            pair = {self.request: other, other: self.request}
            while True:
                for sock in select.select(list(pair), [], [])[0]:
                    piece = sock.recv(65536)
                    if not piece:
                        return
                    pair[sock].sendall(piece)


@contextlib.contextmanager
def trouble(lab: Lab, kind: str) -> Iterator[dict[str, str]]:
    """Put EC2 Instance Connect's endpoint out of reach; yields the environment in which it is."""
    if kind == "unresolvable":
        yield {**lab.env, EIC: "https://ec2-instance-connect.invalid"}
    elif kind == "mute":  # it accepts the request and does not answer
        lab.fault("api", operation="SendSSHPublicKey", code="", delay=30.0)
        yield dict(lab.env)
    elif kind.isdigit():
        port = urlsplit(lab.env[EIC]).port
        assert port
        with Refusing(port, int(kind)) as proxy:
            yield {**lab.env, "HTTPS_PROXY": f"http://127.0.0.1:{proxy.server_address[1]}"}
            proxy.shutdown()
    else:
        lab.fault("unreachable", service="ec2-instance-connect", how=kind)
        yield dict(lab.env)


def ssh(lab: Lab, env: dict[str, str]) -> subprocess.CompletedProcess[str]:
    words = ["ssh", f"ec2-user@{lab.instances[0].instance_id}", "echo in"]
    return subprocess.run(words, env=env, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=120)


@pytest.mark.parametrize("kind", ["closed", "silent", "mute", "untrusted", "unresolvable", "403", "407", "502"])
def test_send_command_takes_over(lab: Lab, kind: str) -> None:
    with trouble(lab, kind) as env:
        before, began = len(lab.calls()), time.time()
        done = ssh(lab, env)
        assert (done.returncode, done.stdout) == (0, "in\n"), done
        assert "EC2 Instance Connect cannot be reached (" in done.stderr
        assert "using send-command" in done.stderr
        commands = [call for call in lab.calls()[before:] if call["operation"] == "SendCommand"]
        took = commands[0]["arrived"] - began
        # tests/auth/test_reachability.py proves the three seconds in virtual time; here a busy machine adds its own.
        assert took < TAKEOVER, f"SendCommand came {took:.2f} s after ssh began"
        before = len(lab.calls("SendCommand"))
        done = ssh(lab, {**env, "SSM_SSH_PUSH": "eic"}) if kind not in QUIET else done
        if kind not in QUIET:
            assert done.returncode == 255
            assert len(lab.calls("SendCommand")) == before
    lab.clear_faults()
    (Path(lab.env["HOME"]) / ".local/state/ssm-ssh/pushes.json").unlink(missing_ok=True)
    before = len(lab.calls("SendSSHPublicKey"))
    done = ssh(lab, dict(lab.env))
    assert (done.returncode, done.stdout) == (0, "in\n"), done
    # On a busy machine it may not answer in time, and be asked once more.
    assert len(lab.calls("SendSSHPublicKey")) > before, "nothing is remembered"
    assert "send-command" not in done.stderr or "(it does not answer)" in done.stderr


def test_without_systems_manager_no_command_is_tried(lab: Lab) -> None:
    for service in ("ssm", "ec2-instance-connect"):
        lab.fault("unreachable", service=service, how="closed")
    before = len(lab.calls())
    done = ssh(lab, dict(lab.env))
    assert done.returncode == 255
    assert "refuses connections" in done.stderr
    assert "send-command" not in done.stderr
    assert len(lab.calls()) == before


@pytest.mark.parametrize("policy", ["session policy", "VPC endpoint policy"])
def test_a_denial_never_falls_over(lab: Lab, policy: str) -> None:
    lab.fault("deny", action="ec2-instance-connect:SendSSHPublicKey", policy=policy)
    before = len(lab.calls("SendCommand"))
    done = ssh(lab, dict(lab.env))
    assert done.returncode == 255
    assert f"no {policy} allows it" in done.stderr
    assert len(lab.calls("SendCommand")) == before


@pytest.mark.parametrize("how", ["closed", "silent", "untrusted"])
def test_without_ec2_list_has_no_names(lab: Lab, how: str) -> None:
    lab.fault("unreachable", service="ec2", how=how)
    began = time.monotonic()
    done = subprocess.run(["ssm-ssh", "list"], env=lab.env, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done
    assert lab.instances[0].instance_id in done.stdout
    assert done.stderr.count("no names: ") == 1
    assert time.monotonic() - began < 30


SSH = ["ssh", "INSTANCE", "true"]


@pytest.mark.parametrize(
    ("action", "command"),
    [
        ("ssm:StartSession", SSH),
        ("ssmmessages:OpenDataChannel", SSH),
        ("ssm:SendCommand", ["ssm-ssh", "key", "sweep", "INSTANCE"]),
        ("ssm:DescribeInstanceInformation", ["ssm-ssh", "list"]),
        ("ec2:DescribeInstances", ["ssm-ssh", "list"]),
        ("ec2:DescribeInstances", ["ssm-ssh", "host-keys", "prune"]),
        ("ec2:GetConsoleOutput", ["ssm-ssh", "host-keys", "refresh", "--no-commands", "INSTANCE"]),
    ],
)
@pytest.mark.parametrize("explicit", [False, True])
def test_every_command_says_which_policy_denies(lab: Lab, action: str, command: list[str], explicit: bool) -> None:
    instance = lab.instances[0].instance_id
    if command[1] == "host-keys":  # something is to be known of it
        ssh(lab, dict(lab.env))
    lab.fault("deny", action=action, policy="VPC endpoint policy", explicit=explicit)
    words = [f"ec2-user@{instance}" if word == "INSTANCE" and command is SSH else word for word in command]
    words = [instance if word == "INSTANCE" else word for word in words]
    done = subprocess.run(
        words, env=lab.env, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=120, check=False
    )
    told = " ".join((done.stdout + done.stderr).split())
    assert f"{action} is {'denied' if explicit else 'not allowed'} on " in told
    assert ("an explicit deny in the VPC endpoint policy" if explicit else "no VPC endpoint policy allows it") in told
