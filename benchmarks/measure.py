"""Medians of interleaved runs, the CPU time of a process, and the table."""

from __future__ import annotations

import os
import platform
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

HERE = Path(__file__).parent


class Row(NamedTuple):
    """A row of the table. It meets its target if `value` keeps to `limit`; without a limit it is for information."""

    what: str
    ours: str
    other: str
    value: float
    unit: str
    limit: float | None = None
    at_least: bool = False

    @property
    def met(self) -> bool:
        if self.limit is None:
            return True
        return self.value >= self.limit if self.at_least else self.value <= self.limit


def interleaved(runs: int, *measures: Callable[[], float]) -> list[float]:
    """Call the measures in turn (A B A B), `runs` times each, and return the median of each.

    A first turn fills the caches and does not count.
    """
    results: list[list[float]] = [[] for _ in measures]
    for turn in range(runs + 1):
        for kept, measure in zip(results, measures, strict=True):
            value = measure()
            if turn:
                kept.append(value)
    return [statistics.median(values) for values in results]


def cpu_seconds(pid: int) -> float:
    """Return the CPU time of a running process in seconds; 0 except on Linux."""
    try:
        # The number of the process's CPU clock, formed like clock_getcpuclockid(3).
        return time.clock_gettime((~pid << 3) | 2)
    except OSError:
        return 0.0


def environment(base: dict[str, str], **changes: str) -> dict[str, str]:
    """Return `base` with `changes`, but without variables that change the behavior of Python, AWS, TLS or proxies."""
    kept = {
        name: value
        for name, value in base.items()
        if not name.startswith(("PYTHON", "AWS_", "SSL_CERT", "SSM_SSH")) and name.lower() not in _PROXIES
    }
    return {**kept, **changes}


_PROXIES = {"http_proxy", "https_proxy", "all_proxy", "no_proxy", "requests_ca_bundle"}


def machine() -> str:
    """Describe the machine in one line."""
    model = platform.processor() or platform.machine()
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        model = next(line.split(":", 1)[1].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        pass
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    load = os.getloadavg()[0]
    python = f"{platform.python_implementation()} {platform.python_version()}"
    return f"{platform.system()} {platform.machine()}, {model}, {cores} cores, load {load:.1f}, {python}"


def show(rows: list[Row]) -> bool:
    """Print the table and return whether all targets are met."""
    cells = [("", "ssm-ssh", "compared with", "result", "target", "")]
    for row in rows:
        target = f"{'>=' if row.at_least else '<='} {row.limit:g}{row.unit}" if row.limit is not None else "-"
        verdict = "" if row.limit is None else ("met" if row.met else "MISSED")
        digits = 2 if abs(row.value) < 10 else 1
        cells.append((row.what, row.ours, row.other, f"{row.value:.{digits}f}{row.unit}", target, verdict))
    widths = [max(len(line[i]) for line in cells) for i in range(6)]
    for number, line in enumerate(cells):
        padded = [cell.ljust(width) for cell, width in zip(line, widths, strict=True)]
        print("| " + " | ".join(padded) + " |")
        if not number:
            print("|" + "|".join("-" * (width + 2) for width in widths) + "|")
    sys.stdout.flush()
    return all(row.met for row in rows)
