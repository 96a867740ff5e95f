"""The demonstration where there is little: no system sshd, no rsync."""

from __future__ import annotations

import io
import shutil
from pathlib import Path

import pytest

from ssm_ssh.errors import UsageError
from ssm_ssh.lab import LabOptions, demo


@pytest.mark.e2e
def test_it_works_without_a_system_sshd_and_says_that_rsync_is_missing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for tool in ("sh", "ssh", "scp", "sftp", "ssh-keygen", "id", "tr", "printf", "cat"):
        (tmp_path / tool).symlink_to(shutil.which(tool) or f"/missing/{tool}")
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(demo, "OPTIONS", LabOptions(instances=1, sshd="embedded"))
    out = io.StringIO()
    assert demo.run(out) == 0, out.getvalue()
    assert "there is no rsync on this machine" in out.getvalue()
    assert "$ rsync" not in out.getvalue()


@pytest.mark.e2e
def test_a_step_that_goes_wrong_is_marked_and_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    denied = {"operation": "StartSession", "code": "AccessDeniedException", "status": 400, "message": "no", "count": 99}
    monkeypatch.setattr(demo, "OPTIONS", LabOptions(instances=1, faults={"api": denied}))
    out = io.StringIO()
    assert demo.run(out) == 1
    assert "THIS IS NOT AS IT SHOULD BE" in out.getvalue()
    assert "steps failed" in out.getvalue()


def test_without_ssh_it_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(UsageError, match="there is no ssh"):
        demo.run(io.StringIO())
