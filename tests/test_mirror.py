"""The tests mirror the checkout: tests/X/test_Y.py, or tests/X/test_Y_WORDS.py, tests ssm_ssh/X/Y, X/Y or tests/Y."""

from __future__ import annotations

from pathlib import Path

import pytest

TESTS = Path(__file__).parent
CHECKOUT = TESTS.parent

EXCEPTIONS = {
    "the installed program against a lab": ("e2e/", "compatibility/"),
    "AWS's own programs against a lab": ("official/",),
    "what several modules have in common": (
        *("aws/test_differential.py", "aws/test_secrets.py", "cli/test_bad_input.py", "cli/test_full_disk.py"),
        "tunnel/test_simulation.py",
    ),
    "tools": ("fuzz/", "test_mirror.py", "test_distribution.py", "test_documented_waits.py", "test_uninstall.py"),
}
EXCEPTED = tuple(path for paths in EXCEPTIONS.values() for path in paths)
FILES = sorted(file.relative_to(TESTS) for file in TESTS.rglob("test_*.py"))


def named(file: Path) -> list[Path]:
    """Return the modules, folders, scripts and pages that `file` tests according to its name."""
    words = file.stem.removeprefix("test_").split("_")
    names = {"_".join(words[:count]) for count in range(1, len(words) + 1)}
    folders = [CHECKOUT / "ssm_ssh" / file.parent, CHECKOUT / file.parent]
    if file.parent == Path():
        folders.append(TESTS)
    paths = [path for folder in folders if folder.is_dir() for path in folder.iterdir()]
    return [path for path in paths if path.stem.lower() in names]


@pytest.mark.parametrize("file", [file for file in FILES if not file.as_posix().startswith(EXCEPTED)], ids=str)
def test_each_test_file_names_what_it_tests(file: Path) -> None:
    assert named(file), f"tests/{file}: name it after the module that it tests, or give it a place in EXCEPTIONS"


def test_each_exception_is_needed() -> None:
    for path in EXCEPTED:
        assert (TESTS / path).exists(), path
        assert path.endswith("/") or not named(Path(path)), path
