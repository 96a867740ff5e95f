"""Every number of the data channel that limits something, and why it is that number.

Sizes are bytes, times are seconds. "protocol" marks what the official programs (amazon-ssm-agent 3.3,
session-manager-plugin 1.2) do; "RFC 9002" is QUIC's loss detection, whose ideas the sender follows.
"""

from __future__ import annotations

PAYLOAD = 1024
"""Payload of one message at most: what the official programs send; the agent's buffers are counted in such messages."""

JSON_PAYLOAD = 64 * 1024
"""Longest JSON (handshake, channel_closed) that is parsed; real ones have a few hundred bytes."""

ACTIONS = 8
"""Handshake actions answered at most; the agent knows two. The answer echoes each, so a bound keeps it small."""

ACTION_NAME = 64
"""Characters of an action's name that are echoed."""

BROKEN_FRAMES = 64
"""Broken frames without progress in between before the channel gives up. The agent resends what is not acknowledged
every 0.1 to 1 s, so this is half a minute of trying: damage by chance has long been mended, damage by rule never is."""

REORDER_MESSAGES = 10_000
"""Messages ahead of order kept at most, and how far ahead a number may lie: the plugin's buffer (protocol)."""

REORDER_BYTES = 16 * 1024 * 1024
"""Bytes kept ahead of order: 10,000 full messages fit, 10,000 of the largest WebSocket frames do not."""

REORDER_OVERHEAD = 256
"""Bytes a kept message is charged on top of its payload: what Python's objects around it cost."""

ACKS = 20_000
"""Acknowledgements waiting to be sent at most (2 MiB): twice the reorder buffer. They pile up only while the
transport takes nothing; one that is not queued is no loss, for the agent resends and is acknowledged then."""

REPEATED_ACKS = 512
"""Acknowledgements repeated on a new connection at most: those of half a second of a paced agent, in 150 KB. The agent
resends one unacknowledged message every 100 ms, so that each one lost would delay a download by that."""

REPEAT_AGE = 1.0
"""Only acknowledgements given to a connection in its last second are repeated: older ones have arrived, and a slow line
is to carry no more of them than it did within that second."""

HOLD = 0.1
"""First stream bytes wait for the first output at most this long after HandshakeComplete: the agent sends that a
moment before it considers itself complete, and discards stream data until then (protocol)."""

PAUSE = 5.0
"""pause_publication holds back timed resends at most this long: it is advice, and its end may get lost."""

FIRST_RTO = 0.2
"""Resend timeout until a round trip was measured (protocol: 200 ms). It comes soon because the agent leaves the first
stream bytes unacknowledged while its connection to the port is not up."""

MIN_RTO = 0.05
"""Shortest resend timeout: below it, a peer that was merely scheduled late looks like loss."""

GRANULARITY = 0.01
"""Shortest allowance for variation (protocol: 10 ms)."""

MAX_RTT = 10.0
"""Longest round trip that is believed: more tells of a stall or a suspended machine, not of the path."""

PROBE_INTERVAL = 16.0
"""Longest time between two probes of a silent peer. A peer that comes back says so (data, acknowledgement,
start_publication or a new connection), so probes need not be frequent; a session idles out after 1 min at the least."""

BACKOFFS = 12
"""Doublings of a timeout at most: enough to get from the shortest to the longest."""

LOSS_DELAY = 2.0
"""Up to this the doublings apply to the time threshold for losses too: longer than any round trip that is usual."""

PROBES = 2
"""Messages resent by one probe (RFC 9002, 6.2.4: one or two); the oldest, which is what the agent waits for."""

REORDER_PACKETS = 256
"""Later transmissions acknowledged before a message counts as lost, times the tolerance. RFC 9002 takes 3, for paths
that hardly reorder; 256 leaves reordered messages time to arrive, and at speed still beats the time threshold."""

MAX_TOLERANCE = 8
"""Quarters of a round trip by which the time threshold may exceed it: starts at 1 (RFC 8985 takes a quarter too) and
grows with each resend that turns out to have been needless."""

QUEUE_TARGET = 0.3
"""Queueing delay that the window may cause: the delivery rate is kept, and a keystroke waits no longer than that."""

FIRST_WINDOW = 32 * 1024
"""Bytes in flight before anything is known of the path: 10 to 30 packets, as RFC 6928 and RFC 9002 start with."""

MIN_WINDOW = 16 * 1024
"""Bytes in flight at least: enough to measure a rate with, and 0.8 s of even 20 kB/s."""

MAX_WINDOW = 5 * 1024 * 1024
"""Bytes in flight at most: 40 MB/s over a round trip of 100 ms with headers, and 1/20 of the agent's buffer."""

RATE_ROUNDS = 4
"""Rounds over which the highest delivery rate counts (RFC: BBR's filter has 10); fewer follow a falling rate sooner."""

ROUND = 1.0
"""Longest round of the rate measurement: a window that became far too large is corrected within seconds."""

BASE_RTT_AGE = 20.0
"""A lowest round trip this old is measured anew, with the own queue drained (BBR does so every 10 s): without that a
path that became longer would shrink the window for ever, and one's own standing queue would pass for the path."""

MEASURE_WINDOW = 4 * 1024
"""Bytes in flight at least while the lowest round trip is measured anew: so few that they make no queue themselves."""

MIN_LOCAL = 16 * 1024
MAX_LOCAL = 512 * 1024
"""Stream bytes queued before their first transmission: a quarter of the window, within these bounds. A keystroke waits
behind them, so on a slow link they must be few; on a fast one they bridge the time between two calls of frames()."""
