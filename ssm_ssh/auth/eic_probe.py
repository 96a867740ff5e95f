"""Probing whether EC2 Instance Connect is effective on an instance: a separate program, run after a connection ended.

A connection after which sshd seems to have refused the key proves nothing: the user may not exist there. So ssh logs in
once more, by EC2 Instance Connect only, runs nothing, and is ended once it is authenticated. If that user is refused, a
second user is tried: one with an earlier login there, or the default user of the platform's images. Only if both are
refused is EC2 Instance Connect recorded as ineffective on the instance, and the next connection uses Run Command.

`python -I -m ssm_ssh.auth.eic_probe` reads one line of JSON from stdin: see `start`.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time

from ssm_ssh.auth import push_journal
from ssm_ssh.auth.keypair import identity_files
from ssm_ssh.errors import SsmSshError
from ssm_ssh.hostkeys import known_hosts
from ssm_ssh.installation import module
from ssm_ssh.locate import history
from ssm_ssh.startup import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path
    from typing import Any

    from ssm_ssh.aws.config.settings import AwsSettings
    from ssm_ssh.target import Target

# So that the programs that a probe starts start no further probe.
MARK = push_journal.PROBE_MARK
ACCEPTED, REFUSED, UNKNOWN = "accepted", "refused", "unknown"
# Seconds per attempt.
_LIMIT = 90.0


def start(
    target: Target, user: str, *, host: str, port: int, settings: AwsSettings, document: str, key_type: str
) -> None:
    """Start a probe of `target` in a process of its own. `host`: its name as ssh knows it. Raises OSError."""
    question = {
        "instance": target.instance_id,
        "host": host,
        "port": port,
        "user": user,
        "profile": settings.profile if settings.explicit_profile else None,
        "region": settings.region,
        "document": document,
        "key_type": key_type,
    }
    child = subprocess.Popen(
        module(__name__),
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        # A probe starts no instance.
        env={**settings.env, MARK: "1", "SSM_SSH_START": "never"},
        cwd="/",
        start_new_session=True,
    )
    if child.stdin is not None:
        child.stdin.write(json.dumps(question).encode() + b"\n")
        child.stdin.close()
    child.returncode = 0  # the probe is not waited for


def main() -> None:
    """Run the probe that stdin describes; its result goes into the push journal."""
    try:
        question = json.loads(sys.stdin.readline())
        known = history.recall(question["instance"])
        probe(
            question,
            lambda user: attempt(command(question, user)),
            lambda: usual_user(question),
            known.logins if known is not None else (),
        )
    except (SsmSshError, OSError, ValueError, KeyError):
        pass  # there is no user to tell, and nothing was recorded


def probe(
    question: Mapping[str, Any], log_in: Callable[[str], str], usual: Callable[[], str], logins: Sequence[str] = ()
) -> None:
    """Probe, and record the result. Raises StateError.

    `log_in` tries a user, `usual` returns the platform's default user, and `logins` are users with earlier logins, the
    latest last. Only those are known to exist, so the result for the default user counts for less.
    """
    instance, user = question["instance"], question["user"]
    if not push_journal.may_probe(instance, user, time.time()):
        return
    outcome = log_in(user)
    if outcome == REFUSED and user not in logins:
        other = logins[-1] if logins else usual()
        if not other:
            return  # the user may not exist, and there is no other user to try
        if other != user:
            outcome = log_in(other)
    if outcome != UNKNOWN:
        push_journal.learn(instance, time.time(), effective=outcome == ACCEPTED, certain=bool(logins))


def usual_user(question: Mapping[str, Any]) -> str:
    """Return the default user of the instance's platform, "" if it is unknown."""
    known = history.recall(question["instance"])
    if known is not None and known.user:
        return known.user
    from ssm_ssh.aws.api.client import Api
    from ssm_ssh.aws.config.settings import load
    from ssm_ssh.aws.services.inventory import find_node

    node = find_node(Api(load(profile=question["profile"], region=question["region"])), question["instance"])
    return node.user if node is not None else ""


def command(question: Mapping[str, Any], user: str) -> list[str]:
    """Return the ssh that logs in as `user` by EC2 Instance Connect and does nothing there."""
    from shlex import quote

    proxy = [*module("ssm_ssh"), "proxy", "--push", "eic", "--key", "", "--region"]
    proxy += [question["region"], "--document", question["document"], "--key-type", question["key_type"]]
    proxy += ["--profile", question["profile"]] if question["profile"] else []
    words = " ".join(quote(word).replace("%", "%%") for word in proxy)
    options = {
        "BatchMode": "yes",
        "LogLevel": "DEBUG1",
        "PreferredAuthentications": "publickey",
        "IdentitiesOnly": "yes",
        "IdentityAgent": "none",
        "StrictHostKeyChecking": "yes",
        "UserKnownHostsFile": _quoted(known_hosts.path()),
        "GlobalKnownHostsFile": "/dev/null",
        "UpdateHostKeys": "no",
        "ClearAllForwardings": "yes",
        "ControlMaster": "no",
        "ControlPath": "none",
        "ProxyCommand": f"{words} {quote(question['host'])} {int(question['port'])} {quote(user)}",
    }
    out = ["ssh", "-F", "/dev/null", "-N", "-T", "-p", str(question["port"]), "-l", user]
    for path in identity_files(question["key_type"]):
        out += ["-o", f"IdentityFile={_quoted(path)}"]
    for name, value in options.items():
        out += ["-o", f"{name}={value}"]
    return [*out, "--", str(question["host"])]


def attempt(argv: list[str]) -> str:
    """Run an ssh that logs in, and end it once it is authenticated. Returns ACCEPTED, REFUSED or UNKNOWN.

    A server that would accept the key counts as ACCEPTED even if ssh cannot use it (the mode of the file), and only a
    key that was offered counts as REFUSED. The texts are those of OpenSSH's sshconnect2.c.
    """
    from threading import Timer

    with subprocess.Popen(
        argv, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, errors="replace"
    ) as ssh:
        alarm = Timer(_LIMIT, ssh.kill)
        alarm.start()
        outcome, offered = UNKNOWN, False
        try:
            for line in ssh.stderr or ():
                if "Offering public key: " in line or "Trying private key: " in line:
                    offered = True
                elif line.startswith('Load key "') or "no such identity: " in line:
                    offered = False
                if line.startswith("Authenticated to "):
                    outcome = ACCEPTED
                    ssh.terminate()  # its proxy ends the session
                elif "Server accepts key: " in line:
                    outcome = ACCEPTED
                elif "Permission denied (" in line and offered and outcome == UNKNOWN:
                    outcome = REFUSED
        finally:
            alarm.cancel()
    return outcome


def _quoted(path: Path) -> str:
    return '"' + str(path).replace("%", "%%") + '"'


if __name__ == "__main__":
    main()
