# Over 350 lines: one lab with SSO and sign-in serves every kind of login.
"""`ssm-ssh login` against the lab's services, and the AWS SDK on the caches that each of the two writes."""

from __future__ import annotations

import json
import os
import re
import socket
import stat
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import botocore.credentials
import botocore.session
import botocore.tokens
import pytest

from ssm_ssh.aws.config.settings import load
from ssm_ssh.aws.credentials.source import get
from ssm_ssh.aws.login.cache import moment, sign_in_name, sso_token_name, timestamp
from ssm_ssh.cli import login as command
from ssm_ssh.cli import output
from ssm_ssh.cli.main import main
from ssm_ssh.errors import CredentialsError, NetworkError
from tests.loginlab import LoginLab, clear_environment, running


@pytest.fixture
def lab(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[LoginLab]:
    clear_environment(monkeypatch)
    with running(tmp_path) as lab:
        for name, value in lab.env.items():
            monkeypatch.setenv(name, value)
        # botocore looks at HOME for these when it is imported.
        for kind in (botocore.credentials.SSOProvider, botocore.tokens.SSOTokenProvider):
            monkeypatch.setattr(kind, "_SSO_TOKEN_CACHE_DIR", str(lab.home / ".aws/sso/cache"))
        yield lab


class Person:
    """Somebody at a browser: opens each URL that the command shows or opens, in a thread."""

    def __init__(self, lab: LoginLab, monkeypatch: pytest.MonkeyPatch) -> None:
        self.decision = "allow"
        self.opened: list[str] = []
        self._lab = lab
        self._threads: list[threading.Thread] = []
        monkeypatch.setattr(command, "_open_browser", self.open)

    def open(self, url: str) -> bool:
        self.opened.append(url)
        self._threads.append(threading.Thread(target=self._visit, args=(url,)))
        self._threads[-1].start()
        return True

    def _visit(self, url: str) -> None:
        try:
            self._lab.visit(url, self.decision)
        except OSError:
            assert self.decision == "deny"  # our page says so with status 403

    def join(self) -> None:
        for thread in self._threads:
            thread.join()


@pytest.fixture
def person(lab: LoginLab, monkeypatch: pytest.MonkeyPatch) -> Iterator[Person]:
    person = Person(lab, monkeypatch)
    yield person
    person.join()


def caller(lab: LoginLab, access_key: str) -> str:
    return lab.state.identities[access_key].name


def token_file(lab: LoginLab, session: str = "lab") -> Path:
    return lab.home / ".aws/sso/cache" / sso_token_name(lab.state.start_url, session)


def by_botocore(profile: str) -> botocore.credentials.ReadOnlyCredentials:
    session = botocore.session.Session(profile=profile)
    credentials = session.get_credentials()
    assert credentials is not None
    return credentials.get_frozen_credentials()


@pytest.mark.parametrize(("profile", "session"), [("sso", "lab"), ("sso-inline", "")])
def test_browser(lab: LoginLab, person: Person, capsys: pytest.CaptureFixture[str], profile: str, session: str) -> None:
    assert main(["login", profile]) == 0
    shown = capsys.readouterr()
    assert person.opened[0] in shown.err
    assert shown.out.startswith(f"Logged in to {lab.state.start_url} until 20")
    document = json.loads(token_file(lab, session).read_bytes())
    assert set(document) == {
        *("startUrl", "region", "accessToken", "expiresAt", "clientId", "clientSecret", "registrationExpiresAt"),
        "refreshToken",
    }
    assert caller(lab, get(load(profile=profile)).access_key) == "sso"
    assert caller(lab, by_botocore(profile).access_key) == "sso"


def test_what_is_written_is_for_its_owner_alone(lab: LoginLab, person: Person) -> None:
    old = os.umask(0)
    try:
        assert main(["login", "sso"]) == 0
    finally:
        os.umask(old)
    folder = lab.home / ".aws/sso/cache"
    files = list(folder.iterdir())
    assert len(files) == 2  # the token and the registration
    assert {stat.S_IMODE(file.stat().st_mode) for file in files} == {0o600}
    assert {stat.S_IMODE(kept.stat().st_mode) for kept in (folder, folder.parent)} == {0o700}


def test_a_folder_that_others_could_write_to_is_closed_to_them(lab: LoginLab, person: Person) -> None:
    folder = lab.home / ".aws/sso/cache"
    folder.mkdir(parents=True)
    folder.chmod(0o775)  # as the AWS CLI makes it under the umask of many distributions
    assert main(["login", "sso"]) == 0
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700


def test_a_registration_serves_again_until_another_is_asked_for(lab: LoginLab, person: Person) -> None:
    for words, registrations in (([], 1), ([], 1), (["--new-registration"], 2)):
        assert main(["login", "sso", *words]) == 0
        assert [name for name, _ in lab.calls()].count("RegisterClient") == registrations


def test_the_login_of_a_role_is_that_of_its_source(lab: LoginLab, person: Person) -> None:
    with lab.config.open("a") as file:
        file.write("[profile ops]\nrole_arn = arn:aws:iam::123456789012:role/ops\nsource_profile = sso\n")
    assert main(["login", "ops"]) == 0
    assert token_file(lab).exists()


def test_the_profile_of_the_environment(lab: LoginLab, person: Person, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_PROFILE", "sso")
    assert main(["login"]) == 0
    assert token_file(lab).exists()


def test_a_session_by_its_own_name(lab: LoginLab, person: Person) -> None:
    assert main(["login", "--sso-session", "lab"]) == 0
    assert token_file(lab).exists()


def test_denied_in_the_browser(lab: LoginLab, person: Person, capsys: pytest.CaptureFixture[str]) -> None:
    person.decision = "deny"
    assert main(["login", "sso"]) == 1
    assert "ssm-ssh: the login was denied in the browser" in capsys.readouterr().err
    assert not token_file(lab).exists()


class TestDeviceCode:
    """--no-browser, with a person who reads the command's stderr."""

    @pytest.fixture(autouse=True)
    def shown(self, monkeypatch: pytest.MonkeyPatch) -> list[str]:
        shown: list[str] = []
        monkeypatch.setattr(output, "note", shown.append)
        return shown

    def log_in(self, *words: str) -> int:
        return main(["login", "sso", "--no-browser", *words])

    def decide(self, lab: LoginLab, shown: list[str], decision: str, monkeypatch: pytest.MonkeyPatch) -> None:
        def sleep(seconds: float) -> None:
            lab.early += seconds
            calls = [name for name, _ in lab.calls()].count("CreateToken")
            if calls == 2:
                lab.visit(re.findall(r"https://\S+user_code=\S+", "\n".join(shown))[0], decision)

        monkeypatch.setattr(time, "sleep", sleep)

    def test_is_asked_for_until_it_is_confirmed(
        self, lab: LoginLab, shown: list[str], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        self.decide(lab, shown, "allow", monkeypatch)
        assert self.log_in() == 0
        calls = [call for call in lab.calls() if call[0] == "CreateToken"]
        assert calls == [("CreateToken", "AuthorizationPendingException")] * 2 + [("CreateToken", "")]
        assert json.loads(token_file(lab).read_bytes())["refreshToken"]
        assert caller(lab, by_botocore("sso").access_key) == "sso"

    def test_denied(
        self, lab: LoginLab, shown: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        self.decide(lab, shown, "deny", monkeypatch)
        assert self.log_in() == 1
        assert "denied in the browser" in capsys.readouterr().err

    def test_expired(self, lab: LoginLab, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
        def sleep(_seconds: float) -> None:
            lab.early += 601.0

        monkeypatch.setattr(time, "sleep", sleep)
        assert self.log_in() == 1
        assert "not confirmed in time" in capsys.readouterr().err

    @pytest.mark.parametrize(("failures", "status"), [(4, 0), (5, 1)])
    def test_a_network_that_goes_away(
        self, lab: LoginLab, shown: list[str], monkeypatch: pytest.MonkeyPatch, failures: int, status: int
    ) -> None:
        from ssm_ssh.aws.login import unsigned

        real, slept = unsigned.http.connect, []

        def connect(*arguments: object, **named: object) -> object:
            if 0 < len(slept) <= failures:
                raise NetworkError("no route to host")
            return real(*arguments, **named)  # type: ignore[arg-type]

        def sleep(seconds: float) -> None:
            slept.append(seconds)
            lab.early += seconds
            if len(slept) == failures + 1:
                lab.visit(re.findall(r"https://\S+user_code=\S+", "\n".join(shown))[0])

        monkeypatch.setattr(unsigned.http, "connect", connect)
        monkeypatch.setattr(time, "sleep", sleep)
        assert self.log_in() == status
        assert [round(seconds) for seconds in slept[:4]] == [1, 2, 4, 8]

    def test_a_refused_registration_is_replaced(
        self, lab: LoginLab, shown: list[str], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        self.decide(lab, shown, "allow", monkeypatch)
        assert self.log_in() == 0
        lab.api.logins._center._clients.clear()
        lab.state._calls.clear()
        shown.clear()
        assert self.log_in() == 0
        assert ("StartDeviceAuthorization", "InvalidClientException") in lab.calls()


class TestSharing:
    """One login for ssm-ssh and the AWS SDKs, refreshed by either."""

    @pytest.fixture(autouse=True)
    def login(self, lab: LoginLab, person: Person) -> None:
        assert main(["login", "sso"]) == 0
        person.join()

    def age(self, lab: LoginLab) -> str:
        """Let the token in the cache be past its end; return it."""
        document = json.loads(token_file(lab).read_bytes())
        token_file(lab).write_text(json.dumps({**document, "expiresAt": timestamp(time.time() - 60)}))
        return str(document["accessToken"])

    def test_botocore_refreshes_what_we_wrote(self, lab: LoginLab) -> None:
        old = self.age(lab)
        assert caller(lab, by_botocore("sso").access_key) == "sso"
        new = json.loads(token_file(lab).read_bytes())
        assert new["accessToken"] != old
        assert (moment(new["expiresAt"]) or 0.0) > time.time()

    def test_we_use_and_refresh_what_botocore_wrote(self, lab: LoginLab) -> None:
        self.age(lab)
        by_botocore("sso")  # writes the file anew, in its own form
        self.age(lab)
        lab.state._calls.clear()
        assert caller(lab, get(load(profile="sso")).access_key) == "sso"
        assert lab.calls() == [("CreateToken", ""), ("GetRoleCredentials", "")]

    def test_a_login_that_cannot_be_refreshed_names_the_command(self, lab: LoginLab) -> None:
        self.age(lab)
        lab.api.logins._center._refresh.clear()
        lab.api.logins._center._tokens.clear()
        with pytest.raises(CredentialsError) as caught:
            get(load(profile="sso"))
        assert caught.value.hint == "Run: ssm-ssh login sso"


class TestSignIn:
    """login_session profiles."""

    def file(self, lab: LoginLab) -> Path:
        return lab.home / ".aws/login/cache" / sign_in_name(f"arn:aws:iam::{lab.state.account}:user/person")

    def test_browser(self, lab: LoginLab, person: Person, capsys: pytest.CaptureFixture[str]) -> None:
        assert main(["login", "sign-in"]) == 0
        assert ":user/person until 20" in capsys.readouterr().out
        document = json.loads(self.file(lab).read_bytes())
        assert {"accessToken", "tokenType", "clientId", "refreshToken", "idToken", "dpopKey"} <= set(document)
        assert stat.S_IMODE(self.file(lab).stat().st_mode) == 0o600
        assert caller(lab, get(load(profile="sign-in")).access_key) == "sign-in"

    def test_is_refreshed_with_a_signature_of_our_own(self, lab: LoginLab, person: Person) -> None:
        assert main(["login", "sign-in"]) == 0
        document = json.loads(self.file(lab).read_bytes())
        document["accessToken"]["expiresAt"] = timestamp(time.time() - 60)
        self.file(lab).write_text(json.dumps(document))
        credentials = get(load(profile="sign-in"))
        assert credentials.access_key != document["accessToken"]["accessKeyId"]
        assert caller(lab, credentials.access_key) == "sign-in"
        assert lab.calls() == [("CreateOAuth2Token", "")] * 2
        assert json.loads(self.file(lab).read_bytes())["refreshToken"] != document["refreshToken"]

    def test_expired_for_good(self, lab: LoginLab, person: Person) -> None:
        assert main(["login", "sign-in"]) == 0
        document = json.loads(self.file(lab).read_bytes())
        document["accessToken"]["expiresAt"] = timestamp(time.time() - 60)
        self.file(lab).write_text(json.dumps({**document, "refreshToken": "gone"}))
        with pytest.raises(CredentialsError) as caught:
            get(load(profile="sign-in"))
        assert caught.value.hint == "Run: ssm-ssh login sign-in"

    def test_never_signed_in(self, lab: LoginLab) -> None:
        with pytest.raises(CredentialsError) as caught:
            get(load(profile="sign-in"))
        assert caught.value.hint == "Run: ssm-ssh login sign-in"

    def test_somebody_else_signed_in(self, lab: LoginLab, person: Person, capsys: pytest.CaptureFixture[str]) -> None:
        lab.config.write_text(lab.config.read_text().replace("user/person", "user/other"))
        assert main(["login", "sign-in"]) == 1
        assert "user/other" in capsys.readouterr().err
        assert not (lab.home / ".aws/login").exists()

    @pytest.mark.parametrize("right", [True, False])
    def test_browser_on_another_computer(
        self, lab: LoginLab, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], right: bool
    ) -> None:
        shown: list[str] = []

        def line(_prompt: str, _patience: float) -> str:
            pasted = lab.visit(re.findall(r"https://\S+", "\n".join(shown))[0])
            return pasted if right else pasted[8:]

        monkeypatch.setattr(output, "note", shown.append)
        monkeypatch.setattr(command, "_line", line)
        assert main(["login", "sign-in", "--no-browser"]) == (0 if right else 1)
        assert right or "not the code of this login" in capsys.readouterr().err


class TestErrors:
    @pytest.mark.parametrize(
        ("words", "expected"),
        [
            (["ssso"], "Did you mean sso"),
            (["--sso-session", "lap"], "Did you mean lab?"),
            (["keys"], "neither SSO settings nor login_session"),
            (["sso", "--sso-session", "lab"], "Name one of them"),
            (["sso", "--port", "70000"], "not a port"),
        ],
    )
    def test_wrong_calls(
        self, lab: LoginLab, capsys: pytest.CaptureFixture[str], words: list[str], expected: str
    ) -> None:
        assert main(["login", *words]) == 2
        shown = capsys.readouterr().err
        assert expected in shown
        assert shown.count("\n") == 1
        assert lab.calls() == []

    def test_port_taken(self, lab: LoginLab, capsys: pytest.CaptureFixture[str]) -> None:
        with socket.create_server(("127.0.0.1", 0)) as taken:
            port = taken.getsockname()[1]
            assert main(["login", "sso", "--port", str(port)]) == 2
        assert f"cannot listen on port {port} on 127.0.0.1" in capsys.readouterr().err

    def test_no_network(
        self, lab: LoginLab, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        with socket.create_server(("127.0.0.1", 0)) as closed:
            monkeypatch.setenv("AWS_ENDPOINT_URL_SSO_OIDC", f"https://127.0.0.1:{closed.getsockname()[1]}")
        assert main(["login", "sso"]) == 1
        shown = capsys.readouterr().err
        assert "127.0.0.1" in shown
        assert shown.count("\n") == 1

    def test_no_browser_here(
        self, lab: LoginLab, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(command, "_open_browser", lambda _url: False)
        monkeypatch.setattr(command, "_PATIENCE", 0.2)
        assert main(["login", "sso"]) == 1
        shown = capsys.readouterr().err
        assert "No browser opens here" in shown
        assert f"{lab.url}/authorize?" in shown

    def test_debug_shows_calls_and_no_secrets(
        self, lab: LoginLab, person: Person, capsys: pytest.CaptureFixture[str]
    ) -> None:
        assert main(["login", "sso", "--debug"]) == 0
        assert main(["login", "sign-in", "--debug"]) == 0
        out, err = capsys.readouterr()
        assert "CreateToken 127.0.0.1" in err
        assert "CreateOAuth2Token 127.0.0.1" in err
        document = json.loads(token_file(lab).read_bytes())
        sign_in = json.loads(TestSignIn().file(lab).read_bytes())
        secrets = [document[name] for name in ("accessToken", "clientSecret", "refreshToken")]
        secrets += [sign_in["refreshToken"], sign_in["idToken"], *sign_in["accessToken"].values()]
        public = {lab.state.account, sign_in["accessToken"]["expiresAt"]}
        assert not [secret for secret in secrets if secret not in public and secret in out + err]


@pytest.mark.parametrize(
    ("program", "chosen", "opens"),
    [("w3m", False, False), ("w3m", True, True), ("firefox", True, True), ("", False, False)],
)
def test_a_browser_in_the_terminal_is_used_only_where_it_was_chosen(
    tmp_path: Path, program: str, chosen: bool, opens: bool
) -> None:
    if program:
        (tmp_path / program).write_text("#!/bin/sh\n")
        (tmp_path / program).chmod(0o700)
    env = {"PATH": str(tmp_path), "TERM": "xterm", "HOME": str(tmp_path)} | ({"BROWSER": program} if chosen else {})
    script = "from ssm_ssh.cli.login import _open_browser; print(_open_browser('http://127.0.0.1:1/'))"
    done = subprocess.run([sys.executable, "-c", script], env=env, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == str(opens)
