"""PURE: what stands in the way of a session, in the order in which it has to be put right, and the exit status of each.

The names are those of findings. What comes earlier hides what comes later: without credentials nothing is known of the
instance, and an instance that is stopped has no network that matters.
"""

from __future__ import annotations

from ssm_ssh.doctor.finding import Finding, State
from ssm_ssh.startup import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence


class Layer(NamedTuple):
    """A group of causes: its title, the exit status, and the names of its findings in order."""

    title: str
    status: int
    names: tuple[str, ...]


_NETWORK = (
    *("ipv6", "dns", "endpoint", "endpoint dns", "endpoint group", "endpoint policy", "route", "nat"),
    *("public address", "egress", "acl outbound", "acl inbound"),
)
LAYERS = (
    Layer(
        "this computer",
        10,
        (
            *("version", "setup", "rules", "ssh", "ssh config", "key", "files", "clock", "connection to AWS"),
            *("profile", "region", "connections", "sessions", "host keys", "removals"),
        ),
    ),
    Layer("credentials", 11, ("credentials", "identity")),
    Layer("rights", 12, ("rights", "document", "rights: keys", "rights: host keys")),
    Layer("instance", 13, ("instance", "status checks")),
    Layer("role", 14, ("instance profile", "trust", "role", "tier")),
    Layer("network", 15, ("network", *(f"network: {part}" for part in _NETWORK))),
    Layer("agent", 16, ("activation", "agent", "agent version")),
    Layer("preferences", 17, ("preferences", "session key", "session logs", "run as", "session limits")),
    Layer("way in", 18, ("session", "sshd")),
)
UNSEEN = 9
"""The exit status where no problem was seen, and not everything could be looked at."""

_PLACES = {name: (number, position) for number, layer in enumerate(LAYERS) for position, name in enumerate(layer.names)}
_LAST = (len(LAYERS), 0)


def place(name: str) -> tuple[int, int]:
    """Return a key by which findings are ordered."""
    return _PLACES.get(name, _LAST)


def layer(name: str) -> Layer:
    """Return the layer of a finding; one that no layer lists belongs to the last."""
    number = place(name)[0]
    return LAYERS[min(number, len(LAYERS) - 1)]


def ordered(findings: Iterable[Finding]) -> list[Finding]:
    """Return `findings` in the order of the layers; within one name they stay as they are."""
    return sorted(findings, key=lambda finding: place(finding.name))


def first(findings: Sequence[Finding]) -> Finding | None:
    """Return the problem to put right first, None where there is none."""
    problems = [finding for finding in findings if finding.state is State.PROBLEM]
    return min(problems, key=lambda finding: place(finding.name), default=None)


def exit_status(findings: Sequence[Finding]) -> int:
    """Return the exit status of the doctor: 0 where nothing is wrong, that of the first problem's layer, or UNSEEN.

    What could not be looked at does not matter where a session has shown that everything works.
    """
    problem = first(findings)
    if problem is not None:
        return layer(problem.name).status
    if any(finding.name == "session" and finding.state is State.OK for finding in findings):
        return 0
    return UNSEEN if any(finding.state is State.NOT_CHECKED for finding in findings) else 0


def after_session(findings: Sequence[Finding], session: Finding) -> list[Finding]:
    """Return `findings` together with what a real session has shown, which counts more than any conclusion."""
    if session.state is State.OK or session.name == "sshd":
        # Whatever seemed to keep sessions away does not.
        doubted = {name for one in LAYERS if one.title in ("role", "network", "agent") for name in one.names}
        kept = [
            finding._replace(state=State.WARNING, todo="")
            if finding.state is State.PROBLEM and (finding.name in doubted or finding.name == "rights")
            else finding
            for finding in findings
        ]
        return [*kept, session]
    if session.name == "agent" and first(findings) is not None:
        return list(findings)  # the agent is not connected, and it is known why
    return [*(finding for finding in findings if finding.name != session.name), session]
