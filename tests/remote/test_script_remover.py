"""The process that takes an entry out again when its time is over, at whatever moment that is."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from ssm_ssh.remote.script import request
from tests.remote.machine import AS_ROOT, ID, KEY, Done, Machine, until, without_the_usual_folders

MINE = b"ssh-rsa AAAAB3Nza me@home\n"
# A sleep that tells for how long, and ends when it is told to.
_SLEEP = """#!/bin/sh
echo "$1" >>{0}/slept
until [ -e {0}/hurry ] || rm {0}/go 2>/dev/null; do /bin/sleep 0.02; done
"""
_FALLIBLE = """#!/bin/sh
[ ! -e {0}/broken ] || exit 2
exec {1} "$@"
"""
MOMENTS = ("pubkey", "config", "sshd", "account", "switch", "home", "mount", "file", "nothing")
# What says nothing about the file itself.
IRRELEVANT = ("pubkey", "config", "sshd", "account", "nothing")


class Remover:
    def __init__(self, machine: Machine) -> None:
        self.machine = machine
        self.tools = machine.folder / "hasty"
        self.tools.mkdir()
        self.away = machine.folder / "away"
        self.moment = ""
        self.tool("sleep", _SLEEP.format(self.tools))

    def tool(self, name: str, text: str) -> None:
        (self.tools / name).write_text(text)
        (self.tools / name).chmod(0o755)

    def fallible(self, *names: str) -> None:
        for name in names:
            own = self.machine.bin / name
            self.tool(name, _FALLIBLE.format(self.tools, own if own.exists() else shutil.which(name)))

    def push(self, shell: str) -> Done:
        data = request("push", self.machine.user, KEY, ID, lifetime=1)
        text = without_the_usual_folders(self.machine.program(data, shell))
        return self.machine.run(shell, text=text, path=f"{self.tools}:{self.machine.bin}:/usr/bin:/bin")

    @property
    def slept(self) -> list[int]:
        path = self.tools / "slept"
        return [int(line) for line in path.read_text().split()] if path.exists() else []

    def step(self) -> None:
        """Let it sleep no longer, and wait for what it does then: sleep again or end."""
        before = len(self.slept)
        (self.tools / "go").touch()
        until(lambda: len(self.slept) > before or not self.machine.processes(), "the end of an attempt")

    def begin(self, moment: str) -> None:
        machine, self.moment = self.machine, moment
        if moment == "pubkey":
            machine.sshd(pubkeyauthentication="no")
        elif moment == "config":
            machine.sshd(authorizedkeysfile=".elsewhere")
        elif moment == "sshd":
            (machine.bin / "sshd").rename(self.away)
        elif moment in ("account", "switch"):
            (self.tools / "broken").touch()
        elif moment == "file":
            machine.keys.rename(self.away)
        elif moment in ("home", "mount"):
            machine.home.rename(self.away)
            if moment == "mount":
                machine.home.mkdir()
                machine.give(machine.home, 0o755)

    def end(self) -> None:
        machine, moment, self.moment = self.machine, self.moment, ""
        if moment == "sshd":
            self.away.rename(machine.bin / "sshd")
        elif moment == "file":
            self.away.rename(machine.keys)
        elif moment in ("home", "mount"):
            if moment == "mount":
                machine.home.rmdir()
            self.away.rename(machine.home)
        (self.tools / "broken").unlink(missing_ok=True)


@pytest.fixture
def remover(machine: Machine) -> Iterator[Remover]:
    # Nothing but the removal ends an entry there.
    machine.sshd("OpenSSH_7.4p1")
    machine.put(MINE)
    remover = Remover(machine)
    yield remover
    remover.end()


@pytest.mark.parametrize("moment", MOMENTS)
def test_it_comes_at_a_bad_moment(machine: Machine, shell: str, remover: Remover, moment: str) -> None:
    if moment == "account":
        remover.fallible("getent", "id")
    elif moment == "switch":
        remover.fallible("setpriv", "runuser", "su")
    assert remover.push(shell).status == 0
    until(lambda: remover.slept == [2], "the minute")
    remover.begin(moment)
    remover.step()
    if moment in IRRELEVANT:
        assert machine.keys.read_bytes() == MINE
    remover.end()
    if moment not in IRRELEVANT:
        assert len(remover.slept) == 2
        assert ID.encode() in machine.keys.read_bytes()
        remover.step()
    assert machine.keys.read_bytes() == MINE
    until(lambda: not machine.processes(), "its end")


def test_it_tries_for_a_quarter_of_an_hour(machine: Machine, shell: str, remover: Remover) -> None:
    assert remover.push(shell).status == 0
    until(lambda: remover.slept == [2], "the minute")
    remover.begin("home")
    (remover.tools / "hurry").touch()
    until(lambda: not machine.processes(), "its end")
    remover.end()
    pauses = remover.slept[1:]
    assert pauses[0] <= 5
    assert sorted(pauses) == pauses
    assert 15 * 60 <= sum(pauses) <= 20 * 60


def test_an_entry_that_somebody_else_took_out_is_not_waited_for(machine: Machine, shell: str, remover: Remover) -> None:
    assert remover.push(shell).status == 0
    until(lambda: remover.slept == [2], "the minute")
    machine.put(MINE)
    remover.step()
    assert remover.slept == [2]
    assert machine.keys.read_bytes() == MINE


@pytest.mark.skipif(not AS_ROOT, reason="there are no files of root's")
def test_as_root_it_changes_only_what_only_root_can_still_change(
    machine: Machine, shell: str, remover: Remover
) -> None:
    folder = Path("/etc") / f"ssm-ssh-test-{machine.user}"
    folder.mkdir(mode=0o755)
    try:
        machine.sshd("OpenSSH_7.4p1", authorizedkeysfile=f"{folder}/%u")
        assert remover.push(shell).status == 0
        file = folder / machine.user
        until(lambda: remover.slept == [2], "the minute")
        folder.chmod(0o757)
        remover.step()
        assert ID in file.read_text()
        folder.chmod(0o755)
        remover.step()
        assert file.read_text() == ""
    finally:
        shutil.rmtree(folder)


def test_a_key_is_taken_out_where_none_lets_in(machine: Machine, shell: str) -> None:
    machine.put(MINE)
    assert machine.run(shell).status == 0
    machine.sshd("OpenSSH_7.4p1", pubkeyauthentication="no")
    assert machine.run(shell, "sweep", key="sk-ssh-ed25519@openssh.com " + "A" * 68).last == "ssm-ssh done"
    assert machine.keys.read_bytes() == MINE


def test_nothing_is_said_to_be_taken_out_of_a_home_that_is_away(machine: Machine, shell: str) -> None:
    machine.home.rmdir()
    assert machine.run(shell, "sweep").last.startswith("ssm-ssh error home ")
