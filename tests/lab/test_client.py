"""A whole lab: its files, its remote control, and that nothing of it is left."""

from __future__ import annotations

import json
import os
import signal
import socket
import stat
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from ssm_ssh.errors import StateError, UsageError
from ssm_ssh.lab import InstanceOptions, Lab, LabOptions
from tests.processes import command_line

SMALL = LabOptions(instances=1, sshd="embedded")


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    base = tmp_path_factory.mktemp("b")
    with Lab(LabOptions(instances=3, sshd="embedded"), base=base) as lab:
        yield lab


def processes_of(folder: Path) -> list[int]:
    """The processes that have the lab's folder in their environment (Linux; elsewhere: none is found)."""
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            if os.fsencode(folder) in (entry / "environ").read_bytes():
                found.append(int(entry.name))
        except OSError:
            continue
    return found


def until(done: Callable[[], bool]) -> None:
    """Wait for what must come; the test's own time limit bounds the wait."""
    while not done():
        time.sleep(0.01)


def aws(lab: Lab, *words: str, identity: str = "admin") -> subprocess.CompletedProcess[str]:
    code = (
        "import sys, json, botocore.session\n"
        "c = botocore.session.Session().create_client(sys.argv[1])\n"
        "a = getattr(c, sys.argv[2])(**json.loads(sys.argv[3]))\n"
        "c.close()\n"
        "a.pop('ResponseMetadata')\n"
        "print(json.dumps(a, default=str))\n"
    )
    return subprocess.run(
        [sys.executable, "-c", code, *words], env=lab.env_for(identity), capture_output=True, text=True, timeout=60
    )


def test_the_folder_is_private_and_so_is_all_in_it(lab: Lab) -> None:
    assert stat.S_IMODE(lab.folder.stat().st_mode) == 0o700
    for path in (lab.ssh_config, lab.known_hosts, lab.env_file, lab.ca_file):
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE((lab.folder / "home").stat().st_mode) == 0o700


def test_the_environment_leads_into_the_lab_and_nowhere_else(lab: Lab) -> None:
    for name in ("HOME", "XDG_CONFIG_HOME", "XDG_DATA_HOME", "XDG_STATE_HOME", "XDG_CACHE_HOME", "XDG_RUNTIME_DIR"):
        assert lab.env[name].startswith(str(lab.folder))
    assert lab.env["PATH"].startswith(str(lab.folder / "bin") + os.pathsep)
    assert lab.env["AWS_EC2_METADATA_DISABLED"] == "true"
    assert lab.env["AWS_ENDPOINT_URL_SSMMESSAGES"] == lab.gateway_url
    urls = {value for key, value in lab.env.items() if key.startswith("AWS_ENDPOINT_URL")}
    assert urls >= {lab.api_url, lab.gateway_url}
    assert all(url.startswith("https://127.0.0.1:") for url in urls)
    assert "SSL_CERT_FILE" not in lab.env
    assert "AWS_PROFILE" not in lab.env


def test_a_shell_can_source_it(lab: Lab) -> None:
    done = subprocess.run(
        ["sh", "-c", '. "$0"; echo "$AWS_ACCESS_KEY_ID $HOME ${AWS_PROFILE-none}"; command -v ssh', lab.env_file],
        env={"PATH": os.environ["PATH"], "AWS_PROFILE": "real"},
        capture_output=True,
        text=True,
        check=True,
    )
    home = lab.env["HOME"]
    assert done.stdout == f"{lab.env['AWS_ACCESS_KEY_ID']} {home} none\n{lab.folder}/bin/ssh\n"


def test_real_clients_reach_it_with_the_environment_alone(lab: Lab) -> None:
    answer = json.loads(aws(lab, "sts", "get_caller_identity", "{}").stdout)
    assert answer["Account"] == lab.account
    listed = json.loads(aws(lab, "ssm", "describe_instance_information", "{}").stdout)
    assert {one["InstanceId"] for one in listed["InstanceInformationList"]} == {
        one.instance_id for one in lab.instances
    }


def test_every_identity_has_a_profile(lab: Lab) -> None:
    environment = {
        key: value for key, value in lab.env.items() if key not in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY")
    }
    code = (
        "import sys, botocore.session as b\n"
        "for name in sys.argv[1:]:\n"
        "    print(b.Session(profile=name).get_credentials().access_key)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, *lab.identities], env=environment, capture_output=True, text=True, check=True
    )
    assert done.stdout.split() == [one["AccessKeyId"] for one in lab.identities.values()]


def test_restricted_identities_are_restricted(lab: Lab) -> None:
    start = json.dumps({"Target": lab.instances[0].instance_id, "DocumentName": "AWS-StartSSHSession"})
    assert "AccessDenied" in aws(lab, "ssm", "start_session", start, identity="no-start").stderr
    assert "ExpiredToken" in aws(lab, "ssm", "start_session", start, identity="expired").stderr
    assert "StreamUrl" in aws(lab, "ssm", "start_session", start, identity="temporary").stdout


def test_calls_and_sessions_are_to_be_seen(lab: Lab) -> None:
    values = {"Target": lab.instances[1].instance_id, "DocumentName": "AWS-StartSSHSession"}
    session_id = json.loads(aws(lab, "ssm", "start_session", json.dumps(values)).stdout)["SessionId"]
    call = lab.calls("StartSession")[-1]
    assert call["parameters"] == values
    assert call["access_key"] == lab.env["AWS_ACCESS_KEY_ID"]
    assert 0 < call["arrived"] <= call["time"]
    assert lab.sessions()[-1]["SessionId"] == session_id
    assert lab.sessions()[-1]["ended_by"] is None
    aws(lab, "ssm", "terminate_session", json.dumps({"SessionId": session_id}))
    until(lambda: lab.sessions()[-1]["Status"] == "Terminated")
    assert lab.sessions()[-1]["ended_by"] == "api"


def test_ssh_asks_ssm_ssh_for_host_keys_and_nothing_of_the_users(lab: Lab) -> None:
    one = lab.instances[0]
    done = subprocess.run(
        ["ssh", "-G", one.destination], env=lab.env, capture_output=True, text=True, check=True, timeout=30
    )
    said = dict(line.split(" ", 1) for line in done.stdout.splitlines() if " " in line)
    assert said["userknownhostsfile"].startswith(lab.env["XDG_DATA_HOME"])
    assert said["stricthostkeychecking"] == "true"
    assert said["identityfile"].startswith(lab.env["XDG_DATA_HOME"])
    assert said["globalknownhostsfile"] == "/dev/null"
    assert "proxy" in said["proxycommand"]
    lines = lab.known_hosts.read_text().splitlines()
    assert f"{one.instance_id} {one.host_keys[0]}" in lines
    assert list(one.host_keys) == lab.host_keys(one.instance_id)


def test_faults_are_set_and_cleared(lab: Lab) -> None:
    lab.fault("throttle", count=0)
    assert [one["name"] for one in lab.faults()] == ["api"]
    assert "Throttling" in aws(lab, "ssm", "describe_instance_information", "{}").stderr
    lab.clear_faults()
    assert lab.faults() == []
    with pytest.raises(UsageError, match="is not a fault"):
        lab.fault("nonsense")
    with pytest.raises(UsageError):
        lab.fault("cut", colour="red")


def test_an_agent_can_be_killed_and_started_again(lab: Lab) -> None:
    target = lab.instances[2].instance_id
    lab.fault("kill_agent", instance_id=target)
    until(lambda: target not in lab.online())
    start = json.dumps({"Target": target, "DocumentName": "AWS-StartSSHSession"})
    assert f"{target} is not connected." in aws(lab, "ssm", "start_session", start).stderr
    lab.fault("start_agent", instance_id=target)
    until(lambda: target in lab.online())


def test_an_instance_without_power_is_stopped(lab: Lab) -> None:
    target = lab.instances[1].instance_id
    lab.fault("kill_instance", instance_id=target)
    until(lambda: target not in lab.online())
    described = aws(lab, "ec2", "describe_instances", json.dumps({"InstanceIds": [target]})).stdout
    assert '"Name": "stopped"' in described
    lab.clear_faults()
    until(lambda: target in lab.online())
    assert '"Name": "running"' in aws(lab, "ec2", "describe_instances", json.dumps({"InstanceIds": [target]})).stdout


def test_a_host_key_can_be_swapped(lab: Lab) -> None:
    one = lab.instances[1]
    lab.fault("swap_host_key", instance_id=one.instance_id)
    assert set(lab.host_keys(one.instance_id)).isdisjoint(one.host_keys)
    assert one.host_keys[0] in lab.known_hosts.read_text()


def test_tags_can_be_changed(lab: Lab) -> None:
    target = lab.instances[0].instance_id
    lab.set_tags(target, {"Name": "github.com"})
    assert "github.com" in aws(lab, "ec2", "describe_instances", json.dumps({"InstanceIds": [target]})).stdout


def test_what_the_control_does_not_understand(lab: Lab) -> None:
    with pytest.raises(UsageError, match="does not understand"):
        lab._control("nonsense")
    with pytest.raises(UsageError, match="does not understand"):
        lab._control("set_tags", colour="red")
    assert len(lab.online()) == 3


def test_nothing_is_written_on_standard_error_unless_something_breaks(lab: Lab) -> None:
    assert lab.log_text() == ""


def test_nothing_is_left(tmp_path: Path) -> None:
    with Lab(SMALL, base=tmp_path) as lab:
        folder, urls = lab.folder, (lab.api_url, lab.gateway_url)
        if sys.platform == "linux":
            assert len(processes_of(folder)) >= 2
    assert not lab.running
    assert list(tmp_path.iterdir()) == []
    assert processes_of(folder) == []
    for url in urls:
        with socket.socket() as sock:
            assert sock.connect_ex(("127.0.0.1", urlsplit(url).port or 0)) != 0
    lab.stop()
    with pytest.raises(StateError, match="does not answer"):
        lab.calls()


def test_a_long_path_is_fine(tmp_path: Path) -> None:
    base = tmp_path / ("long" * 30)
    with Lab(SMALL, base=base) as lab:
        assert lab.online()
    assert list(base.iterdir()) == []


def test_what_a_command_leaves_on_an_instance_goes_too(tmp_path: Path) -> None:
    with Lab(SMALL, base=tmp_path) as lab:
        script = "echo $$ > pid.new; mv pid.new pid; exec setsid sh -c 'sleep 600 & echo $! > child; wait'"
        home = Path(lab.instances[0].homes["ec2-user"])
        values = {
            "InstanceIds": [lab.instances[0].instance_id],
            "DocumentName": "AWS-RunShellScript",
            "Parameters": {"commands": [f"cd '{home}'", script]},
        }
        assert aws(lab, "ssm", "send_command", json.dumps(values)).returncode == 0
        until(lambda: (home / "child").exists() and (home / "child").read_text().endswith("\n"))
        child = (home / "child").read_text().strip()
    alive = command_line(child)
    if sys.platform == "linux":
        assert "sleep" not in alive
    assert not home.exists()


_HOLDER = """
import sys
from pathlib import Path
from ssm_ssh.lab import Lab, LabOptions
lab = Lab(LabOptions(instances=1, sshd="embedded"), base=Path(sys.argv[1]))
lab.start()
print(lab.folder, flush=True)
sys.stdin.read()
"""


def test_the_lab_goes_when_its_parent_is_killed(tmp_path: Path) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", _HOLDER, str(tmp_path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as holder:
        assert holder.stdout is not None
        folder = Path(holder.stdout.readline().strip())
        assert folder.parent == tmp_path
        holder.send_signal(signal.SIGKILL)
        holder.wait()
        until(lambda: not folder.exists() and processes_of(folder) == [])
    assert list(tmp_path.iterdir()) == []


def test_the_instances_go_when_the_server_is_killed(tmp_path: Path) -> None:
    with Lab(SMALL, base=tmp_path) as lab:
        folder = lab.folder
        assert lab._process is not None
        lab._process.kill()
        lab.wait()
        until(lambda: processes_of(folder) == [])
    assert list(tmp_path.iterdir()) == []


def test_the_server_goes_when_the_instances_are_killed(tmp_path: Path) -> None:
    with Lab(SMALL, base=tmp_path) as lab:
        assert lab._process is not None
        for pid in processes_of(lab.folder):
            if pid != lab._process.pid:
                os.kill(pid, signal.SIGKILL)
        if sys.platform == "linux":
            lab.wait()
            assert not lab.running
    assert list(tmp_path.iterdir()) == []


def test_a_lab_that_cannot_start_leaves_nothing(tmp_path: Path) -> None:
    lab = Lab(LabOptions(instances=1, sshd="embedded", faults={"nonsense": {}}), base=tmp_path)
    with pytest.raises(StateError, match="is not a fault"):
        lab.start()
    assert list(tmp_path.iterdir()) == []
    assert not lab.running


@pytest.mark.parametrize(
    "options",
    [
        LabOptions(instances=0),
        LabOptions(instances=100_000),
        LabOptions(sshd="telnet"),
    ],
)
def test_options_that_cannot_be(tmp_path: Path, options: LabOptions) -> None:
    with pytest.raises(UsageError), Lab(options, base=tmp_path):
        pass
    assert list(tmp_path.iterdir()) == []


def test_the_control_answers_many_threads(lab: Lab) -> None:
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda _: lab.online(), range(50)))
    assert all(one == answers[0] for one in answers)


def test_instances_are_as_they_were_asked_for(tmp_path: Path) -> None:
    options = LabOptions(
        instances=(
            InstanceOptions(name="a", instance_id="i-0123456789abcdef0", users=("alice", "bob"), ssh_port=2222),
            InstanceOptions(name="b", instance_id="mi-0123456789abcdef0", hybrid=True, connected=False),
        ),
        sshd="embedded",
        region="us-west-2",
    )
    with Lab(options, base=tmp_path) as lab:
        first, second = lab.instances
        assert (first.destination, first.ssh_port, first.hybrid) == ("alice@i-0123456789abcdef0", 2222, False)
        assert second.hybrid
        assert lab.online() == [first.instance_id]
        assert lab.env["SSM_SSH_LAB_INSTANCE"] == first.instance_id
        assert "SSM_SSH_LAB_MANAGED" not in lab.env
        assert lab.env["AWS_REGION"] == "us-west-2"
        assert f"{first.instance_id},[{first.instance_id}]:2222 {first.host_keys[0]}" in lab.known_hosts.read_text()
