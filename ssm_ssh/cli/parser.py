"""Arguments as all commands read them: argparse whose errors are UsageErrors, said in one line."""

from __future__ import annotations

import argparse
import os
from functools import partial
from typing import Any, NoReturn

from ssm_ssh.errors import UsageError


class Arguments(argparse.ArgumentParser):
    """An ArgumentParser that raises UsageError instead of printing a usage text and exiting."""

    def __init__(self, *, formatter_class: Any = argparse.HelpFormatter, **options: Any) -> None:  # noqa: ANN401
        # For each argument that is added argparse makes a formatter, which asks shutil how wide the terminal is:
        # compression libraries would be loaded at the start of each connection, for a help text that nobody wants.
        super().__init__(formatter_class=partial(formatter_class, width=_width()), **options)

    def error(self, message: str) -> NoReturn:
        """Raise UsageError with argparse's words."""
        raise UsageError(message, f"See: {self.prog} --help")

    def parse_known_args(self, args=None, namespace=None):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN201
        """Parse as argparse does, and hold defaults to the choices too, for they come from the environment."""
        parsed, rest = super().parse_known_args(args, namespace)
        for action in self._actions:
            value = getattr(parsed, action.dest, None)
            if action.choices is not None and value is not None and value not in action.choices:
                name = "/".join(action.option_strings) or action.dest
                self.error(f"{name}: '{value}' is none of {', '.join(map(str, action.choices))}")
        return parsed, rest


def _width() -> int:
    """Columns of a help text, as argparse reckons them."""
    columns = os.environ.get("COLUMNS", "")
    try:
        return (int(columns) if columns.isdecimal() else os.get_terminal_size().columns or 80) - 2
    except OSError:
        return 78


def seconds(text: str) -> float:
    """Return a duration in seconds, as an argparse type."""
    value = float(text)
    if not 0 <= value <= 86400:
        raise argparse.ArgumentTypeError("must be from 0 to 86400 seconds")
    return value
