"""A computer whose clock is wrong: AWS refuses its signatures, and tells the time with that."""

from __future__ import annotations

import subprocess
import sys

import pytest

from ssm_ssh.lab import Lab, LabOptions
from tests.e2e.world import without_waiting

pytestmark = pytest.mark.e2e

_PROXY = """\
import sys, time
real = time.time
time.time = lambda: real() + {off}
from ssm_ssh.cli.main import main
sys.exit(main(sys.argv[1:]))
"""


@pytest.mark.parametrize("off", [-7200, 3600])
def test_a_wrong_clock_is_corrected_by_what_aws_says(tmp_path_factory: pytest.TempPathFactory, off: int) -> None:
    folder = tmp_path_factory.mktemp("c")
    script = folder / "proxy.py"
    script.write_text(_PROXY.format(off=off))
    with Lab(LabOptions(instances=1), base=folder) as lab:
        where = lab.instances[0]
        command = f"-oProxyCommand={sys.executable} {script} proxy %n %p %r"
        done = subprocess.run(
            ["ssh", command, where.destination, "echo reached"],
            env=lab.env,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=100,
        )
        assert (done.stdout, without_waiting(done.stderr)) == ("reached\n", "")
        assert "InvalidSignatureException" in {one["error"] for one in lab.calls()}
