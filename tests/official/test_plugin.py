"""The official CLI and plugin on a terminal, against the lab's agent and against AWS's session code behind the lab."""

from __future__ import annotations

import contextlib
import json
import socket
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ssm_ssh.lab import Lab, LabOptions
from tests.official.conftest import WORKER
from tests.official.terminal import Terminal

pytestmark = [pytest.mark.long, pytest.mark.needs("aws")]
COMMAND, SILENT = "AWS-StartInteractiveCommand", "AWS-StartNonInteractiveCommand"
NO_KMS = {
    "Version": "2012-10-17",
    "Statement": [
        {"Effect": "Allow", "Action": "*", "Resource": "*"},
        {"Effect": "Deny", "Action": "kms:*", "Resource": "*"},
    ],
}


@pytest.fixture(scope="module", params=["lab", "official"])
def lab(request: pytest.FixtureRequest, official: Path) -> Iterator[Lab]:
    """One lab for each kind of agent. The plugin of 2024 does not sign its upgrade."""
    agent: dict[str, Any] = {"worker": str(official / WORKER)} if request.param == "official" else {}
    options = LabOptions(instances=1, require_upgrade_signature=False, agent=agent, policies={"no-kms": NO_KMS})
    with Lab(options) as made:
        yield made


@pytest.fixture(scope="module")
def proxy(lab: Lab) -> Iterator[str]:
    """An HTTPS proxy that leads every connection to the lab's API: the plugin knows KMS by AWS's name for it only."""
    port = int(lab.env["AWS_ENDPOINT_URL"].rpartition(":")[2])
    with socket.create_server(("127.0.0.1", 0)) as server:
        threading.Thread(target=_lead, args=(server, port), daemon=True).start()
        yield f"http://127.0.0.1:{server.getsockname()[1]}"


def _lead(server: socket.socket, port: int) -> None:
    with contextlib.suppress(OSError):
        while True:
            client, _ = server.accept()
            threading.Thread(target=_connect, args=(client, port), daemon=True).start()


def _connect(client: socket.socket, port: int) -> None:
    with client, socket.create_connection(("127.0.0.1", port)) as other:
        request = b""
        while not request.endswith(b"\r\n\r\n"):
            request += client.recv(4096)
        client.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
        back = threading.Thread(target=_copy, args=(other, client), daemon=True)
        back.start()
        _copy(client, other)
        back.join()


def _copy(source: socket.socket, target: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while data := source.recv(65536):
            target.sendall(data)
        target.shutdown(socket.SHUT_WR)


@pytest.fixture(autouse=True)
def _preferences(lab: Lab) -> None:
    lab.prefer(kmsKeyId="", runAsEnabled=False, runAsDefaultUser="", shellProfile={"windows": "", "linux": ""})


class Session:
    """Starts sessions with the official programs."""

    def __init__(self, lab: Lab, official: Path, proxy: str) -> None:
        self.lab = lab
        self.env = {
            **lab.env,
            "PATH": f"{official}:{lab.env['PATH']}",
            # The programs in Go do not know AWS_CA_BUNDLE.
            "SSL_CERT_FILE": lab.env["AWS_CA_BUNDLE"],
            "HTTPS_PROXY": proxy,
            "NO_PROXY": "127.0.0.1",
        }

    def start(self, document: str = "", profile: str = "", **parameters: str) -> Terminal:
        words = ["aws", "ssm", "start-session", "--target", self.lab.instances[0].instance_id]
        if document:
            words += ["--document-name", document]
        if parameters:
            words += ["--parameters", json.dumps({name: [value] for name, value in parameters.items()})]
        env = self.env
        if profile:
            env = {key: value for key, value in env.items() if not key.startswith(("AWS_ACCESS", "AWS_SECRET"))}
            words += ["--profile", profile]
        return Terminal(words, env)


@pytest.fixture
def session(lab: Lab, official: Path, proxy: str) -> Session:
    return Session(lab, official, proxy)


@pytest.mark.parametrize("kms", [False, True])
def test_a_shell(session: Session, kms: bool) -> None:
    if kms:
        session.lab.prefer(kmsKeyId="alias/lab")
    with session.start() as terminal:
        terminal.expect("$ ")
        assert ("This session is encrypted using AWS KMS." in terminal.text) is kms
        terminal.type("id -un; echo größer\r")
        terminal.expect("\nssm-user")
        terminal.expect("\ngrößer\n$ ")
        terminal.resize(100, 30)
        terminal.type("until stty size | grep '30 100'; do sleep 0.1; done; echo resized\r")
        terminal.expect("\nresized\n$ ")
        # A child that has not become another program yet would lose the signal.
        terminal.type("sh -c 'echo begun; exec sleep 60'\r")
        terminal.expect("\nbegun\n")
        terminal.type("\x03")
        terminal.expect("^C\n$ ")
        terminal.type("exit 3\r")
        assert terminal.end() == 0  # the status of a shell is never sent
    assert "Exiting session with sessionId" in terminal.text


def test_a_shell_as_another_user_with_a_profile(session: Session) -> None:
    user = session.lab.instances[0].users[0]
    session.lab.prefer(runAsEnabled=True, runAsDefaultUser=user, shellProfile={"windows": "", "linux": "echo typed in"})
    with session.start() as terminal:
        terminal.expect("typed in\n")  # as it is typed, and as echo repeats it
        terminal.expect("typed in\n")
        terminal.type("id -un; exit\r")
        terminal.expect(f"\n{user}\n")
        terminal.end()


def test_a_shell_as_nobody_known(session: Session) -> None:
    session.lab.prefer(runAsEnabled=True, runAsDefaultUser="stranger")
    with session.start() as terminal:
        terminal.expect("Unable to start command: failed to start pty since RunAs user stranger does not exist")


def test_a_shell_goes_on_after_its_connection_broke(session: Session) -> None:
    with session.start() as terminal:
        terminal.expect("$ ")
        # The client only listens: what is typed into a broken connection ends the official plugin.
        terminal.type("at=0; while :; do at=$((at + 1)); echo tick $at; sleep 0.2; done\r")
        terminal.expect("\ntick 2\n")
        session.lab.fault("cut")
        terminal.expect("\ntick 20\n")
        ticks = [line for line in terminal.text.split("\n") if line.startswith("tick ")]
        assert ticks == [f"tick {number}" for number in range(1, len(ticks) + 1)]
        assert session.lab.sessions()[-1]["resumes"] == 1
        terminal.type("\x03")
        terminal.expect("^C")
        terminal.type("exit\r")
        terminal.end()


def test_an_interactive_command(session: Session) -> None:
    with session.start(COMMAND, command="printf 'name? '; read n; echo hello $n; stty size; exit 5") as terminal:
        terminal.expect("name? ")
        terminal.type("bob\r")
        terminal.expect("hello bob\n")
        assert terminal.end() == 0


@pytest.mark.parametrize("kms", [False, True])
def test_a_command_without_a_terminal(session: Session, kms: bool) -> None:
    if kms:
        session.lab.prefer(kmsKeyId="alias/lab")
    script = "sh -c 'echo out; echo err >&2; exit 3'"
    with session.start(SILENT, command=script) as terminal:
        terminal.end()
        assert "out\nerr\n" in terminal.text
    with session.start(SILENT, command=script, separateOutputStream="true", stdoutSeparatorPrefix="O:") as terminal:
        terminal.end()
        assert "O:out" in terminal.text
        assert "EXIT_CODE: 3" in terminal.text


def test_a_program_that_does_not_exist(session: Session) -> None:
    with session.start(SILENT, command="/no/such/program") as terminal:
        terminal.expect("fork/exec /no/such/program: no such file or directory")


def test_a_person_who_may_not_use_the_key(session: Session) -> None:
    session.lab.prefer(kmsKeyId="alias/lab")
    with session.start(profile="no-kms") as terminal:
        terminal.expect("KMSEncryption failed on client with status 2 error: Failed to process action KMSEncryption")
        terminal.end()
