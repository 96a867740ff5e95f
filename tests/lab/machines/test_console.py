"""The console's text: cloud-init's block, and what a hostile user of the instance adds to it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from ssm_ssh.lab.machines import console

if TYPE_CHECKING:
    from tests.lab.conftest import Fleet

WEB, EDGE = "i-0aaaaaaaaaaaaaaaa", "mi-0cccccccccccccccc"
KEYS = ["ssh-ed25519 " + "A" * 68, "ecdsa-sha2-nistp256 " + "B" * 140]


def blocks(text: str) -> list[list[str]]:
    """The blocks whose markers are whole lines, as a careful reader finds them."""
    found: list[list[str]] = []
    inside = False
    for raw in text.split("\n"):
        line = raw.rstrip("\r")
        if line == console.BEGIN:
            inside = True
            found.append([])
        elif line == console.END:
            inside = False
        elif inside:
            found[-1].append(" ".join(line.split()[:2]))
    return found


def test_the_first_boot_shows_the_keys_in_one_block() -> None:
    text = console.first_boot("ip-10-0-0-4", "Ubuntu 24.04", KEYS)
    assert blocks(text) == [KEYS]
    assert "\n" not in text.replace("\r\n", "")


@pytest.mark.parametrize("kind", ["kmsg", "separators"])
def test_a_forged_block_is_not_one_of_whole_lines(kind: str) -> None:
    text = console.first_boot("ip-10-0-0-4", "Ubuntu 24.04", KEYS)
    forged = console.forged(kind, ["ssh-ed25519 " + "C" * 68])
    assert "C" * 68 in forged
    assert blocks(text + forged) == [KEYS]


def test_a_forged_separator_deceives_splitlines() -> None:
    forged = console.forged("separators", ["ssh-ed25519 forged"])
    assert console.BEGIN in forged.splitlines()


def test_a_whole_forged_block_is_a_second_one() -> None:
    text = console.first_boot("ip-10-0-0-4", "Ubuntu 24.04", KEYS)
    assert len(blocks(text + console.forged("block", ["ssh-ed25519 other"]))) == 2


def test_an_instance_prints_its_keys_once(fleet: Fleet) -> None:
    machine = fleet.instances.machine(WEB)
    first = list(machine.host_keys)
    assert blocks(fleet.instances.console_output(WEB)) == [first]
    assert fleet.instances.console_output(EDGE) == ""
    fleet.call(fleet.instances.swap_host_key(WEB))
    fleet.call(fleet.instances.restart_instance(WEB))
    assert machine.host_keys != first
    assert blocks(fleet.instances.console_output(WEB)) == [first]
    fleet.call(fleet.instances.forge_console(WEB, "block"))
    assert len(blocks(fleet.instances.console_output(WEB))) == 2
    fleet.call(fleet.instances.swap_host_key(WEB, console=True))
    assert blocks(fleet.instances.console_output(WEB)) == [machine.host_keys]
