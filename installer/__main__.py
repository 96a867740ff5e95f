"""The commands that install.sh runs, as `python -IB installer COMMAND ARGUMENT ...`."""

from __future__ import annotations

import hashlib
import signal
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.append(str(ROOT))  # last: nothing in the checkout may stand for a module of Python's own

from installer import activate, pip_settings, pip_wheel, running  # noqa: E402
from installer.faults import Fault  # noqa: E402

STALE = 75


def fingerprint() -> str:
    """Return a hash of all that decides what an installation holds."""
    digest = hashlib.sha256(f"{sys.version} {sys.executable}".encode())
    package = (file for file in (ROOT / "ssm_ssh").rglob("*") if file.is_file() and file.suffix != ".pyc")
    names = ("pyproject.toml", "README.md", "LICENSE", "install.sh", "requirements/runtime.txt")
    for file in sorted([*package, *(ROOT / name for name in (*names, "requirements/build.txt"))]):
        content = hashlib.sha256(file.read_bytes()).hexdigest()
        digest.update(f"{file.relative_to(ROOT)} {content}\n".encode())
    return digest.hexdigest()


def main(command: str, *arguments: str) -> int:
    """Run one command; returns its exit status. Raises Fault."""
    match command, arguments:
        case "fingerprint", ():
            try:
                print(fingerprint())
            except OSError as error:
                raise Fault(f"cannot read {error.filename}: {error.strerror}", "Get a fresh checkout") from error
        case "lock", (descriptor, file):
            return 0 if activate.lock(int(descriptor), Path(file)) else STALE
        case "run", (root, what, *program):
            running.run(program, what, root=Path(root))
        case "fetch-pip", (folder,):
            try:
                print(pip_wheel.fetch(ROOT / "requirements/pip.txt", Path(folder), pip_settings.load()))
            except OSError as error:
                raise activate.fault(error, Path(folder)) from error
        case "write-program", (folder,):
            try:
                activate.write_program(Path(folder))
            except OSError as error:
                raise activate.fault(error, Path(folder)) from error
        case "activate", (new, venv, link, program, mark):
            activate.activate(Path(new), Path(venv), Path(link), Path(program), mark)
        case _:
            raise Fault(f"unknown command {command}")
    return 0


def stop(number: int, _: object) -> None:
    """Take a signal as Ctrl-C is taken, so that no shell reports a program that a signal ended."""
    raise KeyboardInterrupt(number)


if __name__ == "__main__":
    for name in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(name, stop)
    try:
        sys.exit(main(*sys.argv[1:]))
    except Fault as fault:
        print(f"install.sh: {fault.line()}", file=sys.stderr)
        sys.exit(1)
    except KeyboardInterrupt as stopped:
        sys.exit(128 + (stopped.args[0] if stopped.args else signal.SIGINT))
