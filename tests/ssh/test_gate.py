# Over 350 lines: one recorded key exchange is changed in every way that the gate must refuse.
from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from ssm_ssh.errors import ProtocolError
from ssm_ssh.ssh.disconnect import disconnect
from ssm_ssh.ssh.gate import LARGEST_PREFACE, MOST_CLEAR, MOST_HELD, Gate
from ssm_ssh.ssh.kex import DISCONNECT, Packets
from tests.linear import FACTOR, growth
from tests.ssh.streams import (
    BANNER,
    CLIENT,
    NEWKEYS,
    SERVER,
    Recording,
    ed25519,
    kexinit,
    packet,
    recordings,
    reply,
    string,
)

RECORDINGS = recordings()
every_recording = pytest.mark.parametrize("one", RECORDINGS, ids=[f"{r.exchange}-{r.algorithm}" for r in RECORDINGS])
IGNORE = packet(bytes([2]) + string(b"padding"))


def gate(client: bytes = CLIENT) -> Gate:
    made = Gate()
    made.feed_client(client)
    return made


# --- what OpenSSH really says -----------------------------------------------------------------------------------------


@every_recording
def test_the_host_key_is_held_and_everything_arrives(one: Recording) -> None:
    held = gate(one.client)
    assert held.feed(one.server) == one.server[: one.reply_at]
    assert held.host_key == one.host_key
    assert held.held
    assert not held.open
    assert held.client_version == "SSH-2.0-OpenSSH_9.2p1 Debian-2+deb12u10"
    assert held.feed(b"more") == b""
    assert held.release() == one.server[one.reply_at :] + b"more"
    assert held.open
    assert held.feed(b"and more") == b"and more"
    assert held.release() == b""


@every_recording
def test_any_split_in_two_gives_the_same(one: Recording) -> None:
    for at in range(len(one.server)):
        held = gate(one.client)
        out = held.feed(one.server[:at]) + held.feed(one.server[at:])
        assert out == one.server[: one.reply_at]
        assert held.host_key == one.host_key
        assert out + held.release() == one.server


@every_recording
def test_byte_by_byte_gives_the_same(one: Recording) -> None:
    held = Gate()
    for byte in one.client:
        held.feed_client(bytes([byte]))
    out = b"".join(held.feed(bytes([byte])) for byte in one.server)
    assert out == one.server[: one.reply_at]
    assert out + held.release() == one.server


@given(st.sampled_from(RECORDINGS), st.data())
def test_released_at_any_moment_all_bytes_pass_in_order(one: Recording, data: st.DataObject) -> None:
    cuts = sorted(data.draw(st.lists(st.integers(0, len(one.server)), max_size=8)))
    held, out = gate(one.client), b""
    release_after = data.draw(st.integers(0, len(cuts)))
    released = False
    for number, (start, end) in enumerate(pairwise([0, *cuts, len(one.server)])):
        out += held.feed(one.server[start:end])
        if held.held and (released or number >= release_after):
            released = True
            out += held.release()
    assert out + held.release() == one.server


@given(st.sampled_from(RECORDINGS), st.data())
def test_damage_before_the_host_key_never_opens_the_gate_unseen(one: Recording, data: st.DataObject) -> None:
    stream = bytearray(one.server[: one.reply_at + 400])
    for at, byte in data.draw(st.lists(st.tuples(st.integers(0, len(stream) - 1), st.integers(0, 255)), max_size=4)):
        stream[at] = byte
    held = gate(one.client)
    try:
        held.feed(bytes(stream) + one.server[len(stream) :])
    except ProtocolError:
        return
    assert not held.open


@settings(max_examples=500)
@example([packet(bytes([DISCONNECT]) + bytes(8))])
@given(
    st.lists(
        st.one_of(
            st.binary(max_size=60),
            st.sampled_from([BANNER, b"\nSSH-2.0-x\n", kexinit(), IGNORE, NEWKEYS, reply(b"x"), reply(ed25519().blob)]),
            st.binary(min_size=1, max_size=60).map(packet),
        ),
        max_size=12,
    )
)
def test_no_stream_passes_a_key_exchange_that_nobody_has_judged(pieces: list[bytes]) -> None:
    held, out = gate(), b""
    held.feed(BANNER)
    try:
        for piece in pieces:
            out += held.feed(piece)
    except ProtocolError:
        pass
    assert not held.open
    assert reply(ed25519().blob) not in out
    assert NEWKEYS not in out
    passed = Packets()
    passed.feed(out)
    # What the server says at its end is passed on in other bytes.
    if DISCONNECT not in [packet.kind for packet in iter(passed.take, None)]:
        assert b"".join(pieces).startswith(out)


# --- before the banner ------------------------------------------------------------------------------------------------


def test_a_refusal_is_held_and_can_be_read() -> None:
    held = gate(b"")
    assert held.feed(b"Exceeded MaxStartups\r\n") == b""
    assert held.preface == "Exceeded MaxStartups\r\n"
    assert not held.banner_seen


def test_other_lines_may_stand_before_the_banner_and_do_not_pass() -> None:
    held = gate(b"")
    assert held.feed(b"welcome, SSH-lovers\r\nSSH") == b""
    assert held.feed(b"-2.0-x\r") == b""
    assert not held.banner_seen
    assert held.feed(b"\n") == b"SSH-2.0-x\r\n"
    assert held.banner_seen


def test_nothing_that_a_client_could_take_for_an_earlier_banner_passes() -> None:
    hidden = b"x" * 255 + b"SSH-2.0-hidden\r\n" + kexinit() + reply(ed25519().blob)
    assert gate().feed(hidden + b"\n" + BANNER + kexinit()) == BANNER + kexinit()


@pytest.mark.parametrize(
    "banner",
    [
        b"SSH-\n",
        b"SSH-1.5-x\r\n",
        b"SSH-2.0\n",
        b"SSH-2.0-a\0b\r\n",
        b"SSH-2.0-a\rb\n",
        b"SSH-2.0-" + b"x" * 250 + b"\n",
    ],
)
def test_a_banner_that_clients_read_differently_is_an_error(banner: bytes) -> None:
    with pytest.raises(ProtocolError, match="SSH 2"):
        gate().feed(banner + kexinit())


def test_the_banner_does_not_wait_for_the_client() -> None:
    assert Gate().feed(BANNER + kexinit()) == BANNER + kexinit()


@pytest.mark.parametrize("piece", [b"x" * 1024, b"line\r\n" * 128, b"\0" * 512])
def test_a_server_that_never_speaks_ssh_is_an_error(piece: bytes) -> None:
    held = gate(b"")
    for _ in range(LARGEST_PREFACE // len(piece)):
        assert held.feed(piece) == b""
    with pytest.raises(ProtocolError, match="does not speak SSH"):
        held.feed(piece)


def test_a_banner_without_end_is_an_error() -> None:
    with pytest.raises(ProtocolError):
        gate(b"").feed(b"SSH-2.0-" + b"x" * LARGEST_PREFACE)


# --- order ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "stream",
    [
        kexinit() * 2,
        reply(ed25519().blob),
        NEWKEYS,
        kexinit() + NEWKEYS,
        kexinit() + packet(bytes([30]) + b"x"),
        kexinit() + packet(bytes([33]) + b"x"),
        kexinit() + packet(bytes([5]) + b"x"),
        kexinit() + packet(bytes([50]) + b"x"),
        kexinit() + packet(bytes([0]) + b"x"),
        kexinit("gss-group14-sha256-x") + reply(ed25519().blob),
        kexinit(guess=True),
        kexinit() + reply(b"no key"),
        b"GET / HTTP/1.1\r\n\r\n",
    ],
)
def test_what_has_no_place_there_is_an_error(stream: bytes) -> None:
    with pytest.raises(ProtocolError):
        gate().feed(BANNER + stream)


def test_a_reply_before_the_client_has_begun_is_an_error() -> None:
    with pytest.raises(ProtocolError, match="has not begun"):
        gate(BANNER).feed(SERVER)


def test_in_a_group_exchange_31_is_the_group() -> None:
    exchange = "diffie-hellman-group-exchange-sha256"
    held = gate(BANNER + kexinit(exchange))
    group = packet(bytes([31]) + string(b"prime") + string(b"\2"))
    assert held.feed(BANNER + kexinit(exchange) + group) == BANNER + kexinit(exchange) + group
    assert held.host_key is None
    assert held.feed(reply(ed25519(2).blob, 33)) == b""
    assert held.host_key == ed25519(2)
    held = gate(BANNER + kexinit(exchange))
    with pytest.raises(ProtocolError):
        held.feed(BANNER + kexinit(exchange) + group * 2)


# OpenSSH reads a list up to an empty name, or 40 names of it, so it would choose group14, whose 31 is the reply.
@pytest.mark.parametrize("between", ["", ",".join(f"x{number}" for number in range(40))])
def test_no_list_makes_a_reply_look_like_a_group(between: str) -> None:
    ours, theirs = "diffie-hellman-group-exchange-sha256", "diffie-hellman-group14-sha256"
    held = gate(BANNER + kexinit(f"{ours},{theirs}"))
    with pytest.raises(ProtocolError):
        held.feed(BANNER + kexinit(f"{theirs},{between},{ours}") + reply(ed25519().blob))


def test_what_could_be_a_reply_is_no_group() -> None:
    exchange = "diffie-hellman-group-exchange-sha256"
    with pytest.raises(ProtocolError, match="wrong place"):
        gate(BANNER + kexinit(exchange)).feed(BANNER + kexinit(exchange) + reply(ed25519().blob))


@pytest.mark.parametrize("stream", [reply(ed25519(2).blob), kexinit(), packet(bytes([5]) + b"x"), b"\0\0\0\x01"])
def test_behind_the_released_key_comes_newkeys_and_no_second_key(stream: bytes) -> None:
    held = gate()
    held.feed(BANNER + kexinit() + reply(ed25519().blob) + stream)
    with pytest.raises(ProtocolError):
        held.release()
    assert not held.open


def test_messages_that_may_come_anywhere_pass() -> None:
    held = gate()
    stream = BANNER + IGNORE + kexinit() + IGNORE
    assert held.feed(stream + reply(ed25519().blob) + IGNORE + NEWKEYS) == stream
    assert held.release() == reply(ed25519().blob) + IGNORE + NEWKEYS
    assert held.open


def test_the_held_packet_can_be_shown_and_stays_held() -> None:
    shown = gate()
    assert shown.show() == b""
    shown.feed(SERVER)
    assert shown.show() == shown.show() == reply(ed25519().blob)
    assert shown.held
    shown.release()
    assert shown.show() == b""


# --- the client -------------------------------------------------------------------------------------------------------


def test_a_servers_goodbye_in_clear_cannot_forge_a_line() -> None:
    goodbye = packet(b"\x01" + bytes([0, 0, 0, 11]) + string(b"sorry\r\nall is well \x1b[2J\xc2\x9b") + string(b""))
    assert gate().feed(BANNER + goodbye) == BANNER + disconnect("sorry all is well [2J", begun=True)


@pytest.mark.parametrize("rest", [b"", b"\0" * 3, b"\0" * 4 + b"\xff" * 4])
def test_a_goodbye_that_is_cut_off_is_no_more_than_short(rest: bytes) -> None:
    assert gate().feed(BANNER + packet(b"\x01" + rest)) == BANNER + disconnect("", begun=True)


@pytest.mark.parametrize("client", [b"GET / HTTP/1.1\r\n", b"\n", b"x", b"SSH-" + b"x" * LARGEST_PREFACE])
def test_a_client_that_does_not_speak_ssh_is_an_error(client: bytes) -> None:
    with pytest.raises(ProtocolError):
        gate(client)


def test_the_client_is_not_looked_at_behind_its_kexinit() -> None:
    held = gate(CLIENT + b"whatever")
    held.feed_client(b"\xff" * 100)
    assert held.feed(SERVER) == BANNER + kexinit()


def test_the_client_may_send_messages_before_its_kexinit() -> None:
    assert gate(BANNER + IGNORE + kexinit()).feed(SERVER) == BANNER + kexinit()


def test_the_client_is_not_looked_at_once_the_gate_is_open() -> None:
    opened = gate()
    opened.feed(SERVER)
    opened.release()
    assert opened.open
    opened.feed_client(b"\xff" * 100)
    assert opened.feed(b"encrypted") == b"encrypted"


# --- bounds -----------------------------------------------------------------------------------------------------------


def test_what_passes_in_clear_has_a_bound() -> None:
    held = gate()
    held.feed(BANNER)
    for _ in range(MOST_CLEAR // len(IGNORE)):
        assert held.feed(IGNORE) == IGNORE
    with pytest.raises(ProtocolError, match="too much"):
        held.feed(IGNORE)


def test_what_waits_behind_the_held_packet_has_a_bound() -> None:
    held = gate()
    held.feed(BANNER + kexinit() + reply(ed25519().blob))
    for _ in range(MOST_HELD // 1024):
        assert held.feed(bytes(1024)) == b""
    with pytest.raises(ProtocolError, match="too much"):
        held.feed(b"x")


# --- the real ssh -----------------------------------------------------------------------------------------------------

_PROXY = """\
import os, sys
from ssm_ssh.ssh.disconnect import disconnect
recorded = bytes.fromhex(sys.argv[1])
os.write(1, recorded)
client = b""
while len(client) < 1000:
    client += os.read(0, 65536)
os.write(1, disconnect("said in clear", begun=True))
while os.read(0, 65536):
    pass
"""


@pytest.mark.parametrize("stage", ["banner", "negotiation"])
def test_openssh_shows_a_disconnect_between_packets_with_strict_kex_too(stage: str, tmp_path: Path) -> None:
    one = next(one for one in RECORDINGS if one.exchange == "curve25519-sha256")
    assert b"kex-strict-s-v00@openssh.com" in one.server
    passed = one.server[: one.server.index(b"\n") + 1] if stage == "banner" else one.server[: one.reply_at]
    script = tmp_path / "proxy.py"
    script.write_text(_PROXY)
    proxy = f"ProxyCommand={sys.executable} {script} {passed.hex()} {stage}"
    command = ["ssh", "-F", "none", "-o", proxy, "-o", "BatchMode=yes", "-o", "KexAlgorithms=curve25519-sha256", "u@h"]
    root = str(Path(__file__).parents[2])
    ssh = subprocess.run(
        command, capture_output=True, text=True, timeout=60, env={"PYTHONPATH": root, "PATH": "/usr/bin:/bin"}
    )
    assert ssh.returncode == 255
    assert "Received disconnect from UNKNOWN port 65535:2: said in clear" in ssh.stderr


# --- what a hostile server's bytes cost -------------------------------------------------------------------------------


def preface_in_single_bytes(size: int) -> None:
    opening = gate()
    for _ in range(size):
        opening.feed(b"x")


def banner_in_single_bytes(size: int) -> None:
    opening = gate()
    opening.feed(b"line\r\nSSH-")
    for _ in range(size):
        opening.feed(b"x")


def lines_before_the_banner(size: int) -> None:
    opening = gate()
    for _ in range(size // 4):
        opening.feed(b"\nSSH")


def client_banner_in_single_bytes(size: int) -> None:
    opening = Gate()
    opening.feed_client(b"SSH-")
    for _ in range(size):
        opening.feed_client(b"x")


def small_packets_at_once(size: int) -> None:
    opening = gate()
    opening.feed(BANNER)
    for _ in range(2):
        opening.feed(IGNORE * (size // len(IGNORE)))


def packet_in_single_bytes(size: int) -> None:
    opening = gate()
    opening.feed(BANNER)
    for byte in packet(bytes([2]) + bytes(size)):
        opening.feed(bytes([byte]))


@pytest.mark.parametrize(
    ("work", "size"),
    [
        (preface_in_single_bytes, LARGEST_PREFACE // 5),
        (banner_in_single_bytes, LARGEST_PREFACE // 5),
        (lines_before_the_banner, LARGEST_PREFACE // 5),
        (client_banner_in_single_bytes, LARGEST_PREFACE // 5),
        (small_packets_at_once, MOST_CLEAR // 12),
        (packet_in_single_bytes, 50_000),
    ],
)
def test_work_grows_in_proportion_to_the_bytes(work: Callable[[int], None], size: int) -> None:
    assert growth(work, size) < 2 * FACTOR
