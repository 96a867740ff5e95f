"""AWS-RunShellScript on an instance of the lab: a script, run as the instance's root, as the SSM agent runs one.

The script runs with the instance's users, homes and host keys around it and nothing of the caller's: not his
environment, not his home. Absolute paths of a real machine's that are the instance's own (its SSH configuration and
keys, its /run) are led into the instance's folder. In an ordinary user's lab the instance's root is that user, so
the programs that change the user are replaced by ones that change what the user is called.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import shlex
import shutil
import signal
from pathlib import Path
from typing import NamedTuple

from ssm_ssh.lab.accounts.accounts import ROOT_PATH, Accounts
from ssm_ssh.lab.process.descendants import end, tree
from ssm_ssh.lab.sshd.openssh import find_sshd

# https://docs.aws.amazon.com/systems-manager/latest/APIReference/API_GetCommandInvocation.html
OUTPUT_LIMIT = 24_000
# The agent's text at the end of truncated output.
_CUT = "--output truncated--"
# Kept in memory while a script runs; the rest is read and dropped.
_KEPT = 4 * OUTPUT_LIMIT
# Exit code 194 asks the agent for a reboot; nothing here boots, so it counts as any other failure.
_OWN_PATHS = {
    "/etc/ssh": "etc/ssh",
    "/run/ssm-ssh": "run/ssm-ssh",
    "/var/run/ssm-ssh": "run/ssm-ssh",
    "/usr/sbin/sshd": "bin/sshd",
}


class CommandResult(NamedTuple):
    """What GetCommandInvocation tells: Status, ResponseCode, StandardOutputContent, StandardErrorContent."""

    status: str
    exit_code: int
    stdout: str
    stderr: str


def _cut(data: bytearray) -> str:
    text = data.decode(errors="replace")
    return text if len(text) < OUTPUT_LIMIT else text[: OUTPUT_LIMIT - len(_CUT)] + _CUT


def into_instance(script: str, accounts: Accounts) -> str:
    """Return `script` with the paths of the instance replaced by those in its folder."""
    for path, place in _OWN_PATHS.items():
        inside = str(accounts.folder / place)
        script = re.sub(rf"(?<![\w./-]){re.escape(path)}(?![\w-])", lambda _, inside=inside: inside, script)  # type: ignore[misc]
    return script


async def run_script(accounts: Accounts, script: str, timeout: float, directory: str = "") -> CommandResult:
    """Run `script` for at most `timeout` seconds and return its outcome. On a timeout all of its processes are killed.

    It begins in `directory` when that is an absolute path, as the agent takes it, else in root's scratch home.
    """
    folder = accounts.run / f"command-{os.urandom(8).hex()}"
    folder.mkdir(mode=0o700)
    try:
        file = folder / "_script.sh"
        file.write_text(into_instance(script, accounts))
        file.chmod(0o700)
        return await _run(accounts, [*_interpreter(script), str(file)], timeout, directory)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _interpreter(script: str) -> list[str]:
    """A first line with #! counts, for the agent lets sh start the file; else it is sh's."""
    first = script.split("\n", 1)[0]
    if first.startswith("#!") and first[2:].strip():
        return first[2:].strip().split(None, 1)
    return ["/bin/sh"]


async def _run(accounts: Accounts, argv: list[str], timeout: float, directory: str) -> CommandResult:
    try:
        process = await asyncio.create_subprocess_exec(
            *argv,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            start_new_session=True,
            cwd=directory if directory.startswith("/") else accounts.root_home,
            env=accounts.environment("root"),
        )
    except OSError as error:
        return CommandResult("Failed", -1, "", f"failed to run commands: {error}")
    stdout, stderr = bytearray(), bytearray()
    outputs = asyncio.gather(_collect(process.stdout, stdout), _collect(process.stderr, stderr), process.wait())
    timed_out = False
    try:
        # As in the agent, a command lasts as long as any process holds its output, even one in the background.
        await asyncio.wait_for(outputs, timeout)
    except asyncio.TimeoutError:
        timed_out = True
        _end_family(process.pid)
    except asyncio.CancelledError:
        _end_family(process.pid)
        raise
    code = process.returncode if process.returncode is not None else -1
    if timed_out:
        return CommandResult("TimedOut", -1, _cut(stdout), _cut(stderr))
    if code:
        ended = f"exit status {code}" if code > 0 else f"signal: {signal.strsignal(-code)}"
        stderr += f"failed to run commands: {ended}".encode()
    return CommandResult("Failed" if code else "Success", max(code, -1), _cut(stdout), _cut(stderr))


def _end_family(pid: int) -> None:
    family = tree(pid)
    with contextlib.suppress(OSError):
        os.killpg(pid, signal.SIGKILL)
    end(family)


async def _collect(stream: asyncio.StreamReader | None, kept: bytearray) -> None:
    while stream is not None and (data := await stream.read(65536)):
        kept += data[: _KEPT - len(kept)]


# Programs for root's PATH

_SWITCH = """#!/bin/sh
# {name}, with the users of this instance: its machine does not know them.
{guard}
{parse}
case "$user" in
{cases}
*) echo "{name}: user $user does not exist" >&2; exit 1;;
esac
PATH={path}
{home}
export PATH
{run}
"""
# Root's lab leaves the machine's own users to its own programs.
_GUARD = """who() {{
{parse}
printf %s "$user"
}}
case "$(who "$@")" in {users}) ;; *) exec {real} "$@";; esac
"""

# For an instance whose server is the embedded one, on a machine without sshd.
_NO_SSHD = """#!/bin/sh
case "$*" in
-T*) echo "port 22"; echo "pubkeyauthentication yes"; echo "strictmodes yes"
 echo "authorizedkeysfile .ssh/authorized_keys";;
*) echo "OpenSSH_9.2p1, OpenSSL 3.0" >&2;;
esac
"""

_PARSE_SETPRIV = """user=
while [ $# -gt 0 ]; do case "$1" in
--reuid=*|--ruid=*|--euid=*) user=${1#*=}; shift;;
--reuid|--ruid|--euid) user=$2; shift 2;;
--regid|--rgid|--egid|--groups|--inh-caps|--ambient-caps|--bounding-set|--securebits|--pdeathsig) shift 2;;
--) shift; break;;
-*) shift;;
*) break;;
esac; done"""

_PARSE_RUNUSER = """user= command= shell=/bin/sh
while [ $# -gt 0 ]; do case "$1" in
-u|--user) user=$2; shift 2;;
-c|--command) command=$2; shift 2;;
-s|--shell) shell=$2; shift 2;;
-l|--login|-|-m|-p) shift;;
--) shift; break;;
-*) shift;;
*) [ -z "$user" ] || break; user=$1; shift;;
esac; done"""

_PARSE_SU = _PARSE_RUNUSER.replace("-u|--user) user=$2; shift 2;;\n", "")


def _switch(name: str, accounts: Accounts) -> str:
    """Return the text of `name`. In root's lab it needs setpriv, which takes a uid without a name."""
    cases = []
    for user in (*accounts.users, "root"):
        sets = "; ".join(f"export {key}={shlex.quote(value)}" for key, value in accounts.names(user).items())
        becomes = "" if user == "root" else f"become={shlex.quote(_become(accounts))}; "
        cases.append(f"{user}) {becomes}{sets}; home={shlex.quote(str(accounts.home(user)))};;")
    # setpriv takes numbers too; the one number of this lab means the instance's first user.
    cases.insert(0, f"{accounts.uid}) user={accounts.users[0]};" + cases[0].split(")", 1)[1])
    setpriv = name == "setpriv"
    parse = {"setpriv": _PARSE_SETPRIV, "runuser": _PARSE_RUNUSER}.get(name, _PARSE_SU)
    guard = ""
    if accounts.as_root:
        known = "|".join((str(accounts.uid), *accounts.users))
        guard = _GUARD.format(parse=parse, users=known, real=shutil.which(name, path=ROOT_PATH) or f"/usr/bin/{name}")
    return _SWITCH.format(
        name=name,
        guard=guard,
        parse=parse + "\nbecome=",
        cases="\n".join(cases),
        path=ROOT_PATH if accounts.nss_wrapper else f"{accounts.tools}:{ROOT_PATH}",
        home="" if setpriv else "HOME=$home USER=$user LOGNAME=$user; export HOME USER LOGNAME",
        run='exec $become "$@"'
        if setpriv
        else '[ -z "$command" ] || exec $become "$shell" -c "$command" "$@"\n'
        '[ $# -eq 0 ] && exec $become "$shell"\nexec $become "$@"'
        if name == "runuser"
        else '[ -z "$command" ] || exec $become "$shell" -c "$command" "$@"\nexec $become "$shell" "$@"',
    )


def _become(accounts: Accounts) -> str:
    if not accounts.as_root:
        return ""
    return f"{shutil.which('setpriv', path=ROOT_PATH)} --reuid {accounts.uid} --regid {accounts.gid} --clear-groups --"


def _real_id() -> str:
    return shutil.which("id", path=ROOT_PATH) or "/usr/bin/id"


def write_programs(accounts: Accounts, config_file: Path) -> None:
    """Write the programs that stand before the machine's own in root's PATH.

    `sshd` speaks of the instance's configuration, `config_file`. In an ordinary user's lab `setpriv`, `runuser`, `su`
    and `id -u` do what they do for root. Without nss_wrapper the first three know the instance's users in root's lab.
    """
    drop = f"setpriv --reuid {accounts.uid} --regid {accounts.gid} --clear-groups " if accounts.as_root else ""
    sshd = find_sshd()
    programs = {"sshd": f'#!/bin/sh\nexec {drop}{sshd} -f {shlex.quote(str(config_file))} "$@"\n' if sshd else _NO_SSHD}
    if not accounts.as_root or (not accounts.nss_wrapper and shutil.which("setpriv", path=ROOT_PATH)):
        programs |= {name: _switch(name, accounts) for name in ("setpriv", "runuser", "su")}
    if not accounts.as_root:
        real = shlex.quote(str(accounts.tools / "id") if not accounts.nss_wrapper else _real_id())
        programs["id"] = f'#!/bin/sh\n[ "$*" = -u ] && {{ echo 0; exit; }}\nexec {real} "$@"\n'
    for name, text in programs.items():
        path = accounts.bin / name
        path.write_text(text)
        path.chmod(0o700)
