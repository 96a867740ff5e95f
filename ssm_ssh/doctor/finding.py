"""PURE: what a check returns: the state of one thing, the evidence for it, and one thing to do."""

from __future__ import annotations

from enum import Enum

from ssm_ssh.startup import NamedTuple


class State(Enum):
    """How a thing is. Only PROBLEM and NOT_CHECKED stand in the way of connections."""

    OK = "ok"
    NOTE = "note"
    WARNING = "warning"
    PROBLEM = "problem"
    NOT_CHECKED = "not checked"


class Finding(NamedTuple):
    """The result of the check `name`. `todo` is one thing to do, "" where there is nothing to do."""

    name: str
    state: State
    evidence: str
    todo: str = ""

    @property
    def sentence(self) -> str:
        """Evidence and advice in one line (not printable yet)."""
        evidence = self.evidence.rstrip(". ")
        return f"{evidence}. {self.todo}" if self.todo else self.evidence

    @property
    def is_good(self) -> bool:
        """Whether connections can succeed in spite of it."""
        return self.state not in (State.PROBLEM, State.NOT_CHECKED)
