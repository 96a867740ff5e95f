"""The forwards in the background: recorded, listed while they run, and stopped."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from ssm_ssh.forward import records
from ssm_ssh.storage import paths, process_mark

ID = "i-0123456789abcdef0"


@pytest.fixture(autouse=True)
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    return paths.state_folder()


def test_a_process_is_listed_until_it_is_taken_out() -> None:
    records.add(ID, [(["127.0.0.1:5432", "[::1]:5432"], "db:5432")])
    (record,) = records.running()
    assert (record.pid, record.instance_id, record.ports) == (os.getpid(), ID, {"5432"})
    records.remove()
    assert records.running() == []


def test_a_process_that_is_gone_or_whose_number_another_has_is_not_listed(state: Path) -> None:
    records.add(ID, [(["127.0.0.1:1"], "db:1")])
    (file,) = state.rglob(records.NAME)
    content = json.loads(file.read_text())
    pid, started, here = process_mark.own().split("-")
    marks = [
        f"{2**22 + 1}-{started}-{here}",
        f"{pid}-1-{here}",
        f"0-{started}-{here}",
        f"{pid}-{started}-{'0' * 12}",
        "",
    ]
    for change in (*({"mark": mark} for mark in marks), {"forwards": [1]}, {"instance_id": "x"}):
        row = {**records.running()[0]._asdict(), **change}
        file.write_text(json.dumps({**content, "forwards": [row]}))
        assert records.running() == []
        file.write_text(json.dumps(content))


def test_stop_waits_for_the_end() -> None:
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as child:
        mark = process_mark.of(child.pid)
        record = records.Record(mark, 0.0, ID, ())
        assert records.stop(record, 10.0)
    assert records.stop(record, 1.0)


def test_a_forward_of_another_machine_with_the_same_home_stays_recorded(state: Path) -> None:
    records.add(ID, [(["127.0.0.1:1"], "db:1")])
    (file,) = state.rglob(records.NAME)
    content = json.loads(file.read_text())
    (row,) = content["forwards"]
    elsewhere = {**row, "mark": f"4321-1234-{'0' * 12}"}
    file.write_text(json.dumps({**content, "forwards": [elsewhere, row]}))
    records.remove()
    assert records.running() == []
    assert json.loads(file.read_text())["forwards"] == [elsewhere]
