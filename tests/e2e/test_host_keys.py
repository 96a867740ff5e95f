# Over 350 lines: one lab with real sshd serves every case of a changed or unknown key.
"""Host keys with the real ssh, the real sshd, and all that can be said of them by a console and by send-command."""

from __future__ import annotations

import os
import re
import subprocess
import tempfile
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from ssm_ssh.aws.api.client import Api
from ssm_ssh.aws.config.settings import load
from ssm_ssh.lab import InstanceOptions, Lab, LabInstance, LabOptions
from tests.e2e.world import without_waiting

pytestmark = pytest.mark.e2e

PLAIN = (
    *("first", "cost", "swapped", "rebuilt", "unlike", "slow", "throttled", "kmsg", "separators", "block"),
    *("denied", "required", "ended", "confirmed", "refreshed", "away", "control", "forbidden"),
    *("lax-no", "lax-accept-new", "lax-ask", "lesser", "greater", "alias"),
)
OPTIONS = LabOptions(
    instances=(
        *(InstanceOptions(name=name) for name in PLAIN),
        InstanceOptions(name="port", ssh_port=2222),
        InstanceOptions(name="silent", console=False),
        InstanceOptions(name="quiet", console=False),
        *(
            InstanceOptions(name=name, hybrid=True, users=("admin",), eic=False)
            for name in ("node", "moved", "pushless", "least")
        ),
    ),
    pacing=False,
)
CHANGED = "REMOTE HOST IDENTIFICATION HAS CHANGED"


class Here:
    """A lab, and what ssh and ssm-ssh do in it."""

    def __init__(self, lab: Lab) -> None:
        self.lab = lab
        self.data = Path(lab.env["XDG_DATA_HOME"]) / "ssm-ssh"

    def instance(self, name: str) -> LabInstance:
        return next(one for one in self.lab.instances if one.name == name)

    def run(self, *command: str, identity: str = "", **env: str) -> subprocess.CompletedProcess[str]:
        whole = {**(self.lab.env_for(identity) if identity else self.lab.env), **env}
        return subprocess.run(command, env=whole, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=120)

    def ssh(self, one: LabInstance, *options: str, identity: str = "", **env: str) -> subprocess.CompletedProcess[str]:
        return self.run("ssh", *options, one.destination, "echo", "in", identity=identity, **env)

    def ssm_ssh(self, *words: str, expect: int = 0) -> str:
        done = self.run("ssm-ssh", "host-keys", *words)
        assert done.returncode == expect, done
        return done.stdout + done.stderr

    def known(self, name: str) -> list[str]:
        """The keys in our file under `name`."""
        path = self.data / "known_hosts"
        lines = path.read_text().splitlines() if path.exists() else []
        assert len(lines) == len(set(lines))
        return [" ".join(line.split()[1:3]) for line in lines if name in line.split()[0].split(",")]

    def keys(self, one: LabInstance) -> list[str]:
        return sorted(self.lab.host_keys(one.instance_id))

    def calls(self, one: LabInstance) -> Counter[str]:
        """How often AWS was asked for the keys of an instance, by operation."""
        found = Counter()
        for call in self.lab.calls():
            about = call["parameters"].get("InstanceId") or (call["parameters"].get("InstanceIds") or [""])[0]
            if about == one.instance_id and call["operation"] in ("GetConsoleOutput", "SendCommand"):
                found[call["operation"]] += 1
        return found

    def let_in(self, one: LabInstance) -> None:
        """Put our public key into the first user's home, where nothing pushes it."""
        home = Path(one.homes[one.users[0]])
        keys = home / ".ssh" / "authorized_keys"
        keys.write_text("".join(path.read_text() for path in self.data.glob("id_*.pub")))
        os.chown(keys, home.stat().st_uid, home.stat().st_gid)


@pytest.fixture(scope="module")
def here() -> Iterator[Here]:
    with tempfile.TemporaryDirectory(prefix="e2e-") as base, Lab(OPTIONS, base=Path(base)) as lab:
        yield Here(lab)
        assert lab.log_text() == ""


@pytest.fixture(autouse=True)
def no_faults(here: Here) -> Iterator[None]:
    yield
    here.lab.clear_faults()


# --- the first connection ---------------------------------------------------------------------------------------------


def test_the_console_confirms_a_first_key_silently(here: Here) -> None:
    one = here.instance("first")
    done = here.ssh(one)
    assert (done.returncode, done.stdout, without_waiting(done.stderr)) == (0, "in\n", "")
    assert sorted(here.known(one.instance_id)) == here.keys(one)
    assert here.calls(one) == {"GetConsoleOutput": 1}


def test_a_known_key_costs_no_call(here: Here) -> None:
    one = here.instance("cost")
    assert here.ssh(one).returncode == 0
    before = here.calls(one)
    for _ in range(2):
        assert here.ssh(one).stdout == "in\n"
    assert here.calls(one) == before


def test_another_port_is_another_name(here: Here) -> None:
    one = here.instance("port")
    done = here.ssh(one, "-p", "2222")
    assert (done.stdout, without_waiting(done.stderr)) == ("in\n", "")
    assert sorted(here.known(f"[{one.instance_id}]:2222")) == here.keys(one)


def test_a_host_key_alias_finds_the_key(here: Here) -> None:
    """ssh looks for the alias alone, and passes no token that names it."""
    one = here.instance("alias")
    for option in ("-oHostKeyAlias=my-web", "-oHostKeyAlias other", "-ohostkeyalias=my-web"):
        done = here.ssh(one, option)
        assert (done.returncode, done.stdout) == (0, "in\n"), done.stderr
    lab_config = next(Path(here.lab.env["HOME"]).parent.rglob("ssh_config"))
    own = lab_config.with_name("own_config")
    own.write_text(f"Host {one.instance_id}\n  HostKeyAlias third\n" + lab_config.read_text())
    done = here.ssh(one, "-F", str(own))
    assert (done.returncode, done.stdout) == (0, "in\n"), done.stderr


def test_send_command_confirms_the_key_of_a_managed_node(here: Here) -> None:
    one = here.instance("node")
    here.ssh(here.instance("first"))
    here.let_in(one)
    done = here.ssh(one, SSM_SSH_PUSH="auto")
    assert (done.returncode, done.stdout) == (0, "in\n"), done
    assert sorted(here.known(one.instance_id)) == here.keys(one)
    assert here.calls(one)["SendCommand"] >= 1
    assert here.calls(one)["GetConsoleOutput"] == 0


def test_send_command_confirms_where_the_console_is_silent(here: Here) -> None:
    one = here.instance("silent")
    done = here.ssh(one)
    assert (done.stdout, without_waiting(done.stderr)) == ("in\n", "")
    assert sorted(here.known(one.instance_id)) == here.keys(one)
    assert here.calls(one) == {"GetConsoleOutput": 2, "SendCommand": 1}


@pytest.mark.parametrize("push", ["eic", "none"])
def test_no_command_is_sent_where_the_way_of_the_key_forbids_it(here: Here, push: str) -> None:
    one = here.instance("pushless" if push == "none" else "quiet")
    here.ssh(here.instance("first"))
    here.let_in(one)
    done = here.ssh(one, SSM_SSH_PUSH=push)
    assert done.stdout == "in\n", done
    assert "recorded unverified" in done.stderr
    assert here.calls(one)["SendCommand"] == 0


def test_a_key_that_the_console_does_not_show_is_refused_in_words(here: Here) -> None:
    one = here.instance("unlike")
    here.lab.fault("swap_host_key", instance_id=one.instance_id)
    done = here.ssh(one)
    assert done.returncode == 255
    assert "differs from that of the console: the connection may be intercepted" in done.stderr
    assert f"ssm-ssh host-keys accept {one.instance_id}" in done.stderr
    assert here.known(one.instance_id) == []
    assert here.calls(one) == {"GetConsoleOutput": 1}


def test_a_slow_push_and_a_slow_console_do_not_end_sshs_patience(here: Here) -> None:
    one = here.instance("slow")
    here.lab.fault("api", operation="SendSSHPublicKey", code="", delay=3.0)
    here.lab.fault("api", operation="GetConsoleOutput", code="", delay=3.0)
    done = here.ssh(one, "-oConnectTimeout=2")
    assert (done.returncode, done.stdout) == (0, "in\n"), done


def test_a_push_that_is_denied_is_said_after_the_banner_too(here: Here) -> None:
    one = here.instance("slow")
    here.lab.fault("api", operation="SendSSHPublicKey", code="", delay=2.0)
    done = here.ssh(one, "-v", identity="no-eic")
    assert done.returncode == 255
    assert "Remote protocol version 2.0, remote software version " in done.stderr
    assert "ec2-instance-connect:SendSSHPublicKey" in done.stderr


def test_a_document_of_fewer_rights_lets_in_and_confirms(here: Here) -> None:
    """Who may run docs/push-document.json and nothing else gets in, and the server's key is verified all the same."""
    one = here.instance("least")
    own = {"identity": "own-document", "SSM_SSH_PUSH_DOCUMENT": "SsmSsh-PushKey"}
    api = Api(load(env=here.lab.env))
    before = here.ssh(one, **own)
    assert "Document with name SsmSsh-PushKey does not exist" in before.stderr
    content = (Path(__file__).parents[2] / "docs" / "push-document.json").read_text()
    api.call(
        "ssm",
        "CreateDocument",
        {"Name": "SsmSsh-PushKey", "DocumentType": "Command", "DocumentFormat": "JSON", "Content": content},
    )
    done = here.ssh(one, SSM_SSH_HOST_KEYS="require", **own)
    assert (done.returncode, done.stdout, without_waiting(done.stderr)) == (0, "in\n", "")
    assert sorted(here.known(one.instance_id)) == here.keys(one)
    here.lab.fault("swap_host_key", instance_id=one.instance_id)
    again = here.ssh(one, **own)
    assert again.stdout == "in\n", again
    assert "confirmed by send-command" in again.stderr
    documents = {
        call["parameters"]["DocumentName"]
        for call in here.lab.calls()
        if call["operation"] == "SendCommand" and one.instance_id in call["parameters"]["InstanceIds"]
    }
    assert documents == {"SsmSsh-PushKey"}
    shown = here.run("ssm-ssh", "host-keys", "refresh", one.instance_id, **own)
    assert shown.returncode == 0, shown


# --- nobody may be asked ----------------------------------------------------------------------------------------------


def test_a_first_key_that_nothing_may_confirm_is_recorded_and_said(here: Here) -> None:
    one = here.instance("denied")
    done = here.ssh(one, identity="no-hostkeys")
    assert done.stdout == "in\n", done
    assert "recorded unverified, on first use" in done.stderr
    assert "ec2:GetConsoleOutput" in done.stderr
    assert "ssm:SendCommand" in done.stderr
    (known,) = here.known(one.instance_id)
    assert known in here.keys(one)
    again = here.ssh(one, identity="no-hostkeys")
    assert (again.stdout, without_waiting(again.stderr)) == ("in\n", "")


def test_required_verification_refuses_it(here: Here) -> None:
    one = here.instance("required")
    done = here.ssh(one, identity="no-hostkeys", SSM_SSH_HOST_KEYS="require")
    assert done.returncode == 255
    assert "no source may confirm it" in done.stderr
    assert here.known(one.instance_id) == []
    assert here.ssh(one, SSM_SSH_HOST_KEYS="require").stdout == "in\n"


def test_a_policy_that_is_none_is_said(here: Here) -> None:
    done = here.ssh(here.instance("required"), SSM_SSH_HOST_KEYS="hope")
    assert done.returncode == 255
    assert "hope" in done.stderr


@pytest.mark.parametrize("fault", ["throttled", "away"])
def test_what_cannot_be_asked_just_now_is_no_reason_to_trust(here: Here, fault: str) -> None:
    one = here.instance(fault)
    if fault == "throttled":
        here.lab.fault("throttle", operation="GetConsoleOutput", count=0)
    else:
        here.lab.fault("api", operation="GetConsoleOutput", code="InternalError", status=500, count=0)
    done = here.ssh(one, identity="no-commands")
    assert done.returncode == 255
    assert "could not be verified" in done.stderr
    assert "Try again" in done.stderr
    assert here.known(one.instance_id) == []
    here.lab.clear_faults()
    assert here.ssh(one, identity="no-commands").stdout == "in\n"


# --- a console that somebody has written to ---------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["kmsg", "separators", "block"])
def test_what_a_user_writes_to_the_console_is_never_trusted(here: Here, kind: str) -> None:
    one = here.instance(kind)
    forged = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIIw1MQn/EXWyVTPWg8wJKV6prVGpptXcMueOo6oGB+Pv"
    here.lab.fault("forge_console", instance_id=one.instance_id, kind=kind, host_keys=[forged])
    done = here.ssh(one)
    assert (done.stdout, without_waiting(done.stderr)) == ("in\n", "")
    assert sorted(here.known(one.instance_id)) == here.keys(one)
    # A whole block beside cloud-init's own: the console counts for nothing then, and the agent is asked.
    assert here.calls(one)["SendCommand"] == (1 if kind == "block" else 0)


# --- another key than the one known -----------------------------------------------------------------------------------


def test_a_man_in_the_middle_gets_sshs_own_warning_until_a_person_accepts(here: Here) -> None:
    one = here.instance("swapped")
    assert here.ssh(one).stdout == "in\n"
    before = here.known(one.instance_id)
    here.lab.fault("swap_host_key", instance_id=one.instance_id)
    for _ in range(2):
        done = here.ssh(one)
        assert done.returncode == 255
        assert CHANGED in done.stderr
        assert "in" not in done.stdout
        assert f"ssm-ssh host-keys accept {one.instance_id}" in done.stderr
        assert here.known(one.instance_id) == before
    shown = here.ssm_ssh(one.instance_id)
    assert "not trusted" in shown
    here.ssm_ssh("accept", one.instance_id, "SHA256:wrong", expect=1)
    assert here.known(one.instance_id) == before
    assert "accepted" in here.ssm_ssh("accept", one.instance_id)
    done = here.ssh(one)
    assert (done.stdout, without_waiting(done.stderr)) == ("in\n", "")


@pytest.mark.parametrize("check", ["no", "accept-new", "ask"])
def test_whoever_tells_ssh_not_to_check_gets_no_further(here: Here, check: str) -> None:
    one = here.instance(f"lax-{check}")
    assert here.ssh(one).stdout == "in\n"
    here.lab.fault("swap_host_key", instance_id=one.instance_id)
    for options in ((), ("-oUserKnownHostsFile=/dev/null",)):
        done = here.ssh(one, f"-oStrictHostKeyChecking={check}", "-oBatchMode=yes", *options)
        assert (done.returncode, done.stdout) == (255, ""), done
        assert "differs from that of the console: the connection may be intercepted" in done.stderr


def test_a_refused_key_is_not_let_in_by_who_may_ask_less(here: Here) -> None:
    one = here.instance("lesser")
    here.lab.fault("swap_host_key", instance_id=one.instance_id)
    assert "the connection may be intercepted" in here.ssh(one).stderr
    done = here.ssh(one, identity="no-hostkeys")
    assert done.returncode == 255
    assert "was refused before" in done.stderr
    (refused,) = [line for line in done.stderr.replace("\n", " ").split() if line.startswith("SHA256:")][-1:]
    here.ssm_ssh("accept", one.instance_id, refused.rstrip("."))
    assert here.ssh(one, identity="no-hostkeys").stdout == "in\n"


def test_what_was_recorded_unverified_is_verified_when_that_is_possible(here: Here) -> None:
    one = here.instance("greater")
    assert "recorded unverified" in here.ssh(one, identity="no-hostkeys").stderr
    done = here.ssh(one, identity="no-hostkeys", SSM_SSH_HOST_KEYS="require")
    assert "was recorded unverified, and nothing confirms it" in done.stderr
    path = here.data / "known_hosts"
    path.write_text(re.sub(r"unverified, [\d-]+", "unverified, 2026-01-01", path.read_text()))  # on another day
    assert here.ssh(one).stdout == "in\n"
    assert here.calls(one)["GetConsoleOutput"] == 3
    assert "unverified" not in here.ssm_ssh(one.instance_id)


def test_the_warning_is_shown_on_a_shared_connection_too(here: Here) -> None:
    one = here.instance("control")
    assert here.ssh(one).stdout == "in\n"
    here.lab.fault("swap_host_key", instance_id=one.instance_id)
    path = here.lab.folder / "tmp" / "c"
    done = here.ssh(one, "-oControlMaster=auto", "-oControlPersist=5", f"-oControlPath={path}")
    assert done.returncode == 255
    assert CHANGED in done.stderr


def test_a_machine_that_was_rebuilt_is_accepted_and_said(here: Here) -> None:
    one = here.instance("rebuilt")
    assert here.ssh(one).stdout == "in\n"
    before = here.known(one.instance_id)
    here.lab.fault("swap_host_key", instance_id=one.instance_id, console=True)
    done = here.ssh(one)
    assert done.stdout == "in\n", done
    assert "is new, and confirmed by the console and send-command" in done.stderr
    assert CHANGED not in done.stderr
    assert sorted(here.known(one.instance_id)) == here.keys(one)
    assert not set(before) & set(here.known(one.instance_id))
    again = here.ssh(one)
    assert (again.stdout, without_waiting(again.stderr)) == ("in\n", "")


def test_a_rebuilt_machine_is_confirmed_by_the_source_that_may_be_asked(here: Here) -> None:
    one = here.instance("confirmed")
    assert here.ssh(one).stdout == "in\n"
    here.lab.fault("swap_host_key", instance_id=one.instance_id, console=True)
    done = here.ssh(one, identity="no-commands")
    assert done.stdout == "in\n", done
    assert "confirmed by the console:" in done.stderr


def test_a_managed_node_that_was_rebuilt_is_confirmed_by_send_command(here: Here) -> None:
    one = here.instance("moved")
    here.ssh(here.instance("first"))
    here.let_in(one)
    assert here.ssh(one).stdout == "in\n"
    here.lab.fault("swap_host_key", instance_id=one.instance_id)
    done = here.ssh(one)
    assert done.stdout == "in\n", done
    assert "confirmed by send-command" in done.stderr


def test_a_changed_key_that_cannot_be_looked_up_now_is_refused(here: Here) -> None:
    one = here.instance("ended")
    assert here.ssh(one).stdout == "in\n"
    before = here.known(one.instance_id)
    here.lab.fault("swap_host_key", instance_id=one.instance_id, console=True)
    here.lab.fault("api", operation="SendCommand", code="InternalServerError", status=500, count=0)
    done = here.ssh(one)
    assert done.returncode == 255
    assert "Try again" in done.stderr
    assert here.known(one.instance_id) == before


def test_nobody_who_trusts_anything_gets_a_changed_key_when_verification_is_required(here: Here) -> None:
    one = here.instance("forbidden")
    assert here.ssh(one).stdout == "in\n"
    here.lab.fault("swap_host_key", instance_id=one.instance_id)
    done = here.ssh(one, "-oStrictHostKeyChecking=no", SSM_SSH_HOST_KEYS="require")
    assert done.returncode == 255
    assert "differs from that of the console" in done.stderr


# --- by hand ----------------------------------------------------------------------------------------------------------


def test_keys_are_shown_as_ssh_keygen_does_refreshed_and_removed(here: Here) -> None:
    one = here.instance("refreshed")
    assert "No host key" in here.ssm_ssh(one.instance_id)
    here.ssm_ssh("refresh", one.instance_id)
    shown = here.ssm_ssh(one.instance_id)
    listed = here.run("ssh-keygen", "-lf", str(here.data / "known_hosts")).stdout
    for line in listed.splitlines():
        if one.instance_id in line:
            assert line in shown
    assert shown.count(one.instance_id) == 2
    before = here.calls(one)
    assert here.ssh(one).stdout == "in\n"
    assert here.calls(one) == before
    here.lab.fault("swap_host_key", instance_id=one.instance_id)
    here.ssm_ssh("refresh", one.instance_id, expect=1)
    assert "2 host keys" in here.ssm_ssh("remove", one.instance_id)
    assert here.known(one.instance_id) == []


def test_pruning_forgets_what_is_no_more(here: Here) -> None:
    first = here.instance("first").instance_id
    assert here.ssh(here.instance("first")).stdout == "in\n"
    ghost, of_others = "i-00000000000000000", "i-00000000000000001"
    with (here.data / "known_hosts").open("r+") as file:
        entry = next(line for line in file.read().splitlines() if line.startswith(first)).partition(" ")[2]
        file.write(f"{ghost} {entry}\n{of_others} {entry}0\n")
    said = here.ssm_ssh("prune")
    assert said == f"{ghost} no longer exists: its host keys are removed\n"
    assert here.known(ghost) == []
    assert here.known(of_others)
    assert here.known(here.instance("first").instance_id)


# --- a crowd ----------------------------------------------------------------------------------------------------------


@pytest.mark.timeout(400)
def test_a_hundred_first_connections_at_once() -> None:
    instances = tuple(InstanceOptions(name=f"n{number}") for number in range(6))
    with (
        tempfile.TemporaryDirectory(prefix="e2e-") as base,
        Lab(LabOptions(instances=instances), base=Path(base)) as lab,
    ):
        here = Here(lab)
        some = [lab.instances[0 if number < 50 else number % 6] for number in range(100)]
        started = [
            subprocess.Popen(
                ["ssh", one.destination, f"echo {number}"],
                env=lab.env,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
            )
            for number, one in enumerate(some)
        ]
        ended = [process.communicate(timeout=300) for process in started]
        answers = [(stdout, without_waiting(stderr)) for stdout, stderr in ended]
        assert answers == [(f"{number}\n", "") for number in range(100)]
        for one in lab.instances:
            assert sorted(here.known(one.instance_id)) == here.keys(one)
            # Whoever asks first asks for all.
            assert here.calls(one)["GetConsoleOutput"] == 1  # on a busy machine Run Command may push keys, too


@pytest.mark.needs("ssh-copy-id")
def test_ssh_copy_id_copies_a_key_when_forced(here: Here, tmp_path: Path) -> None:
    """It first tries to log in, which succeeds by ssm-ssh's own key, and takes that for the key to copy."""
    one = here.instance("alias")
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", tmp_path / "mine"], check=True, timeout=60)
    copy = here.run("ssh-copy-id", "-i", str(tmp_path / "mine.pub"), one.destination)
    assert "already exist on the remote system" in copy.stderr
    forced = here.run("ssh-copy-id", "-f", "-i", str(tmp_path / "mine.pub"), one.destination)
    assert forced.returncode == 0, forced.stderr
    assert "Number of key(s) added: 1" in forced.stdout
    kept = here.run("ssh", one.destination, "cat .ssh/authorized_keys")
    assert (tmp_path / "mine.pub").read_text().split()[1] in kept.stdout
