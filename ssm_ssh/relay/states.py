"""PURE: the states of a relay, and which event leads from which state to which.

    opening ---> online <---> offline
     |   ^         |  `-----.    |
     |   `--- ended <       |    |
     |          |           |    |
     `----------+-----------+----+---> lingering ---> closing ---> over
                                 `------------------> closing

Only what changes the behavior of the whole loop may live here. These do not belong here:

- what the handler waits for (a key, a banner, a prompt): each handler has its own;
- which attempt to connect is under way, and when the next is due: `Link` and `Reconnect` know;
- whether output waits for the local side: that is a count of bytes.

An event that a state does not list is a mistake in the loop, so `following` raises.
"""

from __future__ import annotations

import enum


class State(enum.Enum):
    """Where a relay is in its life."""

    OPENING = "opening"
    """No data channel has been up yet in this session."""
    ONLINE = "online"
    """The data channel is up."""
    OFFLINE = "offline"
    """The data channel broke, and the session is being resumed."""
    ENDED = "ended"
    """The gateway has closed the session. Its last output may still wait for the local side."""
    LINGERING = "lingering"
    """The client has been sent an error and gets time to read it."""
    CLOSING = "closing"
    """The local side has been let go, and the session is being terminated."""
    OVER = "over"
    """Nothing is left to do."""


OPENING, ONLINE, OFFLINE, ENDED = State.OPENING, State.ONLINE, State.OFFLINE, State.ENDED
LINGERING, CLOSING, OVER = State.LINGERING, State.CLOSING, State.OVER

CONNECTED, LOST, SESSION_ENDED, RENEWED = "connected", "lost", "session ended", "renewed"
"""Events of the link: a data channel is up, it broke, the gateway closed it, another session begins."""
ERROR_SENT, CLOSED, TERMINATED = "error sent", "closed", "terminated"
"""Events of an end: the client was sent an error, the local side was let go, the session is terminated."""

TRANSITIONS: dict[State, dict[str, State]] = {
    OPENING: {CONNECTED: ONLINE, ERROR_SENT: LINGERING, CLOSED: CLOSING},
    ONLINE: {LOST: OFFLINE, SESSION_ENDED: ENDED, ERROR_SENT: LINGERING, CLOSED: CLOSING},
    OFFLINE: {CONNECTED: ONLINE, ERROR_SENT: LINGERING, CLOSED: CLOSING},
    ENDED: {RENEWED: OPENING, ERROR_SENT: LINGERING, CLOSED: CLOSING},
    LINGERING: {CLOSED: CLOSING},
    CLOSING: {TERMINATED: OVER},
    OVER: {},
}


class IllegalTransition(Exception):
    """The loop reported an event that cannot happen in its state."""


def following(state: State, event: str) -> State:
    """Return the state after `event`. Raises IllegalTransition."""
    try:
        return TRANSITIONS[state][event]
    except KeyError:
        raise IllegalTransition(f"{event} while {state.value}") from None
