"""The parsers of all commands: argparse whose errors are UsageErrors of one line, with suggestions."""

from __future__ import annotations

import argparse
import os
from functools import partial

from ssm_ssh.errors import UsageError
from ssm_ssh.startup import TYPE_CHECKING
from ssm_ssh.text import printable

if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any, NoReturn

_DEBUG = "show every step and AWS call on stderr"


def command_parser(command: str, description: str, *, epilog: str = "", usage: str | None = None) -> Arguments:
    """Return the parser of `ssm-ssh COMMAND`, with what all commands have in common: --help and --debug."""
    return _parser(f"ssm-ssh {command}", description, epilog=epilog, usage=usage)


def _parser(prog: str, description: str, *, epilog: str = "", usage: str | None = None) -> Arguments:
    parser = Arguments(
        prog=prog,
        usage=usage,
        description=description,
        epilog=epilog,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("--debug", action="store_true", help=_DEBUG)
    return parser


class Arguments(argparse.ArgumentParser):
    """An ArgumentParser that raises UsageError instead of printing a usage text and exiting."""

    def __init__(self, *, formatter_class: Any = argparse.HelpFormatter, **options: Any) -> None:  # noqa: ANN401
        # argparse makes a formatter for each argument, and each asks shutil for the width of the terminal: every
        # connection would import compression libraries for a help text that it does not show.
        super().__init__(formatter_class=partial(formatter_class, width=_width()), **options)

    def error(self, message: str) -> NoReturn:
        """Raise UsageError with argparse's words."""
        raise UsageError(message, f"See: {self.prog} --help")

    def parse_args(  # type: ignore[override]
        self,
        args: Sequence[str] | None = None,
        namespace: Any = None,  # noqa: ANN401
    ) -> argparse.Namespace:
        """Parse as argparse does. Raises UsageError that names the first argument without a meaning."""
        parsed, rest = self.parse_known_args(args, namespace)
        self._refuse(rest)
        return parsed

    def parse_intermixed_args(  # type: ignore[override]
        self,
        args: Sequence[str] | None = None,
        namespace: Any = None,  # noqa: ANN401
    ) -> argparse.Namespace:
        """Parse as argparse does, with options between the words. Raises UsageError as `parse_args` does."""
        options, rest = self.parse_known_intermixed_args(args, namespace)
        self._refuse(rest)
        assert isinstance(options, argparse.Namespace)
        return options

    def parse_known_args(  # type: ignore[override]
        self,
        args: Sequence[str] | None = None,
        namespace: Any = None,  # noqa: ANN401
    ) -> tuple[argparse.Namespace, list[str]]:
        """Parse as argparse does, and check defaults against the choices too, for they come from the environment."""
        parsed, rest = super().parse_known_args(args, namespace)
        for action in self._actions:
            value = getattr(parsed, action.dest, None)
            if value is not None:
                self._check_value(action, value)
        return parsed, rest

    def _check_value(self, action: argparse.Action, value: Any) -> None:  # noqa: ANN401
        if action.choices is None or value in action.choices:
            return
        from ssm_ssh.suggest import hint

        name = "/".join(action.option_strings) or action.metavar or action.dest
        raise UsageError(
            f"{name}: unknown value '{printable(value, 40)}'", hint(str(value), map(str, action.choices), "Allowed")
        )

    def _refuse(self, rest: Sequence[str]) -> None:
        if not rest:
            return
        from ssm_ssh.suggest import did_you_mean

        word = rest[0].partition("=")[0] if rest[0].startswith("--") else rest[0]
        close = did_you_mean(word, self._option_string_actions) if word.startswith("-") else ""
        raise UsageError(f"unexpected argument '{printable(word, 80)}'", close or f"See: {self.prog} --help")


class Actions:
    """A command with subcommands, such as `ssm-ssh key renew`. Without one, `default` is meant.

    Options may come before the action and between the words behind it.
    """

    def __init__(self, command: str, description: str, *, default: str, epilog: str = "") -> None:
        self.parser = command_parser(command, description, epilog=epilog)
        self.default = default
        self.actions: dict[str, Arguments] = {}
        self._group = self.parser.add_subparsers(
            prog=f"ssm-ssh {command}", title="actions", metavar="ACTION", parser_class=Arguments
        )

    def add(self, name: str, summary: str, *, epilog: str = "") -> Arguments:
        """Add the action `name` and return its parser. `summary` is its line in the command's help."""
        description = f"{summary[0].upper()}{summary[1:]}."
        self.actions[name] = self._group.add_parser(
            name,
            help=summary,
            description=description,
            epilog=epilog,
            formatter_class=argparse.RawDescriptionHelpFormatter,
            allow_abbrev=False,
        )
        self.actions[name].add_argument("--debug", action="store_true", help=_DEBUG)
        return self.actions[name]

    def tolerate(self, *options: str) -> None:
        """Have actions without an option of these names ignore it, as all did before actions had their own options."""
        known = {option: self._option(option) for option in options}
        for parser in self.actions.values():
            for option, action in known.items():
                if option not in parser._option_string_actions:
                    takes_value = action.nargs != 0
                    parser.add_argument(option, action="store" if takes_value else "store_true", help=argparse.SUPPRESS)

    def _option(self, name: str) -> argparse.Action:
        return next(
            parser._option_string_actions[name]
            for parser in self.actions.values()
            if name in parser._option_string_actions
        )

    def parse(self, argv: Sequence[str]) -> tuple[str, argparse.Namespace]:
        """Return the action that `argv` names, and its options. Raises UsageError."""
        at = self._first_word(argv)
        if at is None and not {"-h", "--help"}.isdisjoint(argv):
            self.parser.parse_args(["--help"])
        name = argv[at] if at is not None else self.default
        rest = [word for number, word in enumerate(argv) if number != at]
        if name not in self.actions:
            if not self.actions[self.default]._get_positional_actions():
                raise self._no_action(name)
            try:
                return self.default, self.actions[self.default].parse_intermixed_args(argv)
            except UsageError as error:
                from ssm_ssh.suggest import similar

                # The word may be an operand of the default action, so only a name that resembles an action is taken
                # for a misspelled one.
                raise self._no_action(name) if similar(name, self.actions) else error from None
        return name, self.actions[name].parse_intermixed_args(rest)

    def _no_action(self, name: str) -> UsageError:
        from ssm_ssh.suggest import hint

        command = self.parser.prog.removeprefix("ssm-ssh ")
        return UsageError(f"{command} has no action '{printable(name, 80)}'", hint(name, self.actions, "Actions"))

    def _first_word(self, argv: Sequence[str]) -> int | None:
        """Return the index of the first word that is neither an option nor the value of one."""
        valued = {
            option
            for parser in self.actions.values()
            for option, action in parser._option_string_actions.items()
            if action.nargs != 0
        }
        is_value = False
        for number, word in enumerate(argv):
            if not is_value and not word.startswith("-"):
                return number
            is_value = not is_value and word in valued
        return None


def _width() -> int:
    """Columns of a help text, as argparse calculates them."""
    columns = os.environ.get("COLUMNS", "")
    try:
        return (int(columns) if columns.isdecimal() else os.get_terminal_size().columns or 80) - 2
    except OSError:
        return 78
