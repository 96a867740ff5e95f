"""A hundred first connections at once: one key pair, few pushes, no known_hosts line twice; and around a retirement."""

from __future__ import annotations

import os
import subprocess
import time
from pathlib import Path

import pytest

from ssm_ssh.auth import keypair
from ssm_ssh.auth.key_type import ED25519, slots
from ssm_ssh.lab import InstanceOptions, Lab, LabOptions

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(600)]
CROWD, FEW = 100, 20


def connect(lab: Lab, numbers: range, spread: int) -> list[tuple[str, str]]:
    """Connect that often at once, to the first `spread` instances by turns."""
    started = [
        subprocess.Popen(
            ["ssh", lab.instances[number % spread].destination, f"echo {number}"],
            env=lab.env,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for number in numbers
    ]
    return [process.communicate(timeout=500) for process in started]


def outputs(said: list[tuple[str, str]]) -> list[str]:
    assert all(stdout for stdout, _ in said), [stderr for stdout, stderr in said if not stdout][:5]
    return [stdout for stdout, _ in said]


def pairs(lab: Lab) -> set[str]:
    """The public halves that there are: both names hold the same pair, but for the time of a change."""
    folder = Path(lab.env["XDG_DATA_HOME"]) / "ssm-ssh"
    return {(folder / f"{slot}.pub").read_text() for slot in slots(ED25519)}


def age(lab: Lab, slot: str, seconds: float) -> None:
    """Make what is under that name `seconds` old."""
    when = time.time() - seconds
    os.utime(Path(lab.env["XDG_DATA_HOME"]) / "ssm-ssh" / slot, (when, when))


def trusted(lab: Lab) -> list[str]:
    return (Path(lab.env["XDG_DATA_HOME"]) / "ssm-ssh" / "known_hosts").read_text().splitlines()


def pushes(lab: Lab, operation: str) -> list[str]:
    """The parameter with the key, of each call that pushed one."""
    calls = [call["parameters"] for call in lab.calls(operation)]
    keyed = [one for one in calls if "SSHPublicKey" in one or "data=" in str(one)]
    return [str(one.get("SSHPublicKey") or one["Parameters"]) for one in keyed]


@pytest.mark.parametrize("hybrid", [False, True], ids=["EC2 Instance Connect", "send-command"])
def test_to_one_instance_from_nothing(tmp_path_factory: pytest.TempPathFactory, hybrid: bool) -> None:
    options = LabOptions(instances=(InstanceOptions(hybrid=hybrid, eic=not hybrid),))
    with Lab(options, base=tmp_path_factory.mktemp("c")) as lab:
        assert outputs(connect(lab, range(CROWD), 1)) == [f"{number}\n" for number in range(CROWD)]
        assert len(pairs(lab)) == 1
        assert len(trusted(lab)) == len(set(trusted(lab)))
        made = pushes(lab, "SendCommand" if hybrid else "SendSSHPublicKey")
        # Each is shared while it is young; on a busy machine a hundred connections take a while.
        assert 1 <= len(made) <= CROWD // 5


def test_to_many_instances_and_again_around_a_retirement(tmp_path_factory: pytest.TempPathFactory) -> None:
    options = LabOptions(instances=tuple(InstanceOptions() for _ in range(10)))
    with Lab(options, base=tmp_path_factory.mktemp("c")) as lab:
        assert outputs(connect(lab, range(CROWD), 10)) == [f"{number}\n" for number in range(CROWD)]
        assert len(pairs(lab)) == 1
        first = set(pushes(lab, "SendSSHPublicKey"))
        assert len(first) == 1

        # It is due: the crowd makes its successor, which rests, for they have all read the first under both names.
        for slot in slots(ED25519):
            age(lab, slot, keypair.MAX_AGE + 60)
        assert outputs(connect(lab, range(FEW), 10)) == [f"{number}\n" for number in range(FEW)]
        assert len(pairs(lab)) == 2
        assert set(pushes(lab, "SendSSHPublicKey")) == first

        # The successor takes over while the crowd is under way.
        age(lab, slots(ED25519)[1], keypair.GRACE - 5)
        assert outputs(connect(lab, range(CROWD), 10)) == [f"{number}\n" for number in range(CROWD)]
        age(lab, slots(ED25519)[1], keypair.GRACE + 1)
        assert outputs(connect(lab, range(1), 1)) == ["0\n"]
        assert len(set(pushes(lab, "SendSSHPublicKey")) - first) == 1
        assert len(pairs(lab)) == 2

        # The first goes while the crowd is under way, and the second takes its name.
        age(lab, slots(ED25519)[1], 2 * keypair.GRACE - 2)
        assert outputs(connect(lab, range(FEW), 10)) == [f"{number}\n" for number in range(FEW)]
        age(lab, slots(ED25519)[1], 2 * keypair.GRACE + 1)
        assert outputs(connect(lab, range(1), 1)) == ["0\n"]
        assert len(pairs(lab)) == 1
        assert len(set(pushes(lab, "SendSSHPublicKey")) - first) == 1
        assert len(trusted(lab)) == len(set(trusted(lab)))
