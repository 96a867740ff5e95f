import pytest
from hypothesis import given
from hypothesis import strategies as st

from ssm_ssh.errors import SsmSshError
from ssm_ssh.text import LIMIT, describe_unexpected, printable


@given(st.text())
def test_only_one_short_line_of_printable_ascii_comes_out(text: str) -> None:
    said = printable(text)
    assert len(said) <= LIMIT
    assert all(" " <= c <= "~" for c in said)


@given(st.text(alphabet=st.characters(min_codepoint=0x21, max_codepoint=0x7E), max_size=LIMIT))
def test_printable_text_is_kept(text: str) -> None:
    assert printable(text) == text


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("one\r\ntwo", "one two"),
        ("back\b\bspace", "back space"),
        ("escape\x1b[31m", "escape [31m"),
        ("c1 \x9b31m", "c1 31m"),
        ("line\u2028separator", "line separator"),
        ("ünïcode", "?n?code"),
        ("  wide   space  ", "wide space"),
        ("x" * 400, "x" * (LIMIT - 3) + "..."),
    ],
)
def test_what_a_terminal_would_obey_becomes_a_space(text: str, said: str) -> None:
    assert printable(text) == said


def test_a_huge_text_is_cut_before_it_is_looked_at() -> None:
    assert len(printable("a" * 10_000_000)) == LIMIT


def test_an_unexpected_error_is_described_by_type_and_text() -> None:
    assert describe_unexpected(KeyError("x")) == "KeyError: 'x'"
    with pytest.raises(UnicodeEncodeError) as failure:
        "token CANARY\u2026".encode("latin-1")
    assert "CANARY" in repr(failure.value)
    assert describe_unexpected(failure.value).startswith("UnicodeEncodeError: ")
    assert "CANARY" not in describe_unexpected(failure.value)


@given(st.text(max_size=900), st.text(min_size=1, max_size=200))
def test_what_to_do_is_never_what_is_cut_off(message: str, hint: str) -> None:
    said = SsmSshError(message, hint).sentence()
    assert len(said) <= 400
    assert said.endswith(printable(hint, 400))
