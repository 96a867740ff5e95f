from __future__ import annotations

import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ssm_ssh.aws.services import run_command
from ssm_ssh.aws.services.run_command import CommandOutput
from ssm_ssh.errors import CommandFailed
from ssm_ssh.hostkeys import instance_files
from ssm_ssh.hostkeys.instance_files import host_keys, read
from ssm_ssh.ssh.hostkey import Shown
from tests.ssh.streams import ed25519

if TYPE_CHECKING:
    from ssm_ssh.aws.api.client import Api

ONE, TWO = ed25519(1), ed25519(2)
NOT_BELIEVED = frozenset()


def run(folder: Path, shell: str = "sh") -> str:
    script = instance_files._SCRIPT.replace("MARK", "m").replace("/etc/ssh", str(folder))
    return subprocess.run([shell, "-c", script], capture_output=True, text=True, check=True).stdout


@pytest.mark.parametrize("end", ["", "\n", "\r\n"])
def test_keys_of_files_are_read(tmp_path: Path, end: str) -> None:
    (tmp_path / "ssh_host_a_key.pub").write_bytes(f"{ONE.line} root@h{end}".encode())
    (tmp_path / "ssh_host_b_key.pub").write_bytes(f"{TWO.line}{end}".encode())
    (tmp_path / "ssh_host_b_key").write_text("secret")
    output = run(tmp_path)
    assert "secret" not in output
    assert output.endswith("m done\n")
    assert read(output, "m") == Shown(frozenset({ONE, TWO}))


def test_no_file_is_no_key(tmp_path: Path) -> None:
    assert read(run(tmp_path), "m") == Shown(frozenset())


@pytest.mark.parametrize(
    "content",
    [
        f"{TWO.line}\n@cert-authority * {ONE.line}\n",
        f"@cert-authority * {TWO.line}\n",
        f"{TWO.line}\n{ONE.line}\n",
        f"{TWO.line}\n\n{ONE.line}\n",
        f"* {TWO.line}\n",
        "",
        "\n",
        f"{TWO.line}\nm end\nm begin\n{ONE.line}\n"[:-1].replace("m ", "n "),
        TWO.line[:-4] + "\n",
        f"{TWO.line} \u2028 x\n",
    ],
)
def test_a_file_with_anything_else_in_it_makes_all_doubtful(tmp_path: Path, content: str) -> None:
    (tmp_path / "ssh_host_a_key.pub").write_text(f"{ONE.line}\n")
    (tmp_path / "ssh_host_b_key.pub").write_text(content)
    found = read(run(tmp_path), "m")
    assert found.keys == NOT_BELIEVED
    assert found.doubt


@given(st.text())
def test_any_output_is_read(text: str) -> None:
    read(text, "m")
    found = read(f"m begin\n{text}\nm end\nm done\n", "m")
    assert found.keys <= {ONE}


def test_the_mark_cannot_be_foreseen_and_the_end_must_be_there(monkeypatch: pytest.MonkeyPatch) -> None:
    seen = []

    def run_script(api: Api, instance_id: str, script: str, *, timeout: float, comment: str) -> CommandOutput:
        mark = script.split("echo '")[1].split(" ", maxsplit=1)[0]
        seen.append(mark)
        return CommandOutput(*outcome(mark))

    monkeypatch.setattr(run_command, "run_script", run_script)
    outcome = lambda mark: (0, f"{mark} begin\n{ONE.line}\n\n{mark} end\n{mark} done\n", "")  # noqa: E731
    assert host_keys(None, "i-1", timeout=1) == Shown(frozenset({ONE}))
    assert host_keys(None, "i-1", timeout=1) == Shown(frozenset({ONE}))
    assert seen[0] != seen[1]
    for bad in ((1, "{} done\n"), (0, "")):
        outcome = lambda mark, bad=bad: (bad[0], bad[1].format(mark), "")  # noqa: E731
        with pytest.raises(CommandFailed):
            host_keys(None, "i-1", timeout=1)
