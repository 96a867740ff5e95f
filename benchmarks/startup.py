# Over 350 lines: all its rows start the same processes.
"""Rows of the table: time to the first AWS call, round trips to the first byte, memory and idle CPU time."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from measure import HERE, Row, cpu_seconds, environment, interleaved

from ssm_ssh.lab import Lab, LabOptions

SHOWN, NEAR, FAR = 0.1, 0.2, 0.5
"""Round-trip times in seconds: one for the table, and two between which round trips are counted."""

# Seconds without traffic, and milliseconds of CPU in them: the tunnel wakes every five seconds to check the clock.
IDLE, IDLE_LIMIT = 10.0, 20.0
# Round trips in addition to those of the tunnel: none, and one. Half a round trip is noise.
CACHED, COLD = 13.1, 1.5
HELP_LIMIT, MEMORY_LIMIT, START_LIMIT, ROUND_TRIPS_LIMIT = 25.0, 40.0, 0.40, 6.5
PROGRAM = str(Path(sys.prefix) / "bin" / "ssm-ssh")


class Forwarder:
    """The process of forwarder.py, in front of the API and the gateway."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-I", HERE / "isolated.py", "forwarder", "2"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=environment(dict(os.environ)),
        )
        self.api, self.gateway = self._answer()
        self._targets: list[int] = []

    def lead_to(self, lab: Lab) -> None:
        self._targets = [urlsplit(url).port or 0 for url in (lab.api_url, lab.gateway_url)]

    def delay(self, seconds: float) -> None:
        """Set the one-way delay of new connections, in seconds."""
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps({"targets": self._targets, "delay": seconds}) + "\n")
        self._process.stdin.flush()
        self._answer()

    def _answer(self) -> Any:  # noqa: ANN401 - JSON
        assert self._process.stdout is not None
        return json.loads(self._process.stdout.readline())

    def stop(self) -> None:
        self._process.kill()
        self._process.wait()


class World:
    """A lab behind a forwarder, and the programs that are started in it."""

    def __init__(self, lab: Lab, forwarder: Forwarder, folder: Path, comparators: Path) -> None:
        self.lab = lab
        self.forwarder = forwarder
        self.target = lab.instances[0]
        self.folder = folder
        self.aws = str(comparators / "bin" / "aws")
        self.pair = _pair_folder()
        forwarder.lead_to(lab)
        # The AWS CLI looks for the plugin before it starts a session.
        plugin = folder / "bin" / "session-manager-plugin"
        plugin.parent.mkdir()
        plugin.write_text("#!/bin/sh\necho 1.2.764.0\n")
        plugin.chmod(0o755)
        api, gateway = (f"https://127.0.0.1:{port}" for port in (forwarder.api, forwarder.gateway))
        self.env = {
            name: api if name.startswith("AWS_ENDPOINT_URL") else value
            for name, value in lab.env.items()
            if not name.startswith(("PYTHON", "SSL_CERT"))
        }
        self.env |= {"AWS_ENDPOINT_URL_SSMMESSAGES": gateway, "PATH": f"{plugin.parent}:{self.env['PATH']}"}

    def direct(self) -> dict[str, str]:
        """Return the environment with the API in direct reach."""
        changed = {name: self.lab.api_url for name in self.env if name.startswith("AWS_ENDPOINT_URL")} | {
            "AWS_ENDPOINT_URL_SSMMESSAGES": self.env["AWS_ENDPOINT_URL_SSMMESSAGES"]
        }
        return {**self.env, **changed}

    def with_plugin(self, env: dict[str, str]) -> dict[str, str]:
        """Return `env` with the real plugin, which is written in Go and does not know AWS_CA_BUNDLE."""
        return {**env, "PATH": f"{self.pair}:{env['PATH']}", "SSL_CERT_FILE": env["AWS_CA_BUNDLE"]}

    def with_profile(self, env: dict[str, str]) -> dict[str, str]:
        """Return `env` with the keys in a profile instead."""
        keys = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN")
        return {**{name: value for name, value in env.items() if name not in keys}, "AWS_PROFILE": "admin"}

    def with_botocore(self, env: dict[str, str]) -> dict[str, str]:
        """Return `env` with the keys from a `credential_process`, so that botocore has to fetch them."""
        keys = {
            "Version": 1,
            "AccessKeyId": env["AWS_ACCESS_KEY_ID"],
            "SecretAccessKey": env["AWS_SECRET_ACCESS_KEY"],
        }
        if "AWS_SESSION_TOKEN" in env:
            keys["SessionToken"] = env["AWS_SESSION_TOKEN"]
        answer, config = self.folder / "keys.json", self.folder / "config"
        answer.touch(0o600)
        answer.write_text(json.dumps(keys))
        config.write_text(f"[profile benchmark]\ncredential_process = /bin/cat {answer}\n")
        return {**self.with_profile(env), "AWS_CONFIG_FILE": str(config), "AWS_PROFILE": "benchmark"}

    @contextlib.contextmanager
    def proxy(self, env: dict[str, str]) -> Iterator[tuple[float, int]]:
        """Run `ssm-ssh proxy` until sshd's first byte. Yields the seconds until then and the pid, then ends it."""
        begin = time.perf_counter()
        process = subprocess.Popen(
            [PROGRAM, "proxy", self.target.instance_id, "22", self.target.users[0]],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env=env,
        )
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            first = os.read(process.stdout.fileno(), 4096)
            seconds = time.perf_counter() - begin
            if not first.startswith(b"SSH-"):
                raise RuntimeError(f"the first output of the proxy is {first!r}")
            yield seconds, process.pid
        finally:
            process.stdin.close()
            process.stdout.close()
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.send_signal(signal.SIGKILL)
                process.wait()

    def seconds_to_start_session(self, start: Callable[[], object]) -> float:
        """Return the seconds from the call of `start` to the arrival of StartSession."""
        begin = time.time()
        start()
        arrived = [call["arrived"] for call in self.lab.calls("StartSession") if call["arrived"] >= begin]
        if len(arrived) != 1:
            raise RuntimeError(f"{len(arrived)} sessions were started instead of one")
        return float(arrived[0]) - begin

    def ssm_ssh(self, env: dict[str, str]) -> None:
        with self.proxy(env):
            pass

    def cli(
        self, env: dict[str, str], document: str = "AWS-StartSSHSession", parameters: str = "portNumber=22"
    ) -> None:
        """Run `aws ssm start-session`; without `document`, for a shell."""
        subprocess.run(
            [
                *(self.aws, "ssm", "start-session", "--target", self.target.instance_id),
                *(("--document-name", document, "--parameters", parameters) if document else ()),
            ],
            env=env,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            check=True,
        )


def _pair_folder() -> Path | None:
    """Return the folder of the plugin that is installed here, without which the AWS CLI starts no session."""
    plugin = shutil.which("session-manager-plugin")
    return Path(plugin).parent if plugin else None


@contextlib.contextmanager
def running_world(folder: Path, comparators: Path) -> Iterator[World]:
    forwarder = Forwarder()
    try:
        options = LabOptions(
            instances=1,
            pacing=False,
            stream_origin=f"wss://127.0.0.1:{forwarder.gateway}",
            early_frames=True,
            agent={"start_delay": 0},
            # A plugin that somebody has built themselves may be older than AWS's rule to sign the upgrade.
            require_upgrade_signature=_pair_folder() is None,
        )
        with Lab(options, base=folder) as lab:
            made = World(lab, forwarder, folder, comparators)
            forwarder.delay(0)
            yield made
    finally:
        forwarder.stop()


def starts(world: World, runs: int) -> list[Row]:
    """Measure the time to StartSession, compared with the AWS CLI."""
    rows = []
    direct = world.direct()
    for what, env in (("environment", direct), ("profile file", world.with_profile(direct))):
        ours, theirs = interleaved(
            runs,
            lambda env=env: world.seconds_to_start_session(lambda: world.ssm_ssh(env)),
            lambda env=env: world.seconds_to_start_session(lambda: world.cli(env)),
        )
        rows.append(
            Row(
                f"start to StartSession, keys in {what}",
                f"{ours * 1000:.0f} ms",
                f"aws ssm start-session: {theirs * 1000:.0f} ms",
                ours / theirs,
                "x",
                START_LIMIT,
            )
        )
    return rows


def round_trips(world: World, runs: int) -> Row:
    """Count the successive round trips until sshd's first byte.

    The count comes from the difference between two long delays. At both, the program waits for the network while it
    computes, so CPU time cancels out.
    """

    def first_byte(round_trip: float) -> float:
        world.forwarder.delay(round_trip / 2)
        with world.proxy(world.env) as (seconds, _):
            return seconds

    shown, near, far = interleaved(runs, *(lambda length=length: first_byte(length) for length in (SHOWN, NEAR, FAR)))
    world.forwarder.delay(0)
    return Row(
        "start to sshd's first byte, 100 ms away",
        f"{shown * 1000:.0f} ms",
        f"200 ms: {near * 1000:.0f} ms, 500 ms: {far * 1000:.0f} ms",
        (far - near) / (FAR - NEAR),
        " round trips",
        ROUND_TRIPS_LIMIT,
    )


def logins(world: World, runs: int) -> list[Row]:
    """Count the round trips that pushing a key and checking a host key add to a login.

    The tunnel alone means that the key is in authorized_keys and the host key is known. Counted like `round_trips`.
    """
    user = world.target.users[0]
    authorized = Path(world.target.homes[user]) / ".ssh" / "authorized_keys"
    _log_in(world, "auto")  # makes the key pair
    folder = Path(world.env["XDG_DATA_HOME"]) / "ssm-ssh"
    authorized.parent.mkdir(mode=0o700, exist_ok=True)
    authorized.write_bytes((folder / "id_rsa.public").read_bytes())
    authorized.chmod(0o600)
    home = authorized.parent.parent.stat()
    for path in (authorized.parent, authorized):
        os.chown(path, home.st_uid, home.st_gid)

    def slope(push: str, *, cold: bool) -> float:
        seconds = []
        for round_trip in (NEAR, FAR):
            world.forwarder.delay(round_trip / 2)
            if cold:
                (folder / "known_hosts").unlink()
            seconds.append(_log_in(world, push))
        return (seconds[1] - seconds[0]) / (FAR - NEAR)

    alone, cached, cold = interleaved(
        runs,
        lambda: slope("none", cold=False),
        lambda: slope("eic", cold=False),
        lambda: slope("auto", cold=True),
    )
    world.forwarder.delay(0)
    compared, unit = f"the tunnel alone: {alone:.1f}", " round trips more"
    return [
        Row("login, key pushed, host key known", f"{cached:.1f} round trips", compared, cached, " round trips", CACHED),
        Row("login, host key from the console", f"{cold:.1f} round trips", compared, cold - alone, unit, COLD),
    ]


def _log_in(world: World, push: str) -> float:
    begin = time.perf_counter()
    # As in the block of a new installation.
    command = f"ProxyCommand={PROGRAM} proxy --push {push} --key-type rsa %h %p %r"
    identity = f"IdentityFile={world.env['XDG_DATA_HOME']}/ssm-ssh/id_rsa"
    done = subprocess.run(
        ["ssh", "-o", command, "-o", identity, world.target.destination, "echo there"],
        env=world.env,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        check=True,
    )
    if done.stdout != b"there\n":
        raise RuntimeError(f"the output of ssh is {done.stdout!r}")
    return time.perf_counter() - begin


def memory(world: World, megabytes: int) -> list[Row]:
    """Measure the peak memory of a proxy that has carried `megabytes` each way, and its CPU time when idle."""
    rows = []
    direct = world.direct()
    idle = 0.0
    for what, env in (("environment", direct), ("botocore", world.with_botocore(direct))):
        peak, idle = _peak_under_ssh(world, env, megabytes)
        rows.append(
            Row(
                f"peak memory, keys from {what}",
                f"{peak:.1f} MB",
                f"{megabytes} MB each way",
                peak,
                " MB",
                MEMORY_LIMIT,
            )
        )
    rows.append(Row("idle connection", f"{idle:.1f} ms of CPU", f"{IDLE:.0f} s", idle, " ms of CPU", IDLE_LIMIT))
    return rows


def _peak_under_ssh(world: World, env: dict[str, str], megabytes: int) -> tuple[float, float]:
    """Return the peak memory in MB, and the milliseconds of CPU in IDLE seconds without traffic."""
    pid_file = world.folder / "pid"
    command = f"sh -c 'echo $$ >{pid_file}; exec {PROGRAM} proxy %h %p %r'"
    there = f"head -c {megabytes}000000 >/dev/null; head -c {megabytes}000000 /dev/zero; echo done; cat"
    process = subprocess.Popen(
        ["ssh", "-o", f"ProxyCommand={command}", world.target.destination, there],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env=env,
    )
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.write(bytes(megabytes * 1_000_000))
    process.stdin.flush()
    while not process.stdout.read1(65536).endswith(b"done\n"):
        if process.poll() is not None:
            raise RuntimeError("ssh ended")
    pid = int(pid_file.read_text())
    peak = peak_of(pid)
    time.sleep(2)  # the last acknowledgements
    before = cpu_seconds(pid)
    time.sleep(IDLE)
    idle = 1000 * (cpu_seconds(pid) - before)
    process.stdin.close()
    process.stdout.close()
    process.wait(30)
    return peak, idle


def peak_of(pid: int) -> float:
    """Return the peak resident memory of a process in MB; on systems without /proc, the current world."""
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
        kilobytes = next(line.split()[1] for line in lines if line.startswith("VmHWM"))
    except OSError:
        kilobytes = subprocess.check_output(["ps", "-o", "rss=", "-p", str(pid)], text=True)
    return int(kilobytes) * 1024 / 1e6


def help_text(runs: int) -> Row:
    """Compare `ssm-ssh --help` with an interpreter that does nothing."""
    env = environment(dict(os.environ))

    def seconds(*command: str) -> float:
        begin = time.perf_counter()
        subprocess.run(command, env=env, stdout=subprocess.DEVNULL, check=True)
        return time.perf_counter() - begin

    ours, bare = interleaved(
        runs, lambda: seconds(PROGRAM, "--help"), lambda: seconds(sys.executable, "-I", "-c", "pass")
    )
    return Row(
        "ssm-ssh --help",
        f"{ours * 1000:.0f} ms",
        f"python -I -c pass: {bare * 1000:.0f} ms",
        (ours - bare) * 1000,
        " ms more",
        HELP_LIMIT,
    )
