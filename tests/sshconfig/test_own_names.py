"""The user's own names for instances, and sections of the user's that include our file."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from ssm_ssh.cli.main import main
from ssm_ssh.sshconfig import install, own_names
from ssm_ssh.sshconfig.desired import compose
from ssm_ssh.sshconfig.effective import IDS
from ssm_ssh.sshconfig.install import Done
from ssm_ssh.sshconfig.parser import scan
from tests.sshconfig.home import Home

OTHER = "i-0fedcba9876543210"


def set_up(home: Home, *, inline: bool | None = None, limit: float = 900.0) -> Done:
    return install.set_up(
        home.place,
        home.ssh,
        lambda before: compose(home.place, before)._replace(resume_limit=limit),
        inline=inline,
    )


def uses_it(home: Home, *hosts: str) -> list[bool]:
    return ["ssm-ssh" in home.ssh.ask(host).value("proxycommand") for host in hosts]


@pytest.mark.parametrize("inline", [False, True], ids=["include", "inline"])
def test_a_name_of_the_users_works_at_once_and_every_byte_stays(home: Home, inline: bool) -> None:
    original = home.write(
        f"Host web app\n  HostName {IDS[0]}\n  User ubuntu\n  LocalForward 8080 localhost:80\n"
        f"Host {OTHER[2:]}\n  HostName i-%h\nHost db\n  User x\nHost d*\n  HostName {IDS[1]}\n"
        f"Match host m1 user me\n  HostName {IDS[1]}\nHost *\n  ServerAliveInterval 7\n  User me\n"
    )
    before = {host: home.says(host) for host in ("github.com", "other", "webapp")}
    done = set_up(home, inline=inline)
    assert done.names == (OTHER[2:], "app", "db", "web")
    assert home.config.read_bytes().endswith(original)
    assert uses_it(home, "web", "app", "db", OTHER[2:], "github.com", "dx") == [True] * 4 + [False] * 2
    web = home.ssh.ask("web")
    assert (web.value("hostname"), web.value("user"), web.values("localforward")) == (
        IDS[0],
        "ubuntu",
        ["8080 [localhost]:80"],
    )
    assert web.value("stricthostkeychecking") == "true"
    assert web.values("identityfile") == home.ssh.ask(IDS[0]).values("identityfile")
    assert {host: home.says(host) for host in before} == before
    assert set_up(home).plan.changes == []
    set_up(home, limit=60.0)
    assert home.ssh.ask("web").value("serveralivecountmax") == "12"
    set_up(home, inline=not inline)
    assert uses_it(home, "web") == [True]
    install.uninstall(home.place, home.ssh)
    assert home.contents() == {"config": original}


def test_a_name_follows_its_section(home: Home) -> None:
    """The rules name the host, and never the instance: a stale one would be another machine."""
    home.write(f"Host web\n  HostName {IDS[0]}\n")
    set_up(home)
    home.write(home.config.read_bytes().replace(IDS[0].encode(), OTHER.encode()))
    assert (home.ssh.ask("web").value("hostname"), uses_it(home, "web")) == (OTHER, [True])
    home.write(home.config.read_bytes().replace(OTHER.encode(), b"web.example.com"))
    said = home.run("status", expect=None)
    assert "'web' no longer stands for an instance" in said
    assert set_up(home).names == ()
    assert uses_it(home, "web") == [False]


@pytest.mark.parametrize("line", ["ProxyJump bastion", "ProxyCommand nc %h %p"])
def test_a_host_with_a_proxy_of_its_own_keeps_it(home: Home, line: str) -> None:
    home.write(f"Host web\n  HostName {IDS[0]}\nHost web two\n  {line}\nHost two\n  HostName {IDS[0]}\n")
    before = [home.says(host) for host in ("web", "two")]
    done = set_up(home)
    assert done.names == ()
    assert [home.says(host) for host in ("web", "two")] == before
    (note, _) = done.notes
    assert "it has a proxy of its own" in note.line()


def test_letters_decide_what_a_name_is(home: Home) -> None:
    # ssh compares Match without regard to case, Host with it.
    home.write(f"Host web\n  HostName {IDS[0]}\nHost WEB\n  HostName %h.example.com\nHost Db\n  HostName {IDS[0]}\n")
    assert set_up(home).names == ("Db",)
    assert uses_it(home, "web", "WEB", "Db") == [False, False, True]


def test_files_within_files(home: Home) -> None:
    inner, innermost = home.place.folder / "inner", home.place.folder / "innermost"
    inner.write_text(f'Host web\n  Include "{innermost}"\n')
    innermost.write_text(f"HostName {IDS[0]}\n")
    for file in (inner, innermost):
        file.chmod(0o600)
    home.write(f'Include "{inner}"\n')
    assert set_up(home).names == ("web",)
    assert uses_it(home, "web") == [True]


@pytest.mark.parametrize("inline", [False, True], ids=["include", "inline"])
@pytest.mark.parametrize("spelling", ["~/.ssh/ssm-ssh.config", "ssm-ssh.config", '"{}"'])
def test_a_section_that_includes_our_file_is_in_no_ones_way(home: Home, spelling: str, inline: bool) -> None:
    """What setup advised in its first version: it refused every later change."""
    word = spelling.format(home.place.managed)
    original = home.write(
        f"Host web\n  HostName {IDS[0]}\n  Include {word}\nHost w-*\n  HostName {IDS[1]}\n  Include {word}\n"
        f"Match host jump\n  HostName {IDS[0]}\n  ProxyJump web\n  Include {word}\nHost *\n  Port 2200\n"
    )
    home.run("setup", "--inline" if inline else "--no-inline")
    assert uses_by_program(home, "web") == uses_by_program(home, "w-1") == [True]
    jump = home.ssh.ask("jump").value("proxyjump")
    assert jump == "web"
    (home.path / ".config" / "ssm-ssh").mkdir(parents=True, exist_ok=True)
    (home.path / ".config" / "ssm-ssh" / "config.toml").write_text("resume_limit = 60\n")
    for words in (["setup"], ["setup", "--inline"], ["setup"], ["setup", "--no-inline"]):
        home.run(*words)
        assert uses_by_program(home, "web") == [True]
    home.run("setup", "--remove")
    assert home.contents() == {"config": original}
    assert uses_by_program(home, "web") == [False]


def uses_by_program(home: Home, host: str) -> list[bool]:
    """As ssh itself is started by the user, with HOME, by which it finds relative Includes."""
    done = subprocess.run(
        [home.path / "bin" / "ssh", "-G", host], env=home.env, capture_output=True, text=True, check=True, timeout=60
    )
    return ["ssm-ssh" in done.stdout]


def test_an_include_for_every_host_proves_nothing_away(home: Home) -> None:
    home.write("Host *\n  Include ~/.ssh/ssm-ssh.config\nHost web\n  User me\n")
    done = set_up(home)
    assert done.hosts > 5
    install.uninstall(home.place, home.ssh)
    assert home.contents() == {"config": b"Host *\n  Include ~/.ssh/ssm-ssh.config\nHost web\n  User me\n"}


def test_what_cannot_be_adopted_comes_with_advice_that_works(home: Home) -> None:
    content = f"Host web-*\n  HostName {IDS[0]}\n  User ubuntu\n"
    for inline in (False, True):
        home.write(content)
        (note,) = set_up(home, inline=inline).notes
        assert f": 'Host web-*' stands for {IDS[0]}, but ssm-ssh's rules do not apply to it" in note.line()
        path = note.advice.partition(": Include ")[2].partition(". Then run: ssm-ssh setup")[0]
        assert path == "~/.ssh/ssm-ssh.config"
        home.write(home.config.read_bytes() + b"  " + home.line + b"\nHost other\n")
        assert set_up(home).notes == []
        assert uses_it(home, "web-1", "other") == [True, False]
        assert home.ssh.ask("web-1").value("hostname") == IDS[0]
        install.uninstall(home.place, home.ssh)


def test_setup_says_which_names_it_takes(
    home: Home, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", home.env["PATH"])
    home.write("".join(f"Host w{number:02}\n  HostName {IDS[0]}\n" for number in range(12)))
    assert main(["setup", "--dry-run"]) == 0
    line = "Your own names for instances go through ssm-ssh too: w00, w01, w02, w03, w04, w05, w06, w07, w08, w09 and 2"
    assert line in capsys.readouterr().out


def test_candidates_are_names_and_not_patterns(home: Home) -> None:
    home.write(
        f"HostName {IDS[0]}\nHost a !b c* {IDS[1]}\n  HostName {IDS[0]}\nHost d\n  HostName %h.x\n  User u\n"
        f"Match originalhost e,f exec true\n  HostName={IDS[0]}\nHost g\n  HostName g.example.com\n"
    )
    directives = scan(home.place.config, home.place.folder)
    names = [candidate.name for candidate in own_names.candidates(home.place, directives, ())]
    assert names == ["a", "d", "e", "f"]


def test_an_old_installation_is_upgraded_in_place(home: Home) -> None:
    original = home.write("# mine\nHost web\n  User me\n")
    set_up(home)
    managed = home.place.managed.read_text()
    old = "\n".join(line for line in managed.split("\n") if "??" not in line or line.startswith("Match"))
    alias = (
        f'Host app\n  HostName {IDS[0]}\n  User ubuntu\n\nMatch originalhost "app" host "{IDS[0]}" user "*"\n'
        "  ProxyCommand \"/x/ssm-ssh\" proxy --profile \"prod\" --region \"eu-west-1\" '%h' '%p' '%r'\n\n"
    )
    home.place.managed.write_text(old.replace("Match host", alias + "Match host", 1))
    line = f'Include "{home.place.managed}"\n'.encode()
    home.write(line + original)
    assert uses_it(home, IDS[0], "app") == [True, True]
    before = {host: home.says(host) for host in (IDS[0], "web", "github.com")}
    set_up(home)
    assert home.config.read_bytes() == home.line + b"\n" + original
    assert "host i-????????" in home.place.managed.read_text()
    assert home.ssh.ask("app").value("user") == "ubuntu"
    assert '--profile "prod" --region "eu-west-1"' in home.ssh.ask("app").value("proxycommand")
    assert {host: home.says(host) for host in before} == before
    install.uninstall(home.place, home.ssh)
    assert home.contents() == {"config": original}


def test_an_old_installation_can_be_removed_as_it_is(home: Home) -> None:
    original = home.write(b"Host web\r\n  User me")
    set_up(home)
    home.write(f'Include "{home.place.managed}"\r\n'.encode() + original)
    install.uninstall(home.place, home.ssh)
    assert home.contents() == {"config": original}


def test_a_plain_home_needs_no_quotes(tmp_path: Path) -> None:
    home = Home(tmp_path / "home")
    set_up(home)
    assert home.config.read_bytes() == f"Include {home.place.managed}\n".encode()
    assert uses_it(home, IDS[0]) == [True]
