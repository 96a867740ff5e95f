"""The benchmarks still fit the product: they drive the relay with a TunnelService of their own."""

from __future__ import annotations

import inspect
import sys
from pathlib import Path

import pytest

from ssm_ssh.ssh.gate import Gate
from ssm_ssh.tunnel.service import TunnelService

BENCHMARKS = Path(__file__).parent.parent / "benchmarks"


@pytest.fixture(autouse=True)
def path(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "path", [str(BENCHMARKS), *sys.path])


def test_the_service_of_the_benchmarks_is_a_tunnel_service() -> None:
    from relay_client import DirectService

    for name, member in inspect.getmembers(TunnelService, inspect.isfunction):
        if not name.startswith("_"):
            assert list(inspect.signature(getattr(DirectService, name)).parameters) == list(
                inspect.signature(member).parameters
            ), name


def test_the_greeting_of_the_benchmarks_opens_the_gate() -> None:
    import greeting

    gate = Gate()
    gate.feed_client(greeting.CLIENT)
    first = gate.feed(greeting.SERVER_FIRST) + gate.feed(greeting.SERVER_THEN)
    assert gate.held
    assert first + gate.release() == greeting.SERVER
    assert gate.open


@pytest.mark.parametrize("size", [0, 1, 1024])
def test_both_ends_of_the_benchmarks_speak_the_protocol(size: int) -> None:
    import peer

    from ssm_ssh.channel import message

    payload = bytes(size)
    sent = peer.frame(peer._OUTPUT, 7, 0, 1, payload)
    decoded = message.decode(sent[4 if sent[1] == 126 else 2 :])
    assert (decoded.message_type, decoded.sequence, decoded.payload) == (message.OUTPUT, 7, payload)
    acknowledgement = peer.acknowledgement(7)
    payload = message.decode(acknowledgement[4:]).payload
    assert message.acknowledged_number(payload) == 7
