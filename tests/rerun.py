"""Runs the few tests that failed once more, one after another: `python -m tests.rerun`, after a run of pytest.

A test that drives real programs can fail on a busy machine for no fault of the product. It is still a fault, of the
test, and the last line names it. But one unlucky test among thousands is no reason to refuse a change. More than LIMIT
failures, or a test that fails again, are. CPython's own test suite does the same.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

LIMIT = 5
_FAILED = Path(".pytest_cache/v/cache/lastfailed")


def main() -> int:
    """Return 0 if all that failed passes now, else 1."""
    failed = sorted(json.loads(_FAILED.read_text()) if _FAILED.exists() else [])
    if not failed or len(failed) > LIMIT or not all("::" in name for name in failed):
        return 1
    print(f"tests.rerun: {len(failed)} failed; once more, alone", flush=True)
    if pytest.main(["-p", "no:xdist", *failed]) != pytest.ExitCode.OK:
        return 1
    print(f"tests.rerun: UNLUCKY, to be mended: {', '.join(failed)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
