"""The script that authorizes a key through Run Command, made of root.sh and user.sh, and its output.

As a document it also reports the host keys, for users who may run no other document.

All outside input is one word of base64 in it, which can neither be shell code nor contain the `{{` that Systems Manager
replaces.
"""

from __future__ import annotations

import base64
import re
from pathlib import Path
from shlex import quote

from ssm_ssh import names
from ssm_ssh.errors import KeyRefused, UsageError
from ssm_ssh.startup import NamedTuple
from ssm_ssh.text import printable

# Seconds that an entry stays, as long as EC2 Instance Connect accepts a key. root.sh accepts at most LONGEST_LIFETIME.
LIFETIME = 60
LONGEST_LIFETIME = 600
_KEY = r"((?:ssh|ecdsa|sk-ssh|sk-ecdsa)-[a-z0-9@.-]{1,60}) ([A-Za-z0-9+/]{40,8000}={0,2})"
_ID = r"[0-9a-f]{16}"

# What to do about each error code of root.sh.
_HINTS = {
    "no-user": "Name the user: ssh USER@...",
    "home": "Create it, or name another user; a first login of that user may create it too",
    "no-sshd": "Install and start OpenSSH's sshd there",
    "no-pubkey": "Set PubkeyAuthentication yes in sshd_config",
    "no-file": "Set AuthorizedKeysFile in sshd_config",
    "shared-file": "Put %u or %h into AuthorizedKeysFile",
    "root-file": "Check owners and modes on that path",
    "key-type": "Use an Ed25519 or RSA key",
    "no-expiry": "Let ssm-ssh use its own key, whose private half it deletes",
    "no-switch": "Install util-linux there",
    "file": "Check that file and its folder on the instance",
    "lock": "Try again in a minute",
}


class Placed(NamedTuple):
    """An entry in authorized_keys; `expires` is in seconds since the epoch by the instance's clock."""

    entry_id: str
    expires: int
    sshd: str
    notes: tuple[str, ...]


def request(
    action: str, user: str, public_key: str, entry_id: str, *, lifetime: int = LIFETIME, needs_expiry: bool = False
) -> str:
    """Return the input of the script, base64. `action`: push, or sweep (removes `entry_id` and expired entries).

    `public_key` is `type base64` without a comment. `needs_expiry` refuses an sshd that cannot expire keys. Raises
    UsageError for input that the script would refuse.
    """
    if not names.is_user(user):
        raise UsageError(f"'{user[:80]}' is not a user name", names.USER_HINT)
    if not re.fullmatch(_KEY, public_key):
        raise UsageError("sshd would not read that public key", "Use one line as in id_ed25519.pub")
    if action not in ("push", "sweep") or not re.fullmatch(_ID, entry_id) or not 1 <= lifetime <= LONGEST_LIFETIME:
        raise UsageError(f"a key cannot be accepted for {lifetime} seconds", f"Use 1 to {LONGEST_LIFETIME}")
    # Documents of older versions know plain names alone, and refuse any other word.
    name = user if names.is_plain_user(user) else f"={base64.b64encode(user.encode()).decode('ascii')}"
    words = (action, name, public_key, entry_id, str(lifetime), "expiry" if needs_expiry else "-")
    return base64.b64encode(" ".join(words).encode("ascii")).decode("ascii")


def host_keys_request(mark: str) -> str:
    """Return the input that makes the script print the host keys between lines with `mark`, 32 hex digits."""
    return base64.b64encode(f"host-keys {mark}".encode("ascii")).decode("ascii")


def script(data: str, *, shell: str = "/bin/sh") -> str:
    """Return the script around `data`; `shell` runs its parts. The text contains no other `{{`."""
    return "\n".join(
        (
            "#!/bin/sh",
            "# ssm-ssh: let a public key in for a minute; it is taken out again without further ado.",
            f"data='{data}'",
            f"shell={quote(shell)}",
            f"user_part={quote(_source('user.sh'))}",
            f"root_part={quote(_source('root.sh'))}",
            'eval "$root_part"',
            "",
        )
    )


def result(stdout: str, stderr: str, instance_id: str) -> Placed:
    """Parse the output of the script. Raises KeyRefused with the instance's sentence, made printable."""
    notes = []
    for line in stdout.split("\n"):
        word, _, rest = line.removeprefix("ssm-ssh ").partition(" ") if line.startswith("ssm-ssh ") else ("", "", "")
        if word == "note":
            notes.append(printable(rest))
        elif word == "error":
            code, _, sentence = rest.partition(" ")
            raise KeyRefused(
                f"{instance_id} did not take the key: {printable(sentence)}", _HINTS.get(code, ""), code=code
            )
        elif word == "done":
            entry_id, expires, sshd = (*rest.split(), "", "", "")[:3]
            number = int(expires) if expires.isascii() and expires.isdigit() and len(expires) <= 12 else 0
            return Placed(printable(entry_id, 16), number, printable(sshd, 10), tuple(notes))
    output = printable(stderr or stdout, 160) or "nothing"
    raise KeyRefused(f"{instance_id} did not take the key; its shell said: {output}", "", code="unknown")


def _source(name: str) -> str:
    """Return a part without its comments: Run Command limits the size of parameters, and many people can read them."""
    text = Path(__file__).with_name(name).read_text(encoding="ascii")
    return "\n".join(line for line in text.split("\n") if line and not line.lstrip().startswith("#")) + "\n"
