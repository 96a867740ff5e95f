"""Run Command on an instance: what a script sees, what it may not see, and how its end is told."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from ssm_ssh.lab.machines.run_command import into_instance
from ssm_ssh.lab.wire.rpc import CallFailed

if TYPE_CHECKING:
    from tests.lab.conftest import Fleet

WEB, EDGE = "i-0aaaaaaaaaaaaaaaa", "mi-0cccccccccccccccc"


def run(fleet: Fleet, script: str, timeout: float = 60.0, directory: str = "") -> dict[str, Any]:
    return fleet.call(fleet.instances.run_command(WEB, script, timeout, directory))


def test_success_and_failure_are_reported_as_by_the_agent(fleet: Fleet) -> None:
    done = run(fleet, "echo out; echo err >&2")
    assert (done["status"], done["response_code"], done["stdout"], done["stderr"]) == ("Success", 0, "out\n", "err\n")
    done = run(fleet, "echo err >&2; exit 3")
    assert (done["status"], done["response_code"]) == ("Failed", 3)
    assert done["stderr"] == "err\nfailed to run commands: exit status 3"


def test_a_script_that_takes_too_long_is_ended_with_its_family(fleet: Fleet) -> None:
    done = run(fleet, "sleep 600 & echo $!; sleep 600", timeout=0.5)
    assert (done["status"], done["response_code"]) == ("TimedOut", -1)
    assert done["status_details"] == "Execution Timed Out"
    fleet.wait_gone(int(done["stdout"]))


def test_outputs_are_cut_at_24000_characters(fleet: Fleet) -> None:
    done = run(fleet, "head -c 1000000 /dev/zero | tr '\\0' x; head -c 23999 /dev/zero | tr '\\0' y >&2")
    assert done["stdout"] == "x" * (24_000 - 20) + "--output truncated--"
    assert done["stderr"] == "y" * 23_999


def test_the_first_line_chooses_the_interpreter(fleet: Fleet) -> None:
    assert run(fleet, "echo $0")["stdout"].endswith("/_script.sh\n")
    assert run(fleet, "#!/bin/bash\necho ${BASH_VERSION:+bash}")["stdout"] == "bash\n"


def test_it_begins_in_roots_scratch_home_or_where_it_is_told(fleet: Fleet) -> None:
    root = str(fleet.instances.machine(WEB).home("root"))
    assert run(fleet, "pwd; echo $HOME; cd; pwd; cd ~; pwd")["stdout"].split() == [root] * 4
    home = str(fleet.instances.machine(WEB).home("ec2-user"))
    assert run(fleet, "pwd", directory=home)["stdout"].split() == [home]
    assert run(fleet, "pwd", directory="/no/such/place")["status"] == "Failed"


def test_nothing_of_the_callers_is_seen(fleet: Fleet, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "canary")
    done = run(fleet, "env; id -un; getent passwd; echo ~root ~ec2-user")
    assert "canary" not in done["stdout"]
    assert f":{Path.home()}:" not in done["stdout"]


def test_root_is_root_and_becomes_a_user(fleet: Fleet) -> None:
    accounts = fleet.instances.machine(WEB).accounts
    assert run(fleet, "id -u")["stdout"] == "0\n"
    home = str(accounts.home("deploy"))
    for become in (
        "setpriv --reuid=deploy --regid=deploy --clear-groups -- sh -c",
        "setpriv --reuid deploy --regid deploy --init-groups sh -c",
        "runuser -u deploy -- sh -c",
        "runuser deploy -c",
        "su -s /bin/sh deploy -c",
    ):
        done = run(fleet, f"{become} 'umask 077; cd {home}; id -un; touch made && stat -c %u made; rm made'")
        # Several names share the uid, and the C library takes the first.
        assert done["stdout"].split() in (["deploy", str(accounts.uid)], ["ec2-user", str(accounts.uid)]), (
            become,
            done,
        )
    if accounts.nss_wrapper:
        assert run(fleet, "su -s /bin/sh deploy -c 'echo ~deploy'")["stdout"].split() == [home]
    assert run(fleet, "getent passwd deploy | cut -d: -f6")["stdout"].split() == [home]


def test_the_instances_own_ssh_files_are_seen(fleet: Fleet) -> None:
    machine = fleet.instances.machine(WEB)
    done = run(fleet, 'for f in /etc/ssh/ssh_host_*_key.pub; do cut -d" " -f1,2 "$f"; done')
    assert sorted(done["stdout"].splitlines()) == sorted(machine.host_keys)
    for sshd in ("sshd", "/usr/sbin/sshd"):
        words = run(fleet, f"{sshd} -T")["stdout"].lower().split("\n")
        assert "authorizedkeysfile .ssh/authorized_keys" in words
        assert "port 22" in words
    done = run(fleet, "mkdir -m 700 -p /run/ssm-ssh && echo x >/run/ssm-ssh/lock && cat /run/ssm-ssh/lock")
    assert done["stdout"] == "x\n"
    assert (machine.accounts.folder / "run" / "ssm-ssh" / "lock").exists()


def test_only_whole_paths_are_led_into_the_instance(fleet: Fleet) -> None:
    accounts = fleet.instances.machine(WEB).accounts
    folder = accounts.folder
    assert into_instance("cat /etc/ssh/x '/etc/ssh' \"/etc/ssh\"", accounts) == (
        f"cat {folder}/etc/ssh/x '{folder}/etc/ssh' \"{folder}/etc/ssh\""
    )
    same = "cat /etc/sshx /x/etc/ssh /etc/ssh-old etc/ssh"
    assert into_instance(same, accounts) == same


def test_a_dead_instance_runs_nothing(fleet: Fleet) -> None:
    fleet.call(fleet.instances.kill_instance(WEB))
    with pytest.raises(CallFailed, match="not running"):
        run(fleet, "true")
    with pytest.raises(CallFailed, match="not an instance"):
        fleet.call(fleet.instances.run_command("i-0123456789abcdef0", "true"))
