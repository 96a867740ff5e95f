from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ssm_ssh.errors import ProtocolError
from ssm_ssh.ssh.kex import LARGEST_PACKET, KexInit, Packets, negotiated, read_kexinit, reply_host_key, reply_number
from tests.ssh.streams import ed25519, kexinit, packet, string


@given(st.lists(st.binary(min_size=1, max_size=80), max_size=6), st.integers(1, 40))
def test_packets_come_out_as_they_went_in_however_they_are_split(payloads: list[bytes], size: int) -> None:
    stream = b"".join(map(packet, payloads))
    packets, found = Packets(), []
    for at in range(0, len(stream), size):
        packets.feed(stream[at : at + size])
        while (one := packets.take()) is not None:
            found.append(one)
    assert [one.payload for one in found] == payloads
    assert [one.kind for one in found] == [payload[0] for payload in payloads]
    assert b"".join(one.raw for one in found) == stream
    assert packets.waiting == 0


@pytest.mark.parametrize(
    "data",
    [
        b"\0\0\0\x04",
        b"\0\0\0\x00",
        b"\0\0\0\x0d",  # no whole blocks
        (LARGEST_PACKET + 4).to_bytes(4, "big"),
        b"\xff\xff\xff\xfc",
        b"SSH-",
        b"\0\0\0\x0c\x03" + bytes(11),  # too little padding
        b"\0\0\0\x0c\x0b" + bytes(11),  # nothing but padding
        b"\0\0\0\x0c\xff" + bytes(11),
    ],
)
def test_what_openssh_takes_for_no_packet_is_refused(data: bytes) -> None:
    packets = Packets()
    packets.feed(data)
    with pytest.raises(ProtocolError):
        packets.take()


def payload_of(raw: bytes) -> bytes:
    packets = Packets()
    packets.feed(raw)
    taken = packets.take()
    assert taken is not None
    return taken.payload


def test_a_kexinit_is_read() -> None:
    assert read_kexinit(payload_of(kexinit("a,b", guess=True))) == KexInit(("a", "b"), guesses=True)
    assert read_kexinit(payload_of(kexinit("a"))) == KexInit(("a",), guesses=False)


@given(st.integers(0, 200))
def test_a_kexinit_cut_short_is_refused(end: int) -> None:
    whole = payload_of(kexinit())
    if end < len(whole):
        with pytest.raises(ProtocolError):
            read_kexinit(whole[:end])


@pytest.mark.parametrize("extra", [b"\0", string(b"x")])
def test_a_kexinit_that_goes_on_is_refused(extra: bytes) -> None:
    with pytest.raises(ProtocolError):
        read_kexinit(payload_of(kexinit()) + extra)


def test_the_clients_first_common_choice_wins() -> None:
    client, server = KexInit(("a", "b", "c"), guesses=False), KexInit(("c", "b"), guesses=False)
    assert negotiated(client, server) == "b"
    assert negotiated(client, KexInit(("d",), guesses=False)) == ""


@pytest.mark.parametrize("names", ["", ",", "a,,b", "a,", ",a"])
def test_an_exchange_without_a_name_is_refused(names: str) -> None:
    with pytest.raises(ProtocolError, match="no name"):
        read_kexinit(payload_of(kexinit(names)))


def test_a_list_longer_than_clients_read_is_refused() -> None:
    client = KexInit(("a",), guesses=False)
    names = tuple(f"x{number}" for number in range(39))
    assert negotiated(client, KexInit((*names, "a"), guesses=False)) == "a"
    with pytest.raises(ProtocolError, match="more key exchanges"):
        negotiated(client, KexInit((*names, "x", "a"), guesses=False))


def test_which_message_shows_the_host_key() -> None:
    assert reply_number("curve25519-sha256") == 31
    assert reply_number("mlkem768x25519-sha256") == 31
    assert reply_number("diffie-hellman-group14-sha256") == 31
    assert reply_number("diffie-hellman-group-exchange-sha256") == 33
    for other in ("", "gss-group14-sha256-x", "rsa2048-sha256"):
        with pytest.raises(ProtocolError):
            reply_number(other)


def test_the_host_key_is_the_first_of_three_strings() -> None:
    blob = ed25519().blob
    assert reply_host_key(b"\x1f" + string(blob) + string(b"q") + string(b"s")) == ed25519()
    for wrong in (b"", string(blob), string(blob) * 2, string(blob) * 4, string(b"x") * 3, string(blob) * 3 + b"\0"):
        with pytest.raises(ProtocolError):
            reply_host_key(b"\x1f" + wrong)


@pytest.mark.parametrize("exchanges", ["a,,b", "a,", ",a", ""])
def test_a_kexinit_with_an_empty_name_is_refused(exchanges: str) -> None:
    with pytest.raises(ProtocolError, match="no name"):
        read_kexinit(payload_of(kexinit(exchanges)))


@pytest.mark.parametrize("lists", [string(b"a") * 9, string(b"a") * 11, string(b"a\0b") + string(b"a") * 9])
def test_a_kexinit_without_ten_proper_lists_is_refused(lists: bytes) -> None:
    with pytest.raises(ProtocolError, match="ten lists"):
        read_kexinit(bytes([20]) + bytes(16) + lists + bytes(5))
