# Over 350 lines: one stage serves every moment of a shell, and each test plays a part of the same story.
"""A shell from its first size to its end, in virtual time."""

from __future__ import annotations

import itertools
import signal
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ssm_ssh.errors import AccessDenied, ProtocolError, SsmSshError
from ssm_ssh.relay import shutdown, unanswered
from ssm_ssh.session import opening, watch
from ssm_ssh.shell import handler as module
from ssm_ssh.shell.handler import FAILED, MOST_TYPED
from tests.shell.virtual_shell import INSTANCE, PROMPT, Stage

IDLE = "Your session timed out due to inactivity and has been terminated."


def test_keys_and_output_pass_and_exit_is_a_clean_end() -> None:
    stage = Stage()
    terminal = stage.terminal
    stage.after(2, terminal.type, b"ls \xe6\x97\xa5\x03\x1a\x1c\r")
    stage.after(3, stage.say, b"a  b\r\n\x1b[31m$ ")
    stage.after(4, terminal.type, b"exit\r")
    stage.after(5, stage.end)
    assert stage.run() == 0
    assert stage.agent is not None
    assert stage.agent.received == b"ls \xe6\x97\xa5\x03\x1a\x1c\rexit\r"
    assert terminal.shown == PROMPT + b"a  b\r\n\x1b[31m$ "
    assert terminal.told == []
    assert terminal.modes == ["raw", "restored"]


def test_the_size_is_there_before_the_first_prompt_and_follows_the_terminal() -> None:
    stage = Stage()
    stage.terminal.columns, stage.terminal.rows = 120, 40
    seen: list[tuple[int, int]] = []

    def resize() -> None:
        assert stage.agent is not None
        seen.extend(stage.agent.sizes)
        stage.terminal.columns = 100
        stage.world.signal(int(signal.SIGWINCH))

    stage.after(2, resize)
    stage.after(3, stage.end)
    stage.run()
    assert stage.agent is not None
    assert seen == [(120, 40), (120, 40)]
    assert stage.agent.sizes[2:] == [(100, 40)]


def test_a_size_that_the_handshake_discards_comes_again() -> None:
    stage = Stage(handshake=True, lag=0.2, session_types=("Port",))
    stage.after(2, stage.end)
    stage.run()
    assert stage.agent is not None
    assert set(stage.agent.sizes) == {(80, 24)}


def test_a_prompt_does_not_wait_behind_a_size_that_came_too_early() -> None:
    """The agent leaves it unacknowledged until the pty is there; a key typed then must not wait for a timer."""
    stage = Stage(lag=1.0)
    got: list[float] = []

    def key() -> None:
        stage.terminal.type(b"x")
        assert stage.agent is not None
        stage.agent.on_data = lambda data: got.append(stage.seconds)

    stage.after(1.35, key)
    stage.after(9, stage.end)
    stage.run()
    assert got
    assert got[0] < 1.45


def test_a_terminal_without_a_size_sends_none() -> None:
    stage = Stage()
    stage.terminal.columns = 0
    stage.after(2, stage.end)
    stage.run()
    assert stage.agent is not None
    assert stage.agent.sizes == []


def test_keys_typed_before_the_prompt_stay_in_the_terminal_until_every_key_counts() -> None:
    stage = Stage()
    stage.terminal.type(b"ls\r")
    stage.after(0.5, lambda: stage.terminal.modes == [] or pytest.fail("raw too early"))
    stage.after(3, stage.end)
    stage.run()
    assert stage.agent is not None
    assert stage.agent.received == b"ls\r"


def test_a_paste_of_a_megabyte_arrives_whole_and_an_escape_behind_it_works() -> None:
    stage = Stage()
    paste = Random(1).randbytes(1_000_000).replace(b"~", b"-")
    stage.after(2, stage.terminal.type, paste)
    stage.after(300, stage.end)
    stage.run()
    assert stage.agent is not None
    assert bytes(stage.agent.received) == paste


def test_a_paste_without_end_waits_in_the_terminal() -> None:
    stage = Stage()

    def mute() -> None:
        assert stage.agent is not None
        stage.agent.stall(1000)

    stage.after(2, mute)
    stage.after(2.1, stage.terminal.type, bytes(3 * MOST_TYPED))
    stage.after(4, lambda: stage.world.signal(int(signal.SIGTERM)))
    stage.run()
    assert len(stage.handler._typed) >= MOST_TYPED
    assert len(stage.handler._typed) <= 2 * MOST_TYPED


def test_leaving_works_even_where_nothing_is_taken() -> None:
    stage = Stage()

    def mute() -> None:
        assert stage.agent is not None
        stage.agent.stall(1000)

    stage.after(2, mute)
    stage.after(2.1, stage.terminal.type, bytes(1_000_000) + b"\r~.")
    assert stage.run() == FAILED
    assert stage.seconds < 2.2 + shutdown.END_IN_REACH
    assert stage.gateway.running == []


def test_the_other_escapes() -> None:
    stage = Stage()
    stage.after(2, stage.terminal.type, b"~?")
    stage.after(3, stage.terminal.type, b"~\x1a")
    stage.after(4, stage.terminal.type, b"~~.")
    stage.after(5, stage.end)
    stage.run()
    assert b"~^Z" in stage.terminal.shown
    assert stage.terminal.suspended == 1
    assert stage.agent is not None
    assert stage.agent.received == b"~."


def test_output_waits_for_the_terminal_and_reading_stops() -> None:
    stage = Stage()
    data = Random(2).randbytes(900_000)
    stage.terminal.taking = True

    def flood() -> None:
        stage.terminal.taking = False
        stage.say(data)

    stage.after(2, flood)
    stage.after(60, setattr, stage.terminal, "taking", True)
    stage.after(200, stage.end)
    largest = 0

    def look() -> None:
        nonlocal largest
        largest = max(largest, stage.terminal.backlog)

    for second in range(3, 60):
        stage.after(second, look)
    stage.run()
    assert stage.terminal.shown == PROMPT + data
    assert 0 < largest < 700_000


# --- outages --------------------------------------------------------------------------------------------------------


def test_a_short_break_is_not_told_and_nothing_is_lost() -> None:
    stage = Stage()
    stage.after(2, stage.say, b"one ")
    stage.after(2.001, stage.gateway.cut)
    stage.after(2.002, stage.terminal.type, b"x")
    stage.after(5, stage.say, b"two ")
    stage.after(6, stage.end)
    stage.run()
    assert stage.terminal.shown == PROMPT + b"one two "
    assert stage.agent is not None
    assert stage.agent.received == b"x"
    assert [line for line in stage.terminal.told if "lost" in line] == []


def test_a_lost_connection_is_told_and_a_full_screen_program_draws_again() -> None:
    stage = Stage()
    gateway = stage.gateway

    def away() -> None:
        gateway.unreachable = True
        gateway.cut()

    stage.after(2, away)
    stage.after(3, stage.terminal.type, b"typed while away")
    stage.after(20, setattr, gateway, "unreachable", False)
    stage.after(60, stage.end)
    stage.run()
    lost, back = stage.terminal.told[:2]
    assert "the connection is lost" in lost
    assert "~." in lost
    assert back == "the connection is back"
    assert stage.agent is not None
    assert stage.agent.received == b"typed while away"
    # Once more for the resume, then another size for a moment.
    assert stage.agent.sizes[-2:] == [(80, 23), (80, 24)]


def test_a_terminal_of_one_row_changes_its_size_the_other_way() -> None:
    stage = Stage()
    stage.terminal.rows = 1
    stage.after(2, setattr, stage.gateway, "unreachable", True)
    stage.after(2, stage.gateway.cut)
    stage.after(20, setattr, stage.gateway, "unreachable", False)
    stage.after(60, stage.end)
    stage.run()
    assert stage.agent is not None
    assert stage.agent.sizes[-2:] == [(80, 2), (80, 1)]


def test_an_agent_that_takes_no_input_is_told_and_asked_about() -> None:
    stage = Stage()

    def mute() -> None:
        assert stage.agent is not None
        stage.agent.acknowledging = False

    stage.after(2, mute)
    stage.after(3, stage.terminal.type, b"x")
    stage.after(100, setattr, stage.starter, "connected", None)
    stage.after(200, setattr, stage.starter, "connected", False)
    assert stage.run() == FAILED
    assert "has taken no input" in stage.terminal.told[0]
    assert "~." in stage.terminal.told[0]
    assert "not connected" in stage.terminal.told[1]
    assert stage.starter.questions > 2
    assert stage.seconds < 200 + 2 * unanswered.ASK_AGAIN + shutdown.END_IN_REACH


# --- ends -----------------------------------------------------------------------------------------------------------


def test_the_idle_limit_is_named_with_its_time() -> None:
    stage = Stage()
    stage.after(10, stage.terminal.type, b"sleep 9999\r")
    stage.after(10 + 1201, stage.end, IDLE)
    assert stage.run() == FAILED
    assert stage.terminal.told == [
        f"the idle limit ended the session with {INSTANCE}: nothing was sent for 20 min. "
        "The limit is idleSessionTimeout in the account's Session Manager preferences"
    ]


def test_an_end_from_outside_without_a_reason_is_not_guessed() -> None:
    stage = Stage()
    stage.after(2, stage.terminal.type, b"sleep 60\r")
    stage.after(4, stage.end)
    assert stage.run() == 0
    (told,) = stage.terminal.told
    assert "no reason was given" in told
    assert "TerminateSession" in told


def test_a_shell_that_cannot_start_says_why() -> None:
    stage = Stage()
    stage.after(0.5, stage.end, "----------ERROR-------: RunAs user bob does not exist")
    assert stage.run() == FAILED
    assert stage.terminal.told == [
        f"the SSM Agent on {INSTANCE} ended the session before it began: RunAs user bob does not exist"
    ]


def test_the_last_output_is_shown_before_the_reason() -> None:
    stage = Stage()

    def end() -> None:
        stage.terminal.taking = False
        stage.say(b"last words")
        stage.after(stage.seconds + 0.5, stage.end, "broken")
        stage.after(stage.seconds + 30, setattr, stage.terminal, "taking", True)

    stage.after(2, end)
    assert stage.run() == FAILED
    assert stage.terminal.shown.endswith(b"last words")
    assert stage.seconds > 30


def test_a_program_that_is_cut_off_leaves_the_terminal_as_it_was() -> None:
    stage = Stage()
    stage.after(2, stage.say, b"\x1b[?1049h\x1b[?25l")
    stage.after(3, stage.end, "Maximum session duration")
    assert stage.run() == FAILED
    assert stage.terminal.shown.endswith(b"\x1b[?1049l\x1b[?25h\x1b[0m\x1b(B")


@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM", "SIGHUP", "SIGQUIT"])
@pytest.mark.parametrize("at", [0.3, 3.0])
def test_a_signal_ends_it_with_its_status(name: str, at: float) -> None:
    stage = Stage()
    number = int(signal.Signals[name])
    stage.after(at, lambda: stage.world.signal(number))
    assert stage.run() == 128 + number
    stage.world.pass_time(1)
    assert stage.gateway.running == []


def test_job_control_puts_the_modes_and_the_size_back() -> None:
    stage = Stage()
    stage.after(0.5, lambda: stage.world.signal(int(signal.SIGCONT)))
    stage.after(2, lambda: stage.world.signal(int(signal.SIGTSTP)))
    stage.after(3, lambda: stage.world.signal(int(signal.SIGCONT)))
    stage.after(4, stage.end)
    stage.run()
    assert stage.terminal.suspended == 1
    assert stage.terminal.modes == ["raw", "raw", "restored"]


@pytest.mark.parametrize("two", [False, True])
def test_a_terminal_that_is_gone_ends_the_session(two: bool) -> None:
    stage = Stage()
    if two:
        stage.terminal.output = 1
        stage.world.ready[1] = stage.terminal._mask
    stage.after(2, stage.terminal.close)
    assert stage.run() == FAILED
    stage.world.pass_time(1)
    assert stage.gateway.running == []


def test_a_terminal_that_is_gone_before_the_prompt_ends_the_session() -> None:
    stage = Stage()
    stage.after(0.5, stage.terminal.close)
    assert stage.run() == FAILED


def test_output_may_go_elsewhere() -> None:
    stage = Stage()
    stage.terminal.output = 1
    stage.world.ready[1] = lambda: 4
    stage.after(2, stage.say, b"output")
    stage.after(3, stage.end)
    stage.run()
    assert stage.terminal.shown == PROMPT + b"output"


def test_an_error_of_aws_is_told() -> None:
    stage = Stage()
    stage.gateway.errors.append(AccessDenied("ssm:StartSession is denied", "Ask an administrator"))
    assert stage.run() == FAILED
    assert stage.terminal.told == ["ssm:StartSession is denied. Ask an administrator"]


def test_an_unexpected_error_is_raised_to_the_loop() -> None:
    stage = Stage()
    with pytest.raises(ZeroDivisionError):
        stage.handler.on_not_connected(ZeroDivisionError(), 0.0)


def test_waiting_is_told_and_ends() -> None:
    stage = Stage(lag=1000)
    assert stage.run() == FAILED
    assert stage.terminal.told[0] == f"waiting for the SSM Agent on {INSTANCE} to begin the session"
    assert "has not begun the session" in stage.terminal.told[1]
    assert opening.LIMIT <= stage.seconds < opening.LIMIT + shutdown.END_IN_REACH + 1


def test_a_session_of_another_type_is_refused() -> None:
    stage = Stage(handshake=True)
    assert stage.run() == FAILED
    assert "The session is of type Port" in stage.terminal.told[0]


def test_what_is_for_unix_is_refused_on_windows() -> None:
    stage = Stage(unix=True)
    stage.starter.runs = "Microsoft Windows Server 2022 \x1b[2J"
    assert stage.run() == FAILED
    assert stage.terminal.told == [
        f"{INSTANCE} runs Microsoft Windows Server 2022 [2J, and --user and --login need a Unix shell there. "
        "Without them the shell is PowerShell"
    ]


@pytest.mark.parametrize("runs", ["", "Ubuntu 24.04"])
def test_what_is_for_unix_runs_where_the_platform_is_not_known_to_be_another(runs: str) -> None:
    stage = Stage(unix=True)
    stage.starter.runs = runs
    stage.after(3, stage.end)
    assert stage.run() == 0


# --- anything, in any order -----------------------------------------------------------------------------------------

KINDS = (
    *("type", "output", "cut", "away", "long away", "silent", "resize", "slow terminal", "slept", "denied", "mute"),
    *("suspend", "continue", "leave", "TERM", "HUP", "ended", "idle limit", "terminal closes"),
)
MILD = ("type", "output", "cut", "away", "resize", "slow terminal", "slept", "continue")


def step(stage: Stage, kind: str, number: int) -> None:
    gateway, terminal, agent = stage.gateway, stage.terminal, stage.agent
    if kind == "type":
        terminal.type(Random(number).randbytes(1 + number * 37 % 9000).replace(b"~", b"-"))
    elif kind == "output":
        if agent is not None:
            agent.say(Random(-number).randbytes(1 + number * 91 % 20_000))
    elif kind == "cut":
        gateway.cut()
    elif kind in ("away", "long away"):
        gateway.unreachable = True
        gateway.cut()
        stage.after(stage.seconds + (8 if kind == "away" else 100), setattr, gateway, "unreachable", False)
    elif kind == "silent":
        if gateway.socket is not None:
            gateway.socket.silent = True
    elif kind == "resize":
        terminal.columns += 1
        stage.world.signal(int(signal.SIGWINCH))
    elif kind == "slow terminal":
        terminal.taking = False
        stage.after(stage.seconds + 20, setattr, terminal, "taking", True)
    elif kind == "slept":
        stage.world.offset += 3600
    elif kind == "denied":
        gateway.errors.append(AccessDenied("denied"))
    elif kind == "mute":
        for session in gateway.sessions:
            session.agent.acknowledging = False
        stage.after(stage.seconds + 100, setattr, stage.starter, "connected", False)
    elif kind == "suspend":
        stage.world.signal(int(signal.SIGTSTP))
    elif kind == "continue":
        stage.world.signal(int(signal.SIGCONT))
    elif kind == "leave":
        terminal.type(b"\r~.")
    elif kind in ("TERM", "HUP"):
        stage.world.signal(int(signal.Signals[f"SIG{kind}"]))
    elif kind in ("ended", "idle limit"):
        stage.end(IDLE if kind == "idle limit" else "")
    else:
        assert kind == "terminal closes"
        terminal.close()


def plays(kinds: tuple[str, ...]) -> st.SearchStrategy[list[tuple[float, str]]]:
    return st.lists(st.tuples(st.floats(0, 6), st.sampled_from(kinds)), max_size=10)


def play(stage: Stage, steps: list[tuple[float, str]]) -> float:
    at = 0.0
    for number, (pause, kind) in enumerate(steps, 1):
        at += pause
        stage.after(at, step, stage, kind, number)
    return at


@given(plays(KINDS), st.lists(st.floats(0.001, 3.0), min_size=1, max_size=4))
def test_whatever_happens_it_ends_in_time_with_the_terminal_restored(
    steps: list[tuple[float, str]], delays: list[float]
) -> None:
    delay = itertools.cycle(delays)
    stage = Stage(delay=lambda: next(delay))
    last = play(stage, steps)
    stage.after(last + 40, lambda: stage.world.signal(int(signal.SIGTERM)))
    status = stage.run()
    assert status in (0, FAILED, 128 + 15, 128 + 1)
    assert stage.seconds <= last + 41 + shutdown.END_OPENING + shutdown.END_IN_REACH
    assert stage.world.turns < 60 * (stage.seconds + 10) + 4 * stage.world._count
    for session in stage.gateway.sessions:
        assert stage.terminal.typed.replace(b"\r~.", b"\r").startswith(bytes(session.agent.received))
        sent = session.agent.sent if hasattr(session.agent, "sent") else b""
        assert sent.startswith(stage.terminal.shown)


@given(plays(MILD))
def test_after_mild_trouble_everything_has_arrived_once(steps: list[tuple[float, str]]) -> None:
    stage = Stage()
    last = play(stage, [(2.0, "resize"), *steps])
    size: list[tuple[int, int]] = []
    stage.after(last + 115, lambda: size.append((stage.terminal.columns, stage.terminal.rows)))
    stage.after(last + 120, stage.terminal.type, b"\rexit\r")
    stage.after(last + 130, stage.end)
    assert stage.run() == 0
    assert stage.agent is not None
    assert bytes(stage.agent.received) == stage.terminal.typed
    assert stage.terminal.shown == stage.agent.sent
    assert stage.agent.sizes[-1] == size[0]


def test_the_limits_are_what_people_can_bear() -> None:
    assert watch.TELL_AFTER <= 5
    assert module.REDRAW < 1
    assert issubclass(ProtocolError, SsmSshError)
