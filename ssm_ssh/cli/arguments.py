"""Arguments as all commands read them: argparse whose errors are UsageErrors, said in one line."""

from __future__ import annotations

import argparse
from typing import NoReturn

from ssm_ssh.errors import UsageError


class Arguments(argparse.ArgumentParser):
    """An ArgumentParser that raises UsageError instead of printing a usage text and exiting."""

    def error(self, message: str) -> NoReturn:
        """Raise UsageError with argparse's words."""
        raise UsageError(message, f"See: {self.prog} --help")


def seconds(text: str) -> float:
    """Return a duration in seconds, as an argparse type."""
    value = float(text)
    if not 0 <= value <= 86400:
        raise argparse.ArgumentTypeError("must be from 0 to 86400 seconds")
    return value
