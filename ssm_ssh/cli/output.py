"""Everything that commands print: lines, tables, JSON, errors and progress. Nothing else in the package calls print.

What people read on a terminal has colours, unless NO_COLOR is set, and fits its width; rich makes the colours and is
imported for them alone. What programs read (a pipe, a file, JSON) is plain ASCII of any width. `ssm-ssh proxy` uses
this module too, so at its top it imports nothing that a connection does not need.
"""

from __future__ import annotations

import os
import sys

from ssm_ssh.errors import StateError
from ssm_ssh.text import printable

TYPE_CHECKING = False  # not from typing, whose import would double the time of `ssm-ssh --help`
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any, TextIO

    from ssm_ssh.cli.table import Cell, Column

GOOD, BAD, CARE, QUIET = "green", "bold red", "yellow", "dim"
_HEAD = "bold"
# Seconds after which a person wants to know what the command waits for.
_PATIENCE = 1.5
# A cell of a table that continues on the next line may hold a sentence.
_LONGEST_CELL = 500


def open_standard_descriptors() -> None:
    """Open 0, 1 and 2 where the caller closed them, so that no socket gets one of these numbers."""
    for fd in (0, 1, 2):
        try:
            os.fstat(fd)
        except OSError:
            os.open(os.devnull, os.O_RDWR)


def line(text: str = "") -> None:
    """Print one line for the caller. The text is ours, or printable."""
    _write(sys.stdout, f"{text}\n")


def raw(text: str) -> None:
    """Print `text` as it is, such as a script or a diff."""
    _write(sys.stdout, text)


def note(text: str, *, end: str = "\n") -> None:
    """Print one line on stderr at once, for a person."""
    _tell(f"{text}{end}")


def error(sentence: str) -> None:
    """Print what went wrong, as one line on stderr. The sentence is printable."""
    _tell(f"ssm-ssh: {sentence}\n")


def as_json(value: object) -> None:
    """Print `value` as JSON; its text is ASCII, so that no terminal obeys it."""
    import json

    line(json.dumps(value, indent=1))


def table(columns: Sequence[Column], rows: Sequence[Sequence[str | Cell]]) -> None:
    """Print a table. Its cells may hold text from outside."""
    from ssm_ssh.cli.display import visible
    from ssm_ssh.cli.table import GAP, Cell, fit, lay_out, wrapped

    def shown(text: str, column: Column) -> str:
        limit = _LONGEST_CELL if column.wrap else 300
        return visible(text, limit) if unicode else printable(text, limit)

    unicode, width = _is_unicode(sys.stdout), _width(sys.stdout)
    ellipsis = "\u2026" if unicode else "..."
    cells = [[cell if isinstance(cell, Cell) else Cell(cell) for cell in row] for row in rows]
    texts = [[shown(cell.text, column) for cell, column in zip(row, columns, strict=True)] for row in cells]
    layout = lay_out(columns, texts, width)
    lines = [[(fit(columns[number].head, size, ellipsis), _HEAD) for number, size in zip(*layout, strict=True)]]
    for row, row_texts in zip(cells, texts, strict=True):
        parts = [[row_texts[number]] for number in layout.shown]
        if columns[layout.shown[-1]].wrap:
            parts[-1] = wrapped(parts[-1][0], layout.widths[-1])
        for height in range(len(parts[-1])):
            lines.append(
                [
                    (fit(part[height] if height < len(part) else "", max(size, 1), ellipsis), row[number].style)
                    if not columns[number].wrap
                    else (part[height], row[number].style)
                    for part, number, size in zip(parts, *layout, strict=True)
                ]
            )
    if _has_colour(sys.stdout):
        raw(_coloured(lines, GAP))
    else:
        raw("".join(f"{GAP.join(text for text, _ in parts).rstrip()}\n" for parts in lines))


class progress:
    """A context that tells a person at the terminal what the command waits for, once, if it takes long.

    It prints a plain line, not an animation: while AWS is asked, a question for an MFA code may come up there.
    """

    def __init__(self, text: str) -> None:
        self._text = text
        self._timer: Any = None

    def __enter__(self) -> None:
        if sys.stderr is not None and sys.stderr.isatty():
            import threading

            self._timer = threading.Timer(_PATIENCE, note, [printable(self._text)])
            self._timer.daemon = True
            self._timer.start()

    def __exit__(self, *_: object) -> None:
        if self._timer is not None:
            self._timer.cancel()


def flush() -> None:
    """Write everything that was printed. Raises BrokenPipeError, and StateError where it cannot be written."""
    if sys.stdout is None:
        return
    try:
        sys.stdout.flush()
    except OSError as error:
        # Python would try to write what is left at exit, and complain in its own words.
        null = os.open(os.devnull, os.O_WRONLY)
        os.dup2(null, sys.stdout.fileno())
        os.close(null)
        if isinstance(error, BrokenPipeError):
            raise
        raise StateError(f"the output cannot be written: {error.strerror}", "Check where it goes") from error


def is_terminal() -> bool:
    """Whether a person reads the output."""
    return sys.stdout is not None and sys.stdout.isatty()


def _write(stream: TextIO | None, text: str) -> None:
    if stream is None:  # the caller has closed it
        return
    try:
        stream.write(text)
    except UnicodeEncodeError:  # a file's name that is no text, or a terminal that is not UTF-8
        encoding = stream.encoding or "ascii"
        stream.write(text.encode(encoding, "backslashreplace").decode(encoding))


def _tell(text: str) -> None:
    _write(sys.stderr, text)
    if sys.stderr is not None:
        sys.stderr.flush()


def _is_unicode(stream: TextIO | None) -> bool:
    return stream is not None and stream.isatty() and (stream.encoding or "").lower().replace("-", "") == "utf8"


def _has_colour(stream: TextIO | None) -> bool:
    # https://no-color.org: set to anything but the empty string.
    if stream is None or not stream.isatty() or os.environ.get("NO_COLOR"):
        return False
    return os.environ.get("TERM", "") not in ("", "dumb", "unknown")


def _width(stream: TextIO | None) -> int | None:
    """Return the columns of the terminal, None where the output is no terminal."""
    if stream is None or not stream.isatty():
        return None
    import shutil

    return shutil.get_terminal_size().columns


def _coloured(lines: Sequence[Sequence[tuple[str, str]]], gap: str) -> str:
    from rich.console import Console
    from rich.text import Text

    options: dict[str, Any] = {"highlight": False, "markup": False, "emoji": False, "force_terminal": True}
    console = Console(file=sys.stdout, **options)
    with console.capture() as capture:
        for parts in lines:
            text = Text(gap).join(Text(part, style) for part, style in parts)
            text.rstrip()
            console.print(text, soft_wrap=True)
    return capture.get()
