"""Trees of files to copy, and what is in them, to compare."""

from __future__ import annotations

import hashlib
import os
import random
from pathlib import Path


def make_tree(folder: Path, seed: int = 1, big: int = 300_000) -> Path:
    """Make a tree with names and contents that are easily spoilt; returns `folder`."""
    noise = random.Random(seed)
    contents = {
        "empty": b"",
        "newline": b"\n",
        "with space.txt": b"a\r\nb\n",
        "ünï-日本.bin": bytes(range(256)),
        "it's $HOME; `echo` & [a-b]*?": b"quoted",
        "deep/er/file": noise.randbytes(70_000),
        "deep/-dash": b"-",
        "a folder/big.bin": noise.randbytes(big),
    }
    folder.mkdir()
    for name, content in contents.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    (folder / "no files").mkdir()
    (folder / "newline").chmod(0o750)
    return folder


def content(folder: Path) -> dict[str, str]:
    """What is below `folder`: the SHA-256 of each file, `/` for each folder, by relative name."""
    found = {}
    for path in sorted(folder.rglob("*")):
        name = str(path.relative_to(folder))
        found[name] = "/" if path.is_dir() else hashlib.sha256(path.read_bytes()).hexdigest()
    return found


def give(path: Path, like: Path) -> None:
    """Let the owner of `like` own `path` and all that is below it."""
    owner = like.stat()
    for one in (path, *path.rglob("*")):
        os.chown(one, owner.st_uid, owner.st_gid, follow_symlinks=False)
