"""docs/compatibility.md and tests/compatibility agree; `tests/long compatibility` runs the programs themselves."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

from tests.compatibility.programs import FOLDER, NOT, PROGRAMS, READ, RUN, SETTING, UNKNOWN, WORKS, Program, versions
from tests.compatibility.snippets import PRELUDE, SNIPPETS

PAGE = FOLDER.parents[1] / "docs" / "compatibility.md"


def source(key: str) -> str:
    """Return what the test of a program runs, with the file that it names."""
    script = SNIPPETS[key]
    files = re.findall(r"\$here/(use_\w+\.\w+)", script)
    return script + "".join((FOLDER / name).read_text(encoding="utf-8") for name in files)


def test_what_is_said_to_be_run_is_run() -> None:
    assert {key for key, program in PROGRAMS.items() if program.checked == RUN} == SNIPPETS.keys()
    assert {program.checked for program in PROGRAMS.values()} == {RUN, READ}


def test_every_program_that_is_run_has_its_version() -> None:
    assert versions().keys() == SNIPPETS.keys()
    assert all(re.match(r"(\d+:)?v?\d+[.\d]", version) for version in versions().values()), versions()


@pytest.mark.parametrize("program", PROGRAMS.values(), ids=lambda program: program.key)
def test_a_row_says_what_to_write_or_why_not(program: Program) -> None:
    assert program.verdict in (WORKS, SETTING, NOT, UNKNOWN)
    assert (program.verdict == SETTING) == bool(program.setting)
    if program.verdict in (NOT, UNKNOWN):
        assert program.note
    if program.setting and program.checked == RUN:
        assert program.setting in source(program.key)


def test_each_file_that_is_there_is_used() -> None:
    used = {name for script in SNIPPETS.values() for name in re.findall(r"\$here/(use_\w+\.\w+)", script)}
    assert {path.name for path in FOLDER.glob("use_*")} == used


@pytest.mark.needs("bash")
@pytest.mark.parametrize("key", SNIPPETS)
def test_a_script_can_be_read_and_checks_what_came_back(key: str, tmp_path: Path) -> None:
    script = tmp_path / "script"
    script.write_text(PRELUDE + SNIPPETS[key])
    done = subprocess.run(["bash", "-n", str(script)], capture_output=True, text=True)
    assert done.stderr == ""
    assert re.search(r"\b(same|cmp|grep -qx)\b", SNIPPETS[key]) or key in ("agent-forwarding",)


def test_the_page_has_an_anchor_for_each_link() -> None:
    text = PAGE.read_text(encoding="utf-8")
    for anchor in re.findall(r"\]\(#([\w-]+)\)", text):
        headings = re.findall(r"^#+ (.*)$", text, re.MULTILINE)
        assert anchor in {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}
