"""What `-L` may ask for, and what is refused in one sentence."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ssm_ssh.errors import UsageError
from ssm_ssh.forward.specs import Spec, parse


@pytest.mark.parametrize(
    ("text", "spec"),
    [
        ("5432", Spec("", 5432, "", "", 5432)),
        ("8080:80", Spec("", 8080, "", "", 80)),
        ("0:db.internal:5432", Spec("", 0, "", "db.internal", 5432)),
        ("5432:localhost:5432", Spec("", 5432, "", "", 5432)),
        ("5432:127.0.0.1:5432", Spec("", 5432, "", "", 5432)),
        ("5432:[::1]:5432", Spec("", 5432, "", "", 5432)),
        ("0.0.0.0:80:db1:5432", Spec("0.0.0.0", 80, "", "db1", 5432)),
        ("[::1]:80:[fd00::5]:5432", Spec("::1", 80, "", "fd00::5", 5432)),
        (":80:db1:5432", Spec("*", 80, "", "db1", 5432)),
        ("*:80:db1:5432", Spec("*", 80, "", "db1", 5432)),
        ("/tmp/s:db1:5432", Spec("", 0, "/tmp/s", "db1", 5432)),
        ("/tmp/s:5432", Spec("", 0, "/tmp/s", "", 5432)),
    ],
)
def test_forms(text: str, spec: Spec) -> None:
    assert parse(text) == spec


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "is not a port"),
        ("0", "is not a port"),
        ("70000", "is not a port"),
        ("80:0", "is not a port"),
        ("a:b:c:d:e", "is not a forward"),
        ("[::1", "is not a forward"),
        ("[::1]x:80", "is not a forward"),
        ("/tmp/s", "is not a forward"),
        ("db:5432", "names no local port"),
        ("80:d b:5432", "is not a host"),
        ("80:-x:5432", "is not a host"),
        ("80:db:5432", "fewer than three characters"),
    ],
)
def test_everything_else_is_refused(text: str, words: str) -> None:
    with pytest.raises(UsageError, match=words):
        parse(text)


@given(st.text(max_size=30))
def test_no_text_does_anything_else(text: str) -> None:
    try:
        spec = parse(text)
    except UsageError as error:
        assert error.sentence().isprintable()
    else:
        assert spec.destination


def test_destinations_are_written_with_brackets() -> None:
    assert parse("1:[fd00::5]:2").destination == "[fd00::5]:2"
    assert parse("1").destination == "localhost:1"
