# Over 350 lines: one home folder serves every kind of configuration.
"""setup and --remove on configurations of every kind, with the real ssh."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ssm_ssh.errors import StateError, UsageError
from ssm_ssh.sshconfig import effective, install
from ssm_ssh.sshconfig.atomic_replace import Changed
from ssm_ssh.sshconfig.desired import compose
from ssm_ssh.sshconfig.effective import IDS, STANDARD, Ssh
from ssm_ssh.sshconfig.install import Done
from ssm_ssh.sshconfig.managed_file import Alias, Managed, Stored
from tests.sshconfig.home import Home

HOSTS = (*STANDARD, "web", "db.example.com", "x", "i-foo")


def set_up(home: Home, *, inline: bool | None = None, ssh: Ssh | None = None, dry_run: bool = False) -> Done:
    return install.set_up(
        home.place, ssh or home.ssh, lambda before: compose(home.place, before), inline=inline, dry_run=dry_run
    )


def uninstall(home: Home) -> Done:
    return install.uninstall(home.place, home.ssh)


def uses_it(home: Home, host: str = IDS[0]) -> bool:
    return "ssm-ssh" in home.ssh.ask(host).value("proxycommand")


NASTY: dict[str, bytes] = {
    "empty": b"",
    "one newline": b"\n",
    "no final newline": b"Host web\n  User me",
    "CRLF": b"User me\r\n\r\nHost web\r\n  Port 2222\r\n",
    "CRLF without the last": b"Host web\r\n  Port 2222",
    "not UTF-8": b"# caf\xe9\nHost web\n  User caf\xe9\n",
    "NUL": b"Host web\n  User me\0rest\n\0\n",
    "equals and quotes": b'host=web\nUSER="a b"\n"Host" "db.example.com"\n  port = "2222"\n',
    "globals": b"User global\nServerAliveInterval 7\nIdentityFile ~/.ssh/mine\n",
    "U+2028, U+0085, vertical tab": "# a\u2028Host b\u2028\nHost web\n  User x\x85y\n# \x0b\n".encode(),
    "tabs and indented sections": b"\t Host web\n\t\tUser x\n \tMatch host db.example.com\n  Port 1\n",
    "Match": b'Match exec "true"\n  User e\nMatch host web,!db user "x"\n  Port 3\nMatch all\n  Compression yes\n',
    "duplicated hosts": b"Host web\n  User a\nHost web\n  User b\nHost *\n  User c\n",
    "comment at the end of a line": b'Host web # the web\n  User "a # b"\n',
    "ours, but for web alone": b"Host web\n  HostName db.example.com\n  Port 4\n",
    "everything under the star": b"Host *\n  ProxyCommand nc %h %p\n  UpdateHostKeys yes\n  StrictHostKeyChecking no\n"
    b"  HostName %h.example.com\n  CanonicalizeHostname always\n  ProxyUseFdpass yes\n  GlobalKnownHostsFile /x\n"
    b"  IdentityFile ~/.ssh/mine\n  IdentitiesOnly no\n  AddKeysToAgent yes\n  PubkeyAuthentication no\n",
    "an old rule of the user's": b"Host i-* mi-*\n  ProxyCommand sh -c 'aws ssm start-session'\n  User me\n",
    "a missing Include": b"Include nowhere/*.conf /nowhere/at/all\nHost web\n  User x\n",
    "a line of many characters": b"Host web\n  SendEnv " + b" ".join(b"V%d" % n for n in range(90)) + b"\n",
}


@pytest.mark.parametrize("inline", [False, True], ids=["include", "inline"])
@pytest.mark.parametrize("kind", NASTY)
def test_every_byte_comes_back_and_other_hosts_never_change(home: Home, kind: str, inline: bool) -> None:
    original = home.write(NASTY[kind])
    before = {host: home.says(host) for host in HOSTS}
    set_up(home, inline=inline)
    assert home.config.read_bytes().endswith(original)
    if not inline:
        assert home.config.read_bytes().count(home.line) == 1
    assert {host: home.says(host) for host in HOSTS} == before
    for host in IDS:
        assert uses_it(home, host)
    set_up(home, inline=inline)
    assert set_up(home).plan.changes == []
    uninstall(home)
    assert home.contents() == {"config": original}
    assert {host: home.says(host) for host in HOSTS} == before


_LINES = st.sampled_from(
    [
        *(b"Host web", b"Host *", b"Host !web *", b"Host i-*", b"Match all", b'Match host "db.*"', b"Match user root"),
        *(b"User a", b"  User=b", b"Port 2222", b'ProxyCommand "x y" %h', b"ProxyJump j", b"IdentityFile ~/.ssh/k"),
        *(b"Include inner", b"Include inn*", b"# c\xff\xe2\x80\xa8", b"", b"\t", b"Compression yes", b"HostName %h.x"),
    ]
)


@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    lines=st.lists(_LINES, max_size=8),
    inner=st.lists(_LINES.filter(lambda line: not line.startswith(b"Include")), max_size=5),
    end=st.sampled_from([b"\n", b"\r\n"]),
    last=st.booleans(),
    inline=st.booleans(),
)
def test_generated_configurations_come_back_too(
    *, home: Home, lines: list[bytes], inner: list[bytes], end: bytes, last: bool, inline: bool
) -> None:
    original = home.write(end.join(lines) + (end if last else b""))
    (home.place.folder / "inner").write_bytes(end.join(inner))
    (home.place.folder / "inner").chmod(0o600)
    before = {host: home.says(host) for host in HOSTS}
    set_up(home, inline=inline)
    assert {host: home.says(host) for host in HOSTS} == before
    assert uses_it(home)
    uninstall(home)
    assert home.contents() == {"config": original, "inner": end.join(inner)}


def test_thousands_of_hosts(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(effective, "MOST_HOSTS", 50)
    original = home.write("".join(f"Host h{n}.example.com a{n}\n  User u{n}\n  Port {n + 1}\n" for n in range(2000)))
    done = set_up(home)
    assert done.hosts == effective.MOST_HOSTS
    assert home.ssh.ask("a1999").value("user") == "u1999"
    uninstall(home)
    assert home.config.read_bytes() == original


@pytest.mark.parametrize("mode", [0o600, 0o400, 0o644])
def test_mode_and_links_stay(home: Home, mode: int) -> None:
    dotfiles = home.path / "dotfiles"
    dotfiles.mkdir()
    (dotfiles / "ssh").write_bytes(b"Host web\n")
    (dotfiles / "ssh").chmod(mode)
    home.config.symlink_to("../dotfiles/ssh")
    set_up(home)
    assert home.config.readlink() == Path("../dotfiles/ssh")
    assert stat.S_IMODE((dotfiles / "ssh").stat().st_mode) == mode
    assert uses_it(home)
    uninstall(home)
    assert (dotfiles / "ssh").read_bytes() == b"Host web\n"
    assert stat.S_IMODE((dotfiles / "ssh").stat().st_mode) == mode
    assert [one.name for one in dotfiles.iterdir()] == ["ssh"]


def test_an_empty_home_is_empty_again(home: Home) -> None:
    home.place.folder.rmdir()
    set_up(home)
    assert stat.S_IMODE(home.place.folder.stat().st_mode) == 0o700
    assert {stat.S_IMODE(one.stat().st_mode) for one in home.place.folder.iterdir()} == {0o600}
    assert uses_it(home)
    set_up(home, inline=True)
    uninstall(home)
    assert not home.place.folder.exists()


def test_what_the_user_added_meanwhile_stays(home: Home) -> None:
    set_up(home)
    home.write(home.config.read_bytes() + b"Host mine\n")
    uninstall(home)
    assert home.contents() == {"config": b"Host mine\n"}


@pytest.mark.parametrize(
    ("content", "mode", "reason"),
    [
        (b"\xef\xbb\xbfHost web\n", 0o600, "Bad configuration option"),
        (b"NoSuchOption yes\n", 0o600, "Bad configuration option: nosuchoption"),
        (b"Host web\n  Port many\n", 0o600, "Bad port|Bad number"),
        (b"Host web\n", 0o602, "Bad owner or permissions"),
    ],
    ids=["BOM", "unknown option", "bad value", "world-writable"],
)
def test_what_ssh_rejects_is_reported_and_left_alone(home: Home, content: bytes, mode: int, reason: str) -> None:
    home.write(content, mode)
    with pytest.raises(UsageError, match=reason):
        set_up(home)
    assert home.contents() == {"config": content}
    assert stat.S_IMODE(home.config.stat().st_mode) == mode


def test_a_group_writable_file_is_as_good_as_ssh_takes_it_for(home: Home) -> None:
    # Debian's ssh accepts one whose group is the user's alone.
    home.write(b"Host web\n", 0o620)
    if home.ssh.ask("web").status == 0:
        set_up(home)
        uninstall(home)
    else:
        with pytest.raises(UsageError, match="Bad owner or permissions"):
            set_up(home)
    assert home.contents() == {"config": b"Host web\n"}
    assert stat.S_IMODE(home.config.stat().st_mode) == 0o620


def test_what_ssh_has_come_to_reject_can_still_be_taken_away(home: Home) -> None:
    set_up(home)
    home.write(home.config.read_bytes() + b"NoSuchOption yes\n")
    uninstall(home)
    assert home.contents() == {"config": b"NoSuchOption yes\n"}


def test_a_dry_run_changes_nothing(home: Home) -> None:
    home.write(b"Host web\n")
    for inline in (False, True):
        assert set_up(home, inline=inline, dry_run=True).plan.changes
        assert home.contents() == {"config": b"Host web\n"}
    home.config.unlink()
    home.place.folder.rmdir()
    assert set_up(home, dry_run=True).plan.changes
    assert not home.place.folder.exists()


def test_an_upgrade_rewrites_our_file_alone(home: Home) -> None:
    home.write(b"Host web\n")
    set_up(home)
    before = home.config.stat()
    home.place.managed.write_bytes(home.place.managed.read_bytes().replace(b"ServerAliveCountMax 40", b"IPQoS none"))
    assert [seen.path for seen, _ in set_up(home).plan.changes] == [home.place.managed]
    assert (home.config.stat().st_ino, home.config.stat().st_mtime_ns) == (before.st_ino, before.st_mtime_ns)
    assert home.ssh.ask(IDS[0]).value("serveralivecountmax") == "40"


def test_aliases_stay_and_never_take_a_name_of_the_users(home: Home) -> None:
    home.write(b"Host web\n  User me\n")

    def with_alias(name: str) -> Callable[[Stored], Managed]:
        return lambda before: compose(home.place, before)._replace(aliases=(Alias(name, IDS[0], "ubuntu"),))

    install.set_up(home.place, home.ssh, with_alias("web-1"))
    set_up(home)
    assert home.ssh.ask("web-1").value("hostname") == IDS[0]
    with pytest.raises(StateError, match=r"would affect other hosts.*web"):
        install.set_up(home.place, home.ssh, with_alias("web"))
    assert home.ssh.ask("web").value("user") == "me"
    assert home.ssh.ask("web-1").value("hostname") == IDS[0]


def test_a_file_of_somebody_elses_making_is_not_overwritten(home: Home) -> None:
    home.place.managed.write_text("mine\n")
    with pytest.raises(UsageError, match="not made by ssm-ssh"):
        set_up(home)
    assert home.contents() == {"ssm-ssh.config": b"mine\n"}


def test_the_users_file_is_kept_as_it_was(home: Home) -> None:
    home.write(b"Host web\n")
    done = set_up(home)
    assert done.backup is not None
    set_up(home, inline=True)
    uninstall(home)
    assert done.backup.read_bytes() == b"Host web\n"
    assert stat.S_IMODE(done.backup.stat().st_mode) == 0o600


# --- an ssh that says something else --------------------------------------------------------------------------------


def lying_ssh(home: Home, script: str) -> Ssh:
    program = home.path / "lying"
    program.write_text(f'#!/bin/sh\nfor host; do :; done\n{script}\nexec {home.ssh.program} "$@"\n')
    program.chmod(0o755)
    return Ssh(str(program), home.ssh.options)


@pytest.mark.parametrize(
    "script",
    [
        # the change is as proved beside the real files, but not when ssh reads these themselves
        'if $there && [ "$2" = "$HOME/entry" ]; then set -- -F /dev/null -G "$host"; fi',
        'if $there && [ "$2" = "$HOME/entry" ]; then echo broken >&2; exit 255; fi',
    ],
    ids=["other answers", "rejection"],
)
def test_what_turns_out_otherwise_is_rolled_back(home: Home, script: str) -> None:
    home.write(b"Host web\n  User me\nHost github.com\n  User git\n", 0o640)
    there = 'if grep -q ssm-ssh.config "$HOME/.ssh/config"; then there=true; else there=false; fi\n'
    with pytest.raises(StateError, match="reverted"):
        set_up(home, ssh=lying_ssh(home, there + script))
    assert home.contents() == {"config": b"Host web\n  User me\nHost github.com\n  User git\n"}
    assert stat.S_IMODE(home.config.stat().st_mode) == 0o640


def test_a_change_that_would_touch_other_hosts_is_not_made(home: Home) -> None:
    home.write(b"Host web\n  User me\n")
    ssh = lying_ssh(home, 'case "$2:$host" in */after:web) set -- -o User=other "$@" ;; esac')
    with pytest.raises(StateError, match="web: user other"):
        set_up(home, ssh=ssh)
    assert home.contents() == {"config": b"Host web\n  User me\n"}


def test_an_edit_while_ssh_is_asked_stands(home: Home) -> None:
    home.write(b"Host web\n")
    ssh = lying_ssh(home, 'case "$2" in */after) printf "Host other\\n" >"$HOME/.ssh/config" ;; esac')
    with pytest.raises(Changed):
        set_up(home, ssh=ssh)
    assert home.contents() == {"config": b"Host other\n"}
    set_up(home)
    assert uses_it(home)


# --- what is told ----------------------------------------------------------------------------------------------------


def told(home: Home, content: str) -> str:
    home.write(content)
    return "\n".join(note.line() for note in set_up(home).notes)


def test_rules_of_the_users_are_named_with_file_and_line(home: Home) -> None:
    said = told(home, "# c\nHost i-*\n  ProxyCommand old %h\nMatch host mi-*\n  User x\nHost *\n  User y\n")
    assert "~/.ssh/config:2: 'Host i-*' also matches instances" in said
    assert "~/.ssh/config:4: 'Match host mi-*' also matches instances" in said
    assert "~/.ssh/config:6" not in said


@pytest.mark.parametrize(
    ("line", "part"),
    [
        ("ForwardAgent yes", "your agent is forwarded"),
        ("ForwardX11 yes", "X11 is forwarded"),
        ("SendEnv SECRET_*", "SendEnv sends SECRET_*"),
        ("HostKeyAlias x", "HostKeyAlias makes ssh look"),
        ("Port 2222", "another port"),
        ("RemoteCommand tmux", "RemoteCommand keeps scp"),
        ("ConnectTimeout 5", "too short"),
        ("PreferredAuthentications password", "public keys are not tried"),
        ("ControlPath ~/.ssh/one", "the same for different instances"),
    ],
)
def test_what_still_has_a_say_is_told(home: Home, line: str, part: str) -> None:
    said = told(home, f"Host web\n  Compression yes\n\nHost *\n  {line}\n")
    assert part in said
    assert "~/.ssh/config:5: " in said
    assert "Host web" not in said


def test_nothing_is_told_where_there_is_nothing(home: Home) -> None:
    assert told(home, "Host *\n  ProxyCommand nc %h %p\n  UpdateHostKeys yes\n  ControlPath ~/.ssh/%C\n") == ""


@pytest.mark.parametrize("names", ["LANG LC_*", "LANG LC_* COLORTERM NO_COLOR", "LC_CTYPE XMODIFIERS"])
def test_what_systems_send_to_every_host_is_not_told(home: Home, names: str) -> None:
    assert told(home, f"Host *\n  SendEnv {names}\n") == ""


def test_root_and_others_files_are_left_alone(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    home.write(b"Host web\n")
    uid = os.geteuid()
    monkeypatch.setattr(os, "geteuid", lambda: uid + 1)
    with pytest.raises((UsageError, StateError), match="another user"):
        set_up(home)
    assert home.contents() == {"config": b"Host web\n"}
