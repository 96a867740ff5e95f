from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from ssm_ssh.aws.config.settings import load
from ssm_ssh.aws.credentials import botocore_chain
from ssm_ssh.aws.credentials.source import CredentialSource, get
from ssm_ssh.errors import CredentialsError, NetworkError, SsmSshError

if TYPE_CHECKING:
    from conftest import FakeAws

STATIC = "aws_access_key_id = AKIDBASE\naws_secret_access_key = secret\n"
ROLE = "role_arn = arn:aws:iam::123456789012:role/ops\nsource_profile = base\nrole_session_name = me\n"


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty home that is the process's own, for botocore reads that."""
    for name in list(os.environ):
        if name.startswith("AWS_") or "proxy" in name.lower():
            monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_REGION", "eu-west-1")
    (tmp_path / ".aws").mkdir()
    return tmp_path


def config(home: Path, text: str) -> None:
    (home / ".aws/config").write_text(text)


def failure(profile: str | None = None) -> SsmSshError:
    with pytest.raises(SsmSshError) as caught:
        get(load(profile=profile))
    assert caught.value.__suppress_context__ or caught.value.__context__ is None
    return caught.value


def assumed(end: float, number: int = 1) -> bytes:
    stamp = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(end))
    body = (
        '<AssumeRoleResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><AssumeRoleResult><AssumedRoleUser>'
        "<Arn>arn:aws:sts::123456789012:assumed-role/ops/me</Arn><AssumedRoleId>x:me</AssumedRoleId></AssumedRoleUser>"
        f"<Credentials><AccessKeyId>ASIAROLE{number}</AccessKeyId><SecretAccessKey>role-secret</SecretAccessKey>"
        f"<SessionToken>role-token</SessionToken><Expiration>{stamp}</Expiration></Credentials>"
        "</AssumeRoleResult></AssumeRoleResponse>"
    ).encode()
    return b"HTTP/1.1 200 OK\r\nContent-Type: text/xml\r\nContent-Length: %d\r\n\r\n" % len(body) + body


def sts_error(code: str, message: str) -> bytes:
    body = f"<ErrorResponse><Error><Code>{code}</Code><Message>{message}</Message></Error></ErrorResponse>".encode()
    return b"HTTP/1.1 403 X\r\nContent-Type: text/xml\r\nContent-Length: %d\r\n\r\n" % len(body) + body


def test_nothing_anywhere_names_the_places(home: Path) -> None:
    error = failure()
    assert isinstance(error, CredentialsError)
    for place in ("environment", "'default'", f"{home}/.aws/config", f"{home}/.aws/credentials", "metadata"):
        assert place in error.message
    assert "aws_secret_access_key to " in error.hint
    assert "aws configure" in error.hint


def test_process(home: Path) -> None:
    script = home / "give.py"
    end = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() + 3600))
    answer = {"Version": 1, "AccessKeyId": "AKIDPROC", "SecretAccessKey": "s", "SessionToken": "t", "Expiration": end}
    script.write_text(f"print('''{json.dumps(answer)}''')")
    config(home, f"[profile p]\ncredential_process = {sys.executable} {script}\n")
    found = get(load(profile="p"))
    assert (found.access_key, found.secret_key, found.token) == ("AKIDPROC", "s", "t")
    assert found.expires is not None
    assert "custom-process" in found.source


@pytest.mark.parametrize("body", ["import sys; sys.exit('no \\x1b[31m vault')", "print('{not json CANARY')"])
def test_process_that_fails(home: Path, body: str) -> None:
    (home / "give.py").write_text(body)
    config(home, f"[profile p]\ncredential_process = {sys.executable} {home / 'give.py'}\n")
    error = failure("p")
    assert "no credentials for profile 'p'" in error.message
    assert "CANARY" not in error.sentence()
    assert "\x1b" not in error.message
    assert "aws sts get-caller-identity --profile p" in error.hint


@pytest.mark.parametrize("token", ["CANARY\u2026", "CANARY\n", "CANARY\u00a0", "CANARY x"])
def test_process_that_gives_what_no_header_can_hold(home: Path, token: str) -> None:
    answer = {"Version": 1, "AccessKeyId": "AKIDPROC", "SecretAccessKey": "s", "SessionToken": token}
    (home / "answer").write_text(json.dumps(answer))
    config(home, f"[profile p]\ncredential_process = /bin/cat {home / 'answer'}\n")
    error = failure("p")
    assert isinstance(error, CredentialsError)
    assert "no key has" in error.message
    assert "CANARY" not in error.sentence()


@pytest.mark.parametrize("chained", [False, True])
def test_process_gets_nothing_of_the_ssh_stream(home: Path, aws: FakeAws, certificate: Path, chained: bool) -> None:
    (home / "give.py").write_text(
        "import json, sys\n"
        "key = 'READ' + sys.stdin.read()\n"
        "print(json.dumps({'Version': 1, 'AccessKeyId': key, 'SecretAccessKey': 's'}))\n"
    )
    process = f"credential_process = {sys.executable} {home / 'give.py'}\n"
    config(home, f"[profile base]\n{process}[profile p]\n{ROLE if chained else process}")
    aws.answers = [assumed(time.time() + 3600)]
    code = (
        "import os\nfrom ssm_ssh.aws.credentials.source import get\nfrom ssm_ssh.aws.config.settings import load\n"
        "print(get(load(profile='p')).access_key, os.read(0, 100).decode())"
    )
    env = {**os.environ, "AWS_ENDPOINT_URL_STS": aws.url, "AWS_CA_BUNDLE": str(certificate)}
    done = subprocess.run(
        [sys.executable, "-c", code], input=b"SSH-2.0-client", stdout=subprocess.PIPE, env=env, check=True
    )
    assert done.stdout.split() == [b"ASIAROLE1" if chained else b"READ", b"SSH-2.0-client"]
    if chained:
        assert "Credential=READ/" in aws.requests[0].headers["authorization"]


def test_refresh_asks_the_process_again(home: Path) -> None:
    script = 'print(\'{"Version": 1, "AccessKeyId": "AKID%d", "SecretAccessKey": "s"}\')'
    (home / "give.py").write_text(script % 1)
    config(home, f"[profile p]\ncredential_process = {sys.executable} {home / 'give.py'}\n")
    source = CredentialSource(load(profile="p"))
    first = source.get()
    assert source.refresh(first) is None
    (home / "give.py").write_text(script % 2)
    second = source.refresh(first)
    assert second is not None
    assert (first.access_key, second.access_key) == ("AKID1", "AKID2")


def test_profile_of_the_environment(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (home / "give.py").write_text('print(\'{"Version": 1, "AccessKeyId": "AKIDPROC", "SecretAccessKey": "s"}\')')
    config(home, f"[profile p]\ncredential_process = {sys.executable} {home / 'give.py'}\n")
    monkeypatch.setenv("AWS_PROFILE", "p")
    assert get(load()).access_key == "AKIDPROC"
    monkeypatch.setenv("AWS_PROFILE", "")
    assert "no AWS credentials" in failure().message


def test_program_that_does_not_exist(home: Path) -> None:
    config(home, "[profile p]\ncredential_process = /nonexistent/program\n")
    assert "/nonexistent/program" in failure("p").message


SSO = "sso_account_id = 123456789012\nsso_role_name = ops\n"


@pytest.mark.parametrize(
    "text",
    [
        f"[profile p]\n{SSO}sso_start_url = https://x.awsapps.com/start\nsso_region = eu-west-1\n",
        f"[profile p]\n{SSO}sso_session = s\n"
        "[sso-session s]\nsso_start_url = https://x.awsapps.com/start\nsso_region = eu-west-1\n",
    ],
)
def test_sso_without_login(home: Path, text: str) -> None:
    config(home, text)
    error = failure("p")
    assert isinstance(error, CredentialsError)
    assert error.hint == "Run: ssm-ssh login p"


def test_incomplete_sso(home: Path) -> None:
    config(home, f"[profile p]\n{SSO}")
    assert "missing required configuration" in failure("p").message


def test_source_profile_that_is_missing(home: Path) -> None:
    config(home, f"[profile p]\n{ROLE}")
    assert "base" in failure("p").message


class TestRole:
    @pytest.fixture(autouse=True)
    def sts(self, home: Path, aws: FakeAws, certificate: Path, monkeypatch: pytest.MonkeyPatch) -> FakeAws:
        monkeypatch.setenv("AWS_ENDPOINT_URL_STS", aws.url)
        monkeypatch.setenv("AWS_CA_BUNDLE", str(certificate))
        monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
        config(home, f"[profile base]\n{STATIC}[profile p]\n{ROLE}[profile m]\n{ROLE}mfa_serial = arn:mfa/me\n")
        return aws

    def test_is_assumed_once_and_kept_where_the_cli_keeps_it(self, home: Path, aws: FakeAws) -> None:
        end = time.time() + 3600
        aws.answers = [assumed(end)]
        first = get(load(profile="p"))
        assert first.access_key == "ASIAROLE1"
        assert first.expires == int(end)
        again = get(load(profile="p"))
        assert again.access_key == "ASIAROLE1"
        assert len(aws.requests) == 1
        cached = list((home / ".aws/cli/cache").glob("*.json"))
        assert len(cached) == 1
        assert cached[0].stat().st_mode & 0o077 == 0
        assert (home / ".aws/cli/cache").stat().st_mode & 0o077 == 0

    def test_works_in_a_home_that_cannot_be_written(self, home: Path, aws: FakeAws) -> None:
        (home / ".aws/cli").write_text("in the way")
        aws.answers = [assumed(time.time() + 3600)]
        assert get(load(profile="p")).access_key == "ASIAROLE1"

    def test_a_person_is_asked_once_whoever_needs_it(self, aws: FakeAws, monkeypatch: pytest.MonkeyPatch) -> None:
        asked = []
        monkeypatch.setattr(botocore_chain, "ask", lambda prompt: asked.append(prompt) or "123456")
        aws.answers = [assumed(time.time() + 3600)]
        source = CredentialSource(load(profile="m"))
        found = []
        threads = [threading.Thread(target=lambda: found.append(source.get())) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(asked) == 1
        assert [credentials.access_key for credentials in found] == ["ASIAROLE1"] * 4

    def test_is_renewed_when_it_ends(self, aws: FakeAws) -> None:
        aws.answers = [assumed(time.time() + 300, 1), assumed(time.time() + 3600, 2)]
        source = CredentialSource(load(profile="p"))
        source.get()
        source._clock = lambda: time.time() + 200
        assert source.get().access_key == "ASIAROLE2"

    def test_mfa_is_asked_for_by_our_prompter_alone(self, aws: FakeAws, monkeypatch: pytest.MonkeyPatch) -> None:
        asked = []
        monkeypatch.setattr(botocore_chain, "ask", lambda prompt: asked.append(prompt) or "123456")
        monkeypatch.setattr("getpass.getpass", lambda *_: pytest.fail("botocore asked"))
        aws.answers = [assumed(time.time() + 3600)]
        assert get(load(profile="m")).access_key == "ASIAROLE1"
        assert asked == ["Enter MFA code for arn:mfa/me: "]
        assert b"TokenCode=123456" in aws.requests[0].body

    def test_mfa_without_terminal(self, monkeypatch: pytest.MonkeyPatch) -> None:
        def no_terminal(_prompt: str) -> str:
            raise CredentialsError("an MFA code is needed, but there is no terminal to ask for it", "hint")

        monkeypatch.setattr(botocore_chain, "ask", no_terminal)
        assert "no terminal" in failure("m").message

    def test_mfa_is_not_asked_for_in_the_middle_of_a_session(
        self, aws: FakeAws, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(botocore_chain, "ask", lambda _prompt: "123456")
        aws.answers = [assumed(time.time() + 300)]
        source = CredentialSource(load(profile="m"))
        first = source.get()
        source._clock = lambda: time.time() + 301
        monkeypatch.setattr(botocore_chain, "ask", lambda _prompt: pytest.fail("asked again"))
        with pytest.raises(CredentialsError, match="MFA"):
            source.get()
        with pytest.raises(CredentialsError, match="MFA"):
            source.refresh(first)

    @pytest.mark.parametrize(
        ("code", "message", "hint"),
        [
            ("AccessDenied", "User is not authorized", "role_arn in profile 'p'"),
            ("ExpiredToken", "The security token is expired", "Renew the credentials"),
            (
                "AccessDenied",
                "MultiFactorAuthentication failed with invalid MFA one time pass code.",
                "Wait for the next MFA code",
            ),
            ("Strange", "x\r\ny", "aws sts get-caller-identity --profile p"),
        ],
    )
    def test_refusals(self, aws: FakeAws, code: str, message: str, hint: str) -> None:
        aws.answers = [sts_error(code, message)]
        error = failure("p")
        assert f"AssumeRole for profile 'p' failed: {code}" in error.message
        assert hint in error.hint
        assert "\n" not in error.message

    def test_a_role_that_may_not_be_assumed_keeps_the_reason(self, aws: FakeAws) -> None:
        role = f"arn:aws:iam::123456789012:role/{'t' * 40}"
        about = f"User: arn:aws:sts::123456789012:assumed-role/{'r' * 64}/{'s' * 64} is not authorized to perform: "
        reason = "with an explicit deny in a service control policy"
        aws.answers = [sts_error("AccessDenied", f"{about}sts:AssumeRole on resource: {role} {reason}")]
        told = f"sts:AssumeRole is denied on {role}: an explicit deny in the service control policy"
        assert told in failure("p").sentence()

    def test_no_way_there(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("AWS_ENDPOINT_URL_STS", "https://127.0.0.1:1")
        assert isinstance(failure("p"), NetworkError)

    def test_untrusted(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.delenv("AWS_CA_BUNDLE")
        assert "certificate" in failure("p").message
