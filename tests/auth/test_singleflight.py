"""One push for many processes."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from ssm_ssh.aws.config.settings import load
from ssm_ssh.aws.credentials.fingerprint import credential_source

PROGRAM = """
import os, pathlib, sys, time
from ssm_ssh.errors import AccessDenied, SsmSshError
from ssm_ssh.auth import singleflight as sharing
folder, fails = pathlib.Path(sys.argv[1]), sys.argv[2] == "fails"
os.environ["XDG_STATE_HOME"] = str(folder / "state")
sys.stdin.read()
def push():
    with (folder / "pushes").open("a") as file:
        file.write("x")
    until = time.monotonic() + 30
    while (folder / "hold").exists() and time.monotonic() < until:
        time.sleep(0.01)
    if fails:
        raise AccessDenied("no", "ask", code="AccessDeniedException", operation="SendCommand", status=400)
    return sharing.Pushed("eic", time.time() + 60, "said")
try:
    pushed = sharing.share("about", 60.0, push)
    print(pushed.method, pushed.notice)
except SsmSshError as error:
    print(type(error).__name__, error.message, error.hint, error.code, error.operation, error.status)
"""


def run(folder: Path, what: str) -> set[str]:
    started = [
        subprocess.Popen(
            [sys.executable, "-c", PROGRAM, str(folder), what],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for _ in range(8)
    ]
    return {process.communicate("")[0] for process in started}


def test_eight_processes_push_once(tmp_path: Path) -> None:
    assert run(tmp_path, "works") == {"eic said\n"}
    assert (tmp_path / "pushes").read_text() == "x"


def test_every_process_that_waited_for_a_push_gets_its_failure(tmp_path: Path) -> None:
    (tmp_path / "hold").touch()
    started = [
        subprocess.Popen(
            [sys.executable, "-c", PROGRAM, str(tmp_path), "fails"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for _ in range(6)
    ]
    for process in started:
        assert process.stdin
        process.stdin.close()
        process.stdin = None
    (tmp_path / "hold").unlink()
    said = {process.communicate()[0] for process in started}
    assert said == {"AccessDenied no ask AccessDeniedException SendCommand 400\n"}
    assert 1 <= len((tmp_path / "pushes").read_text()) <= 6


def test_a_push_is_shared_by_those_whose_credentials_are_the_same(tmp_path: Path) -> None:
    (tmp_path / "config").write_text("[profile x]\nrole_arn = r\n[profile y]\n")
    credentials = tmp_path / "credentials"
    credentials.write_text("[x]\naws_access_key_id = AKIDX\naws_secret_access_key = S3cret\n")
    home = {"HOME": str(tmp_path), "AWS_CONFIG_FILE": str(tmp_path / "config"), "AWS_REGION": "eu-central-1"}
    home["AWS_SHARED_CREDENTIALS_FILE"] = str(credentials)
    keys = {"AWS_ACCESS_KEY_ID": "AKIDE", "AWS_SECRET_ACCESS_KEY": "S3cret", "AWS_SESSION_TOKEN": "S3cret"}

    def by(profile: str | None = None, **env: str) -> tuple[str, ...]:
        found = credential_source(load(profile=profile, env=home | env))
        assert "S3cret" not in repr(found)
        return found

    # Keys in the environment win over AWS_PROFILE, and not over a profile that was named for this connection.
    assert by(**keys) == by(**keys, AWS_PROFILE="x")
    assert by(AWS_PROFILE="x") == by("x")
    token = {"AWS_WEB_IDENTITY_TOKEN_FILE": "/token", "AWS_ROLE_ARN": "r"}
    apart = [by(**keys), by(**keys | {"AWS_ACCESS_KEY_ID": "B"}), by("x"), by("y"), by("x", **keys)]
    apart += [by(**token), by(**token, AWS_PROFILE="x"), by("x", **token)]
    credentials.write_text("[x]\naws_access_key_id = OTHER\naws_secret_access_key = S3cret\n")
    apart.append(by("x"))
    assert len(set(apart)) == len(apart)
