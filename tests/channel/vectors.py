"""The recorded frames of the official programs."""

from __future__ import annotations

import json
from base64 import b64decode
from pathlib import Path
from typing import Any, NamedTuple

FILES = ("ssh", "port-forward-mux", "shell-no-handshake")
_FOLDER = Path(__file__).parent / "recorded"
ALL = tuple(sorted(file.stem for file in _FOLDER.glob("*.jsonl")))


class Recorded(NamedTuple):
    """One line. `frame` is empty for a text frame; `fields` are the header fields of a binary frame."""

    at: float
    sender: str
    receiver: str
    text: str
    frame: bytes
    fields: dict[str, Any]


def recorded(name: str) -> list[Recorded]:
    lines = (_FOLDER / f"{name}.jsonl").read_text().splitlines()
    rows = [json.loads(line) for line in lines]
    return [
        Recorded(
            row["ms"] / 1000,
            row["from"],
            row["to"],
            row.get("text", ""),
            bytes.fromhex(row.get("hex", "")),
            row.get("decoded", {}),
        )
        for row in rows
    ]


def binary(name: str) -> list[Recorded]:
    return [row for row in recorded(name) if row.frame]


def data_key(name: str) -> bytes:
    """The data key of a recorded session that is encrypted."""
    return b64decode(json.loads((_FOLDER / f"{name}.key.json").read_text())["plaintext"])
