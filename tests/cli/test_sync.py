"""`ssm-ssh sync` with the real ssh, and accounts full of instances on loopback."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from ssm_ssh.cli.main import main
from ssm_ssh.locate import history
from ssm_ssh.locate.history import KnownInstance
from ssm_ssh.sshconfig import atomic_replace
from tests.fleet import Fleet, Instance, an_id, running
from tests.sshconfig.home import Home

PROD, DEV = ("AKPROD", "eu-west-1"), ("AKDEV", "us-east-1")
HOSTILE = [
    "github.com",
    "web *",
    "*",
    "!x",
    "web\nHost github.com\n  ProxyCommand touch /tmp/x",
    'we"b',
    "we'b",
    "$(touch owned)",
    "`touch owned`",
    "\x1b]0;x\x07web",
    "x" * 300,
    "-oProxyCommand=touch owned",
    an_id(77),
    "%h",
    "",
]


class Sync:
    """A home in which ssh is set up, two accounts, and what `ssm-ssh sync` says."""

    def __init__(self, home: Home, fleet: Fleet, capsys: pytest.CaptureFixture[str]) -> None:
        self.home, self.fleet, self._capsys = home, fleet, capsys

    def __call__(self, *words: str, status: int = 0) -> str:
        self._capsys.readouterr()
        found = main(["sync", *words])
        said = self._capsys.readouterr()
        assert found == status, said
        return said.out + said.err

    def aliases(self) -> dict[str, str]:
        """Each alias in our file, and the id that it stands for."""
        lines = self.home.place.managed.read_text().splitlines()
        heads = [(number, line[5:]) for number, line in enumerate(lines) if line.startswith("Host ")]
        return {name: lines[number + 1].split()[-1] for number, name in heads if "HostName" in lines[number + 1]}

    def ssh(self, host: str, *keywords: str) -> list[str]:
        outcome = self.home.ssh.ask(host)
        assert outcome.status == 0, outcome.error
        return [outcome.value(one) for one in keywords]


@pytest.fixture
def sync(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Iterator[Sync]:
    home = Home(tmp_path / "home")
    for name in [one for one in os.environ if one.startswith(("AWS_", "SSM_SSH", "XDG_"))]:
        monkeypatch.delenv(name)
    with running() as fleet:
        env = fleet.environment(home.path, {"prod": "eu-west-1", "dev": "us-east-1"})
        for name, value in {**home.env, **env, "PATH": home.env["PATH"]}.items():
            monkeypatch.setenv(name, value)
        home.write("Host mine web-mine*\n  User me\nHost *\n  ServerAliveInterval 7\n")
        assert main(["setup"]) == 0
        yield Sync(home, fleet, capsys)


def test_each_named_instance_has_an_alias(sync: Sync) -> None:
    sync.fleet.places[PROD] = [
        Instance(an_id(1), "web-1"),
        Instance(an_id(2), "db", "Amazon Linux"),
        Instance(an_id(3)),
    ]
    sync.fleet.places[DEV] = [Instance(f"mi-{4:017x}", "edge", "Debian GNU/Linux")]
    said = sync("prod", "dev")
    assert "New: db, edge, web-1\nThere are 3 aliases now." in said
    for name, instance, user, words in (
        ("web-1", an_id(1), "ubuntu", ["--profile", "prod", "--region", "eu-west-1"]),
        ("db", an_id(2), "ec2-user", ["--profile", "prod", "--region", "eu-west-1"]),
        ("edge", f"mi-{4:017x}", "admin", ["--profile", "dev", "--region", "us-east-1"]),
    ):
        hostname, who, command, strict = sync.ssh(name, "hostname", "user", "proxycommand", "stricthostkeychecking")
        assert (hostname, who, strict) == (instance, user, "true")
        assert " ".join(f'"{one}"' if not one.startswith("--") else one for one in words) in command
    assert sync.ssh("mine", "user") == ["me"]
    assert history.recall(an_id(3)) == KnownInstance(an_id(3), "prod", "eu-west-1", "ubuntu")


def test_a_second_run_writes_nothing(sync: Sync, monkeypatch: pytest.MonkeyPatch) -> None:
    sync.fleet.places[PROD] = [Instance(an_id(number), f"web-{number}") for number in range(5)]
    sync("prod")
    before = {path: path.stat() for path in sync.home.path.rglob("*") if path.is_file()}

    def never(*_: object) -> None:
        raise AssertionError

    monkeypatch.setattr(atomic_replace, "replace", never)
    assert "Nothing to do: 5 aliases, all current." in sync("prod")
    assert sync("prod", "--quiet") == ""
    after = {path: path.stat() for path in sync.home.path.rglob("*") if path.is_file()}
    assert {path: one.st_mtime_ns for path, one in before.items()} == {
        path: one.st_mtime_ns for path, one in after.items()
    }


def test_hostile_tags_take_nothing_over(sync: Sync) -> None:
    hosts = ("github.com", "web", "x", "localhost", "mine", "web-mine-1")
    before = {host: sync.home.says(host) for host in hosts}
    names = [*HOSTILE, "mine", "web-mine-1", "localhost", "good", "Twice", "twice"]
    sync.fleet.places[PROD] = [Instance(an_id(number), name) for number, name in enumerate(names)]
    said = sync("prod")
    assert {host: sync.home.says(host) for host in hosts} == before
    number = {name: number for number, name in enumerate(names)}
    assert sync.aliases() == {
        "good": an_id(number["good"]),
        f"Twice-{an_id(number['Twice'])[-8:]}": an_id(number["Twice"]),
        f"twice-{an_id(number['twice'])[-8:]}": an_id(number["twice"]),
        f"localhost-{an_id(number['localhost'])[-8:]}": an_id(number["localhost"]),
        f"mine-{an_id(number['mine'])[-8:]}": an_id(number["mine"]),
    }
    assert said.isascii()
    assert all(line.isprintable() for line in said.splitlines())
    assert f"named 'web-mine-1': 'Host mine web-mine*' in {sync.home.config}:2" in sync("prod", "--dry-run")
    assert not list(sync.home.path.rglob("owned"))
    content = sync.home.place.managed.read_text()
    assert content.isascii()
    assert "owned" not in content


def test_names_of_words_get_an_alias_and_a_line_that_says_so(sync: Sync) -> None:
    names = ["web 1 [blue]", "M\u00fcnchen", "\u6771\u4eac"]
    sync.fleet.places[PROD] = [Instance(an_id(number), name) for number, name in enumerate(names, 1)]
    said = sync("prod")
    assert sync.aliases() == {"web-1-blue": an_id(1), "Munchen": an_id(2), "instance-00000003": an_id(3)}
    assert f"The alias of {an_id(1)}, named 'web 1 [blue]', is web-1-blue: an alias has only letters" in said
    assert f"The alias of {an_id(2)}, named 'M?nchen', is Munchen" in said
    assert sync.ssh("web-1-blue", "hostname") == [an_id(1)]
    assert sync("prod", "--quiet") == ""


def test_sync_says_why_a_bare_name_is_gone(sync: Sync) -> None:
    sync.fleet.places[PROD] = [Instance(an_id(1), "web")]
    sync("prod")
    sync.fleet.places[PROD].append(Instance(an_id(2), "web"))
    line = "so there is no alias web: each ends with a part of the id (web-00000001, web-00000002)\n"
    assert sync("prod", "--quiet") == f"2 instances are named web, {line}"
    assert line in sync("prod")
    assert sync("prod", "--quiet") == ""


def test_an_instance_called_as_a_proof_would_be(sync: Sync) -> None:
    sync.fleet.places[PROD] = [Instance(an_id(1), "x")]
    sync("prod")
    assert sync.aliases() == {"x": an_id(1)}


def test_two_accounts_with_the_same_names(sync: Sync) -> None:
    sync.fleet.places[PROD] = [Instance(an_id(1), "web"), Instance(an_id(2), "db")]
    sync.fleet.places[DEV] = [Instance(an_id(11), "web")]
    sync("prod", "dev")
    assert sync.aliases() == {"db": an_id(2), "web-00000001": an_id(1), "web-0000000b": an_id(11)}
    assert '"dev"' in sync.ssh("web-0000000b", "proxycommand")[0]


def test_what_is_gone_goes_and_what_leads_elsewhere_is_told(sync: Sync) -> None:
    sync.fleet.places[PROD] = [Instance(an_id(1), "web"), Instance(an_id(2), "db")]
    sync("prod")
    sync.fleet.places[PROD] = [Instance(an_id(1), "web", state="terminated"), Instance(an_id(3), "web")]
    said = sync("prod", "--quiet")
    assert said == f"Warning: web now leads to {an_id(3)}, before to {an_id(1)}\n"
    assert sync.aliases() == {"web": an_id(3)}
    assert sync.ssh("web", "hostname") == [an_id(3)]


def test_a_place_that_cannot_be_asked_keeps_its_aliases(sync: Sync) -> None:
    sync.fleet.places[PROD] = [Instance(an_id(1), "web"), Instance(an_id(2), "db")]
    sync.fleet.places[DEV] = [Instance(an_id(11), "api"), Instance(an_id(12), "db")]
    sync("prod", "dev")
    before = sync.aliases()
    assert before == {"web": an_id(1), "db-00000002": an_id(2), "api": an_id(11), "db-0000000c": an_id(12)}
    sync.fleet.places[DEV] = [Instance(an_id(12), "db"), Instance(an_id(13), "web")]
    for operation, code in (("DescribeInstanceInformation", "InternalError"), ("DescribeInstances", "Unauthorized")):
        trouble = (403, "UnauthorizedOperation") if code == "Unauthorized" else (500, code)
        sync.fleet.answers = {operation: lambda call, trouble=trouble: trouble if call.key == "AKPROD" else None}
        said = sync("prod", "dev", status=1)
        assert "ssm-ssh: prod:" in said
        # Nobody slips into a name that is another's, who just cannot be asked.
        assert sync.aliases() == {
            "web": an_id(1),
            "db-00000002": an_id(2),
            "db-0000000c": an_id(12),
            "web-0000000d": an_id(13),
        }
    sync.fleet.answers = {}
    sync("prod", "dev")
    assert sync.aliases()["web-00000001"] == an_id(1)


@pytest.mark.parametrize(
    "words",
    [
        ["prdo"],  # a profile that does not exist
        ["expired"],  # a login that has expired
        ["prod:us-west-2"],  # a region that does not answer
        ["prdo", "dev"],
        ["expired", "prod:us-west-2"],
    ],
)
def test_what_could_not_be_asked_changes_nothing(sync: Sync, words: list[str]) -> None:
    sync.fleet.places[PROD] = [Instance(an_id(1), "web"), Instance(an_id(2), "db")]
    sync.fleet.places[DEV] = [Instance(an_id(11), "api")]
    with (sync.home.path / ".aws/config").open("a") as config:
        config.write("\n[profile expired]\nregion = eu-west-1\nsso_session = x\nsso_account_id = 123456789012\n")
        config.write("sso_role_name = r\n[sso-session x]\nsso_region = eu-west-1\nsso_start_url = https://x.invalid\n")
    sync("prod", "dev")
    before = sync.aliases()
    assert len(before) == 3
    sync.fleet.answers["DescribeInstanceInformation"] = lambda call: (
        (500, "InternalError") if call.region == "us-west-2" else None
    )
    said = sync(*words, status=1)
    assert sync.aliases() == before
    assert "Gone" not in said
    assert "Nothing to do" not in said
    assert "Not all places answered: 3 aliases, unchanged." in said
    assert "Nothing to do" not in sync(*words, "--dry-run", status=1)


def test_a_place_that_answers_lets_go_of_its_own_beside_one_that_does_not(sync: Sync) -> None:
    sync.fleet.places[PROD] = [Instance(an_id(1), "web")]
    sync.fleet.places[DEV] = [Instance(an_id(11), "api"), Instance(an_id(12), "job")]
    sync("prod", "dev")
    sync.fleet.places[DEV] = [Instance(an_id(12), "job")]
    sync("prdo", "dev", status=1)
    assert sync.aliases() == {"web": an_id(1), "job": an_id(12)}


def test_pages_that_end_half_way_change_nothing(sync: Sync) -> None:
    sync.fleet.places[PROD] = [Instance(an_id(number), f"web-{number}") for number in range(60)]
    sync("prod")
    for operation in ("DescribeInstanceInformation", "DescribeInstances"):
        sync.fleet.answers = {
            operation: lambda call: (400, "ThrottlingException") if "NextToken" in call.payload else None
        }
        if operation == "DescribeInstances":
            sync.fleet.answers = {operation: lambda _: (503, "RequestLimitExceeded")}
        sync("prod", status=1)
        assert len(sync.aliases()) == 60


def test_only_what_is_chosen(sync: Sync, monkeypatch: pytest.MonkeyPatch) -> None:
    sync.fleet.places[PROD] = [
        Instance(an_id(1), "web", tags={"Env": "prod"}),
        Instance(an_id(2), "db", tags={"Env": "test"}),
    ]
    sync.fleet.places[DEV] = [Instance(an_id(11), "api", tags={"Env": "prod"})]
    sync("prod", "dev", "--tag", "Env=prod")
    assert set(sync.aliases()) == {"web", "api"}
    sync("--profile", "prod")
    assert set(sync.aliases()) == {"web", "db"}
    monkeypatch.setenv("SSM_SSH_SYNC", "prod dev")
    monkeypatch.setenv("SSM_SSH_SYNC_TAGS", "Env=test")
    sync()
    assert set(sync.aliases()) == {"db"}
    sync("--tag", "Env", "--user", "alice")
    assert set(sync.aliases()) == {"web", "db", "api"}
    assert sync.ssh("web", "user") == ["alice"]
    assert "There would be 0 aliases." in sync("prod:ap-south-1", "--dry-run")
    assert set(sync.aliases()) == {"web", "db", "api"}
    sync("prod:ap-south-1")
    assert sync.aliases() == {}


def test_changed_aliases_are_listed(sync: Sync) -> None:
    sync.fleet.places[PROD] = [Instance(an_id(1), "web-1"), Instance(an_id(2), "db")]
    sync("prod")
    changed = "Changed: db (user ubuntu -> bob), web-1 (user ubuntu -> bob)\n"
    assert f"{changed}There would be 2 aliases.\n" in sync("prod", "--dry-run", "--user", "bob")
    assert f"{changed}There are 2 aliases now.\n" in sync("prod", "--user", "bob")
    assert "Changed" not in sync("prod", "--user", "bob")
    sync.fleet.places[DEV] = sync.fleet.places.pop(PROD)
    said = sync("dev", "--user", "bob")
    assert "web-1 (profile prod -> dev, region eu-west-1 -> us-east-1)" in said


def test_keys_of_the_environment_have_no_profile_to_write_down(sync: Sync, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKPROD")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    monkeypatch.setenv("AWS_REGION", "eu-west-1")
    sync.fleet.places[PROD] = [Instance(an_id(1), "web")]
    sync()
    assert "--profile" not in sync.ssh("web", "proxycommand")[0]
    assert '--region "eu-west-1"' in sync.ssh("web", "proxycommand")[0]
    assert history.recall_all() == []


def test_where_ssh_is_not_set_up(sync: Sync) -> None:
    assert main(["setup", "--remove"]) == 0
    assert "Run: ssm-ssh setup" in sync("prod", status=2)
    assert not sync.home.place.managed.exists()


def test_two_thousand_instances_in_one_write(sync: Sync, monkeypatch: pytest.MonkeyPatch) -> None:
    sync.fleet.places[PROD] = [Instance(an_id(number), f"web-{number}") for number in range(2000)]
    writes = []
    real = atomic_replace.replace

    def counted(*arguments: object) -> object:
        writes.append(arguments)
        return real(*arguments)

    monkeypatch.setattr("ssm_ssh.sshconfig.install.replace", counted)
    assert "There are 2000 aliases now." in sync("prod")
    assert len(writes) == 1
    assert len(sync.aliases()) == 2000
    assert sync.ssh("web-1234", "hostname", "user") == [an_id(1234), "ubuntu"]
    sync("prod")
    assert len(writes) == 1


def test_the_whole_program_from_cron(sync: Sync) -> None:
    """No terminal, hardly a PATH, no LANG: what cron gives."""
    sync.fleet.places[PROD] = [Instance(an_id(1), "web")]
    env = {name: os.environ[name] for name in ("HOME", "SSM_SSH_LAB", "AWS_ENDPOINT_URL", "AWS_MAX_ATTEMPTS")}
    env |= {"PATH": f"{sync.home.path / 'bin'}:/usr/bin:/bin", "SSM_SSH_SYNC": "prod"}
    command = sync.home.command("sync", "--quiet")
    for _ in range(2):
        done = subprocess.run(
            command, env=env, stdin=subprocess.DEVNULL, capture_output=True, timeout=120, start_new_session=True
        )
        assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")
    assert sync.aliases() == {"web": an_id(1)}


def test_the_line_for_cron_names_the_program_in_full(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["sync", "--help"])
    assert "\n  17 * * * * $HOME/.local/bin/ssm-ssh sync --quiet\n" in capsys.readouterr().out
