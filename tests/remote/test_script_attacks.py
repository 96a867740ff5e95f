"""What a user of the instance would try against root, and what the sender of a request would try against the script."""

from __future__ import annotations

import base64
import os
import shlex
import shutil
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ssm_ssh.errors import KeyRefused, UsageError
from ssm_ssh.remote.script import request, result, script
from tests.needs import missing
from tests.remote.machine import AS_ROOT, ID, KEY, SHELLS, Machine, Treasure, until

INSTALLED = [shell for shell in SHELLS if not missing([shell])]

NAMES = (".ssh", "authorized_keys", "temporary", "lock")


@pytest.fixture
def treasure(machine: Machine) -> Iterator[Treasure]:
    treasure = Treasure(machine.folder)
    yield treasure
    treasure.check()


def owned_by_others(machine: Machine) -> list[Path]:
    """What is below the home and not the user's."""
    return [path for path in machine.home.rglob("*") if path.lstat().st_uid != machine.uid]


def link(machine: Machine, at: Path, to: Path) -> None:
    at.parent.mkdir(exist_ok=True)
    machine.give(at.parent, 0o700)
    at.symlink_to(to)
    machine.give(at)


@pytest.mark.parametrize("action", ["push", "sweep"])
def test_the_folder_is_a_link_into_roots(machine: Machine, shell: str, treasure: Treasure, action: str) -> None:
    (treasure.folder / "authorized_keys").write_text("# root's\n")
    (treasure.folder / "authorized_keys").chmod(0o600)
    treasure.before = treasure.state()
    link(machine, machine.home / ".ssh", treasure.folder)
    done = machine.run(shell, action)
    # In an ordinary user's tests root's folder is that user's own.
    assert not AS_ROOT or done.last.startswith("ssm-ssh error file"), done
    if not AS_ROOT:
        treasure.before = treasure.state()


@pytest.mark.skipif(not AS_ROOT, reason="root's files cannot be told from the user's")
class TestFilesOfRoots:
    @pytest.mark.parametrize("action", ["push", "sweep"])
    def test_the_file_is_a_link_to_one(self, machine: Machine, shell: str, treasure: Treasure, action: str) -> None:
        link(machine, machine.keys, treasure.shadow)
        assert machine.run(shell, action).last.startswith("ssm-ssh error file")
        assert machine.keys.is_symlink()
        assert owned_by_others(machine) == []

    def test_the_file_is_a_link_to_one_that_is_not_there(
        self, machine: Machine, shell: str, treasure: Treasure
    ) -> None:
        link(machine, machine.keys, treasure.folder / "new")
        assert machine.run(shell).last.startswith("ssm-ssh error file")
        assert owned_by_others(machine) == []

    def test_the_file_is_a_hard_link(self, machine: Machine, shell: str, treasure: Treasure) -> None:
        # Kernels refuse this to users (fs.protected_hardlinks), old ones did not.
        machine.put(b"")
        machine.keys.unlink()
        os.link(treasure.shadow, machine.keys)
        treasure.before = treasure.state()
        assert machine.run(shell).last.startswith("ssm-ssh error file")
        machine.keys.unlink()

    def test_temporaries_are_planted_under_every_likely_name(
        self, machine: Machine, shell: str, treasure: Treasure
    ) -> None:
        machine.put(b"# mine\n")
        for name in ("authorized_keys.new", "authorized_keys.tmp", ".ssm-ssh-XXXXXX", ".authorized_keys.lock"):
            link(machine, machine.keys.with_name(name), treasure.shadow)
            link(machine, machine.home / name, treasure.shadow)
        assert machine.run(shell).status == 0
        assert owned_by_others(machine) == []

    def test_the_folder_of_locks_is_not_roots(self, machine: Machine, shell: str, treasure: Treasure) -> None:
        machine.run_folder.symlink_to(treasure.folder)
        assert machine.run(shell).last.startswith("ssm-ssh error lock")
        machine.run_folder.unlink()
        machine.run_folder.mkdir()
        machine.give(machine.run_folder, 0o777)
        assert machine.run(shell).last.startswith("ssm-ssh error lock")
        assert not machine.keys.exists()

    @pytest.mark.parametrize("name", [".ssh", "authorized_keys"])
    def test_links_that_come_and_go_during_the_run(
        self, machine: Machine, shell: str, treasure: Treasure, name: str
    ) -> None:
        (treasure.folder / "authorized_keys").write_text("# root's\n")
        treasure.before = treasure.state()
        machine.put(b"# mine\n")
        path = machine.home / ".ssh" if name == ".ssh" else machine.keys
        goal = treasure.folder if name == ".ssh" else treasure.shadow
        swap = f"mv -T {path} {path}.real; ln -s {goal} {path}; rm {path}; mv -T {path}.real {path}"
        attacker = machine.as_user("/bin/sh", "-c", f"exec 2>/dev/null; cd /; while :; do {swap}; done")
        try:
            for number in range(12):
                machine.run(shell, entry_id=f"{number:016x}")
                machine.run(shell, "sweep", entry_id=f"{number:016x}")
        finally:
            attacker.kill()
            attacker.wait()
        assert owned_by_others(machine) == []

    def test_what_runs_as_the_user_has_nothing_of_roots(self, machine: Machine, shell: str) -> None:
        """Its environment and its descriptors, seen by a restorecon that the user may as well have written."""
        tools = machine.folder / "hasty"
        tools.mkdir()
        seen = machine.home / "seen"
        (tools / "restorecon").write_text(
            f"#!/bin/sh\nid -u >>{seen}; id -G >>{seen}; env >>{seen}; ls -l /proc/$$/fd >>{seen}\n"
        )
        (tools / "restorecon").chmod(0o755)
        machine.run(shell, path=f"{tools}:{machine.bin}:/usr/sbin:/usr/bin:/bin")
        text = seen.read_text()
        assert text.startswith(f"{machine.uid}\n{machine.gid}\n")
        assert "SECRET_OF_ROOT" not in text
        assert str(machine.run_folder) not in text

    @pytest.mark.parametrize(
        "does", ["kill -STOP $$ $PPID", 'setsid sleep 900 2>&1 & exec /bin/cp "$@"'], ids=["stop", "hold the output"]
    )
    def test_a_user_who_keeps_what_runs_as_him_from_ending(self, machine: Machine, shell: str, does: str) -> None:
        """The script ends and gives the lock back, for it waits neither for the user's part nor for its output long."""
        tools = machine.folder / "hasty"
        tools.mkdir()
        # Twenty seconds and more are made two.
        wait = 'shift 3; exec /usr/bin/timeout -s KILL 2 "$@"'
        for name, text in (("cp", does), ("timeout", wait)):
            (tools / name).write_text(f"#!/bin/sh\n{text}\n")
            (tools / name).chmod(0o755)
        machine.put(b"# mine\n")
        assert machine.run(shell, path=f"{tools}:{machine.bin}:/usr/sbin:/usr/bin:/bin").last.startswith(
            "ssm-ssh error"
        )
        assert machine.run(shell).status == 0


@pytest.mark.parametrize("kind", ["fifo", "folder", "unreadable", "loop"])
def test_files_that_are_no_files(machine: Machine, shell: str, kind: str) -> None:
    machine.put(b"")
    machine.keys.unlink()
    if kind == "fifo":
        os.mkfifo(machine.keys)
    elif kind == "folder":
        machine.keys.mkdir()
    elif kind == "unreadable":
        machine.put(b"", 0o000)
    else:
        machine.keys.symlink_to(machine.keys.name)
    machine.give(machine.keys) if kind != "loop" else None
    before = stat.S_IFMT(machine.keys.lstat().st_mode)
    assert machine.run(shell).last.startswith("ssm-ssh error file")
    assert stat.S_IFMT(machine.keys.lstat().st_mode) == before


LIMIT = 16 * 1024 * 1024
# Kilobytes.
MEMORY = 256 * 1024


def test_a_file_of_the_largest_size(machine: Machine, shell: str) -> None:
    content = b"x" * (LIMIT - 1) + b"\n"
    machine.put(content)
    assert machine.run(shell).status == 0
    assert machine.keys.read_bytes().startswith(content)
    machine.put(content)
    assert machine.run(shell, "sweep").last == "ssm-ssh done"


@pytest.mark.parametrize("action", ["push", "sweep"])
@pytest.mark.parametrize("size", [LIMIT + 1, 3 * 1024**3])
@pytest.mark.parametrize("linked", [False, True])
def test_a_larger_file_is_not_read(machine: Machine, shell: str, action: str, size: int, linked: bool) -> None:
    machine.put(b"")
    file = machine.keys
    if linked:
        file = machine.home / "dotfile"
        machine.keys.rename(file)
        machine.keys.symlink_to(file)
    os.truncate(file, size)
    done = machine.run(shell, action)
    assert done.last == f"ssm-ssh error file {file} is larger than 16 MiB"
    assert file.stat().st_size == size
    assert [path.name for path in machine.keys.parent.iterdir()] == ["authorized_keys"]


def tools(machine: Machine, **texts: str) -> str:
    """Return a PATH with programs of these names in front."""
    folder = machine.folder / "hasty"
    folder.mkdir()
    for name, text in texts.items():
        (folder / name).write_text(f"#!/bin/sh\n{text}\n")
        (folder / name).chmod(0o755)
    return f"{folder}:{machine.bin}:/usr/sbin:/usr/bin:/bin"


@pytest.mark.parametrize("action", ["push", "sweep"])
@pytest.mark.parametrize("failing", [(), ("setpriv",), ("setpriv", "runuser")], ids=["setpriv", "runuser", "su"])
def test_a_file_that_grows_while_it_is_read(
    machine: Machine, shell: str, action: str, failing: tuple[str, ...]
) -> None:
    if not AS_ROOT:
        failing = ()
    machine.put(b"# mine\n")
    seen = machine.home / "seen"
    grow = f'[ -z "$SSM_SSH_FILE" ] || {{ ulimit -v >>{seen}; truncate -s 3G "$SSM_SSH_FILE"; }}; exec /bin/sed "$@"'
    done = machine.run(shell, action, path=tools(machine, sed=grow, **dict.fromkeys(failing, "exit 1")))
    assert done.last.startswith("ssm-ssh error file"), done
    assert {int(line) for line in seen.read_text().split()} == {MEMORY}


def test_an_output_without_an_end(machine: Machine, shell: str) -> None:
    """The user may write into what runs as him, and root reads it."""
    machine.put(b"# mine\n")
    seen = machine.folder / "hasty" / "seen"
    path = tools(
        machine,
        cp="exec tr '\\000' x </dev/zero >&2",
        tail=f'[ "$*" != "-n 3" ] || ulimit -v >{seen}; exec /usr/bin/tail "$@"',
    )
    assert machine.run(shell, path=path).last.startswith("ssm-ssh error file")
    assert int(seen.read_text()) == MEMORY
    assert machine.keys.read_bytes() == b"# mine\n"


WORDS = ["push", "USER", *KEY.split(), ID, "60", "-"]
HOSTILE = (
    *("$(touch${IFS}X)", "`touch${IFS}X`", ";touch${IFS}X", "'", '"', "..", "../x", "-rf", "*", "a|b", "a:b", "%s"),
    *("\\", "a,b", "a=b", "{{ssm:/x}}", "\x00", "\x7f", "\xff", "0", "08", "-1", "999999", "00060", "6e1", "0x3c"),
    *("root:x", "ssh-", "a\nb", "a b"),
)


@pytest.mark.parametrize("position", range(len(WORDS)))
def test_a_request_that_is_not_ours_is_refused(machine: Machine, shell: str, position: int) -> None:
    """Who may do no more than run the document may put anything into its one parameter."""
    for hostile in HOSTILE:
        words = [machine.user if word == "USER" else word for word in WORDS]
        words[position] = hostile
        if position == 3 and hostile.isalnum() and hostile.isascii():
            continue  # that is base64 as well
        data = base64.b64encode(" ".join(words).encode("latin-1")).decode()
        done = machine.run(shell, data=data)
        assert done.last.startswith("ssm-ssh error "), (hostile, done)
    assert list(machine.home.iterdir()) == []
    assert not Path("/X").exists()
    until(lambda: not machine.processes(), "no process of a refused request")


@pytest.mark.skipif(not AS_ROOT, reason="the getent of these tests knows names alone")
@pytest.mark.parametrize("number", ["{}", "+{}", "0{}", "+0{}"])
def test_a_user_is_named_and_not_numbered(machine: Machine, shell: str, number: str) -> None:
    """For getent such a word is a uid: +0 would be root under another name."""
    words = ["push", number.format(machine.uid), *KEY.split(), ID, "60", "-"]
    done = machine.run(shell, data=base64.b64encode(" ".join(words).encode()).decode())
    assert done.last.startswith("ssm-ssh error no-user "), done
    assert machine.user in done.last
    assert list(machine.home.iterdir()) == []


@pytest.mark.skipif(not AS_ROOT, reason="the getent of these tests knows names alone")
@pytest.mark.parametrize("user", ["DOMAIN\\user", "CORP\\Anna Maier", "j\u00fcrgen", "\u00fcber~1"])
def test_a_user_of_a_directory_gets_the_key(machine: Machine, shell: str, user: str) -> None:
    """winbind and sssd have such names, and sshd logs them in."""
    entry = f"{user}:x:{machine.uid}:{machine.gid}::{machine.home}:/bin/bash"
    fake = machine.bin / "getent"
    fake.write_text(
        f"#!/bin/sh\ntest \"$2\" = '{user}' || exec {shutil.which('getent')} \"$@\"\nprintf '%s\\n' '{entry}'\n"
    )
    fake.chmod(0o755)
    try:
        done = machine.run(shell, user=user)
    finally:
        fake.unlink()
    assert done.last.startswith("ssm-ssh done "), done
    assert KEY.split()[1].encode() in machine.keys.read_bytes()


@pytest.mark.parametrize(
    "name", ["", "-x", "a/b", "../x", "a:b", "a,b", "o'x", "a\nb", "x\\", "x ", "a*", "$(id)", "{{x}}"]
)
def test_an_encoded_name_is_checked_as_well(machine: Machine, shell: str, name: str) -> None:
    words = ["push", f"={base64.b64encode(name.encode()).decode()}", *KEY.split(), ID, "60", "-"]
    done = machine.run(shell, data=base64.b64encode(" ".join(words).encode()).decode())
    assert done.last.startswith("ssm-ssh error data "), done
    assert list(machine.home.iterdir()) == []


@pytest.mark.parametrize("data", ["", "=", "A", "!!!!", "cHVzaA=="])
def test_what_is_no_request_is_refused(machine: Machine, shell: str, data: str) -> None:
    assert machine.run(shell, data=data).last.startswith("ssm-ssh error data")


@given(user=st.text(max_size=70), comment=st.text(max_size=40), blob=st.text(max_size=90))
@settings(max_examples=300)
def test_what_is_not_refused_here_is_harmless(user: str, comment: str, blob: str) -> None:
    for line in (f"ssh-ed25519 {blob}", f"{KEY} {comment}", blob, KEY):
        try:
            data = request("push", user, line, ID)
        except UsageError:
            continue
        assert line == KEY or line.split(" ")[1] == blob
        text = script(data)
        assert "{{" not in text
        assert shlex.split(text.split("\n")[2]) == [f"data={data}"]


@given(user=st.from_regex(r"[A-Za-z0-9_][A-Za-z0-9._@+-]{0,20}\$?", fullmatch=True), shell=st.sampled_from(INSTALLED))
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_whoever_is_not_there_is_told_with_who_is(machine: Machine, user: str, shell: str) -> None:
    if user in (machine.user, "root"):
        return
    done = machine.run(shell, user=f"x9{user}")
    with pytest.raises(KeyRefused) as error:
        result(done.stdout, done.stderr, "i-1")
    assert error.value.code == "no-user"
    assert machine.user in error.value.message


@given(stdout=st.text(max_size=200), stderr=st.text(max_size=200))
def test_any_output_is_a_printable_error_or_a_result(stdout: str, stderr: str) -> None:
    for text in (stdout, f"ssm-ssh error {stdout}", f"ssm-ssh note {stdout}\nssm-ssh done {stderr}", "ssm-ssh done"):
        try:
            placed = result(text, stderr, "i-1")
        except KeyRefused as error:
            assert error.sentence().isprintable()
            assert error.sentence().isascii()
        else:
            assert all(note.isascii() for note in (*placed.notes, placed.entry_id, placed.sshd))
