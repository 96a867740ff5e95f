"""Who comes in: keys pushed by EC2 Instance Connect and the user's own authorized_keys, under both kinds of server."""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.lab.conftest import Fleet

WEB, DB, EDGE = "i-0aaaaaaaaaaaaaaaa", "i-0bbbbbbbbbbbbbbbb", "mi-0cccccccccccccccc"


def enters(fleet: Fleet, to: str = WEB, user: str = "ec2-user") -> bool:
    done = fleet.ssh("host", "true", to=to, user=user)
    if done.returncode:
        assert b"Permission denied (publickey)" in done.stderr
    return done.returncode == 0


def authorize(fleet: Fleet, line: str) -> None:
    """Have the user write `line` to his authorized_keys."""
    path = fleet.instances.machine(WEB).home("ec2-user") / ".ssh" / "authorized_keys"
    path.write_text(line)
    path.chmod(0o600)
    accounts = fleet.instances.machine(WEB).accounts
    fleet.give(path, accounts.uid, accounts.gid)


def test_a_pushed_key_counts_for_sixty_seconds(fleet: Fleet) -> None:
    assert not enters(fleet)
    fleet.push()
    assert enters(fleet)
    fleet.clock.now += 59.9
    assert enters(fleet)
    fleet.clock.now += 0.2
    assert not enters(fleet)


def test_a_pushed_key_opens_one_user_of_one_instance(fleet: Fleet) -> None:
    fleet.push(WEB, "ec2-user")
    assert not enters(fleet, WEB, "deploy")
    assert not enters(fleet, DB, "ubuntu")


def test_without_the_package_a_pushed_key_is_ineffective(fleet: Fleet) -> None:
    fleet.push(EDGE, "admin")
    assert not enters(fleet, EDGE, "admin")
    fleet.call(fleet.instances.ineffective_eic(WEB))
    fleet.push()
    assert not enters(fleet)
    fleet.call(fleet.instances.ineffective_eic(WEB, True))
    assert enters(fleet)


@pytest.mark.parametrize(
    ("options", "comes_in"),
    [
        ("", True),
        ('restrict,pty,from="127.0.0.1,::1" ', True),
        ('from="127.0.0.0/8" ', True),
        ('from="10.*" ', False),
        ('from="*,!127.0.0.1" ', False),
        ('expiry-time="20990101" ', True),
        ('expiry-time="20010101" ', False),
        ('expiry-time="209901010000Z" ', True),
        ('expiry-time="200101010000Z" ', False),
        ("no-such-option ", False),
    ],
)
def test_the_options_of_a_key_are_honoured(fleet: Fleet, options: str, comes_in: bool) -> None:
    authorize(fleet, f"# a comment\n\n{options}{fleet.public}")
    assert enters(fleet) is comes_in


def test_a_forced_command_runs_instead(fleet: Fleet) -> None:
    authorize(fleet, f'command="echo forced $SSH_ORIGINAL_COMMAND" {fleet.public}')
    assert fleet.ssh("host", "asked").stdout == b"forced asked\n"


def test_a_file_that_others_may_write_does_not_count(fleet: Fleet) -> None:
    authorize(fleet, fleet.public)
    path = fleet.instances.machine(WEB).home("ec2-user") / ".ssh" / "authorized_keys"
    path.chmod(0o602)
    assert not enters(fleet)
    path.chmod(0o600)
    path.parent.parent.chmod(0o707)
    assert not enters(fleet)
    path.parent.parent.chmod(0o700)
    assert enters(fleet)


def test_many_keys_are_too_many(fleet: Fleet) -> None:
    fleet.push()
    others = []
    for number in range(6):
        key = fleet.folder / f"other{number}"
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", key], check=True)
        others += ["-i", str(key)]
    words = [word for word in fleet.options(WEB) if "IdentityFile" not in word]
    done = subprocess.run(
        ["ssh", *words, *others, "-i", str(fleet.key), "ec2-user@host", "true"], capture_output=True, timeout=60
    )
    assert done.returncode == 255
    assert b"Too many authentication failures" in done.stderr


def test_other_host_keys_are_refused_by_the_client(fleet: Fleet) -> None:
    fleet.push()
    options = fleet.options(WEB)
    fleet.call(fleet.instances.swap_host_key(WEB))
    done = subprocess.run(["ssh", *options, "ec2-user@host", "true"], capture_output=True, timeout=60)
    assert done.returncode == 255
    assert b"Host key verification failed" in done.stderr
    assert enters(fleet)


def test_a_stopped_server_refuses_and_keeps_what_is_open(fleet: Fleet) -> None:
    fleet.push()
    running = fleet.start_ssh("host", "echo ready; read word; echo $word")
    assert running.stdout is not None
    assert running.stdout.readline() == b"ready\n"
    fleet.call(fleet.instances.stop_sshd(WEB))
    with pytest.raises(ConnectionRefusedError):
        fleet.call(fleet.instances.open_port(WEB, 22))
    out, _ = running.communicate(b"still here\n", timeout=60)
    assert out == b"still here\n"
    fleet.call(fleet.instances.start_sshd(WEB))
    assert enters(fleet)


def test_ports_that_nothing_listens_on_refuse(fleet: Fleet) -> None:
    with pytest.raises(ConnectionRefusedError):
        fleet.call(fleet.instances.open_port(WEB, 2222))
