"""select() does what poll() does, as far as a terminal needs it."""

from __future__ import annotations

import os
import pty
import select

from ssm_ssh.relay.poller import READ, WRITE
from ssm_ssh.shell.select_poller import SelectPoller


def test_it_waits_for_a_terminal() -> None:
    master, slave = pty.openpty()
    try:
        poller = SelectPoller()
        poller.watch(slave, READ | WRITE)
        assert poller.wait(5) == {slave: WRITE}
        os.write(master, b"x\n")
        poller.watch(slave, READ)
        assert poller.wait(5) == {slave: READ}
        poller.watch(slave, 0)
        assert poller.wait(0) == {}
        poller.watch(slave, READ | WRITE)
        assert poller.wait(5) == {slave: READ | WRITE}
        poller.forget(slave)
        poller.forget(slave)
        assert poller.wait(0) == {}
    finally:
        os.close(master)
        os.close(slave)


def test_a_closed_descriptor_is_reported() -> None:
    read, write = os.pipe()
    poller = SelectPoller()
    poller.watch(read, READ)
    poller.watch(write, READ)
    os.close(read)
    try:
        assert poller.wait(5) == {read: select.POLLNVAL}
        poller.watch(-1, READ)
        assert -1 in poller.wait(5)
    finally:
        os.close(write)
