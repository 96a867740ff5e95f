from __future__ import annotations

import shlex
import subprocess
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from ssm_ssh.errors import UsageError
from ssm_ssh.sshconfig.alias_lookup import find_in
from ssm_ssh.sshconfig.effective import IDS, Ssh
from ssm_ssh.sshconfig.managed_file import Alias, Managed, Stored, body, proxy_command, read, render
from tests.sshconfig.home import SSH

PROGRAM = ("/opt/ü x/bin/python", "-I", "/opt/ü x/bin/ssm-ssh")
PLAIN = Managed(PROGRAM, (Path("/k e/id"), Path("/k e/id2")), Path("/k e/known_hosts"))


def ask(tmp_path: Path, managed: Managed, host: str, *options: str) -> dict[str, list[str]]:
    config = tmp_path / "config"
    config.write_text(render(managed))
    outcome = Ssh(SSH).ask(host, config, *options)
    assert outcome.status == 0, outcome.error
    values: dict[str, list[str]] = {}
    for line in outcome.output.split("\n"):
        keyword, _, value = line.partition(" ")
        values.setdefault(keyword, []).append(value)
    return values


@pytest.mark.parametrize("host", IDS)
def test_ssh_reads_what_is_meant(tmp_path: Path, host: str) -> None:
    values = ask(tmp_path, PLAIN, host)
    assert values["proxycommand"] == [f"\"{PROGRAM[0]}\" -I \"{PROGRAM[2]}\" proxy '%h' '%p' '%r'"]
    assert values["hostname"] == [host]
    assert values["identityfile"] == ["/k e/id", "/k e/id2"]
    assert values["userknownhostsfile"] == ["/k e/known_hosts"]
    assert values["globalknownhostsfile"] == ["/dev/null"]
    assert values["stricthostkeychecking"] == ["true"]
    for keyword in ("updatehostkeys", "verifyhostkeydns", "addkeystoagent", "canonicalizehostname", "checkhostip"):
        assert values[keyword] in (["false"], ["no"]), keyword


@pytest.mark.parametrize("limit", [0.0, 900.0, 3600.0])
def test_keep_alive_outlasts_the_resume_limit(tmp_path: Path, limit: float) -> None:
    values = ask(tmp_path, PLAIN._replace(resume_limit=limit), IDS[0])
    patience = int(values["serveraliveinterval"][0]) * int(values["serveralivecountmax"][0])
    assert patience > limit + 60


def test_a_user_name_with_a_quote_is_kept_from_the_shell(tmp_path: Path) -> None:
    config = tmp_path / "config"
    aliases = (Alias("web", IDS[0]), Alias("app", IDS[0], "ubuntu", "prod", "eu-west-1"))
    config.write_text(render(PLAIN._replace(aliases=aliases)))
    names = (IDS[0], "web", "app")
    pairs = [(user, name) for user in ("o'x", "x\\") for name in names]
    for user, name in (*pairs, ("x", "i-0a'b2c3d"), ("x", "i-0a2b2c3\\")):
        assert "proxycommand" not in Ssh(SSH).ask(name, config, "-l", user).output


@pytest.mark.parametrize("name", [IDS[0], "web", "app"])
@pytest.mark.parametrize("user", ["o'x", "x\\\\"])
def test_so_is_one_that_ssh_does_not_refuse_by_itself(tmp_path: Path, user: str, name: str) -> None:
    # From 9.6 on ssh refuses such a user of its command line, and none of a configuration.
    aliases = (Alias("web", IDS[0]), Alias("app", IDS[0], "", "prod", "eu-west-1"))
    config = tmp_path / "config"
    for one, expected in ((user, False), ("plain", True)):
        config.write_text(f'Host *\n  User "{one}"\n' + render(PLAIN._replace(aliases=aliases)))
        outcome = Ssh(SSH).ask(name, config)
        assert outcome.status == 0, outcome.error
        assert ("proxycommand" in outcome.output) == expected


def test_an_alias_is_an_instance_with_a_name(tmp_path: Path) -> None:
    alias = Alias("web-1", IDS[0], "ubuntu", "prod eu", "eu-west-1")
    values = ask(tmp_path, PLAIN._replace(aliases=(alias,)), "web-1")
    assert values["hostname"] == [IDS[0]]
    assert values["user"] == ["ubuntu"]
    assert values["identityfile"] == ["/k e/id", "/k e/id2"]
    words = shlex.split(values["proxycommand"][0])
    assert words == [*PROGRAM, "proxy", "--profile", "prod eu", "--region", "eu-west-1", "%h", "%p", "%r"]
    bare = ask(tmp_path, PLAIN._replace(aliases=(Alias("web-1", IDS[0]),)), "web-1")
    assert bare["proxycommand"] == ask(tmp_path, PLAIN, IDS[0])["proxycommand"]


@pytest.mark.parametrize("user", ["DOMAIN\\user", "CORP\\Anna Maier", "jürgen", "a~b"])
def test_a_user_of_a_directory_is_read_as_it_is(tmp_path: Path, user: str) -> None:
    managed = PLAIN._replace(aliases=(Alias("web", IDS[0], user, "prod"),))
    assert read(render(managed)).aliases == managed.aliases
    assert find_in(render(managed), "web") == managed.aliases[0]
    (value,) = ask(tmp_path, managed, "web")["user"]
    # ssh -G escapes what is not ASCII.
    assert value == user or not user.isascii()
    assert "ssm-ssh" in ask(tmp_path, managed, IDS[0], "-l", user)["proxycommand"][0]


def test_an_alias_takes_no_other_name(tmp_path: Path) -> None:
    managed = PLAIN._replace(aliases=(Alias("Web", IDS[0], "ubuntu", "prod", "eu-west-1"),))
    assert "proxycommand" in ask(tmp_path, managed, "Web")
    for other in ("web", "Web2", "xWeb", "Web.example.com"):
        assert "proxycommand" not in ask(tmp_path, managed, other)


def test_environment_and_suffixes_are_carried(tmp_path: Path) -> None:
    managed = PLAIN._replace(
        environment=(("XDG_DATA_HOME", "/d a"),),
        suffixes=("??-*-?",),
        options=(("ConnectTimeout", "99"),),
    )
    for host in (IDS[0], f"{IDS[0]}.eu-west-1"):
        values = ask(tmp_path, managed, host)
        assert shlex.split(values["proxycommand"][0])[:2] == ["/usr/bin/env", "XDG_DATA_HOME=/d a"]
        assert values["connecttimeout"] == ["99"]


@pytest.mark.parametrize(
    "shell", ["sh", *(pytest.param(shell, marks=pytest.mark.needs(shell)) for shell in ("bash", "zsh", "fish"))]
)
def test_the_command_means_the_same_to_every_shell(tmp_path: Path, shell: str) -> None:
    program = tmp_path / "a (strange) & ~höme; x" / "prog"
    program.parent.mkdir()
    program.write_text('#!/bin/sh\nprintf "%s\\n" "$XDG_DATA_HOME" "$@"\n')
    program.chmod(0o755)
    managed = PLAIN._replace(program=(str(program),), environment=(("XDG_DATA_HOME", "/d a"),))
    host = "i-$(id)`;"
    command = (
        proxy_command(managed, "--profile", "a b")
        .replace("%h", host)
        .replace("%r", 'r "$HOME" \\x')
        .replace("%p", "22")
    )
    said = subprocess.run(
        [shell, "-c", f"exec {command}"], capture_output=True, text=True, env={"PATH": "/bin:/usr/bin"}
    )
    assert said.stdout.split("\n") == ["/d a", "proxy", "--profile", "a b", host, "22", 'r "$HOME" \\x', ""]
    assert shlex.split(proxy_command(managed))[-3:] == ["%h", "%p", "%r"]


@pytest.mark.parametrize("bad", list("\"'$`\\%*?[#!=\n\x7f\u2028\udc80"))
def test_a_path_that_cannot_be_written_safely_is_refused(bad: str) -> None:
    for managed in (
        PLAIN._replace(program=(f"/opt/{bad}/x",)),
        PLAIN._replace(program=("/opt/x", "-I", f"/a{bad}")),
        PLAIN._replace(identity_files=(Path(f"/opt/{bad}"),)),
        PLAIN._replace(known_hosts=Path(f"/opt/{bad}")),
        PLAIN._replace(environment=(("XDG_DATA_HOME", f"/opt/{bad}"),)),
    ):
        with pytest.raises(UsageError):
            render(managed)


@pytest.mark.parametrize(
    "alias",
    [
        *(Alias(name, IDS[0]) for name in ("github.com", "web *", "-x", "", "a" * 64, "a\nHost *", "wéb")),
        Alias("web", "web.example.com"),
        *(Alias("web", IDS[0], user) for user in ("a  ", "x\ny", "'", "$(id)", "x\\")),
        *(Alias("web", IDS[0], "x", profile) for profile in ('p"q', "$(id)", "a\n", "-\\")),
        Alias("web", IDS[0], "x", "p", "r\nx"),
    ],
)
def test_an_alias_that_could_say_something_else_is_refused(alias: Alias) -> None:
    with pytest.raises(UsageError):
        render(PLAIN._replace(aliases=(alias,)))


_WORD = st.from_regex(r"[A-Za-z0-9_.@/+=,:-]{1,12}(?: [A-Za-z0-9_.@/+=,:-]{1,5})?", fullmatch=True)
_ALIASES = st.lists(
    st.builds(
        Alias,
        st.from_regex(r"[A-Za-z0-9][A-Za-z0-9_-]{0,10}", fullmatch=True),
        st.just(IDS[0]),
        st.sampled_from(["", "ubuntu", "ec2-user", "a.b@c"]),
        st.one_of(st.just(""), _WORD),
        st.sampled_from(["", "eu-west-1"]),
    ),
    max_size=4,
    unique_by=lambda alias: alias.name,
)


@example([Alias("a", IDS[0], "", "--region", "eu-west-1")], frozenset(), ())
@given(
    _ALIASES,
    st.frozensets(st.sampled_from(["folder", "config"])),
    st.sampled_from([(), ("??-*-?",)]),
)
def test_what_is_stored_is_read_back(aliases: list[Alias], made: frozenset[str], suffixes: tuple[str, ...]) -> None:
    managed = PLAIN._replace(aliases=tuple(aliases), made=made, suffixes=suffixes)
    assert read(render(managed)) == Stored(tuple(aliases), made)


@example("Host \n")
@given(st.text())
def test_whatever_the_file_holds_it_can_be_read(text: str) -> None:
    read(text)


def test_each_keyword_is_said_once_but_for_lists() -> None:
    keywords = [keyword for keyword, _ in body(PLAIN) if keyword != "IdentityFile"]
    assert len(keywords) == len(set(keywords))
