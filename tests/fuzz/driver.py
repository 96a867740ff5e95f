"""The driver that needs no fuzzer: mutates the corpus at random and keeps an input that fails."""

from __future__ import annotations

import math
import time
from hashlib import sha256
from pathlib import Path
from random import Random

from tests.fuzz.corpus import corpus
from tests.fuzz.mutate import mutated
from tests.fuzz.targets import TARGETS


def run(target: str, seed: int, *, seconds: float = math.inf, inputs: float = math.inf, folder: Path = Path()) -> int:
    """Run the corpus, then mutations of it, for so many seconds or inputs; returns the number of inputs.

    An input that fails is written to `folder`, and an AssertionError names it.
    """
    random, seeds = Random(f"{target} {seed}"), corpus(target)
    began, count = time.monotonic(), 0
    for data in seeds:
        _try(target, data, folder)
    while time.monotonic() < began + seconds and count < inputs:
        _try(target, mutated(random.choice(seeds), random.choice(seeds), random), folder)
        count += 1
    return len(seeds) + count


def _try(target: str, data: bytes, folder: Path) -> None:
    try:
        TARGETS[target](data)
    except Exception as error:
        file = folder / f"fuzz-{target}-{sha256(data).hexdigest()[:12]}.bin"
        file.write_bytes(data)
        raise AssertionError(f"run it again with: python -m tests.fuzz {target} --input {file}") from error
