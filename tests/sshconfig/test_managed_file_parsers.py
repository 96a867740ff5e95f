"""What others make of our rules: ssh itself, and parsers that know Match, ignore it, or refuse it."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Callable, Iterable
from pathlib import Path

import paramiko
import pytest

from ssm_ssh.sshconfig import include
from ssm_ssh.sshconfig.effective import IDS, STANDARD, Ssh
from ssm_ssh.sshconfig.managed_file import Alias, Managed, render
from tests.sshconfig.home import SSH

MANAGED = Managed(
    ("/opt/python", "-I", "/opt/ssm-ssh"),
    (Path("/k/id"),),
    Path("/k/known_hosts"),
    suffixes=("*-*-?", "prod"),
    aliases=(Alias("web-1", IDS[0], "ubuntu", "prod", "eu-west-1"), Alias("db", IDS[1])),
    names=("mine", "box.example.com"),
)
USERS_OWN = "User global\nHost theirs\n  User me\n  Port 2200\nHost *\n  ServerAliveInterval 7\n  Port 2222\n"
OURS = (*IDS, f"{IDS[0]}.eu-west-1", f"{IDS[2]}.prod", "mine", "box.example.com")
OTHERS = (*STANDARD, "theirs", "user", "i-0a1b2c3g", "i-0a1b2c3d4", f"{IDS[0]}.internal", "xi-0a1b2c3d", "web", "minex")
# To JSch an exclusion is an inclusion, so that these cannot be told from ids.
LOOK_ALIKE = {"i-internal", "i-0a1b2c3g"}


def inline(managed: Managed = MANAGED, rest: str = USERS_OWN) -> str:
    line = include.include_line("/h/.ssh/ssm-ssh.config")
    return include.put_block(rest.encode(), render(managed).encode(), line).decode()


def without_match(text: str) -> str:
    """The same to a parser that takes Match for an option that it does not know."""
    return re.sub(r"^Match .*\n", "", text, flags=re.MULTILINE)


def proxied(text: str, hosts: Iterable[str], folder: Path) -> set[str]:
    """Those of `hosts` that ssh would reach through ssm-ssh under the configuration `text`."""
    file = folder / "config"
    file.write_text(text)
    outcomes = Ssh(SSH).ask_all(hosts, file)
    assert all(outcome.status == 0 for outcome in outcomes.values()), outcomes
    return {host for host, outcome in outcomes.items() if "ssm-ssh" in outcome.value("proxycommand")}


@pytest.mark.parametrize("text", [render(MANAGED), inline()], ids=["include", "inline"])
def test_a_parser_that_ignores_match_keeps_our_lines_to_our_hosts(tmp_path: Path, text: str) -> None:
    assert proxied(without_match(text), (*OURS, *OTHERS), tmp_path) == set(OURS)


@pytest.mark.parametrize("text", [render(MANAGED), inline()], ids=["include", "inline"])
def test_each_match_follows_a_host_line_with_its_patterns(text: str) -> None:
    lines = [line for line in text.split("\n") if line]
    for number, line in enumerate(lines):
        if line.startswith("Match "):
            alias = re.search(r'originalhost "([^"]*)"', line)
            hosts = alias or re.match(r'Match host "([^"]*)"', line)
            assert hosts is not None
            keyword, *patterns = lines[number - 1].replace('"', "").split()
            assert keyword.lower() == "host"
            assert patterns == hosts[1].split(",")


@pytest.mark.parametrize("user", ["", "ec2-user", "DOMAIN\\user", "o'x", "x\\", "a b", "$(id)", "root"])
@pytest.mark.parametrize("form", [render, inline], ids=["include", "inline"])
def test_the_lines_for_others_change_nothing_for_ssh(tmp_path: Path, form: Callable[[Managed], str], user: str) -> None:
    text = form(MANAGED)
    before = re.sub(r"^[Hh]ost .*\n(?=[Hh]ost |Match )", "", text, flags=re.MULTILINE)
    assert before.count("\n") < text.count("\n")
    (tmp_path / "before").write_text(before)
    (tmp_path / "after").write_text(text)
    options = ("-l", user) if user else ()
    for host in (*OURS, *OTHERS, "web-1", "db", "WEB-1", "I-0A1B2C3D", "i-0a'b2c3d", "i-0a1b2c\\", "theirs"):
        old, new = (Ssh(SSH).ask(host, tmp_path / name, *options) for name in ("before", "after"))
        assert (new.status, new.output, new.error) == (old.status, old.output, old.error)


def test_paramiko_of_today_takes_ids_and_aliases(tmp_path: Path) -> None:
    (tmp_path / "config").write_text(inline())
    config = paramiko.SSHConfig.from_path(str(tmp_path / "config"))
    for host in (*OURS, "web-1", "db"):
        found = config.lookup(host)
        assert "ssm-ssh" in found["proxycommand"]
        assert found["identityfile"] == ["/k/id"]
    assert config.lookup("web-1")["hostname"] == IDS[0]
    for host in OTHERS:
        assert "proxycommand" not in config.lookup(host)
    assert config.lookup("theirs")["user"] == "global"


# --- programs that are installed for this alone (tests/long parsers) --------------------------------------------------

_PARAMIKO = """
import importlib.util, json, sys
spec = importlib.util.spec_from_file_location("config", sys.argv[1])
module = importlib.util.module_from_spec(spec)
spec.loader.exec_module(module)
config = module.SSHConfig()
config.parse(open(sys.argv[2]))
for host in sys.argv[3:]:
    if "ssm-ssh" in config.lookup(host).get("proxycommand", ""):
        print(host)
"""


@pytest.mark.long
def test_paramiko_2_6_keeps_our_lines_to_our_hosts(tmp_path: Path) -> None:
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--quiet", "install", "--no-deps"]
    subprocess.run([*pip, "--target", str(tmp_path / "old"), "paramiko==2.6.0"], check=True, timeout=300)
    (tmp_path / "config").write_text(inline())
    file = tmp_path / "old" / "paramiko" / "config.py"
    command = [sys.executable, "-W", "ignore", "-c", _PARAMIKO, str(file), str(tmp_path / "config"), *OURS, *OTHERS]
    done = subprocess.run(command, check=True, capture_output=True, text=True, timeout=60)
    assert set(done.stdout.split()) == set(OURS)


_JSCH = """
import com.jcraft.jsch.*;
class Ask {
    public static void main(String[] words) throws Exception {
        OpenSSHConfig config = OpenSSHConfig.parseFile(words[0]);
        for (int i = 1; i < words.length; i++) {
            ConfigRepository.Config found = config.getConfig(words[i]);
            System.out.println(words[i] + " " + found.getValue("UserKnownHostsFile") + " " + found.getUser()
                + " " + found.getPort());
        }
    }
}
"""


@pytest.mark.long
@pytest.mark.needs("java", "jsch.jar")
def test_jsch_keeps_our_lines_to_our_hosts_and_names_of_that_form(tmp_path: Path) -> None:
    (tmp_path / "config").write_text(inline())
    (tmp_path / "Ask.java").write_text(_JSCH)
    command = ["java", "-cp", "/usr/share/java/jsch.jar", str(tmp_path / "Ask.java"), str(tmp_path / "config")]
    done = subprocess.run([*command, *OURS, *OTHERS], check=True, capture_output=True, text=True, timeout=120)
    answers = {host: rest for host, *rest in map(str.split, done.stdout.splitlines())}
    assert {host for host, rest in answers.items() if "/k/known_hosts" in rest[0]} == {*OURS, *LOOK_ALIKE}
    # What the user says for every host and for one of them goes on to count.
    assert answers["theirs"][1:] == ["global", "2200"]
    assert answers["github.com"][1:] == ["global", "2222"]


_GO = """
package main
import ("fmt"; "os"; "github.com/kevinburke/ssh_config")
func main() {
    file, _ := os.Open(os.Args[1])
    config, err := ssh_config.Decode(file)
    if err != nil { fmt.Println(err); os.Exit(1) }
    for _, host := range os.Args[2:] {
        value, _ := config.Get(host, "UserKnownHostsFile")
        fmt.Println(host, value)
    }
}
"""


@pytest.mark.long
@pytest.mark.needs("go", "kevinburke-ssh-config")
def test_kevinburkes_parser_refuses_a_file_with_match(tmp_path: Path) -> None:
    """It is go-git's; docs/troubleshooting.md names it. From 1.5 on it reads the file, and gives ids nothing."""
    (tmp_path / "ask.go").write_text(_GO)
    env = {"PATH": "/usr/bin:/bin", "HOME": str(tmp_path), "GO111MODULE": "off", "GOPATH": "/usr/share/gocode"}
    for text, status in ((inline(), 1), (USERS_OWN, 0)):
        (tmp_path / "config").write_text(text)
        command = ["go", "run", str(tmp_path / "ask.go"), str(tmp_path / "config"), *OURS, *OTHERS]
        done = subprocess.run(command, env=env, capture_output=True, text=True, timeout=300)
        assert done.returncode == status, done.stderr
        assert ("Match directive parsing is unsupported" in done.stdout) == (status == 1)
