"""botocore's credentials from a process of its own: the same answers and errors, and nothing of it stays."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import termios
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from ssm_ssh.aws.config.settings import AwsSettings, load
from ssm_ssh.aws.credentials.helper_process import open_chain
from ssm_ssh.aws.credentials.source import CredentialSource
from ssm_ssh.errors import CredentialsError, SsmSshError


def settings(home: Path, profile: str, *, explicit: bool = False) -> AwsSettings:
    """Settings of `profile` as `home/.aws/config` has it; nothing else is in the environment."""
    env = {
        "HOME": str(home),
        "PATH": os.environ["PATH"],
        "AWS_REGION": "eu-west-1",
        "AWS_EC2_METADATA_DISABLED": "true",
    }
    if explicit:
        return load(profile=profile, env={**env, "AWS_ACCESS_KEY_ID": "AKIDENV", "AWS_SECRET_ACCESS_KEY": "env"})
    return load(env={**env, "AWS_PROFILE": profile})


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A home with a profile `p` whose keys a program prints, from `answer`."""
    (tmp_path / ".aws").mkdir()
    answer = tmp_path / "answer"
    (tmp_path / ".aws/config").write_text(
        f"[profile p]\ncredential_process = /bin/cat {answer}\n[profile none]\nregion = eu-west-1\n"
    )
    return tmp_path


def gives(home: Path, key: str, *, seconds: float | None = None) -> None:
    answer = {"Version": 1, "AccessKeyId": key, "SecretAccessKey": "S3cret", "SessionToken": "T0ken"}
    if seconds is not None:
        answer["Expiration"] = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() + seconds))
    (home / "answer").write_text(json.dumps(answer))


@pytest.mark.parametrize("explicit", [False, True])
def test_credentials_arrive_whole(home: Path, explicit: bool) -> None:
    gives(home, "AKIDPROCESS", seconds=3600)
    found = CredentialSource(settings(home, "p", explicit=explicit), isolate=True).get()
    assert (found.access_key, found.secret_key, found.token) == ("AKIDPROCESS", "S3cret", "T0ken")
    assert found.source == "custom-process (profile 'p')"
    assert found.expires is not None
    assert abs(found.expires - time.time() - 3600) < 300


def test_they_are_got_anew_when_they_end(home: Path) -> None:
    gives(home, "AKID1", seconds=3600)
    now = [time.time()]
    source = CredentialSource(settings(home, "p"), clock=lambda: now[0], isolate=True)
    assert source.get().access_key == "AKID1"
    gives(home, "AKID2", seconds=7200)
    assert source.get().access_key == "AKID1"
    now[0] += 3590
    assert source.get().access_key == "AKID2"


def test_an_error_is_the_one_that_botocore_would_have_led_to(home: Path) -> None:
    with pytest.raises(CredentialsError, match="no AWS credentials in the environment, for profile 'none'") as caught:
        open_chain(settings(home, "none"), may_ask=False)
    assert "aws configure" in caught.value.hint


def test_a_program_that_prints_nonsense_is_an_error_of_ours(home: Path) -> None:
    (home / "answer").write_text("S3cret")
    with pytest.raises(SsmSshError) as caught:
        open_chain(settings(home, "p"), may_ask=False)
    assert "S3cret" not in caught.value.sentence()


def test_a_process_that_cannot_be_started_is_an_error_of_ours(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "executable", str(home / "nothing"))
    with pytest.raises(CredentialsError, match="has failed"):
        open_chain(settings(home, "p"), may_ask=False)


def test_a_process_that_says_nothing_is_an_error_of_ours(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "executable", "/bin/true")
    with pytest.raises(CredentialsError, match="has failed"):
        open_chain(settings(home, "p"), may_ask=False)


def test_botocore_stays_out_of_the_process_that_asks(home: Path) -> None:
    gives(home, "AKIDPROCESS")
    program = (
        "import os, sys\n"
        "from ssm_ssh.aws.credentials.source import CredentialSource\n"
        "from ssm_ssh.aws.config.settings import load\n"
        "print(CredentialSource(load(), isolate=True).get().access_key, 'botocore' in sys.modules)\n"
    )
    env = dict(settings(home, "p").env)
    done = subprocess.run([sys.executable, "-I", "-c", program], env=env, capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["AKIDPROCESS", "False"]
    assert done.stderr == ""


def test_the_process_ends_with_the_one_that_asks(home: Path) -> None:
    fifo = home / "answer"
    os.mkfifo(fifo)
    child = subprocess.Popen(
        [sys.executable, "-I", "-m", "ssm_ssh.aws.credentials.helper_process"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env=dict(settings(home, "p").env),
    )
    assert child.stdin is not None
    child.stdin.write(question(may_ask=True))
    child.stdin.flush()
    with fifo.open("wb"):  # opens when the profile's program reads: the child waits for it
        child.stdin.close()
        assert child.wait(60) == 1
    assert child.stdout is not None
    child.stdout.close()


# Runs the process on a terminal of its own, until it asks there for an MFA code; then nobody waits for it any more.
ABANDONS = """
import fcntl, json, os, subprocess, sys, termios
terminal = os.open(sys.argv[1], os.O_RDWR)
fcntl.ioctl(terminal, termios.TIOCSCTTY, 0)
child = subprocess.Popen([sys.executable, "-I", "-m", "ssm_ssh.aws.credentials.helper_process"], stdin=subprocess.PIPE)
child.stdin.write(sys.argv[2].encode() + b"\\n")
child.stdin.flush()
sys.stdin.read()
child.stdin.close()
sys.exit(child.wait())
"""


def test_the_terminal_is_left_as_it_was(home: Path) -> None:
    (home / ".aws/config").write_text(
        "[profile p]\nrole_arn = arn:aws:iam::123456789012:role/r\nsource_profile = s\nmfa_serial = me\n"
        "[profile s]\naws_access_key_id = AKIDS\naws_secret_access_key = s\n"
    )
    asked = question(may_ask=True).decode().strip()
    screen, terminal = os.openpty()
    try:
        before = termios.tcgetattr(terminal)
        with subprocess.Popen(
            [sys.executable, "-I", "-c", ABANDONS, os.ttyname(terminal), asked],
            stdin=subprocess.PIPE,
            env=dict(settings(home, "p").env),
            start_new_session=True,
        ) as owner:
            seen = b""
            while b"MFA" not in seen:
                seen += os.read(screen, 1024)
            assert not termios.tcgetattr(terminal)[3] & termios.ECHO
            assert owner.stdin is not None
            owner.stdin.close()
            assert owner.wait(60) == 1
        # A busy machine may let the owner end before the process that asked has put the echo back.
        limit = time.monotonic() + 30
        while termios.tcgetattr(terminal) != before and time.monotonic() < limit:
            time.sleep(0.05)
        assert termios.tcgetattr(terminal) == before
    finally:
        os.close(screen)
        os.close(terminal)


def hanging(home: Path) -> Path:
    """Have profile `p` run a shell that starts a program and waits for it; returns the file for the shell's id.

    Both hold the write end of the FIFO `home`/held, so that its reader notices when the last of them has ended.
    """
    started = home / "started"
    script = home / "hang"
    script.write_text(
        f"exec 9>'{home}/held'\necho $$ >'{started}.new'\nmv '{started}.new' '{started}'\nsleep 3600\n:\n"
    )
    os.mkfifo(home / "held")
    (home / ".aws/config").write_text(f"[profile p]\ncredential_process = /bin/sh {script}\n")
    return started


def wait_for(file: Path) -> None:
    """Wait until `file` is there; the test's own time limit ends a wait in vain."""
    while not file.exists():
        time.sleep(0.02)


def question(*, may_ask: bool) -> bytes:
    settings = {"profile": "p", "explicit_profile": False, "region": "eu-west-1", "ca_bundle": None}
    settings |= {"connect_timeout": 5.0, "read_timeout": 5.0, "max_attempts": 1}
    return json.dumps({"settings": settings, "may_ask": may_ask}).encode() + b"\n"


def test_a_program_that_hangs_ends_with_all_that_it_started_where_no_person_is_asked(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    started = hanging(home)
    expire: list[Callable[[], None]] = []

    class Timer(threading.Timer):
        def start(self) -> None:
            expire.append(lambda: self.function(*self.args, **self.kwargs))
            super().start()

    monkeypatch.setattr(threading, "Timer", Timer)
    with ThreadPoolExecutor(1) as pool:
        asking = pool.submit(open_chain, settings(home, "p"), may_ask=False)
        with (home / "held").open("rb") as held:
            wait_for(started)
            expire[0]()
            with pytest.raises(CredentialsError, match="has failed"):
                asking.result()
            assert held.read() == b"", "the end of file comes when no process has it open"


def test_a_killed_helper_takes_its_programs_along(home: Path) -> None:
    started = hanging(home)
    with ThreadPoolExecutor(1) as pool:
        asking = pool.submit(open_chain, settings(home, "p"), may_ask=False)
        with (home / "held").open("rb") as held:
            wait_for(started)
            os.kill(os.getpgid(int(started.read_text())), signal.SIGKILL)  # the helper leads the group
            with pytest.raises(CredentialsError, match="has failed"):
                asking.result()
            assert held.read() == b""


def test_an_abandoned_helper_takes_its_programs_along(home: Path) -> None:
    started = hanging(home)
    with subprocess.Popen(
        [sys.executable, "-I", "-m", "ssm_ssh.aws.credentials.helper_process"],
        stdin=subprocess.PIPE,
        env=dict(settings(home, "p").env),
        start_new_session=True,
    ) as child:
        assert child.stdin is not None
        child.stdin.write(question(may_ask=False))
        child.stdin.flush()
        with (home / "held").open("rb") as held:
            wait_for(started)
            child.stdin.close()
            assert held.read() == b""
        assert child.wait() == -signal.SIGKILL


def test_a_program_that_may_ask_is_told_to_end_when_the_helper_is_abandoned(home: Path) -> None:
    started = home / "started"
    script = home / "hang"
    script.write_text(f"trap 'echo ended >>{started}; exit' TERM\necho began >{started}\nwhile :; do sleep 0.1; done\n")
    (home / ".aws/config").write_text(f"[profile p]\ncredential_process = /bin/sh {script}\n")
    with subprocess.Popen(
        [sys.executable, "-I", "-m", "ssm_ssh.aws.credentials.helper_process"],
        stdin=subprocess.PIPE,
        env=dict(settings(home, "p").env),
    ) as child:
        assert child.stdin is not None
        child.stdin.write(question(may_ask=True))
        child.stdin.flush()
        wait_for(started)
        child.stdin.close()
        assert child.wait() == 1
    while started.read_text() != "began\nended\n":
        time.sleep(0.02)
