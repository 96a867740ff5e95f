"""Which of the programs that tests need this machine has, and which are hidden on purpose.

SSM_SSH_TEST_HIDE names programs that are to be taken as not installed, separated by spaces: any program of PATH, and
sshd, sftp-server and nss_wrapper, which the lab looks for elsewhere. A test that cannot do without a program is marked
`@pytest.mark.needs("rsync")`; where the program is missing the test is not run, and the last line of the report counts
it under the program's name.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from ssm_ssh.lab.accounts.accounts import find_nss_wrapper
from ssm_ssh.lab.hidden_programs import VARIABLE, is_hidden
from ssm_ssh.lab.sshd.openssh import find_sftp_server, find_sshd

# Where daemons live, and an ordinary user's PATH does not lead.
_SBIN = ("/usr/local/sbin", "/usr/sbin", "/sbin")
_ELSEWHERE: dict[str, Callable[[], object]] = {
    "sshd": find_sshd,
    "sftp-server": find_sftp_server,
    "nss_wrapper": find_nss_wrapper,
    # Debian keeps them out of PATH, one folder for each version.
    "initdb": lambda: shutil.which("initdb") or _newest("/usr/lib/postgresql/*/bin/initdb"),
    "bash-completion": lambda: _file("/usr/share/bash-completion/bash_completion"),
    # Debian's libjsch-java and golang-github-kevinburke-ssh-config-dev.
    "jsch.jar": lambda: _file("/usr/share/java/jsch.jar"),
    "kevinburke-ssh-config": lambda: _file("/usr/share/gocode/src/github.com/kevinburke/ssh_config/config.go"),
}


def missing(programs: Sequence[str]) -> list[str]:
    """Return those of `programs` that are hidden or not installed."""
    return [program for program in programs if is_hidden(program) or not _find(program)]


def _newest(pattern: str) -> str | None:
    return max(map(str, Path("/").glob(pattern.lstrip("/"))), default=None)


def _file(path: str) -> str | None:
    return path if Path(path).exists() else None


def _find(program: str) -> object:
    if program in _ELSEWHERE:
        return _ELSEWHERE[program]()
    return shutil.which(program, path=os.pathsep.join([os.environ.get("PATH", os.defpath), *_SBIN]))


@contextlib.contextmanager
def hiding() -> Iterator[None]:
    """Take what SSM_SSH_TEST_HIDE names off PATH: each folder that has some of it is replaced by one of links."""
    names = set(os.environ.get(VARIABLE, "").split())
    path = os.environ.get("PATH", os.defpath)
    with tempfile.TemporaryDirectory(prefix="path-") as base:
        # Other users run programs of this PATH, too.
        Path(base).chmod(0o755)
        folders = path.split(os.pathsep)
        for number, folder in enumerate(folders):
            if any(os.access(f"{folder}/{name}", os.X_OK) for name in names):
                folders[number] = f"{base}/{number}"
                _link(Path(folder), Path(base, str(number)), names)
        os.environ["PATH"] = os.pathsep.join(folders)
        try:
            yield
        finally:
            os.environ["PATH"] = path


def _link(folder: Path, links: Path, names: set[str]) -> None:
    links.mkdir()
    links.chmod(0o755)
    for entry in folder.iterdir():
        if entry.name not in names:
            (links / entry.name).symlink_to(entry)
