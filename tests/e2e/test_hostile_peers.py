"""Every hostile or half-dead peer of the table, all at the same time, over TLS; it takes two minutes."""

from __future__ import annotations

import random
import socketserver
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

import pytest

from ssm_ssh.aws.api.client import Api
from ssm_ssh.aws.config.settings import load
from ssm_ssh.aws.services.sessions import terminate_session
from ssm_ssh.lab import InstanceOptions, Lab, LabInstance, LabOptions
from tests.e2e.peers import PEERS, Peer
from tests.e2e.world import Running, read_until

pytestmark = [pytest.mark.e2e, pytest.mark.long, pytest.mark.timeout(600)]
# A whole connection's worth more than the table allows: a case that hangs is to be told from one that is late.
PATIENCE = 200.0
ODD_PORT = 2022


class Ending(NamedTuple):
    status: int
    seconds: float
    told: str


class Silent(socketserver.BaseRequestHandler):
    first = b""
    again = b""

    def handle(self) -> None:
        self.request.sendall(self.first)
        try:
            while True:
                if self.again:
                    self.request.sendall(self.again)
                time.sleep(0.5)
                self.request.settimeout(0.5)
                try:
                    if not self.request.recv(65536):
                        return
                except TimeoutError:
                    continue
        except OSError:
            return


class DrippingPreface(Silent):
    again = b"please wait\r\n"


class BannerOnly(Silent):
    first = b"SSH-2.0-there\r\n"


HANDLERS = {"silent_port": Silent, "dripping_preface": DrippingPreface, "banner_only": BannerOnly}
QUIRKS = ("no_handshake", "far_ahead", "no_banner", "empty", "mute")


class Stage:
    """A lab with an instance for each peer."""

    def __init__(self, lab: Lab, folder: Path) -> None:
        self.lab = lab
        self.folder = folder
        self.env = {**lab.env, "LC_ALL": "C.UTF-8"}
        self.instances = {one.name: one for one in lab.instances}

    def play(self, peer: Peer) -> Ending:
        where = self.instances[peer.key]
        if peer.key in QUIRKS:
            self.lab.fault("agent_quirk", instance_id=where.instance_id, kind=peer.key)
            return self._ends("ssh", where.destination, "true")
        if peer.key in HANDLERS:
            return self._odd_port(where, HANDLERS[peer.key])
        if peer.key.startswith("restart_"):
            return self._copy(where, up=peer.key.endswith("up"))
        return self._open(where, peer.key)

    def _ends(self, *command: str) -> Ending:
        began = time.monotonic()
        return self._ended(Running(command, self.env), began)

    def _ended(self, running: Running, began: float, stdin: bytes = b"") -> Ending:
        done = running.finish(stdin, PATIENCE)
        ending = Ending(done.status, time.monotonic() - began, done.said)
        running.close()
        return ending

    def _ended_by_itself(self, running: Running, began: float) -> Ending:
        running.process.wait(PATIENCE)
        ending = Ending(running.process.returncode, time.monotonic() - began, running.stderr.read().decode())
        running.close()
        return ending

    def _odd_port(self, where: LabInstance, handler: type[Silent]) -> Ending:
        with socketserver.ThreadingTCPServer(("127.0.0.1", 0), handler) as server:
            server.daemon_threads = True
            threading.Thread(target=server.serve_forever, daemon=True).start()
            self.lab.map_port(where.instance_id, ODD_PORT, server.server_address[1])
            ending = self._ends("ssh", "-p", str(ODD_PORT), where.destination, "true")
            server.shutdown()
        return ending

    def _open(self, where: LabInstance, key: str) -> Ending:
        running = Running(("ssh", where.destination, "echo ready; cat"), self.env)
        read_until(running.stdout, b"ready\n")
        self._strike(where, key)
        began = time.monotonic()
        if key in ("idle_restart", "outside"):
            return self._ended(running, began)
        if key == "no_acks":
            threading.Thread(target=self._write, args=(running,), daemon=True).start()
            return self._ended_by_itself(running, began)
        running.stdin.write(b"more\n")
        if key == "unfinished_once":
            read_until(running.stdout, b"more\n")
            seconds = time.monotonic() - began
            return self._ended(running, began)._replace(seconds=seconds)
        return self._ended_by_itself(running, began)

    @staticmethod
    def _write(running: Running) -> None:
        try:
            for _ in range(64):
                running.stdin.write(bytes(1 << 20))
        except OSError:
            pass

    def _strike(self, where: LabInstance, key: str) -> None:
        instance_id = where.instance_id
        if key in ("hung", "no_acks"):
            self.lab.fault("agent_quirk", instance_id=instance_id, kind=key)
        elif key == "kill_agent":
            self.lab.fault("kill_agent", instance_id=instance_id)
        elif key == "idle_restart":
            self.lab.fault("restart_instance", instance_id=instance_id)
        elif key.startswith("unfinished"):
            self.lab.fault("unfinished", instance=instance_id, count=1 if key.endswith("once") else 0)
        else:
            (session,) = [one["SessionId"] for one in self.lab.sessions() if one["Target"] == instance_id]
            terminate_session(Api(load(env=self.env)), session)

    def _copy(self, where: LabInstance, *, up: bool) -> Ending:
        data = random.Random(3).randbytes(32 << 20)
        here, there = self.folder / f"copy-{up}", Path(where.homes[where.users[0]]) / "copy"
        (here if up else there).write_bytes(data)
        self.lab.fault("limit", bytes_per_second=1_000_000, instance=where.instance_id)
        names = [str(here), f"{where.destination}:copy"]
        running = Running(("scp", *(names if up else reversed(names))), self.env)
        target = there if up else here
        while not (target.exists() and target.stat().st_size > 1 << 20):
            assert running.process.poll() is None
            time.sleep(0.1)
        self.lab.fault("restart_instance", instance_id=where.instance_id)
        return self._ended(running, time.monotonic())


@pytest.fixture(scope="module")
def endings() -> Iterator[Callable[[Peer], Ending]]:
    instances = tuple(InstanceOptions(name=one.key) for one in PEERS)
    with tempfile.TemporaryDirectory(prefix="peers-") as base:
        options = LabOptions(instances=instances, pacing=False)
        with Lab(options, base=Path(base)) as lab, ThreadPoolExecutor(len(PEERS)) as pool:
            stage = Stage(lab, Path(base))
            playing = {one.key: pool.submit(stage.play, one) for one in PEERS}
            yield lambda peer: playing[peer.key].result()


@pytest.mark.parametrize("peer", PEERS, ids=[one.key for one in PEERS])
def test_it_ends_in_time_with_a_sentence(endings: Callable[[Peer], Ending], peer: Peer) -> None:
    ending = endings(peer)
    assert ending.seconds <= peer.seconds, ending
    assert "Traceback" not in ending.told
    if peer.says:
        assert ending.status != 0
        assert peer.says in ending.told
    else:
        assert ending.status == 0
