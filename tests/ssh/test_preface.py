from hypothesis import given
from hypothesis import strategies as st

from ssm_ssh.ssh.preface import LONGEST, Preface


@given(st.lists(st.binary(max_size=64)), st.integers(0, 10))
def test_bytes_come_out_in_order_and_none_is_lost(pieces: list[bytes], released_after: int) -> None:
    preface = Preface()
    out = b""
    for number, piece in enumerate([*pieces, b"\r\nSSH-2.0-x\r\n", b"rest"]):
        if number == released_after:
            out += preface.release()
        out += preface.feed(piece)
    out += preface.release()
    assert out == b"".join(pieces) + b"\r\nSSH-2.0-x\r\nrest"


def test_nothing_passes_before_the_banner() -> None:
    preface = Preface()
    preface.release()
    assert preface.feed(b"Exceeded MaxStartups\r\n") == b""
    assert not preface.banner_seen
    assert not preface.passed
    assert preface.said == "Exceeded MaxStartups\r\n"


def test_nothing_passes_before_release() -> None:
    preface = Preface()
    assert preface.feed(b"SSH-2.0-OpenSSH_9.2\r\n") == b""
    assert preface.banner_seen
    assert not preface.passed
    assert preface.release() == b"SSH-2.0-OpenSSH_9.2\r\n"
    assert preface.feed(b"x") == b"x"


def test_other_lines_may_stand_before_the_banner() -> None:
    preface = Preface()
    preface.release()
    assert preface.feed(b"welcome\r\nSSH") == b""
    assert preface.feed(b"-2.0-x\r\n") == b"welcome\r\nSSH-2.0-x\r\n"


def test_a_server_that_never_speaks_ssh_is_passed_on_in_the_end() -> None:
    preface = Preface()
    preface.release()
    assert preface.feed(b"x" * (LONGEST + 1)) == b"x" * (LONGEST + 1)
