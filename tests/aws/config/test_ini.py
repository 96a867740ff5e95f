from __future__ import annotations

from pathlib import Path

import botocore.session
import pytest
from botocore.exceptions import ConfigParseError
from hypothesis import given
from hypothesis import strategies as st

from ssm_ssh.aws.config.ini import SharedFiles, expand, parse
from ssm_ssh.errors import UsageError

NAME = st.sampled_from(
    [
        "default",
        "profile default",
        "profile a",
        "profile b",
        "a",
        "b",
        'profile "with space"',
        "profile 'q'",
        "profile x\\y",
        "profile  a",
        "profile a b",
        'profile "open',
        "profilea b",
        "services s",
        "services 's t'",
        "sso-session z",
        "preview",
        "DEFAULT",
        "profile é",
        "profile\u00a0n",
    ]
)
LINE = st.sampled_from(
    [
        "region = eu-west-1",
        "Region=us-east-1",
        "aws_access_key_id: AKID",
        "aws_secret_access_key = a=b#c;d",
        "ssm =\n  endpoint_url = https://x\n  other = y",
        "ec2 =\n  endpoint_url=https://z",
        "s3 =\n  broken",
        "empty =",
        "# comment",
        "; comment",
        "",
        "long = one\n  two",
        "services = s",
        "  indented = x",
        "nothing",
        "ca_bundle = ~/x.pem",
        "percent = %(region)s",
    ]
)
FILE = st.lists(st.tuples(NAME, st.lists(LINE, max_size=4)), max_size=5).map(
    lambda sections: "\n".join(f"[{name}]\n" + "\n".join(lines) for name, lines in sections) + "\n"
)


def theirs(config: Path, credentials: Path) -> dict[str, dict[str, dict[str, str]]]:
    session = botocore.session.Session(
        session_vars={
            "config_file": (None, None, str(config), None),
            "credentials_file": (None, None, str(credentials), None),
        }
    )
    return session.full_config


@given(config=FILE, credentials=FILE)
def test_reads_as_botocore_does(tmp_path_factory: pytest.TempPathFactory, config: str, credentials: str) -> None:
    folder = tmp_path_factory.getbasetemp() / "ini"
    folder.mkdir(exist_ok=True)
    (folder / "config").write_text(config, encoding="utf-8")
    (folder / "credentials").write_text(credentials, encoding="utf-8")
    env = {"AWS_CONFIG_FILE": str(folder / "config"), "AWS_SHARED_CREDENTIALS_FILE": str(folder / "credentials")}
    try:
        expected = theirs(folder / "config", folder / "credentials")
    except ConfigParseError:
        with pytest.raises(UsageError):
            SharedFiles(env)
        return
    files = SharedFiles(env)
    assert files.profiles == expected["profiles"]
    assert files.services == expected.get("services", {})
    assert files.sso_sessions == expected.get("sso_sessions", {})


def test_files_that_are_not_there(tmp_path: Path) -> None:
    files = SharedFiles({"HOME": str(tmp_path)})
    assert files.profiles == {}
    assert files.config_path == f"{tmp_path}/.aws/config"


def test_home_and_variables_in_paths(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WHERE", "/there")
    monkeypatch.setenv("HOME", "/process")
    assert expand("~/x", {"HOME": "/given"}) == "/given/x"
    assert expand("~/x", {}) == "/process/x"
    assert expand("$WHERE/x", {}) == "/there/x"


@pytest.mark.parametrize(
    "text",
    [
        "aws_secret_access_key = CANARY\n",
        "[default]\nCANARY\n",
        "[default]\na = CANARY\na = CANARY\n",
        "[default]\n[default]\na = CANARY\n",
        "[default]\ns3 =\n  CANARY\n",
    ],
)
def test_what_cannot_be_parsed_is_not_quoted(text: str) -> None:
    with pytest.raises(UsageError) as caught:
        parse(text, "/the/file")
    assert "/the/file cannot be parsed" in caught.value.message
    assert "CANARY" not in caught.value.sentence()
    assert caught.value.__suppress_context__ or caught.value.__context__ is None


def test_line_of_a_mistake_is_named() -> None:
    with pytest.raises(UsageError, match="at line 2"):
        parse("[default]\nnonsense\n", "f")


def test_binary_file(tmp_path: Path) -> None:
    (tmp_path / "config").write_bytes(b"\xff\xfe[default]")
    with pytest.raises(UsageError, match="UTF-8"):
        SharedFiles({"AWS_CONFIG_FILE": str(tmp_path / "config"), "HOME": str(tmp_path)})


def test_repr_shows_no_value(tmp_path: Path) -> None:
    (tmp_path / "config").write_text("[default]\naws_secret_access_key = CANARY\n")
    files = SharedFiles({"AWS_CONFIG_FILE": str(tmp_path / "config"), "HOME": str(tmp_path)})
    assert "CANARY" not in repr(files)
