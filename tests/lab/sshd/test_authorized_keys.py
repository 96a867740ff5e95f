"""Reading authorized_keys; ssh-keygen's and sshd's own judgement is in test_authorized_keys_login.py."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ssm_ssh.lab.sshd.authorized_keys import Grant, grant, read_file

KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIEXAMPLE"
NOW = 1_800_000_000.0


def judge(*lines: str, address: str = "127.0.0.1", now: float = NOW) -> Grant | None:
    return grant(list(lines), KEY, address=address, now=now)


def test_a_plain_line_allows_everything() -> None:
    assert judge("", "# nothing", "rubbish", f"  {KEY} someone@somewhere") == Grant(True, True, None)


def test_another_key_is_not_ours() -> None:
    assert judge("ssh-ed25519 AAAAOTHER") is None
    assert judge(f"ssh-rsa {KEY.split()[1]}") is None


def test_the_first_line_that_allows_counts() -> None:
    assert judge(f"no-such-option {KEY}", f"restrict {KEY}", KEY) == Grant(False, False, None)


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ("restrict", Grant(False, False, None)),
        ("restrict,pty", Grant(True, False, None)),
        ("no-pty,No-Port-Forwarding", Grant(False, False, None)),
        ('command="echo \\"a b\\", c" ,'.replace(" ,", ""), Grant(True, True, 'echo "a b", c')),
        ('environment="A=b",permitopen="h:1"', Grant(True, True, None)),
        ("", Grant(True, True, None)),
        ("cert-authority", None),
        ("from", None),
        ('from=""', None),
        ('from="127.0.0.1/33"', None),
    ],
)
def test_options(options: str, expected: Grant | None) -> None:
    assert judge(f"{options} {KEY}") == expected


@pytest.mark.parametrize(
    ("patterns", "address", "match"),
    [
        ("127.0.0.1,::1", "127.0.0.1", True),
        ("127.0.0.1,::1", "::1", True),
        ("::/0", "127.0.0.1", False),
        ("10.0.0.?", "10.0.0.7", True),
        ("10.0.0.[17]", "10.0.0.7", False),
        ("!10.0.0.0/8", "127.0.0.1", False),
        ("*,!10.0.0.0/8", "10.0.0.7", False),
    ],
)
def test_where_it_comes_from(patterns: str, address: str, match: bool) -> None:
    assert (judge(f'from="{patterns}" {KEY}', address=address) is not None) is match


@pytest.mark.parametrize("value", ["", "soon", "2099", "20991301", "209901010000000", "Z"])
def test_an_expiry_time_that_cannot_be_read_denies(value: str) -> None:
    assert judge(f'expiry-time="{value}" {KEY}') is None


@given(st.integers(-100_000, 100_000))
def test_an_expiry_time_is_a_moment(seconds: int) -> None:
    moment = NOW + seconds
    utc = time.strftime("%Y%m%d%H%M%SZ", time.gmtime(moment))
    local = time.strftime("%Y%m%d%H%M%S", time.localtime(moment))
    for value in (utc, local):
        assert (judge(f'expiry-time="{value}" {KEY}') is not None) is (seconds > 0)


@given(st.text())
def test_no_line_breaks_the_reader(text: str) -> None:
    judge(text, f"{text} {KEY}")


def test_only_a_plain_file_of_the_users_is_read(tmp_path: Path) -> None:
    home = tmp_path / "home"
    (home / ".ssh").mkdir(parents=True, mode=0o700)
    home.chmod(0o700)
    file = home / ".ssh" / "authorized_keys"
    assert read_file(home, os.getuid()) == []
    file.write_text(KEY + "\n")
    file.chmod(0o600)
    assert read_file(home, os.getuid()) == [KEY, ""]
    other = tmp_path / "other"
    file.rename(other)
    file.symlink_to(other)
    # Its folder, outside the home, is judged up to the root: /tmp is everybody's.
    assert read_file(home, os.getuid()) in ([], [KEY, ""])
    file.unlink()
    os.mkfifo(file, 0o600)
    assert read_file(home, os.getuid()) == []
