"""Every wait of a connection, with its deadline as the code has it. docs/waits.md shows this table."""

from __future__ import annotations

from typing import NamedTuple

from ssm_ssh.auth import push
from ssm_ssh.aws.api import client
from ssm_ssh.aws.credentials import helper_process, mfa, relogin
from ssm_ssh.command import handler as command
from ssm_ssh.command import silence
from ssm_ssh.forward import pool, traffic
from ssm_ssh.relay import keepalive, outage_notice, shutdown, unanswered
from ssm_ssh.session import bring_up, consent, gateway, managed, opening, power, watch
from ssm_ssh.tunnel import admission, login_wait, ssh_handler


class Wait(NamedTuple):
    """`seconds` as in the code, "" for none; `then`: what happens and what is said; `seen`: the test that walks it."""

    what: str
    seconds: str
    then: str
    seen: str


def _s(*seconds: float) -> str:
    return " + ".join(f"{one:g}" for one in seconds)


PEERS, UNIT = "tests/e2e/test_hostile_peers.py", "tests/tunnel/test_login_wait.py"
OPEN = "tests/relay/test_unanswered.py"
SHELL, EXEC, POOL = "tests/shell/test_handler.py", "tests/e2e/test_exec.py", "tests/forward/test_pool.py"
API = "tests/aws/api/test_client.py"
STEP = "gives up, and reports it inside SSH"

BEFORE_LOGIN = (
    Wait("anything, before the login", _s(login_wait.TELL_AFTER), "says what is awaited, once", UNIT),
    Wait(
        "StartSession, ResumeSession, retries and all",
        _s(managed._CALL_LIMIT),
        "`… did not answer in time`",
        "tests/e2e/test_slow_api.py",
    ),
    Wait("the gateway: connection, TLS, upgrade", _s(gateway._PATIENCE), "tries again", "tests/session"),
    Wait("the gateway, all attempts", _s(login_wait.LIMIT), f"{STEP}: `no connection to the session …`", UNIT),
    Wait("the agent's handshake", _s(login_wait.LIMIT), f"{STEP}: `… no handshake for …`", PEERS),
    Wait("the first message, while later ones are there", _s(login_wait.LIMIT), f"{STEP}: `… is missing`", UNIT),
    Wait("sshd's banner", _s(login_wait.LIMIT), f"{STEP}: `… has sent no banner for …`", PEERS),
    Wait("the banner, with input unacknowledged", _s(login_wait.CLOSED_PORT), "`nothing listens on port …`", PEERS),
    Wait("sshd's next step in the key exchange", _s(login_wait.LIMIT), f"{STEP}: `… the key exchange`", PEERS),
    Wait(
        "the key, while sshd's reply is held",
        _s(admission._UNTOLD),
        "`waiting until … has accepted the key`",
        "tests/tunnel/test_admission.py",
    ),
    Wait(
        "the host key, while sshd's reply is held",
        _s(admission._UNTOLD_HOST_KEY),
        "says so",
        "tests/tunnel/test_admission.py",
    ),
    Wait("EC2 Instance Connect", _s(client.CALL_LIMIT), "send-command takes over, where `push = auto`", "tests/auth"),
    Wait("send-command", _s(push._COMMAND_LIMIT), "`the command on … has not ended within …`", "tests/aws/services"),
    Wait("any other API call, retries and all", _s(client.CALL_LIMIT), "`… did not answer in time`", "tests/aws/api"),
    Wait(
        "credentials without a question to the user",
        _s(helper_process._UNATTENDED),
        "`… has failed`",
        "tests/aws/credentials",
    ),
    Wait("an MFA code from the user", _s(mfa._TIMEOUT), "the error asks to connect again", "tests/aws/credentials"),
    Wait(
        "the user's answer whether to log in now",
        _s(relogin._QUESTION_SECONDS),
        "`… Run: ssm-ssh login …`",
        "tests/aws/credentials/test_relogin.py",
    ),
    Wait(
        "the user's login in the browser",
        _s(relogin._LOGIN_SECONDS),
        "`… Run: ssm-ssh login …`",
        "tests/aws/credentials/test_relogin.py",
    ),
)
OPEN_SESSION = (
    Wait(
        "the gateway's pong, with something unanswered",
        _s(keepalive.WAITING, keepalive.PATIENCE),
        "resumes",
        "tests/relay/test_keepalive.py",
    ),
    Wait(
        "the gateway's pong, otherwise",
        _s(keepalive.IDLE, keepalive.PATIENCE),
        "resumes",
        "tests/relay/test_keepalive.py",
    ),
    Wait("an acknowledgement, AWS being there", _s(unanswered.FIRST), "resumes, once", PEERS),
    Wait("an acknowledgement, after that", _s(unanswered.SECOND), "ends: `… has acknowledged nothing for …`", PEERS),
    Wait(
        "the end of a message",
        _s(unanswered.FIRST, unanswered.SECOND),
        "resumes, ends: `… has not finished it …`",
        PEERS,
    ),
    Wait(
        "more of a transfer, or an agent that AWS calls away",
        _s(unanswered.PROBE_AFTER),
        "probes with an empty message",
        PEERS,
    ),
    Wait(
        "a lost connection",
        _s(outage_notice.TELL_AFTER),
        "says so and how to leave, on a terminal",
        "tests/e2e/test_outage_told.py",
    ),
    Wait(
        "a lost connection, in all",
        "resume_limit (900)",
        "`no connection for … s, so the session was given up`",
        "tests/relay/test_reconnect.py",
    ),
    Wait("ssh, after an end without a reason", _s(ssh_handler._LEAVE), "`… was ended from outside …`", PEERS),
    Wait(
        "TerminateSession, at the end",
        _s(shutdown.END_IN_REACH),
        "leaves it to AWS's idle timeout",
        "tests/e2e/test_endings.py",
    ),
    Wait("an idle session", "", "no limit", "tests/relay/test_link.py"),
)
OTHER_SESSIONS = (
    Wait("anything, before it begins", _s(opening.TELL_AFTER), "says what is awaited, once", SHELL),
    Wait("StartSession, ResumeSession, retries and all", _s(managed._CALL_LIMIT), "`… did not answer in time`", API),
    Wait(
        "the gateway, or the agent's first word (it may ask KMS)",
        _s(opening.LIMIT),
        "`no connection to the session …`, `… has not begun the session …`",
        SHELL,
    ),
    Wait("a lost connection", _s(watch.TELL_AFTER), "says so and how to leave, on a terminal", SHELL),
    Wait(
        "a lost connection, in all",
        "resume_limit (900)",
        "ends; `exec` with status 254",
        "tests/relay/test_reconnect.py",
    ),
    Wait("input in `exec`", _s(command._KEEP), "sends an empty message, so that no idle limit ends it", EXEC),
    Wait("`exec` to end after Ctrl-C", _s(command._GRACE_INT), "`the command may still run on …`", EXEC),
    Wait("`exec` to end after SIGTERM or SIGHUP", _s(command._GRACE), "`the command may still run on …`", EXEC),
    Wait(
        "output in `exec`, if the last came from during a break",
        _s(silence.TELL_AFTER),
        "`… may have stopped passing output on`",
        "tests/command/test_silence.py",
    ),
    Wait(
        "the same, in all",
        _s(silence.LOST_AFTER),
        "ends: `the result … is unknown`, status 254",
        "tests/command/test_silence.py",
    ),
    Wait("a free session in `forward`, where one is busy", _s(pool._PATIENCE), "shares the busy one", POOL),
    Wait("any session in `forward`", _s(pool._LONGEST), "closes that connection: `no session to …`", POOL),
    Wait(
        "the server, after a local program has finished sending",
        "half_close_wait (10)",
        "closes the connection: `… cannot convey a half-close`",
        "tests/e2e/test_forward.py",
    ),
    Wait(
        "a server in `forward` that reads nothing",
        _s(traffic.TELL_AFTER),
        "names it",
        "tests/forward/test_traffic.py",
    ),
)
BACK_PRESSURE = (
    Wait(
        "a reader that is slow, in shells, commands and forwards",
        _s(unanswered.FIRST),
        "describes the situation and how to leave",
        OPEN,
    ),
    Wait("GetConnectionStatus, then", _s(unanswered.ASK_AGAIN), "asks again; ends when AWS says `notconnected`", OPEN),
)

OFF, BRING_UP = "tests/session/test_power.py", "tests/session/test_bring_up.py"
STARTING = (
    Wait("the user's answer whether to start it", _s(consent.SECONDS), "it is not started", "tests/session"),
    Wait("an instance that is stopping", _s(power.STOP_LIMIT), "`… has been stopping for …`", OFF),
    Wait("EC2, until it runs", _s(power.START_LIMIT), "`… does not run … after its start`", OFF),
    Wait("its agent, from then on", _s(power.AGENT_LIMIT), "`… its SSM Agent has not connected within …`", OFF),
    Wait("StartSession, once the agent is there", _s(bring_up.SETTLING), "reports what StartSession says", BRING_UP),
)


def table(waits: tuple[Wait, ...]) -> list[str]:
    """Return a table as Markdown lines. Which test walks a wait is not for users to read."""
    rows = [f"| {wait.what} | {wait.seconds or '-'} | {wait.then} |" for wait in waits]
    return ["| waits for | seconds | then |", "|---|---|---|", *rows]
