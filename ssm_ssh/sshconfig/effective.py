"""Asking ssh itself (`ssh -G`) what a configuration means, before and after, for our hosts and everybody else's.

`ssh -G` prints the outcome and connects to nothing. It runs the user's `Match exec` as every ssh does.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, NamedTuple

from ssm_ssh.errors import UsageError
from ssm_ssh.sshconfig.managed_file import body, check_path
from ssm_ssh.text import printable

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from pathlib import Path

    from ssm_ssh.sshconfig.managed_file import Managed

# Ids that no instance has, one of each form.
IDS = ("i-0123456789abcdef0", "i-0a1b2c3d", "mi-0123456789abcdef0")
# Hosts that a user may well have, and names that only look like ids.
STANDARD = ("github.com", "localhost", "192.0.2.1", "host.example.com", "i-love.example.com", "i-internal", "mi-casa")
_OUR_COMMAND = re.compile(r'ssm[-_]ssh"? proxy ')
# Seconds. One ssh -G takes milliseconds; a `Match exec` may look something up.
_LIMIT = 60.0
# Proving thousands of hosts one by one would take minutes; our rules cannot tell these apart anyway.
MOST_HOSTS = 200


class Outcome(NamedTuple):
    """What `ssh -G` printed about one host."""

    status: int
    output: str
    error: str

    def values(self, keyword: str) -> list[str]:
        """Return the values of `keyword` (lower case), one for each line."""
        start = f"{keyword} "
        return [line[len(start) :] for line in self.output.split("\n") if line.startswith(start)]

    def value(self, keyword: str) -> str:
        """Return the first value of `keyword`, "" where there is none."""
        return next(iter(self.values(keyword)), "")


class Ssh(NamedTuple):
    """The ssh program. `options` come first on each command line that is to read the user's own configuration."""

    program: str
    options: tuple[str, ...] = ()

    def ask(self, host: str, file: Path | None = None, *more: str) -> Outcome:
        """Return what ssh would do for `host` under the configuration `file`, or under the user's and the system's."""
        options = ("-F", str(file)) if file is not None else self.options
        try:
            done = subprocess.run(
                [self.program, *options, *more, "-G", host],
                stdin=subprocess.DEVNULL,
                capture_output=True,
                timeout=_LIMIT,
                cwd="/",
                check=False,
            )
        except subprocess.TimeoutExpired:
            return Outcome(255, "", f"ssh -G {host} took longer than {_LIMIT:.0f} s")
        except OSError as error:
            raise UsageError(f"cannot run {self.program}: {error.strerror}") from error
        return Outcome(
            done.returncode, done.stdout.decode("utf-8", "replace"), done.stderr.decode("utf-8", "replace").strip()
        )

    def ask_all(self, hosts: Iterable[str], file: Path | None = None) -> dict[str, Outcome]:
        """Return the outcome of each host."""
        names = list(dict.fromkeys(hosts))
        with ThreadPoolExecutor(2 * (os.cpu_count() or 1)) as pool:
            return dict(zip(names, pool.map(lambda name: self.ask(name, file), names), strict=True))

    def system_file(self) -> str | None:
        """Return the system's configuration file, as this ssh knows it; None where there is none."""
        log = self.ask("localhost", None, "-v").error
        match = re.search(r"Reading configuration data (/.*/ssh_config)\r?$", log, re.MULTILINE)
        return match[1] if match else None

    def version(self) -> str:
        """Return the version as ssh prints it, such as `OpenSSH_9.2p1`."""
        try:
            done = subprocess.run(
                [self.program, "-V"], stdin=subprocess.DEVNULL, capture_output=True, timeout=_LIMIT, check=False
            )
        except (OSError, subprocess.TimeoutExpired):
            return "unknown"
        return printable(done.stderr.decode("utf-8", "replace").split(",")[0].split(" ")[0])


def find_ssh() -> Ssh:
    """Return the ssh that a shell would find; raises UsageError where there is none."""
    program = shutil.which("ssh")
    if program is None:
        raise UsageError("there is no ssh on the PATH", "Install OpenSSH's client")
    return Ssh(program)


def wrapper(user_file: Path, system_file: str | None) -> str:
    """Return a configuration for `ssh -F` that reads what ssh would read by itself, with `user_file` as the user's."""
    lines = [f'Include "{check_path(str(user_file), "a temporary file")}"']
    if system_file is not None:
        lines.append(f'Include "{check_path(system_file, "the configuration of the system")}"')
    return "\n".join(lines) + "\n"


def some_of(names: Sequence[str], most: int | None = None) -> list[str]:
    """Return at most `most` (None: MOST_HOSTS) of `names`, evenly spread."""
    most = MOST_HOSTS if most is None else most
    if len(names) <= most:
        return list(names)
    return [names[len(names) * number // most] for number in range(most)]


def rejected(outcome: Outcome) -> str:
    """Return why ssh does not accept a configuration, "" where it does."""
    if outcome.status == 0:
        return ""
    lines = [line for line in outcome.error.split("\n") if line.strip()]
    return printable("; ".join(lines[:2])) or f"ssh -G ended with status {outcome.status}"


def uses_rules(outcome: Outcome) -> bool:
    """True where our rules set something for the host."""
    known_hosts = outcome.value("userknownhostsfile")
    return known_hosts.endswith("/ssm-ssh/known_hosts") or bool(_OUR_COMMAND.search(outcome.value("proxycommand")))


def differences(
    before: dict[str, Outcome], after: dict[str, Outcome], may_use: Callable[[str], bool] = lambda _: False
) -> list[str]:
    """Return, for each host that is not as before, one line that says what is not.

    The user's own words make a host for which `may_use` is true use our rules: it may begin or end to use them, and it
    may use other ones than before.
    """
    lines = []
    for host, old in before.items():
        new = after[host]
        if (old.status, old.output) == (new.status, new.output):
            continue
        if may_use(host) and (uses_rules(old) or uses_rules(new)):
            continue
        was, now = set(old.output.split("\n")), set(new.output.split("\n"))
        line = next(iter(sorted(now - was) or sorted(was - now)), new.error or f"status {new.status}")
        lines.append(f"{printable(host, 60)}: {printable(line, 120)}")
    return lines


def unmet(managed: Managed, reference: Outcome, real: Outcome, *, named: bool = False) -> list[str]:
    """Return the keywords for which `real` is not what our file means, which is what it says alone (`reference`).

    `named`: the host is one of the user's own names, whose HostName is the user's too.
    """
    wrong = []
    for keyword in dict.fromkeys(keyword.lower() for keyword, _ in body(managed)):
        if named and keyword == "hostname":
            continue
        wanted, got = reference.values(keyword), real.values(keyword)
        # These accumulate: the user's own may follow.
        if keyword in ("identityfile", "certificatefile"):
            got = got[: len(wanted)]
        if wanted != got:
            wrong.append(keyword)
    return wrong
