"""The table of `benchmarks/run`: everything is measured in one run, each comparison in turns.

    table.py COMPARATORS [--quick]      COMPARATORS: a virtual environment with requirements.txt in it

The exit status is 1 when a target is missed.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import startup
import throughput
from measure import Row, machine, show

from ssm_ssh import __version__
from ssm_ssh.lab import Lab, LabOptions

MB = 1_000_000


def copies(folder: Path, megabytes: int) -> list[Row]:
    """scp through a whole lab, for information: with the agent as it is, and with one that does not pace."""
    rows = []
    for what, pacing in (("official pace", True), ("unpaced agent", False)):
        with Lab(LabOptions(instances=1, pacing=pacing), base=folder) as lab:
            far = f"{lab.instances[0].destination}:copy"
            near = lab.folder / "file"
            near.write_bytes(os.urandom(megabytes * MB))
            seconds = []
            for source, target in ((str(near), far), (far, str(lab.folder / "back"))):
                begin = time.perf_counter()
                subprocess.run(["scp", "-q", source, target], env=lab.env, check=True)
                seconds.append(time.perf_counter() - begin)
            if (lab.folder / "back").read_bytes() != near.read_bytes():
                raise RuntimeError("scp brought back something else")
        up, down = (megabytes / one for one in seconds)
        rows.append(Row(f"scp through the lab, {what}", f"{up:.1f} MB/s up", f"{down:.1f} MB/s down", down / up, "x"))
    return rows


def versions(comparators: Path) -> str:
    found = subprocess.check_output([comparators / "bin" / "python", "-I", "-m", "pip", "freeze"], text=True)
    wanted = [line for line in found.splitlines() if line.startswith(("awscli=", "websockets="))]
    return ", ".join([f"ssm-ssh {__version__}", *(line.replace("==", " ") for line in wanted)])


def main() -> int:
    parser = argparse.ArgumentParser(prog="benchmarks/run", description="Measure, and hold against the targets.")
    parser.add_argument("comparators", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--quick", action="store_true", help="fewer and shorter runs, in a minute: noisy")
    options = parser.parse_args()
    quick = options.quick
    print(f"{machine()}; {versions(options.comparators)}", flush=True)
    rows: list[Row] = []

    def told(text: str) -> None:
        if sys.stderr.isatty():
            print(f"... {text}", file=sys.stderr, flush=True)

    with tempfile.TemporaryDirectory(prefix="ssm-ssh-benchmark-") as name:
        folder = Path(name)
        told("start")
        with startup.world(folder, options.comparators) as one:
            rows += startup.starts(one, 3 if quick else 9)
            told("round trips")
            rows.append(startup.round_trips(one, 1 if quick else 3))
            told("logins")
            rows += startup.logins(one, 1 if quick else 3)
            told("memory")
            rows += startup.memory(one, 4 if quick else 16)
        rows.append(startup.help_text(9 if quick else 25))
        told("throughput")
        peer = throughput.Peer(folder)
        try:
            clients = throughput.Clients(peer, options.comparators)
            rows += throughput.rates(peer, clients, size=(32 if quick else 64) << 20, runs=3 if quick else 9)
            rows.append(throughput.echo(clients, peer, rounds=200 if quick else 1000))
        finally:
            peer.stop()
        told("scp")
        rows += copies(folder, 2 if quick else 8)
    return 0 if show(rows) else 1


if __name__ == "__main__":
    sys.exit(main())
