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

    def parse_known_args(self, args=None, namespace=None):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN201
        """Parse as argparse does, and hold defaults to the choices too, for they come from the environment."""
        parsed, rest = super().parse_known_args(args, namespace)
        for action in self._actions:
            value = getattr(parsed, action.dest, None)
            if action.choices is not None and value is not None and value not in action.choices:
                name = "/".join(action.option_strings) or action.dest
                self.error(f"{name}: '{value}' is none of {', '.join(map(str, action.choices))}")
        return parsed, rest


def seconds(text: str) -> float:
    """Return a duration in seconds, as an argparse type."""
    value = float(text)
    if not 0 <= value <= 86400:
        raise argparse.ArgumentTypeError("must be from 0 to 86400 seconds")
    return value
