"""Libraries that fill in %r and %p themselves: known by their banners, and told what to write when sshd refuses."""

from __future__ import annotations

import signal

import pytest

from ssm_ssh.target import Target
from ssm_ssh.tunnel import client_library
from ssm_ssh.tunnel.client_library import NET_SSH, PARAMIKO
from ssm_ssh.tunnel.destination import SshDestination
from ssm_ssh.tunnel.explanations import Explanations
from tests.tunnel.virtual_ssh import RECORDING, Sshd, Stage

PARAMIKO_BANNER, NET_SSH_BANNER = b"SSH-2.0-paramiko_3.5.1\r\n", b"SSH-2.0-Ruby/Net::SSH_7.3.0 x86_64-linux\r\n"


@pytest.mark.parametrize(
    ("banner", "name"),
    [
        (PARAMIKO_BANNER.decode().strip(), PARAMIKO),
        (NET_SSH_BANNER.decode().strip(), NET_SSH),
        ("SSH-2.0-OpenSSH_9.2p1 Debian-2", ""),
        ("SSH-2.0-AsyncSSH_2.21.0", ""),
        ("", ""),
    ],
)
def test_a_library_is_known_by_its_banner(banner: str, name: str) -> None:
    assert client_library.library(banner) == name


def refused(banner: bytes, *, term: bool) -> Stage:
    """A login of a client with this banner that sshd refuses; the client ends by SIGTERM or by closing its end."""
    stage = Stage()
    start = RECORDING.client.index(b"\n") + 1
    stage.client._inbox = stage.client.written = banner + RECORDING.client[start:]
    sizes = [(60, 44), (300, 44)] if banner == PARAMIKO_BANNER else [(60, 44), (68, 44), (140, 44)]
    for number, (asked, answer) in enumerate(sizes):
        stage.after(2 + number, stage.client.put, bytes(asked))
        stage.after(2.5 + number, lambda answer=answer: stage.sshd and Sshd.say(stage.sshd, bytes(answer)))  # type: ignore[misc]
    stage.after(7, stage.signal if term else lambda _: stage.client.end(), signal.SIGTERM)
    stage.run()
    return stage


@pytest.mark.parametrize(
    ("banner", "name", "term", "told"),
    [(PARAMIKO_BANNER, PARAMIKO, True, []), (NET_SSH_BANNER, NET_SSH, False, [b"ssm-ssh: refused: Net::SSH\r\n"])],
    ids=["Paramiko", "Net::SSH"],
)
def test_a_refused_login_is_recorded_and_told_where_it_shows(
    banner: bytes, name: str, term: bool, told: list[bytes]
) -> None:
    stage = refused(banner, term=term)
    assert stage.service.recorded == [f"refused: {name}"]
    assert [line for line in stage.client.told if b"refused" in line] == told
    assert f"refused: {name}" in stage.log.lines


def test_openssh_fills_in_the_user_that_it_logs_in_as() -> None:
    stage = refused(b"SSH-2.0-OpenSSH_9.2p1\r\n", term=False)
    assert stage.service.recorded == []


def test_what_to_write_is_named() -> None:
    explanations = Explanations(SshDestination(Target("i-0123456789abcdef0"), 22, "alice"))
    assert explanations.explain_silence().sentence().endswith("name its port: ssh -p PORT")
    explanations.library = PARAMIKO
    sentence = explanations.explain_refused_login().sentence()
    assert "pushed for alice, the user whom Paramiko passed as %r. " in sentence
    assert "(User NAME), from which Paramiko takes it" in sentence
    assert "(Port PORT), from which Paramiko takes it" in explanations.explain_silence().sentence()
