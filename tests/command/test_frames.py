"""The frames of the script on the instance: any cut gives the same, and nothing damaged or lost passes as whole."""

from __future__ import annotations

from base64 import b64encode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ssm_ssh.command import frames
from ssm_ssh.command.frames import (
    Complete,
    Data,
    Decoder,
    Ended,
    Frame,
    InputClosed,
    NotRun,
    Ready,
    TerminalDecoder,
    encode_input,
    input_room,
)
from ssm_ssh.errors import ProtocolError

TOKEN = "0123456789abcdef"
MARK = b"\033_ssm-ssh;" + TOKEN.encode() + b";"


def fed(decoder: Decoder | TerminalDecoder, *pieces: bytes) -> list[Frame]:
    """All frames, neighbouring data of one stream joined."""
    joined: list[Frame] = []
    for piece in pieces:
        for frame in decoder.feed(piece):
            last = joined[-1] if joined else None
            if isinstance(frame, Data) and isinstance(last, Data) and last.stream == frame.stream:
                joined[-1] = Data(frame.stream, last.data + frame.data)
            else:
                joined.append(frame)
    return joined


def cut(data: bytes, sizes: list[int]) -> list[bytes]:
    pieces, at = [], 0
    for size in sizes:
        pieces.append(data[at : at + size])
        at += size
    return [*pieces, data[at:]]


STREAM = b"motd\n@ssm-ssh1\n1aGVs\n1bG8=\n2b29wcw==\n-\n#3\n1.2\n2.1\n=\n"


@given(st.lists(st.integers(0, 9), max_size=40))
def test_any_cut_gives_the_same_frames(sizes: list[int]) -> None:
    decoder = Decoder()
    assert fed(decoder, *cut(STREAM, sizes)) == [
        *(Ready(), Data(1, b"hello"), Data(2, b"oops"), InputClosed(), Ended(3), Complete())
    ]
    assert decoder.ended == {1, 2}
    assert decoder.finish() == b""


@given(st.binary(max_size=2000))
def test_every_byte_survives(data: bytes) -> None:
    lines = [b"1" + b64encode(data[at : at + 57]) + b"\r\n" for at in range(0, len(data), 57)]
    stream = b"@ssm-ssh1\r\n" + b"".join(lines) + b"1.%d\r\n" % len(lines)
    assert b"".join(frame.data for frame in fed(Decoder(), stream) if isinstance(frame, Data)) == data


def test_two_streams_of_one_terminal_stay_apart() -> None:
    decoder = Decoder(ready=True)
    assert decoder.feed(b"1YQ==\n2Yg==\n1Yw==\n") == [Data(1, b"a"), Data(2, b"b"), Data(1, b"c")]


@pytest.mark.parametrize("line", [b"1???", b"1", b"1YQ", b"1.2", b"2.1", b"2.x"])
def test_damaged_or_lost_output_is_no_output(line: bytes) -> None:
    with pytest.raises(ProtocolError, match=r"damaged|lost"):
        Decoder(ready=True).feed(b"1YQ==\n" + line + b"\n")


def test_output_behind_its_end_is_no_output() -> None:
    with pytest.raises(ProtocolError):
        Decoder(ready=True).feed(b"1.0\n1YQ==\n")


def test_a_line_without_an_end_is_bounded() -> None:
    with pytest.raises(ProtocolError, match="end"):
        Decoder(ready=True).feed(b"1" + b"A" * frames.LONGEST_LINE)
    early = Decoder()
    assert early.feed(b"x" * (frames.LONGEST_LINE + 9)) == []
    assert len(early.finish()) == frames.LONGEST_LINE


def test_what_comes_before_the_header_is_kept_for_an_error_and_bounded() -> None:
    decoder = Decoder()
    assert decoder.feed(b"sh: not found\nand" + b"\nmore" * 2000) == []
    assert decoder.finish().startswith(b"sh: not found\nand\n")
    assert len(decoder.finish()) < 2 * frames.MOST_PREFACE
    assert fed(decoder, b"\n1YQ==\n2.7\nx@ssm-ssh1\n") == [Ready()]


def test_other_writers_to_the_terminal_are_ignored() -> None:
    assert Decoder(ready=True).feed(b"Password: \n\nbroadcast\n=3\n") == []


def test_why_a_command_was_not_run_is_told() -> None:
    assert Decoder().feed(b"!" + b64encode(b"no such directory") + b"\n") == [NotRun("no such directory")]
    assert Decoder().feed(frames.NO_BASE64 + b"\n") == [NotRun("it has neither base64 nor openssl")]
    assert Decoder().feed(b"!\n!A\n") == []


@pytest.mark.parametrize(("digits", "status"), [(b"0", 0), (b"137", 137), (b"", -1), (b"x", -1), (b"9" * 11, -1)])
def test_an_exit_status_is_a_number_or_unknown(digits: bytes, status: int) -> None:
    assert Decoder(ready=True).feed(b"#" + digits + b"\n") == [Ended(status)]


SHOWN = b"\x1b[1mbold\x1b\\ 1aGk=\r\n\x1b"


@given(st.lists(st.integers(0, 9), max_size=40))
def test_a_terminal_shows_everything_up_to_the_mark(sizes: list[int]) -> None:
    stream = b"junk\n@ssm-ssh1\n" + SHOWN + MARK + b"4\033\\"
    decoder = TerminalDecoder(TOKEN)
    assert fed(decoder, *cut(stream, sizes)) == [Ready(), Data(1, SHOWN), Ended(4), Complete()]
    assert decoder.finish() == b""
    assert decoder.feed(b"more") == []


def test_the_mark_of_another_session_is_output() -> None:
    other = MARK.replace(b"0", b"9") + b"0\033\\"
    assert fed(TerminalDecoder(TOKEN), b"@ssm-ssh1\n", other) == [Ready(), Data(1, other)]


def test_a_terminal_that_never_begins_tells_why() -> None:
    decoder = TerminalDecoder(TOKEN)
    assert decoder.feed(b"sh: stty: not found\n!") == []
    assert decoder.finish() == b"sh: stty: not found\n!"
    assert decoder.feed(b64encode(b"why") + b"\n") == [NotRun("why")]
    assert len(TerminalDecoder(TOKEN).feed(b"x" * 999999)) == 0


@given(st.binary(max_size=3000))
def test_input_fits_into_its_room_and_into_lines_of_77_bytes(data: bytes) -> None:
    lines = encode_input(data)
    assert all(len(line) <= 76 for line in lines.split(b"\n"))
    assert input_room(len(lines) + 76) >= len(data)
    assert len(encode_input(bytes(input_room(1000)))) <= 1000
