"""Inputs to start from: recorded frames of the official programs, and recorded key exchanges of OpenSSH."""

from __future__ import annotations

from ssm_ssh.channel import message as wire
from ssm_ssh.transport.frames import BINARY
from tests.channel.vectors import ALL, binary
from tests.fuzz.targets import RESEAL, record
from tests.ssh.streams import SERVER, ed25519, recordings

MOST_FRAMES = 40
"""Frames of one recording that an input holds: a mutation should meet the beginning often."""


def corpus(target: str) -> list[bytes]:
    """Return the inputs for a target, in a fixed order."""
    return _MAKERS[target]()


def _messages() -> list[bytes]:
    return [row.frame for name in ALL for row in binary(name)]


def _channels() -> list[bytes]:
    sessions = []
    for name in ALL:
        to_client = [row.frame for row in binary(name) if row.receiver == "client"][:MOST_FRAMES]
        sessions += [b"".join(record(frame, flags) for frame in to_client) for flags in (0, RESEAL)]
    kinds = (wire.CHANNEL_CLOSED, wire.PAUSE_PUBLICATION, wire.START_PUBLICATION)
    return [*sessions, *(record(_control(kind), RESEAL) for kind in kinds)]


def _control(kind: str) -> bytes:
    payload = b'{"Output":"Session terminated."}'
    return wire.encode(kind, sequence=0, flags=3, message_id=bytes(16), payload_type=0, payload=payload, created=1)


def _websocket_frames() -> list[bytes]:
    heads = {125: b"", 126: b"\0\x7e", 127: bytes(8)}
    made = [bytes((0, 0x80 | opcode, 2)) + b"\x03\xe8" for opcode in range(11)]
    made += [bytes((0, 0x80 | BINARY, length)) + head + bytes(130) for length, head in heads.items()]
    stream = b"".join(bytes((0x82, 126)) + len(frame).to_bytes(2, "big") + frame for frame in _messages()[:MOST_FRAMES])
    return [*made, b"\0" + stream]


def _servers() -> list[bytes]:
    return [b"\0" + SERVER, *(b"\0" + recording.server for recording in recordings())]


def _host_keys() -> list[bytes]:
    return [ed25519().blob, *(recording.host_key.blob for recording in recordings())]


def _forwards() -> list[bytes]:
    streams = [
        b"".join(row.frame[120:] for row in binary(name) if row.fields["payload_type"] == wire.STREAM)
        for name in ALL
        if "forward" in name
    ]
    return [b"\0" + stream for stream in streams]


def _commands() -> list[bytes]:
    whole = b"junk\n@ssm-ssh1\r\n1aGVs\n1bG8=\n2b29wcw==\n-\n#3\n1.2\n2.1\n=\n"
    return [b"\0" + whole, b"\0!bm8=\n", b"\0@ssm-ssh1\n\x1b[1mx\x1b_ssm-ssh;t;4\x1b\\"]


_MAKERS = {
    "message": _messages,
    "frames": _websocket_frames,
    "gate": _servers,
    "channel": _channels,
    "host_key": _host_keys,
    "mux": _forwards,
    "exec_frames": _commands,
    "kms": _channels,
}
