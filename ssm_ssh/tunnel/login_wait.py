"""PURE: how long a connection waits for each step before the login, and what it blames. State and time come in.

The gateway answers pings for an agent or an sshd that is dead, so each step has a clock of its own, which runs until
that step is taken. It goes on through a resume, because a session that breaks at every step makes no progress either.
The table of all waits is docs/waits.md.
"""

from __future__ import annotations

from ssm_ssh.errors import NetworkError, SessionEnded, SsmSshError

# The steps, in order. GAP is a HANDSHAKE whose first message is missing while later ones are there.
START, CONNECT, HANDSHAKE, GAP, BANNER, KEY_EXCHANGE = "start", "connect", "handshake", "gap", "banner", "key exchange"
NOTHING = ""
"""Nothing is awaited from the other side: a person, the client or a call to AWS has the next move."""
_RANK = {START: 0, CONNECT: 1, HANDSHAKE: 2, GAP: 2, BANNER: 3, KEY_EXCHANGE: 4}

QUIET, TELL, FAIL, SERVER_SILENT = "", "tell", "fail", "server silent"
"""What `LoginWait.look` decides: nothing, say what is awaited, give up on the step or on a closed port."""

# Seconds since the connection began to wait, and for a single step. A person in front of a screen learns what is
# awaited within 5 s and what to blame within 30 s, the start of the session included.
TELL_AFTER, LIMIT = 4.0, 25.0
# Seconds without an acknowledgement of the first bytes that mean a closed port: an agent without a connection to the
# port acknowledges nothing, and one that meets a closed port crashes silently (3.3).
CLOSED_PORT = 6.0
# Seconds between two looks that can only mean that this process was stopped, or the machine asleep.
STOPPED = 10.0


def step(
    *, session: bool, connected: bool, established: bool, gap: bool, banner: bool, exchanging: bool, asking: bool
) -> str:
    """Return the step that is awaited.

    `session`: AWS has named it; `connected`: its data channel is open; `established`: the handshake is complete;
    `gap`: messages wait for an earlier one; `banner`: sshd has begun; `exchanging`: sshd has the next move in the key
    exchange; `asking`: StartSession is on its way, with credentials.
    """
    if not session:
        return START if asking else NOTHING
    if not connected:
        return CONNECT
    if not established:
        return GAP if gap else HANDSHAKE
    if not banner:
        return BANNER
    return KEY_EXCHANGE if exchanging else NOTHING


class LoginWait:
    """The clock of the step that is awaited."""

    def __init__(self, now: float) -> None:
        self._since = self._looked = self._began = now
        self._rank = -1
        self._told = False

    def restart(self, now: float) -> None:
        """Begin again with another session."""
        self._since = now
        self._rank = -1

    def look(self, awaited: str, now: float, *, unacknowledged: bool = False) -> str:
        """Return the verdict; `unacknowledged`: bytes of the client's wait to be acknowledged."""
        if now - self._looked >= STOPPED:
            self._since += now - self._looked
            self._began += now - self._looked
        self._looked = now
        rank = _RANK.get(awaited, -1)
        if rank < 0:
            self._since = self._began = now
        elif rank > self._rank:
            self._since, self._rank = now, rank
        waited = now - self._since
        if awaited == BANNER and unacknowledged and waited >= CLOSED_PORT:
            return SERVER_SILENT
        if waited >= LIMIT and awaited != START:  # the call has its own deadline, which begins with credentials
            return FAIL
        if now - self._began >= TELL_AFTER and not self._told and rank >= 0:
            self._told = True
            return TELL
        return QUIET


def awaited_sentence(awaited: str, instance_id: str, port: int) -> str:
    """Return what is awaited, for the line after `TELL_AFTER`."""
    return {
        START: f"waiting for Systems Manager to start a session with {instance_id}",
        CONNECT: f"waiting for the connection to the session with {instance_id}",
        HANDSHAKE: f"waiting for the SSM Agent on {instance_id} to begin the session",
        GAP: f"waiting for the SSM Agent on {instance_id} to begin the session",
        BANNER: f"waiting for sshd on port {port} of {instance_id} to answer",
        KEY_EXCHANGE: f"waiting for sshd on port {port} of {instance_id} to exchange keys",
    }[awaited]


def overdue(awaited: str, instance_id: str, port: int, last: SsmSshError | None) -> SsmSshError:
    """Return the error of a step that was not taken within `LIMIT`; `last`: why the connection broke, if it did."""
    if awaited == CONNECT:
        why = last.sentence() if last is not None else "Check the network and HTTPS_PROXY"
        return NetworkError(f"no connection to the session with {instance_id} for {LIMIT:.0f} s", why)
    agent = f"the SSM Agent on {instance_id}"
    restart = "Restart it there (systemctl restart amazon-ssm-agent), or read its log"
    if awaited == HANDSHAKE:
        return SessionEnded(f"{agent} has not begun the session: no handshake for {LIMIT:.0f} s", restart)
    if awaited == GAP:
        return SessionEnded(f"{agent} has not begun the session: its first message is missing", restart)
    sshd = f"sshd on port {port} of {instance_id}"
    if awaited == BANNER:
        return SessionEnded(
            f"{sshd} has sent no banner for {LIMIT:.0f} s, though the SSM Agent is there",
            "Check that sshd listens there and is not overloaded or stopped; its log says more",
        )
    return SessionEnded(f"{sshd} stopped in the middle of the key exchange, {LIMIT:.0f} s ago", "Try again")
