"""Listening: both loopback addresses, free ports, unix sockets, and one line for what cannot be had."""

from __future__ import annotations

import os
import socket
from pathlib import Path

import pytest

from ssm_ssh.errors import SsmSshError
from ssm_ssh.forward.listener import Listener
from ssm_ssh.forward.specs import Spec, parse


def test_a_free_port_is_the_same_on_both_loopback_addresses() -> None:
    listener = Listener(parse("0:80"))
    try:
        assert listener.addresses == [f"127.0.0.1:{listener.port}", f"[::1]:{listener.port}"]
        assert listener.port > 0
    finally:
        listener.close()


def test_another_address_only_if_it_is_asked_for() -> None:
    listener = Listener(parse("127.0.0.2:0:localhost:80"))
    try:
        assert listener.addresses == [f"127.0.0.2:{listener.port}"]
    finally:
        listener.close()


@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
def test_a_port_in_use_in_either_family_is_one_line(host: str) -> None:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.create_server((host, 0), family=family) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(SsmSshError, match=f"port {port} is in use on this computer"):
            Listener(Spec("", port, "", "db", 80))


@pytest.mark.skipif(os.geteuid() == 0, reason="root may use every port")
def test_a_low_port_needs_rights() -> None:
    with pytest.raises(SsmSshError, match="port 80 needs special rights"):
        Listener(parse("80"))


def test_an_address_of_another_machine_is_one_line() -> None:
    with pytest.raises(SsmSshError, match=r"port 4000 on 192\.0\.2\.1: "):
        Listener(parse("192.0.2.1:4000:localhost:80"))


def test_a_name_that_is_none_and_a_path_that_is_too_long_are_one_line(tmp_path: Path) -> None:
    with pytest.raises(SsmSshError, match=r"port 4000 on a\.\.b: not the name of a host"):
        Listener(parse("a..b:4000:localhost:80"))
    with pytest.raises(SsmSshError, match="AF_UNIX path too long"):
        Listener(parse(f"{tmp_path}/{'x' * 120}:80"))


def test_an_abandoned_unix_socket_is_replaced_and_a_used_one_is_not(tmp_path: Path) -> None:
    path = tmp_path / "s"
    with socket.socket(socket.AF_UNIX) as left:
        left.bind(str(path))
    listener = Listener(parse(f"{path}:80"))
    assert listener.addresses == [str(path)]
    assert path.stat().st_mode & 0o777 == 0o600
    with pytest.raises(SsmSshError, match="is in use on this computer"):
        Listener(parse(f"{path}:80"))
    listener.close()
    assert not path.exists()
    path.write_text("a file of the user's")
    with pytest.raises(SsmSshError, match="is in use on this computer"):
        Listener(parse(f"{path}:80"))
    assert path.read_text() == "a file of the user's"
