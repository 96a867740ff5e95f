"""installer.running: progress, and a failure's cause."""

from __future__ import annotations

import io
from pathlib import Path

import pytest

from installer import running
from installer.faults import Fault


@pytest.mark.parametrize(
    ("line", "text"),
    [
        ("  Downloading botocore-1.44.5-py3-none-any.whl (15.8 MB)", "botocore 1.44.5 (15.8 MB)"),
        ("  Downloading cffi-2.1.1-cp311-cp311-manylinux_2_17_x86_64.whl (217 kB)", "cffi 2.1.1 (217 kB)"),
        ("  Downloading https://host/p/six-1.17.0-py2.py3-none-any.whl (11 kB)", "six 1.17.0 (11 kB)"),
        ("  Downloading six-1.17.0-py2.py3-none-any.whl.metadata (1 kB)", ""),
        ("Processing /wheels/python_dateutil-2.9.0.post0-py3-none-any.whl", "python-dateutil 2.9.0.post0"),
        ("Downloading botocore (15.8MiB)", "botocore (15.8MiB)"),
        ("Installing collected packages: a, b, c", "unpacking 3 packages"),
        ("Installing collected packages: a", ""),
        ("WARNING: Retrying (Retry(total=4", "the package index does not answer; trying again"),
        ("Collecting six", ""),
    ],
)
def test_what_is_worth_showing_of_a_line(line: str, text: str) -> None:
    assert running.describe(line) == text


def test_progress_is_a_line_each_where_there_is_no_terminal(tmp_path: Path) -> None:
    out = io.StringIO()
    running.run(
        ["/bin/sh", "-c", "echo 'Downloading a (1MiB)'; echo 'Downloading a (1MiB)'"], "x", root=tmp_path, out=out
    )
    assert out.getvalue() == "  a (1MiB)\n"


def test_a_program_that_fails_in_silence_on_a_full_disk_failed_for_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(running, "free", lambda folder: 4096)
    with pytest.raises(Fault, match=f"no space is left in {tmp_path}"):
        running.run(["/bin/sh", "-c", "echo 'returned non-zero exit status 1'; exit 1"], "x", root=tmp_path)


def test_a_program_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(Fault, match="/nonexistent/uv cannot be run: No such file"):
        running.run(["/nonexistent/uv"], "x", root=tmp_path)
