from __future__ import annotations

import json
from pathlib import Path

import pytest
from botocore.utils import JSONFileCache, SSOTokenLoader, generate_login_cache_key
from hypothesis import given, settings
from hypothesis import strategies as st

from ssm_ssh.aws.login import cache, files
from ssm_ssh.errors import CredentialsError

URL = "https://x.awsapps.com/start"


@pytest.mark.parametrize("session", ["corp", ""])
def test_the_names_are_botocores(session: str) -> None:
    theirs = SSOTokenLoader()._generate_cache_key(URL, session or None)
    assert cache.sso_token_name(URL, session) == f"{theirs}.json"
    assert cache.sign_in_name("arn:x") == f"{generate_login_cache_key('arn:x')}.json"


def test_the_registrations_name_is_the_clis() -> None:
    # Made by the AWS CLI 2 for the same settings: sha1 of its JSON, in which what is not set is null.
    name = cache.registration_name(URL, "eu-west-1", "", ())
    text = f'{{"region": "eu-west-1", "scopes": null, "session_name": null, "startUrl": "{URL}", "tool": "botocore"}}'
    import hashlib

    assert name == f"{hashlib.sha1(text.encode()).hexdigest()}.json"
    assert name != cache.registration_name(URL, "eu-west-1", "s", ())
    assert name != cache.registration_name(URL, "eu-west-1", "", ("a",))


@given(st.integers(0, 253402300799))
@settings(deadline=None)
def test_times_survive(seconds: int) -> None:
    assert cache.moment(cache.timestamp(seconds)) == seconds
    assert cache.moment(cache.timestamp(seconds).replace("Z", "UTC")) == seconds


@pytest.mark.parametrize("wrong", [None, 5, "", "soon", "2026-13-01T00:00:00Z"])
def test_what_is_no_time(wrong: object) -> None:
    assert cache.moment(wrong) is None


def registered(**changes: object) -> dict[str, object]:
    answer = {"clientId": "i", "clientSecret": "s", "clientSecretExpiresAt": 10_000}
    return {**cache.registration(answer, scopes=("a",), with_code=True), **changes}


def test_a_registration_is_used_until_shortly_before_its_end() -> None:
    assert cache.usable_registration(registered(), 9_000.0, with_code=True)
    assert not cache.usable_registration(registered(), 9_200.0, with_code=True)


@pytest.mark.parametrize(
    "document",
    [{}, registered(grantTypes=[]), registered(clientId=5), registered(expiresAt="?"), registered(clientSecret=None)],
)
def test_a_registration_that_cannot_be_used(document: dict[str, object]) -> None:
    assert not cache.usable_registration(document, 0.0, with_code=True)


def test_a_registration_for_the_other_way_is_not_used() -> None:
    assert not cache.usable_registration(registered(), 0.0, with_code=False)
    del (without := registered())["grantTypes"]
    assert cache.usable_registration(without, 0.0, with_code=False)


@pytest.mark.parametrize(
    "answer", [{}, {"accessToken": ""}, {"accessToken": "t"}, {"accessToken": "t", "expiresIn": True}]
)
def test_an_answer_without_a_token(answer: dict[str, object]) -> None:
    with pytest.raises(CredentialsError, match="has no "):
        cache.sso_token(answer, registered(), start_url=URL, region="r", now=0.0)


def test_botocore_reads_what_is_written(tmp_path: Path) -> None:
    answer = {"accessToken": "t", "expiresIn": 60}
    document = cache.sso_token(answer, registered(), start_url=URL, region="r", now=0.0)
    files.write_document(tmp_path, cache.sso_token_name(URL, "s"), document)
    assert SSOTokenLoader(JSONFileCache(str(tmp_path)))(URL, "s") == document
    assert "refreshToken" not in document


@pytest.mark.parametrize("content", ["", "[]", "{", "[" * 100_000, "\x00"])
def test_a_damaged_file_is_no_document(tmp_path: Path, content: str) -> None:
    (tmp_path / "x.json").write_text(content)
    assert files.read_document(tmp_path, "x.json") == {}
    files.write_document(tmp_path, "x.json", {"a": 1})
    assert json.loads((tmp_path / "x.json").read_text()) == {"a": 1}
    assert [file.name for file in tmp_path.iterdir()] == ["x.json"]
