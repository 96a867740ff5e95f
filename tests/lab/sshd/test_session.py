"""Commands, shells and terminals, through the real ssh, on both kinds of SSH server."""

from __future__ import annotations

import signal
import threading
from pathlib import Path
from typing import TYPE_CHECKING

import paramiko
import pytest

from ssm_ssh.lab.sshd import embedded
from ssm_ssh.lab.sshd import session as sshserver_session

if TYPE_CHECKING:
    from tests.lab.conftest import Fleet

WEB, DB, EDGE = "i-0aaaaaaaaaaaaaaaa", "i-0bbbbbbbbbbbbbbbb", "mi-0cccccccccccccccc"


def test_exit_statuses_and_both_outputs_arrive(fleet: Fleet) -> None:
    fleet.push()
    done = fleet.ssh("host", "echo out; echo err >&2; exit 7")
    assert (done.returncode, done.stdout, done.stderr) == (7, b"out\n", b"err\n")


def test_a_session_awaits_its_command_while_others_come_and_go(fleet: Fleet) -> None:
    fleet.push()
    with fleet.transport() as transport:
        patient, other = transport.open_session(timeout=60), transport.open_session(timeout=60)
        other.exec_command("exit 5")
        assert other.recv_exit_status() == 5
        patient.exec_command("echo still here")
        assert patient.makefile().read() == b"still here\n"
        assert patient.recv_exit_status() == 0


def test_the_end_of_a_command_does_not_overtake_the_answer_to_its_request(
    fleet: Fleet, monkeypatch: pytest.MonkeyPatch
) -> None:
    start = embedded.Connection.check_channel_exec_request

    def busy(self: embedded.Connection, channel: paramiko.Channel, command: bytes) -> bool:
        started = start(self, channel, command)
        self._sessions[channel.get_id()]._process.wait()
        for thread in threading.enumerate():
            if thread.name == sshserver_session.THREAD:
                thread.join()
        return started

    monkeypatch.setattr(embedded.Connection, "check_channel_exec_request", busy)
    fleet.push()
    with fleet.transport() as transport:
        session = transport.open_session(timeout=60)
        session.exec_command("exit 5")
        assert session.recv_exit_status() == 5


def test_a_signal_ends_a_command_with_255(fleet: Fleet) -> None:
    fleet.push()
    assert fleet.ssh("host", "kill -TERM $$").returncode == 255


def test_standard_input_reaches_the_command_whole(fleet: Fleet) -> None:
    fleet.push()
    data = bytes(range(256)) * 20_000
    done = fleet.ssh("host", "cat", stdin=data)
    assert done.returncode == 0
    assert done.stdout == data


def test_a_login_shell_reads_its_input(fleet: Fleet) -> None:
    fleet.push()
    done = fleet.ssh("-T", "host", stdin=b"echo $((6 * 7)); exit 3\n")
    assert done.stdout.endswith(b"42\n")
    assert done.returncode == 3


def test_nothing_of_the_callers_is_in_the_environment(fleet: Fleet, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "canary")
    monkeypatch.setenv("LC_LAB", "passed")
    fleet.push()
    lines = fleet.ssh("-o", "SendEnv=LC_LAB AWS_*", "host", "env; pwd; echo ~").stdout.decode().split("\n")
    home = str(fleet.instances.machine(WEB).home("ec2-user"))
    assert f"HOME={home}" in lines
    assert lines[-3:-1] == [home, home]
    assert "USER=ec2-user" in lines
    assert "LC_LAB=passed" in lines
    assert not [line for line in lines if "canary" in line]


def test_users_have_the_right_names_and_ids(fleet: Fleet) -> None:
    machine = fleet.instances.machine(WEB)
    uid, gid = str(machine.accounts.uid), str(machine.accounts.gid)
    for user in machine.accounts.users:
        fleet.push(user=user)
        done = fleet.ssh("host", "whoami; id -un; id -u; id -gr; echo $USER $LOGNAME; cd ~ && pwd", user=user)
        assert done.stdout.decode().split() == [user, user, uid, gid, user, user, str(machine.home(user))]
        assert fleet.ssh("host", "id", user=user).stdout.decode().startswith(f"uid={uid}({user}) gid={gid}(ec2-user) ")
        assert fleet.ssh("host", "id -u deploy; id -g deploy", user=user).stdout.decode().split() == [uid, gid]
        entry = fleet.ssh("host", f"getent passwd {user} {uid}", user=user).stdout.decode().splitlines()
        assert entry == [f"{user}:*:{uid}:{gid}:{user}:{machine.home(user)}:{machine.accounts.shell}"] * 2
        assert fleet.ssh("host", "getent passwd mallory", user=user).returncode == 2
        assert fleet.ssh("host", "id mallory", user=user).returncode == 1
        if machine.accounts.nss_wrapper:
            assert fleet.ssh("host", "cd ~deploy && pwd", user=user).stdout.decode().strip() == str(
                machine.home("deploy")
            )


def test_a_login_shell_knows_its_user_too(fleet: Fleet) -> None:
    fleet.push()
    done = fleet.ssh("-tt", "host", stdin=b"id -un; whoami; exit 3\n")
    assert done.returncode == 3
    assert done.stdout.replace(b"\r", b"").count(b"\nec2-user\n") == 2 or b"ec2-user\r\nec2-user\r\n" in done.stdout
    assert b"I have no name" not in done.stdout


def test_an_unknown_user_does_not_come_in(fleet: Fleet) -> None:
    fleet.push(user="mallory")
    done = fleet.ssh("host", "true", user="mallory")
    assert done.returncode == 255
    assert b"Permission denied (publickey)" in done.stderr


def test_a_terminal_is_a_terminal(fleet: Fleet) -> None:
    fleet.push()
    done = fleet.ssh("-tt", "host", "test -t 0 && test -t 1 && tty && stty size && echo $TERM; exit 5")
    assert done.returncode == 5
    assert done.stdout.startswith(b"/dev/")


def test_control_c_in_a_terminal_interrupts_the_program(fleet: Fleet) -> None:
    fleet.push()
    # Not in `read`: dash may look for a signal just before it, and then wait for input all the same.
    program = "trap 'echo caught; exit 9' INT; echo ready; while :; do sleep 0.1; done"
    running = fleet.start_ssh("-tt", "host", program)
    assert running.stdout is not None
    assert running.stdout.readline() == b"ready\r\n"
    out, _ = running.communicate(b"\x03", timeout=60)
    assert b"caught" in out
    assert running.returncode == 9


def test_sftp_and_scp_carry_files_both_ways(fleet: Fleet, folder: Path) -> None:
    fleet.push()
    data = bytes(range(251)) * 9_000
    source = folder / "source"
    source.write_bytes(data)
    home = fleet.instances.machine(WEB).home("ec2-user")
    programs = {
        "scp-sftp": [["scp", *fleet.options(WEB), str(source), "ec2-user@host:one"]],
        "scp": [
            ["scp", "-O", *fleet.options(WEB), str(source), "ec2-user@host:two"],
            ["scp", "-O", *fleet.options(WEB), "ec2-user@host:two", str(folder / "back")],
        ],
        "sftp": [["sftp", *fleet.options(WEB), "ec2-user@host:one", str(folder / "fetched")]],
    }
    for commands in programs.values():
        for command in commands:
            fleet.run(command)
    for name in ("one", "two"):
        assert (home / name).read_bytes() == data, name
        assert (home / name).stat().st_uid == home.stat().st_uid
    for name in ("back", "fetched"):
        assert (folder / name).read_bytes() == data, name


@pytest.mark.needs("rsync")
def test_rsync_carries_files(fleet: Fleet, folder: Path) -> None:
    fleet.push()
    (folder / "source").write_bytes(b"x" * 100_000)
    fleet.rsync(str(folder / "source"), "ec2-user@host:three")
    assert (fleet.instances.machine(WEB).home("ec2-user") / "three").read_bytes() == b"x" * 100_000


def test_a_background_program_holds_the_session_but_not_a_terminal(fleet: Fleet) -> None:
    fleet.push()
    assert fleet.ssh("host", "(sleep 0.3; echo late) & echo early").stdout == b"early\nlate\n"
    assert b"early" in fleet.ssh("-tt", "host", "trap '' HUP; sleep 600 & echo early").stdout


def test_power_off_ends_every_process(fleet: Fleet) -> None:
    fleet.push()
    machine = fleet.instances.machine(WEB)
    running = fleet.start_ssh("host", "echo $$; exec sleep 600")
    assert running.stdout is not None
    pid = int(running.stdout.readline())
    fleet.call(fleet.instances.kill_instance(WEB))
    assert running.wait(30) == 255
    fleet.wait_gone(pid)
    assert not machine.running
    assert fleet.ssh("host", "true").returncode == 255
    fleet.call(fleet.instances.start_instance(WEB))
    fleet.push()
    assert fleet.ssh("host", "exit 4").returncode == 4


def test_a_killed_client_takes_its_command_along(fleet: Fleet) -> None:
    fleet.push()
    running = fleet.start_ssh("-tt", "host", "echo $$; exec sleep 600")
    assert running.stdout is not None
    pid = int(running.stdout.readline())
    running.send_signal(signal.SIGKILL)
    running.wait(30)
    fleet.wait_gone(pid)
