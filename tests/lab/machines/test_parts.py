"""The small parts of an instance: pushed keys, host keys, accounts, processes."""

from __future__ import annotations

import asyncio
import grp
import os
import pwd
import signal
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from ssm_ssh.lab.accounts import userland
from ssm_ssh.lab.accounts.userland import Userland, find_nss_wrapper
from ssm_ssh.lab.machines.host_keys import make_host_keys
from ssm_ssh.lab.machines.instances import choose_kind
from ssm_ssh.lab.process import family as processes
from ssm_ssh.lab.process import lifeline
from ssm_ssh.lab.sshd.embedded import _drop
from ssm_ssh.lab.sshd.instance_connect import PushedKeys
from ssm_ssh.lab.sshd.openssh import configuration, find_sshd
from ssm_ssh.lab.wire.link import Failed


@pytest.fixture
def land(folder: Path) -> Userland:
    made = Userland(folder / "i-1", ("ec2-user", "deploy"), 0, find_nss_wrapper())
    made.build()
    return made


def test_pushed_keys_end_one_by_one() -> None:
    now = [0.0]
    keys = PushedKeys(lambda: now[0])
    assert keys.next_end() is None
    keys.push("a", "ssh-ed25519 ONE comment with words")
    now[0] = 10.0
    keys.push("a", "ssh-ed25519 TWO")
    assert keys.lines("a") == ["ssh-ed25519 ONE", "ssh-ed25519 TWO"]
    assert keys.lines("b") == []
    assert keys.next_end() == 50.0
    now[0] = 60.0
    assert keys.lines("a") == ["ssh-ed25519 TWO"]
    keys.push("a", "ssh-ed25519 TWO")
    assert keys.next_end() == 60.0


def test_host_keys_are_those_that_ssh_keygen_reads(tmp_path: Path) -> None:
    lines = make_host_keys(tmp_path, "root@host", (os.getuid(), os.getgid()), ("ed25519", "ecdsa", "rsa"))
    assert [line.split()[0] for line in lines] == ["ssh-ed25519", "ecdsa-sha2-nistp256", "ssh-rsa"]
    for kind, line in zip(("ed25519", "ecdsa", "rsa"), lines, strict=True):
        path = tmp_path / f"ssh_host_{kind}_key"
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        derived = subprocess.run(["ssh-keygen", "-y", "-f", path], capture_output=True, text=True, check=True).stdout
        assert derived.split()[:2] == line.split()
        assert path.with_suffix(".pub").read_text() == f"{line} root@host\n"


def test_homes_are_private_and_not_the_callers(land: Userland) -> None:
    for user in (*land.users, "root"):
        home = land.home(user)
        assert stat.S_IMODE(home.stat().st_mode) == 0o700
        environment = land.environment(user)
        assert environment["HOME"] == str(home)
        assert not any(pwd.getpwuid(os.getuid()).pw_dir == value for value in environment.values())


def test_ids_that_are_somebody_elses_are_not_used(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    land = Userland(folder / "other", ("ec2-user",), 0, "")
    land.as_root = True
    land.uid = os.getuid()
    with pytest.raises(FileExistsError, match=f"uid {land.uid} belongs to somebody else"):
        land.build()
    land.uid = 61183
    monkeypatch.setattr(grp, "getgrgid", lambda _: ("printers", "x", land.gid, []))
    with pytest.raises(FileExistsError, match=f"gid {land.gid} belongs to somebody else"):
        land.build()
    assert not land.folder.exists()


def test_a_library_that_cannot_be_loaded_is_not_there(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "libnss_wrapper.so").write_bytes(b"not a library")
    monkeypatch.setattr(userland, "_WRAPPER_PLACES", (str(tmp_path / "libnss_wrapper.so"),))
    assert find_nss_wrapper() == ""


@pytest.mark.needs("sshd", "nss_wrapper")
def test_the_real_server_has_its_default_limits(land: Userland) -> None:
    keys = land.etc_ssh
    make_host_keys(keys, "root@host", (os.getuid(), os.getgid()))
    config = keys / "sshd_config"
    config.write_text(configuration(land, 22, [keys / "ssh_host_ed25519_key"]))
    # As root sshd wants a folder of the machine's even for this.
    become = {"user": land.uid, "group": land.gid, "extra_groups": []} if land.as_root else {}
    os.chown(keys / "ssh_host_ed25519_key", land.uid, land.gid)
    if land.as_root:
        os.chown(land.folder.parent, land.uid, land.gid)
        config.chmod(0o644)
    done = subprocess.run([find_sshd(), "-T", "-f", config], capture_output=True, text=True, check=True, **become)  # type: ignore[call-overload]
    words = done.stdout.split("\n")
    for line in (
        "maxstartups 10:30:100",
        "maxauthtries 6",
        "strictmodes yes",
        "passwordauthentication no",
        "usepam no",
    ):
        assert line in words


def test_the_embedded_server_drops_as_sshd_does() -> None:
    assert not any(_drop(9) for _ in range(1000))
    dropped = sum(_drop(10) for _ in range(10_000))
    assert 2_500 < dropped < 3_500
    assert all(_drop(100) for _ in range(1000))


def test_the_system_server_is_refused_where_it_cannot_be() -> None:
    assert choose_kind("embedded", "/lib/wrapper.so") == "embedded"
    assert choose_kind("auto", "") == "embedded"
    with pytest.raises(Failed, match="libnss_wrapper"):
        choose_kind("system", "")


def test_a_family_is_found_and_ended() -> None:
    parent = subprocess.Popen(
        ["/bin/sh", "-c", "sleep 600 & echo $!; wait"], stdout=subprocess.PIPE, start_new_session=True
    )
    assert parent.stdout is not None
    child = int(parent.stdout.readline())
    family = processes.tree(parent.pid)
    assert [pid for pid, _ in family] == [parent.pid, child]
    processes.end([(pid, "another time") for pid, _ in family])
    assert parent.poll() is None
    processes.end(family)
    assert parent.wait() == -9
    assert parent.stdout.read() == b""
    parent.stdout.close()
    assert processes.tree(parent.pid) == []


def test_the_marked_are_found_and_ended(tmp_path: Path) -> None:
    if sys.platform != "linux":
        return
    marked = subprocess.Popen(["sleep", "600"], env={"HOME": str(tmp_path)})
    processes.end((), marks=str(tmp_path))
    assert marked.wait() == -9


def test_an_orphan_that_has_ended_is_collected() -> None:
    if sys.platform != "linux":
        return

    async def use() -> None:
        lifeline.adopt_orphans()
        parent = await asyncio.create_subprocess_exec(
            "/bin/sh", "-c", "sleep 600 & echo $!", stdout=asyncio.subprocess.PIPE
        )
        assert parent.stdout is not None
        orphan = int(await parent.stdout.readline())
        collecting = asyncio.create_task(processes.collect_orphans(0.01))
        os.kill(orphan, signal.SIGKILL)
        while processes.tree(orphan):
            await asyncio.sleep(0.01)
        collecting.cancel()
        assert await parent.wait() == 0

    asyncio.run(use())


def test_a_pipe_outlives_its_first_writer() -> None:
    async def use() -> bytes:
        reader, transport, descriptor = await processes.output_pipe()
        os.write(descriptor, b"words")
        os.close(descriptor)
        data = await reader.read()
        transport.close()
        await asyncio.sleep(0)
        return data

    assert asyncio.run(use()) == b"words"
