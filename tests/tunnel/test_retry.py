"""How often another session is tried, and with what."""

from __future__ import annotations

from ssm_ssh.tunnel.retry import ATTEMPTS, MOST_REPLAY, Retry


def test_the_attempts_come_ever_more_slowly_and_end() -> None:
    retry = Retry(lambda: 1.0)
    delays = []
    while (delay := retry.next_delay()) is not None:
        delays.append(delay)
    assert delays == [0.25, 0.5, 1, 2, 4, 8, 8, 8, 8]
    assert len(delays) == ATTEMPTS - 1


def test_what_the_client_has_sent_is_kept_up_to_a_limit_and_until_the_server_speaks() -> None:
    retry = Retry(lambda: 1.0)
    retry.keep(b"SSH-2.0-")
    retry.keep(b"client\r\n")
    assert retry.kept == b"SSH-2.0-client\r\n"
    assert retry.room == MOST_REPLAY - 16
    retry.forget()
    assert (retry.kept, retry.room) == (b"", MOST_REPLAY)
