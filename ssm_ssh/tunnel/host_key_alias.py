"""The name under which ssh looks for the host key, if HostKeyAlias changes it: no token tells that to a ProxyCommand.

Most configurations and command lines do not contain the word. Where one does, the ssh that started this process is
asked (`ssh -G`) with its own arguments. Only Linux shows these; elsewhere the alias stays unknown.
"""

from __future__ import annotations

import os

_WORD = b"hostkeyalias"
_SYSTEM = "/etc/ssh/ssh_config"
_LARGEST = 1 << 20
# Seconds. ssh -G takes milliseconds; a `Match exec` of the user's may look something up.
_LIMIT = 5.0


def host_key_alias(parent: int) -> str:
    """Return the HostKeyAlias of the ssh that is the process `parent`, "" for none. Never raises."""
    try:
        program = os.readlink(f"/proc/{parent}/exe")  # noqa: PTH115 - as below
        words = _read(f"/proc/{parent}/cmdline").split(b"\0")[:-1]
    except OSError:
        return ""
    if not os.path.basename(program).startswith("ssh") or len(words) < 2:  # noqa: PTH119 - pathlib costs a connection more
        return ""
    if _WORD not in b"\0".join(words).lower() and not any(map(_mentions, _files(words))):
        return ""
    return _ask(program, words[1:])


def _files(words: list[bytes]) -> list[str]:
    """Return the configurations that this ssh reads, as far as a glance at its arguments tells."""
    apart = [words[number + 1] for number, word in enumerate(words[:-1]) if word == b"-F"]
    chosen = [*apart, *(word[2:] for word in words if word.startswith(b"-F") and len(word) > 2)]
    return [*map(os.fsdecode, chosen), f"{os.environ.get('HOME', '')}/.ssh/config", _SYSTEM]


def _mentions(path: str) -> bool:
    try:
        return _WORD in _read(path).lower()
    except OSError:
        return False


def _read(path: str) -> bytes:
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    try:
        parts = []
        while part := os.read(fd, _LARGEST):
            parts.append(part)
            if sum(map(len, parts)) > _LARGEST:
                break
        return b"".join(parts)
    finally:
        os.close(fd)


def _ask(program: str, words: list[bytes]) -> str:
    import subprocess

    try:
        done = subprocess.run(
            [os.fsencode(program), b"-G", *words],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            timeout=_LIMIT,
            check=False,
        )
    except (OSError, subprocess.SubprocessError):
        return ""
    for line in done.stdout.split(b"\n"):
        if line.startswith(b"hostkeyalias "):
            alias = line.partition(b" ")[2].decode("utf-8", "replace")
            return "" if alias == "none" else alias
    return ""
