"""How one agent of the lab behaves."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class AgentOptions:
    """How an agent behaves; times in seconds."""

    version: str = "3.3.1611.0"
    platform: str = "linux"
    pacing: bool = True  # 1 ms of sleep after each read of 1024 bytes, as the official agent
    start_delay: float = 0.05  # the official agent starts a process for each session
    # Between sending HandshakeComplete and being ready for stream data: microseconds in the official agent, but what
    # comes in that time is lost.
    ready_delay: float = 0.0
    # Between the start of a pseudo-terminal and the first look at what came out of it.
    prompt_delay: float = 1.0
    failure_delay: float = 2.0  # between a command that cannot be started and the report of it
    error_delay: float = 1.0  # before such an error is sent to the client
    # A signal to a command with separate streams: the official agent waits for the program in two places, and mostly
    # loses what it had not read yet and the exit code ("lost": EXIT_CODE: 1). By chance it does not ("kept").
    signal_race: str = "lost"
    require_kms_challenge: bool = False  # refuse clients that ignore the random challenge, as the agent's settings may
    ping: float = 54.0
    pong: float = 60.0
    handshake: float = 15.0
    # The official agent counts a message only once its acknowledgement is sent, after it has been written to the port:
    # when its own socket breaks in between, the repeated message is written twice. No client can mend that, so it is
    # left out unless asked for.
    doubles_on_break: bool = False
    # The control channel is opened again after up to half of this, then after once to twice of it, doubling.
    control_retry: float = 5.0
    # A port that nothing listens on. "crash": as the agents of 3.3 do, the session's worker dies and the session ends
    # after `crash_report` with a message about that. "report": it ends at once with "Unable to connect to ...".
    closed_port: str = "crash"
    crash_report: float = 60.0
    # A program that carries out the sessions instead of the lab's own code: see worker.py.
    worker: str = ""
