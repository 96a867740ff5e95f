"""Each end of a connection has a sentence that names the instance, and says what to do where something can be done."""

from __future__ import annotations

import pytest

from ssm_ssh.errors import NetworkError, SessionEnded, SsmSshError
from ssm_ssh.target import parse_target
from ssm_ssh.tunnel import login_wait
from ssm_ssh.tunnel.destination import SshDestination
from ssm_ssh.tunnel.explanations import Explanations

DESTINATION = SshDestination(parse_target("i-0123456789abcdef0"), 22, "ec2-user")
EXPLANATIONS = Explanations(DESTINATION)
ID = DESTINATION.instance_id


def test_a_closed_port_is_told_from_a_refusal_of_sshd() -> None:
    assert not EXPLANATIONS.refused_by_sshd("Unable to connect to specified port")
    assert EXPLANATIONS.refused_by_sshd("Not allowed at this time")


@pytest.mark.parametrize(
    ("reason", "sentence"),
    [
        ("Unable to connect to specified port", f"nothing listens on port 22 of {ID}"),
        (
            "Not allowed at this time",
            f"port 22 of {ID} ended the connection before SSH began: Not allowed at this time",
        ),
        ("", f"sshd on port 22 of {ID} closed every connection without sending anything"),
    ],
)
def test_an_end_before_the_banner_is_explained_by_its_reason(reason: str, sentence: str) -> None:
    assert EXPLANATIONS.explain_end(reason).message == sentence


def test_a_session_that_did_not_begin_is_explained_in_one_printable_line() -> None:
    error = EXPLANATIONS.explain_no_session("----------ERROR-------\r\nsetting up\x1b[2J failed")
    assert error.message == f"the SSM Agent on {ID} ended the session before it began: setting up [2J failed"
    assert EXPLANATIONS.explain_no_session("").message.endswith("before it began: no reason given")


@pytest.mark.parametrize("awaited", [login_wait.HANDSHAKE, login_wait.BANNER, login_wait.KEY_EXCHANGE])
def test_a_step_that_is_overdue_names_the_instance_when_awaited_and_when_given_up(awaited: str) -> None:
    assert EXPLANATIONS.explain_step(awaited).startswith("waiting for ")
    assert ID in EXPLANATIONS.explain_step(awaited)
    assert ID in EXPLANATIONS.explain_overdue(awaited, None).message


def test_an_overdue_connection_gives_the_error_that_broke_the_last_one() -> None:
    error = EXPLANATIONS.explain_overdue(login_wait.CONNECT, NetworkError("the cable was pulled"))
    assert "the cable was pulled" in error.sentence()


@pytest.mark.parametrize(
    ("error", "part"),
    [
        (EXPLANATIONS.explain_unanswered(45.0, unfinished=True), "has not finished it for 45 s"),
        (EXPLANATIONS.explain_unanswered(45.0, unfinished=False), "has acknowledged nothing for 45 s"),
        (EXPLANATIONS.explain_outside(), "was ended from outside"),
        (EXPLANATIONS.explain_silence(), "nothing listens on port 22"),
    ],
)
def test_an_end_names_the_instance_and_the_next_step(error: SsmSshError, part: str) -> None:
    assert isinstance(error, SessionEnded)
    assert part in error.message
    assert ID in error.message
    assert error.sentence() != error.message


def test_the_wait_for_the_key_names_the_instance() -> None:
    assert EXPLANATIONS.explain_key_wait() == f"waiting until {ID} has accepted the key"
