"""Fuzz the code that reads what the network sends.

    python -m tests.fuzz [TARGET ...] [--seconds N] [--seed N]     random mutations; needs nothing but the tests
    python -m tests.fuzz TARGET --input FILE                       run one input again
    python -m tests.fuzz TARGET --atheris [OPTION OF LIBFUZZER ...]   guided by coverage; pip install atheris

An input that fails is written to fuzz-TARGET-DIGEST.bin in the current folder.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path
from random import SystemRandom

NAMES = ("message", "frames", "gate", "channel", "host_key", "mux", "exec_frames", "kms")


def main() -> int:
    """Run and return the exit status."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description="Fuzz what reads network input.")
    parser.add_argument("targets", nargs="*", metavar="TARGET", help=", ".join(NAMES))
    parser.add_argument("--seconds", type=float, default=60.0, help="for each target (default: 60)")
    parser.add_argument("--seed", type=int, default=SystemRandom().randrange(1 << 32))
    parser.add_argument("--input", type=Path, help="run the target once with the content of this file")
    parser.add_argument("--atheris", action="store_true", help="guided by coverage, until it is stopped")
    options, rest = parser.parse_known_args()
    targets = options.targets or list(NAMES)
    if unknown := sorted(set(targets) - set(NAMES)):
        parser.error(f"unknown target {unknown[0]!r}: choose from {', '.join(NAMES)}")
    if rest and not options.atheris:
        parser.error(f"unrecognized arguments: {' '.join(rest)}")
    if (options.atheris or options.input) and len(options.targets) != 1:
        parser.error("--atheris and --input need exactly one target")
    if options.atheris:
        with_atheris(targets[0], rest)
    from tests.fuzz.driver import run
    from tests.fuzz.targets import TARGETS

    if options.input:
        TARGETS[targets[0]](options.input.read_bytes())
        return 0
    for target in targets:
        count = run(target, options.seed, seconds=options.seconds)
        sys.stdout.write(f"{target}: {count} inputs, seed {options.seed}\n")
    return 0


def with_atheris(target: str, arguments: list[str]) -> None:
    """Fuzz with atheris, which never returns."""
    import atheris

    with atheris.instrument_imports(include=["ssm_ssh"]):
        from tests.fuzz.corpus import corpus
        from tests.fuzz.targets import TARGETS
    folder = Path(tempfile.mkdtemp(prefix=f"fuzz-{target}-"))
    for number, data in enumerate(corpus(target)):
        (folder / f"{number:04}").write_bytes(data)
    atheris.Setup([sys.argv[0], *arguments, str(folder)], TARGETS[target])
    atheris.Fuzz()


if __name__ == "__main__":
    sys.exit(main())
