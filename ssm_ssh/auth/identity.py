"""Which public key is let in: that of ssm-ssh's own pair, or one of the user's (a file, the agent, a FIDO key).

`key` in the settings: "" for ours; the path of a public key file; `agent` for the one key in ssh-agent, or
`agent:COMMENT` or `agent:SHA256:...` for one of several. Private halves are never read.
"""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from ssm_ssh.errors import UsageError
from ssm_ssh.text import printable

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ssm_ssh.ssh.hostkey import HostKey

# What EC2 Instance Connect takes: https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/ec2-instance-connect-set-up.html
_EIC_KINDS = frozenset({"ssh-rsa", "ssh-ed25519"})
_KINDS = ("ssh-ed25519", "ssh-rsa", "ecdsa-sha2-", "sk-ssh-ed25519@openssh.com", "sk-ecdsa-")
_LARGEST = 64 * 1024
_AGENT_SECONDS = 5.0
# https://datatracker.ietf.org/doc/html/draft-ietf-sshm-ssh-agent, 4.4
_REQUEST_IDENTITIES, _IDENTITIES_ANSWER = 11, 12
_MOST_IDENTITIES = 1000


class UserKey(NamedTuple):
    """A public key that is let in: `line` is `type base64`; `ours` when its private half is ssm-ssh's to delete."""

    line: str
    ours: bool = True

    @property
    def kind(self) -> str:
        """Its type, such as `ssh-ed25519`."""
        return self.line.partition(" ")[0]

    @property
    def for_eic(self) -> bool:
        """Whether EC2 Instance Connect takes keys of its type."""
        return self.kind in _EIC_KINDS


def choose(key: str, *, max_age: float, env: Mapping[str, str]) -> UserKey:
    """Return the key that the setting `key` means; `max_age` is how old (seconds) a pair of ours may be.

    Raises UsageError for a key of the user's that cannot be used, StateError as keys.public_key does.
    """
    if not key:
        from ssm_ssh.auth.keypair import public_key

        return UserKey(public_key(max_age=max_age))
    if _in_agent(key):
        return UserKey(_from_agent(key.partition(":")[2], env.get("SSH_AUTH_SOCK", "")).line, ours=False)
    return UserKey(_from_file(_path(key)).line, ours=False)


def identity_files(key: str) -> tuple[Path, ...]:
    """Return what ssh's IdentityFile lines have to name, so that it offers the key that is let in.

    Nothing is read: whether that key is there is another question. Raises UsageError for a path that is not absolute.
    """
    from ssm_ssh.auth import keypair

    if not key:
        return keypair.identity_files()
    if _in_agent(key):
        return (_agent_file(),)
    path = _path(key)
    private = path.with_suffix("")
    return (private if path.suffix == ".pub" and private.exists() else path,)


def put_down(key: str, *, env: Mapping[str, str]) -> None:
    """Write the public half of a key in the agent where identity_files says: so ssh picks it out of the agent.

    Does nothing for any other key. Raises UsageError where the agent has no such key, StateError where our data folder
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
    """Return in a sentence why the user's own `key` cannot be let in or ssh would not offer it, "" where all is well.

    Changes nothing. Raises StateError where our data folder cannot be used.
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
    offered = None
    if file.parent.exists():
        with open_folder(file.parent) as folder:
            offered = folder.read(file.name)
    if (offered or b"").decode("ascii", "replace").split()[:2] == line.split():
        return ""
    return "ssh does not offer the key that the agent holds now; run: ssm-ssh setup"


def _agent_file() -> Path:
    from ssm_ssh.storage.paths import data_folder

    return data_folder() / "agent_key.pub"


def _in_agent(key: str) -> bool:
    return key == "agent" or key.startswith("agent:")


def _path(key: str) -> Path:
    """Return the file that `key` names. Raises UsageError for one that depends on the current folder."""
    try:
        path = Path(key).expanduser()
    except RuntimeError as error:  # ~nobody/key
        raise UsageError(f"the key {key} is in the home of nobody", "Check the setting `key`") from error
    if not path.is_absolute():  # ssh starts us in whatever folder it was started in
        raise UsageError(f"the path of the key, {key}, is not absolute", "Let the setting `key` begin with / or ~/")
    return path


def _from_file(path: Path) -> HostKey:
    from ssm_ssh.ssh.hostkey import from_line

    try:
        # What is no file (a FIFO, a terminal) would keep us waiting.
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
        raise UsageError(f"{path} is a private key", f"Name its public half: {path}.pub")
    for line in content.decode("utf-8", "replace").split("\n"):
        words = line.split()
        found = from_line(" ".join(words[:2])) if len(words) >= 2 else None
        if found is not None:
            return _usable(found, str(path))
    raise UsageError(f"{path} holds no public key", "Use one line as in id_ed25519.pub")


def _from_agent(wanted: str, socket_path: str) -> HostKey:
    found = [(key, comment) for key, comment in _identities(socket_path) if not wanted or _is(key, comment, wanted)]
    if len(found) == 1:
        return _usable(found[0][0], "the key in ssh-agent")
    if not found:
        what = f"no key '{printable(wanted, 60)}'" if wanted else "no key"
        raise UsageError(f"ssh-agent holds {what}", "Look with: ssh-add -l")
    raise UsageError(
        f"ssh-agent holds {len(found)} such keys: {', '.join(printable(comment, 40) for _, comment in found[:5])}",
        "Name one: agent:COMMENT, or agent:SHA256:... as ssh-add -l shows",
    )


def _is(key: HostKey, comment: str, wanted: str) -> bool:
    return wanted in (comment, key.fingerprint)


def _usable(key: HostKey, name: str) -> HostKey:
    if "-cert-v01@" in key.kind or not key.kind.startswith(_KINDS):
        raise UsageError(f"{name} is of type {key.kind}, which is not let in", "Use an Ed25519, RSA, ECDSA or FIDO key")
    return key


def _identities(socket_path: str) -> list[tuple[HostKey, str]]:
    import socket
    import struct

    from ssm_ssh.errors import ProtocolError
    from ssm_ssh.ssh.hostkey import from_blob, strings

    if not socket_path:
        raise UsageError("there is no ssh-agent (SSH_AUTH_SOCK is not set)", "Start one, or use another key")
    try:
        with socket.socket(socket.AF_UNIX) as agent:
            agent.settimeout(_AGENT_SECONDS)
            agent.connect(socket_path)
            agent.sendall(struct.pack(">IB", 1, _REQUEST_IDENTITIES))
            with agent.makefile("rb") as answer:
                (length,) = struct.unpack(">I", answer.read(4))
                body = answer.read(min(length, 1 << 20))
        kind, count = struct.unpack(">BI", body[:5])
        parts = strings(body[5:])
    except (OSError, struct.error, ProtocolError) as error:
        raise UsageError("ssh-agent does not answer", "Look with: ssh-add -l") from error
    if kind != _IDENTITIES_ANSWER or count > _MOST_IDENTITIES or len(parts) != 2 * count:
        raise UsageError("ssh-agent's answer is not understood", "Look with: ssh-add -l")
    found = []
    for blob, comment in zip(parts[::2], parts[1::2], strict=True):
        try:
            found.append((from_blob(blob), comment.decode("utf-8", "replace")))
        except ProtocolError:
            continue  # a certificate, or a type of the future
    return found
