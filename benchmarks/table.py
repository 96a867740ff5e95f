"""The table of `benchmarks/run`: one run measures everything, and what is compared takes turns.

    table.py COMPARATORS [--quick]      COMPARATORS: a virtual environment with requirements.txt in it

The exit status is 1 if a target is missed.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import sessions
import startup
import throughput
from measure import Row, machine, show

from ssm_ssh import __version__
from ssm_ssh.lab import Lab, LabOptions

MB = 1_000_000


def copies(folder: Path, megabytes: int) -> list[Row]:
    """Copy with scp through a whole lab, for information: with the agent's usual pace and without pacing."""
    rows = []
    for what, pacing in (("official pace", True), ("unpaced agent", False)):
        with Lab(LabOptions(instances=1, pacing=pacing), base=folder) as lab:
            remote = f"{lab.instances[0].destination}:copy"
            local = lab.folder / "file"
            local.write_bytes(os.urandom(megabytes * MB))
            seconds = []
            for source, target in ((str(local), remote), (remote, str(lab.folder / "back"))):
                begin = time.perf_counter()
                subprocess.run(["scp", "-q", source, target], env=lab.env, check=True)
                seconds.append(time.perf_counter() - begin)
            if (lab.folder / "back").read_bytes() != local.read_bytes():
                raise RuntimeError("scp returned different bytes")
        up, down = (megabytes / elapsed for elapsed in seconds)
        rows.append(Row(f"scp through the lab, {what}", f"{up:.1f} MB/s up", f"{down:.1f} MB/s down", down / up, "x"))
    return rows


def versions(comparators: Path) -> str:
    frozen = subprocess.check_output([comparators / "bin" / "python", "-I", "-m", "pip", "freeze"], text=True)
    wanted = [line for line in frozen.splitlines() if line.startswith(("awscli=", "websockets="))]
    return ", ".join([f"ssm-ssh {__version__}", *(line.replace("==", " ") for line in wanted)])


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="benchmarks/run", description="Measure ssm-ssh and compare the results with the targets."
    )
    parser.add_argument("comparators", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--quick", action="store_true", help="fewer and shorter runs: about a minute, and noisy")
    options = parser.parse_args()
    quick = options.quick
    print(f"{machine()}; {versions(options.comparators)}", flush=True)
    rows: list[Row] = []

    def progress(text: str) -> None:
        if sys.stderr.isatty():
            print(f"... {text}", file=sys.stderr, flush=True)

    with tempfile.TemporaryDirectory(prefix="ssm-ssh-benchmark-") as name:
        folder = Path(name)
        progress("start")
        with startup.running_world(folder, options.comparators) as world:
            rows += startup.starts(world, 3 if quick else 9)
            progress("round trips")
            rows.append(startup.round_trips(world, 1 if quick else 3))
            progress("logins")
            rows += startup.logins(world, 1 if quick else 3)
            progress("memory")
            rows += startup.memory(world, 4 if quick else 16)
            progress("shell, exec and forward")
            rows += sessions.shells(world, 3 if quick else 9)
            rows.append(sessions.commands(world, 3 if quick else 9))
            rows += sessions.forwards(world, 10 if quick else 40)
        rows.append(startup.help_text(9 if quick else 25))
        progress("throughput")
        peer = throughput.Peer(folder)
        try:
            clients = throughput.Clients(peer, options.comparators)
            rows += throughput.rates(peer, clients, size=(32 if quick else 64) << 20, runs=3 if quick else 9)
            rows.append(throughput.echo(clients, peer, rounds=200 if quick else 1000))
        finally:
            peer.stop()
        progress("scp")
        rows += copies(folder, 2 if quick else 8)
    return 0 if show(rows) else 1


if __name__ == "__main__":
    sys.exit(main())
