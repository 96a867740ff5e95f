"""`ssm-ssh exec` where a document is out of order, and where the network breaks around the command."""

from __future__ import annotations

import shlex
import tempfile
from pathlib import Path

import pytest

from ssm_ssh.lab import LabInstance
from tests.e2e.test_exec import NON_INTERACTIVE, both, documents, run, there  # noqa: F401 -- fixtures
from tests.e2e.world import World

pytestmark = pytest.mark.e2e

INTERACTIVE = "AWS-StartInteractiveCommand"


@pytest.mark.parametrize("how", ["missing", "plain", "denied"])
def test_a_document_that_cannot_be_used_has_a_substitute(both: World, how: str) -> None:  # noqa: F811
    web = both.lab.instances[0]
    both.lab.fault("document", document=NON_INTERACTIVE, how=how)
    try:
        done = run(both, web, "sh", "-c", "echo out; echo err >&2; exit 3")
    finally:
        both.lab.clear_faults()
    assert (done.status, done.stdout, done.stderr) == (3, b"out\n", "err\n")


@pytest.mark.parametrize(
    ("how", "words"), [("missing", "AWS-StartNonInteractiveCommand"), ("denied", "ssm:StartSession")]
)
def test_without_a_substitute_the_first_obstacle_is_told(both: World, how: str, words: str) -> None:  # noqa: F811
    web = both.lab.instances[0]
    for document in (NON_INTERACTIVE, INTERACTIVE):
        both.lab.fault("document", document=document, how=how)
    try:
        done = run(both, web, "true")
    finally:
        both.lab.clear_faults()
    assert done.status == 255
    assert done.stdout == b""
    assert words in done.stderr
    assert len(done.stderr.splitlines()) == 1


# Bytes of frames: within the handshake, about the command's start, its output and its end. Where the agent stops
# passing output on, the result is known to be lost after five minutes.
MOMENTS = [400, 1500, 2500, 3200, 3800, 4500, 5500, 7000]


@pytest.mark.timeout(600)
@pytest.mark.parametrize(
    "after", [moment if moment in (400, 7000) else pytest.param(moment, marks=pytest.mark.long) for moment in MOMENTS]
)
def test_a_cut_around_the_command_never_runs_it_twice(
    both: World,  # noqa: F811
    there: LabInstance,  # noqa: F811
    after: int,
) -> None:
    with tempfile.TemporaryDirectory() as folder:  # pytest's own are for this user alone
        Path(folder).chmod(0o777)
        check_runs(both, there, after, Path(folder) / "runs")


def check_runs(both: World, there: LabInstance, after: int, runs: Path) -> None:  # noqa: F811
    both.lab.fault("cut", after=after, side="client", count=1)
    try:
        script = f"echo x >> {shlex.quote(str(runs))}; seq 1 200; exit 5"
        words = ("ssm-ssh", "exec", there.instance_id, "--", "sh", "-c", script)
        done = both.run(*words, env=both.env_of("commands"), expect=None, limit=400)
    finally:
        both.lab.clear_faults()
    ran = runs.read_text().count("x") if runs.exists() else 0
    if done.status == 5:
        assert ran == 1
        assert done.stdout == b"".join(b"%d\n" % number for number in range(1, 201))
    else:
        assert done.status in (254, 255), done
        assert "is unknown" in done.stderr or done.status == 255
        assert ran <= (1 if done.status == 254 else 0), done
