"""Run pip, uv or venv: show how far it is, and say in one line why it failed."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import TextIO

from installer import pip_settings
from installer.faults import Fault, explain

_NEEDED = 20 << 20  # bytes: a program that failed with less than this left has most likely failed for it
_LINES = 2000  # of output kept for the explanation
_FILE = re.compile(r"(?:Downloading|Using cached|Processing) (?:\S*/)?([\w.]+?)-(\d[\w.+!]*)[-.]\S*( \([^)]*\))?$")


class Progress:
    """Shows one line after another: over each other on a terminal, below each other elsewhere."""

    def __init__(self, out: TextIO) -> None:
        self._out = out
        self._terminal = out.isatty()
        self._shown: set[str] = set()

    def saw(self, line: str) -> None:
        """Show what `line`, printed by pip or uv, tells of the progress; most lines tell nothing."""
        text = describe(line)
        if not text or text in self._shown:
            return
        self._shown.add(text)
        self._write(f"\r\033[K  {text}" if self._terminal else f"  {text}\n")

    def end(self) -> None:
        """Leave the terminal's line empty."""
        if self._terminal and self._shown:
            self._write("\r\033[K")

    def _write(self, text: str) -> None:
        try:
            self._out.write(text)
            self._out.flush()
        except OSError:
            self.saw = lambda line: None  # type: ignore[method-assign]  # the reader has gone; the work goes on


def describe(line: str) -> str:
    """Return in words what a line of pip's or uv's output tells of the progress, or ""."""
    line = line.strip()
    if ".metadata" in line:
        return ""
    if match := _FILE.match(line):
        return f"{match[1].replace('_', '-')} {match[2]}{match[3] or ''}"
    if match := re.match(r"Downloading ([\w.-]+ \([^)]*\))$", line):
        return match[1]
    if line.startswith("Installing collected packages:"):
        count = line.count(",") + 1
        return f"unpacking {count} packages" if count > 1 else ""
    if line.startswith("WARNING: Retrying"):
        return "the package index does not answer; trying again"
    return ""


def free(folder: Path) -> int:
    """Return the bytes that may yet be written below `folder`; a large number where that cannot be told."""
    try:
        system = os.statvfs(folder)
    except OSError:
        return sys.maxsize
    return system.f_bavail * system.f_frsize


def run(command: list[str], what: str, *, root: Path, out: TextIO = sys.stdout) -> None:
    """Run `command`, which is to do `what` below `root`. Raises Fault, and KeyboardInterrupt once it has ended."""
    settings = pip_settings.load()
    env = dict(os.environ)
    if Path(command[0]).name == "uv":
        env |= pip_settings.for_uv(settings, env)
    progress = Progress(out)
    lines: list[str] = []
    try:
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            env=env,
        )
    except OSError as error:
        raise Fault(f"{command[0]} cannot be run: {error.strerror}") from error
    assert process.stdout is not None
    try:
        for line in process.stdout:
            progress.saw(line)
            lines.append(line)
            del lines[:-_LINES]
        status = process.wait()
    except BaseException:
        process.terminate()
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        raise
    finally:
        process.stdout.close()
        progress.end()
    if status:
        if free(root) < _NEEDED:
            lines.append("No space left on device\n")  # venv keeps to itself what ensurepip says
        raise explain("".join(lines), what, root=root, host=settings.host, proxy=settings.proxy_shown())
