"""The forwards in the background: recorded, listed while they run, and stopped."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from ssm_ssh.forward import records
from ssm_ssh.storage import paths

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
    for change in ({"pid": 2**22 + 1}, {"birth": "1"}, {"pid": 0}, {"forwards": [1]}, {"instance_id": "x"}):
        row = {**records.running()[0]._asdict(), **change} if not change.get("x") else {}
        file.write_text(json.dumps({**content, "forwards": [row]}))
        assert records.running() == []
        file.write_text(json.dumps(content))


def test_stop_waits_for_the_end() -> None:
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as child:
        record = records.Record(child.pid, records._birth(child.pid), 0.0, ID, ())
        assert records.stop(record, 10.0)
    assert records.stop(record, 1.0)
