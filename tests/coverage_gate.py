"""Run the unit tests of the pure part and require that they cover each of its lines and branches.

    python -m tests.coverage_gate [arguments of pytest]

Hypothesis draws the same few examples each time, so that the result does not depend on luck: what only a rare example
reaches deserves a test that says so. Tests of how work grows with its input are left out, for coverage slows them.
"""

from __future__ import annotations

import os
import re
import sys

import coverage
import pytest

from tests.pure import TESTS, covered_files, test_files

SELECTION = ("-m", "unit and not long", "-k", "not in_proportion")
_UNEXPLAINED = re.compile(r"pragma: no (?:cover|branch)\s*$", re.MULTILINE)


def main(arguments: list[str]) -> int:
    """Run, report and return the exit status."""
    files = [str(file) for file in covered_files()]
    unexplained = [file for file in covered_files() if _UNEXPLAINED.search(file.read_text(encoding="utf-8"))]
    if unexplained:
        print(*(f"{file}: '# pragma: no cover' needs its reason on the same line" for file in unexplained), sep="\n")
        return 1
    os.environ["SSM_SSH_TESTS_HYPOTHESIS"] = "coverage"
    measured = coverage.Coverage(data_file=None, config_file=str(TESTS.parent / "pyproject.toml"), include=files)
    measured.start()
    status = pytest.main(["-p", "no:xdist", "-p", "no:cacheprovider", *SELECTION, *arguments, *map(str, test_files())])
    measured.stop()
    if status:
        return int(status)
    measured.get_data().touch_files(files)  # a module that no test imports counts as not covered
    total = measured.report(show_missing=True, skip_covered=True)
    if total < 100:
        print("Coverage of the pure part must be 100 %. Add tests that state behavior, or remove dead code.")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
