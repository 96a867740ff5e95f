"""What agents of different versions can do.

After amazon-ssm-agent, RELEASENOTES.md.
"""

from __future__ import annotations

NON_INTERACTIVE = "3.0.1124.0"  # sessions of the type NonInteractiveCommands
SEPARATE_OUTPUT = "3.1.1511.0"  # separateOutputStream: streams apart, and the exit code
START_ERRORS = "3.2.532.0"  # errors before the start of a command reach the client


def at_least(version: str, wanted: str, *, above: bool = False) -> bool:
    """Return whether `version` is `wanted` or newer; `above`: newer. Parts that are no numbers count as 0."""
    ours, theirs = _parts(version), _parts(wanted)
    length = max(len(ours), len(theirs))
    ours += [0] * (length - len(ours))
    theirs += [0] * (length - len(theirs))
    return ours > theirs or (ours == theirs and not above)


def _parts(version: str) -> list[int]:
    return [int(part) if part.isdigit() else 0 for part in version.split(".")]
