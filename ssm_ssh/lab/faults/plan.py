"""Rules, which are faults in force, and plans, which apply them to the frames of one direction of a session."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from ssm_ssh.lab.wire.message import INPUT, OUTPUT, kind_of, payload_type_of


@dataclass
class Rule:
    """One fault in force."""

    number: int
    name: str
    values: dict[str, Any]
    rng: random.Random = field(repr=False)
    left: int = 0  # how often it may still happen; 0: no limit
    done: bool = False
    hits: int = 0
    passed: dict[str, float] = field(default_factory=dict, repr=False)  # by session: bytes since the last cut

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401 -- the values of a JSON object
        try:
            return self.values[name]
        except KeyError:
            raise AttributeError(name) from None

    def concerns(self, session: str, instance: str) -> bool:
        """True when the fault is in force for this session of this instance."""
        values = self.values
        return not (
            self.done
            or (values.get("session") and values["session"] != session)
            or (values.get("instance") and values["instance"] != instance)
        )

    def hit(self) -> None:
        """Count one occurrence."""
        self.hits += 1
        if self.left:
            self.left -= 1
            self.done = not self.left


class Plan:
    """The faults on one direction of one session. Asked for every frame, so made once and kept until they change."""

    def __init__(self, rules: Sequence[Rule], session: str, direction: str) -> None:
        self._session = session
        here = [rule for rule in rules if rule.direction in (direction, "both")]
        self._choices = [rule for rule in here if rule.name in ("lose", "double", "reorder")]
        self._delays = [rule for rule in here if rule.name == "delay"]
        self._limits = [rule for rule in here if rule.name == "limit"]
        self._cuts = [rule for rule in here if rule.name == "cut" and rule.when in ("bytes", "handshake")]
        self._held: list[tuple[int, bytes]] = []  # frames that reorder holds back, with how many must overtake them
        self.quiet = not here

    def shape(self, frame: bytes) -> list[bytes]:
        """Return the frames to send for `frame`: none, itself, itself twice, or itself and those it has overtaken."""
        out = [frame]
        for rule in self._choices:
            if rule.done or not _matches(rule, frame) or rule.rng.random() >= rule.probability:
                continue
            rule.hit()
            if rule.name == "lose":
                out = []
                break
            if rule.name == "double":
                out = [frame, frame]
            else:
                self._held.append((rule.distance + 1, frame))
                out = []
                break
        if self._held:
            waiting = [(left - 1, held) for left, held in self._held]
            out += [held for left, held in waiting if left <= 0]
            self._held = [(left, held) for left, held in waiting if left > 0]
        return out

    def release(self) -> list[bytes]:
        """Return the frames that reorder still holds back: perhaps no frame comes that could overtake them."""
        held, self._held = [frame for _, frame in self._held], []
        return held

    @property
    def holding(self) -> bool:
        """True while reorder holds a frame back."""
        return bool(self._held)

    def delay(self) -> float:
        """Return the delay of the next frame in seconds."""
        return float(sum(rule.seconds + rule.rng.random() * rule.jitter for rule in self._delays))

    def rate(self) -> float:
        """Return the limit in bytes a second, 0 for none."""
        return float(min((rule.bytes_per_second for rule in self._limits), default=0))

    @property
    def timed(self) -> bool:
        """True when frames may have to wait."""
        return bool(self._delays or self._limits or self._choices)

    def cut(self, frame: bytes) -> tuple[Rule, int] | None:
        """Return the cut that falls within `frame`, with its offset. Call it once for each frame that passes."""
        result: tuple[Rule, int] | None = None
        for rule in self._cuts:
            if rule.done:
                continue
            if rule.when == "handshake":
                if kind_of(frame) in (INPUT, OUTPUT) and payload_type_of(frame) == rule.payload_type:
                    rule.hit()
                    result = (rule, len(frame) // 2)
                continue
            before = rule.passed.get(self._session, 0)
            after = rule.passed[self._session] = before + len(frame)
            edge = rule.after or rule.every
            if after >= edge:
                rule.passed[self._session] = 0 if rule.every else float("-inf")
                rule.hit()
                result = (rule, max(1, min(int(edge - before), len(frame) - 1)))
        return result


def _matches(rule: Rule, frame: bytes) -> bool:
    return (not rule.types or kind_of(frame).decode("latin-1") in rule.types) and (
        rule.payload_type is None or payload_type_of(frame) == rule.payload_type
    )
