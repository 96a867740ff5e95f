import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ssm_ssh.ssh.disconnect import BANNER, LONGEST_TEXT, disconnect


@given(st.text())
def test_the_packet_is_well_formed(text: str) -> None:
    packet = disconnect(text)[len(BANNER) :]
    length = int.from_bytes(packet[:4], "big")
    padding = packet[4]
    payload = packet[5 : 4 + length - padding]
    said = int.from_bytes(payload[5:9], "big")
    assert len(packet) == 4 + length
    assert len(packet) % 8 == 0
    assert padding >= 4
    assert payload[0] == 1
    assert said <= LONGEST_TEXT
    assert payload[9 + said :] == bytes(4)
    assert all(0x20 <= byte <= 0x7E for byte in payload[9 : 9 + said])


def test_openssh_shows_the_text() -> None:
    program = f"import os, sys; os.write(1, {disconnect('the instance is asleep')!r}); sys.stdin.read()"
    ssh = subprocess.run(
        [
            "ssh",
            "-F",
            "none",
            "-o",
            f'ProxyCommand={sys.executable} -c "{program}"',
            "-o",
            "BatchMode=yes",
            "user@host",
        ],
        capture_output=True,
        text=True,
        timeout=30,
    )
    assert ssh.returncode == 255
    assert "Received disconnect from UNKNOWN port 65535:2: the instance is asleep" in ssh.stderr


@pytest.mark.parametrize("text", ["two\r\nlines", "c1 \x9b", "\x08\x08"])
def test_control_characters_never_reach_the_packet(text: str) -> None:
    body = disconnect(text)[len(BANNER) + 14 :].rstrip(b"\0")
    assert all(byte >= 0x20 for byte in body)
