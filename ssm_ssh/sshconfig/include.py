"""PURE: one line, or one marked block, put at the top of a configuration, and removed again.

It works on bytes, so encoding, line ends and the rest of the file do not matter.
`without(put(content)) == content` for every content without anything of ssm-ssh.
"""

from __future__ import annotations

import re

from ssm_ssh.errors import UsageError

BEGIN = b"# >>> ssm-ssh >>> maintained by `ssm-ssh setup --inline`: changes made here are lost"
END = b"# <<< ssm-ssh <<<"
# The directives of the user that follow the block must apply to every host again. JSch keeps sections by the text of
# their Host line, and another `Host *` of the user's would replace them.
_EVERYONE = b"Host * *"
# As ssh reads it: white space, an optional quote, the keyword, then white space, `=` or a quote.
_SECTION = re.compile(rb'[ \t\r\f]*"?(?:host|match)["= \t\r\f]', re.IGNORECASE)
# What bash-completion, zsh and fish read in an Include when it is not quoted, and all take literally; most of them take
# quotes for a part of the name.
_PLAIN = re.compile(rb"[A-Za-z0-9_./+@:,\x80-\xff-]+")
_NOTHING = re.compile(rb"[ \t\r\f]*(?:#.*)?", re.DOTALL)


def include_line(managed: str) -> bytes:
    """Return the line, without line end, that includes the file `managed` (a path as bytes of the file system)."""
    path = managed.encode("utf-8", "surrogateescape")
    return b"Include " + path if _PLAIN.fullmatch(path) else _quoted(path)


def spellings(line: bytes) -> tuple[bytes, ...]:
    """Return `line`, and how versions before 0.2 wrote it."""
    path = line.removeprefix(b"Include ")
    return (line,) if path.startswith(b'"') else (line, _quoted(path))


def _quoted(path: bytes) -> bytes:
    return b'Include "' + path + b'"'


def has_line(content: bytes, line: bytes) -> bool:
    """True where `line`, in any of its spellings, stands before the first Host or Match."""
    return bool(_ours(content, line))


def has_block(content: bytes) -> bool:
    """True where a marked block, or half of one, is there."""
    return any(one.rstrip(b"\r") in (BEGIN, END) for one in content.split(b"\n"))


def is_ours(content: bytes, managed: str) -> bool:
    """True where ssm-ssh is set up in `content`, either way."""
    return has_block(content) or has_line(content, include_line(managed))


def line_is_first(content: bytes, line: bytes) -> bool:
    """True where nothing but comments and blank lines precedes `line`, in any of its spellings."""
    for one in content.split(b"\n"):
        if one.rstrip(b"\r") in spellings(line):
            return True
        if not _NOTHING.fullmatch(one):
            return False
    return False


def put_line(content: bytes, line: bytes, *, respell: bool = True) -> bytes:
    """Return `content` with `line` before any other directive and without anything else of ssm-ssh.

    Without `respell`, a line that is in its place already keeps its spelling.
    """
    if line_is_first(content, line) and len(_ours(content, line)) == 1 and not has_block(content):
        written = content.split(b"\n")
        number = _ours(content, line)[0]
        if respell and written[number].rstrip(b"\r") != line:
            written[number] = line + written[number][len(written[number].rstrip(b"\r")) :]
        return b"\n".join(written)
    rest = without(content, line)
    return line + _line_end(rest) + rest


def put_block(content: bytes, block: bytes, line: bytes) -> bytes:
    """Return `content` with the marked block before everything, instead of an older one or of `line`."""
    rest = without(content, line)
    end = _line_end(rest)
    lines = [BEGIN, *block.strip(b"\n").split(b"\n"), _EVERYONE, END]
    return end.join(lines) + end + rest


def block_in(content: bytes) -> bytes | None:
    """Return what the marked block holds, with plain line ends; None where there is none."""
    lines = [line.rstrip(b"\r") for line in content.split(b"\n")]
    if BEGIN not in lines or END not in lines:
        return None
    return b"\n".join(lines[lines.index(BEGIN) + 1 : lines.index(END) - 1]) + b"\n"


def without(content: bytes, line: bytes) -> bytes:
    """Return `content` without `line` and without the marked block; raises UsageError for a damaged block."""
    pieces = _pieces(content)
    plain = [piece.rstrip(b"\r\n") for piece in pieces]
    if BEGIN in plain or END in plain:
        begin, end = (plain.index(mark) if plain.count(mark) == 1 else -1 for mark in (BEGIN, END))
        if not 0 <= begin < end:
            raise UsageError(
                "the block that ssm-ssh maintains in your configuration has lost its first or last line",
                f"Remove what is left of it: from '{BEGIN[:16].decode()}' to '{END.decode()}'",
            )
        pieces = pieces[:begin] + pieces[end + 1 :]
    drop = set(_ours(b"".join(pieces), line))
    return b"".join(piece for number, piece in enumerate(pieces) if number not in drop)


def _pieces(content: bytes) -> list[bytes]:
    """Return the lines with their ends."""
    return [piece for piece in re.split(rb"(?<=\n)", content) if piece]


def _ours(content: bytes, line: bytes) -> list[int]:
    """Return the numbers of the lines that are `line`. Below a Host or Match it is the user's own."""
    numbers, ours = [], spellings(line)
    for number, piece in enumerate(content.split(b"\n")):
        if _SECTION.match(piece):
            break
        if piece.rstrip(b"\r") in ours:
            numbers.append(number)
    return numbers


def _line_end(content: bytes) -> bytes:
    first = content.split(b"\n", 1)
    return b"\r\n" if len(first) == 2 and first[0].endswith(b"\r") else b"\n"
