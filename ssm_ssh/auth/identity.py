"""Which public key is pushed: that of ssm-ssh's own pair, or one of the user's (a file, the agent, a FIDO key).

`key` in the settings: "" for ssm-ssh's own pair; the path of a public key file; `agent` for the only key in ssh-agent,
or `agent:COMMENT` or `agent:SHA256:...` for one of several. Private keys of the user are never read.
"""

from __future__ import annotations

import os
import stat
from pathlib import Path

from ssm_ssh.auth.key_type import ED25519
from ssm_ssh.errors import UsageError
from ssm_ssh.startup import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ssm_ssh.ssh.hostkey import HostKey

# The types that EC2 Instance Connect accepts:
# https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/ec2-instance-connect-set-up.html
_EIC_TYPES = frozenset({"ssh-rsa", "ssh-ed25519"})
_TYPES = ("ssh-ed25519", "ssh-rsa", "ecdsa-sha2-", "sk-ssh-ed25519@openssh.com", "sk-ecdsa-")
_LARGEST = 64 * 1024


class UserKey(NamedTuple):
    """A public key to push: `line` is `type base64`; `ours` if its private key is ssm-ssh's to delete."""

    line: str
    ours: bool = True

    @property
    def kind(self) -> str:
        """Its type, such as `ssh-ed25519`."""
        return self.line.partition(" ")[0]

    @property
    def for_eic(self) -> bool:
        """Whether EC2 Instance Connect accepts keys of its type."""
        return self.kind in _EIC_TYPES


def choose(key: str, *, key_type: str = ED25519, max_age: float, env: Mapping[str, str]) -> UserKey:
    """Return the key that the setting `key` names; a pair of ssm-ssh's own serves for `max_age` seconds.

    Raises UsageError for a key of the user that cannot be used, StateError as keypair.public_key does.
    """
    if not key:
        from ssm_ssh.auth.keypair import public_key

        return UserKey(public_key(key_type, max_age=max_age))
    if _in_agent(key):
        from ssm_ssh.auth.ssh_agent import find_key

        held = find_key(key.partition(":")[2], env.get("SSH_AUTH_SOCK", ""))
        return UserKey(_checked(held, "the key in ssh-agent").line, ours=False)
    return UserKey(_from_file(_path(key)).line, ours=False)


def identity_files(key: str, key_type: str = ED25519) -> tuple[Path, ...]:
    """Return the files for ssh's IdentityFile lines, so that it offers the key that is pushed.

    Nothing is read: the files need not exist. Raises UsageError for a path that is not absolute.
    """
    from ssm_ssh.auth import keypair

    if not key:
        return keypair.identity_files(key_type)
    if _in_agent(key):
        return (_agent_file(),)
    path = _path(key)
    private = path.with_suffix("")
    return (private if path.suffix == ".pub" and private.exists() else path,)


def export_agent_key(key: str, *, env: Mapping[str, str]) -> None:
    """Write the public key of a key in the agent to the file of `identity_files`, so that ssh selects it.

    Does nothing for any other key. Raises UsageError where the agent has no such key, StateError where the data folder
    cannot be used.
    """
    from ssm_ssh.storage.private_dir import open_folder

    if not _in_agent(key):
        return
    line = choose(key, max_age=0, env=env).line
    file = _agent_file()
    with open_folder(file.parent) as folder:
        folder.write(file.name, f"{line}\n".encode("ascii"))


def problem(key: str, *, env: Mapping[str, str]) -> str:
    """Return in a sentence why the user's `key` cannot be pushed or would not be offered by ssh, "" for no problem.

    Changes nothing. Raises StateError where the data folder cannot be used.
    """
    from ssm_ssh.storage.private_dir import open_folder

    if not key:
        return ""
    try:
        line = choose(key, max_age=0, env=env).line
    except UsageError as error:
        return f"the key cannot be used: {error.sentence()}"
    if not _in_agent(key):
        return ""
    file = _agent_file()
    exported = None
    if file.parent.exists():
        with open_folder(file.parent) as folder:
            exported = folder.read(file.name)
    if (exported or b"").decode("ascii", "replace").split()[:2] == line.split():
        return ""
    return "ssh does not offer the key that the agent holds now; run: ssm-ssh setup"


def _agent_file() -> Path:
    from ssm_ssh.storage.paths import data_folder

    return data_folder() / "agent_key.pub"


def _in_agent(key: str) -> bool:
    return key == "agent" or key.startswith("agent:")


def _path(key: str) -> Path:
    """Return the file that `key` names. Raises UsageError for a path that depends on the current folder."""
    try:
        path = Path(key).expanduser()
    except RuntimeError as error:  # ~nosuchuser/key
        raise UsageError(
            f"the key {key} is in the home of a user who does not exist", "Check the setting `key`"
        ) from error
    if not path.is_absolute():  # ssh starts the proxy in its own current folder
        raise UsageError(f"the path of the key, {key}, is not absolute", "Begin the setting `key` with / or ~/")
    return path


def _from_file(path: Path) -> HostKey:
    from ssm_ssh.ssh.hostkey import from_line

    try:
        # Opening a FIFO or a terminal would block.
        fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC)
        if not stat.S_ISREG(os.fstat(fd).st_mode):
            os.close(fd)
            raise UsageError(f"the public key {path} is not a file", "Check the setting `key`")
        with os.fdopen(fd, "rb") as file:
            content = file.read(_LARGEST)
    except OSError as error:
        raise UsageError(
            f"the public key {path} cannot be read: {error.strerror}", "Check the setting `key`"
        ) from error
    if b"PRIVATE KEY" in content:
        raise UsageError(f"{path} is a private key", f"Name the public key: {path}.pub")
    for line in content.decode("utf-8", "replace").split("\n"):
        words = line.split()
        key = from_line(" ".join(words[:2])) if len(words) >= 2 else None
        if key is not None:
            return _checked(key, str(path))
    raise UsageError(f"{path} holds no public key", "Use one line as in id_ed25519.pub")


def _checked(key: HostKey, name: str) -> HostKey:
    if "-cert-v01@" in key.kind or not key.kind.startswith(_TYPES):
        raise UsageError(f"{name} is of the unsupported type {key.kind}", "Use an Ed25519, RSA, ECDSA or FIDO key")
    return key
