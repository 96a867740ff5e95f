"""`ssm-ssh exec` against the lab: each case on both of its ways, and sessions that end before the command does."""

from __future__ import annotations

import hashlib
import os
import pty
import shutil
import signal
import subprocess
import tempfile
import termios
from collections.abc import Iterator
from pathlib import Path

import pytest

from ssm_ssh.aws.api.client import Api
from ssm_ssh.aws.config.settings import load
from ssm_ssh.aws.services.sessions import terminate_session
from ssm_ssh.lab import InstanceOptions, Lab, LabInstance, LabOptions
from tests.e2e.policies import documented
from tests.e2e.world import Done, World, read_until, until

pytestmark = pytest.mark.e2e

POLICY = documented("A policy for commands")
NON_INTERACTIVE = "AWS-StartNonInteractiveCommand"
OLD = "3.1.1374.0"
# A file of all byte values that everybody may read.
PROGRAM = "/bin/ls"
NASTY = ("a'b", '"q"', "$HOME", "`id`", "{{.Names}}", "{{ssm:x}}", "x\ny\n", "\\", "*", "", "-n", "é")


@pytest.fixture(scope="module")
def both() -> Iterator[World]:
    """A lab with an agent of today, and one that cannot keep the streams apart."""
    options = LabOptions(
        instances=(
            InstanceOptions(name="web"),
            InstanceOptions(name="db", agent_version=OLD),
            InstanceOptions(name="edge", hybrid=True, eic=False),
            InstanceOptions(name="off", connected=False),
        ),
        policies={"commands": POLICY},
        parameters={"x": "resolved"},
        pacing=False,
    )
    with tempfile.TemporaryDirectory(prefix="e2e-") as base, Lab(options, base=Path(base)) as lab:
        world = World(lab)
        yield world
        world.close()
        assert lab.log_text() == ""


@pytest.fixture(params=["apart", "framed"])
def there(both: World, request: pytest.FixtureRequest) -> LabInstance:
    """An instance on which commands run on this way."""
    return both.lab.instances[["apart", "framed"].index(request.param)]


def run(world: World, instance: LabInstance, *words: str, options: tuple[str, ...] = (), stdin: bytes = b"") -> Done:
    return world.run(
        "ssm-ssh",
        "exec",
        *options,
        instance.instance_id,
        "--",
        *words,
        env=world.env_of("commands"),
        stdin=stdin,
        expect=None,
    )


def documents(world: World) -> dict[str, str]:
    """The document of each session so far, by the session's id."""
    return {one["SessionId"]: one["Document"] for one in world.lab.sessions()}


def test_streams_and_status_are_the_commands_own(both: World, there: LabInstance) -> None:
    done = run(both, there, "sh", "-c", "echo out; echo err >&2; exit 3")
    assert (done.status, done.stdout, done.stderr) == (3, b"out\n", "err\n")


@pytest.mark.parametrize(("words", "status"), [(("true",), 0), (("no-such-program",), 127)])
def test_a_status_is_that_of_a_shell(both: World, there: LabInstance, words: tuple[str, ...], status: int) -> None:
    assert run(both, there, *words).status == status


def test_a_signal_that_kills_the_command_shows_in_the_status(both: World, there: LabInstance) -> None:
    done = run(both, there, "sh", "-c", "kill -KILL $$")
    assert (done.status, done.stdout, done.stderr) == (137, b"", "")


def test_arguments_arrive_as_they_are_written(both: World, there: LabInstance) -> None:
    words = (*NASTY, "x'" * 15000)
    assert run(both, there, "printf", "[%s]\\n", *words).text == "".join(f"[{word}]\n" for word in words)


def test_every_byte_of_both_streams_arrives(both: World, there: LabInstance) -> None:
    script = 'for i in 1 2 3; do cat "$0"; cat "$0" >&2; done'
    running = both.start("ssm-ssh", "exec", there.instance_id, "sh", "-c", script, PROGRAM)
    out, err = running.process.communicate(timeout=60)
    assert running.process.returncode == 0
    wanted = hashlib.sha256(Path(PROGRAM).read_bytes() * 3).digest()
    assert [hashlib.sha256(data).digest() for data in (out, err)] == [wanted, wanted]


def test_input_arrives_with_its_end(both: World, there: LabInstance) -> None:
    data = bytes(range(256)) * 200
    done = run(both, there, "cat", options=("-i",), stdin=data)
    assert (done.status, done.stdout, done.stderr) == (0, data, "")


def test_without_i_stdin_is_left_to_the_caller(both: World, there: LabInstance) -> None:
    script = f"ssm-ssh exec {there.instance_id} cat; cat"
    done = both.run("sh", "-c", script, stdin=b"mine\n")
    assert done.stdout == b"mine\n"


def test_directory_variable_and_user_are_those_that_are_asked_for(both: World, there: LabInstance) -> None:
    done = run(both, there, "sh", "-c", "pwd; echo $A", options=("-w", "/", "-e", "A=b c"))
    assert (done.status, done.text) == (0, "/\nb c\n")
    refused = run(both, there, "echo", "no", options=("-w", "/no/such/place"))
    assert refused.status == 255
    assert refused.stdout == b""
    assert "has not run the command" in refused.stderr


def test_output_that_cannot_be_written_is_an_error(both: World, there: LabInstance) -> None:
    words = f"ssm-ssh exec {there.instance_id} sh -c 'echo x; exit 3' >/dev/full"
    done = both.run("sh", "-c", words, expect=None)
    assert done.status == 254
    assert "stdout cannot be written: No space left on device" in done.stderr


def test_a_line_for_a_shell_is_explained_and_a_path_is_the_commands_own(both: World, there: LabInstance) -> None:
    done = run(both, there, "echo a | cat")
    assert done.status == 127
    assert "sh -c 'echo a | cat'" in done.stderr
    folder = "/usr/bin" if Path("/usr/bin/env").exists() else "/bin"
    done = run(both, there, "env", options=("-e", f"PATH={folder}", "-e", "A=b c"))
    assert {f"PATH={folder}", "A=b c"} <= set(done.text.splitlines())
    done = run(both, there, "no-such-program", options=("-e", "PATH=/no/such/folder"))
    assert done.status == 127
    assert "no-such-program: not found" in done.stderr


def test_a_terminal_is_the_commands_own_and_the_status_too(both: World) -> None:
    done = run(both, both.lab.instances[0], "sh", "-c", "test -t 0 && test -t 1 && echo yes; exit 4", options=("-t",))
    assert (done.status, done.stdout, done.stderr) == (4, b"yes\r\n", "")


def test_every_key_goes_to_a_command_with_a_terminal(both: World) -> None:
    ours, theirs = pty.openpty()
    program = shutil.which("ssm-ssh", path=both.env["PATH"])
    assert program is not None
    words = ("sh", "-c", "stty -echo; echo ready; read x; echo +$x+; exit 6")
    command = [program, "exec", "-it", both.lab.instances[0].instance_id, *words]
    with os.fdopen(ours, "r+b", buffering=0) as terminal:
        process = subprocess.Popen(command, env=both.env, stdin=theirs, stdout=theirs, stderr=theirs)
        read_until(terminal, b"ready\r\n")
        terminal.write(b"typed\r")
        read_until(terminal, b"+typed+")
        assert process.wait(60) == 6
        assert termios.tcgetattr(theirs)[3] & termios.ICANON, "the terminal is as before"
        os.close(theirs)


def test_old_agents_run_a_command_once_and_on_the_other_way(both: World) -> None:
    before = documents(both)
    assert run(both, both.lab.instances[1], "echo", "once").text == "once\n"
    made = [name for session, name in documents(both).items() if session not in before]
    assert sorted(made) == ["AWS-StartInteractiveCommand", NON_INTERACTIVE]
    assert run(both, both.lab.instances[0], "true").status == 0


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_ends_the_command_there_too(both: World, there: LabInstance, number: int) -> None:
    running = both.start("ssm-ssh", "exec", there.instance_id, "sh", "-c", "echo $$ ready; exec sleep 300")
    pid = int(read_until(running.stdout, b" ready\n").split()[0])
    running.process.send_signal(number)
    assert running.process.wait(30) > 128
    until(lambda: not Path(f"/proc/{pid}").exists(), "the end of the command")


def test_a_lost_connection_is_restored_and_loses_nothing(both: World, there: LabInstance) -> None:
    running = both.start("ssm-ssh", "exec", there.instance_id, "sh", "-c", "echo ready; sleep 2; seq 1 2000; exit 5")
    read_until(running.stdout, b"ready\n")
    both.lab.fault("cut", side="client")
    rest = running.stdout.read()
    assert running.process.wait(60) == 5
    assert rest == b"".join(b"%d\n" % n for n in range(1, 2001))


def test_a_session_that_is_ended_from_outside_leaves_the_result_unknown(both: World, there: LabInstance) -> None:
    running = both.start("ssm-ssh", "exec", there.instance_id, "sh", "-c", "echo ready; exec sleep 60")
    read_until(running.stdout, b"ready\n")
    over = {"Terminated", "Terminating", "Failed"}
    running_sessions = [
        one for one in both.lab.sessions() if one["Target"] == there.instance_id and one["Status"] not in over
    ]
    session = running_sessions[-1]["SessionId"]
    assert len(running_sessions) == 1
    terminate_session(Api(load(env=both.env)), session)
    done = running.finish()
    assert done.status == 254
    assert "is unknown" in done.stderr


def test_what_fails_before_the_command_runs_is_255(both: World) -> None:
    done = both.run("ssm-ssh", "exec", "i-00000000000000000", "true", expect=None)
    assert done.status == 255
    assert done.stderr.startswith("ssm-ssh: ")


def test_a_slow_reader_slows_the_command_down_and_loses_nothing(both: World, there: LabInstance) -> None:
    script = f"ssm-ssh exec {there.instance_id} seq 1 60000 | (sleep 1; sha256sum)"
    wanted = hashlib.sha256(b"".join(b"%d\n" % n for n in range(1, 60001))).hexdigest()
    assert both.run("sh", "-c", script).text.split()[0] == wanted


def test_a_reader_that_leaves_ends_the_command(both: World, there: LabInstance) -> None:
    done = both.run("bash", "-c", f"ssm-ssh exec {there.instance_id} yes | head -n 1; echo ${{PIPESTATUS[0]}}")
    assert done.stdout == b"y\n141\n"
    assert done.stderr == ""


@pytest.mark.long
def test_twenty_megabytes_of_input_and_five_of_each_stream_arrive(both: World, there: LabInstance) -> None:
    data = os.urandom(1 << 20) * 20
    running = both.start("ssm-ssh", "exec", "-i", there.instance_id, "sha256sum")
    out, _ = running.process.communicate(data, timeout=900)
    assert out.split()[0].decode() == hashlib.sha256(data).hexdigest()
    script = "for i in 1 2 3 4 5; do head -c 1000000 /dev/zero; head -c 1000000 /dev/zero >&2; done"
    process = both.start("ssm-ssh", "exec", there.instance_id, "sh", "-c", script).process
    assert process.communicate(timeout=900) == (bytes(5_000_000), bytes(5_000_000))
    assert process.returncode == 0


@pytest.fixture
def encrypted(both: World) -> Iterator[World]:
    both.lab.prefer(kmsKeyId="alias/lab")
    yield both
    both.lab.prefer(kmsKeyId="")


def test_a_command_in_an_encrypted_session_is_the_same(encrypted: World, there: LabInstance) -> None:
    words = ("ssm-ssh", "exec", there.instance_id, "sh", "-c", "echo out; echo err >&2; exit 3")
    done = encrypted.run(*words, expect=None)
    assert (done.status, done.stdout, done.stderr) == (3, b"out\n", "err\n")
    assert encrypted.lab.calls("GenerateDataKey")


def test_a_caller_who_may_not_use_the_key_is_told_which(encrypted: World) -> None:
    done = run(encrypted, encrypted.lab.instances[0], "true")
    assert done.status == 255
    assert "kms:GenerateDataKey" in done.stderr


def test_help_names_the_statuses(both: World) -> None:
    text = both.run("ssm-ssh", "exec", "--help").text
    assert "254" in text
    assert text.count("ssm-ssh exec ") >= 2
    assert os.linesep in text
