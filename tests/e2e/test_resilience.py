"""Lost networks: the stream arrives whole, and ssh notices nothing."""

from __future__ import annotations

import hashlib
import random
from collections.abc import Iterator
from pathlib import Path

import pytest

from ssm_ssh.lab import Lab, LabOptions
from tests.e2e.test_endings import proxies, terminate
from tests.e2e.world import World, until, without_waiting

pytestmark = pytest.mark.e2e
MB = 1 << 20
UP = {"side": "client", "direction": "up"}
DOWN = {"side": "client", "direction": "down"}


@pytest.fixture
def faults(world: World) -> Iterator[Lab]:
    yield world.lab
    world.lab.clear_faults()


def payload(size: int) -> bytes:
    return random.Random(7).randbytes(size)


def upload(world: World, size: int, limit: float = 120) -> None:
    data = payload(size)
    done = world.run("ssh", world.web.destination, "sha256sum", stdin=data, limit=limit)
    assert done.text.split()[0] == hashlib.sha256(data).hexdigest()
    assert without_waiting(done.stderr) == ""


def resumed(lab: Lab) -> int:
    return len([one for one in lab.calls("ResumeSession") if not one["error"]])


def test_64_megabytes_up_with_a_cut_after_each(world: World, faults: Lab) -> None:
    before = resumed(faults)
    faults.fault("cut", every=MB, **UP)
    upload(world, 64 * MB, limit=170)
    assert resumed(faults) - before >= 64


@pytest.mark.timeout(600)
@pytest.mark.parametrize("megabytes", [8, pytest.param(64, marks=pytest.mark.long)])
def test_a_download_with_a_cut_after_each_megabyte(tmp_path_factory: pytest.TempPathFactory, megabytes: int) -> None:
    # The agent resends what a cut took along one message at a time, 100 ms apart. At the official agent's own pace
    # only a few are under way.
    with Lab(LabOptions(instances=1, pacing=True), base=tmp_path_factory.mktemp("r")) as lab:
        import subprocess

        lab.fault("cut", every=MB, **DOWN)
        where = lab.instances[0]
        data = payload(megabytes * MB)
        Path(where.homes["ec2-user"], "data").write_bytes(data)
        done = subprocess.run(["ssh", where.destination, "cat data"], env=lab.env, capture_output=True, timeout=580)
        assert (done.returncode, without_waiting(done.stderr.decode())) == (0, "")
        assert done.stdout == data
        assert resumed(lab) >= megabytes


@pytest.mark.timeout(600)  # each message resent, and a dozen connections, which a busy machine takes seconds for
def test_a_download_ends_with_a_cut_every_150_kilobytes(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Acknowledgements that a break may have lost are repeated, but do not fill the next connection."""
    # On a busy machine the gateway reads late, so that a cut takes with it what the agent has sent until it hears of
    # the pause, at worst all of it. The agent resends a kilobyte each 100 ms then: a megabyte in 105 s.
    with Lab(LabOptions(instances=1, pacing=True), base=tmp_path_factory.mktemp("r")) as lab:
        import subprocess

        where = lab.instances[0]
        data = payload(MB)
        Path(where.homes["ec2-user"], "data").write_bytes(data)
        lab.fault("cut", every=150_000, side="client", direction="both")
        done = subprocess.run(["ssh", where.destination, "cat data"], env=lab.env, capture_output=True, timeout=580)
        assert (done.returncode, without_waiting(done.stderr.decode())) == (0, "")
        assert done.stdout == data
        assert resumed(lab) >= 8


@pytest.mark.parametrize(
    "cut",
    [
        {"every": 300_000, "mid_frame": True, **UP},
        {"every": 300_000, "how": "eof", **UP},
        {"every": 300_000, "how": "bye", **UP},
        {"side": "client", "when": "handshake"},
        {"side": "client", "when": "open"},
        {"side": "client", "when": "resume", "count": 2},
        {"side": "agent", "after": 200_000, "direction": "up"},
        {"after": 2 * MB, "count": 1, **UP},
    ],
    ids=str,
)
def test_cuts_anywhere(world: World, faults: Lab, cut: dict[str, object]) -> None:
    if cut.get("when") == "resume":
        faults.fault("cut", after=300_000, **UP)
    faults.fault("cut", **cut)
    upload(world, 2 * MB)


@pytest.mark.parametrize("direction", ["up", "down"])
def test_loss_doubling_and_disorder_in_any_mix(world: World, faults: Lab, direction: str) -> None:
    faults.fault("lose", probability=0.01, direction=direction)
    faults.fault("double", probability=0.05, direction=direction)
    faults.fault("reorder", probability=0.1, direction=direction)
    faults.fault("lose_acks", probability=0.05)
    data = payload(MB // 4)
    done = world.run("ssh", world.web.destination, "cat", stdin=data, limit=120)
    assert done.stdout == data


def test_resuming_is_refused_for_a_while(world: World, faults: Lab) -> None:
    faults.fault("throttle", operation="ResumeSession", count=3)
    faults.fault("cut", after=300_000, **UP)
    upload(world, MB)


def test_a_silent_gateway_is_left(world: World, faults: Lab) -> None:
    before = resumed(faults)
    running = world.start("ssh", world.web.destination, "cat")
    running.stdin.write(b"before\n")
    assert running.stdout.read(7) == b"before\n"
    faults.fault("stall", side="client")
    running.stdin.write(b"after\n")
    until(lambda: resumed(faults) > before, "a resume")
    faults.clear_faults()
    assert running.finish().stdout == b"after\n"


def test_a_session_that_is_gone_ends_with_a_reason(world: World) -> None:
    running = world.start("ssh", world.web.destination, "echo ready; cat")
    assert running.stdout.read(6) == b"ready\n"
    terminate(world, world.sessions(world.web)[-1])
    done = running.finish()
    assert done.status == 255
    until(lambda: not proxies(world), "the end of the tunnel")


def test_a_peer_that_never_acknowledges_stops_stdin_and_costs_no_memory(world: World, faults: Lab) -> None:
    data = payload(24 * MB)
    running = world.start("ssh", world.web.destination, "echo ready; sha256sum")
    assert running.stdout.read(6) == b"ready\n"
    faults.fault("lose_acks", probability=1.0)
    import threading

    writer = threading.Thread(target=lambda: (running.stdin.write(data), running.stdin.close()))
    writer.start()
    (pid,) = proxies(world)
    seen = [-1]

    def stopped() -> bool:
        import time

        time.sleep(0.5)  # a rate is looked at, over any interval
        seen.append(int(Path(f"/proc/{pid}/io").read_text().split("rchar: ")[1].split()[0]))
        return seen[-1] - seen[-2] < 100_000

    until(stopped, "the end of reading")
    assert writer.is_alive()
    peak = int(Path(f"/proc/{pid}/status").read_text().split("VmHWM:")[1].split()[0])
    assert peak < 60_000
    faults.clear_faults()
    writer.join()
    assert running.stdout.read().split()[0].decode() == hashlib.sha256(data).hexdigest()
    running.process.wait()
