"""What the script makes of the sshd that it finds: its version, and where it reads keys."""

from __future__ import annotations

import calendar
import re
import shutil
import stat
import subprocess
import time
from pathlib import Path

import pytest

from tests.remote.machine import AS_ROOT, KEY, SYSTEM_PATH, Machine, until, without_the_usual_folders

FIDO = "sk-ssh-ed25519@openssh.com " + "A" * 68
TOKYO = 9 * 3600
VERSIONS = [
    ("OpenSSH_6.6.1p1, OpenSSL 1.0.1e-fips 11 Feb 2013", "old"),
    ("unknown option -- V\nOpenSSH_7.4p1, OpenSSL 1.0.2k-fips  26 Jan 2017\nusage: sshd [-46DdeiqTt]", "none"),
    ("OpenSSH_7.6p1 Ubuntu-4ubuntu0.7, OpenSSL 1.0.2n", "none"),
    ("sshd: illegal option -- V\nOpenSSH_7.7p1, OpenSSL 1.1", "local"),
    ("OpenSSH_8.7p1, OpenSSL 3.0.7 1 Nov 2022", "local"),
    ("OpenSSH_9.0p1, OpenSSL 3", "local"),
    ("OpenSSH_9.1p1, OpenSSL 3", "utc"),
    ("OpenSSH_9.9p1, OpenSSL 3", "utc"),
    ("OpenSSH_10.0p2 Debian-7, OpenSSL 3.5", "utc"),
    ("Something else 3", "unknown"),
]


def no_ssh(machine: Machine) -> str:
    """A PATH whose ssh tells no version either."""
    tools = machine.folder / "hasty"
    tools.mkdir()
    (tools / "ssh").write_text("#!/bin/sh\nexit 1\n")
    (tools / "ssh").chmod(0o755)
    return f"{tools}:{machine.bin}:/usr/sbin:/usr/bin:/bin"


@pytest.mark.parametrize(("version", "expiry"), VERSIONS)
def test_each_sshd_gets_what_it_understands(machine: Machine, shell: str, version: str, expiry: str) -> None:
    machine.sshd(version)
    done = machine.run(shell, path=no_ssh(machine))
    assert done.status == 0
    options = machine.keys.read_text().split(" ")[0]
    assert options.startswith('from="127.0.0.1,::1",')
    assert ("restrict,agent-forwarding,port-forwarding,pty,X11-forwarding" in options) == (
        expiry not in ("old", "unknown")
    )
    found = re.findall(r'expiry-time="(\d{14})(Z?)"', options)
    if expiry in ("old", "none", "unknown"):
        assert "expiry" not in options
        return
    ((digits, zulu),) = found
    moment = time.strptime(digits, "%Y%m%d%H%M%S")
    # Its own time zone is the system's: that of the script's environment (Tokyo) is the agent's.
    until_then = (calendar.timegm(moment) if expiry == "utc" else time.mktime(moment)) - time.time()
    assert zulu == ("Z" if expiry == "utc" else "")
    assert 0 < until_then <= 61


def test_the_zone_of_an_sshd_that_has_one_of_its_own(machine: Machine, shell: str) -> None:
    server = subprocess.Popen(["sleep", "100"], env={"TZ": "America/Los_Angeles"})
    try:
        pid = machine.folder / "pid"
        pid.write_text(f"{server.pid}\n")
        machine.sshd("OpenSSH_8.4p1", pidfile=str(pid))
        until(lambda: Path(f"/proc/{server.pid}/environ").read_bytes(), "the program")
        assert machine.run(shell).status == 0
    finally:
        server.kill()
        server.wait()
    found = re.search(r'expiry-time="(\d{14})"', machine.keys.read_text())
    assert found
    there = calendar.timegm(time.strptime(found[1], "%Y%m%d%H%M%S"))
    assert there - time.time() < -6 * 3600


@pytest.mark.parametrize(
    "said",
    ["Environment=TZ=America/Los_Angeles", 'Environment=A=1 "TZ=America/Los_Angeles"', 'TZ="America/Los_Angeles"'],
)
def test_the_zone_that_systemd_gave_an_sshd(machine: Machine, shell: str, said: str) -> None:
    """From 8.2 on a running sshd shows its title where its environment was."""
    machine.sshd("OpenSSH_8.9p1")
    tools = machine.folder / "hasty"
    tools.mkdir()
    (tools / "systemctl").write_text(f"#!/bin/sh\necho '{said}'\n")
    (tools / "systemctl").chmod(0o755)
    assert machine.run(shell, path=f"{tools}:{machine.bin}:/usr/sbin:/usr/bin:/bin").status == 0
    found = re.search(r'expiry-time="(\d{14})"', machine.keys.read_text())
    assert found
    there = calendar.timegm(time.strptime(found[1], "%Y%m%d%H%M%S"))
    assert there - time.time() < -6 * 3600


@pytest.mark.parametrize(("version", "expiry"), VERSIONS)
def test_a_key_of_the_users_own_needs_an_expiry(machine: Machine, shell: str, version: str, expiry: str) -> None:
    machine.sshd(version)
    done = machine.run(shell, path=no_ssh(machine), needs_expiry=True)
    if expiry in ("local", "utc"):
        assert done.status == 0
    else:
        assert done.last.startswith("ssm-ssh error no-expiry its sshd knows no expiry")
        assert not machine.keys.exists()


@pytest.mark.parametrize(("version", "known"), [("OpenSSH_8.1p1", False), ("OpenSSH_8.2p1", True)])
def test_fido_keys(machine: Machine, shell: str, version: str, known: bool) -> None:
    machine.sshd(version)
    done = machine.run(shell, key=FIDO)
    assert done.last.startswith("ssm-ssh done" if known else "ssm-ssh error key-type"), done


@pytest.mark.parametrize(
    ("words", "file"),
    [
        (".ssh/authorized_keys .ssh/authorized_keys2", ".ssh/authorized_keys"),
        ("%h/.ssh/%u.keys", ".ssh/USER.keys"),
        ("/nowhere/%u /etc/ssh/all %h/.keys/a%%b", ".keys/a%b"),
        ("none .keys", ".keys"),
    ],
)
def test_the_files_that_sshd_is_told_to_read(machine: Machine, shell: str, words: str, file: str) -> None:
    machine.sshd(authorizedkeysfile=words)
    assert machine.run(shell).status == 0
    path = machine.home / file.replace("USER", machine.user)
    assert KEY in path.read_text()
    assert path.stat().st_uid == machine.uid


@pytest.mark.parametrize(
    ("config", "code"),
    [
        ({"authorizedkeysfile": "none"}, "no-file"),
        ({"authorizedkeysfile": "/etc/ssh/keys-of-all"}, "shared-file"),
        ({"authorizedkeysfile": "/nowhere/at/all/%u"}, "file"),
        ({"pubkeyauthentication": "no"}, "no-pubkey"),
    ],
)
def test_where_no_key_helps(machine: Machine, shell: str, config: dict[str, str], code: str) -> None:
    machine.sshd(**config)
    assert machine.run(shell).last.startswith(f"ssm-ssh error {code} ")
    assert list(machine.home.iterdir()) == []


def test_what_sshd_is_asked(machine: Machine, shell: str) -> None:
    machine.run(shell)
    asked = (machine.folder / "asked").read_text()
    assert asked == f"-T -C user={machine.user},host=localhost,addr=127.0.0.1,laddr=127.0.0.1,lport=22\n"


def test_an_sshd_that_does_not_tell_its_configuration(machine: Machine, shell: str) -> None:
    (machine.folder / "refusal").write_text("sshd: no hostkeys available -- exiting.\n")
    assert machine.run(shell).status == 0
    assert KEY in machine.keys.read_text()


def test_no_sshd(machine: Machine, shell: str) -> None:
    tools = machine.folder / "hasty"
    tools.mkdir()
    for name in ("base64", "id", "head", "sed", "grep", "tr", "cut", "date", "getent", "cat", "sh"):
        source = machine.bin / name
        (tools / name).symlink_to(source if source.exists() else shutil.which(name) or "/nonexistent")
    text = machine.program
    machine.program = lambda *words: without_the_usual_folders(text(*words))  # type: ignore[method-assign]
    try:
        assert machine.run(shell, path=str(tools)).last == "ssm-ssh error no-sshd sshd is not installed"
    finally:
        machine.program = text  # type: ignore[method-assign]


def test_a_home_that_is_not_there_yet(machine: Machine, shell: str) -> None:
    machine.home.rmdir()
    assert machine.run(shell).last.startswith("ssm-ssh error home the home folder")
    assert not machine.home.exists()


@pytest.mark.skipif(not AS_ROOT, reason="there are no files of root's")
class TestSystemWideFiles:
    """An AuthorizedKeysFile outside of the homes: below /etc, for no temporary directory is root's alone."""

    @pytest.fixture
    def folder(self, machine: Machine) -> object:
        folder = Path("/etc") / f"ssm-ssh-test-{machine.user}"
        folder.mkdir(mode=0o755)
        machine.sshd(authorizedkeysfile=f"{folder}/%u")
        yield folder
        shutil.rmtree(folder)

    def test_are_written_as_root(self, machine: Machine, shell: str, folder: Path) -> None:
        done = machine.run(shell)
        file = folder / machine.user
        assert (done.status, file.stat().st_uid, stat.S_IMODE(file.stat().st_mode)) == (0, 0, 0o644)
        assert KEY in file.read_text()
        assert machine.run(shell, "sweep").status == 0
        assert file.read_text() == ""
        assert [path.name for path in folder.iterdir()] == [machine.user]
        assert list(machine.home.iterdir()) == []

    @pytest.mark.parametrize("loose", ["group", "others", "folder's owner", "file's owner", "link", "folder link"])
    def test_are_not_where_others_than_root_could_interfere(
        self, machine: Machine, shell: str, folder: Path, loose: str
    ) -> None:
        file, secret = folder / machine.user, folder / "secret"
        secret.write_text("root's\n")
        secret.chmod(0o600)
        if loose == "group":
            folder.chmod(0o775)
        elif loose == "others":
            folder.chmod(0o757)
        elif loose == "folder's owner":
            machine.give(folder)
        elif loose == "file's owner":
            file.write_text("")
            machine.give(file)
        elif loose == "link":
            file.symlink_to(secret)
        else:
            (folder / "link").symlink_to(folder)
            machine.sshd(authorizedkeysfile=f"{folder}/link/%u")
        machine.run(shell)
        assert secret.read_text() == "root's\n"
        # What was done, if anything, the user has done.
        made = [path for path in folder.iterdir() if path not in (secret, folder / "link") and not path.is_symlink()]
        assert all(path.stat().st_uid == machine.uid for path in made)

    @pytest.mark.parametrize("path", [":{0}", "{0}:", "/bin::{0}", ".:{0}", "home:../{1}:{0}", "{0}:."])
    def test_are_written_by_no_program_of_the_users(
        self, machine: Machine, shell: str, folder: Path, path: str
    ) -> None:
        """An empty part of PATH, or a relative one, is the current folder."""
        ran = machine.home / "ran"
        for place in (machine.home, machine.home / "home"):
            place.mkdir(exist_ok=True)
            for name in ("restorecon", "stat", "cp", "sed"):
                (place / name).write_text(f'#!/bin/sh\nid >>{ran}\nexec /bin/{name} "$@"\n')
                machine.give(place / name, 0o755)
        path = path.format(f"{machine.bin}:{SYSTEM_PATH}", machine.home.name)
        assert machine.run(shell, path=path).status == 0
        assert not ran.exists()

    def test_are_written_from_a_folder_of_roots(self, machine: Machine, shell: str, folder: Path) -> None:
        tools = machine.folder / "hasty"
        tools.mkdir()
        (tools / "restorecon").write_text(f"#!/bin/sh\n{{ id -u; pwd; echo $HOME $PATH; }} >{tools}/seen\n")
        (tools / "restorecon").chmod(0o755)
        assert machine.run(shell, path=f":{tools}::.:bin:{machine.bin}:{SYSTEM_PATH}:").status == 0
        user, folder_then, home_then, path_then = (tools / "seen").read_text().split()
        assert (user, folder_then, home_then) == ("0", "/", "/")
        assert path_then.startswith(f"{tools}:{machine.bin}:{SYSTEM_PATH}:/")
        assert all(part.startswith("/") for part in path_then.split(":"))

    def test_roots_own_account_is_roots_alone_or_refused(self, machine: Machine, shell: str, folder: Path) -> None:
        machine.sshd(authorizedkeysfile=f"{folder}/%u")
        assert machine.run(shell, user="root").status == 0
        assert (folder / "root").stat().st_uid == 0
        machine.sshd(authorizedkeysfile=f"{machine.folder}/%u")
        assert machine.run(shell, user="root").last.startswith("ssm-ssh error root-file")
