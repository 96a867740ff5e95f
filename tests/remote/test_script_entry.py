"""What the script does to an authorized_keys file: one line more, one line less, and nothing else."""

from __future__ import annotations

import fcntl
import os
import re
import shutil
import stat
import subprocess
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from ssm_ssh.remote.script import request
from tests.remote.machine import AS_ROOT, ID, KEY, SYSTEM_PATH, Done, Machine, until, without_the_usual_folders

MINE = b"ssh-rsa AAAAB3Nza me@home\n"


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def entries(machine: Machine) -> list[str]:
    return [line for line in machine.keys.read_text().split("\n") if " ssm-ssh-" in line]


def test_the_first_key_of_an_account(machine: Machine, shell: str) -> None:
    done = machine.run(shell)
    assert (done.status, done.stderr) == (0, "")
    match = re.fullmatch(rf"ssm-ssh done {ID} (\d+) 9\.2", done.last)
    assert match
    assert abs(int(match[1]) - time.time() - 60) < 60
    line = machine.keys.read_text()
    assert re.fullmatch(
        r'from="127\.0\.0\.1,::1",restrict,agent-forwarding,port-forwarding,pty,X11-forwarding,expiry-time="\d{14}Z" '
        + re.escape(KEY)
        + rf" ssm-ssh-{match[1]}-{ID}\n",
        line,
    )
    for path, wanted in ((machine.keys.parent, 0o700), (machine.keys, 0o600)):
        assert (path.stat().st_uid, mode(path)) == (machine.uid, wanted)


@pytest.mark.parametrize(
    "content",
    [
        MINE,
        MINE.rstrip(b"\n"),
        MINE.replace(b"\n", b"\r\n") * 3,
        b"# \xff\xfe not UTF-8 \x1b\n" + MINE,
        b"\n\n\n",
        b"",
        b"x" * 100_000 + b"\n" + MINE,
        b'command="a b",from="127.0.0.1,::1" ssh-rsa AAAA me@ssm-ssh-1000000000-0123456789abcdef\n',
    ],
    ids=["plain", "no newline", "CRLF", "bytes", "empty lines", "empty", "long line", "like ours"],
)
def test_what_others_wrote_stays_as_it_is(machine: Machine, shell: str, content: bytes) -> None:
    machine.put(content, 0o640)
    assert machine.run(shell).status == 0
    after = machine.keys.read_bytes()
    whole = content if content.endswith(b"\n") or not content else content + b"\n"
    assert after.startswith(whole + b'from="127.0.0.1,::1",restrict')
    assert after.count(b"\n") == whole.count(b"\n") + 1
    assert mode(machine.keys) == 0o640
    assert machine.run(shell, "sweep").last == "ssm-ssh done"
    assert machine.keys.read_bytes() == whole


def test_a_huge_file(machine: Machine, shell: str) -> None:
    content = b"".join(b"ssh-rsa %d someone@somewhere\n" % number for number in range(200_000))
    machine.put(content)
    assert machine.run(shell).status == 0
    assert machine.run(shell, entry_id="f" * 16).status == 0
    assert machine.run(shell, "sweep").status == 0
    assert machine.run(shell, "sweep", entry_id="f" * 16).status == 0
    assert machine.keys.read_bytes() == content


def test_the_entry_is_gone_when_its_time_is_over_though_nobody_asks(machine: Machine, shell: str) -> None:
    machine.put(MINE)
    assert machine.run(shell, lifetime=1).status == 0
    assert len(entries(machine)) == 1
    until(lambda: machine.keys.read_bytes() == MINE, "the removal")
    until(lambda: not machine.processes(), "the end of every process")
    assert names(machine.keys.parent) == ["authorized_keys"]


def test_the_remover_is_in_a_session_of_its_own_and_holds_nothing(machine: Machine, shell: str) -> None:
    assert machine.run(shell).status == 0  # its output has been read to the end: nobody holds it
    for pid in machine.processes():
        assert os.getsid(pid) != os.getsid(0)
        here = Path(f"/proc/{pid}")
        assert {str(path.readlink()) for path in (here / "fd").iterdir()} == {"/dev/null"}
        assert here.stat().st_uid == (0 if AS_ROOT else os.getuid())


def test_expired_entries_of_ours_go_and_no_other_line_does(machine: Machine, shell: str) -> None:
    now = int(time.time())
    prefix = 'from="127.0.0.1,::1",restrict,pty'

    def entry(expires: int, number: int) -> str:
        return f"{prefix} {KEY} ssm-ssh-{expires}-{number:016x}"

    dead = [entry(now - 5, 1), entry(1_000_000_000, 2), entry(now + 90_000, 3)]
    alive = [entry(now + 500, 4), entry(now + 500, 5)]
    others = [
        f"{KEY} ssm-ssh-{now - 5}-{6:016x}",  # without our options
        f"# {entry(now - 5, 7)}",
        f"{entry(now - 5, 8)} more",
        f" {entry(now - 5, 9)}",
        f"{prefix} {KEY} SSM-ssh-{now - 5}-{10:016x}",
        f"{prefix} {KEY} ssm-ssh-{now - 5}-{11:015x}",
        entry(now - 5, 12) + "\r",
    ]
    lines = [others[0], dead[0], *others[1:4], alive[0], dead[1], dead[2], *others[4:], alive[1]]
    machine.put("\n".join(lines).encode())
    assert machine.run(shell).status == 0
    after = machine.keys.read_bytes().decode().split("\n")
    assert after[:-2] == [line for line in lines if line not in dead]
    assert after[-2].endswith(f"-{ID}")


@pytest.mark.parametrize("lock", ["flock", "folder"])
def test_parallel_pushes_lose_nothing(machine: Machine, shell: str, lock: str) -> None:
    machine.put(MINE)
    numbers = range(8)
    path = f"{machine.bin}:{SYSTEM_PATH}"
    if lock == "folder":
        (machine.folder / "hasty").mkdir()
        path = without_flock(machine, machine.folder / "hasty")

    def push(number: int) -> Done:
        data = request("push", machine.user, KEY, f"{number:016x}")
        return machine.run(shell, text=without_the_usual_folders(machine.program(data, shell)), path=path)

    with ThreadPoolExecutor(8) as pool:
        done = list(pool.map(push, numbers))
    assert [one.status for one in done] == [0] * 8
    assert sorted(line[-16:] for line in entries(machine)) == [f"{number:016x}" for number in numbers]
    assert machine.keys.read_bytes().startswith(MINE)


# A clock that goes on by ten seconds whenever it is asked.
_HASTY_DATE = """#!/bin/sh
echo >>{0}/asked
exec /bin/date -d "+$(wc -l <{0}/asked)0 seconds" "$@"
"""


def test_a_lock_that_is_held_has_a_time_limit(machine: Machine, shell: str) -> None:
    machine.run_folder.mkdir(mode=0o700)
    tools = machine.folder / "hasty"
    tools.mkdir()
    (tools / "date").write_text(_HASTY_DATE.format(tools))
    (tools / "date").chmod(0o755)
    with (machine.run_folder / str(machine.uid)).open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        done = machine.run(shell, path=f"{tools}:{machine.bin}:{SYSTEM_PATH}")
    assert done.last.startswith("ssm-ssh error lock another push")
    assert not machine.keys.exists()


def without_flock(machine: Machine, tools: Path) -> str:
    """Put every program but that one beside what is in `tools`, and return the PATH."""
    for program in (path for folder in SYSTEM_PATH.split(":") for path in Path(folder).iterdir()):
        if program.name != "flock" and not (tools / program.name).exists():
            (tools / program.name).unlink(missing_ok=True)
            (tools / program.name).symlink_to(program)
    return f"{machine.bin}:{tools}"


def started(pid: int) -> str:
    """When a process began, in the kernel's ticks."""
    return Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2].split()[19]


@pytest.mark.parametrize(
    ("content", "held"),
    [("{0} {1}\n", True), ("{0} {1}1\n", False), ("{0}\n", False), ("999999999 {1}\n", False)],
    ids=["itself", "its pid given again", "a pid alone", "dead"],
)
def test_without_flock_a_lock_is_its_holders_and_of_nobody_with_the_same_pid(
    machine: Machine, shell: str, content: str, held: bool
) -> None:
    tools = machine.folder / "hasty"
    tools.mkdir()
    (tools / "date").write_text(_HASTY_DATE.format(tools))
    (tools / "date").chmod(0o755)
    path = without_flock(machine, tools)
    lock = machine.run_folder / f"{machine.uid}.held"
    lock.mkdir(parents=True, mode=0o700)
    # Its name has a blank and a parenthesis, as the name of any program may.
    (tools / "a) S 1 (b").symlink_to("/bin/sleep")
    holder = subprocess.Popen([tools / "a) S 1 (b", "100"])
    try:
        (lock / "pid").write_text(content.format(holder.pid, started(holder.pid)))
        text = without_the_usual_folders(machine.program(request("push", machine.user, KEY, ID), shell))
        done = machine.run(shell, text=text, path=path)
    finally:
        holder.kill()
        holder.wait()
    assert done.last.startswith("ssm-ssh error lock another push" if held else "ssm-ssh done"), done
    assert lock.exists() == held
    assert machine.keys.exists() != held


def test_a_file_that_its_user_may_only_read_stays_like_that(machine: Machine, shell: str) -> None:
    machine.put(MINE)
    machine.keys.chmod(0o400)
    assert machine.run(shell, lifetime=1).stdout.startswith("ssm-ssh done ")
    assert (len(entries(machine)), mode(machine.keys)) == (1, 0o400)
    until(lambda: machine.keys.read_bytes() == MINE, "the removal")
    assert mode(machine.keys) == 0o400


@pytest.mark.parametrize("name", ["file", "folder"])
def test_what_sshd_would_not_trust_is_tightened(machine: Machine, shell: str, name: str) -> None:
    machine.put(MINE)
    path = {"file": machine.keys, "folder": machine.keys.parent}[name]
    path.chmod(0o777)
    assert machine.run(shell).status == 0
    assert mode(path) == 0o755


def test_a_home_that_others_can_write_is_told(machine: Machine, shell: str) -> None:
    machine.home.chmod(0o775)
    done = machine.run(shell)
    assert done.stdout.startswith(f"ssm-ssh note the home folder {machine.home} can be written by others")
    assert mode(machine.home) == 0o775


def test_a_link_of_the_users_stays_one(machine: Machine, shell: str) -> None:
    machine.put(b"")
    real = machine.home / "dotfiles"
    real.write_bytes(MINE)
    machine.give(real, 0o600)
    machine.keys.unlink()
    machine.keys.symlink_to("../dotfiles")
    machine.give(machine.keys)
    assert machine.run(shell).status == 0
    assert machine.keys.is_symlink()
    assert len(entries(machine)) == 1
    assert real.read_bytes().startswith(MINE)


def test_nothing_is_left_over(machine: Machine, shell: str) -> None:
    assert machine.run(shell).status == 0
    assert machine.run(shell, "sweep").status == 0
    assert names(machine.keys.parent) == ["authorized_keys"]
    assert machine.keys.read_bytes() == b""


def test_sweeping_where_nothing_is_makes_nothing(machine: Machine, shell: str) -> None:
    assert machine.run(shell, "sweep").last == "ssm-ssh done"
    assert names(machine.home) == []


# Of busybox's programs, these are often left out.
_RARE = {"flock", "setsid", "timeout", "mktemp", "base64", "stat"}


@pytest.mark.needs("busybox")
@pytest.mark.skipif(not AS_ROOT, reason="su becomes another user without being asked for root alone")
@pytest.mark.parametrize("left_out", [set(), _RARE], ids=["all", "few"])
def test_a_system_with_busyboxs_programs_alone(machine: Machine, left_out: set[str]) -> None:
    tools = machine.folder / "hasty"
    tools.mkdir()
    busybox = shutil.which("busybox")
    for name in subprocess.run(["busybox", "--list"], capture_output=True, text=True, check=True).stdout.split():
        if name not in left_out:
            (tools / name).symlink_to(str(busybox))
    (tools / "sshd").symlink_to(machine.bin / "sshd")
    if not (tools / "su").exists():  # Debian's busybox has none
        (tools / "su").symlink_to(str(shutil.which("su")))
    if "base64" in left_out:
        (tools / "openssl").symlink_to(str(shutil.which("openssl")))
    text = without_the_usual_folders(machine.program(request("push", machine.user, KEY, ID, lifetime=2), "busybox"))
    machine.put(MINE.rstrip(b"\n"))
    done = machine.run("busybox", text=text, path=str(tools))
    assert done.last.startswith("ssm-ssh done"), done
    assert machine.keys.read_bytes().startswith(MINE)
    assert len(entries(machine)) == 1
    until(lambda: machine.keys.read_bytes() == MINE, "the removal")
    assert machine.keys.stat().st_uid == machine.uid
