"""`Lab`: start a lab from Python, use it, and leave nothing behind.

with Lab(LabOptions(instances=2)) as lab:
    subprocess.run(["ssh", lab.instances[0].destination, "uname"], env=lab.env)
"""

from __future__ import annotations

import contextlib
import importlib.util
import json
import os
import select
import subprocess
import tempfile
import threading
import time
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple, TypeAlias

from ssm_ssh.errors import StateError, UsageError
from ssm_ssh.install_hints import with_extra
from ssm_ssh.installation import module
from ssm_ssh.lab.environment import base_environment
from ssm_ssh.lab.folder import remove
from ssm_ssh.lab.options import SSHD_KINDS, LabOptions
from ssm_ssh.storage.paths import data_folder
from ssm_ssh.storage.private_dir import open_folder

# The server's own limit for getting ready is shorter; this one is for a server that hangs.
_READY_SECONDS = 150.0
# Teardown ends dozens of processes at most; one that does not end by then is killed.
_STOP_SECONDS = 20.0
_CONTROL_SECONDS = 30.0

# JSON values as the lab's server sends them.
Json: TypeAlias = Any


class LabInstance(NamedTuple):
    """One instance of a lab."""

    instance_id: str
    name: str
    platform: str
    users: tuple[str, ...]
    ssh_port: int
    sshd: str  # "system" or "embedded"
    hybrid: bool
    host_keys: tuple[str, ...]  # "type base64", as they were when the lab started
    homes: dict[str, str]  # where each user's files are on this machine

    @property
    def destination(self) -> str:
        """The destination for ssh: `user@id`."""
        return f"{self.users[0]}@{self.instance_id}"


class Lab:
    """A private AWS on loopback. A context manager; `start` and `stop` do the same by hand.

    After the start: `folder` (0700), `env` (a complete environment for a program), `ssh_config`, `ca_file`, `region`,
    `account`, `api_url`, `gateway_url`, `instances`, `identities` (credentials by name, as `env_for` takes them).
    """

    def __init__(self, options: LabOptions | None = None, *, base: Path | None = None) -> None:
        """`base`: the folder in which the lab's folder is made; by default the user's data folder of ssm-ssh."""
        self.options = options or LabOptions()
        self._base = base
        self._process: subprocess.Popen[bytes] | None = None
        self._log: int | None = None
        self._lock = threading.Lock()
        self.folder = Path()
        self.env: dict[str, str] = {}
        self.region = self.account = self.api_url = self.gateway_url = ""
        self.instances: list[LabInstance] = []
        self.identities: dict[str, dict[str, str]] = {}
        self._agents: dict[str, dict[str, str]] = {}

    # Starting and stopping

    def __enter__(self) -> Lab:
        self.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self.stop()

    def start(self) -> None:
        """Start the lab; returns when every instance is online.

        Raises UsageError for options that cannot be, StateError when something of this machine stands in the way.
        """
        options = self.options.to_json()
        if self.options.sshd not in SSHD_KINDS:
            raise UsageError(f"'{self.options.sshd}' is not a kind of sshd", f"Use one of: {', '.join(SSHD_KINDS)}")
        for package in ("h11", "paramiko"):
            if importlib.util.find_spec(package) is None:
                raise UsageError(f"a lab needs {package}, which is not installed", f"Run: {with_extra('lab')}")
        base = self._base or data_folder()
        with open_folder(base):
            self.folder = Path(tempfile.mkdtemp(prefix="lab-", dir=base))
        try:
            self._start(options)
        except BaseException:
            self.stop()
            raise

    def _start(self, options: dict[str, Any]) -> None:
        environment = base_environment(self.folder)
        log = self.folder / "lab.log"
        self._log = os.open(log, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_APPEND | os.O_CLOEXEC, 0o600)
        # A session of its own: Ctrl-C in the terminal is for the command in the lab, the end of the pipe for the lab.
        self._process = subprocess.Popen(
            module("ssm_ssh.lab"),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._log,
            env=environment,
            cwd="/",
            start_new_session=True,
        )
        config = {"folder": str(self.folder), "options": options, "environment": environment}
        told = self._exchange(config, _READY_SECONDS)
        if "error" in told:
            raise StateError(told["error"]["message"], told["error"]["hint"] or self._last_words())
        ready = told["ready"]
        self.region, self.account = ready["region"], ready["account"]
        self.api_url, self.gateway_url = ready["api_url"], ready["gateway_url"]
        self.env = ready["environment"]
        self.identities, self._agents = ready["identities"], ready["agents"]
        self.instances = [
            LabInstance(**{**instance, "users": tuple(instance["users"]), "host_keys": tuple(instance["host_keys"])})
            for instance in ready["instances"]
        ]

    def _exchange(self, value: dict[str, Any], seconds: float) -> dict[str, Any]:
        """Write one line to the server and return its answer, waiting at most `seconds`. Raises StateError."""
        process = self._process
        if process is None or process.stdin is None or process.stdout is None:
            raise StateError("the lab does not answer", "It has been stopped")
        with self._lock:
            with contextlib.suppress(BrokenPipeError):
                process.stdin.write(json.dumps(value).encode() + b"\n")
                process.stdin.flush()
            deadline = time.monotonic() + seconds
            fd, line = process.stdout.fileno(), bytearray()
            # Not select(): it fails where a program has more than 1024 descriptors.
            poll = select.poll()
            poll.register(fd, select.POLLIN)
            while not line.endswith(b"\n"):
                if not poll.poll(1000 * max(0.0, deadline - time.monotonic())):
                    raise StateError("the lab does not answer", self._last_words())
                piece = os.read(fd, 1 << 20)
                if not piece:
                    raise StateError("the lab has ended", self._last_words())
                line += piece
        answer: dict[str, Any] = json.loads(line)
        return answer

    def _last_words(self) -> str:
        lines = self.log_text().strip().splitlines()
        return lines[-1] if lines else "It left no message"

    def stop(self) -> None:
        """End every process of the lab and remove its folder. Stopping twice is fine."""
        process, self._process = self._process, None
        if process is not None:
            with contextlib.suppress(BrokenPipeError):
                if process.stdin is not None:
                    process.stdin.close()
            try:
                process.wait(_STOP_SECONDS)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
            if process.stdout is not None:
                process.stdout.close()
        if self._log is not None:
            os.close(self._log)
            self._log = None
        if self.folder != Path():
            remove(self.folder)

    @property
    def running(self) -> bool:
        """True while the lab's server is running."""
        return self._process is not None and self._process.poll() is None

    def wait(self) -> None:
        """Wait until the lab's server ends on its own, which it does only when something breaks."""
        if self._process is not None:
            self._process.wait()

    # Contents

    @property
    def ssh_config(self) -> Path:
        """The ssh_config of the lab, for `ssh -F`."""
        return self.folder / "ssh_config"

    @property
    def ca_file(self) -> Path:
        """The certificate of the lab's CA, in PEM."""
        return self.folder / "ca.pem"

    @property
    def known_hosts(self) -> Path:
        """The host keys of all instances."""
        return self.folder / "known_hosts"

    @property
    def env_file(self) -> Path:
        """The file that a POSIX shell sources to enter the lab."""
        return self.folder / "env.sh"

    def env_for(self, identity: str) -> dict[str, str]:
        """Return `env` with the credentials of `identity` (see `identities`)."""
        keys = self.identities[identity]
        out = {key: value for key, value in self.env.items() if key != "AWS_SESSION_TOKEN"}
        out |= {"AWS_ACCESS_KEY_ID": keys["AccessKeyId"], "AWS_SECRET_ACCESS_KEY": keys["SecretAccessKey"]}
        return {**out, "AWS_SESSION_TOKEN": keys["SessionToken"]} if keys["SessionToken"] else out

    def agent_credentials(self, instance_id: str) -> dict[str, str]:
        """Return the credentials of the role of an instance's agent: AccessKeyId, SecretAccessKey, SessionToken."""
        return dict(self._agents[instance_id])

    def log_text(self) -> str:
        """Return what the lab's processes have written to standard error: nothing, unless something broke."""
        if self._log is None:
            return ""
        return os.pread(self._log, 1 << 20, 0).decode("utf-8", "replace")

    # Control

    def calls(self, operation: str | None = None) -> list[dict[str, Any]]:
        """Return the log of calls, all or those of one operation.

        Each has arrived, time (of the answer), service, operation, parameters, status, error ("" when it went well) and
        access_key.
        """
        return list(self._control("calls", operation=operation))

    def sessions(self) -> list[dict[str, Any]]:
        """Return all sessions, oldest first: SessionId, Target, Document, Status, Owner, ended_by, ..."""
        return list(self._control("sessions"))

    def online(self) -> list[str]:
        """Return the ids of the instances whose agent is connected."""
        return list(self._control("online"))

    def fault(self, name: str, **values: Json) -> dict[str, Any]:
        """Make something go wrong; see `lab.faults.faults` and `lab.machines.faults` for names and values.

        Raises UsageError for what is not a fault.
        """
        return dict(self._control("fault", name=name, values=values))

    def faults(self) -> list[dict[str, Any]]:
        """Return the faults of gateway and API that are in force."""
        return list(self._control("faults"))

    def clear_faults(self) -> None:
        """End all faults."""
        self._control("clear_faults")

    def host_keys(self, instance_id: str) -> list[str]:
        """Return the host keys that an instance has now, as "type base64"."""
        return list(self._control("host_keys", instance_id=instance_id))

    def map_port(self, instance_id: str, port: int, real_port: int) -> None:
        """Let `port` of the instance's loopback be `real_port` of this machine's."""
        self._control("map_port", instance_id=instance_id, port=port, real_port=real_port)

    def set_tags(self, instance_id: str, tags: dict[str, str]) -> None:
        """Replace the tags of an instance."""
        self._control("set_tags", instance_id=instance_id, tags=tags)

    def prefer(self, **preferences: Json) -> dict[str, Any]:
        """Change the account's preferences for Session Manager, by AWS's names, and return all of them.

        `kmsKeyId="alias/lab"` is the lab's key. Raises UsageError.
        """
        return dict(self._control("prefer", **preferences))

    def _control(self, op: str, **args: Json) -> Json:
        answer = self._exchange({"op": op, "args": args}, _CONTROL_SECONDS)
        if "error" in answer:
            raise UsageError(answer["error"]["message"], answer["error"]["hint"])
        return answer["result"]
