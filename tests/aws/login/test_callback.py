from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import suppress

import pytest

from ssm_ssh.aws.login import oauth
from ssm_ssh.aws.login.callback import Callback
from ssm_ssh.errors import CredentialsError, UsageError

SECRETS = oauth.challenge(bytes(48))
RIGHT = f"{oauth.CALLBACK_PATH}?code=the-code&state={SECRETS.state}"


@pytest.fixture
def callback() -> Iterator[Callback]:
    with Callback() as callback:
        yield callback


def address(callback: Callback) -> tuple[str, int]:
    return "127.0.0.1", int(callback.uri.split(":")[2].partition("/")[0])


def ask(callback: Callback, target: str, method: str = "GET") -> str:
    """Be a browser; return the status and the page."""
    with socket.create_connection(address(callback), 10) as sock:
        sock.sendall(f"{method} {target} HTTP/1.1\r\nHost: x\r\n".encode())
        sock.sendall(b"\r\n")
        answer = b""
        while piece := sock.recv(65536):
            answer += piece
    return answer.decode()


def asking(callback: Callback, *targets: str, method: str = "GET") -> tuple[threading.Thread, list[str]]:
    answers: list[str] = []
    thread = threading.Thread(target=lambda: answers.extend(ask(callback, target, method) for target in targets))
    thread.start()
    return thread, answers


def test_the_code(callback: Callback) -> None:
    thread, answers = asking(callback, RIGHT)
    assert callback.wait(SECRETS, 10.0) == "the-code"
    thread.join()
    assert answers[0].startswith("HTTP/1.1 200 OK\r\n")
    assert "no-referrer" in answers[0]
    assert "the-code" not in answers[0]


def test_what_is_no_answer_does_not_end_the_wait(callback: Callback) -> None:
    wrong = ["/favicon.ico", "/", "*", "http://[", RIGHT.replace("state=", "state=x"), "\x80"]
    wrong += [f"{oauth.CALLBACK_PATH}?error=access_denied&state=x"]
    thread, answers = asking(callback, *wrong, RIGHT)
    assert callback.wait(SECRETS, 10.0) == "the-code"
    thread.join()
    assert [answer.split()[1] for answer in answers] == ["404"] * len(wrong) + ["200"]


def test_connections_that_say_nothing_are_not_waited_for(callback: Callback) -> None:
    idle = [socket.create_connection(address(callback), 10) for _ in range(50)]
    idle[-1].sendall(b"GET /never/complete")
    thread, _ = asking(callback, RIGHT)
    try:
        assert callback.wait(SECRETS, 10.0) == "the-code"
    finally:
        thread.join()
        for sock in idle:
            sock.close()


def test_a_head_without_end_is_cut_off(callback: Callback) -> None:
    def flood() -> None:
        with suppress(OSError), socket.create_connection(address(callback), 10) as sock:
            for _ in range(1 << 12):
                sock.sendall(b"x" * 65536)
            uncut.append(True)

    uncut: list[bool] = []
    thread = threading.Thread(target=flood)
    thread.start()
    other, _ = asking(callback, RIGHT)
    assert callback.wait(SECRETS, 10.0) == "the-code"
    other.join()
    callback.__exit__(None, None, None)
    thread.join()
    assert not uncut


def test_another_method_is_no_answer(callback: Callback) -> None:
    thread, answers = asking(callback, RIGHT, method="POST")
    with pytest.raises(CredentialsError, match="no answer"):
        callback.wait(SECRETS, 1.0)
    thread.join()
    assert answers[0].split()[1] == "404"


def test_denied(callback: Callback) -> None:
    thread, answers = asking(callback, f"{oauth.CALLBACK_PATH}?error=access_denied&state={SECRETS.state}")
    with pytest.raises(CredentialsError, match="denied"):
        callback.wait(SECRETS, 10.0)
    thread.join()
    assert answers[0].split()[1] == "403"


def test_no_answer_in_time(callback: Callback) -> None:
    with pytest.raises(CredentialsError, match="no answer") as caught:
        callback.wait(SECRETS, 0.05)
    assert "--no-browser" in caught.value.hint


def test_a_port_that_is_taken(callback: Callback) -> None:
    with pytest.raises(UsageError, match="cannot listen on port"):
        Callback(address(callback)[1])
