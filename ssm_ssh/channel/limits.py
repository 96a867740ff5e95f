"""The limits of the data channel, and the reason for each number.

Sizes are bytes, times are seconds. "protocol" marks what the official programs (amazon-ssm-agent 3.3,
session-manager-plugin 1.2) do. "RFC 9002" is QUIC's loss detection, which the sender follows.
"""

from __future__ import annotations

PAYLOAD = 1024
"""Largest payload of one message: the official programs send no more, and the agent counts its buffers in messages."""

JSON_PAYLOAD = 64 * 1024
"""Longest JSON payload (handshake, channel_closed) that is parsed. Real ones have a few hundred bytes."""

ACTIONS = 8
"""Most handshake actions that are answered. The agent knows two; the answer echoes each, so it needs a bound."""

ACTION_NAME = 64
"""Most characters of an action's name that are echoed."""

KMS_KEY_NAME = 2048
"""Most characters of a KMS key's id (the KMS API's own limit)."""

KMS_CHALLENGE = 1024
"""Most characters of the challenge in a request for KMS encryption. The agent's has 24."""

EXIT_CODE_DIGITS = 10
"""Digits of an exit code that is believed: those of a 32-bit number."""

BROKEN_FRAMES = 64
"""Broken frames in a row, without progress between them, after which the channel gives up. The agent resends every 0.1
to 1 s, so this is about half a minute: random damage is repaired long before that, and systematic damage never is."""

REORDER_MESSAGES = 10_000
"""Size of the reorder buffer in messages, and the largest distance of a buffered sequence number (protocol)."""

REORDER_BYTES = 16 * 1024 * 1024
"""Size of the reorder buffer in bytes: 10,000 full messages fit, 10,000 of the largest WebSocket frames do not."""

REORDER_OVERHEAD = 256
"""Bytes that a buffered message counts for in addition to its payload: the cost of the Python objects around it."""

ACKS = 20_000
"""Most acknowledgements that wait to be sent (2 MiB): twice the reorder buffer. They pile up only while the transport
accepts nothing. Dropping one is harmless: the agent resends the message, which is acknowledged then."""

REPEATED_ACKS = 512
"""Most acknowledgements that are repeated on a new connection: half a second's worth from a paced agent, in 150 KB. The
agent resends one unacknowledged message every 100 ms, so each lost acknowledgement delays a download by 100 ms."""

REPEAT_AGE = 1.0
"""Only acknowledgements sent in the last second of a connection are repeated. Older ones have arrived, and a slow link
should not carry more of them than it did in that second."""

HOLD = 0.1
"""How long the first stream bytes wait for the first output after HandshakeComplete. The agent sends that message
shortly before it leaves the handshake, and discards stream data until it has (protocol)."""

PAUSE = 5.0
"""How long pause_publication holds back timed resends. It is advice, and the message that ends it may get lost."""

FIRST_RTO = 0.2
"""Resend timeout until a round trip has been measured (protocol: 200 ms). It is short because the agent does not
acknowledge the first stream bytes until its connection to the port is up."""

MIN_RTO = 0.05
"""Shortest resend timeout. Below it, a peer that was merely scheduled late would look like loss."""

GRANULARITY = 0.01
"""Shortest allowance for variation (protocol: 10 ms)."""

MAX_RTT = 10.0
"""Longest plausible round trip. More than that means a stall or a suspended machine, not a long path."""

PROBE_INTERVAL = 16.0
"""Longest interval between two probes of a silent peer. A peer that returns announces itself (data, acknowledgement,
start_publication or a new connection), so probes can be rare. A session idles out after one minute at the earliest."""

BACKOFFS = 12
"""Most doublings of a timeout: enough to get from the shortest to the longest."""

LOSS_DELAY = 2.0
"""Bound on the doubled time threshold for losses: longer than any usual round trip."""

PROBES = 2
"""Messages resent by one probe (RFC 9002, 6.2.4: one or two): the oldest, because the agent waits for those."""

REORDER_PACKETS = 256
"""Later transmissions that must be acknowledged before a message counts as lost, times the tolerance. RFC 9002 uses 3,
for paths that hardly reorder; 256 gives reordered messages time and, at speed, still beats the time threshold."""

MAX_TOLERANCE = 8
"""Most quarters of a round trip by which the time threshold exceeds it. Starts at 1 (as in RFC 8985) and doubles with
each resend that turns out to have been unnecessary."""

QUEUE_TARGET = 0.3
"""Queueing delay in the network that the window may cause: enough to keep the delivery rate, and a keystroke waits no
longer."""

FIRST_WINDOW = 32 * 1024
"""Window before anything is known about the path: 10 to 30 packets, as in RFC 6928 and RFC 9002."""

MIN_WINDOW = 16 * 1024
"""Smallest window: enough to measure a rate with, and 0.8 s at only 20 kB/s."""

MAX_WINDOW = 5 * 1024 * 1024
"""Largest window: 40 MB/s over a round trip of 100 ms including headers, and 1/20 of the agent's buffer."""

RATE_ROUNDS = 4
"""Rounds over which the highest delivery rate counts. BBR's filter has 10; fewer follow a falling rate sooner."""

ROUND = 1.0
"""Longest round of the rate measurement, so that a window that is far too large is corrected within seconds."""

BASE_RTT_AGE = 20.0
"""Age at which the lowest round trip is measured again with an empty queue (BBR: 10 s). Otherwise a path that becomes
longer would shrink the window forever, and a standing queue of our own would count as part of the path."""

MEASURE_WINDOW = 4 * 1024
"""Smallest window while the lowest round trip is measured again: too small to form a queue."""

MIN_LOCAL = 16 * 1024
MAX_LOCAL = 512 * 1024
"""Bounds on the stream bytes queued before their first transmission, which are a quarter of the window. A keystroke
waits behind them, so a slow link needs few; on a fast link they bridge the time between two calls of frames()."""
