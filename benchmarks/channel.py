"""Time per message of the data channel, including codec and SHA-256: python benchmarks/channel.py [MESSAGES]."""

from __future__ import annotations

import sys
from os import urandom
from time import perf_counter

from ssm_ssh.channel import message as wire
from ssm_ssh.channel.session import Channel

PAYLOAD = 1024
BATCH = 64


def established() -> Channel:
    channel = Channel(client_id="benchmark", epoch=0.0)
    channel.connected(0.0)
    channel.receive(output(0, b"SSH-2.0-benchmark\r\n"), 0.0)
    channel.frames(0.0, 1 << 20)
    return channel


def output(sequence: int, payload: bytes) -> bytes:
    message_id = wire.random_id(sequence)
    return wire.encode(
        wire.OUTPUT, sequence=sequence, flags=0, message_id=message_id, payload_type=1, payload=payload, created=1
    )


def acknowledgement(frame: bytes, sequence: int) -> bytes:
    payload = (
        '{"AcknowledgedMessageType":"input_stream_data","AcknowledgedMessageId":"'
        f'{wire.uuid_text(frame[64:80])}","AcknowledgedMessageSequenceNumber":{sequence},"IsSequentialMessage":true}}'
    ).encode()
    return wire.encode(
        wire.ACKNOWLEDGE, sequence=0, flags=3, message_id=bytes(16), payload_type=0, payload=payload, created=1
    )


def upload(messages: int) -> float:
    """Return the channel's seconds for each message sent and acknowledged, without the peer's work."""
    channel, now, spent, sequence = established(), 1.0, 0.0, 0
    data = urandom(PAYLOAD * BATCH)
    while sequence < messages:
        # The window opens only as acknowledgements arrive, so a turn sends what fits.
        start = perf_counter()
        room = channel.room()
        channel.send(data[:room] if room < len(data) else data, now)
        frames = channel.frames(now, 1 << 20)
        spent += perf_counter() - start
        acks = [acknowledgement(frame, sequence + i) for i, frame in enumerate(frames)]
        sequence += len(frames)
        now += 0.001
        start = perf_counter()
        for ack in acks:
            channel.receive(ack, now)
        spent += perf_counter() - start
    return spent / sequence


def download(messages: int) -> float:
    """Return the channel's seconds for each message delivered and acknowledged."""
    channel, now, spent, sequence = established(), 1.0, 0.0, 1
    data = urandom(PAYLOAD)
    while sequence <= messages:
        batch = [output(sequence + i, data) for i in range(BATCH)]
        sequence += BATCH
        now += 0.001
        start = perf_counter()
        for frame in batch:
            channel.receive(frame, now)
        channel.frames(now, 1 << 20)
        spent += perf_counter() - start
    return spent / (sequence - 1)


def main() -> None:
    messages = int(sys.argv[1]) if len(sys.argv) > 1 else 50_000
    for name, run in (("up", upload), ("down", download)):
        best = min(run(messages) for _ in range(3))
        print(f"{name:4} {best * 1e6:5.2f} us a message, {PAYLOAD / best / 1e6:5.0f} MB/s")


if __name__ == "__main__":
    main()
