"""Finding out whether EC2 Instance Connect lets in, by logging in: a program of its own, after a connection has ended.

A connection that looks as if sshd had refused our key proves nothing: the user may not exist there. So ssh itself logs
in once more, by EC2 Instance Connect alone, runs nothing, and is ended as soon as it is in. Where it is refused, so
must be one who has got in there before, or the user that the platform's images come with, before it is noted that EC2
Instance Connect does not work on that instance; then the next connection takes the other way. A refused first user
alone says nothing about it.

`python -I -m ssm_ssh.auth.eic_probe` reads one line of JSON from stdin: see `start`.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from typing import TYPE_CHECKING, Any

from ssm_ssh.auth import push_journal
from ssm_ssh.auth.keypair import identity_files
from ssm_ssh.errors import SsmSshError
from ssm_ssh.hostkeys import known_hosts
from ssm_ssh.installation import module
from ssm_ssh.locate import history

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from ssm_ssh.aws.config.settings import AwsSettings
    from ssm_ssh.target import Target

# Set for the programs that a probe starts, whose end is not to be looked into again.
MARK = "SSM_SSH_PROBE"
IN, REFUSED, UNKNOWN = "in", "refused", "unknown"
# Seconds that one attempt may take.
_LIMIT = 90.0


def start(target: Target, user: str, *, host: str, port: int, settings: AwsSettings, document: str) -> None:
    """Start a probe of `target` in a process of its own. `host`: its name as ssh knows it. Raises OSError."""
    question = {
        "instance": target.instance_id,
        "host": host,
        "port": port,
        "user": user,
        "profile": settings.profile if settings.explicit_profile else None,
        "region": settings.region,
        "document": document,
    }
    child = subprocess.Popen(
        module(__name__),
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env={**settings.env, MARK: "1"},
        cwd="/",
        start_new_session=True,
    )
    if child.stdin is not None:
        child.stdin.write(json.dumps(question).encode() + b"\n")
        child.stdin.close()
    child.returncode = 0  # nobody waits for it


def main() -> None:
    """Probe what stdin asks for; what was found is in the memory of ways."""
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
        pass  # nobody is there to be told, and nothing has been noted


def probe(
    question: Mapping[str, Any], log_in: Callable[[str], str], usual: Callable[[], str], logins: Sequence[str] = ()
) -> None:
    """Find out and note it. Raises StateError.

    `log_in` tries as a user, `usual` names the platform's user, `logins` are those who have got in before, the latest
    last: only they are known to exist, and what the usual one meets counts for less.
    """
    instance, user = question["instance"], question["user"]
    if not push_journal.may_probe(instance, user, time.time()):
        return
    outcome = log_in(user)
    if outcome == REFUSED and user not in logins:
        other = logins[-1] if logins else usual()
        if not other:
            return  # it may be the user as well, and there is nobody to compare with
        if other != user:
            outcome = log_in(other)
    if outcome != UNKNOWN:
        push_journal.learn(instance, time.time(), effective=outcome == IN, certain=bool(logins))


def usual_user(question: Mapping[str, Any]) -> str:
    """Return the user that the instance's platform comes with, "" where that is not known."""
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
    proxy += [question["region"], "--document", question["document"]]
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
    for path in identity_files():
        out += ["-o", f"IdentityFile={_quoted(path)}"]
    for name, value in options.items():
        out += ["-o", f"{name}={value}"]
    return [*out, "--", str(question["host"])]


def attempt(argv: list[str]) -> str:
    """Run an ssh that is to log in; it is ended as soon as it is in. Returns IN, REFUSED or UNKNOWN.

    A server that would take the key counts as IN, whatever keeps ssh from using it (the file's mode); and it has
    refused only what it was offered. The texts are those of OpenSSH's sshconnect2.c.
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
                offered |= "Offering public key: " in line
                if line.startswith("Authenticated to "):
                    outcome = IN
                    ssh.terminate()  # its proxy ends the session
                elif "Server accepts key: " in line:
                    outcome = IN
                elif "Permission denied (" in line and offered and outcome == UNKNOWN:
                    outcome = REFUSED
        finally:
            alarm.cancel()
    return outcome


def _quoted(path: Path) -> str:
    return '"' + str(path).replace("%", "%%") + '"'


if __name__ == "__main__":
    main()
