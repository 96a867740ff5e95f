from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ssm_ssh.errors import UsageError
from ssm_ssh.sshconfig import include

LINE = include.include_line("/home/ü x/.ssh/ssm-ssh.config")
BLOCK = b'# a comment\n\nMatch host "i-*"\n  User x\n'
PIECES = st.sampled_from(
    [b"Host a", b"host=b", b'"Match" all', b"\tMatch exec x", b"User=\"x y\"", b"# \xe2\x80\xa8 c", b"", b" ",
     b"\x00\xff", b"Include x", LINE.replace(b"ssm", b"sms"), b"  " + LINE, LINE + b" x", b"Host x # " + LINE]
)  # fmt: skip
CONFIGS = st.one_of(
    st.binary(max_size=200),
    st.builds(
        lambda lines, end, last: end.join(lines) + (end if last else b""),
        st.lists(PIECES, max_size=8),
        st.sampled_from([b"\n", b"\r\n"]),
        st.booleans(),
    ),
).filter(lambda content: not include.has_block(content) and not include.has_line(content, LINE))


@given(CONFIGS)
def test_a_line_put_in_and_taken_out_leaves_every_byte(content: bytes) -> None:
    new = include.put_line(content, LINE)
    assert new.endswith(content)
    assert len(new) - len(content) in (len(LINE) + 1, len(LINE) + 2)
    assert include.line_is_first(new, LINE)
    assert include.put_line(new, LINE) == new
    assert include.without(new, LINE) == content


@given(CONFIGS)
def test_a_block_put_in_and_taken_out_leaves_every_byte(content: bytes) -> None:
    new = include.put_block(content, BLOCK, LINE)
    assert new.endswith(content)
    assert include.block_in(new) == BLOCK
    assert include.put_block(new, BLOCK, LINE) == new
    assert include.without(new, LINE) == content


@given(CONFIGS)
def test_line_and_block_take_each_others_place(content: bytes) -> None:
    line, block = include.put_line(content, LINE), include.put_block(content, BLOCK, LINE)
    assert include.put_block(line, BLOCK, LINE) == block
    assert include.put_line(block, LINE) == line


def test_the_line_comes_before_everything_with_the_line_end_of_the_file() -> None:
    assert include.put_line(b"User x\r\nHost y\r\n", LINE) == LINE + b"\r\nUser x\r\nHost y\r\n"
    assert include.put_line(b"User x", LINE) == LINE + b"\nUser x"
    assert include.put_line(b"", LINE) == LINE + b"\n"


def test_a_line_that_has_lost_its_place_gets_it_back_and_there_is_one() -> None:
    assert include.put_line(b"User x\n" + LINE + b"\n" + LINE + b"\nHost y\n", LINE) == LINE + b"\nUser x\nHost y\n"


def test_comments_before_the_line_are_no_reason_to_move_it() -> None:
    content = b"# mine\n\n" + LINE + b"\nHost y\n"
    assert include.put_line(content, LINE) == content
    assert include.without(content, LINE) == b"# mine\n\nHost y\n"


def test_the_same_line_in_a_section_is_the_users_own() -> None:
    content = b"Host web\n" + LINE + b"\n"
    assert not include.has_line(content, LINE)
    assert include.without(include.put_line(content, LINE), LINE) == content


@pytest.mark.parametrize("lost", [include.BEGIN, include.END])
def test_a_damaged_block_is_left_to_the_user(lost: bytes) -> None:
    content = include.put_block(b"Host x\n", BLOCK, LINE).replace(lost + b"\n", b"")
    assert include.has_block(content)
    with pytest.raises(UsageError, match="lost its first or last line"):
        include.without(content, LINE)


@pytest.mark.parametrize("path", ["/home/me/.ssh/f", "/home/jürgen/.ssh/f", "/home/DOM/a.b@c+d/.ssh/f"])
def test_a_plain_path_is_not_quoted(path: str) -> None:
    assert include.include_line(path) == f"Include {path}".encode()


@pytest.mark.parametrize("path", ["/home/a b/.ssh/f", "/home/(me)/f", "/home/a;b/f", "/home/a&b/f", "/home/a~b/f"])
def test_any_other_path_is(path: str) -> None:
    assert include.include_line(path) == f'Include "{path}"'.encode()


def test_the_line_of_an_older_version_is_respelled_in_place_or_left() -> None:
    line, old = include.include_line("/h/f"), b'Include "/h/f"'
    content = b"# mine\r\n" + old + b"\r\nUser x"
    assert include.has_line(content, line)
    assert include.put_line(content, line) == b"# mine\r\n" + line + b"\r\nUser x"
    assert include.put_line(content, line, respell=False) == content
    assert include.without(content, line) == b"# mine\r\nUser x"
    assert include.put_line(old + b"\n" + line + b"\nUser x", line) == line + b"\nUser x"
